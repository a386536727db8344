package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Grade is how bad a finding is.
type Grade string

// The grades. A host that fails a check cannot do what the platform is for.
const (
	Fine    Grade = "ok"
	Warning Grade = "warn"
	Failing Grade = "fail"
)

// Finding is what one check of the host found.
type Finding struct {
	Check string `json:"check"` // a word or two, unique
	Grade Grade  `json:"grade"`
	Text  string `json:"text"`          // one sentence
	Fix   string `json:"fix,omitempty"` // a command, or what else to do
}

// Diagnosis is doctor.
type Diagnosis struct {
	Findings []Finding `json:"findings"`
	Failed   int       `json:"failed"`
	Warned   int       `json:"warned"`
}

// Text implements the verbs' output.
func (d Diagnosis) Text(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s  %-22s %s\n", Mark(w, f.Grade), f.Check, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      %-22s fix: %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "%d checks, %d warnings, %d failed\n", len(d.Findings), d.Warned, d.Failed)
	_, err := io.WriteString(w, b.String())
	return err
}

// DoctorInput is doctor.
type DoctorInput struct{}

// Doctor checks the host. It ends with status 1 if a check failed.
func (p *Platform) Doctor(ctx context.Context, _ Call, _ DoctorInput) (Diagnosis, error) {
	return p.Diagnose(ctx), nil
}

// ExitStatus is the status that the verb ends with.
func (d Diagnosis) ExitStatus() int {
	if d.Failed > 0 {
		return 1
	}
	return 0
}

// Diagnose runs every check of the host, the worst findings first.
func (p *Platform) Diagnose(ctx context.Context) Diagnosis {
	d := Diagnosis{Findings: p.Runner.Inspect(ctx)}
	if p.Host != nil {
		d.Findings = append(d.Findings, p.Host.Inspect(ctx)...)
	}
	if p.Certificates != nil {
		d.Findings = append(d.Findings, p.certFinding(ctx))
	}
	rank := map[Grade]int{Failing: 0, Warning: 1, Fine: 2}
	slices.SortStableFunc(d.Findings, func(a, b Finding) int { return rank[a.Grade] - rank[b.Grade] })
	for _, f := range d.Findings {
		switch f.Grade {
		case Failing:
			d.Failed++
		case Warning:
			d.Warned++
		}
	}
	return d
}

// Host is what of the machine no room answers for: ports, names, the clock.
type Host interface {
	// Inspect checks it. It blocks for a few seconds at most.
	Inspect(ctx context.Context) []Finding
}
