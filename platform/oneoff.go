package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// OneOff is a command in a container of its own: of `run`, or of cron.
type OneOff struct {
	ID       int64 // unique on this host for ever
	App      AppName
	Kind     ProcessType // "run" or "cron"
	Command  string      // as it was asked for; it may hold secrets
	Release  int
	Actor    string
	Detached bool         // nobody's connection holds it
	Job      string       // cron: the job's id
	Due      time.Time    // cron: when the job was due; zero for one that somebody asked for
	Status   OneOffStatus // of a new one OneOffStarting
	Started  time.Time    // that it was asked for
	Ended    time.Time    // zero: it has not
	Deadline time.Time    // when it is ended; zero: never
	Code     int          // its exit status, as a shell has it; once it ended
	Detail   string       // how it ended, or why it did not run, as the end of a sentence
}

// Name is what people call it, and what DYNO says inside: "run.12".
func (o OneOff) Name() string { return fmt.Sprintf("%s.%d", o.Kind, o.ID) }

// OneOffStatus is where a one-off command stands.
type OneOffStatus string

// The statuses. Those after OneOffRunning are for good.
const (
	OneOffStarting OneOffStatus = "starting"  // it is written down; its container may be there
	OneOffRunning  OneOffStatus = "running"   // its command was executed
	OneOffExited   OneOffStatus = "exited"    // by itself
	OneOffStopped  OneOffStatus = "stopped"   // somebody ended it
	OneOffTimedOut OneOffStatus = "timed-out" // its time was over
	OneOffFailed   OneOffStatus = "failed"    // it could not be started
	OneOffLost     OneOffStatus = "lost"      // how it ended is not known
	OneOffSkipped  OneOffStatus = "skipped"   // cron: it was due and was not run
	OneOffMissed   OneOffStatus = "missed"    // cron: nobody was there when it was due, or for too long
)

// open tells whether it may still run.
func (s OneOffStatus) open() bool { return s == OneOffStarting || s == OneOffRunning }

// The process types of one-off commands.
const (
	runType  ProcessType = "run"
	cronType ProcessType = "cron"
)

// ErrRunAlready says that a job had its run for a time already.
var ErrRunAlready = errors.New("the job was run for that time already")

// OneOffQuery chooses one-off commands.
type OneOffQuery struct {
	App  AppName     // "" for all
	Kind ProcessType // "" for both
	Job  string      // "" for all
	Open bool        // only those that may still run
	Last int         // at most so many, the latest; 0 for all
}

// OneOffs is the part of a Store that keeps one-off commands.
type OneOffs interface {
	// AddOneOff numbers and keeps one. If it may run, at most limit-1 others of the app may (kind Conflict). A
	// second one for the time that a job is due is refused with ErrRunAlready; otherwise that time is the job's
	// mark from now on.
	AddOneOff(ctx context.Context, o OneOff, limit int) (OneOff, error)
	// SetOneOffRunning says that its command was executed.
	SetOneOffRunning(ctx context.Context, id int64) error
	// EndOneOff stores Status, Ended, Code and Detail of o. It is false for one that has ended before.
	EndOneOff(ctx context.Context, o OneOff) (bool, error)
	OneOffs(ctx context.Context, q OneOffQuery) ([]OneOff, error) // newest first
	// PruneOneOffs forgets of an app's (of one kind, or "" of both) those that ended before, and of each kind and
	// job the oldest that ended beyond keep. It returns how many.
	PruneOneOffs(ctx context.Context, app AppName, kind ProcessType, before time.Time, keep int) (int, error)

	// CronMarks tells up to when each job's times were seen to.
	CronMarks(ctx context.Context) ([]CronMark, error)
	// SetCronMark sets one; a zero time forgets it.
	SetCronMark(ctx context.Context, m CronMark) error
}

// CronMark says up to when the times of an app's job were seen to.
type CronMark struct {
	App AppName
	Job string
	At  time.Time
}

// OneOffView shows a one-off command.
type OneOffView struct {
	ID        string       `json:"id"`
	App       AppName      `json:"app"`
	Status    OneOffStatus `json:"status"`
	Command   string       `json:"command"`
	Release   int          `json:"release"`
	Actor     string       `json:"actor,omitempty"`
	Detached  bool         `json:"detached"`
	Job       string       `json:"job,omitempty"`
	DueAt     *time.Time   `json:"due_at,omitempty"`
	StartedAt time.Time    `json:"started_at"`
	EndedAt   *time.Time   `json:"ended_at,omitempty"`
	ExitCode  *int         `json:"exit_code,omitempty"`
	Detail    string       `json:"detail,omitempty"`
}

func (o OneOff) view() OneOffView {
	v := OneOffView{
		ID: o.Name(), App: o.App, Status: o.Status, Command: o.Command, Release: o.Release, Actor: o.Actor,
		Detached: o.Detached, Job: o.Job, StartedAt: o.Started, Detail: o.Detail,
	}
	if !o.Due.IsZero() {
		v.DueAt = &o.Due
	}
	if !o.Status.open() {
		v.EndedAt = &o.Ended
	}
	if o.hasCode() {
		v.ExitCode = &o.Code
	}
	return v
}

// hasCode tells whether its exit status is known.
func (o OneOff) hasCode() bool {
	return o.Status == OneOffExited || o.Status == OneOffStopped || o.Status == OneOffTimedOut
}

// said is its status in a word or two: "exited 0".
func (v OneOffView) said() string {
	if v.ExitCode == nil {
		return string(v.Status)
	}
	return fmt.Sprintf("%s %d", v.Status, *v.ExitCode)
}

// Text implements the verbs' output: what other verbs call it.
func (v OneOffView) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, v.ID)
	return err
}

// OneOffList is run:list.
type OneOffList []OneOffView

// Text implements the verbs' output.
func (l OneOffList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		how := "attached"
		if v.Detached {
			how = "detached"
		}
		rows = append(rows, []string{v.ID, v.said(), how, releaseName(v.Release), stamp(v.StartedAt), v.Actor, oneLine(v.Command)})
	}
	return table(w, []string{"ID", "STATUS", "", "RELEASE", "SINCE", "BY", "COMMAND"}, rows)
}

// stamp is a time as lists show it, "-" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

// How much of a command is written down, in bytes, and how much of that lists and events show.
const (
	keptCommand  = 4096
	shownCommand = 200
)

// oneLine keeps a command to one row of a list.
func oneLine(s string) string {
	return printable(clipped(strings.Join(strings.Fields(s), " "), shownCommand))
}

// clipped is the beginning of a text that is longer than so many bytes.
func clipped(s string, most int) string {
	if len(s) <= most {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
