package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hogScript is a build that takes all it can get of two processors and the disk, and rests, in turn.
const hogScript = `for turn in $(seq %d); do
  echo hog on
  for n in 1 2; do timeout 5 bash -c 'while :; do :; done' & done
  timeout 5 bash -c 'while :; do dd if=/dev/zero of="${TMPDIR:-/tmp}/fill" bs=1M count=200 conv=fsync 2>/dev/null; done' &
  timeout 5 node -e 'for (;;) JSON.parse(JSON.stringify([...Array(1e5).keys()]))' &
  wait
  echo hog off
  sleep 5
done
: %d
`

const hogTurns = 7

// allowedSlower is how much longer the slowest hundredth of a running app's requests may take during a build.
const allowedSlower = 1.5

// TestFairness measures how long the slowest hundredth of requests to a running app takes while another app is built,
// and for comparison while the same runs in a group of its own with everything as it comes, which is what Docker gives a
// build by default: figure, during, allowed, ratio. Nothing here is an assertion about time.
func TestFairness(t *testing.T) {
	if !*peers {
		return // like TestPeers
	}
	p := newPlainPlatform(t)
	apps := filepath.Join(examples(), "..", "cmd", "paas", "testdata", "apps")
	p.run(t, p.repository(t, filepath.Join(apps, "build"), "served"), "git", "push", "paas", "main")
	dir := p.repository(t, filepath.Join(apps, "build"), "built")
	script := fmt.Sprintf(hogScript, hogTurns, time.Now().UnixNano())
	if err := os.WriteFile(filepath.Join(dir, "build.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	needPrograms(t, "node")
	p.run(t, dir, "git", "commit", "-qam", "hog")
	push := exec.Command("git", "push", "paas", "main")
	push.Dir, push.Env = dir, os.Environ()
	for name, value := range p.environ() {
		push.Env = append(push.Env, name+"="+value)
	}
	out, err := push.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	during, before := p.alternate(t, push, out)
	allowed("p99-during-build", during, allowedSlower*before)
	during, before = p.alternatePlainly(t, script)
	allowed("p99-during-default-weight", during, allowedSlower*before)
}

// alternatePlainly is alternate with the hog in a group without any setting.
func (p *platformUnderTest) alternatePlainly(t *testing.T, script string) (during, before float64) {
	t.Helper()
	mount := "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
		mount += "/cpu"
	}
	group := filepath.Join(mount, fmt.Sprintf("paas-hog-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(group) })
	hog := exec.Command("bash", "-c", `echo $$ >"$0/cgroup.procs"; cd "$1"; eval "$2"`, group, t.TempDir(), indented(script))
	out, err := hog.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return p.alternate(t, hog, out)
}

// indented is the script with its marks as a push shows them.
func indented(script string) string { return strings.ReplaceAll(script, "echo hog", "echo '  'hog") }

// alternate runs the hog and measures while it is at work and while it rests, in turn; the medians of both are the
// answer, since the machine may be busy with other things.
func (p *platformUnderTest) alternate(t *testing.T, cmd *exec.Cmd, out io.Reader) (during, before float64) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	samples := map[string][]float64{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, state, ok := strings.Cut(lines.Text(), "  hog ")
		if !ok {
			t.Log(lines.Text())
			continue
		}
		time.Sleep(500 * time.Millisecond)
		p99 := p.slowest(t, 4*time.Second)
		t.Logf("hog %s: p99 %.2f ms", state, p99)
		samples[strings.TrimSpace(state)] = append(samples[strings.TrimSpace(state)], p99)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the hog: %v", err)
	}
	return median(t, samples["on"]), median(t, samples["off"])
}

func median(t *testing.T, list []float64) float64 {
	t.Helper()
	if len(list) == 0 {
		t.Fatal("nothing was measured")
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// slowest is the 99th percentile of what requests take, in milliseconds.
func (p *platformUnderTest) slowest(t *testing.T, during time.Duration) float64 {
	t.Helper()
	client := strict(true)
	var took []float64
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Millisecond) {
		req, err := http.NewRequest(http.MethodGet, p.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "served.example.test"
		began := time.Now()
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
