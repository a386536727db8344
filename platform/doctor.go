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

// Symbolic implements the interface of that name.
func (Diagnosis) Symbolic() {}

// Text implements the verbs' output.
func (d Diagnosis) Text(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Findings {
		f.write(&b, w)
	}
	fmt.Fprintf(&b, "%d checks, %d warnings, %d failed\n", len(d.Findings), d.Warned, d.Failed)
	_, err := io.WriteString(w, b.String())
	return err
}

// write is one finding, and below it what to do about it.
func (f Finding) write(b *strings.Builder, w io.Writer) {
	mark := map[Grade]string{Fine: "✓", Warning: "!", Failing: "✗"}[f.Grade]
	fmt.Fprintf(b, "%s %-22s %s\n", painted(w, f.Grade, mark), f.Check, f.Text)
	if f.Fix != "" {
		fmt.Fprintf(b, "  %-22s → %s\n", "", f.Fix)
	}
}

// DoctorInput is doctor.
type DoctorInput struct {
	App string `arg:"app" optional:"true" help:"check this app; without it, the host"`
}

// Doctor checks the host, which is for admins, or one app. It ends with status 1 if a check failed.
func (p *Platform) Doctor(ctx context.Context, call Call, in DoctorInput) (Diagnosis, error) {
	if in.App == "" && !call.Actor.Admin {
		return Diagnosis{}, Errorf(Denied, "to check the host is for admins, and your key %q is not one", call.Actor.Name).
			WithHint("check one app: ssh paas doctor APP")
	}
	if in.App == "" {
		return p.Diagnose(ctx), nil
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Diagnosis{}, err
	}
	list, err := p.examine(ctx, app)
	return sorted(list), err
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
	list := p.Runner.Inspect(ctx)
	if p.Host != nil {
		list = append(list, p.Host.Inspect(ctx)...)
	}
	if p.Certificates != nil {
		list = append(list, p.certFinding(ctx))
	}
	if l := p.load(); l.Memory > 0 {
		list = append(list, memoryFinding(l))
	}
	return sorted(append(list, p.appsFinding(ctx)))
}

// sorted puts the worst first and counts.
func sorted(list []Finding) Diagnosis {
	d := Diagnosis{Findings: list}
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
	// Leads is an error of kind Failed, with a sentence, when a hostname does not lead visitors to this host. It
	// blocks on DNS, and on what answers at the name's addresses.
	Leads(ctx context.Context, host string) error
}
