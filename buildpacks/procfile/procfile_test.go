package procfile

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"paas/platform"
)

func TestParse(t *testing.T) {
	type processes = map[platform.ProcessType]string
	cases := []struct {
		text string
		want processes
	}{
		{"", processes{}},
		{"web: node server.js", processes{"web": "node server.js"}},
		{"web:node server.js\n", processes{"web": "node server.js"}},
		{"web: a\r\nworker: b\r\n", processes{"web": "a", "worker": "b"}},
		{"# web: no\n// web: no\n\n  web: yes  \n", processes{"web": "yes"}},
		{"release: ./migrate && ./seed\nweb: x --url http://a:80 # kept", processes{"release": "./migrate && ./seed", "web": "x --url http://a:80 # kept"}},
		{"a-1: x\n0: y\n" + strings.Repeat("n", 63) + ": z", processes{"a-1": "x", "0": "y", platform.ProcessType(strings.Repeat("n", 63)): "z"}},
		{"web: FOO='a:b' ./run \"$PORT\"", processes{"web": "FOO='a:b' ./run \"$PORT\""}},
		{"web: --help", processes{"web": "--help"}},
	}
	for _, c := range cases {
		got, err := Parse([]byte(c.text))
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct{ text, message, hint string }{
		{"web: a\nweb: b", `Procfile line 2: "web" is already on line 1`, "keep one"},
		{"web: a\n\nnonsense", `Procfile line 3: "nonsense" has no colon`, "name: command"},
		{"web:", `Procfile line 1: "web" has no command`, "after the colon"},
		{"web:   \r\n", `Procfile line 1: "web" has no command`, "after the colon"},
		{"my_worker: a", `Procfile line 1: "my_worker" is not`, `"my-worker"`},
		{"Web: a", `Procfile line 1: "Web" is not`, `"web"`},
		{"web : a", `Procfile line 1: "web " is not`, `"web"`},
		{": a", `Procfile line 1: "" is not`, "63"},
		{"-web: a", `Procfile line 1: "-web" is not`, "63"},
		{strings.Repeat("n", 64) + ": a", "is not a process type name", "63"},
		{"web: \xff", "Procfile line 1: it is not UTF-8", "UTF-8"},
		{"web: a\x00b", "Procfile line 1: it is not UTF-8", "UTF-8"},
	}
	for _, c := range cases {
		_, err := Parse([]byte(c.text))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%q: %q, hint %q", c.text, e.Message, e.Hint)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"web: a", "web: a\r\n# c\nworker: b", "release: x\nweb", "a:b:c", "\xff: x", "web: \x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		processes, err := Parse(text)
		if err != nil {
			var e *platform.Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Message, "Procfile line ") || e.Hint == "" {
				t.Fatalf("error without line or hint: %v", err)
			}
			return
		}
		again, err := Parse(write(processes))
		if err != nil || !maps.Equal(processes, again) {
			t.Fatalf("%q reads back as %v, %v", processes, again, err)
		}
	})
}

func write(processes map[platform.ProcessType]string) []byte {
	var b strings.Builder
	for name, command := range processes {
		b.WriteString(string(name) + ": " + command + "\n")
	}
	return []byte(b.String())
}
