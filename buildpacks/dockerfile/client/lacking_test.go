package client

import (
	"strings"
	"testing"
)

func TestWhatIsMissingIsSaidForPeople(t *testing.T) {
	for _, c := range []struct{ instruction, text, says, hint string }{
		{"COPY a.txt /x", `failed to calculate checksum of ref paas::9uoebnpdv77ijkgpen8jjfgaa: "/a.txt": not found`, "a.txt is not in the commit", "git add -f a.txt"},
		{"COPY --from=build /out /x", `failed to calculate checksum of ref paas::9u: "/out": not found`, "/out is not in the stage", "that stage"},
		{"RUN --mount=type=secret,id=T,required=true x", "secret T: not found", "no config var T", "config:set blog T=VALUE"},
		{"RUN --mount=type=ssh,required=true x", "unset ssh forward key default", "SSH_PRIVATE_KEY", "config:set blog SSH_PRIVATE_KEY="},
		{"RUN x", "something else", "something else", "lines above"},
	} {
		says, hint := lacking("blog", c.instruction, c.text)
		if !strings.Contains(says, c.says) || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %q, %q", c.text, says, hint)
		}
	}
}
