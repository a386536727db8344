package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// accessLog writes a line for each request in the form of Heroku's router log, buffered.
type accessLog struct {
	mu   sync.Mutex
	out  *bufio.Writer
	stop chan struct{}
	done sync.WaitGroup
}

const (
	logBuffer = 64 << 10 // bytes
	logFlush  = time.Second
)

func newAccessLog(w io.Writer) *accessLog {
	if w == nil {
		return nil
	}
	l := &accessLog{out: bufio.NewWriterSize(w, logBuffer), stop: make(chan struct{})}
	l.done.Go(l.flush)
	return l
}

func (l *accessLog) flush() {
	tick := time.NewTicker(logFlush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			_ = l.out.Flush() // a full disk must not stop requests
			l.mu.Unlock()
		case <-l.stop:
			return
		}
	}
}

// close writes what is buffered. It is called once.
func (l *accessLog) close() error {
	if l == nil {
		return nil
	}
	close(l.stop)
	l.done.Wait()
	return l.out.Flush()
}

func (l *accessLog) write(x *exchange, w *watched, req *http.Request, now time.Time) {
	if l == nil {
		return
	}
	client, _, _ := net.SplitHostPort(req.RemoteAddr) // the kernel's own text
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.out, "%s method=%s path=%q host=%q request_id=%s fwd=%q instance=%s service=%s status=%d bytes=%d\n",
		x.start.UTC().Format(time.RFC3339Nano), req.Method, req.URL.Path, req.Host, x.id, client, x.instance(),
		since(x.start, now), w.status, w.bytes)
}

// watched counts what is answered, for the log.
type watched struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection, to flush and to hijack.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
