package buildpacks

import (
	"slices"
	"testing"
)

func TestImagesThatADockerfileNames(t *testing.T) {
	text := `ARG BASE=alpine ARG2="x"
ARG TAG
# FROM commented
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
from ${BASE}:${TAG:-3.20} as Small
FROM $UNKNOWN
FROM scratch
COPY --link --from=build /a /a
COPY --from=0 /b /b
COPY --from=nginx:1.27 --chmod=644 /c /c
COPY --from=small /d /d
FROM build
`
	want := []string{"golang:1.26", "alpine:3.20", "nginx:1.27"}
	if got := froms([]byte(text), nil); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := froms([]byte("ARG V=1\nFROM node:$V"), map[string]string{"V": "22"}); !slices.Equal(got, []string{"node:22"}) {
		t.Errorf("%q", got)
	}
}
