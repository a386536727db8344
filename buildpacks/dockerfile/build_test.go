package dockerfile_test

import (
	"strings"
	"testing"
)

// A Dockerfile becomes an image of layers in the content store; what did not change is not done again.
func TestBuild(t *testing.T) {
	b := newBench(t)
	app := b.app()
	tree := files("Dockerfile", "FROM busybox AS one\nRUN echo made > /made\nFROM busybox\nCOPY --from=one /made /here\nCOPY a /a\nRUN cat /here /a > /both\nCMD [\"sh\"]\n", "a", "1\n")
	img, told := b.mustBuild(app, tree)
	t.Log(told)
	if got := b.run(app, img, "cat /both"); got != "made\n1" {
		t.Errorf("/both has %q", got)
	}
	again, told := b.mustBuild(app, tree)
	if again.ID != img.ID || strings.Count(told, "(cached)") != 4 {
		t.Errorf("the second build made %s of %v:\n%s", again.ID, again.Layers, told)
	}
}
