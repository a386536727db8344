// Package hostile_test lets hostile programs loose in real containers. Each attack must fail, and
// neither the host nor the neighbour may notice.
package hostile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

const attackProgram = "paas/runtime/hostile/attack"

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m, attackProgram)) }

// The apps of a test.
const (
	attackerApp = iota
	neighbourApp
)

const attackLayer = "attack"

// arena is a host with a neighbour that must not be harmed and a file that must not be reached.
type arena struct {
	*runtimetest.Host
	t         *testing.T
	neighbour platform.Instance
	secret    string // a file of the host that everybody could read and write
}

func newArena(t *testing.T) *arena {
	t.Helper()
	a := &arena{Host: runtimetest.New(t), t: t, secret: "/run/paas-hostile-secret"}
	sandbox.Check(t, os.WriteFile(a.secret, []byte("secret"), 0o600))
	sandbox.Check(t, os.Chmod(a.secret, 0o666))
	a.Layer(t, attackLayer, func(dir string) error { return copyProgram(dir+"/attack", 0o755) })
	var err error
	a.neighbour, err = a.Start(context.Background(), runtimetest.Spec(neighbourApp, runtimetest.Shell(
		`cd /tmp; echo alive > index.html; httpd -p $PORT; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done`)))
	sandbox.Check(t, err)
	sandbox.Eventually(t, "the neighbour answers", func() bool { _, err := a.probe(); return err == nil })
	program := fingerprint(t)
	t.Cleanup(func() { a.unharmed(program) })
	return a
}

func copyProgram(to string, mode os.FileMode) error {
	b, err := os.ReadFile(sandbox.Program(attackProgram))
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}

// probe asks the neighbour for a page and says how long that took.
func (a *arena) probe() (time.Duration, error) {
	began := time.Now()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + a.neighbour.Addr.String() + "/index.html")
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err == nil && string(body) != "alive\n" {
		err = fmt.Errorf("the neighbour said %q", body)
	}
	return time.Since(began), err
}

// unharmed looks at what every attack must have left alone.
func (a *arena) unharmed(program string) {
	a.t.Helper()
	if _, err := a.probe(); err != nil {
		a.t.Errorf("the neighbour does not answer any more: %v", err)
	}
	if b, err := os.ReadFile(a.secret); err != nil || string(b) != "secret" {
		a.t.Errorf("the host's file is now %q (%v)", b, err)
	}
	if now := fingerprint(a.t); now != program {
		a.t.Error("the init's program was changed")
	}
	a.wholeLog()
}

// wholeLog checks that no line of the neighbour's is missing.
func (a *arena) wholeLog() {
	a.t.Helper()
	n := 0
	query := platform.LogQuery{App: "app1", Lines: 100_000}
	err := a.Logs(context.Background(), query, func(l platform.LogLine) error {
		n++
		if want := fmt.Sprintf("line %d", n); l.Text != want {
			return fmt.Errorf("%q, want %q", l.Text, want)
		}
		return nil
	})
	if err != nil || n == 0 {
		a.t.Errorf("the neighbour's log is damaged: %v after %d lines", err, n)
	}
}

func fingerprint(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(sandbox.Program(initProgram))
	sandbox.Check(t, err)
	return string(b)
}

// report is what the attack program prints.
type report struct {
	Tried    int
	Achieved []string
	Refused  map[string]string
	Reached  map[string]int64
}

// attack runs the program as a job; spec may be changed before.
func (a *arena) attack(s platform.InstanceSpec, words ...string) report {
	a.t.Helper()
	s.Command = append([]string{"/attack"}, words...)
	exit, stdout, stderr := a.Job(a.t, s)
	r, err := parse(stdout)
	if err != nil || (exit.Code != 0 && exit.Code != 42) {
		a.t.Fatalf("the attack %q did not come off: exit %+v, %v\n%s\n%s", words, exit, err, stdout, stderr)
	}
	return r
}

// parse reads the report, which is the last line.
func parse(stdout string) (report, error) {
	var r report
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	err := json.NewDecoder(bytes.NewReader([]byte(lines[len(lines)-1]))).Decode(&r)
	return r, err
}

// attacker is the hostile app's instance, as the app's user or as root of the container.
func attacker(root bool, layers ...string) platform.InstanceSpec {
	s := runtimetest.Spec(attackerApp, nil, append([]string{attackLayer}, layers...)...)
	if root {
		s.Image.UID, s.Image.GID = 0, 0
	}
	return s
}

// asBoth runs a test as both users.
func asBoth(t *testing.T, name string, test func(t *testing.T, root bool)) {
	t.Run(name+"/app", func(t *testing.T) { test(t, false) })
	t.Run(name+"/root", func(t *testing.T) { test(t, true) })
}
