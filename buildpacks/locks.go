package buildpacks

import "sync"

// keyed is a lock for each key: two builds that need the same layer make it once.
type keyed struct {
	mu   sync.Mutex
	held map[string]*waited
}

type waited struct {
	sync.Mutex
	users int
}

func (k *keyed) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*waited{}
	}
	w := k.held[key]
	if w == nil {
		w = &waited{}
		k.held[key] = w
	}
	w.users++
	k.mu.Unlock()
	w.Lock()
	return func() {
		w.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(k.held, key)
		}
	}
}
