package main

import (
	"bufio"
	"fmt"
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
  timeout 5 bash -c 'while :; do dd if=/dev/zero of=/tmp/fill bs=1M count=200 conv=fsync 2>/dev/null; done' &
  timeout 5 node -e 'for (;;) JSON.parse(JSON.stringify([...Array(1e5).keys()]))' &
  wait
  echo hog off
  sleep 5
done
: %d
`

const hogTurns = 7

// TestFairness measures how much longer the slowest hundredth of requests to a running app takes while another
// app is built: figure, during, before, ratio. Nothing here is an assertion about time.
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
	p.run(t, dir, "git", "commit", "-qam", "hog")
	during, before := p.alternate(t, dir)
	fmt.Println("figure\tduring ms\tbefore ms\tratio")
	figure("p99-during-build", during, before)
}

// alternate pushes and measures with the hog and without it in turn; the medians of both are the answer, since
// the machine may be busy with other things.
func (p *platformUnderTest) alternate(t *testing.T, dir string) (during, before float64) {
	t.Helper()
	cmd := exec.Command("git", "push", "paas", "main")
	cmd.Dir, cmd.Env = dir, os.Environ()
	for name, value := range p.environ() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
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
		t.Fatalf("the push: %v", err)
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
