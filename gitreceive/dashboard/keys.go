package dashboard

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// prompt asks for a line before something is done.
type prompt struct {
	question string
	typed    string
	want     string                     // what must be typed; "": anything
	do       func(typed string) tea.Cmd // with what was typed
}

// press does what a key means.
func (m *model) press(key tea.KeyPressMsg) tea.Cmd {
	name := key.String()
	switch {
	case name == "ctrl+c":
		return m.leave(name)
	case m.small():
		if name == "q" {
			return m.leave(name)
		}
		return nil
	case m.prompt != nil:
		return m.answer(key)
	case m.help:
		m.help = false
		return nil
	}
	if cmd, known := m.move(name); known {
		return cmd
	}
	return m.command(name)
}

func (m *model) leave(key string) tea.Cmd {
	if m.stop != nil {
		m.stop()
	}
	m.quit = key
	return tea.Quit
}

// move is for keys that change what is shown.
func (m *model) move(name string) (tea.Cmd, bool) {
	switch name {
	case "up", "k":
		return m.step(-1), true
	case "down", "j":
		return m.step(1), true
	case "right", "tab":
		return m.turn((m.tab + 1) % tab(len(tabNames))), true
	case "left", "shift+tab":
		return m.turn((m.tab + tab(len(tabNames)) - 1) % tab(len(tabNames))), true
	case "enter":
		return m.turn(overview), true
	case "l":
		return m.turn(logs), true
	case "d":
		return m.turn(deploys), true
	case "e":
		return m.turn(env), true
	case "pgup":
		m.scroll(-m.rows())
		return nil, true
	case "pgdown", "space":
		m.scroll(m.rows())
		return nil, true
	}
	return nil, false
}

// step chooses the app before or after.
func (m *model) step(by int) tea.Cmd {
	at := m.index() + by
	if at < 0 || at >= len(m.apps) {
		return nil
	}
	return m.choose(m.apps[at].Name)
}

// scroll moves in the tab. A log whose end is reached stays there.
func (m *model) scroll(by int) {
	last := max(0, len(m.pane)-m.rows())
	if m.tail && m.tab == logs {
		m.top = last
	}
	m.top = min(max(0, m.top+by), last)
	m.tail = m.top == last
}

// command is for keys that do something.
func (m *model) command(name string) tea.Cmd {
	switch name {
	case "q":
		return m.leave(name)
	case "?":
		m.help = true
	case "s":
		m.scale()
	case "R":
		m.restart()
	case "b":
		m.rollback()
	case "o":
		m.open()
	}
	return nil
}

// allowed tells whether an action is offered: one at a time, to who may.
func (m *model) allowed(verb string) bool { return m.chosen != "" && m.busy == "" && m.may[verb] }

func (m *model) scale() {
	if !m.allowed("ps:scale") {
		return
	}
	name := m.chosen
	m.prompt = &prompt{question: fmt.Sprintf("Scale %s to (like web=2 worker=1): ", name), do: func(typed string) tea.Cmd {
		if typed == "" {
			return nil
		}
		line := fmt.Sprintf("ps:scale %s %s", name, quoteAll(typed))
		if strings.Contains(typed, "=0") {
			m.confirm(fmt.Sprintf("That stops processes of %s.", name), name, line)
			return nil
		}
		return m.begin(line)
	}}
}

func (m *model) restart() {
	if m.allowed("ps:restart") {
		m.confirm(fmt.Sprintf("This replaces every instance of %s.", m.chosen), m.chosen, "ps:restart "+m.chosen)
	}
}

func (m *model) rollback() {
	if m.allowed("rollback") {
		m.confirm(fmt.Sprintf("This puts the release before the current one of %s live, with its config.", m.chosen), m.chosen, "rollback "+m.chosen)
	}
}

// confirm asks for the app's name.
func (m *model) confirm(what, app, line string) {
	m.prompt = &prompt{question: fmt.Sprintf("%s Type %s to go on: ", what, app), want: app, do: func(string) tea.Cmd { return m.begin(line) }}
}

func (m *model) begin(line string) tea.Cmd {
	m.busy, m.note = line, ""
	return m.caller.act(line)
}

// open tells the address: the terminal is somewhere else than the server, and may open it.
func (m *model) open() {
	if i := m.index(); i >= 0 {
		m.note = m.apps[i].URL
	}
}

const maxTyped = 200 // characters

// answer takes a key of a line that is typed.
func (m *model) answer(key tea.KeyPressMsg) tea.Cmd {
	p := m.prompt
	switch name := key.String(); name {
	case "esc":
		m.prompt = nil
	case "enter":
		m.prompt = nil
		if p.want != "" && p.typed != p.want {
			m.note = "Nothing was done: that is not " + p.want + "."
			return nil
		}
		return p.do(strings.TrimSpace(p.typed))
	case "backspace":
		if r := []rune(p.typed); len(r) > 0 {
			p.typed = string(r[:len(r)-1])
		}
	case "ctrl+u":
		p.typed = ""
	default:
		if len(p.typed) < maxTyped {
			p.typed += clean(key.Text)
		}
	}
	return nil
}

// quoteAll keeps what was typed words of one verb.
func quoteAll(typed string) string {
	var words []string
	for _, w := range strings.Fields(typed) {
		words = append(words, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}
