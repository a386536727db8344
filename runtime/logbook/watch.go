package logbook

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

const (
	watchBuffer = 64 << 10
	// watchPause is between looks while there is news: the kernel joins equal events meanwhile.
	watchPause = 10 * time.Millisecond
)

// watcher tells which apps' rings have grown, by inotify(7): one watch for each app that has rings.
type watcher struct {
	dir  string
	file *os.File // without blocking reads: Go's poller waits
	fd   int

	mu    sync.Mutex
	apps  map[int32]platform.AppName // by watch
	dirty map[platform.AppName]bool
	news  chan struct{}
}

func openWatcher(dir string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	w := &watcher{
		dir: dir, fd: fd, file: os.NewFile(uintptr(fd), "inotify"), apps: map[int32]platform.AppName{},
		dirty: map[platform.AppName]bool{}, news: make(chan struct{}, 1),
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", dir, err), w.file.Close())
	}
	w.rescan()
	return w, nil
}

// rescan watches every app's directory, and has all of them looked at.
func (w *watcher) rescan() {
	entries, _ := os.ReadDir(w.dir) // a directory that is not there has no rings
	for _, e := range entries {
		if e.IsDir() {
			w.add(e.Name())
		}
	}
}

func (w *watcher) add(name string) {
	wd, err := unix.InotifyAddWatch(w.fd, filepath.Join(w.dir, name), unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
	if err != nil { // it is gone already
		return
	}
	w.mu.Lock()
	w.apps[int32(wd)] = platform.AppName(name)
	w.mu.Unlock()
	w.mark(platform.AppName(name))
}

func (w *watcher) mark(app platform.AppName) {
	w.mu.Lock()
	w.dirty[app] = true
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// take gives the apps whose rings may have grown.
func (w *watcher) take() []platform.AppName {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []platform.AppName
	for app := range w.dirty {
		list = append(list, app)
	}
	clear(w.dirty)
	return list
}

// run reads events until close.
func (w *watcher) run() {
	buffer := make([]byte, watchBuffer)
	for {
		n, err := w.file.Read(buffer)
		if err != nil {
			return
		}
		w.events(buffer[:n])
		time.Sleep(watchPause)
	}
}

func (w *watcher) events(b []byte) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		size := int(binary.NativeEndian.Uint32(b[12:]))
		name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size], "\x00"))
		b = b[unix.SizeofInotifyEvent+size:]
		w.event(wd, mask, name)
	}
}

func (w *watcher) event(wd int32, mask uint32, name string) {
	w.mu.Lock()
	app, ours := w.apps[wd]
	if mask&unix.IN_IGNORED != 0 {
		delete(w.apps, wd)
	}
	w.mu.Unlock()
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		w.rescan()
	case ours:
		w.mark(app)
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 && !strings.HasPrefix(name, "."):
		w.add(name)
	}
}

func (w *watcher) close() error { return w.file.Close() }
