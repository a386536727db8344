package client

import (
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// teller tells instructions that are carried out at the same time one after the other: one of them is told
// live, what the others say is kept until it is their turn.
type teller struct {
	story  *platform.Story
	record func(name string, done wire.Done)

	mu      sync.Mutex
	current *telling
	waiting []*telling // in the order of their beginnings
	all     map[string]*telling
	warned  map[string]bool
	timer   *time.Timer
}

// telling is one instruction.
type telling struct {
	name   string
	kept   []byte // what was said before its turn
	lost   bool   // some of it was not kept
	headed bool
	done   *wire.Done
	out    io.WriteCloser
}

const (
	keptMost  = 256 << 10              // bytes of an instruction's output that are kept
	headAfter = 300 * time.Millisecond // a beginning is told when it is not known by then that it was cached
)

func newTeller(story *platform.Story, record func(string, wire.Done)) *teller {
	return &teller{story: story, record: record, all: map[string]*telling{}, warned: map[string]bool{}}
}

func (t *teller) tell(e wire.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Begun != nil:
		t.begin(e.Vertex, e.Begun.Name)
	case e.Warn != "":
		if !t.warned[e.Warn] {
			t.warned[e.Warn] = true
			t.story.Line("Advice: %s", e.Warn)
		}
	case t.all[e.Vertex] == nil:
	case e.Done != nil:
		t.all[e.Vertex].done = e.Done
		t.record(t.all[e.Vertex].name, *e.Done)
		t.advance()
	default:
		t.say(t.all[e.Vertex], e.Log)
	}
}

func (t *teller) begin(id, name string) {
	now := &telling{name: name}
	t.all[id] = now
	t.waiting = append(t.waiting, now)
	t.advance()
}

func (t *teller) say(i *telling, text []byte) {
	if i == t.current {
		t.head(i, "")
		_, _ = i.out.Write(text) // a story takes everything
		return
	}
	if room := keptMost - len(i.kept); room < len(text) {
		text, i.lost = text[:max(room, 0)], true
	}
	i.kept = append(i.kept, text...)
}

// advance ends what is done and gives the turn to the next.
func (t *teller) advance() {
	for {
		if t.current != nil && t.current.done == nil {
			return
		}
		if t.current != nil {
			t.finish(t.current)
			t.current = nil
		}
		if len(t.waiting) == 0 {
			return
		}
		t.take(t.next())
	}
}

// next prefers what is done: it costs no time to tell.
func (t *teller) next() int {
	for i, w := range t.waiting {
		if w.done != nil {
			return i
		}
	}
	return 0
}

func (t *teller) take(i int) {
	t.current = t.waiting[i]
	t.waiting = append(t.waiting[:i:i], t.waiting[i+1:]...)
	if len(t.current.kept) > 0 {
		t.head(t.current, "")
		_, _ = t.current.out.Write(t.current.kept)
		if t.current.lost {
			t.story.Line("(some of the output was not kept)")
		}
	}
	t.headLater(t.current)
}

func (t *teller) headLater(i *telling) {
	if i.done != nil || i.headed {
		return
	}
	t.timer = time.AfterFunc(headAfter, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.current == i && i.done == nil {
			t.head(i, "")
		}
	})
}

func (t *teller) head(i *telling, suffix string) {
	if i.headed {
		return
	}
	i.headed = true
	t.story.Title("%s%s", shorten(i.name), suffix)
	i.out = t.story.Writer()
}

func (t *teller) finish(i *telling) {
	if t.timer != nil {
		t.timer.Stop()
	}
	if i.done.Cached {
		t.head(i, " (cached)")
	}
	t.head(i, "")
	_ = i.out.Close()
	if !i.done.Cached && !i.done.Failed {
		t.story.Line("done in %s", platform.Seconds(i.done.Took))
	}
}

// close tells what is still to be told.
func (t *teller) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.current != nil && t.current.out != nil {
		_ = t.current.out.Close()
	}
	for i := 0; i < len(t.waiting); i++ { // why the build failed comes last
		if d := t.waiting[i].done; d != nil && d.Failed {
			t.take(i)
			t.finish(t.current)
			return
		}
	}
}

// pinned is what BuildKit adds to an image's name: the digest that it means now.
var pinned = regexp.MustCompile(`(:latest)?@sha256:[0-9a-f]{64}`)

const longestTitle = 120 // characters

// shorten makes one line of an instruction.
func shorten(name string) string {
	name = strings.Join(strings.Fields(pinned.ReplaceAllString(name, "")), " ")
	name = strings.Replace(name, "FROM docker.io/library/", "FROM ", 1)
	name = strings.Replace(name, "FROM docker.io/", "FROM ", 1)
	if r := []rune(name); len(r) > longestTitle {
		return string(r[:longestTitle]) + "…"
	}
	return name
}
