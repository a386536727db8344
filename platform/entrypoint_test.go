package platform

import (
	"slices"
	"testing"
)

func TestProcfileLinesAreArgumentsOfAnEntrypoint(t *testing.T) {
	shell := []string{"/bin/sh", "-c"}
	for _, c := range []struct {
		image Image
		want  []string
	}{
		{Image{Shell: shell}, []string{"/bin/sh", "-c", "serve --port $PORT"}},
		{Image{Shell: shell, Entrypoint: []string{"/enter", "it's"}}, []string{"/bin/sh", "-c", `'/enter' 'it'\''s' serve --port $PORT`}},
		{Image{Entrypoint: []string{"/enter"}}, []string{"/enter", "serve", "--port", "$PORT"}},
		{Image{Shell: shell, Entrypoint: []string{"/enter"}, Commands: map[ProcessType][]string{Web: {"/enter", "x"}}}, []string{"/enter", "x"}},
	} {
		c.image.Processes = map[ProcessType]string{Web: "serve --port $PORT"}
		if got := c.image.argv(Web); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
