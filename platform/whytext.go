package platform

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// How much of the evidence `why` shows, so that all of it fits on a screen: lines of the worst trouble's output,
// of each other's, and how many troubles.
const (
	screenOutput  = 10
	otherOutput   = 2
	screenTrouble = 6
)

// Symbolic marks outputs whose first characters on a line are ✓, ! or ✗, for terminals that have no such letters.
type Symbolic interface{ Symbolic() }

// Symbolic implements the interface of that name.
func (Why) Symbolic() {}

// Text implements the verbs' output.
func (w Why) Text(out io.Writer) error {
	var b strings.Builder
	if w.platform {
		w.textOfPlatform(&b, out)
	} else {
		w.textOfApp(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (w Why) textOfApp(b *strings.Builder) {
	a := w.AppWhy
	fmt.Fprintf(b, "%s\n", a.Summary)
	for n, t := range a.Troubles {
		if n == screenTrouble {
			fmt.Fprintf(b, "  and %d more: ssh paas why %s --json\n", len(a.Troubles)-n, a.App)
			break
		}
		lines := otherOutput
		if n == 0 {
			lines = screenOutput
		}
		t.write(b, w.now, lines)
	}
	a.writeChanges(b, w.now)
	for _, note := range a.Notes {
		fmt.Fprintf(b, "  %s\n", note)
	}
	if r := a.Requests; r.Failed > 0 {
		fmt.Fprintf(b, "  requests: %d answered, %d of them with 5xx, %d in flight; see them: ssh paas logs %s -p router\n", r.Answered, r.Failed, r.InFlight, a.App)
	}
	if a.Well && len(a.Troubles) == 0 && a.State != StateDeploying && a.State != StateStarting {
		fmt.Fprintf(b, "✓ nothing is wrong with it\n")
	}
}

// write is one trouble: the sentence, the evidence, what to type.
func (t Trouble) write(b *strings.Builder, now time.Time, lines int) {
	mark := "✗"
	if t.Over {
		mark = "!"
	}
	fmt.Fprintf(b, "%s %s\n", mark, t.sentence(now))
	for _, line := range t.evidence(lines) {
		fmt.Fprintf(b, "    %s\n", line)
	}
	if t.Fix != "" {
		fmt.Fprintf(b, "  → %s\n", t.Fix)
	}
}

// sentence is what happened, to what, when, how often.
func (t Trouble) sentence(now time.Time) string {
	text := t.Text
	if t.Change != "" {
		what := t.Change
		if t.Release > 0 {
			what += fmt.Sprintf(" (v%d)", t.Release)
		}
		if t.Actor != "" {
			what += " by " + t.Actor
		}
		text = what + " failed: " + text
	}
	var when []string
	if t.Times > 1 {
		when = append(when, fmt.Sprintf("%d times", t.Times))
	}
	if !t.At.IsZero() {
		when = append(when, roughly(now.Sub(t.At))+" ago")
	}
	if t.Next != nil && t.Next.After(now) {
		when = append(when, "next try in "+Seconds(t.Next.Sub(now)))
	}
	if t.Over && t.Process != "" && t.Code != TroubleMemory {
		when = append(when, "runs again")
	}
	if len(when) == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, strings.Join(when, ", "))
}

// evidence is what the process itself said and did, at most so many lines of its output.
func (t Trouble) evidence(lines int) (list []string) {
	list = append(list, t.Check...)
	output := t.Output[max(0, len(t.Output)-lines):]
	if len(output) == 0 {
		return list
	}
	title := "its last output:"
	if left := len(t.Output) - len(output); left > 0 {
		title = fmt.Sprintf("its last output (%d lines before it):", left)
	}
	list = append(list, title)
	for _, line := range output {
		list = append(list, "  "+cut(line, widestLine))
	}
	return list
}

// widestLine is how much of a line of output is shown, in bytes: a minified script would fill the screen.
const widestLine = 300

func cut(line string, most int) string {
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + " …"
}

func (a *AppWhy) writeChanges(b *strings.Builder, now time.Time) {
	if a.Changes == nil {
		return
	}
	if text := a.Changes.text(); text != "" {
		fmt.Fprintf(b, "  since v%d: %s\n", a.Changes.From, text)
	}
	for _, e := range a.Changes.Others {
		by := ""
		if e.Actor != "" {
			by = " by " + e.Actor
		}
		fmt.Fprintf(b, "  %s ago%s: %s\n", roughly(now.Sub(e.At)), by, printable(e.Text))
	}
}

func (w Why) textOfPlatform(b *strings.Builder, out io.Writer) {
	for _, n := range w.Apps {
		fmt.Fprintf(b, "✗ %s; more: ssh paas why %s\n", n.Summary, n.App)
	}
	for _, f := range w.Host {
		f.write(b, out)
	}
	if len(w.Apps)+len(w.Host) == 0 {
		fmt.Fprintln(b, "✓ every app is as it should be, and nothing is wrong with the platform")
	}
}
