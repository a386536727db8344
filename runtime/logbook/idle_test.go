package logbook

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"paas/platform"
)

// Hundreds of apps that write nothing cost no processor time, and of memory what their names and places take.
func TestIdleAppsCostNothing(t *testing.T) {
	const apps = 500
	d := newDesk(t)
	before := heap()
	for n := range apps {
		d.idle(platform.AppName(fmt.Sprint("app-", n)))
	}
	d.close()
	d.open()
	eventually(t, "all are collected", func() bool {
		collected := 0
		for _, s := range d.all() {
			s.mu.Lock()
			if s.next > 1 {
				collected++
			}
			s.mu.Unlock()
		}
		return collected == apps
	})
	time.Sleep(300 * time.Millisecond)
	used := heap() - before
	began := processorTime(t)
	time.Sleep(time.Second)
	took := processorTime(t) - began
	t.Logf("%d bytes an app, %v of a second", used/apps, took)
	if used/apps > 8<<10 || took > 50*time.Millisecond {
		t.Errorf("an idle app takes %d bytes; all take %v a second", used/apps, took)
	}
}

// idle makes an app's ring with one line, and closes it, for files are not what is counted here.
func (d *desk) idle(app platform.AppName) {
	d.t.Helper()
	w := d.ring(app, web(1), 1<<20)
	w.Append(record(time.Now(), "hello"))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	check(t, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
