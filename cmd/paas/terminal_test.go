package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

const screenPatience = 60 * time.Second

// terminal FILE COMMAND…: runs a command on a PTY of 90 columns and 30 rows, and plays FILE at it, a step a line:
//
//	expect TEXT   waits until TEXT is on the screen, after what was expected before
//	type TEXT     types, with Go's escapes: \r, \x03
//	resize C R    resizes the window
//	hangup        takes the client away, as a lost connection does
//	status N      waits for the command's end
//
// What was on the screen is in stdout afterwards.
func cmdTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal file command…")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "TERM=xterm-256color")
	for _, name := range []string{"PATH", "HOME", "LANG", "NO_COLOR"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if path, err := lookPath(args[1], ts.Getenv("PATH")); err == nil {
		cmd.Path = path
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 90, Rows: 30})
	ts.Check(err)
	s := &screen{}
	s.read.Go(func() { s.copy(tty) })
	defer func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		s.read.Wait()
		_, _ = ts.Stdout().Write([]byte(s.text()))
	}()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verb {
		case "", "#":
		case "expect":
			if !s.await(rest) {
				ts.Fatalf("%q never came on the screen:\n%s", rest, s.text())
			}
		case "type":
			text, err := strconv.Unquote(`"` + rest + `"`)
			ts.Check(err)
			time.Sleep(100 * time.Millisecond) // shells drop what is typed while they switch the terminal's mode
			_, err = tty.WriteString(text)
			ts.Check(err)
		case "resize":
			cols, rows, _ := strings.Cut(rest, " ")
			c, err := strconv.Atoi(cols)
			ts.Check(err)
			r, err := strconv.Atoi(rows)
			ts.Check(err)
			ts.Check(pty.Setsize(tty, &pty.Winsize{Cols: uint16(c), Rows: uint16(r)}))
		case "hangup":
			ts.Check(cmd.Process.Kill())
		case "status":
			select {
			case <-ended:
			case <-time.After(screenPatience):
				ts.Fatalf("it does not end; on the screen:\n%s", s.text())
			}
			if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != rest {
				ts.Fatalf("status %s, not %s; on the screen:\n%s", got, rest, s.text())
			}
		default:
			ts.Fatalf("terminal: no step %q", verb)
		}
	}
}

func lookPath(name, path string) (string, error) {
	for dir := range strings.SplitSeq(path, ":") {
		if info, err := os.Stat(dir + "/" + name); err == nil && info.Mode()&0o111 != 0 {
			return dir + "/" + name, nil
		}
	}
	return "", exec.ErrNotFound
}

// screen is what a command wrote on its terminal.
type screen struct {
	read sync.WaitGroup
	mu   sync.Mutex
	all  bytes.Buffer
	seen int
}

func (s *screen) copy(tty *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := tty.Read(b)
		s.mu.Lock()
		s.all.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func (s *screen) await(text string) bool {
	for deadline := time.Now().Add(screenPatience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if i := strings.Index(s.text()[s.seen:], text); i >= 0 {
			s.seen += i + len(text)
			return true
		}
	}
	return false
}
