package platform_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/store"
)

// A rename whose new instances do not come up has not been: the old name serves, and the new one is free.
func TestRenameThatFailsIsUndone(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	ctx := context.Background()
	w.host.refuse(true)
	if _, err := w.Rename(ctx, w.call, platform.RenameInput{App: "blog", To: "journal"}); err == nil {
		t.Fatal("it went well on a broken host")
	}
	w.host.refuse(false)
	if w.table.backends("blog") != 1 || w.table.backends("journal") != 0 {
		t.Error("the old name does not serve any more")
	}
	if _, err := w.Exists(ctx, w.call, platform.AppInput{App: "journal"}); platform.KindOf(err) != platform.NotFound {
		t.Errorf("the new name: %v", err)
	}
	if _, err := w.Rename(ctx, w.call, platform.RenameInput{App: "blog", To: "journal"}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the old instance ends", func() bool { return w.running(1) == 1 && w.table.backends("blog") == 0 })
	if w.table.backends("journal") != 1 {
		t.Error("the new name does not serve")
	}
}

// What a crash left of a rename or of apps:destroy is finished by the next daemon: the app is here or in the trash, and
// its files follow.
func TestMovesAreFinishedAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.Close()
	ctx := context.Background()
	s, err := store.Open(ctx, w.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.TrashApp(ctx, "blog", platform.Trashed{Kind: platform.TrashedApp, Name: "blog"}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // killed before anything else
	w.host.moves = nil
	w.boot()
	if len(w.host.moves) != 1 || w.host.moves[0] != (platform.Move{From: "blog", To: "blog_trash1"}) {
		t.Errorf("moved %v", w.host.moves)
	}
	w.eventually("instances of an app in the trash end", func() bool { return w.running(1) == 0 })
	r, err := w.RestoreTrash(ctx, w.call, platform.RestoreInput{What: "blog"})
	if err != nil || r.Release != 1 || r.Problem != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if w.table.backends("blog") != 1 {
		t.Error("it does not serve")
	}
}

// What was kept long enough goes, and what was half removed goes at once.
func TestTrashExpires(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s, err := store.Open(ctx, w.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purging(ctx, 1); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	w.boot()
	w.eventually("it is gone for good", func() bool {
		_, err := w.RestoreTrash(ctx, w.call, platform.RestoreInput{What: "1"})
		all, listErr := w.ListTrash(ctx, w.call, struct{}{})
		return platform.KindOf(err) == platform.NotFound && listErr == nil && len(all) == 0
	})
}

// Config vars that were cleared come back, but not over what was set since.
func TestRestoreConfig(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"OLD=1", "NEW=1"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ClearConfig(ctx, w.call, platform.ClearConfigInput{App: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"NEW=2"}}); err != nil {
		t.Fatal(err)
	}
	r, err := w.RestoreTrash(ctx, w.call, platform.RestoreInput{What: "blog"})
	if err != nil || r.Release != 5 || len(r.Lost) != 1 || r.Lost[0] != "the old value of NEW" {
		t.Fatalf("%+v, %v", r, err)
	}
	v, err := w.GetConfig(ctx, w.call, platform.GetConfigInput{App: "blog", Key: "OLD"})
	if err != nil || v.Value != "1" {
		t.Errorf("%+v, %v", v, err)
	}
}

// A push that waits while the app is locked is refused when its turn comes.
func TestLockedAppIsNotDeployed(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.LockApp(ctx, w.call, platform.LockInput{App: "blog", Message: "why"}); err != nil {
		t.Fatal(err)
	}
	_, err := w.push("web: serve")
	if platform.KindOf(err) != platform.Conflict || !strings.Contains(err.Error(), "by alice: why") {
		t.Errorf("a push: %v", err)
	}
	if _, err := w.Rollback(ctx, w.call, platform.RollbackInput{App: "blog"}); platform.KindOf(err) != platform.Conflict {
		t.Errorf("a rollback: %v", err)
	}
	for _, message := range []string{strings.Repeat("x", 300), "two\nlines"} {
		if _, err := w.LockApp(ctx, w.call, platform.LockInput{App: "blog", Message: message}); platform.KindOf(err) != platform.Usage {
			t.Errorf("a bad message: %v", err)
		}
	}
}

// A volume that is not the app's is not mounted by an old release.
func TestMountOfALostVolumeStartsNothing(t *testing.T) {
	w := newWorld(t)
	w.volumes = &shelf{dir: t.TempDir()}
	w.boot()
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.MountVolume(ctx, w.call, platform.MountInput{App: "blog", What: "data:/data", Create: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.UnmountVolume(ctx, w.call, platform.UnmountInput{App: "blog", What: "data"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DestroyVolume(ctx, w.call, platform.DestroyVolumeInput{Name: "data", Confirm: "data"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateVolume(ctx, w.call, platform.CreateVolumeInput{Name: "data"}); err != nil { // another one's
		t.Fatal(err)
	}
	_, err := w.Rollback(ctx, w.call, platform.RollbackInput{App: "blog", Release: "v2"})
	if platform.KindOf(err) != platform.Conflict || !strings.Contains(err.Error(), "not there any more") {
		t.Errorf("%v", err)
	}
	if w.table.backends("blog") != 1 {
		t.Error("what served does not any more")
	}
}

// shelf keeps nothing in its directories.
type shelf struct{ dir string }

func (s *shelf) Make(int64, int64) error                    { return nil }
func (s *shelf) Path(int64) string                          { return filepath.Join(s.dir, "data") }
func (s *shelf) Used(context.Context, int64) (int64, error) { return 0, nil }
func (s *shelf) Remove(int64) error                         { return nil }
func (s *shelf) Bounded() (bool, string)                    { return true, "" }
func (s *shelf) Sharable() (bool, string)                   { return true, "" }

// What lies in the trash is kept whole: nothing of it is pruned, and once emptied it is.
func TestPruningSparesTheTrash(t *testing.T) {
	w, images := newStoredWorld(t)
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // what was used a moment ago stays
	if _, err := w.Prune(ctx, w.call, platform.PruneInput{All: true, Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if usage, err := images.Usage(); err != nil || len(usage) != 2 {
		t.Fatalf("%d layers are left (%v)", len(usage), err)
	}
	r, err := w.RestoreTrash(ctx, w.call, platform.RestoreInput{What: "blog"})
	if err != nil || r.Release != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EmptyTrash(ctx, w.call, platform.EmptyInput{Confirm: "trash"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond)
	if got := w.prune(); got != "2" {
		t.Errorf("%s layers were removed of what was emptied", got)
	}
}
