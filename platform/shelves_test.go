package platform

import (
	"context"
	"testing"
	"time"
)

// stands is a runner that pauses whatever it is told to.
type stands struct{ Runner }

func (stands) Keep(context.Context, InstanceID) error { return nil }

// Who looks at the shelves takes them out of their lanes and reads them without a lock, while instances are set aside:
// what was taken out must not change.
func TestShelvesThatAreLookedAtDoNotChange(t *testing.T) {
	p := &Platform{Rooms: Rooms{Runner: stands{}, Now: time.Now}}
	l := &lane{shelf: shelf{release: 1, list: []Instance{{ID: "a"}, {ID: "b"}}}}
	looked := l.shelf
	for _, i := range looked.list {
		if kept, err := p.setOneAside(t.Context(), l, i); !kept || err != nil {
			t.Fatal(kept, err)
		}
	}
	if !looked.since().IsZero() || l.shelf.since().IsZero() {
		t.Errorf("%+v was taken out, %+v is there", looked.list, l.shelf.list)
	}
}
