package exchange

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// An image to build upon keeps its configuration as it came.
func TestPullBase(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "base:1", picture(t, v1.Config{OnBuild: []string{"RUN x"}, Labels: map[string]string{"a": "b"}},
		layer(t, file{name: "etc/passwd", content: "app:x:1001:1002::/home/app:/\n"}, file{name: "etc/group", content: "video:x:44:app\n"})))
	if n, err := x.PullRoom(t.Context(), o.at("base:1"), transfer()); err != nil || n < 50 {
		t.Errorf("room for what is not here: %d, %v", n, err)
	}
	b, err := x.PullBase(t.Context(), o.at("base:1"), transfer())
	ok(t, err)
	if n, err := x.PullRoom(t.Context(), o.at("base:1"), transfer()); err != nil || n != 0 {
		t.Errorf("room for what is here: %d, %v", n, err)
	}
	var config struct{ Config struct{ OnBuild []string } }
	ok(t, json.Unmarshal(b.Config, &config))
	if len(b.Layers) != 1 || !strings.HasPrefix(b.Digest, "sha256:") || !slices.Equal(config.Config.OnBuild, []string{"RUN x"}) {
		t.Errorf("%+v", b)
	}
	if _, err := x.PullBase(t.Context(), o.at("base:2"), transfer()); platform.KindOf(err) != platform.NotFound {
		t.Errorf("a tag that is not there: %v", err)
	}

	// Plain takes nothing of it for ours, and finds user, groups and home.
	img, err := x.Plain(b.Layers, ocispec.Image{Config: ocispec.ImageConfig{
		User: "app", Labels: map[string]string{"paas.process.web": "evil"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}})
	ok(t, err)
	if len(img.Processes) > 0 || img.UID != 1001 || img.GID != 1002 || !slices.Equal(img.Groups, []uint32{44}) || img.Env["HOME"] != "/home/app" || img.Port != 8080 {
		t.Errorf("%+v", img)
	}
	for _, user := range []string{"ghost", "70000", "-1"} {
		if _, err := x.Plain(b.Layers, ocispec.Image{Config: ocispec.ImageConfig{User: user}}); platform.KindOf(err) != platform.Failed {
			t.Errorf("user %s: %v", user, err)
		}
	}
}
