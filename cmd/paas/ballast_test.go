package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The reserve's file goes when the disk is full and comes back with the room.
func TestBallast(t *testing.T) {
	b := newBallast(t.TempDir(), 64<<20)
	for i, c := range []struct {
		free  int64
		full  bool
		whole bool
	}{
		{50 << 20, false, false}, // the reserve is touched already: nothing is taken from it
		{80 << 20, false, true},
		{10 << 20, false, true},
		{3 << 20, true, false},
		{12 << 20, false, false}, // what it freed is not room for itself
		{80 << 20, false, true},
	} {
		full, err := b.step(c.free, 64<<20)
		if err != nil || full != c.full || b.whole() != c.whole {
			t.Errorf("%d: full %v, whole %v, %v", i, full, b.whole(), err)
		}
	}
	if err := b.drop(); err != nil || b.whole() {
		t.Error(err)
	}
	if err := newBallast(filepath.Join(t.TempDir(), "gone"), 64<<20).drop(); err != nil {
		t.Error(err)
	}
	if small := newBallast(t.TempDir(), 0); small.fill() != nil || !small.whole() {
		t.Error("no reserve, no file")
	}
	if big := newBallast(t.TempDir(), 1<<40); big.size != ballastMost || big.path == "" {
		t.Errorf("%+v", big)
	}
	_ = os.Remove(b.path)
}
