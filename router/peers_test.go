package router_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paas/router/peers"
)

// `make bench-router` measures us against Debian's nginx and HAProxy, and against Caddy where its module can be had,
// with wrk, h2load and loaders of our own. The
// proxy has processor 0 alone, everything else processor 1; the proxies take turns within each round, and a ratio is
// formed within its round: requests for each second of the proxy's processor time, as /proc has it. Our access log
// and counters are on. A line a figure: figure, ours, peer, ratio, and the spread of ours and theirs (10th to 90th
// percentile). Nothing here is an assertion about time.
var (
	againstPeers = flag.Bool("peers", false, "run the benchmarks against peers (make bench-router)")
	peerRounds   = flag.Int("rounds", 5, "how often each proxy is measured")
	peerTime     = flag.Duration("window", 4*time.Second, "how long each measurement lasts")
	peerOnly     = flag.String("only", "", "run only the figures whose name contains this")
)

const (
	benchConns = 64
	idleConns  = 5000
	caddyTime  = 15 * time.Minute // to download and compile it
)

func TestMain(m *testing.M) {
	switch os.Getenv(playEnv) {
	case "":
		os.Exit(m.Run())
	case "proxy":
		playProxy()
	case "echo":
		playEcho()
	case "instance":
		playInstance()
	}
}

func TestRouterPeers(t *testing.T) {
	if !*againstPeers {
		return // `make bench-router` runs it; a test of the machine's speed has no place among the others
	}
	b := newContest(t)
	fmt.Println("figure\tours\tpeer\tratio\tours 10-90 %\tpeer 10-90 %")
	for _, figure := range []struct {
		name string
		load func(*rival) float64
		all  bool // HAProxy and Caddy too
	}{
		{"http1", b.wrk("http", "/1k"), true},
		{"https", b.wrk("https", "/1k"), true},
		{"http2", b.h2load(1), true},
		{"http2-streams", b.h2load(16), true},
		{"newconn", b.wrk("http", "/1k", "-H", "Connection: close"), false},
		{"handshake", b.handshakes, false},
		{"download", b.downloads, false},
		{"websocket", b.webSockets, false},
	} {
		if strings.Contains(figure.name, *peerOnly) {
			b.compare(figure.name, figure.load, figure.all)
		}
	}
	if *peerOnly == "" || *peerOnly == "p99" {
		b.compareTail()
	}
	if *peerOnly == "" || *peerOnly == "idle" {
		b.weighIdle("idle-plain-kb", false)
		b.weighIdle("idle-tls-kb", true)
	}
}

// contest is the proxies, all before the same instance.
type contest struct {
	t      *testing.T
	dir    string
	rivals []*rival // ours is the first, nginx the second
	turn   string   // whose it is
}

// rival is one proxy.
type rival struct {
	name             string
	http, https, pid int
}

func newContest(t *testing.T) *contest {
	for _, program := range []string{"nginx", "haproxy", "wrk", "h2load", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed: apt-get install nginx-light haproxy wrk nghttp2-client util-linux", program)
		}
	}
	if runtime.NumCPU() < 2 {
		t.Fatal("two processors are needed")
	}
	if out, err := exec.Command("taskset", "-a", "-p", "-c", "1", strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := &contest{t: t, dir: t.TempDir()}
	b.certificate()
	b.file("1k", 1<<10)
	b.file("big", 1<<30)
	app, echo := freePort(t), freePort(t)
	b.start(1, "nginx", nil, "-c", b.write("app.conf", b.nginxApp(app)))
	b.start(1, os.Args[0], []string{playEnv + "=echo", "PORT=" + strconv.Itoa(echo)})
	for _, name := range b.names() {
		r := &rival{name: name, http: freePort(t), https: freePort(t)}
		b.rivals = append(b.rivals, r)
		switch name {
		case "paas":
			r.pid = b.start(0, os.Args[0], []string{
				playEnv + "=proxy", fmt.Sprintf("BENCH=%d %d %d %d %s", r.http, r.https, app, echo, b.dir),
			})
		case "nginx":
			r.pid = b.start(0, "nginx", nil, "-c", b.write("proxy.conf", b.nginxProxy(r, app, echo)))
		case "haproxy":
			r.pid = b.start(0, "haproxy", nil, "-db", "-f", b.write("haproxy.cfg", b.haproxy(r, app, echo)))
		case "caddy":
			b.write("Caddyfile", b.caddyfile(r, app, echo))
			r.pid = b.start(0, "sh", []string{"HOME=" + b.dir}, "-c",
				"exec ./caddy run --adapter caddyfile --config Caddyfile 2>caddy.log") // it tells much
		}
		b.await(r.http)
	}
	b.await(echo)
	return b
}

// names are ours and the peers' that there are.
func (b *contest) names() []string {
	list := []string{"paas", "nginx", "haproxy"}
	ctx, cancel := context.WithTimeout(context.Background(), caddyTime)
	defer cancel()
	if _, err := peers.Caddy(ctx, b.dir); err != nil {
		fmt.Printf("…-vs-caddy\t\t\t\tnot measured: %v\n", err)
		return list
	}
	return append(list, "caddy")
}

// start runs a program on one processor until the test ends.
func (b *contest) start(cpu int, program string, env []string, args ...string) (pid int) {
	cmd := exec.Command("taskset", append([]string{"-c", strconv.Itoa(cpu), program}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir, cmd.Stderr = b.dir, os.Stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func (b *contest) await(port int) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = c.Close()
			return
		}
	}
	b.t.Fatalf("nobody listens on %d", port)
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// compare measures the rivals in turn, round after round.
func (b *contest) compare(figure string, load func(*rival) float64, all bool) {
	rivals := b.rivals
	if !all {
		rivals = rivals[:2]
	}
	rates := map[*rival][]float64{}
	for _, r := range rivals {
		b.turn = r.name
		load(r) // warm
	}
	for range *peerRounds {
		for _, r := range rivals {
			rates[r] = append(rates[r], b.rate(r, load))
		}
	}
	for _, r := range rivals[1:] {
		b.print(figure+"-vs-"+r.name, rates[rivals[0]], rates[r])
	}
}

// rate is what is done in a second of the rival's processor time. A loader that hangs at its end has done nothing, and
// is run again: h2load before version 1.69 (-D) forgets to stop the connections whose handshakes are not done when
// the time is over, which ask on for ever, behind every proxy alike.
func (b *contest) rate(r *rival, load func(*rival) float64) float64 {
	b.turn = r.name
	for range 3 {
		before := r.cpu()
		if n := load(r); n > 0 {
			return n / max(r.cpu()-before, 0.01)
		}
	}
	b.t.Fatalf("%s was never measured", r.name)
	return 0
}

// print writes one figure's line.
func (b *contest) print(figure string, ours, theirs []float64) {
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ours[i]/theirs[i])
	}
	low, high := quantile(ours, 0.1), quantile(ours, 0.9)
	low2, high2 := quantile(theirs, 0.1), quantile(theirs, 0.9)
	fmt.Printf("%s\t%.1f\t%.1f\t%.2f\t%.1f-%.1f\t%.1f-%.1f\n", figure, quantile(ours, 0.5), quantile(theirs, 0.5),
		quantile(ratios, 0.5), low, high, low2, high2)
}

func quantile(list []float64, q float64) float64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[int(q*float64(len(list)-1)+0.5)]
}

// processes are the rival's, with its workers.
func (r *rival) processes() []string {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", r.pid, r.pid)) // none is none
	return append(strings.Fields(string(children)), strconv.Itoa(r.pid))
}

// cpu is the seconds of processor time that the rival has used (proc(5), utime and stime, in hundredths).
func (r *rival) cpu() (seconds float64) {
	for _, pid := range r.processes() {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseFloat(field, 64)
			seconds += n / 100
		}
	}
	return seconds
}

// memory is the kilobytes that the rival's processes take in proportion.
func (r *rival) memory() (kb float64) {
	for _, pid := range r.processes() {
		text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 1 && words[0] == "Pss:" {
				n, _ := strconv.ParseFloat(words[1], 64)
				kb += n
			}
		}
	}
	return kb
}

// run has a loader work on processor 1 and returns what it prints.
func (b *contest) run(program string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), *peerTime+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "1", program}, args...)...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		fmt.Printf("…\t\t\t\t%s hangs behind %s\n", program, b.turn)
		return ""
	}
	if err != nil {
		b.t.Fatalf("%s: %s %s: %v\n%s", b.turn, program, args, err, out)
	}
	return string(out)
}

func (b *contest) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // nginx's workers read it
		b.t.Fatal(err)
	}
	return path
}

func (b *contest) file(name string, size int64) {
	path := b.write(name, strings.Repeat("x", int(min(size, 1<<10))))
	if err := os.Truncate(path, size); err != nil {
		b.t.Fatal(err)
	}
	_ = os.Chmod(b.dir, 0o755) //nolint:gosec // nginx's workers read it
}
