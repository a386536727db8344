package image

import (
	"context"
	"sync"
)

// flights let one at a time make a thing of a name. The zero value is ready.
type flights struct {
	mu   sync.Mutex
	done map[string]chan struct{} // closed when its maker is done
}

// enter waits until nobody makes name. The caller must call leave.
func (f *flights) enter(ctx context.Context, name string) (leave func(), err error) {
	for {
		mine := make(chan struct{})
		other := f.claim(name, mine)
		if other == nil {
			return func() { f.leave(name, mine) }, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *flights) claim(name string, mine chan struct{}) (other chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, taken := f.done[name]; taken {
		return other
	}
	if f.done == nil {
		f.done = map[string]chan struct{}{}
	}
	f.done[name] = mine
	return nil
}

func (f *flights) leave(name string, mine chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.done, name)
	close(mine)
}
