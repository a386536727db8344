package runtime

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// elbow tells whether builds have to leave apps room. Weight and idleness give way where the kernel may switch:
// on one without preemption a build in a long system call has its processor for milliseconds, and an app's request
// waits. So while apps are at work every step keeps off the first processor, and while they are not, builds have
// them all.
type elbow struct {
	mu     sync.Mutex
	used   time.Duration // by all apps, when looked at
	looked time.Time
	worked time.Time // apps were last seen to
}

const (
	atWork    = 0.02            // of a processor
	elbowStay = 5 * time.Second // after apps were last seen at work
)

// wanted looks at what apps use, at most once for all steps that ask at about the same time.
func (e *elbow) wanted(now time.Time, used func() time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if took := now.Sub(e.looked); took >= stepLook*9/10 {
		before := e.used
		e.used = used()
		if took < elbowStay && float64(e.used-before) >= atWork*float64(took) {
			e.worked = now
		}
		e.looked = now
	}
	return now.Sub(e.worked) < elbowStay
}

// appsTime is what the living processes of apps have used.
func (r *Runtime) appsTime() (sum time.Duration) {
	if r.groups.v2 {
		return cgroup{r.groups, r.groups.path(appsGroup)}.processorTime()
	}
	r.mu.Lock()
	var groups []cgroup
	for _, c := range r.containers {
		if c.record.Group == appsGroup && c.group != nil && c.record.Phase == running {
			groups = append(groups, *c.group)
		}
	}
	r.mu.Unlock()
	for _, g := range groups {
		sum += g.processTimes()
	}
	return sum
}

// giveRoom keeps a step off the first processor, or lets it have all again. On a host with one there is nothing
// to give, and who was told which processors to use keeps to them.
func (w *stepWatch) giveRoom(c *container) {
	room := w.runtime.elbow.wanted(time.Now(), w.runtime.appsTime)
	rest := allButOne()
	if room == w.gives || rest == "" || w.spec.Limits.CPUSet != "" {
		return
	}
	w.gives = room
	s := setting{controller: "cpuset", file: "cpuset.cpus", value: rest, optional: true}
	if !room {
		s.usual = true // all
	}
	if err := c.group.write(s); err != nil {
		w.runtime.log.Warn("a build keeps to no processors", "error", err)
	}
}

// allButOne lists the processors but for the first, as cpuset.cpus takes them; "" if there is only one.
func allButOne() string {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return ""
	}
	var list []string
	for n, left := 0, set.Count(); left > 0; n++ {
		if set.IsSet(n) {
			left--
			list = append(list, strconv.Itoa(n))
		}
	}
	return strings.Join(list[min(1, len(list)):], ",")
}
