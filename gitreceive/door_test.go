package gitreceive

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
	"paas/verbs"
)

// memory is a platform that keeps apps in memory and whose build reads every file of the source.
type memory struct {
	mu      sync.Mutex
	actors  map[string]platform.Actor // by fingerprint
	apps    map[string]platform.App
	pushes  []platform.Push
	read    map[string]string // path -> content of the last build, for small files
	files   int               // of the last build
	fail    error             // what the next builds end in
	started chan string       // gets the commit of each build that starts, if not nil
	hold    chan struct{}     // builds wait until it is closed, if not nil
	ended   chan error        // gets how each held build ended
	after   func()            // called when a build is over
	room    int64             // bytes that a push may bring, 0 for as many as it likes
}

func (m *memory) Actor(_ context.Context, fingerprint string) (platform.Actor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.actors[fingerprint]
	if !ok {
		return a, platform.Errorf(platform.NotFound, "no such key")
	}
	return a, nil
}

func (m *memory) OpenPush(_ context.Context, actor platform.Actor, name string) (platform.App, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if app, ok := m.apps[name]; ok {
		return app, false, m.mayUse(actor, name)
	}
	if !actor.Admin {
		return platform.App{}, false, platform.Errorf(platform.NotFound, "no app %q", name)
	}
	valid, err := platform.ParseAppName(name)
	if err != nil {
		return platform.App{}, false, err
	}
	m.apps[name] = platform.App{ID: int64(len(m.apps) + 1), Name: valid}
	return m.apps[name], true, nil
}

// mayUse: what is called private is for admins.
func (m *memory) mayUse(actor platform.Actor, name string) error {
	if name == "private" && !actor.Admin {
		return platform.Errorf(platform.NotFound, "there is no app %q, or you may not see it", name)
	}
	return nil
}

func (m *memory) ExplainRoom(_ context.Context, err error) error { return err }

func (m *memory) RoomForPush(context.Context, platform.App) (int64, error) {
	if m.room != 0 {
		return m.room, nil
	}
	return math.MaxInt64, nil
}

func (m *memory) OpenFetch(_ context.Context, actor platform.Actor, name string) (platform.App, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	app, ok := m.apps[name]
	if !ok {
		return app, platform.Errorf(platform.NotFound, "no app %q", name)
	}
	return app, m.mayUse(actor, name)
}

func (m *memory) DeployBranch(_ context.Context, app platform.App, branch string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.apps[string(app.Name)]
	if have.DeployBranch == "" {
		have.DeployBranch = branch
		m.apps[string(app.Name)] = have
	}
	return have.DeployBranch, nil
}

func (m *memory) Visiting(platform.Visit) func() { return func() {} }

func (m *memory) Begin(context.Context, platform.Actor, platform.AppName, string) (*platform.Entry, error) {
	return nil, nil
}

func (m *memory) Push(ctx context.Context, p platform.Push) (platform.Release, error) {
	story := platform.NewStory(p.Out, nil)
	story.Phase("Building %s", p.App.Name)
	m.mu.Lock()
	started, hold, ended, fail, after := m.started, m.hold, m.ended, m.fail, m.after
	m.mu.Unlock()
	if started != nil {
		started <- p.Commit
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		if ended != nil {
			ended <- ctx.Err()
		}
	}
	if after != nil {
		defer after()
	}
	if err := ctx.Err(); err != nil {
		return platform.Release{}, platform.Errorf(platform.Interrupted, "the push was cancelled; nothing changed").Because(err)
	}
	if err := m.build(p, story); err != nil {
		return platform.Release{}, err
	}
	if fail != nil {
		return platform.Release{}, fail
	}
	story.Result("%s is live", p.App.Name)
	return platform.Release{Number: 1}, nil
}

// build reads the whole source, as a builder does, and keeps what is small.
func (m *memory) build(p platform.Push, story *platform.Story) error {
	files, err := p.Source.Files()
	if err != nil {
		return err
	}
	read := map[string]string{}
	for _, f := range files {
		if f.Mode == platform.Submodule {
			continue
		}
		if err := readFile(p.Source, f, read); err != nil {
			return err
		}
	}
	if !slices.IsSortedFunc(files, func(a, b platform.File) int { return strings.Compare(a.Path, b.Path) }) {
		return fmt.Errorf("the files are not in path order")
	}
	story.Line("%d files", len(files))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pushes, m.read, m.files = append(m.pushes, p), read, len(files)
	return nil
}

func readFile(source platform.Tree, f platform.File, into map[string]string) error {
	in, err := source.Open(f.ID)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer func() { _ = in.Close() }()
	var head bytes.Buffer
	if _, err := io.CopyN(&head, in, 1000); err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	if len(into) < 100 {
		into[f.Path] = head.String()
	}
	return nil
}

func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) deploys() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pushes)
}

// door is a running server with a key that may come in.
type door struct {
	*Server
	t        *testing.T
	dir      string
	addr     string
	platform *memory
	repos    *Repos
	key      string // of alice, an admin
	commands *commands
}

func newDoor(t *testing.T, change ...func(*Options)) *door {
	t.Helper()
	needs(t, "git", "ssh")
	d := &door{t: t, dir: t.TempDir(), platform: &memory{actors: map[string]platform.Actor{}, apps: map[string]platform.App{}}}
	var err error
	d.repos, err = OpenRepos(filepath.Join(d.dir, "repos"))
	must(t, err)
	d.commands = &commands{}
	o := Options{Dir: d.dir, Repos: d.repos, Platform: d.platform, Commands: d.commands}
	for _, c := range change {
		c(&o)
	}
	d.Server, err = Open(o)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	d.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		must(t, <-served)
		d.empty()
	})
	d.key = d.addKey("alice", true)
	return d
}

// empty sees that no quarantine is left.
func (d *door) empty() {
	d.t.Helper()
	left, err := os.ReadDir(d.repos.incoming())
	must(d.t, err)
	if len(left) > 0 {
		d.t.Errorf("%d quarantines are left", len(left))
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("this test needs the program %s (apt-get install git openssh-client)", p)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addKey makes a key and tells the platform whose it is.
func (d *door) addKey(name string, admin bool) string {
	d.t.Helper()
	path, fingerprint := makeKey(d.t)
	d.platform.set(func(m *memory) {
		m.actors[fingerprint] = platform.Actor{Name: name, Fingerprint: fingerprint, Admin: admin}
	})
	return path
}

func makeKey(t *testing.T) (path, fingerprint string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := gossh.MarshalPrivateKey(private, "test")
	must(t, err)
	path = filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	key, err := gossh.NewPublicKey(public)
	must(t, err)
	must(t, os.WriteFile(path+".pub", gossh.MarshalAuthorizedKey(key), 0o600))
	return path, gossh.FingerprintSHA256(key)
}

// sshArgs calls real ssh with the key, trusting exactly the server's host key.
func (d *door) sshArgs(key string) []string {
	d.t.Helper()
	host, port, err := net.SplitHostPort(d.addr)
	must(d.t, err)
	text, err := os.ReadFile(filepath.Join(d.dir, hostKeyFile))
	must(d.t, err)
	signer, err := gossh.ParsePrivateKey(text)
	must(d.t, err)
	known := filepath.Join(d.t.TempDir(), "known_hosts")
	line := fmt.Sprintf("[%s]:%s %s", host, port, gossh.MarshalAuthorizedKey(signer.PublicKey()))
	must(d.t, os.WriteFile(known, []byte(line), 0o600))
	return []string{
		"ssh", "-F", "/dev/null", "-i", key, "-p", port, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=INFO",
	}
}

func (d *door) ssh(key string, args ...string) *exec.Cmd {
	line := append(d.sshArgs(key), "paas@127.0.0.1")
	line = append(line, args...)
	return exec.Command(line[0], line[1:]...)
}

// work is a local repository whose remote "paas" is an app behind the door.
type work struct {
	*door
	dir string
	env []string
}

func (d *door) work(app string) *work { return d.workAs(d.key, app) }

func (d *door) workAs(key, app string) *work {
	d.t.Helper()
	w := &work{door: d, dir: d.t.TempDir(), env: d.gitEnv(key)}
	w.git("init", "-q", "-b", "main")
	w.git("remote", "add", "paas", "paas@127.0.0.1:"+app)
	return w
}

func (d *door) gitEnv(key string) []string {
	return append(os.Environ(), "GIT_SSH_COMMAND="+strings.Join(d.sshArgs(key), " "),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
}

func (w *work) command(args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// try runs git and returns everything it said, and whether it was content.
func (w *work) try(args ...string) (string, bool) {
	out, err := w.command(args...).CombinedOutput()
	return string(out), err == nil
}

func (w *work) git(args ...string) string {
	w.t.Helper()
	out, ok := w.try(args...)
	if !ok {
		w.t.Fatalf("git %s:\n%s", strings.Join(args, " "), out)
	}
	return strings.TrimSpace(out)
}

// refused runs git, which must fail, and returns what it said.
func (w *work) refused(args ...string) string {
	w.t.Helper()
	out, ok := w.try(args...)
	if ok {
		w.t.Fatalf("git %s went well:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// commit writes files and commits everything.
func (w *work) commit(files map[string]string) string {
	w.t.Helper()
	for name, content := range files {
		path := filepath.Join(w.dir, name)
		must(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(w.t, os.WriteFile(path, []byte(content), 0o644))
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "a commit")
	return w.git("rev-parse", "HEAD")
}

// bare is the app's repository on the server.
func (w *work) bare(app string) *work {
	a := w.platform.app(app)
	return &work{door: w.door, dir: w.repos.path(a), env: w.env}
}

func (m *memory) app(name string) platform.App {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.apps[name]
}

// sound sees that real git finds nothing wrong with the app's repository.
func (w *work) sound(app string) {
	w.t.Helper()
	out := w.bare(app).git("fsck", "--full", "--strict", "--no-dangling")
	if strings.Contains(out, "error") || strings.Contains(out, "missing") {
		w.t.Errorf("git fsck: %s", out)
	}
}

func has(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(out, s) {
			t.Errorf("%q is not in:\n%s", s, out)
		}
	}
}

func lacks(t *testing.T, out string, not ...string) {
	t.Helper()
	for _, s := range not {
		if strings.Contains(out, s) {
			t.Errorf("%q is in:\n%s", s, out)
		}
	}
}

// commands is a few verbs that exercise a session's streams.
type commands struct {
	mu    sync.Mutex
	ended []string // verbs whose ctx ended
	taken []string // what was read, and how the input ended
}

func (c *commands) cancelled() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ended)
}

func (c *commands) Watches(line string) bool { return line == "forever" }

func (c *commands) May(context.Context, platform.Actor, string, string) bool { return true }
func (c *commands) Endures(line string) bool                                 { return line == "forever" }

func (c *commands) Run(ctx context.Context, s verbs.Session, line string) int {
	split, err := verbs.Split(line)
	if err != nil || len(split) == 0 {
		split = []verbs.Word{{Text: "help"}}
	}
	words := make([]string, len(split))
	for i, w := range split {
		words[i] = w.Text
	}
	switch words[0] {
	case "words":
		for _, w := range words[1:] {
			_, _ = fmt.Fprintf(s.Stdout, "<%s>", w)
		}
	case "whoami":
		_, _ = fmt.Fprintln(s.Stdout, s.Actor.Name, s.Actor.Admin, s.Prefix)
	case "cat":
		_, _ = io.Copy(s.Stdout, s.Stdin)
	case "take":
		text, err := io.ReadAll(s.Stdin)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taken = append(c.taken, fmt.Sprint(string(text), " ", err))
	case "echo":
		_, _ = io.WriteString(s.Stdout, "ready\r\n")
		_, _ = io.Copy(s.Stdout, s.Stdin)
	case "both":
		_, _ = io.WriteString(s.Stdout, "to stdout")
		_, _ = io.WriteString(s.Stderr, "to stderr")
	case "exit":
		return 7
	case "signals":
		return tellSignals(s)
	case "terminal":
		return c.terminal(ctx, s)
	case "follow":
		_, _ = io.WriteString(s.Stdout, "following\n")
		<-ctx.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = append(c.ended, words[len(words)-1])
		return 130
	case "help":
		_, _ = io.WriteString(s.Stdout, "this is the help\n")
	}
	return 0
}

// tellSignals takes the signals over and prints them until TERM.
func tellSignals(s verbs.Session) int {
	signals := s.Signals()
	_, _ = fmt.Fprintf(s.Stdout, "ready %s %s\n", s.Env["LANG"], s.Env["PATH"])
	for name := range signals {
		_, _ = fmt.Fprintln(s.Stdout, name)
		if name == "TERM" {
			return 143
		}
	}
	return 1
}

// terminal tells the size at the start and after each change.
func (c *commands) terminal(ctx context.Context, s verbs.Session) int {
	if s.Terminal == nil {
		_, _ = io.WriteString(s.Stdout, "none\n")
		return 1
	}
	_, _ = fmt.Fprintf(s.Stdout, "%s %dx%d\r\n", s.Terminal.Term, s.Terminal.Cols, s.Terminal.Rows)
	for {
		select {
		case size, open := <-s.Terminal.Resize:
			if !open {
				return 0
			}
			_, _ = fmt.Fprintf(s.Stdout, "%dx%d\r\n", size.Cols, size.Rows)
		case <-ctx.Done():
			return 130
		}
	}
}

func (c *commands) takings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taken)
}
