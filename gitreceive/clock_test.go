package gitreceive

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	draws := func(c *clock, seconds int, want string) {
		t.Helper()
		if got := string(c.draw(at(seconds))); got != want {
			t.Errorf("after %d s: %q, not %q", seconds, got, want)
		}
	}
	c := &clock{}
	draws(c, 9, "")
	c.told([]byte("       Waiting\n-----> Installing dependencies\n"), at(0))
	draws(c, 1, "")
	draws(c, 3, "       Installing dependencies: 3s\r")
	if got := string(c.end()); got != "\n" {
		t.Errorf("the end of what was drawn: %q", got)
	}
	c.told([]byte("       added 3 packages\n"), at(4))
	draws(c, 5, "")
	if got := c.end(); got != nil {
		t.Errorf("the end of lines: %q", got)
	}
	draws(c, 7, "       Installing dependencies: 7s\r")
	c.told([]byte("       done in 8s\n"), at(8))
	draws(c, 20, "")
	c = nil
	c.told([]byte("-----> x\n"), at(0))
	draws(c, 20, "")
}
