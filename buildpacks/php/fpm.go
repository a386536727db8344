package php

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// manager is PHP's process manager, php-fpm, as a child of this process: it ends when this one does.
type manager struct {
	cmd    *exec.Cmd
	dir    string // its socket and configuration
	socket string
	ended  chan error // gets how it ended, once
	told   chan struct{}
}

// poolText is a configuration of one pool of processes (PHP's manual, "FPM configuration"). They share the
// environment of the app; a page's errors go to its log, which is our standard error, and not to the visitor.
const poolText = `[global]
error_log = %[1]s/log
log_level = warning
log_limit = 65535
daemonize = no
process_control_timeout = 25s

[www]
listen = %[1]s/socket
listen.mode = 0600
listen.backlog = 511
pm = dynamic
pm.max_children = %[2]d
pm.start_servers = %[3]d
pm.min_spare_servers = 1
pm.max_spare_servers = %[2]d
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
php_value[display_errors] = 0
php_value[log_errors] = 1
php_value[error_log] = ""
%[4]s`

// startManager starts php-fpm and returns when it listens.
func startManager(ctx context.Context, o options, workers int, out io.Writer) (*manager, error) {
	program, err := findManager(os.Getenv("PATH"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "paas-php-")
	if err != nil {
		return nil, fmt.Errorf("start php-fpm: %w", err)
	}
	m := &manager{dir: dir, socket: filepath.Join(dir, "socket"), ended: make(chan error, 1), told: make(chan struct{})}
	if err := m.start(program, o, workers, out); err != nil {
		return nil, errors.Join(fmt.Errorf("start php-fpm: %w", err), os.RemoveAll(dir))
	}
	if err := m.ready(ctx); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return m, nil
}

// findManager looks for a program whose name has the version in it, as Debian's have.
func findManager(searchPath string) (string, error) {
	for _, dir := range filepath.SplitList(searchPath) {
		found, err := filepath.Glob(filepath.Join(dir, "php-fpm*"))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", errors.New("paas php: there is no php-fpm on the PATH")
}

func (m *manager) start(program string, o options, workers int, out io.Writer) error {
	include := ""
	if o.config != "" {
		path, err := filepath.Abs(o.config)
		if err != nil {
			return err
		}
		include = "include = " + path + "\n"
	}
	text := fmt.Sprintf(poolText, m.dir, workers, min(2, workers), include)
	config := filepath.Join(m.dir, "pool.conf")
	log := filepath.Join(m.dir, "log")
	err := errors.Join(os.WriteFile(config, []byte(text), 0o600), syscall.Mkfifo(log, 0o600))
	if err != nil {
		return err
	}
	// Opened for both, it never ends by itself and never makes an opener wait.
	fifo, err := os.OpenFile(log, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	m.cmd = exec.Command(program, "--nodaemonize", "--fpm-config", config, "-d", "expose_php=0") //nolint:gosec // PHP's own
	m.cmd.Stdout, m.cmd.Stderr = out, out
	// A signal to our group is ours to pass on; the end of our process is one for the child.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := m.cmd.Start(); err != nil {
		return errors.Join(err, fifo.Close())
	}
	go m.tell(fifo, out)
	go func() {
		m.ended <- m.cmd.Wait()
		close(m.ended)
		_ = fifo.Close()
	}()
	return nil
}

// tell passes on the log without the time before each line: the platform notes that.
func (m *manager) tell(log io.Reader, out io.Writer) {
	defer close(m.told)
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "[") {
			if _, rest, ok := strings.Cut(line, "] "); ok {
				line = rest
			}
		}
		_, _ = io.WriteString(out, line)
		if err != nil {
			return
		}
	}
}

// readyTime is how long php-fpm may take to listen; a platform commonly waits as long for the app.
const readyTime = 30 * time.Second

func (m *manager) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		if conn, err := dial(ctx, m.socket); err == nil {
			return conn.Close()
		}
		select {
		case err := <-m.ended:
			return fmt.Errorf("php-fpm ended at once: %w", orUnexpected(err))
		case <-ctx.Done():
			return fmt.Errorf("wait for php-fpm: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("status 0")
	}
	return err
}

// stop lets php-fpm finish what it does, and removes what it needed.
func (m *manager) stop() error {
	_ = m.cmd.Process.Signal(syscall.SIGQUIT) // graceful; it may have ended already
	select {
	case <-m.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL) // and its processes, which outlive it when it is killed
	<-m.ended
	<-m.told
	return os.RemoveAll(m.dir)
}

// Workers are as many as fit into the memory when each takes what PHP lets a page take by default, unless the app
// says how many (WEB_CONCURRENCY).
const (
	perWorker     = 128 << 20 // php.ini's memory_limit
	defaultMemory = 512 << 20
	maxWorkers    = 256
)

func countWorkers(env func(string) string) int {
	if n, err := strconv.Atoi(env("WEB_CONCURRENCY")); err == nil && n > 0 {
		return min(n, maxWorkers)
	}
	return int(min(max(memory()/perWorker, 1), maxWorkers))
}

// memory is the container's limit, as far as it can be seen from inside (control groups v2, then v1).
func memory() int64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<40 {
			return n
		}
	}
	return defaultMemory
}
