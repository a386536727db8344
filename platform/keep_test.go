package platform_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/image"
)

// stored is the real content store as the platform's Images, without build caches.
type stored struct {
	*image.Store
	full     atomic.Bool  // the disk has reached its reserve
	expected atomic.Int64 // what a build writes
}

func (s *stored) Room() error {
	if s.full.Load() {
		return platform.Space{Free: 1 << 30, Reserve: 2 << 30}.Check(0)
	}
	return s.Store.Room()
}

func (s *stored) Pieces(context.Context, []platform.App) (list []platform.Piece, err error) {
	all, err := s.Usage()
	held, heldErr := s.Held()
	for _, u := range all {
		list = append(list, platform.Piece{
			Kind: platform.LayerPiece, Name: u.Layer, Bytes: u.Bytes, Held: held[u.Layer], Used: u.Used, Took: u.Took, Uses: u.Uses,
		})
	}
	return list, errors.Join(err, heldErr)
}

func (s *stored) Remove(_ context.Context, pieces []platform.Piece, age time.Duration) (gone []platform.Piece, err error) {
	for _, p := range pieces {
		removed, removeErr := s.Store.Remove([]string{p.Name}, age)
		if err = errors.Join(err, removeErr); len(removed) > 0 {
			gone = append(gone, p)
		}
	}
	return gone, err
}

func (s *stored) Tidy(context.Context, []platform.App, map[string]bool) error { return nil }
func (s *stored) Expected(platform.App) int64                                 { return s.expected.Load() }
func (s *stored) Estimate(context.Context, platform.BuildRequest) (int64, string, error) {
	return 0, "", nil
}
func (s *stored) Disk(context.Context, []platform.App) ([]platform.DiskUse, error) { return nil, nil }
func (s *stored) Report() []string                                                 { return nil }

// layered is procfiles with a real layer for each image.
type layered struct {
	store *stored
	slow  bool
}

func (l layered) Build(ctx context.Context, req platform.BuildRequest) (platform.Image, error) {
	if l.slow {
		<-ctx.Done()
		return platform.Image{}, ctx.Err()
	}
	img, err := procfiles{}.Build(ctx, req)
	if err != nil {
		return img, err
	}
	img.Layers = []string{"common", "l" + img.ID[len("sha256:"):][:20]}
	for _, layer := range img.Layers {
		d, err := l.store.Draft()
		if err == nil {
			err = errors.Join(os.WriteFile(filepath.Join(d.Dir, "f"), []byte(layer), 0o600), d.Commit(layer))
		}
		if err != nil {
			return img, err
		}
	}
	return img, nil
}

func newStoredWorld(t *testing.T) (*world, *stored) { return newStoredWorldAt(t, nil) }

func newStoredWorldAt(t *testing.T, clock func() time.Time) (*world, *stored) {
	t.Helper()
	w := newWorldAt(t, clock)
	s, err := image.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	images := &stored{Store: s}
	w.Images, w.Builder, w.Settings.KeepReleases = images, layered{store: images}, 2
	return w, images
}

func (w *world) prune() string {
	w.t.Helper()
	r, err := w.Prune(context.Background(), w.call, platform.PruneInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(len(r.Removed))
}

// The newest releases and the current one can be rolled back to, older ones cannot and say so.
func TestOldImagesGoAndRollbackSaysSo(t *testing.T) {
	w, images := newStoredWorld(t)
	for _, text := range []string{"web: serve", "web: serve 2", "web: serve 3", "web: serve 4"} {
		w.mustPush(text)
	}
	w.eventually("only v4 runs", func() bool { return w.running(1)+w.running(2)+w.running(3) == 0 })
	time.Sleep(2100 * time.Millisecond) // what was used a moment ago stays
	if got := w.prune(); got != "2" {
		t.Errorf("%s layers were removed", got)
	}
	history, err := w.History(context.Background(), w.call, platform.AppInput{App: "blog"})
	if err != nil {
		t.Fatal(err)
	}
	kept := ""
	for _, r := range history {
		kept += fmt.Sprintf("v%d %v ", r.Release, r.ImageKept)
	}
	if kept != "v4 true v3 true v2 false v1 false " {
		t.Error(kept)
	}
	_, err = w.Rollback(context.Background(), w.call, platform.RollbackInput{App: "blog", Release: "v2"})
	if platform.KindOf(err) != platform.Conflict || !strings.Contains(err.Error(), "its image is no longer kept") {
		t.Error(err)
	}
	back, err := w.Rollback(context.Background(), w.call, platform.RollbackInput{App: "blog", Release: "v3"})
	if err != nil || back.Release != 5 {
		t.Errorf("%+v %v", back, err)
	}
	if _, err := w.Run(context.Background(), w.call, platform.RunInput{App: "blog", Command: []string{"echo", "x"}}); err != nil {
		t.Error(err)
	}
	if usage, err := images.Usage(); err != nil || len(usage) != 3 {
		t.Errorf("%d layers are left (%v)", len(usage), err)
	}
}

// An instance of an old release that still runs keeps its layers.
func TestWhatRunsKeepsItsLayers(t *testing.T) {
	w, images := newStoredWorld(t)
	w.mustPush("web: serve")
	old, err := w.host.start(platform.InstanceSpec{App: "blog", Release: 1, Type: "worker", Number: 1, Command: []string{"serve"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"web: serve 2", "web: serve 3", "web: serve 4"} {
		w.mustPush(text)
	}
	if _, err := w.host.start(platform.InstanceSpec{App: "blog", Release: 1, Type: "worker", Number: 2, Command: []string{"serve"}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond)
	_ = w.prune()
	first, err := w.Store.Release(context.Background(), "blog", 1)
	if err != nil || !images.Kept(first.Image.Layers) {
		t.Errorf("the layers of %s, which runs, are gone (%v)", old.ID, err)
	}
	if _, err := w.host.start(platform.InstanceSpec{App: "ghost", Release: 1, Type: "web", Number: 1, Command: []string{"serve"}}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Prune(context.Background(), w.call, platform.PruneInput{})
	if platform.KindOf(err) != platform.Conflict {
		t.Errorf("with a stranger running: %v", err)
	}
}

// A full disk refuses a push, and stops a build that fills it; what runs is not touched.
func TestTheReserveIsKept(t *testing.T) {
	w, images := newStoredWorld(t)
	w.mustPush("web: serve")
	images.full.Store(true)
	_, err := w.push("web: serve 2")
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "a reserve of 2 GiB is kept free") {
		t.Errorf("a push to a full disk: %v", err)
	}
	images.full.Store(false)
	w.Builder = layered{store: images, slow: true}
	time.AfterFunc(100*time.Millisecond, func() { images.full.Store(true) })
	_, err = w.push("web: serve 3")
	var e *platform.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "a reserve of 2 GiB is kept free") || !strings.Contains(e.Hint, "ssh paas disk") {
		t.Errorf("a build that fills the disk: %v", err)
	}
	if w.running(1) != 1 || w.table.backends("blog") != 1 {
		t.Error("the running release noticed")
	}
}

func TestImageViews(t *testing.T) {
	w, _ := newStoredWorld(t)
	w.mustPush("web: serve")
	w.mustPush("web: serve 2")
	list, err := w.ListImages(context.Background(), w.call, platform.ImagesInput{App: "blog"})
	if err != nil || len(list.Images) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	for _, v := range list.Images {
		if !v.Kept || v.Layers != 2 || v.Shared == 0 || v.Unique == 0 || v.Bytes != v.Shared+v.Unique {
			t.Errorf("%+v", v)
		}
	}
	if v := list.Images[0]; !v.Current || fmt.Sprint(v.Releases) != "[blog v2]" {
		t.Errorf("the newest: %+v", v)
	}
	tree, err := w.TreeOfImage(context.Background(), w.call, platform.ReleaseInput{App: "blog"})
	if err != nil || tree.Release != 2 || tree.Layers[0].Images != 2 || tree.Layers[1].Images != 1 {
		t.Errorf("%+v %v", tree, err)
	}
	found, err := w.ExploreImage(context.Background(), w.call, platform.ExploreInput{App: "blog", Release: "/f"})
	if err != nil || len(found.Paths) != 2 || found.Wasted != int64(len("common")) || found.Release != 2 {
		t.Errorf("%+v %v", found, err)
	}
	du, err := w.Disk(context.Background(), w.call, platform.DiskInput{})
	if err != nil || du.Total == 0 || du.Uses[0].App != "blog" {
		t.Errorf("%+v %v", du, err)
	}
}

func TestBytesAreReadable(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 5 << 30: "5 GiB", 1 << 60: "1 EiB", -2048: "-2 KiB",
	} {
		if got := platform.Bytes(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}
