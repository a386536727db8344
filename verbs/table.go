package verbs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"paas/platform"
)

// Table is every verb over one platform.
type Table struct {
	platform *platform.Platform
	verbs    []Verb
	version  string
}

// New makes the table. version is what `version` prints.
func New(p *platform.Platform, version string) *Table {
	return &Table{platform: p, verbs: slices.Concat(declared(), releases(), names(), builders(), distribution(), stacks(), edges(), code(), things()), version: version}
}

// status maps an error's kind to the exit status of the command-line contract.
var status = map[platform.Kind]int{
	platform.Internal: 1, platform.Failed: 1, platform.Usage: 2, platform.NotFound: 3, platform.Denied: 4,
	platform.Conflict: 5, platform.Timeout: 6, platform.Unhealthy: 7, platform.Unknown: 127,
	platform.Interrupted: 130, platform.Unauthorized: 4,
}

// Run carries out one command line and returns its exit status. It blocks until the command is over.
func (t *Table) Run(ctx context.Context, s Session, line string) int {
	if s.Terminal != nil {
		s.Stdout, s.Stderr = crlf{s.Stdout}, crlf{s.Stderr}
	}
	words, err := Split(line)
	code := 0
	if err == nil {
		code, err = t.run(ctx, s, words)
	}
	if err == nil {
		return code
	}
	e := t.platform.Human(err)
	tellError(s, e)
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

func (t *Table) run(ctx context.Context, s Session, line []Word) (int, error) {
	words := texts(line)
	if len(words) == 0 {
		return 0, t.helpAll(s)
	}
	if words[0] == "help" || words[0] == "--help" || words[0] == "-h" {
		return 0, t.help(s, words[1:])
	}
	if words[0] == "version" || words[0] == "--version" {
		return 0, t.tellVersion(s, words[1:])
	}
	v, ok := t.find(words[0])
	if !ok {
		return t.unknown(s, words[0])
	}
	if asksHelp(words[1:]) {
		return 0, t.helpVerb(s, v)
	}
	if v.Access == Admin && !s.Actor.Admin {
		return 0, platform.Errorf(platform.Denied, "%s is for admins, and your key %q is not one", v.Name, s.Actor.Name)
	}
	return t.perform(ctx, s, v, line[1:])
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

func (t *Table) perform(ctx context.Context, s Session, v Verb, line []Word) (int, error) {
	args, err := sortWords(texts(line), v)
	if err != nil {
		return 0, err
	}
	if n := args.passed; n > 0 {
		args.positional = append(args.positional[:len(args.positional)-n], asWritten(line, n))
	}
	call := platform.Call{Actor: s.Actor, In: s.Stdin, Out: s.Stdout, Err: s.Stderr, Terminal: s.Terminal}
	if v.Raw && s.Terminal != nil { // the command's own terminal does what crlf does
		call.Out, call.Err = s.Stdout.(crlf).w, s.Stderr.(crlf).w
	}
	out, err := v.call(ctx, t.platform, call, args)
	if err != nil {
		return 0, withUsage(err, v)
	}
	if args.json {
		err = writeJSON(s.Stdout, out)
	} else {
		err = out.Text(page(s))
	}
	if e, ok := out.(exiting); ok {
		return e.ExitStatus(), err
	}
	return 0, err
}

// page is where text goes: aligned for people, tab-separated for programs.
func page(s Session) io.Writer {
	if s.Terminal != nil {
		return s.Stdout
	}
	return platform.Piped{Writer: s.Stdout}
}

// withUsage shows how to use the verb when the words did not fit and nobody said more.
func withUsage(err error, v Verb) error {
	var e *platform.Error
	if errors.As(err, &e) && e.Kind == platform.Usage && e.Hint == "" {
		return e.WithHint("%s", v.usage())
	}
	return err
}

func writeJSON(w io.Writer, out output) error {
	if _, streamed := out.(platform.Streamed); streamed {
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
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

// unknown lists the topic's verbs if the word is a topic, else tells the nearest verb.
func (t *Table) unknown(s Session, word string) (int, error) {
	if t.isTopic(word) {
		return 0, t.helpTopic(s, word)
	}
	e := platform.Errorf(platform.Unknown, "there is no command %q", word)
	for _, v := range t.verbs {
		for _, name := range append([]string{v.Name}, v.Aliases...) {
			if platform.Near(word, name) {
				return 0, platform.Errorf(platform.Unknown, "there is no command %q; did you mean %q?", word, name)
			}
		}
	}
	return 0, e.WithHint("see all of them: ssh paas help")
}

func tellError(s Session, e *platform.Error) {
	var b strings.Builder
	for _, line := range e.Table {
		fmt.Fprintf(&b, "       %s\n", line)
	}
	fmt.Fprintf(&b, " !     %s\n", strings.TrimSuffix(e.Message, "."))
	if e.Hint != "" {
		fmt.Fprintf(&b, "       %s\n", spell(e.Hint, s.Prefix))
	}
	if len(e.Output) > 0 {
		fmt.Fprintf(&b, "       Its last output:\n")
		for _, line := range e.Output {
			fmt.Fprintf(&b, "         %s\n", line)
		}
	}
	_, _ = io.WriteString(s.Stderr, b.String())
}

// spell writes commands as the caller types them.
func spell(text, prefix string) string { return strings.ReplaceAll(text, "ssh paas ", prefix+" ") }

// crlf ends lines as a raw terminal needs it.
type crlf struct{ w io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	text := strings.ReplaceAll(strings.ReplaceAll(string(p), "\r\n", "\n"), "\n", "\r\n")
	if _, err := io.WriteString(c.w, text); err != nil {
		return 0, err
	}
	return len(p), nil
}
