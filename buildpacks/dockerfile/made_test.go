package dockerfile_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"paas/platform"
)

// explained builds and returns what was reported of each instruction, by name.
func (b *bench) explained(app platform.App, config platform.Config, pairs ...string) map[string]platform.BuildStep {
	b.t.Helper()
	steps := map[string]platform.BuildStep{}
	var out safeBuffer
	story := platform.NewStory(&out, nil)
	_, err := b.Build(b.t.Context(), platform.BuildRequest{
		App: app, Source: files(pairs...), Config: config, Story: story,
		Report: func(s platform.BuildStep) { steps[s.Name] = s },
	})
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out.String())
	}
	return steps
}

func paths(s platform.BuildStep) (list []string) {
	for _, f := range s.Files {
		list = append(list, f.Path)
	}
	return list
}

func inputOf(s platform.BuildStep, kind platform.InputKind, name string) string {
	for _, i := range s.Inputs {
		if i.Kind == kind && i.Name == name {
			return i.Digest
		}
	}
	return ""
}

const explainedFile = `ARG BASE=busybox
FROM $BASE AS build
ARG MODE
ARG TOKEN
ENV LEVEL=1
COPY --exclude=*.md src /src
RUN --mount=type=secret,id=PASS,target=/p cat /src/a > /out; date +%N > /d
FROM busybox
COPY *.txt last/ /t/
COPY --from=build /out /out
RUN --mount=type=bind,source=conf,target=/c cat /c/x
CMD sh
`

// Of every instruction it is known which files, arguments, secrets, base and layers it was made from, and the
// key is another one exactly when one of these is, but for secrets.
func TestMadeFrom(t *testing.T) {
	b := newBench(t)
	app := b.app()
	source := []string{
		"Dockerfile", explainedFile, ".dockerignore", "one.txt\n", "src/a", "1", "src/b.md", "2", "one.txt", "3", "two.txt", "4",
		"last/l", "5", "conf/x", "6", "other", "7",
	}
	config := platform.Config{"MODE": "fast", "TOKEN": "hush-1", "PASS": "hush-2"}
	first := b.explained(app, config, source...)
	const run, bind = "[build] RUN --mount=type=secret,id=PASS,target=/p cat /src/a > /out; date +%N > /d", "[stage-1] RUN --mount=type=bind,source=conf,target=/c cat /c/x"
	for name, want := range map[string][]string{
		"[build] COPY --exclude=*.md src /src": {"src/a"}, "[stage-1] COPY *.txt last/ /t/": {"last/l", "two.txt"}, bind: {"conf/x"}, run: nil,
	} {
		if s, ok := first[name]; !ok || !slices.Equal(paths(s), want) {
			t.Errorf("%s takes %q, not %q", name, paths(s), want)
		}
	}
	if got := inputOf(first["[build] FROM busybox"], platform.BaseInput, "busybox:latest"); got != b.base.Digest {
		t.Errorf("the base is %s of %+v", got, first["[build] FROM busybox"])
	}
	if inputOf(first[run], platform.ConfigInput, "TOKEN") == "" || inputOf(first[run], platform.ArgumentInput, "LEVEL") == "" || inputOf(first[run], platform.SecretInput, "PASS") == "" {
		t.Errorf("RUN is made from %+v", first[run].Inputs)
	}
	changes := []struct {
		what         string
		config       platform.Config
		path, text   string
		changed      []string
		secretOfStep string
	}{
		{"nothing", config, "", "", nil, ""},
		{"a file that nobody takes", config, "other", "8", nil, ""},
		{"a file of one", config, "two.txt", "8", []string{"[stage-1] COPY *.txt last/ /t/", "[stage-1] COPY --from=build /out /out", bind}, ""},
		{"a secret", platform.Config{"MODE": "fast", "TOKEN": "hush-1", "PASS": "hush-3"}, "", "", nil, run},
		{"an argument", platform.Config{"MODE": "slow", "TOKEN": "hush-1", "PASS": "hush-2"}, "", "", []string{run, "[stage-1] COPY --from=build /out /out", bind}, ""},
	}
	for _, c := range changes {
		t.Run(c.what, func(t *testing.T) {
			edited := slices.Clone(source)
			if i := slices.Index(edited, c.path); i >= 0 && c.path != "" {
				edited[i+1] = c.text
			}
			then := b.explained(app, c.config, edited...)
			for name, s := range then {
				if changed := s.Key != first[name].Key; changed != slices.Contains(c.changed, name) {
					t.Errorf("%s: another key is %v: %+v", name, changed, s.Inputs)
				}
				if s.Kind == platform.InstructionStep && s.Reused == slices.Contains(c.changed, name) && name != "[stage-1] COPY --from=build /out /out" && name != bind {
					t.Errorf("%s: reused %v", name, s.Reused)
				}
			}
			if c.secretOfStep != "" && inputOf(then[run], platform.SecretInput, "PASS") == inputOf(first[run], platform.SecretInput, "PASS") {
				t.Error("the secret's digest is the same")
			}
		})
	}
}

// An ADD of a URL is made from what the URL names.
func TestMadeFromURL(t *testing.T) {
	b := newBench(t)
	content := "one"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(content)) }))
	defer server.Close()
	app := b.app()
	text := "FROM busybox\nADD " + server.URL + "/f /f\nCMD sh\n"
	digests := map[string]bool{}
	for _, content = range []string{"one", "two", "two"} {
		s := b.explained(app, nil, "Dockerfile", text)["ADD "+server.URL+"/f /f"]
		digests[inputOf(s, platform.FileInput, server.URL+"/f")] = true
	}
	if len(digests) != 2 || digests[""] {
		t.Errorf("two contents have the digests %v", digests)
	}
}

// An instruction has its name whatever is put before it.
func TestPlaces(t *testing.T) {
	b := newBench(t)
	app := b.app()
	first := b.explained(app, nil, "Dockerfile", "FROM busybox\nRUN true\nRUN true\nCMD sh\n")
	then := b.explained(app, nil, "Dockerfile", "FROM busybox\nRUN echo 1\nRUN true\nCMD sh\n")
	if first["RUN true"].Place != "2" || first["RUN true (2)"].Place != "3" || then["RUN true"].Place != "3" {
		t.Errorf("%+v, %+v", first, then)
	}
	for name := range then {
		if strings.Contains(name, "/3]") {
			t.Errorf("the name %q has a number", name)
		}
	}
}
