package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"paas/router/certs/acmetest"
)

// platformUnderTest is one script's platform.
type platformUnderTest struct {
	binary, data, home string
	template           string
	disk               string // where a file system of its own is mounted, if makeDisk did that
	http, ssh, https   int
	acme               *acmetest.Authority // nil until the script starts it
	mu                 sync.Mutex
	process            *exec.Cmd
	held               net.Conn // that a script opened
	heir               int      // the process that serves after a handover
	exited             chan struct{}
	log                *os.File
}

// newPlatform prepares a platform whose people keep their keys and settings in home. tearDown ends it.
func newPlatform(binary, template, home string) (*platformUnderTest, error) {
	data, err := os.MkdirTemp("/var/tmp", "paas-scenario-")
	if err != nil {
		return nil, err
	}
	p := &platformUnderTest{binary: binary, data: data, home: home, template: template}
	if p.http, p.ssh, err = freePorts(); err != nil {
		return p, err
	}
	if p.https, _, err = freePorts(); err != nil {
		return p, err
	}
	for _, shared := range sharedDirs {
		if err := link(filepath.Join(template, shared), filepath.Join(data, shared)); err != nil {
			return p, err
		}
	}
	return p, p.clientFiles()
}

// sharedDirs are what every platform on this machine would make alike.
var sharedDirs = []string{"store"}

// link lets a platform use the template's directory: a store may be open more than once.
func link(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return os.Symlink(from, to)
}

func freePorts() (first, second int, err error) {
	for _, port := range []*int{&first, &second} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = l.Close() }()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return first, second, nil
}

// clientFiles gives the script two people, alice (an admin) and bob, and ssh and git that know "paas".
func (p *platformUnderTest) clientFiles() error {
	home := p.home
	bin := filepath.Join(home, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	for _, who := range []string{"alice", "bob"} {
		key := filepath.Join(home, who)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", key).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	config := func(name, key string) string {
		return fmt.Sprintf("Host %s\n  HostName 127.0.0.1\n  Port %d\n  User paas\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
			"  UserKnownHostsFile %s/known_hosts\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n  HostKeyAlias paas\n  LogLevel ERROR\n",
			name, p.ssh, filepath.Join(home, key), home)
	}
	files := map[string]string{
		"ssh_config": config("paas", "alice") + config("paas-bob", "bob"),
		"bin/ssh":    fmt.Sprintf("#!/bin/sh\nexec /usr/bin/ssh -F %s/ssh_config \"$@\"\n", home),
		".gitconfig": "[user]\n\tname = Alice\n\temail = alice@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// environ is what the people's commands run with.
func (p *platformUnderTest) environ() map[string]string {
	bin := filepath.Join(p.home, "bin")
	return map[string]string{
		"HOME": p.home, "GIT_SSH_COMMAND": filepath.Join(bin, "ssh"), "DATA": p.data, "PAAS_DATA": p.data,
		"PATH":      bin + ":" + filepath.Dir(p.binary) + ":" + os.Getenv("PATH"),
		"HTTP_PORT": strconv.Itoa(p.http), "HTTPS_PORT": strconv.Itoa(p.https), "SSH_PORT": strconv.Itoa(p.ssh), "EXAMPLES": examples(),
	}
}

func examples() string {
	wd, err := os.Getwd()
	if err != nil {
		panic(err) // start-up of the test
	}
	return filepath.Join(wd, "..", "..", "examples")
}

// start runs the daemon, with flags that are added to its own, until it listens.
func (p *platformUnderTest) start(flags ...string) error {
	setup := exec.Command(p.binary, "setup", "--data", p.data, "--name", "alice", "--admin-key", filepath.Join(p.home, "alice.pub"))
	if out, err := setup.CombinedOutput(); err != nil {
		return fmt.Errorf("paas setup: %w\n%s", err, out)
	}
	log, err := os.OpenFile(filepath.Join(p.data, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.binary, append([]string{"serve", "--data", p.data, "--http", fmt.Sprintf("127.0.0.1:%d", p.http),
		"--ssh", fmt.Sprintf("127.0.0.1:%d", p.ssh), "--domain", "example.test"}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.process, p.exited, p.log = cmd, make(chan struct{}), log
	exited := p.exited
	p.mu.Unlock()
	go func() { _ = cmd.Wait(); close(exited) }()
	return p.awaitListening(exited)
}

func (p *platformUnderTest) awaitListening(exited <-chan struct{}) error {
	for range 600 {
		select {
		case <-exited:
			return errors.New("paas serve ended at once")
		case <-time.After(50 * time.Millisecond):
		}
		conn, err := net.Dial("unix", filepath.Join(p.data, socketName))
		if err == nil {
			return conn.Close()
		}
	}
	return errors.New("paas serve does not listen after 30 s")
}

// end sends the daemon a signal and waits for it.
func (p *platformUnderTest) end(sig syscall.Signal) {
	p.mu.Lock()
	cmd, exited, heir := p.process, p.exited, p.heir
	p.process, p.heir = nil, 0
	p.mu.Unlock()
	if heir != 0 {
		_ = syscall.Kill(heir, sig)
		awaitEnd(heir)
	} else if cmd != nil {
		_ = cmd.Process.Signal(sig)
	}
	if cmd != nil {
		<-exited
		_ = p.log.Close()
	}
}

// awaitEnd waits for the end of a process that is nobody's child here.
func awaitEnd(pid int) {
	for range 1200 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// handOver has a successor take over, and follows it.
func (p *platformUnderTest) handOver() error {
	out, err := exec.Command(p.binary, "handover", "--data", p.data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("paas handover: %w\n%s", err, out)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Sscanf(string(out), "Process %d serves", &p.heir); err != nil {
		return fmt.Errorf("paas handover said %q", out)
	}
	return nil
}

// reporter is what testing.T and testscript.T have in common.
type reporter interface {
	Log(...any)
	Fatal(...any)
}

// hasRace looks for reports of the race detector, but for what BuildKit 0.33 does to itself in the builder
// process: every stage of a Dockerfile sets the same flag to the same value.
func hasRace(log []byte) bool {
	reports := strings.Split(string(log), "WARNING: DATA RACE")
	return slices.ContainsFunc(reports[1:], func(r string) bool { return !strings.Contains(r, "builder/resolvecache.go:30") })
}

// tearDown removes everything the platform made and fails if anything is left.
func (p *platformUnderTest) tearDown(t reporter) {
	p.end(syscall.SIGTERM)
	noteAudit(t, filepath.Join(p.data, "paas.db"))
	if p.acme != nil {
		p.acme.Close()
	}
	text, _ := os.ReadFile(filepath.Join(p.data, "daemon.log"))
	host, _ := os.Hostname()
	out, err := exec.Command(p.binary, "uninstall", "--data", p.data, "--purge", "--confirm", host).CombinedOutput()
	if failed, ok := t.(interface{ Failed() bool }); *showScripts || ok && failed.Failed() {
		t.Log("the daemon's log:\n" + string(text))
	}
	switch {
	case err != nil:
		t.Fatal(fmt.Sprintf("paas uninstall: %v\n%s", err, out))
	case hasRace(text):
		t.Fatal("the daemon has a data race:\n" + string(text))
	}
	if _, err := os.Stat(p.data); err == nil {
		_ = os.RemoveAll(p.data)
		t.Fatal("paas uninstall --purge left " + p.data)
	}
}
