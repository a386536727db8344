package blobs

import (
	"slices"
	"testing"

	"paas/platform"
)

// A renamed app's repositories have its new name, those below it too; others keep theirs. It can be repeated.
func TestRenameApp(t *testing.T) {
	a := open(t)
	for _, repo := range []platform.Repository{"blog", "blog/worker", "blogger"} {
		image(t, a, repo, "v1", "layer of "+string(repo))
	}
	for range 2 {
		ok(t, a.RenameApp(t.Context(), "blog", "blog_trash1"))
	}
	repos, err := a.Repositories(t.Context())
	ok(t, err)
	if !slices.Equal(repos, []platform.Repository{"blog_trash1", "blog_trash1/worker", "blogger"}) {
		t.Errorf("repositories: %q", repos)
	}
	if _, err := platform.ParseRepository("blog_trash1/worker"); err != nil {
		t.Errorf("in the trash it is no repository: %v", err)
	}
}
