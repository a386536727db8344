package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
)

// app is one line of the list.
type app struct {
	Name      string         `json:"name"`
	Status    string         `json:"status"`
	Release   int            `json:"release"`
	URL       string         `json:"url"`
	Formation map[string]int `json:"formation"`
}

// usage is what an app uses, and when it was deployed.
type usage struct {
	cpu      float64 // percent of one processor
	memory   int64   // bytes
	up       int
	release  int
	deployed time.Time
}

// What messages bring.
type (
	appsMsg struct {
		list []app
		err  string
	}
	usageMsg struct {
		app string
		usage
	}
	paneMsg struct {
		app  string
		tab  tab
		text string
	}
	logMsg struct {
		app  string
		text string
	}
	doneMsg  struct{ text string } // an action is over
	seenMsg  struct{}              // all usages were looked at
	tickMsg  struct{}
	rightMsg struct {
		app string
		may map[string]bool
	}
)

// every is between two looks at the apps.
const every = 3 * time.Second

func tick() tea.Cmd { return tea.Tick(every, func(time.Time) tea.Msg { return tickMsg{} }) }

func (c caller) apps() tea.Msg {
	text, err := c.look("apps:list --json", 0)
	if err != nil {
		return appsMsg{err: text}
	}
	var list []app
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return appsMsg{err: "what apps:list says is not understood"}
	}
	return appsMsg{list: list}
}

// usage of one app. A release's date does not change, so it is asked for once.
func (c caller) usage(a app, known usage) tea.Cmd {
	return func() tea.Msg {
		u := usage{release: a.Release, deployed: known.deployed}
		if known.release != a.Release {
			u.deployed = c.deployed(a)
		}
		text, err := c.look("ps:stats "+a.Name+" --json", 0)
		if err != nil {
			return usageMsg{a.Name, u}
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		for {
			var one struct {
				CPU    float64 `json:"cpu_percent"`
				Memory int64   `json:"memory_bytes"`
			}
			if decoder.Decode(&one) != nil {
				return usageMsg{a.Name, u}
			}
			u.up++
			u.cpu += one.CPU
			u.memory += one.Memory
		}
	}
}

func (c caller) deployed(a app) time.Time {
	text, err := c.look("releases "+a.Name+" --json", 0)
	if err != nil {
		return time.Time{}
	}
	var list []struct {
		Release   int       `json:"release"`
		CreatedAt time.Time `json:"created_at"`
	}
	_ = json.Unmarshal([]byte(text), &list) // without a date the column stays empty
	for _, r := range list {
		if r.Release == a.Release {
			return r.CreatedAt
		}
	}
	return time.Time{}
}

// actions are the verbs that keys call, and that are hidden from who may not use them.
var actions = []string{"ps:scale", "ps:restart", "rollback"}

func (c caller) rights(app string) tea.Cmd {
	return func() tea.Msg {
		may := map[string]bool{}
		for _, verb := range actions {
			may[verb] = c.commands.May(c.ctx, c.session.Actor, verb, app)
		}
		return rightMsg{app, may}
	}
}

// pane is what a tab shows. Logs come by themselves.
func (c caller) pane(app string, t tab, cols int) tea.Cmd {
	return func() tea.Msg {
		switch t {
		case overview:
			why, _ := c.look("why "+app, cols) // a refusal is text as well
			ps, _ := c.look("ps "+app, cols)
			return paneMsg{app, t, why + "\n" + ps}
		case deploys:
			text, _ := c.look("releases "+app, cols)
			return paneMsg{app, t, text}
		case env:
			return paneMsg{app, t, c.keys(app)}
		}
		return nil
	}
}

// keys are the names of an app's config vars, and never a value.
func (c caller) keys(app string) string {
	text, err := c.look("config:show "+app+" --json", 0)
	if err != nil {
		return text
	}
	var config struct {
		Vars map[string]any `json:"config"`
	}
	if json.Unmarshal([]byte(text), &config) != nil {
		return "what config:show says is not understood"
	}
	if len(config.Vars) == 0 {
		return fmt.Sprintf("%s has no config vars.\nSet one: %s config:set %s KEY=value", app, c.session.Prefix, app)
	}
	return strings.Join(slices.Sorted(maps.Keys(config.Vars)), "\n")
}

// logLines is how many lines of a log are shown from before, and kept.
const (
	logLines = 200
	keptLog  = 2000
)

// follow streams an app's log until stop is called. Lines come as messages, one after the other: whoever has shown one
// asks for the next.
func (c caller) follow(app string) (next tea.Cmd, stop func()) {
	ctx, cancel := contextOf(c)
	lines := &feed{fresh: make(chan struct{}, 1)}
	go func() { // ends with ctx
		s := c.session
		s.Stdin, s.Stdout, s.Stderr, s.Terminal = nil, lines, lines, nil
		c.commands.Run(ctx, s, fmt.Sprintf("logs %s -n %d -f", app, logLines))
	}()
	return func() tea.Msg {
		select {
		case <-lines.fresh:
			return logMsg{app, lines.take()}
		case <-ctx.Done():
			return nil
		}
	}, cancel
}

// feed keeps what was written until it is taken; of too much, the end.
type feed struct {
	fresh chan struct{}

	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*feed)(nil)

const maxFeed = 1 << 20 // bytes

func (f *feed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = append(f.text, p...)
	if n := len(f.text); n > maxFeed {
		f.text = append(f.text[:0], f.text[n-maxFeed/2:]...)
	}
	select {
	case f.fresh <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (f *feed) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := string(f.text)
	f.text = f.text[:0]
	return text
}
