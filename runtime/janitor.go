package runtime

import (
	"log/slog"
	"sync"
)

// janitor removes in the background what ended containers leave: the kernel makes one wait for tens of
// milliseconds over control groups and interfaces, which nobody should wait for. What a crash interrupts
// is swept by the next Open.
type janitor struct {
	log   *slog.Logger
	tasks sync.WaitGroup
	room  chan struct{}
}

const janitorTasks = 4 // at a time

func newJanitor(log *slog.Logger) *janitor {
	return &janitor{log: log, room: make(chan struct{}, janitorTasks)}
}

func (j *janitor) do(task func() error) {
	j.tasks.Go(func() {
		j.room <- struct{}{}
		defer func() { <-j.room }()
		if err := task(); err != nil {
			j.log.Error("clean up after a container", "error", err)
		}
	})
}

// close waits until all is clean.
func (j *janitor) close() { j.tasks.Wait() }
