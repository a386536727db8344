package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"paas/platform"
)

// Table is every verb over one platform.
type Table struct {
	platform *platform.Platform
	verbs    []Verb
	version  string
	later    later
}

// New makes the table. version is what `version` prints.
func New(p *platform.Platform, version string) *Table {
	t := &Table{platform: p, version: version}
	t.verbs = respelled(slices.Concat(
		declared(), names(), builders(), distribution(), stacks(), edges(), code(), people(),
		releases(), checks(), things(), why(), logs(), oneOffs(), line(), t.own(),
	))
	for i, v := range t.verbs {
		if v.Another == "" {
			t.verbs[i].Another = another[v.Name]
		}
	}
	return t
}

// status maps an error's kind to the exit status of the command-line contract.
var status = map[platform.Kind]int{
	platform.Internal: 1, platform.Failed: 1, platform.Usage: 2, platform.NotFound: 3, platform.Denied: 4,
	platform.Conflict: 5, platform.Timeout: 6, platform.Unhealthy: 7, platform.Unknown: 127,
	platform.Interrupted: 130, platform.Unauthorized: 4,
}

// Run carries out one command line and returns its exit status. It blocks until the command is over.
func (t *Table) Run(ctx context.Context, s Session, line string) int {
	words, err := Split(line)
	words, s.App = leading(words)
	if asks(words, "--no-color") {
		s.Env = maps.Clone(s.Env)
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		s.Env["NO_COLOR"] = "1"
	}
	raw := s
	if s.Terminal != nil {
		s.Stdout, s.Stderr = crlf{s.Stdout}, crlf{s.Stderr}
	}
	code := 0
	if err == nil {
		code, err = t.run(ctx, s, raw, words)
	}
	if err == nil {
		return code
	}
	if platform.KindOf(err) == platform.Internal {
		err = fmt.Errorf("request %s: %w", s.Actor.Request, err)
	}
	e := t.platform.Human(err)
	if !s.Actor.Admin && len(e.Table) > 0 { // it names apps
		told := *e
		told.Table = nil
		e = &told
	}
	if asks(words, "--json") {
		tellJSON(s, e)
	} else {
		tellError(s, e)
	}
	return status[e.Kind]
}

// Watches tells whether a command line only shows what happens: see Verb.Watch.
func (t *Table) Watches(line string) bool {
	words, err := Split(line)
	if err != nil || len(words) == 0 {
		return false
	}
	v, ok := t.find(words[0].Text)
	return ok && v.Watch
}

// Endures tells whether a command line may be silent for as long as it likes: those that watch, and those whose terminal
// is their command's.
func (t *Table) Endures(line string) bool {
	words, err := Split(line)
	if err != nil || len(words) == 0 {
		return false
	}
	v, ok := t.find(words[0].Text)
	return ok && (v.Watch || v.Raw)
}

func (t *Table) run(ctx context.Context, s, raw Session, line []Word) (int, error) {
	words := texts(line)
	if len(words) == 0 {
		return 0, t.firstScreen(s)
	}
	if words[0] == "--help" || words[0] == "-h" {
		words[0], line[0] = "help", Word{"help", "help"}
	}
	if words[0] == "--version" {
		words[0], line[0] = "version", Word{"version", "version"}
	}
	v, ok := t.find(words[0])
	if !ok {
		return t.unknown(s, words[0])
	}
	if asksHelp(words[1:]) {
		return 0, t.helpVerb(s, v)
	}
	code, err := t.perform(ctx, s, raw, v, line[1:])
	if e := new(platform.Error); errors.As(err, &e) && e.Kind == platform.Usage {
		if meant := t.spaced(v, words[1:]); meant != "" {
			return code, e.WithHint("did you mean `%s`? See how: ssh paas help %s", meant, meant)
		}
		if here := foreignTo(v, words[1:], e.Message); here != "" {
			return code, e.WithHint("%s", here)
		}
	}
	return code, err
}

// asksHelp looks for -h and --help before a command that run would run.
func asksHelp(words []string) bool {
	for i, w := range words {
		if w == "--" || i > 1 && !strings.HasPrefix(w, "-") {
			return false
		}
		if w == "--help" || w == "-h" {
			return true
		}
	}
	return false
}

// perform calls the verb. raw is the session without ends of lines for a terminal.
func (t *Table) perform(ctx context.Context, s, raw Session, v Verb, line []Word) (int, error) {
	args, err := sortWords(texts(line), v)
	if err != nil && s.App == "" {
		return 0, err
	}
	if err != nil || t.impliesApp(ctx, s, v, args) {
		line = append([]Word{{s.App, s.App}}, line...)
		if args, err = sortWords(texts(line), v); err != nil {
			return 0, err
		}
	}
	for _, w := range args.warnings {
		_, _ = fmt.Fprintf(s.Stderr, " !     %s\n", w)
	}
	if n := args.passed; n > 0 {
		args.positional = append(args.positional[:len(args.positional)-n], asWritten(line, n))
	}
	if v.Raw && s.Terminal != nil { // the command's own terminal does what crlf does
		s.Stdout, s.Stderr = raw.Stdout, raw.Stderr
	}
	if args.common.json && v.streams() && !v.hasOwn("json") && args.flags["detach"] == nil {
		return t.asLines(ctx, s, v, args)
	}
	if args.common.later {
		return t.inBackground(ctx, s, v, args, line)
	}
	if s.Terminal != nil && s.Terminal.Term != "dumb" && v.waits() && !args.common.quiet {
		spinner := spin(s.Stderr)
		defer spinner.end()
		s.Stdout, s.Stderr = spinner.writer(s.Stdout), spinner.writer(s.Stderr)
	}
	return t.call(ctx, s, v, args)
}

// asLines carries out a verb that prints text as it comes, and prints that as JSON.
func (t *Table) asLines(ctx context.Context, s Session, v Verb, args arguments) (int, error) {
	if v.Archive {
		return 0, platform.Errorf(platform.Usage, "%s writes an archive, which has no form in JSON", v.Name).WithHint("%s", v.usage())
	}
	lines := newNDJSON(s.Stdout)
	out, errs := lines.stream("stdout"), lines.stream("stderr")
	s.Stdout, s.Stderr = out, errs
	code, err := t.call(ctx, s, v, args)
	if err = errors.Join(err, out.flush(), errs.flush()); err != nil {
		return code, err
	}
	return code, lines.exit(code)
}

// call carries the verb out and prints what came of it.
func (t *Table) call(ctx context.Context, s Session, v Verb, args arguments) (int, error) {
	call := platform.Call{
		In: s.Stdin, Out: s.Stdout, Err: s.Stderr, Terminal: s.Terminal, Signals: s.Signals, Environ: s.Env, Prefix: s.Prefix, App: s.App,
		JSON: args.common.json,
	}
	if args.common.quiet {
		call.Err = io.Discard
	}
	ctx, stop := args.common.within(ctx)
	defer stop()
	out, err := t.carryOut(ctx, s.Actor, v, args, call)
	if err != nil {
		return 0, withNext(args.common.late(ctx, v, err), v)
	}
	if args.common.json {
		err = writeJSON(s.Stdout, out)
	} else {
		err = out.Text(letters(s, out, s.page(s.Stdout, args.common.header)))
	}
	if e, ok := out.(exiting); ok {
		return e.ExitStatus(), errors.Join(err, args.common.cut(ctx, v, e))
	}
	return 0, err
}

// withNext tells what to type next when nobody did: how to use the verb if the words or the state of things did not fit,
// and what there is for who may not.
func withNext(err error, v Verb) error {
	var e *platform.Error
	switch {
	case !errors.As(err, &e) || e.Hint != "":
		return err
	case e.Kind == platform.Usage:
		return e.WithHint("%s", v.usage())
	case e.Kind == platform.Denied:
		return e.WithHint("see what you may do, and ask an admin for more: ssh paas whoami")
	case e.Kind == platform.NotFound || e.Kind == platform.Conflict:
		return e.WithHint("how it is used: ssh paas help %s", v.Name)
	}
	return err
}

func writeJSON(w io.Writer, out output) error {
	switch out.(type) {
	case platform.Streamed, HelpText:
		return nil
	}
	return printJSON(w, out)
}

func (t *Table) find(word string) (Verb, bool) {
	for _, v := range t.verbs {
		if v.Name == word {
			return v, true
		}
		for _, alias := range v.Aliases {
			if alias == word {
				return v, true
			}
		}
	}
	return Verb{}, false
}
