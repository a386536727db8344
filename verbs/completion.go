package verbs

import (
	"context"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"paas/platform"
)

//go:embed shell/paas.bash shell/paas.zsh shell/paas.fish
var shells embed.FS

// CompletionInput is completion.
type CompletionInput struct {
	Shell string `arg:"shell" help:"bash, zsh or fish"`
}

// Script is a shell's.
type Script struct {
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

// Text implements output.
func (s Script) Text(w io.Writer) error {
	_, err := io.WriteString(w, s.Script)
	return err
}

func (t *Table) completion(_ *platform.Platform, _ context.Context, _ platform.Call, in CompletionInput) (Script, error) {
	text, err := shells.ReadFile("shell/paas." + in.Shell)
	if err != nil {
		return Script{}, platform.Errorf(platform.Usage, "there is no completion for %q; there is for bash, zsh and fish", in.Shell).
			WithHint("type: eval \"$(ssh paas completion bash)\"")
	}
	return Script{in.Shell, string(text)}, nil
}

// CompleteInput is __complete.
type CompleteInput struct {
	Words []string `arg:"word" rest:"optional" help:"behind the program's name, the last one being typed"`
}

// Candidate is a word that may stand where one is typed.
type Candidate struct {
	Word string `json:"word"`
	Help string `json:"help,omitempty"`
}

// Candidates is what __complete finds.
type Candidates []Candidate

// Text implements output: a word a line, what it is behind a tab.
func (l Candidates) Text(w io.Writer) error {
	for _, c := range l {
		if _, err := fmt.Fprintln(w, strings.TrimSuffix(c.Word+"\t"+c.Help, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) complete(_ *platform.Platform, ctx context.Context, call platform.Call, in CompleteInput) (Candidates, error) {
	words := in.Words
	if len(words) == 0 {
		words = []string{""}
	}
	done, typed := words[:len(words)-1], words[len(words)-1]
	list := Candidates{}
	for _, c := range t.candidates(ctx, call, done, typed) {
		if strings.HasPrefix(c.Word, typed) && !strings.ContainsAny(c.Word, "\t\n") {
			list = append(list, c)
		}
	}
	return list, nil
}

// candidates are what may come after the words that are done.
func (t *Table) candidates(ctx context.Context, call platform.Call, done []string, typed string) []Candidate {
	if len(done) == 0 {
		return t.verbCandidates(call.Actor, typed)
	}
	v, ok := t.find(done[0])
	if !ok || v.Access == Admin && !call.Actor.Admin {
		return nil
	}
	if p, ok := v.flagNamed(done[len(done)-1]); ok && len(done) > 1 && !p.isBool {
		return t.values(ctx, call, v, p, done)
	}
	if strings.HasPrefix(typed, "-") {
		return v.flagCandidates()
	}
	p, ok := v.positionAfter(done[1:])
	if !ok {
		return nil
	}
	list := t.values(ctx, call, v, p, done)
	if p.name == appArg && call.App != "" && len(list) > 0 { // the app is known: what comes after it may come now
		if next, ok := v.positionAfter(append(slices.Clone(done[1:]), call.App)); ok {
			list = append(list, t.values(ctx, call, v, next, append(slices.Clone(done), call.App))...)
		}
	}
	return list
}

// verbCandidates are names; other spellings only for who types one.
func (t *Table) verbCandidates(actor platform.Actor, typed string) (list []Candidate) {
	var others []Candidate
	for _, v := range t.verbs {
		if v.hidden || v.Access == Admin && !actor.Admin {
			continue
		}
		list = append(list, Candidate{v.Name, v.Summary})
		for _, a := range v.Aliases {
			others = append(others, Candidate{a, v.Summary})
		}
	}
	if slices.ContainsFunc(list, func(c Candidate) bool { return strings.HasPrefix(c.Word, typed) }) {
		return list
	}
	return others
}

func (v Verb) flagCandidates() (list []Candidate) {
	for _, p := range slices.Concat(v.params, v.commonFlags()) {
		switch {
		case p.flag:
			list = append(list, Candidate{"--" + p.name, p.help})
		case p.name == appArg:
			list = append(list, Candidate{"--app", "the app"})
		}
	}
	return list
}

// positionAfter is the positional that comes after these words, flags and their values not counted.
func (v Verb) positionAfter(words []string) (param, bool) {
	count, app := 0, false
	for i := 0; i < len(words); i++ {
		p, known := v.flagNamed(words[i])
		switch {
		case known && !p.isBool:
			i++
			app = app || p.name == appArg
		case !strings.HasPrefix(words[i], "-"):
			count++
		}
	}
	for _, p := range v.params {
		if p.flag || p.name == appArg && app {
			continue
		}
		if count == 0 || p.rest {
			return p, true
		}
		count--
	}
	return param{}, false
}

// values are what a parameter may be, as far as the caller may know.
func (t *Table) values(ctx context.Context, call platform.Call, v Verb, p param, done []string) []Candidate {
	switch p.name {
	case appArg, "confirm":
		return t.apps(ctx, call)
	case "command":
		if v.Name == "help" {
			return t.verbCandidates(call.Actor, "")
		}
	case "shell":
		return []Candidate{{Word: "bash"}, {Word: "zsh"}, {Word: "fish"}}
	case "type=n", "process", "release", "KEY", "key", "KEY=value":
		return t.ofApp(ctx, call, v, p, done)
	}
	return nil
}

func (t *Table) apps(ctx context.Context, call platform.Call) (list []Candidate) {
	call.Err = io.Discard
	apps, err := t.platform.List(ctx, call, struct{}{})
	if err != nil {
		return nil // a shell that waits for words has no use for a reason
	}
	for _, a := range apps {
		list = append(list, Candidate{string(a.Name), a.Status})
	}
	return list
}

// ofApp lists things of an app, for who may see it.
func (t *Table) ofApp(ctx context.Context, call platform.Call, v Verb, p param, done []string) (list []Candidate) {
	args, err := sortWords(done[1:], v)
	name := args.app(v)
	if name == "" {
		name = call.App
	}
	if err != nil || name == "" || t.platform.Permit(ctx, call.Actor, name, platform.ViewRole, v.Name) != nil {
		return nil
	}
	call.Err = io.Discard
	in := platform.AppInput{App: name}
	switch p.name {
	case "release":
		releases, _ := t.platform.History(ctx, call, in)
		for _, r := range releases {
			list = append(list, Candidate{fmt.Sprintf("v%d", r.Release), r.Description})
		}
	case "type=n", "process":
		list = t.processes(ctx, call, in, p)
	default:
		vars, _ := t.platform.ListKeysOfConfig(ctx, call, platform.ConfigKeysInput{App: name})
		for _, key := range vars {
			if p.name == "KEY=value" {
				key += "="
			}
			list = append(list, Candidate{Word: key})
		}
	}
	return list
}

func (t *Table) processes(ctx context.Context, call platform.Call, in platform.AppInput, p param) (list []Candidate) {
	running, _ := t.platform.Processes(ctx, call, in)
	seen := map[string]bool{}
	for _, r := range running {
		words := []string{string(r.Type), r.Name}
		if p.name == "type=n" {
			words = []string{string(r.Type) + "="}
		}
		for _, w := range words {
			if !seen[w] {
				seen[w] = true
				list = append(list, Candidate{Word: w, Help: r.Status})
			}
		}
	}
	return list
}
