package hostile_test

import (
	"slices"
	"testing"

	"paas/runtime/runtimetest/program"
)

const initProgram = program.Init

// Attacks that must achieve nothing at all, with the words they need.
func TestWalls(t *testing.T) {
	a := newArena(t)
	a.Layer(t, "rights", rightsLayer)
	a.Layer(t, "nodes", nodesLayer)
	for name, c := range map[string]struct{ words []string }{
		"doors":           {[]string{a.secret}},
		"descriptors":     {},
		"proc-write":      {},
		"sys-write":       {},
		"proc-write-self": {},
		"proc-read":       {},
		"devices":         {},
		"mounts":          {},
		"cgroups":         {},
		"namespaces":      {},
		"chroot":          {[]string{a.secret}},
		"handles":         {[]string{a.secret}},
		"kernel":          {},
		"keys":            {},
		"entries":         {},
		"sockets":         {},
		"netlink":         {},
		"init":            {},
		"rights":          {},
		"identity":        {},
		"limits":          {},
		"quota":           {},
	} {
		asBoth(t, name, func(t *testing.T, root bool) {
			a := a.in(t)
			r := a.attack(attacker(root, "rights", "nodes"), append([]string{name}, c.words...)...)
			slices.Sort(r.Achieved)
			for _, what := range r.Achieved {
				t.Errorf("it could %s", what)
			}
			if r.Tried == 0 {
				t.Error("it tried nothing")
			}
			if _, err := a.probe(); err != nil {
				t.Errorf("the neighbour does not answer any more: %v", err)
			}
		})
	}
}

// in gives the arena to a subtest.
func (a *arena) in(t *testing.T) *arena {
	inner := *a
	inner.t = t
	return &inner
}
