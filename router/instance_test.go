package router_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
)

// playInstance is an app in a process of its own, which can be killed. It says its address on standard output.
func playInstance() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, req *http.Request) { // a body that tells whose answer it is
		time.Sleep(time.Duration(len(req.URL.Path)%4) * time.Millisecond)
		_, _ = io.WriteString(w, strings.Repeat(req.URL.Path+"\n", 50))
	})
	mux.HandleFunc("/sum", func(w http.ResponseWriter, req *http.Request) {
		h := sha256.New()
		if _, err := io.Copy(h, req.Body); err == nil {
			_, _ = io.WriteString(w, hex.EncodeToString(h.Sum(nil)))
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range eventCount {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	mux.HandleFunc("/ws", echo)
	log.Fatal(http.Serve(l, mux)) //nolint:gosec // a test's
}

const eventCount = 10

// process is an instance that lives in a process of its own.
type process struct {
	platform.Backend
	cmd *exec.Cmd
}

var processes atomic.Int64

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), playEnv+"=instance")
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p.ID, p.Addr = platform.InstanceID(fmt.Sprint("p", processes.Add(1))), netip.MustParseAddrPort(strings.TrimSpace(line))
	return p
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}
