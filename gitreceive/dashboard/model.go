package dashboard

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// tab is one of the pages about an app.
type tab int

const (
	overview tab = iota
	logs
	deploys
	env
)

var tabNames = [...]string{"Overview", "Logs", "Deploys", "Env"}

// model is what is on the screen.
type model struct {
	caller
	utf8          bool
	width, height int

	apps    []app
	usages  map[string]usage
	looking bool   // at what they use
	chosen  string // app
	tab     tab
	pane    []string // lines of the tab
	top     int      // first line that is shown
	tail    bool     // the log stays at its end
	stop    func()   // ends the log that is followed; may be nil
	next    tea.Cmd  // the log's next lines
	may     map[string]bool
	prompt  *prompt
	help    bool
	busy    string // the action that is under way
	note    string // what the last action came to
	trouble string // why there are no apps
	quit    string // the key that ended it
}

func newModel(c caller, utf8 bool) *model {
	return &model{caller: c, utf8: utf8, usages: map[string]usage{}, tail: true}
}

func contextOf(c caller) (context.Context, context.CancelFunc) { return context.WithCancel(c.ctx) }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return tea.Batch(m.caller.apps, tick()) }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m, m.load()
	case tea.KeyPressMsg:
		return m, m.press(msg)
	case tickMsg:
		return m, tea.Batch(m.caller.apps, tick())
	case appsMsg:
		return m, m.setApps(msg)
	case usageMsg:
		m.usages[msg.app] = msg.usage
	case seenMsg:
		m.looking = false
	case rightMsg:
		if msg.app == m.chosen {
			m.may = msg.may
		}
	case paneMsg:
		if msg.app == m.chosen && msg.tab == m.tab {
			m.pane = splitLines(msg.text)
		}
	case logMsg:
		return m, m.addLog(msg)
	case doneMsg:
		m.busy, m.note = "", msg.text
		return m, tea.Batch(m.caller.apps, m.load())
	}
	return m, nil
}

// setApps keeps the chosen one chosen, and looks at those that are on the screen.
func (m *model) setApps(msg appsMsg) tea.Cmd {
	m.apps, m.trouble = msg.list, msg.err
	var cmds []tea.Cmd
	if m.index() < 0 {
		m.chosen = ""
		if len(m.apps) > 0 {
			cmds = append(cmds, m.choose(m.apps[0].Name))
		}
	} else if m.tab != logs {
		cmds = append(cmds, m.load())
	}
	return tea.Batch(append(cmds, m.measure())...)
}

// measure looks at what apps use, one after the other: an overview of many shall not be felt.
func (m *model) measure() tea.Cmd {
	if m.looking {
		return nil
	}
	m.looking = true
	var cmds []tea.Cmd
	for _, a := range m.visible() {
		cmds = append(cmds, m.caller.usage(a, m.usages[a.Name]))
	}
	return tea.Sequence(append(cmds, func() tea.Msg { return seenMsg{} })...)
}

func (m *model) index() int {
	return slices.IndexFunc(m.apps, func(a app) bool { return a.Name == m.chosen })
}

// choose turns to another app.
func (m *model) choose(name string) tea.Cmd {
	m.chosen, m.may, m.note = name, nil, ""
	return tea.Batch(m.caller.rights(name), m.turn(m.tab))
}

// turn shows another tab.
func (m *model) turn(t tab) tea.Cmd {
	if m.stop != nil {
		m.stop()
		m.stop, m.next = nil, nil
	}
	m.tab, m.pane, m.top, m.tail = t, nil, 0, true
	if m.chosen == "" {
		return nil
	}
	if t == logs {
		m.next, m.stop = m.caller.follow(m.chosen)
		return m.next
	}
	return m.load()
}

// load fills the tab anew.
func (m *model) load() tea.Cmd {
	if m.chosen == "" || m.tab == logs {
		return nil
	}
	return m.caller.pane(m.chosen, m.tab, m.right())
}

func (m *model) addLog(msg logMsg) tea.Cmd {
	if msg.app != m.chosen || m.tab != logs {
		return nil
	}
	m.pane = append(m.pane, splitLines(msg.text)...)
	if n := len(m.pane); n > keptLog {
		m.pane = m.pane[n-keptLog:]
	}
	return m.next
}

func splitLines(text string) []string {
	return strings.Split(strings.TrimRight(clean(text), "\n"), "\n")
}
