package dashboard

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"paas/platform"
	"paas/verbs"
)

// table is two apps, of which the actor may only look at.
type table struct {
	may bool

	mu  sync.Mutex
	ran []string
}

func (c *table) May(context.Context, platform.Actor, string, string) bool { return c.may }

func (c *table) Run(ctx context.Context, s verbs.Session, line string) int {
	c.mu.Lock()
	c.ran = append(c.ran, line)
	c.mu.Unlock()
	switch {
	case line == "apps:list --json":
		_, _ = io.WriteString(s.Stdout, `[{"name":"blog","status":"running","formation":{"web":1}},{"name":"shop","status":"stopped"}]`)
	case strings.HasPrefix(line, "logs"):
		_, _ = io.WriteString(s.Stdout, "\x1b]0;owned\x07one\x1b[2J\ntwo\n")
		<-ctx.Done()
	case strings.HasPrefix(line, "why"):
		_, _ = io.WriteString(s.Stdout, "blog serves v1\n")
	case strings.HasPrefix(line, "config:show"):
		_, _ = io.WriteString(s.Stdout, `{"config":{"KEY":"secretvalue"}}`)
	}
	return 0
}

func (c *table) called(prefix string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.ran {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// shown is a terminal that keeps what was drawn.
type shown struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *shown) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shown) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func open(t *testing.T, c *table, environ ...string) (screen *shown, typed io.Writer, exit <-chan int) {
	t.Helper()
	screen = &shown{}
	env := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	in, out := io.Pipe()
	t.Cleanup(func() { _ = out.Close() })
	code := make(chan int, 1)
	s := verbs.Session{
		Actor: platform.Actor{Name: "bob"}, Stdin: in, Stdout: screen, Stderr: screen, Prefix: "ssh paas", Env: env,
		Terminal: &platform.Terminal{Term: "xterm-256color", Cols: 100, Rows: 30},
	}
	go func() { code <- Run(t.Context(), s, c) }()
	return screen, out, code
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// Who may only look is offered no action, and has none; q ends with 0.
func TestActionsAreHiddenFromWhoMayNot(t *testing.T) {
	c := &table{}
	screen, typed, exit := open(t, c, "NO_COLOR=1", "LANG=C")
	eventually(t, "the overview", func() bool { return strings.Contains(screen.String(), "blog serves v1") })
	for _, key := range []string{"R", "s", "b"} {
		_, _ = io.WriteString(typed, key)
	}
	_, _ = io.WriteString(typed, "blog\rq")
	if code := <-exit; code != 0 {
		t.Errorf("status %d", code)
	}
	if text := screen.String(); strings.Contains(text, "R restart") || strings.Contains(text, "Type blog") || strings.Contains(text, "\x1b[32m") || strings.Contains(text, "│") {
		t.Errorf("%q", text)
	}
	if c.called("ps:restart") || c.called("rollback") {
		t.Errorf("ran %q", c.ran)
	}
}

// What an app writes does not drive the terminal, and values of config vars are not on the screen.
func TestAppsDoNotDriveTheTerminal(t *testing.T) {
	c := &table{may: true}
	screen, typed, exit := open(t, c)
	eventually(t, "the overview", func() bool { return strings.Contains(screen.String(), "blog serves v1") })
	_, _ = io.WriteString(typed, "l")
	eventually(t, "the log", func() bool { return strings.Contains(screen.String(), "two") })
	_, _ = io.WriteString(typed, "e")
	eventually(t, "the names", func() bool { return strings.Contains(screen.String(), "KEY") })
	_, _ = io.WriteString(typed, "\x03")
	if code := <-exit; code != interrupted {
		t.Errorf("status %d", code)
	}
	if text := screen.String(); strings.Contains(text, "owned") || strings.Contains(text, "secretvalue") {
		t.Errorf("%q", text)
	}
}

func TestKeysAsk(t *testing.T) {
	c := &table{may: true}
	m := newModel(caller{ctx: t.Context(), session: verbs.Session{Terminal: &platform.Terminal{}}, commands: c}, true)
	m.width, m.height = 100, 30
	m.apps, m.chosen, m.may = []app{{Name: "blog"}}, "blog", map[string]bool{"ps:scale": true, "ps:restart": true}
	typeIn := func(text string) (cmd tea.Cmd) {
		for _, r := range text {
			key := tea.Key{Code: r, Text: string(r)}
			if r == '\r' {
				key = tea.Key{Code: tea.KeyEnter}
			}
			cmd = m.press(tea.KeyPressMsg(key))
		}
		return cmd
	}
	typeIn("Rnope\r")
	if m.busy != "" || !strings.Contains(m.note, "Nothing was done") {
		t.Errorf("busy with %q, %q", m.busy, m.note)
	}
	typeIn("b")
	if m.prompt != nil {
		t.Error("a rollback that is not allowed asks")
	}
	typeIn("sweb=0 ';x\r")
	if m.prompt == nil || m.prompt.want != "blog" {
		t.Fatalf("scaling to nothing does not ask: %+v", m.prompt)
	}
	if cmd := typeIn("blog\r"); cmd == nil || m.busy != `ps:scale blog 'web=0' ''\'';x'` {
		t.Errorf("busy with %q", m.busy)
	}
	m.width = 79
	if !strings.Contains(m.screen(), "needs 80x24") {
		t.Error(m.screen())
	}
}

func TestTerminals(t *testing.T) {
	for term, fits := range map[string]bool{"": false, "dumb": false, "xterm": true, "screen-256color": true} {
		if Fits(&platform.Terminal{Term: term}) != fits {
			t.Error(term)
		}
	}
	s := verbs.Session{Env: map[string]string{"NO_COLOR": "1"}, Terminal: &platform.Terminal{Term: "xterm-256color"}}
	if p := profile(s); p != colorprofile.ASCII {
		t.Error(p)
	}
	if s.Env = nil; Fits(nil) || profile(s) == colorprofile.ASCII {
		t.Error(profile(s))
	}
}
