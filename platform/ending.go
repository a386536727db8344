package platform

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The exit statuses that a shell ends with when it could not execute a command (POSIX, Shell Command
// Language, 2.8.2).
const (
	statusNotExecutable = 126
	statusNotFound      = 127
)

// missingProgram finds the name in what dash, bash, env and busybox say of a command that is not there.
var missingProgram = regexp.MustCompile(`(?:^|[:\s])(?:exec: )?([^\s:]+): (?:command not found|not found|No such file or directory)$`)

// ending is what is known of how a process ended, and what its words and its command tell beside.
type ending struct {
	app     AppName
	typ     ProcessType
	name    string // "web.1", or "the release command"
	command string
	exit    *Exit
	output  []string
}

// trouble tells what sort of end it was, in a sentence, with what to type.
func (e ending) trouble() Trouble {
	t := Trouble{Code: TroubleExit, Process: e.name, Exit: exitView(e.exit), Output: e.output}
	t.Text, t.Fix = e.name+" ended", fmt.Sprintf("see all of it: ssh paas logs %s", e.app)
	if e.exit == nil {
		return t
	}
	t.Text = e.name + " " + e.exit.String()
	switch {
	case e.exit.OOM:
		t.Code, t.Fix = TroubleMemory, moreMemory(e.app, e.typ, e.exit.MemoryLimit)
	case e.exit.Lost:
	case e.exit.Signal != "":
		t.Code = TroubleSignal
	case e.exit.Code == 0:
		e.finished(&t)
	default:
		e.words(&t)
	}
	return t
}

// finished is for a process that did what it was told, but was to go on.
func (e ending) finished(t *Trouble) {
	t.Code = TroubleFinished
	t.Text += fmt.Sprintf(": `%s` did its work and ended, but a process is to go on", shortCommand(e.command))
	t.Fix = "start the server in the foreground, without `&` or a daemon option; what ends by itself belongs into app.json's cron or `run`"
}

// words looks for the best known reasons in the last lines.
func (e ending) words(t *Trouble) {
	for _, line := range slices.Backward(e.output) {
		if e.line(t, strings.TrimSpace(line)) {
			return
		}
	}
	switch e.exit.Code {
	case statusNotFound:
		e.missing(t, firstWord(e.command))
	case statusNotExecutable:
		e.unexecutable(t)
	}
}

// line tells whether it explains the end.
func (e ending) line(t *Trouble, line string) bool {
	shell := e.exit.Code == statusNotFound || e.exit.Code == statusNotExecutable
	found := missingProgram.FindStringSubmatch(line)
	script := missingInterpreter.FindStringSubmatch(line)
	switch {
	case shell && script != nil:
		e.interpreter(t, script[1])
	case isForeignBinary(line):
		e.foreign(t)
	case e.exit.Code == statusNotFound && found != nil:
		e.missing(t, found[1])
	case shell && strings.Contains(line, "ermission denied"):
		e.unexecutable(t)
	case mentions(line, "no space left on device", "enospc", "disk quota exceeded", "edquot"):
		t.Code = TroubleDisk
		t.Text += ": it could write no more (" + shortCommand(line) + ")"
		t.Fix = fmt.Sprintf("see what takes the disk: ssh paas disk %s; its own bound: ssh paas resource:report %s", e.app, e.app)
	case mentions(line, "address already in use", "eaddrinuse"):
		t.Code = TroubleAddress
		t.Text += ": the address it wants to listen on is taken"
		t.Fix = "let one process listen on PORT, once; a second one needs a port of its own"
	default:
		return false
	}
	return true
}

// isForeignBinary knows what shells say of a program that the kernel cannot execute. dash reads it as a script.
func isForeignBinary(line string) bool {
	if mentions(line, "exec format error", "cannot execute binary file") {
		return true
	}
	return strings.Contains(line, "ELF") && mentions(line, "not found", "syntax error")
}

func mentions(line string, words ...string) bool {
	line = strings.ToLower(line)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
}

func (e ending) missing(t *Trouble, program string) {
	t.Code = TroubleCommand
	t.Text += fmt.Sprintf(": there is no command %q in its image", shortCommand(program))
	t.Fix = fmt.Sprintf("mend `%s: %s` in the Procfile, or add what brings %s to the app's dependencies", e.typ, shortCommand(e.command), shortCommand(program))
}

func (e ending) foreign(t *Trouble) {
	t.Code = TroubleFormat
	t.Text += fmt.Sprintf(": %q is no program for this machine (exec format error)", firstWord(e.command))
	t.Fix = "build it for linux/amd64, or begin a script with #! and its interpreter"
}

func (e ending) unexecutable(t *Trouble) {
	t.Code = TroubleRights
	t.Text += fmt.Sprintf(": %q may not be executed", firstWord(e.command))
	t.Fix = fmt.Sprintf("make it executable: git update-index --chmod=+x %s", firstWord(e.command))
}

// firstWord is the program of a command line, behind exec and assignments.
func firstWord(command string) string {
	for _, word := range strings.Fields(command) {
		if word != "exec" && word != "env" && !strings.Contains(word, "=") {
			return strings.TrimPrefix(shortCommand(word), "./")
		}
	}
	return shortCommand(command)
}

// How many lines are shown of what a process said last, how many of these are its errors at least, if it had
// so many, and how far back those are looked for.
const (
	lastWords  = 20
	lastErrors = 10
	lookBack   = 200
)

// lastLines are an instance's last lines, oldest first, with the last ones of stderr among them however much
// else it says. Values of config vars that look like secrets are hidden.
func (p *Platform) lastLines(ctx context.Context, i Instance, hide mask) (lines []string) {
	var all []LogLine
	err := p.Runner.Logs(ctx, LogQuery{App: i.App, ID: i.ID, Lines: lookBack}, func(l LogLine) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		p.Log.Error("read last output", "instance", i.ID, "err", err)
	}
	for _, l := range lastOf(all) {
		lines = append(lines, hide.hide(printable(l.Text)))
	}
	return lines
}

// lastOf chooses lastWords of the lines.
func lastOf(all []LogLine) (chosen []LogLine) {
	errs := 0
	for _, l := range all {
		if l.Stream == "stderr" {
			errs++
		}
	}
	errs, free := min(errs, lastErrors), lastWords
	for _, l := range slices.Backward(all) {
		isErr := l.Stream == "stderr"
		if !isErr && free > errs || isErr && free > 0 {
			chosen = append(chosen, l)
			free--
			if isErr {
				errs = max(errs-1, 0)
			}
		}
	}
	slices.Reverse(chosen)
	return chosen
}
