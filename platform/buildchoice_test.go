package platform_test

import (
	"reflect"
	"strings"
	"testing"

	"paas/platform"
)

// What builder:set takes, in Dokku's words and in ours.
func TestSetBuilder(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	cases := []struct {
		words string
		want  platform.BuildChoice
		note  string
	}{
		{"dockerfile", platform.BuildChoice{Builder: "dockerfile"}, ""},
		{"selected nixpacks", platform.BuildChoice{Builder: "buildpacks"}, "nixpacks.toml"},
		{"build-dir /services/api/", platform.BuildChoice{Builder: "buildpacks", Dir: "services/api"}, ""},
		{"auto", platform.BuildChoice{Dir: "services/api"}, ""},
		{"build-dir", platform.BuildChoice{}, ""},
		{"dockerfile=docker/web procfile-path=p appjson-path=a projecttoml-path=t", platform.BuildChoice{Dockerfile: "docker/web", Procfile: "p", AppJSON: "a", Project: "t"}, ""},
		{"dockerfile=clear procfile-path=clear appjson-path=. projecttoml-path=/", platform.BuildChoice{}, ""},
		{"selected", platform.BuildChoice{}, ""},
	}
	for _, c := range cases {
		r, err := w.SetBuilder(ctx, w.call, platform.BuilderInput{App: "blog", Words: strings.Fields(c.words)})
		if err != nil || !reflect.DeepEqual(r.Choice, c.want) || !strings.Contains(r.Note, c.note) {
			t.Errorf("%s: %+v, %v", c.words, r, err)
		}
	}
	for words, says := range map[string]string{
		"build-dir ../x": "no path inside", "build-dir a\x01b": "no path inside", "bild-dir": "no build property", "selected lambda": "no builder", "docker file x": "too much",
		"build-dir=x y": "no value", "skip-cleanup true": "no meaning", "dokerfile": "no builder", "build-dir=" + strings.Repeat("x", 2000): "no path",
	} {
		_, err := w.SetBuilder(ctx, w.call, platform.BuilderInput{App: "blog", Words: strings.Fields(words)})
		if platform.KindOf(err) != platform.Usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", words, err)
		}
	}
	list, err := w.Builders(ctx, w.call, platform.ReportInput{})
	if err != nil || len(list) != 1 || list[0].App != "blog" {
		t.Errorf("%+v, %v", list, err)
	}
}
