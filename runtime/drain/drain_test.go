package drain

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/logbook"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is an app's log with drains.
type site struct {
	*Drains
	book *logbook.Book
	t    *testing.T
	dir  string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.t.Helper()
	book, err := logbook.Open(logbook.Options{Dir: filepath.Join(s.dir, "logbook"), Rings: filepath.Join(s.dir, "logs")})
	check(s.t, err)
	s.book, s.Drains = book, New(Options{Book: book, Retry: 20 * time.Millisecond})
}

func (s *site) stop() {
	s.Shutdown()
	check(s.t, s.book.Close())
}

func (s *site) say(lines ...string) {
	s.t.Helper()
	var list []platform.LogEntry
	for _, l := range lines {
		list = append(list, platform.LogEntry{Source: platform.LogApp, Process: "web.1", Release: 3, Stream: "stderr", Level: platform.LogError, Text: l})
	}
	check(s.t, s.book.Append("blog", list))
}

// inbox is what a receiver got.
type inbox struct {
	mu    sync.Mutex
	lines []string
}

func (i *inbox) put(lines ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lines = append(i.lines, lines...)
}

func (i *inbox) got() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.lines)
}

func (i *inbox) await(t *testing.T, want ...string) {
	t.Helper()
	for range 1500 {
		if slices.Equal(i.got(), want) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it got %q, not %q", i.got(), want)
}

func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// JSON lines over HTTPS, with a password; an outage loses nothing, nor does the daemon's end in the middle of it.
func TestHTTPS(t *testing.T) {
	s, in := newSite(t), &inbox{}
	var down sync.Mutex
	broken := false
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		down.Lock()
		defer down.Unlock()
		user, password, _ := r.BasicAuth()
		if broken || user != "me" || password != "secret" || r.Header.Get("X-Team") != "blue" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			var v struct {
				App, Source, Process, Level, Text string
				Release                           int
			}
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				t.Error(err)
			}
			in.put(fmt.Sprint(v.App, " ", v.Source, " ", v.Process, " ", v.Release, " ", v.Level, " ", v.Text))
		}
	}))
	t.Cleanup(receiver.Close)
	s.say("before")
	d := platform.LogDrain{
		ID: 1, App: "blog", URL: strings.Replace(receiver.URL, "https://", "https://me:secret@", 1) + "/in", Private: true, CA: pemOf(receiver),
		Headers: []string{"X-Team: blue"},
	}
	check(t, s.Check(context.Background(), d))
	check(t, s.Open(d))
	s.say("one", "two")
	line := func(text string) string { return "blog app web.1 3 error " + text }
	in.await(t, line("one"), line("two"))
	down.Lock()
	broken = true
	down.Unlock()
	s.say("three")
	for range 200 {
		if s.Status(1).Failure != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if st := s.Status(1); st.Behind != 1 || st.Sent != 2 || !strings.Contains(st.Failure, "503") || strings.Contains(st.Failure, "secret") {
		t.Errorf("%+v", st)
	}
	s.stop()
	s.start()
	check(t, s.Open(d))
	s.say("four")
	down.Lock()
	broken = false
	down.Unlock()
	in.await(t, line("one"), line("two"), line("three"), line("four"))
	s.Drains.Close("blog", 1)
	s.say("five")
	time.Sleep(400 * time.Millisecond)
	if got := in.got(); len(got) != 4 {
		t.Errorf("after its end it got %q", got)
	}
}

func TestLoki(t *testing.T) {
	s, in := newSite(t), &inbox{}
	refused := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var push struct{ Streams []lokiStream }
		if err := json.NewDecoder(r.Body).Decode(&push); err != nil || r.URL.Path != lokiPath || r.Header.Get("Content-Type") != "application/json" {
			t.Error(r.URL, err)
		}
		for _, st := range push.Streams {
			for _, v := range st.Values {
				if strings.Contains(v[1], "poison") {
					refused++
					http.Error(w, "entry too far behind", http.StatusBadRequest)
					return
				}
				if at, err := strconv.ParseInt(v[0], 10, 64); err != nil || time.Since(time.Unix(0, at)).Abs() > time.Minute {
					t.Error(v[0], err)
				}
				in.put(fmt.Sprint(st.Stream["app"], " ", st.Stream["process"], " ", st.Stream["level"], " ", v[1]))
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	check(t, s.Open(platform.LogDrain{ID: 2, App: "blog", URL: "loki+" + receiver.URL, Private: true}))
	s.say("one")
	in.await(t, "blog web.1 error one")
	s.say("poison")
	for range 500 {
		if s.Status(2).Missed == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.say("two")
	in.await(t, "blog web.1 error one", "blog web.1 error two")
	if refused != refusals {
		t.Errorf("refused lines came %d times", refused)
	}
}

// collector is a syslog server that counts octets.
func collector(t *testing.T, l net.Listener, in *inbox) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			r := bufio.NewReader(c)
			for {
				text, err := r.ReadString(' ')
				if err != nil {
					return
				}
				n, err := strconv.Atoi(strings.TrimSpace(text))
				b := make([]byte, n)
				if _, err2 := io.ReadFull(r, b); err != nil || err2 != nil {
					t.Errorf("frame %q: %v, %v", text, err, err2)
					return
				}
				in.put(string(b))
				if strings.HasSuffix(string(b), "hang up") {
					time.Sleep(hangsUpAfter)
					return
				}
			}
		}()
	}
}

// hangsUpAfter is enough for the sender to see that all was received: what it does not know of, it sends again.
const hangsUpAfter = 300 * time.Millisecond

func TestSyslog(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, scheme := range []string{"syslog+tcp", "syslog+tls"} {
		s, in := newSite(t), &inbox{}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		t.Cleanup(func() { _ = l.Close() })
		if scheme == "syslog+tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12})
		}
		go collector(t, l, in)
		d := platform.LogDrain{ID: 3, App: "blog", URL: scheme + "://" + l.Addr().String(), Private: true, CA: pemOf(server)}
		check(t, s.Check(context.Background(), d))
		check(t, s.Open(d))
		s.say("one\x00\ntwo", "hang up")
		texts := func() (out []string) {
			for _, m := range in.got() {
				host, _ := os.Hostname()
				head, text, ok := strings.Cut(m, "] ")
				if !ok || !strings.HasPrefix(head, "<131>1 20") || !strings.HasSuffix(head, " "+field(host, mostHost)+` blog web.1 app [paas@32473 release="v3" stream="stderr" level="error"`) {
					t.Errorf("%s: message %q", scheme, m)
				}
				out = append(out, text)
			}
			return out
		}
		for range 500 {
			if len(in.got()) >= 2 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * hangsUpAfter) // for the end of the connection to arrive
		s.say("three")
		for range 500 {
			if len(in.got()) >= 3 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := texts(); !slices.Equal(got, []string{"one  two", "hang up", "three"}) {
			t.Errorf("%s: got %q", scheme, got)
		}
	}
}

// What the log did not keep until the receiver came back is said to be missing.
func TestGapAfterALongOutage(t *testing.T) {
	s, in := newSite(t), &inbox{}
	s.say("one")
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			var v struct{ Gap uint64 }
			_ = json.Unmarshal(lines.Bytes(), &v)
			if v.Gap > 0 {
				in.put(fmt.Sprint("gap of ", v.Gap))
			}
		}
	}))
	t.Cleanup(receiver.Close)
	d := platform.LogDrain{ID: 4, App: "blog", URL: receiver.URL, Private: true}
	check(t, s.book.KeepCursor("blog", "4", 1))
	s.book.SetBounds("blog", platform.LogBounds{Bytes: 1 << 10})
	for n := range 40 {
		var lines []string
		for i := range 300 {
			lines = append(lines, fmt.Sprintf("line %d of somebody, who says %x", n*300+i, (n*300+i)*0x9e3779b97f4a7c1%0xffffffffffff))
		}
		s.say(lines...)
	}
	var missed uint64
	for range 250 {
		if _, missed, _ = s.book.After("blog", 1, 1); missed > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(t, s.Open(d))
	in.await(t, fmt.Sprint("gap of ", missed))
}

// Apps' owners must not have the daemon talk to what only it reaches.
func TestPrivateTargets(t *testing.T) {
	s := newSite(t)
	for url, kind := range map[string]platform.Kind{
		"https://127.0.0.1/in": platform.Denied, "https://localhost/in": platform.Denied, "https://[::1]/": platform.Denied,
		"https://10.1.2.3/": platform.Denied, "https://169.254.169.254/latest": platform.Denied, "https://[::ffff:127.0.0.1]/": platform.Denied,
		"syslog+tls://192.168.0.1:6514": platform.Denied, "https://0.0.0.0/": platform.Denied, "https://[fd00::1]/": platform.Denied,
		"https://100.64.0.1/": platform.Denied, "https://[64:ff9b::7f00:1]/": platform.Denied, "https://2130706433/": platform.Denied,
		"http://93.184.216.34/": platform.Usage, "ftp://example.com/": platform.Usage, "nonsense": platform.Usage, "https://": platform.Usage,
		"syslog+tls://example.com/path": platform.Usage, "https://example.com:99999/": platform.Usage, "file:///etc/passwd": platform.Usage,
	} {
		err := s.Check(context.Background(), platform.LogDrain{App: "blog", URL: url})
		if got := platform.KindOf(err); got != kind && (url != "https://2130706433/" || got != platform.Failed) { // some resolvers know no such form
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, a := range []string{"8.8.8.8", "2606:4700::1111"} {
		check(t, public(netip.MustParseAddr(a)))
	}
}

// A name that leads elsewhere after it was checked leads nowhere.
func TestRebindingIsRefused(t *testing.T) {
	s := newSite(t)
	hit := make(chan bool, 1)
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit <- true }))
	t.Cleanup(receiver.Close)
	check(t, s.Open(platform.LogDrain{ID: 5, App: "blog", URL: receiver.URL, Insecure: true}))
	s.say("one")
	for range 200 {
		if strings.Contains(s.Status(5).Failure, "this host itself") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(hit) > 0 || !strings.Contains(s.Status(5).Failure, "this host itself") {
		t.Errorf("%+v", s.Status(5))
	}
}
