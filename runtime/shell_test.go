package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
	"paas/runtime/runtimetest/sandbox"
	"paas/runtime/script"
)

// Process 1 keeps neither of the mounts that were made ahead, whether the container has used both or, without a
// network, only one.
func TestNoMountMadeAheadStaysOpen(t *testing.T) {
	b := newBench(t)
	b.start("exec sleep 1000")
	step, discard := b.step("exec sleep 1000")
	defer discard()
	step.Offline = true
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := b.Step(ctx, step, io.Discard); ended <- err }()
	sandbox.Eventually(t, "both run", func() bool { return len(b.begun()) == 2 })
	for _, c := range b.begun() {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.init.pid))
		check(t, err)
		for _, f := range files {
			if n, _ := strconv.Atoi(f.Name()); n >= procAhead {
				t.Errorf("process 1 of %s has descriptor %d open", c.record.ID, n)
			}
		}
	}
	cancel()
	<-ended // however it ended
}

// begun are the containers whose command was seen to start.
func (b *bench) begun() (list []*container) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.containers {
		if c.record.Phase == running {
			list = append(list, c)
		}
	}
	return list
}

// A shell whose process 1 could not mount what is mounted ahead is an error, not a shell that has ended: whoever
// asked the pool for one would have been given the next that had ended, for ever.
func TestShellThatCannotMountIsNone(t *testing.T) {
	b := newBench(t)
	s := &shell{name: "broken"}
	group, err := b.groups.create(appsGroup, s.name)
	check(t, err)
	s.group = group
	t.Cleanup(func() { check(t, b.dropShell(s)) })
	check(t, b.cloneShell(s))
	check(t, s.await())
	broken := script.New()
	broken.NewMount("no such file system", 0)
	broken.TellStarted(script.N(1))
	check(t, s.conn.Run(broken))
	if err := s.await(); err == nil {
		t.Error("it seemed to be ready")
	}
}

// Each container's user namespace was made by another user, and by none whom the host knows.
func TestUserNamespacesHaveMakersOfTheirOwn(t *testing.T) {
	b := newBench(t)
	seen := map[uint32]bool{}
	for range 2 {
		i := b.start("exec sleep 1000")
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", b.containers[i.ID].init.pid))
		check(t, err)
		maker, err := ownerOf(ns)
		check(t, ns.Close())
		check(t, err)
		if maker < firstMaker || maker > firstMaker+makers {
			t.Errorf("user %d has made it", maker)
		}
		seen[maker] = true
	}
	if len(seen) != 2 {
		t.Errorf("both were made by %v", seen)
	}
}

// ownerOf asks for a user namespace's owner (ioctl_ns(2), NS_GET_OWNER_UID).
func ownerOf(ns *os.File) (uint32, error) {
	const ask = 0xb704
	return unix.IoctlGetUint32(int(ns.Fd()), ask)
}
