package main

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counted are things of which the kernel counts how many a user has, in each user namespace and in those around it
// (ucounts). Each takes one and keeps it.
func counted() []try {
	return []try{
		{"inotify instance", func() error { _, err := unix.InotifyInit1(unix.IN_CLOEXEC); return err }},
		{"pending signal", queueSignal},
		{"timer", func() error {
			var id int32
			return call("", unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, 0, unsafe.Pointer(&id)).do()
		}},
		{"message queue", func() error {
			name := text(fmt.Sprintf("queue-%d", time.Now().UnixNano()))
			const maxMessages, messageSize = 10, 8192 // what mq_open(3) takes by itself
			attr := [8]int64{1: maxMessages, 2: messageSize}
			return call("", unix.SYS_MQ_OPEN, name, unix.O_CREAT|unix.O_RDWR|unix.O_EXCL, 0o600, unsafe.Pointer(&attr)).do()
		}},
		{"locked page", func() error {
			_, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_LOCKED)
			return err
		}},
		{"shared memory that is locked", lockShared},
	}
}

// queueSignal leaves a real-time signal for this thread, which takes none.
func queueSignal() error {
	const number, byQueue = 63, -1 // SI_QUEUE
	blocked := unix.Sigset_t{Val: [16]uint64{1 << (number - 1)}}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, nil); err != nil {
		return err
	}
	info := [32]int32{0: number, 2: byQueue} // siginfo_t
	return call("", unix.SYS_RT_TGSIGQUEUEINFO, unix.Getpid(), unix.Gettid(), number, unsafe.Pointer(&info)).do()
}

func lockShared() error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 64<<10, unix.IPC_CREAT|0o600)
	if err != nil {
		return err
	}
	const lock = 11 // SHM_LOCK
	_, err = unix.SysvShmCtl(id, lock, nil)
	return err
}

// takeCounted shows whether one of each can still be had; that is no harm.
func takeCounted() map[string]int64 {
	had := map[string]int64{}
	for _, t := range counted() {
		if t.do() == nil {
			had[t.what]++
		}
	}
	return had
}

// hoardCounted keeps all it gets of each, of what is plentiful some.
func hoardCounted([]string) int {
	const enough = 1000
	runtime.LockOSThread() // what is pending is this thread's
	for _, t := range counted() {
		n := 0
		for n < enough && t.do() == nil {
			n++
		}
		fmt.Println(t.what, n)
	}
	fmt.Println("held")
	time.Sleep(time.Hour)
	return 0
}
