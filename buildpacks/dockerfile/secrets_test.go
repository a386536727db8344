package dockerfile_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
)

// forms are a secret, and what everybody could compute of it and compare.
func forms(name, value string) (list []string) {
	for _, text := range []string{value, name + "=" + value, value + "\n"} {
		m, s, l := md5.Sum([]byte(text)), sha1.Sum([]byte(text)), sha256.Sum256([]byte(text))
		list = append(list, hex.EncodeToString(m[:]), hex.EncodeToString(s[:]), hex.EncodeToString(l[:]), string(l[:]))
	}
	return append(list, value, hex.EncodeToString([]byte(value)), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "="))
}

// search fails for every file below dir with one of the texts in it, or in its name.
func search(t *testing.T, dir string, texts []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeType&^fs.ModeDir != 0 {
			return err
		}
		content := []byte(filepath.Base(path))
		if d.Type().IsRegular() {
			more, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = append(content, more...)
		}
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s has %q", path, text)
			}
		}
		return nil
	})
	check(t, err)
}

// A secret, and a build argument that comes from a config var, are in no layer, record or key: they are given to the
// instructions that ask for them. What an instruction itself writes down is its own affair.
func TestSecretsAreNowhere(t *testing.T) {
	b := newBench(t)
	app := b.app()
	config := platform.Config{"FILE": "canary-file-5071236", "VAR": "canary-var-9917254", "GIVEN": "canary-arg-1182934", "UNASKED": "canary-no-77123"}
	var all []string
	for name, value := range config {
		all = append(all, forms(name, value)...)
	}
	text := `FROM busybox
ARG GIVEN
RUN --mount=type=secret,id=FILE test $(wc -c < /run/secrets/FILE) = 19 && test -z "$UNASKED"
RUN --mount=type=secret,id=VAR,env=VAR test ${#VAR} = 18 && echo yes > /asked
RUN test ${#GIVEN} = 18 && echo yes > /given
WORKDIR /work
CMD ["sh"]
`
	var steps []platform.BuildStep
	var out safeBuffer
	img, err := b.Build(t.Context(), platform.BuildRequest{
		App: app, Source: files("Dockerfile", text), Config: config, Story: platform.NewStory(&out, nil),
		Report: func(s platform.BuildStep) { steps = append(steps, s) },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	check(t, b.Engine.Close())
	search(t, b.Dir, all)
	b.open()
	told, err := json.Marshal([]any{img, steps})
	check(t, err)
	var inputs []string
	for _, s := range steps {
		for _, i := range s.Inputs {
			inputs = append(inputs, i.Name, i.Digest)
		}
	}
	for _, text := range all {
		if strings.Contains(string(told)+out.String()+strings.Join(inputs, "\n"), text) {
			t.Errorf("%q is told: %s", text, told)
		}
	}
}
