package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"paas/platform"
)

// The smallest screen that it fits on, and how much of it the list takes.
const (
	leastWidth  = 80
	leastHeight = 24
	leftWidth   = 44
	chrome      = 4 // lines that are not the list: title, tabs, status, keys
)

func (m *model) small() bool { return m.width < leastWidth || m.height < leastHeight }

// right is how wide the tab is.
func (m *model) right() int { return max(m.width-leftWidth-3, 20) }

// rows is how many lines the list and the tab have.
func (m *model) rows() int { return max(m.height-chrome, 1) }

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	return v
}

func (m *model) screen() string {
	switch {
	case m.small():
		return fmt.Sprintf("The dashboard needs %dx%d characters,\nand this terminal has %dx%d.\nMake it larger, or press q.", leastWidth, leastHeight, m.width, m.height)
	case m.help:
		return m.helpScreen()
	}
	left, right := m.list(), m.page()
	bar := " │ "
	if !m.utf8 {
		bar = " | "
	}
	out := []string{m.titles(bar)}
	for i := range m.rows() + 1 {
		out = append(out, pad(at(left, i), leftWidth)+bar+ansi.Truncate(at(right, i), m.right(), ""))
	}
	return strings.Join(append(out, m.status(), m.footer()), "\n")
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func pad(text string, width int) string {
	text = ansi.Truncate(text, width, "")
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// Styles: the terminal's own colours, which are left out where there are none.
func bold(text string) string    { return "\x1b[1m" + text + "\x1b[22m" }
func inverse(text string) string { return "\x1b[7m" + text + "\x1b[27m" }
func red(text string) string     { return "\x1b[31m" + text + "\x1b[39m" }
func green(text string) string   { return "\x1b[32m" + text + "\x1b[39m" }
func dim(text string) string     { return "\x1b[2m" + text + "\x1b[22m" }

func (m *model) titles(bar string) string {
	var tabs []string
	for i, name := range tabNames {
		if tab(i) == m.tab {
			name = inverse(" " + name + " ")
		} else {
			name = " " + name + " "
		}
		tabs = append(tabs, name)
	}
	title := fmt.Sprintf("paas  %s, %s", plural(len(m.apps), "app"), m.session.Actor.Name)
	return pad(bold(clean(title)), leftWidth) + bar + strings.Join(tabs, "")
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// visible are the apps that fit on the screen, around the chosen one.
func (m *model) visible() []app {
	n := m.rows()
	first := min(max(m.index()-n+1, 0), max(len(m.apps)-n, 0))
	return m.apps[first:min(first+n, len(m.apps))]
}

// list is the left side.
func (m *model) list() []string {
	out := []string{dim(fmt.Sprintf("  %-14s %-9s %4s %6s %3s", "APP", "STATUS", "CPU", "MEM", "UP"))}
	if m.trouble != "" {
		return append(out, strings.Split(m.trouble, "\n")...)
	}
	if len(m.apps) == 0 {
		return append(out, "  no app yet: git push paas main")
	}
	for _, a := range m.visible() {
		line := m.line(a)
		if a.Name == m.chosen {
			line = inverse(pad("> "+ansi.Strip(line), leftWidth))
		} else {
			line = "  " + line
		}
		out = append(out, line)
	}
	return out
}

func (m *model) line(a app) string {
	u, known := m.usages[a.Name]
	cpu, memory, up := "", "", fmt.Sprint(sum(a.Formation))
	if known && u.up > 0 {
		cpu, memory = fmt.Sprintf("%.0f%%", u.cpu), strings.ReplaceAll(platform.Bytes(u.memory), "iB", "")
		memory = strings.ReplaceAll(memory, " ", "")
	}
	if known {
		up = fmt.Sprintf("%d/%d", u.up, sum(a.Formation))
	}
	status := fmt.Sprintf("%-9s", ansi.Truncate(clean(a.Status), 9, ""))
	switch a.Status {
	case "running":
		status = green(status)
	case "no web instance":
		status = red(fmt.Sprintf("%-9s", "down"))
	}
	return fmt.Sprintf("%-14s %s %4s %6s %3s %s", ansi.Truncate(a.Name, 14, ""), status, cpu, memory, up, ago(u.deployed))
}

func sum(formation map[string]int) (n int) {
	for v := range maps.Values(formation) {
		n += v
	}
	return n
}

func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// page is the right side. A log's end is shown; long lines of text are folded.
func (m *model) page() []string {
	lines := m.pane
	if m.tab != logs {
		lines = folded(lines, m.right())
	}
	if len(lines) == 0 {
		lines = []string{dim("…")}
		if !m.utf8 {
			lines = []string{"..."}
		}
	}
	top := min(m.top, max(0, len(lines)-m.rows()))
	if m.tab == logs && m.tail {
		top = max(0, len(lines)-m.rows())
	}
	head := dim(ansi.Truncate(m.chosen, m.right(), ""))
	return append([]string{head}, lines[top:min(top+m.rows(), len(lines))]...)
}

func folded(list []string, width int) (out []string) {
	for _, line := range list {
		out = append(out, strings.Split(ansi.Hardwrap(line, width, true), "\n")...)
	}
	return out
}

// status is the line above the keys: what is asked, done, or was done.
func (m *model) status() string {
	switch {
	case m.prompt != nil:
		return ansi.TruncateLeft(m.prompt.question+m.prompt.typed+"_", max(0, ansi.StringWidth(m.prompt.question+m.prompt.typed)+1-m.width), "")
	case m.busy != "":
		return pad("doing it: "+m.busy, m.width)
	}
	return ansi.Truncate(m.note, m.width, "")
}

// footer is the keys that mean something now.
func (m *model) footer() string {
	keys := []string{"↑↓ app", "enter overview", "l logs", "d deploys", "e env"}
	if !m.utf8 {
		keys[0] = "up/down app"
	}
	for _, a := range []struct{ verb, key string }{{"ps:scale", "s scale"}, {"ps:restart", "R restart"}, {"rollback", "b rollback"}} {
		if m.may[a.verb] {
			keys = append(keys, a.key)
		}
	}
	return dim(ansi.Truncate(strings.Join(append(keys, "o open", "? help", "q quit"), "  "), m.width, ""))
}

func (m *model) helpScreen() string {
	rows := [][2]string{
		{"up, down", "choose an app"}, {"enter", "its overview: why it is as it is, and its processes"},
		{"l", "its log, as it comes"}, {"d", "its deploys: releases, newest first"}, {"e", "the names of its config vars"},
		{"left, right", "the tab before, the next one"}, {"page up, page down", "move in the tab"},
		{"o", "show its address"}, {"?", "this"}, {"q, Ctrl-C", "quit"},
	}
	for _, a := range []struct{ verb, key, what string }{
		{"ps:scale", "s", "change how many processes run"}, {"ps:restart", "R", "restart it"}, {"rollback", "b", "go back to the release before"},
	} {
		if m.may[a.verb] {
			rows = slices.Insert(rows, len(rows)-3, [2]string{a.key, a.what})
		}
	}
	out := []string{bold("Keys"), ""}
	for _, r := range rows {
		out = append(out, fmt.Sprintf("  %-20s %s", r[0], r[1]))
	}
	return strings.Join(append(out, "", "  Every one is a verb: "+m.session.Prefix+" help. Any key goes back."), "\n")
}

// clean keeps letters and line ends: what an app writes must not drive the terminal.
func clean(text string) string {
	text = strings.ReplaceAll(ansi.Strip(text), "\t", "  ")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}
