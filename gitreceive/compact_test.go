package gitreceive

import (
	"fmt"
	"testing"
	"time"
)

func TestManyPacksBecomeOne(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.repos.maxPacks = 3
	w := d.work("hello")
	for i := range 9 {
		w.commit(map[string]string{"a": fmt.Sprint(i), fmt.Sprint("b", i): "x"})
		w.git("push", "--force", "paas", "main")
		if i == 2 { // what is pushed over is dropped
			w.git("reset", "-q", "--hard", "HEAD~1")
		}
	}
	app := d.platform.app("hello")
	within(t, 10*time.Second, "few packs", func() bool {
		names, err := (&repo{dir: d.repos.path(app)}).packs()
		return err == nil && len(names) <= 3
	})
	w.sound("hello")
	w.git("push", "--force", "paas", "main", "main:refs/tags/x")
	d.clone("hello").git("fsck", "--full")
	w.sound("hello")
}
