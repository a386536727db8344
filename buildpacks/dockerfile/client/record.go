package client

import (
	"fmt"
	"strings"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// record reports instructions under names that stay when another one is put before them.
type record struct {
	Request
	costs *costs
	seen  map[string]int // names so far
}

// add is called by one goroutine at a time.
func (r *record) add(name string, done wire.Done) {
	if r.Report == nil {
		return
	}
	step := platform.BuildStep{
		Kind: platform.InstructionStep, Reused: done.Cached, Failed: done.Failed, Seconds: done.Took.Seconds(),
	}
	step.Name, step.Place = placed(shorten(name))
	if r.seen[step.Name]++; r.seen[step.Name] > 1 {
		step.Name += fmt.Sprintf(" (%d)", r.seen[step.Name])
	}
	if done.Made != nil {
		step.Key, step.Inputs = done.Made.Key, done.Made.Inputs
		step.Saved = r.cost(step)
		if len(step.Inputs) == 1 && step.Inputs[0].Kind == platform.BaseInput {
			step.Kind = platform.BaseStep
		}
		for _, files := range done.Made.Files {
			step.Files = append(step.Files, r.Files[files[0]:files[1]]...)
		}
	}
	r.Report(step)
}

// cost is what a reused instruction took when it was carried out, by any build that shares it; 0 if that is not
// known. One that was carried out now is remembered.
func (r *record) cost(step platform.BuildStep) float64 {
	name := costName(r.Request, step.Key)
	if step.Reused {
		return r.costs.of(name)
	}
	if !step.Failed {
		r.costs.note(name, step.Seconds)
	}
	return 0
}

// placed takes the number from an instruction's name: "[build 2/4] RUN make" is "[build] RUN make", at "build 2",
// and "[2/4] RUN make" is "RUN make".
func placed(name string) (plain, place string) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(name, "["), "] ")
	if !ok || !strings.HasPrefix(name, "[") {
		return name, ""
	}
	stage, number, two := strings.Cut(inside, " ")
	if !two {
		stage, number = "", inside
	}
	number, _, _ = strings.Cut(number, "/")
	place = strings.TrimSpace(stage + " " + number)
	if stage == "" {
		return rest, place
	}
	return "[" + stage + "] " + rest, place
}
