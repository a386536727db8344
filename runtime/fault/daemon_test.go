package fault_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest"
)

// daemonEnv names the host's directory to a child that shall be the daemon.
const daemonEnv = "PAAS_FAULT_DAEMON"

// diary is what a daemon did, line by line, written before the next step. A line that was written with
// one system call outlives the writer:
//
//	open                     the runtime is open
//	start ID KIND            Start returned; KIND is "stays" or the exit code that it will have
//	stop ID                  Stop is about to be called
//	trouble TEXT             something failed that must not
const diaryFile = "/diary"

type doomed struct {
	*runtimetest.Host
	diary *os.File

	mu    sync.Mutex
	known []platform.InstanceID
}

// daemon starts, asks, stops and runs containers without end, on two lanes.
func daemon(dir string) int {
	diary, err := os.OpenFile(dir+diaryFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	d := &doomed{diary: diary}
	if d.Host, err = runtimetest.Open(dir); err != nil {
		d.note("trouble open: %v", err)
		return 1
	}
	d.note("open")
	fmt.Println("open")
	var lanes sync.WaitGroup
	lanes.Go(d.hear)
	for lane := range 2 {
		lanes.Go(func() { d.work(lane) })
	}
	lanes.Wait()
	return 1
}

func (d *doomed) note(format string, args ...any) {
	_, _ = fmt.Fprintf(d.diary, format+"\n", args...)
}

// hear takes what the runtime tells.
func (d *doomed) hear() {
	for i := range d.Exits() {
		d.note("heard %s", i.ID)
	}
}

func (d *doomed) work(lane int) {
	for n := 0; ; n++ {
		switch pick := rand.IntN(10); {
		case pick < 4:
			d.start(lane, n, "exec sleep 1000", "stays")
		case pick < 6:
			code := 1 + rand.IntN(100)
			d.start(lane, n, fmt.Sprintf("echo hello; sleep 0.0%d; echo bye; exit %d", rand.IntN(10), code), strconv.Itoa(code))
		case pick < 7:
			d.job(lane)
		case pick < 8:
			d.ask()
		default:
			d.stop()
		}
	}
}

func (d *doomed) start(lane, n int, script, kind string) {
	s := runtimetest.Spec(lane, runtimetest.Shell(script))
	s.Number = n
	i, err := d.Start(context.Background(), s)
	if err != nil {
		d.note("trouble start: %v", err)
		return
	}
	d.note("start %s %s", i.ID, kind)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = append(d.known, i.ID)
}

func (d *doomed) job(lane int) {
	var out, errs bytes.Buffer
	job := platform.JobSpec{InstanceSpec: runtimetest.Spec(lane, runtimetest.Shell("echo job; sleep 0.02; exit 7"))}
	if exit, err := d.Run(context.Background(), job, nil, &out, &errs); err != nil || (exit.Code != 7 && exit.Code != 137) {
		d.note("trouble run: %+v, %v", exit, err)
	}
}

// one takes an instance out of the known ones, or gives "".
func (d *doomed) one(keep bool) platform.InstanceID {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) == 0 {
		return ""
	}
	n := rand.IntN(len(d.known))
	id := d.known[n]
	if !keep {
		d.known = append(d.known[:n], d.known[n+1:]...)
	}
	return id
}

// ask runs a command in an instance, which may have ended.
func (d *doomed) ask() {
	if id := d.one(true); id != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var out bytes.Buffer
		_, _ = d.Exec(ctx, id, []string{"/bin/true"}, &out)
	}
}

func (d *doomed) stop() {
	id := d.one(false)
	if id == "" {
		return
	}
	d.note("stop %s", id)
	if err := d.Stop(context.Background(), id, time.Duration(rand.IntN(2))*50*time.Millisecond); err != nil {
		d.note("trouble stop: %v", err)
	}
}
