package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// explain fills Why and Changes of a step by what it was made from now and the last time.
func (s *BuildStep) explain(before madeStep, known bool, now madeStep) {
	if s.Kind == BaseStep && s.Place != "" && known && before.Key == s.Key {
		s.Reused = true // of a Dockerfile: the image is there, nothing makes it
	}
	if known {
		s.Changes = changesOf(before, now)
	}
	if s.Reused && s.Saved == 0 && known && s.sameAs(before) {
		s.Saved = before.Cost
	}
	s.Why = s.why(before, known)
	if secrets := only(s.Changes, SecretInput); len(secrets) > 0 && before.Key == s.Key {
		s.Why += "; " + summary(secrets) + ", which is in no key"
	}
}

// sameAs tells whether a reused step is the one of before. That is known from the key, and of a Dockerfile's
// instruction when only the layers below have other names: it was found by what they contain.
func (s *BuildStep) sameAs(before madeStep) bool {
	return before.Key == s.Key || s.Kind == InstructionStep && len(only(s.Changes, LayerInput)) == len(s.Changes)
}

// cost is what making the step took, now or once.
func (s *BuildStep) cost() float64 {
	switch {
	case s.Failed:
		return 0
	case s.Reused:
		return s.Saved
	}
	return s.Seconds
}

func only(changes []InputChange, kind InputKind) []InputChange {
	return slices.DeleteFunc(slices.Clone(changes), func(c InputChange) bool { return c.Kind != kind })
}

func (s *BuildStep) why(before madeStep, known bool) string {
	switch {
	case s.Reused && !known:
		return "an earlier build, maybe another app's, was made from the same"
	case s.Reused && before.Key == s.Key:
		return fmt.Sprintf("nothing it is made from has changed since build %d", before.Since)
	case s.Reused && s.sameAs(before):
		return "what it takes from the layers below is the same, though these were made again"
	case s.Reused:
		return "an earlier build was made from the same; since the last one " + summary(s.Changes)
	case !known:
		return "no earlier build had it"
	case before.Key == s.Key && before.Failed:
		return fmt.Sprintf("build %d did not complete it", before.Build)
	case before.Key == s.Key:
		return "nothing it is made from has changed, but the layer was not kept"
	default:
		return summary(s.Changes)
	}
}

// mostChanges is how many changes of a step are kept.
const mostChanges = 50

// changesOf lists what differs, the likeliest cause first.
func changesOf(before, now madeStep) []InputChange {
	changes := append(fileChanges(before.Files, now.Files), inputChanges(before.Inputs, now.Inputs)...)
	slices.SortStableFunc(changes, func(a, b InputChange) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	return changes[:min(len(changes), mostChanges)]
}

func rank(k InputKind) int {
	order := []InputKind{ConfigInput, ArgumentInput, CommandInput, BaseInput, ToolchainInput, PackageInput, FileInput, SecretInput, LayerInput}
	return slices.Index(order, k)
}

func fileChanges(before, now fileList) (changes []InputChange) {
	old := map[string]File{}
	for _, f := range before {
		old[f.Path] = f
	}
	for _, f := range now {
		o, known := old[f.Path]
		delete(old, f.Path)
		if o == f {
			continue
		}
		c := InputChange{Kind: FileInput, Name: printable(f.Path), Change: "changed", Before: o.ID, After: f.ID}
		if !known {
			c.Change = "added"
		} else if o.ID == f.ID {
			c.Before, c.After = fmt.Sprintf("mode %o", o.Mode), fmt.Sprintf("mode %o", f.Mode)
		}
		changes = append(changes, c)
	}
	for _, f := range before {
		if _, gone := old[f.Path]; gone {
			changes = append(changes, InputChange{Kind: FileInput, Name: printable(f.Path), Change: "removed", Before: f.ID})
		}
	}
	return changes
}

func inputChanges(before, now []BuildInput) (changes []InputChange) {
	type key struct {
		kind InputKind
		name string
	}
	old := map[key]string{}
	for _, i := range before {
		old[key{i.Kind, i.Name}] = i.Digest
	}
	for _, i := range now {
		digest, known := old[key{i.Kind, i.Name}]
		delete(old, key{i.Kind, i.Name})
		switch {
		case !known:
			changes = append(changes, i.changed("added", "", i.Digest))
		case digest != i.Digest:
			changes = append(changes, i.changed("changed", digest, i.Digest))
		}
	}
	for _, i := range before {
		if _, gone := old[key{i.Kind, i.Name}]; gone {
			changes = append(changes, i.changed("removed", i.Digest, ""))
		}
	}
	return changes
}

// changed is a change of the input. Nothing of a config var but its name is shown.
func (i BuildInput) changed(how, before, after string) InputChange {
	if i.Kind == ConfigInput || i.Kind == SecretInput {
		before, after = "", ""
	}
	return InputChange{Kind: i.Kind, Name: i.Name, Change: how, Before: before, After: after}
}

// summary says the changes as the rest of a sentence. That layers below changed is said only when nothing
// else did.
func summary(changes []InputChange) string {
	direct := slices.DeleteFunc(slices.Clone(changes), func(c InputChange) bool { return c.Kind == LayerInput })
	if len(direct) > 0 {
		changes = direct
	}
	const most = 3
	var parts []string
	for _, c := range changes[:min(len(changes), most)] {
		parts = append(parts, strings.TrimSpace(c.subject()+" was "+c.Change))
	}
	if more := len(changes) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	if len(parts) == 0 {
		return "what it is made from changed"
	}
	return strings.Join(parts, ", ")
}

func (c InputChange) subject() string {
	switch {
	case c.Kind == FileInput:
		return c.Name
	case c.Name == "" && c.Kind == LayerInput:
		return "the layer below"
	case c.Name == "":
		return "the " + string(c.Kind)
	case c.Kind == LayerInput:
		return "the layer below, " + c.Name + ","
	default:
		return "the " + string(c.Kind) + " " + c.Name
	}
}

// ExplainInput is builds:explain.
type ExplainInput struct {
	App    string `arg:"app"`
	Number string `arg:"number" optional:"true"`
}

// BuildExplanation is builds:explain.
type BuildExplanation struct {
	App    AppName     `json:"app"`
	Number int         `json:"number"`
	Status BuildStatus `json:"status"`
	Steps  []BuildStep `json:"steps"`
}

// ExplainBuild tells of every layer why it was reused or made again, and what that took.
func (p *Platform) ExplainBuild(ctx context.Context, _ Call, in ExplainInput) (BuildExplanation, error) {
	app, build, err := p.findBuild(ctx, in.App, in.Number)
	if err != nil {
		return BuildExplanation{}, err
	}
	for _, b := range p.underWay(app.ID) {
		if now := b.now(); now.Number == build.Number && now.Status.Over() {
			b.explain(ctx)
			build = b.now()
		}
	}
	return BuildExplanation{app.Name, build.Number, build.Status, build.Steps}, nil
}

// Text implements the verbs' output.
func (e BuildExplanation) Text(w io.Writer) error {
	var rows [][]string
	for _, s := range e.Steps {
		rows = append(rows, []string{s.Name, s.result(), fmt.Sprintf("%.2fs", s.Seconds), s.saved(), printable(s.Why)})
		for _, c := range s.Changes {
			if detail := c.detail(); detail != "" {
				rows = append(rows, []string{"", "", "", "", "  " + detail})
			}
		}
	}
	return table(w, []string{"STEP", "RESULT", "SECONDS", "SAVED", "WHY"}, rows)
}

// saved is what reusing a step saved.
func (s BuildStep) saved() string {
	if s.Saved == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fs", max(s.Saved-s.Seconds, 0))
}

func (s BuildStep) result() string {
	switch {
	case s.Failed:
		return "failed"
	case s.Reused:
		return "reused"
	}
	return "rebuilt"
}

// detail is what changed with the old and the new digest.
func (c InputChange) detail() string {
	if c.Before == "" && c.After == "" {
		return strings.TrimSpace(string(c.Kind) + " " + c.Name + " " + c.Change)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s", c.Kind, c.Name)) + fmt.Sprintf(": %s -> %s", shortDigest(c.Before), shortDigest(c.After))
}

func shortDigest(d string) string {
	if d == "" {
		return "none"
	}
	const enough = 12
	if len(d) >= 32 && !strings.Contains(d, " ") {
		return strings.TrimPrefix(d, "sha256:")[:enough]
	}
	return d
}
