package platform

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// CheckResult is what came of one check of one instance: its transcript.
type CheckResult struct {
	App      AppName        `json:"app"`
	Process  string         `json:"process"` // "web.1"
	Instance InstanceID     `json:"instance"`
	Release  int            `json:"release"`
	Type     string         `json:"type"` // "startup", "liveness" or "readiness"
	Name     string         `json:"name"`
	What     string         `json:"what"` // "GET /up"
	Passed   bool           `json:"passed"`
	Warns    bool           `json:"warns,omitempty"`      // its failure has no consequence
	Attempts []CheckAttempt `json:"attempts"`             // the last ones
	Output   []string       `json:"on_failure,omitempty"` // last lines of what the check's onFailure command said
}

// CheckAttempt is one of them.
type CheckAttempt struct {
	Number  int       `json:"number"` // from 1
	At      time.Time `json:"at"`     // it began
	Seconds float64   `json:"seconds"`
	Error   string    `json:"error,omitempty"` // "": it passed
}

// The last attempts of a check that are kept, and the most of each that is.
const (
	keptAttempts = 20
	maxAttempt   = 300 // bytes of an attempt's error
)

// Lines is the transcript as people read it.
func (r CheckResult) Lines() []string {
	verdict := "passed"
	if !r.Passed {
		verdict = "failed"
	}
	lines := []string{fmt.Sprintf("%s: %s check %s (%s) %s", r.Process, r.Type, r.Name, r.What, verdict)}
	for _, a := range r.Attempts {
		text := "passed"
		if a.Error != "" {
			text = a.Error
		}
		lines = append(lines, fmt.Sprintf("  attempt %d at %s, after %.1fs: %s", a.Number, a.At.UTC().Format("15:04:05.0"), a.Seconds, text))
	}
	for _, line := range r.Output {
		lines = append(lines, "  on failure: "+line)
	}
	return lines
}

// note adds an attempt.
func (r *CheckResult) note(at time.Time, took time.Duration, err error) {
	a := CheckAttempt{Number: 1, At: at, Seconds: took.Seconds()}
	if n := len(r.Attempts); n > 0 {
		a.Number = r.Attempts[n-1].Number + 1
	}
	if err != nil {
		a.Error = clipped(printable(err.Error()), maxAttempt)
	}
	if len(r.Attempts) == keptAttempts {
		r.Attempts = slices.Clone(r.Attempts[1:])
	}
	r.Attempts = append(r.Attempts, a)
}

// transcripts keep what came of the last checks of each place of each app's formation, until the daemon ends.
type transcripts struct {
	mu   sync.Mutex
	apps map[AppName]map[checkKey]CheckResult
}

type checkKey struct{ process, kind, name string }

// keep replaces what is known of these checks. What another release's instance in the same place had is dropped.
func (t *transcripts) keep(list ...CheckResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range list {
		if t.apps == nil {
			t.apps = map[AppName]map[checkKey]CheckResult{}
		}
		of := t.apps[r.App]
		if of == nil {
			of = map[checkKey]CheckResult{}
			t.apps[r.App] = of
		}
		for key, old := range of {
			if key.process == r.Process && old.Instance != r.Instance {
				delete(of, key)
			}
		}
		r.Attempts = slices.Clone(r.Attempts)
		of[checkKey{r.Process, r.Type, r.Name}] = r
	}
}

func (t *transcripts) forget(app AppName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.apps, app)
}

// Transcripts are what came of the last checks of an app's processes, those that failed first. An instance that
// failed and is gone is among them, until another one takes its place.
func (p *Platform) Transcripts(app AppName) []CheckResult {
	p.checked.mu.Lock()
	defer p.checked.mu.Unlock()
	list := []CheckResult{}
	for _, r := range p.checked.apps[app] {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b CheckResult) int {
		if a.Passed != b.Passed {
			return map[bool]int{false: -1, true: 1}[a.Passed]
		}
		return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return list
}
