package php

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asServer in the environment makes the test binary `paas php`.
const asServer = "PAAS_TEST_PHP"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) == "" {
		os.Exit(m.Run())
	}
	if err := Main(context.Background(), os.Args[1:], os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serverUnderTest is `paas php` with a real php-fpm, as a user without rights: php-fpm wants that.
type serverUnderTest struct {
	cmd  *exec.Cmd
	url  string
	log  *lockedBuffer
	tmp  string
	done chan error
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func serve(t *testing.T, files map[string]string, env ...string) *serverUnderTest {
	t.Helper()
	if _, err := findManager(os.Getenv("PATH") + ":/usr/sbin"); err != nil {
		t.Fatal("this test needs php-fpm: apt-get install php-fpm")
	}
	dir, err := os.MkdirTemp("", "paas-php-test-")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	for name, text := range files {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	tmp := filepath.Join(dir, ".tmp")
	check(t, os.Mkdir(tmp, 0o777))
	check(t, os.Chmod(tmp, 0o777))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	check(t, listener.Close())
	s := &serverUnderTest{url: "http://127.0.0.1:" + strconv.Itoa(port), log: &lockedBuffer{}, tmp: tmp, done: make(chan error, 1)}
	s.cmd = exec.Command("/proc/self/exe", "--root", ".")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, s.log, s.log
	s.cmd.Env = append([]string{asServer + "=1", "PORT=" + strconv.Itoa(port), "PATH=" + os.Getenv("PATH") + ":/usr/sbin", "WEB_CONCURRENCY=2", "GREETING=hi", "TMPDIR=" + tmp}, env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	check(t, s.cmd.Start())
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		if t.Failed() {
			t.Log(s.log)
		}
	})
	s.ready(t)
	return s
}

func (s *serverUnderTest) ready(t *testing.T) {
	t.Helper()
	for range 400 {
		if strings.Contains(s.log.String(), "Serving PHP") {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("it does not listen: %s", s.log)
}

func (s *serverUnderTest) get(path string) (string, error) {
	res, err := http.Get(s.url + path) //nolint:gosec,noctx // our own server
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body)), err
}

var pages = map[string]string{
	"index.php": `<?php echo getenv('GREETING'), ' ', $_SERVER['REQUEST_URI'];`,
	"slow.php":  `<?php usleep(700000); echo 'done';`,
	"warn.php":  `<?php error_log('look at this'); file_put_contents('php://stderr', "and this\n"); echo $undefined; throw new Exception('oops');`,
	"pid.php":   `<?php echo posix_getppid();`,
}

func TestPHPIsServed(t *testing.T) {
	s := serve(t, pages)
	if got, err := s.get("/some/where?a=b"); err != nil || got != "200 hi /some/where?a=b" {
		t.Errorf("%q, %v", got, err)
	}
	// What goes wrong is in the log and not on the page.
	if got, err := s.get("/warn.php"); err != nil || got != "500 " {
		t.Errorf("%q, %v", got, err)
	}
	for _, part := range []string{"look at this", "and this", "Undefined variable", "oops"} {
		for range 100 {
			if strings.Contains(s.log.String(), part) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("the log has no %q:\n%s", part, s.log)
		}
	}
}

// The stop signal lets what is asked be answered, and leaves nothing behind.
func TestStopFinishesRequests(t *testing.T) {
	s := serve(t, pages)
	manager, err := s.get("/pid.php")
	check(t, err)
	answers := make(chan string, 4)
	for range cap(answers) { // twice as many as there are processes
		go func() {
			got, err := s.get("/slow.php")
			answers <- fmt.Sprint(got, err)
		}()
	}
	time.Sleep(300 * time.Millisecond)
	check(t, s.cmd.Process.Signal(syscall.SIGTERM))
	for range cap(answers) {
		if got := <-answers; got != "200 done<nil>" {
			t.Error(got)
		}
	}
	if err := <-s.done; err != nil {
		t.Errorf("it ends with %v", err)
	}
	gone(t, strings.TrimPrefix(manager, "200 "))
	if left, _ := filepath.Glob(filepath.Join(s.tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Both die together, whichever goes first.
func TestManagerAndServerDieTogether(t *testing.T) {
	s := serve(t, pages)
	manager, err := s.get("/pid.php")
	check(t, err)
	pid, err := strconv.Atoi(strings.TrimPrefix(manager, "200 "))
	check(t, err)
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	if err := <-s.done; err == nil || !strings.Contains(s.log.String(), "php-fpm ended") {
		t.Errorf("%v\n%s", err, s.log)
	}
	s = serve(t, pages)
	manager, err = s.get("/pid.php")
	check(t, err)
	check(t, s.cmd.Process.Kill())
	<-s.done
	gone(t, strings.TrimPrefix(manager, "200 "))
}

func gone(t *testing.T, pid string) {
	t.Helper()
	for range 200 {
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Errorf("php-fpm (process %s) is still there", pid)
}
