package buildpacks

import (
	"slices"
	"strings"
	"sync"
	"time"

	"paas/platform"
	"paas/runtime/image"
)

// While builds run, the layers that they found or made must not be collected, however long they take.
// One lease serves all of them; it ends with the last.

// product is a layer to find or to make.
type product struct {
	key  string
	note string // what makes it, for people
}

// purpose is what a layer of the whole host is for, by what makes it.
func (p product) purpose() string {
	for _, start := range []string{"base image", "stack", "Debian packages: " + buildPackages[0] + " " + buildPackages[1]} {
		if strings.HasPrefix(p.note, start) {
			return platform.StackLayer
		}
	}
	return platform.ToolchainLayer
}

type holding struct {
	mu     sync.Mutex
	lease  *image.Lease
	builds int
	made   map[string]time.Time // layers that were not there before, as long as builds run
}

// note remembers that a layer was made.
func (h *holding) note(layer string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.made != nil {
		h.made[layer] = at
	}
}

// madeSince tells whether one of the layers was made since a time at which a build ran.
func (h *holding) madeSince(at time.Time, layers []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(layers, func(l string) bool {
		made, known := h.made[l]
		return known && !made.Before(at)
	})
}

// begin says that a build works, until done is called.
func (h *holding) begin(s *image.Store) (done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.builds == 0 {
		if h.lease, err = s.Lease(); err != nil {
			return nil, err
		}
		h.made = map[string]time.Time{}
	}
	h.builds++
	return h.end, nil
}

func (h *holding) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.builds--
	if h.builds == 0 {
		_ = h.lease.Close() // its file goes with the next collection then
		h.lease, h.made = nil, nil
	}
}

// hold keeps layers, there already or not, until all builds have ended. Without a build it does nothing.
func (h *holding) hold(layers ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lease == nil {
		return nil // its caller holds on to it, or has image.Grace
	}
	return h.lease.Hold(layers...)
}

// begin marks the app's caches and all layers that the build touches as in use.
func (e *Engine) begin(app int64) (done func(), err error) {
	left := e.caches.use(app, e.now())
	end, err := e.holding.begin(e.Images)
	if err != nil {
		left()
		return nil, err
	}
	return func() { end(); left() }, nil
}
