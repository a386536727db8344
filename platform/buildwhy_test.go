package platform

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func step(key string, reused bool, inputs []BuildInput, files ...File) BuildStep {
	return BuildStep{Name: "build", Kind: CommandStep, Key: key, Reused: reused, Inputs: inputs, Files: files}
}

// Each reason to make a layer again, and each not to, has its sentence.
func TestWhy(t *testing.T) {
	env := func(value string) []BuildInput { return []BuildInput{{ArgumentInput, "MODE", value}} }
	secret := func(value string) []BuildInput { return []BuildInput{{ConfigInput, "TOKEN", value}} }
	below := func(value string) []BuildInput {
		return []BuildInput{{LayerInput, "app", value}, {ToolchainInput, "Node.js", "22.1.0"}}
	}
	a1, a2, b1 := File{"a", Regular, "1"}, File{"a", Regular, "2"}, File{"b", Regular, "1"}
	failed := step("k", false, nil)
	failed.Failed = true
	for _, c := range []struct {
		first, then BuildStep
		why         string
	}{
		{step("k", false, nil), step("k", true, nil), "nothing it is made from has changed since build 1"},
		{step("k", false, nil), step("k", false, nil), "nothing it is made from has changed, but the layer was not kept"},
		{failed, step("k", false, nil), "build 1 did not complete it"},
		{step("k", false, nil, a1), step("l", false, nil, a2), "a was changed"},
		{step("k", false, nil, a1), step("l", false, nil, a1, b1), "b was added"},
		{step("k", false, nil, a1, b1), step("l", false, nil, b1), "a was removed"},
		{step("k", false, nil, a1), step("l", true, nil, a2), "an earlier build was made from the same; since the last one a was changed"},
		{step("k", false, env("dev")), step("l", false, env("prod")), "the argument MODE was changed"},
		{step("k", false, secret("x")), step("l", false, secret("y")), "the config var TOKEN was changed"},
		{step("k", false, below("1")), step("l", false, below("2")), "the layer below, app, was changed"},
		{step("k", false, nil), step("l", false, nil), "what it is made from changed"},
	} {
		first, then := []BuildStep{c.first}, []BuildStep{c.then}
		last, changed := stepInputs{}.next(first, 1, true)
		if !changed || first[0].Why != "no earlier build had it" {
			t.Errorf("the first time: %q", first[0].Why)
		}
		last.next(then, 2, true)
		if then[0].Why != c.why {
			t.Errorf("%q, not %q", then[0].Why, c.why)
		}
		text, _ := json.Marshal(then)
		if strings.Contains(string(text), `"x"`) || strings.Contains(string(text), `"y"`) {
			t.Errorf("a secret's digest is shown: %s", text)
		}
	}
}

// An instruction that was changed is compared with what stood in its place, one that moved with itself. A
// secret's change is told though it decides nothing.
func TestWhyOfInstructions(t *testing.T) {
	of := func(name, place, key string, reused bool, inputs ...BuildInput) BuildStep {
		return BuildStep{Name: name, Kind: InstructionStep, Place: place, Key: key, Reused: reused, Inputs: inputs}
	}
	base := BuildStep{Name: "FROM x", Kind: BaseStep, Place: "1", Key: "b", Inputs: []BuildInput{{BaseInput, "x", "1"}}}
	first := []BuildStep{
		base, of("RUN a", "2", "a", false, BuildInput{CommandInput, "", "1"}), of("RUN c", "3", "c", false, BuildInput{LayerInput, "", "1"}),
		of("RUN s", "4", "s", false, BuildInput{SecretInput, "TOKEN", "1"}), of("COPY o", "5", "o", false, BuildInput{LayerInput, "build", "1"}),
	}
	last, _ := stepInputs{}.next(first, 1, true)
	then := []BuildStep{
		base, of("RUN b", "2", "a2", false, BuildInput{CommandInput, "", "2"}), of("RUN new", "3", "n", false), of("RUN c", "4", "c2", false, BuildInput{LayerInput, "", "2"}),
		of("RUN s", "5", "s", true, BuildInput{SecretInput, "TOKEN", "2"}), of("COPY o", "6", "o2", true, BuildInput{LayerInput, "build", "2"}),
	}
	last, _ = last.next(then, 2, true)
	for i, want := range []string{
		"nothing it is made from has changed since build 1", "the command was changed", "no earlier build had it", "the layer below was changed",
		"nothing it is made from has changed since build 1; the build secret TOKEN was changed, which is in no key",
		"what it takes from the layers below is the same, though these were made again",
	} {
		if then[i].Why != want {
			t.Errorf("%s: %q, not %q", then[i].Name, then[i].Why, want)
		}
	}
	if text, _ := json.Marshal(then[4].Changes); strings.Contains(string(text), `"2"`) {
		t.Errorf("a secret's digest is shown: %s", text)
	}
	if _, changed := last.next(then, 3, true); changed {
		t.Error("the same again is a change")
	}
}

// A build that fails early does not make the next one forget what the later steps were made from.
func TestFailedBuildKeepsLaterSteps(t *testing.T) {
	last, _ := stepInputs{}.next([]BuildStep{step("k", false, nil)}, 1, true)
	other := BuildStep{Name: "first", Kind: CommandStep, Failed: true}
	last, _ = last.next([]BuildStep{other}, 2, false)
	then := []BuildStep{step("k", true, nil)}
	last.next(then, 3, true)
	if then[0].Why != "nothing it is made from has changed since build 1" {
		t.Error(then[0].Why)
	}
}

// Lists of files survive their JSON form, whatever bytes are in a name, and large ones are folded.
func TestFileList(t *testing.T) {
	list := fileList{{"a b", Executable, "1f"}, {"new\nline \xff", Symlink, "2e"}}
	text, err := json.Marshal(list)
	var back fileList
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || fmt.Sprint(back) != fmt.Sprint(list) {
		t.Errorf("%v: %v", err, back)
	}
	var large fileList
	for d := range 300 {
		for f := range 100 {
			large = append(large, File{fmt.Sprintf("dir%03d/%03d", d, f), Regular, "1"})
		}
	}
	folded := large.folded()
	large[150].ID = "2"
	if changes := fileChanges(folded, large.folded()); len(folded) != 300 || len(changes) != 1 || changes[0].Name != "dir001/" {
		t.Errorf("%d entries, %v", len(folded), changes)
	}
}

func TestStepFailure(t *testing.T) {
	l := BuildLimits{Limits: Limits{Memory: 1 << 30, Disk: 10 << 30, Processes: 100}, Silence: 900e9}
	for _, c := range []struct {
		exit          Exit
		message, hint string
	}{
		{Exit{OOM: true, MemoryPeak: 1 << 30}, "was killed: it used 1 GiB of its 1 GiB memory limit", "builds:set blog memory=2g"},
		{Exit{Over: DiskResource, Used: 11 << 30}, "was killed: it wrote 11 GiB, and its disk limit is 10 GiB", "builds:set blog disk=20g"},
		{Exit{Over: ProcessResource}, "wanted more processes than its limit of 100", "builds:set blog pids=200"},
		{Exit{Over: SilenceResource}, "it printed nothing for 15m", "builds:set blog silence=30m"},
	} {
		e := StepFailure("blog", "npm ci\nmore", c.exit, l)
		if !strings.Contains(e.Message, "build failed: `npm ci …` ") || !strings.Contains(e.Message, c.message) || !strings.HasSuffix(e.Hint, c.hint) {
			t.Errorf("%q, %q", e.Message, e.Hint)
		}
	}
	if e := StepFailure("blog", "npm ci", Exit{Code: 1}, l); e != nil {
		t.Error(e)
	}
}

// What making a step took is known as long as it is reused, from build to build, also of instructions that were found
// by what lies below them.
func TestSavedSeconds(t *testing.T) {
	run := func(key string, seconds float64, reused bool, below string) BuildStep {
		return BuildStep{Name: "RUN make", Kind: InstructionStep, Key: key, Reused: reused, Seconds: seconds, Inputs: []BuildInput{{LayerInput, "", below}}}
	}
	var last stepInputs
	for i, c := range []struct {
		step  BuildStep
		saved float64
	}{
		{run("a", 41, false, "1"), 0}, {run("a", 0, true, "1"), 41}, {run("b", 0, true, "2"), 41}, {run("b", 0.1, true, "2"), 41}, {run("c", 7, false, "3"), 0},
		{run("c", 0, true, "3"), 7},
	} {
		steps := []BuildStep{c.step}
		last, _ = last.next(steps, i+1, true)
		if steps[0].Saved != c.saved {
			t.Errorf("build %d: %v saved, want %v", i+1, steps[0].Saved, c.saved)
		}
	}
	var out strings.Builder
	e := BuildExplanation{Steps: []BuildStep{{Name: "x", Reused: true, Seconds: 0.5, Saved: 41}, {Name: "y", Seconds: 2}}}
	if err := e.Text(&out); err != nil || !strings.Contains(out.String(), "40.50s") || !strings.Contains(out.String(), " - ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
