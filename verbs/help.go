package verbs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"paas/platform"
)

// Widths of help, in columns.
const (
	helpWidth = 80
	nameWidth = 24
)

// usage is the verb's synopsis after the program's name.
func (v Verb) usage() string {
	parts := []string{"ssh paas " + v.Name}
	for _, flags := range []bool{false, true} {
		for _, p := range v.params {
			if p.flag == flags {
				parts = append(parts, p.synopsis())
			}
		}
	}
	return wrap(strings.Join(parts, " "), helpWidth-8, "    ")
}

func (p param) synopsis() string {
	switch {
	case p.flag && p.isBool:
		return "[--" + p.name + "]"
	case p.flag:
		return fmt.Sprintf("[--%s %s]", p.name, p.valueName())
	case p.rest && p.optional:
		return "[" + p.name + "…]"
	case p.rest:
		return p.name + "…"
	case p.optional:
		return "[" + p.name + "]"
	default:
		return p.name
	}
}

// wrap breaks a text at blanks; a "[--flag VALUE]" stays whole. Later lines begin with indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range synopsisWords(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

func synopsisWords(text string) (list []string) {
	open := false
	for word := range strings.FieldsSeq(text) {
		if open {
			list[len(list)-1] += " " + word
		} else {
			list = append(list, word)
		}
		open = strings.HasPrefix(word, "[--") && !strings.HasSuffix(word, "]") || open && !strings.HasSuffix(word, "]")
	}
	return list
}

// entry is one line of a list, or more if it does not fit.
func entry(b *strings.Builder, name, text string) {
	indent := strings.Repeat(" ", nameWidth+3)
	fmt.Fprintf(b, "  %-*s %s\n", nameWidth, name, wrap(text, helpWidth-len(indent), indent))
}

func (t *Table) list(b *strings.Builder, verbs []Verb) {
	for _, v := range verbs {
		if !v.hidden {
			entry(b, v.Name, v.Summary)
		}
	}
}

// firstScreen is what who says nothing sees: no more than a screen.
func (t *Table) firstScreen(s Session) error {
	var b strings.Builder
	fmt.Fprintf(&b, "paas %s: push apps with git, run them here.\n\n", t.version)
	for _, name := range []string{"apps:create", "apps:list", "ps", "ps:scale", "config:set", "domains:add", "logs", "run", "releases", "rollback"} {
		if v, ok := t.find(name); ok {
			entry(&b, v.Name, v.Summary)
		}
	}
	b.WriteString("\n" + wrap("Topics: "+strings.Join(t.topics(), " "), helpWidth, "  ") + "\n")
	fmt.Fprintf(&b, "\nDeploy: git remote add paas paas:APP && git push paas main\n")
	fmt.Fprintf(&b, "More:   %[1]s help, %[1]s help TOPIC, %[1]s help COMMAND\n", s.Prefix)
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

// topics are the first parts of verbs' names.
func (t *Table) topics() []string {
	seen := map[string]bool{}
	for _, v := range t.verbs {
		if topic, _, ok := strings.Cut(v.Name, ":"); ok && !v.hidden {
			seen[topic] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func (t *Table) helpAll(s Session) error {
	var b strings.Builder
	fmt.Fprintf(&b, "paas %s: push apps with git, run them here.\n\n", t.version)
	t.list(&b, t.verbs)
	fmt.Fprintf(&b, "\nDeploy: git remote add paas paas:APP && git push paas main\n")
	fmt.Fprintf(&b, "More:   %[1]s help TOPIC, %[1]s help COMMAND\n", s.Prefix)
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

func (t *Table) isTopic(word string) bool { return word != "" && len(t.topic(word)) > 0 }

func (t *Table) topic(word string) (verbs []Verb) {
	for _, v := range t.verbs {
		if strings.HasPrefix(v.Name, word+":") || v.Name == word {
			verbs = append(verbs, v)
		}
	}
	if len(verbs) == 1 && verbs[0].Name == word {
		return nil
	}
	return verbs
}

func (t *Table) helpTopic(s Session, topic string) error {
	var b strings.Builder
	t.list(&b, t.topic(topic))
	fmt.Fprintf(&b, "\nMore: %s help %s\n", s.Prefix, t.topic(topic)[0].Name)
	if page := docs[topic]; page != "" {
		fmt.Fprintf(&b, "Docs: %s\n", page)
	}
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

// docs is where to read on about a topic, beside the source.
var docs = map[string]string{
	"config": "docs/cli.md", "git": "docs/cli.md", "requests": "docs/cli.md", "completion": "docs/cli.md", "help": "docs/cli.md",
	"certs": "docs/tls.md", "domains": "docs/tls.md", "router": "docs/router.md", "redirects": "docs/router.md",
	"paths": "docs/router.md", "auth": "docs/router.md", "maintenance": "docs/router.md", "pages": "docs/router.md",
	"builder": "docs/builders.md", "buildpacks": "docs/builders.md", "builds": "docs/queue.md", "stacks": "docs/stacks.md",
	"resource": "docs/limits.md", "images": "docs/disk.md", "disk": "docs/disk.md", "ports": "docs/router.md",
}

func (t *Table) helpVerb(s Session, v Verb) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n  %s\n\nExamples:\n  %s %s\n", v.Summary, spell(v.usage(), s.Prefix), s.Prefix, v.Example)
	if v.Another != "" {
		fmt.Fprintf(&b, "  %s %s\n", s.Prefix, v.Another)
	}
	b.WriteByte('\n')
	for _, p := range slices.Concat(v.params, v.commonFlags()) {
		if p.help != "" {
			entry(&b, p.spelling(), p.help)
		}
	}
	if len(v.Aliases) > 0 {
		fmt.Fprintf(&b, "\n%s\n", wrap("Also: "+strings.Join(v.Aliases, " "), helpWidth, "  "))
	}
	topic, _, _ := strings.Cut(v.Name, ":")
	if topic == "ps" && (strings.Contains(v.Name, "sleep") || strings.Contains(v.Name, "wake")) {
		topic = "sleep"
	}
	page := docs[topic]
	if page == "" {
		page = "docs/cli.md"
	}
	fmt.Fprintf(&b, "Docs: %s\n", page)
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

// spelling is how a parameter stands in a list.
func (p param) spelling() string {
	switch {
	case p.flag && p.short != "":
		return "-" + p.short + ", --" + p.name
	case p.flag:
		return "--" + p.name
	default:
		return p.name
	}
}

// VerbView is a verb as programs see it.
type VerbView struct {
	Name      string      `json:"name"`
	Aliases   []string    `json:"aliases,omitempty"`
	Summary   string      `json:"summary"`
	Usage     string      `json:"usage"`
	Examples  []string    `json:"examples"`
	Access    string      `json:"access"`
	Audited   bool        `json:"audited"` // it changes something, and leaves an entry in the audit
	Streams   bool        `json:"streams"` // --json prints one object a line
	Arguments []ParamView `json:"arguments"`
	Flags     []ParamView `json:"flags"`
	Output    any         `json:"output,omitempty"` // JSON Schema of what --json prints
}

// ParamView is an argument or flag of a verb.
type ParamView struct {
	Name     string `json:"name"`
	Short    string `json:"short,omitempty"`
	Required bool   `json:"required"`
	Repeats  bool   `json:"repeats"`
	Boolean  bool   `json:"boolean,omitempty"`
	Default  string `json:"default,omitempty"`
	Help     string `json:"help,omitempty"`
}

func (v Verb) view() VerbView {
	j := VerbView{
		Name: v.Name, Aliases: v.Aliases, Summary: v.Summary, Examples: []string{v.Example, v.Another},
		Usage:  strings.Join(strings.Fields(strings.TrimPrefix(v.usage(), "ssh paas ")), " "),
		Access: v.Access.String(), Audited: !v.reads(), Streams: v.streams(), Arguments: []ParamView{}, Flags: []ParamView{}, Output: schemaOf(v.out),
	}
	for _, p := range slices.Concat(v.params, v.commonFlags()) {
		pj := ParamView{p.name, p.short, !p.flag && !p.optional, p.rest, p.isBool, p.fallback, p.help}
		if p.flag {
			j.Flags = append(j.Flags, pj)
		} else {
			j.Arguments = append(j.Arguments, pj)
		}
	}
	return j
}

// HelpInput is help.
type HelpInput struct {
	Command string `arg:"command" optional:"true" help:"or a topic, like ps"`
	JSON    bool   `flag:"json" help:"machine-readable output"`
}

// HelpText is what help printed.
type HelpText struct{ platform.Streamed }

func (t *Table) help(_ *platform.Platform, _ context.Context, call platform.Call, in HelpInput) (HelpText, error) {
	s := Session{Actor: call.Actor, Stdout: call.Out, Stderr: call.Err, Terminal: call.Terminal, Prefix: call.Prefix}
	v, ok := t.find(in.Command)
	var err error
	switch {
	case in.JSON && ok:
		err = printJSON(s.Stdout, v.view())
	case in.JSON && in.Command == "":
		err = printJSON(s.Stdout, t.views())
	case in.Command == "":
		err = t.helpAll(s)
	case ok && (v.Name == in.Command || !t.isTopic(in.Command)): // an alias like cron is the topic, too
		err = t.helpVerb(s, v)
	default:
		_, err = t.unknown(s, in.Command)
	}
	return HelpText{}, err
}

// views are all verbs that people use.
func (t *Table) views() []VerbView {
	list := []VerbView{}
	for _, v := range t.verbs {
		if !v.hidden {
			list = append(list, v.view())
		}
	}
	return list
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
