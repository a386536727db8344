// Package dashboard is what a person at a terminal sees who gives no command: the apps on the left, one of them on the
// right. It knows nothing but what verbs tell it, and does nothing but call them as the same actor.
//
//	keys ──► model ──► command ──► verbs.Table.Run(… --json) ──► message ──► model ──► screen
package dashboard

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"paas/platform"
	"paas/verbs"
)

// Commands runs verbs.
type Commands interface {
	// Run carries out one command line and returns its exit status. It blocks until the command is over, which the
	// end of ctx makes soon.
	Run(ctx context.Context, s verbs.Session, line string) (exit int)
	// May tells whether the actor may use a verb for an app. It may block on the disk for a moment.
	May(ctx context.Context, actor platform.Actor, verb, app string) bool
}

// Fits tells whether a terminal can show it.
func Fits(t *platform.Terminal) bool {
	return t != nil && t.Term != "" && t.Term != "dumb"
}

// framesPerSecond is enough for people, and little for a slow connection.
const framesPerSecond = 20

// interrupted is the exit status after Ctrl-C, as a shell has it.
const interrupted = 130

// Run shows it until its user quits, the channel closes, or ctx ends, and returns the exit status. The session has a
// terminal.
func Run(ctx context.Context, s verbs.Session, c Commands) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	caller := caller{ctx: ctx, session: s, commands: c}
	m := newModel(caller, verbs.UTF8(s.Env))
	m.width, m.height = s.Terminal.Cols, s.Terminal.Rows
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(s.Stdin), tea.WithOutput(lines{s.Stdout}),
		tea.WithEnvironment(environ(s)), tea.WithColorProfile(profile(s)),
		tea.WithWindowSize(m.width, m.height), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	go resize(ctx, p, s.Terminal.Resize)
	end, err := p.Run()
	m, ok := end.(*model)
	if err != nil || !ok || m.quit == "ctrl+c" {
		return interrupted
	}
	return 0
}

// profile is how many colours the terminal has, none if its user wants none.
func profile(s verbs.Session) colorprofile.Profile {
	if s.Env["NO_COLOR"] != "" {
		return colorprofile.ASCII
	}
	return colorprofile.Env(append(environ(s), "TTY_FORCE=1"))
}

// environ is what the caller's terminal is like, as its environment would say.
func environ(s verbs.Session) []string {
	list := []string{"TERM=" + s.Terminal.Term}
	for name, value := range s.Env {
		list = append(list, name+"="+value)
	}
	return list
}

// resize passes changes of the terminal's size on until it closes.
func resize(ctx context.Context, p *tea.Program, sizes <-chan platform.Size) {
	for {
		select {
		case size, open := <-sizes:
			if !open {
				return
			}
			p.Send(tea.WindowSizeMsg{Width: size.Cols, Height: size.Rows})
		case <-ctx.Done():
			return
		}
	}
}

// lines ends lines as a raw terminal needs it: what draws believes that the terminal does.
type lines struct{ w io.Writer }

func (l lines) Write(p []byte) (int, error) {
	text := strings.ReplaceAll(strings.ReplaceAll(string(p), "\r\n", "\n"), "\n", "\r\n")
	if _, err := io.WriteString(l.w, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// caller calls verbs as the session's actor.
type caller struct {
	ctx      context.Context //nolint:containedctx // of the session; a model's commands have no other
	session  verbs.Session
	commands Commands
}

// callTime bounds one look: a screen that stands still for longer is not believed.
const callTime = 20 * time.Second

// errRefused is for a verb that failed; its sentence is what it wrote.
var errRefused = errors.New("refused")

// look runs a verb that reads, and returns what it wrote. cols makes it align tables to a terminal so wide; with 0 it
// writes what programs read.
func (c caller) look(line string, cols int) (string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	var out, trouble strings.Builder
	s := c.session
	s.Stdin, s.Stdout, s.Stderr, s.Terminal = nil, &out, &trouble, nil
	if cols > 0 {
		s.Terminal = &platform.Terminal{Term: "dumb", Cols: cols, Rows: leastHeight}
	}
	if code := c.commands.Run(ctx, s, line); code != 0 && out.Len() == 0 {
		return clean(trouble.String()), errRefused
	}
	return out.String(), nil
}

// act runs a verb that changes something, and tells in a line how it ended.
func (c caller) act(line string) tea.Cmd {
	return func() tea.Msg {
		var out, trouble strings.Builder
		s := c.session
		s.Stdin, s.Stdout, s.Stderr, s.Terminal = nil, &out, &trouble, nil
		if code := c.commands.Run(c.ctx, s, line); code != 0 {
			return doneMsg{line + ": " + sentence(clean(trouble.String()))}
		}
		return doneMsg{strings.Join(append(strings.Fields(clean(out.String())), "(done)"), " ")}
	}
}

// sentence finds what went wrong in what a verb wrote: the lines that are marked as trouble.
func sentence(text string) string {
	var marked []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "!"); ok {
			marked = append(marked, strings.Fields(rest)...)
		}
	}
	if len(marked) == 0 {
		return strings.Join(strings.Fields(text), " ")
	}
	return strings.Join(marked, " ")
}
