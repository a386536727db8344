package verbs

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"paas/platform"
)

// usage is the verb's synopsis after the program's name.
func (v Verb) usage() string {
	parts := []string{"ssh paas " + v.Name}
	for _, p := range v.params {
		if !p.flag {
			parts = append(parts, p.synopsis())
		}
	}
	var flags []string
	for _, p := range v.params {
		if p.flag {
			flags = append(flags, p.synopsis())
		}
	}
	if len(flags) > mostSynopses {
		flags = []string{"[flags]"}
	}
	return strings.Join(append(parts, flags...), " ")
}

// mostSynopses is how many flags a usage line names; help lists them all.
const mostSynopses = 6

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

func (t *Table) help(s Session, words []string) error {
	if len(words) == 0 {
		return t.helpAll(s)
	}
	if words[0] == "--json" {
		return t.helpJSON(s.Stdout)
	}
	if v, ok := t.find(words[0]); ok {
		return t.helpVerb(s, v)
	}
	_, err := t.unknown(s, words[0])
	return err
}

func (t *Table) helpAll(s Session) error {
	var b strings.Builder
	fmt.Fprintf(&b, "paas %s: push apps with git, run them here.\n\n", t.version)
	t.list(&b, t.verbs)
	fmt.Fprintf(&b, "  %-17s %s\n  %-17s %s\n", "help", "Show this, or help for one command", "version", "Show the version")
	fmt.Fprintf(&b, "\nDeploy: git remote add paas paas:APP && git push paas main\nMore:   %s help COMMAND\n", s.Prefix)
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

func (t *Table) list(b *strings.Builder, verbs []Verb) {
	for _, v := range verbs {
		fmt.Fprintf(b, "  %-17s %s\n", v.Name, v.Summary)
	}
}

func (t *Table) isTopic(word string) bool { return len(t.topic(word)) > 0 }

func (t *Table) topic(word string) (verbs []Verb) {
	for _, v := range t.verbs {
		if strings.HasPrefix(v.Name, word+":") {
			verbs = append(verbs, v)
		}
	}
	return verbs
}

func (t *Table) helpTopic(s Session, topic string) error {
	var b strings.Builder
	t.list(&b, t.topic(topic))
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

func (t *Table) helpVerb(s Session, v Verb) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n  %s\n\nExample:\n  %s %s\n", v.Summary, spell(v.usage(), s.Prefix), s.Prefix, v.Example)
	if v.Another != "" {
		fmt.Fprintf(&b, "  %s %s\n", s.Prefix, v.Another)
	}
	for _, p := range v.params {
		if p.help == "" {
			continue
		}
		name := p.name
		if p.flag {
			name = "--" + name
		}
		if p.short != "" {
			name = "-" + p.short + ", " + name
		}
		fmt.Fprintf(&b, "\n  %-16s %s", name, p.help)
	}
	fmt.Fprintf(&b, "\n  %-16s %s\n", "--json", "machine-readable output")
	_, err := io.WriteString(s.Stdout, b.String())
	return err
}

type verbJSON struct {
	Name      string      `json:"name"`
	Aliases   []string    `json:"aliases,omitempty"`
	Summary   string      `json:"summary"`
	Usage     string      `json:"usage"`
	Example   string      `json:"example"`
	Access    string      `json:"access"`
	Arguments []paramJSON `json:"arguments"`
	Flags     []paramJSON `json:"flags"`
}

type paramJSON struct {
	Name     string `json:"name"`
	Short    string `json:"short,omitempty"`
	Required bool   `json:"required"`
	Repeats  bool   `json:"repeats"`
	Boolean  bool   `json:"boolean,omitempty"`
	Default  string `json:"default,omitempty"`
	Help     string `json:"help,omitempty"`
}

// helpJSON prints the whole table.
func (t *Table) helpJSON(w io.Writer) error {
	list := []verbJSON{}
	for _, v := range append(t.verbs, builtin()...) {
		list = append(list, v.json())
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}

func (v Verb) json() verbJSON {
	j := verbJSON{
		Name: v.Name, Aliases: v.Aliases, Summary: v.Summary, Usage: strings.TrimPrefix(v.usage(), "ssh paas "),
		Example: v.Example, Access: v.Access.String(), Arguments: []paramJSON{}, Flags: []paramJSON{},
	}
	for _, p := range v.params {
		pj := paramJSON{p.name, p.short, !p.flag && !p.optional, p.rest, p.isBool, p.fallback, p.help}
		if p.flag {
			j.Flags = append(j.Flags, pj)
		} else {
			j.Arguments = append(j.Arguments, pj)
		}
	}
	return j
}

// builtin are the verbs that the table itself answers.
func builtin() []Verb {
	return []Verb{
		{Name: "help", Summary: "Show all commands, or one", Example: "help ps:scale", Access: Anyone,
			params: []param{{name: "command", optional: true}, {name: "json", flag: true, isBool: true}}},
		{Name: "version", Summary: "Show the version", Example: "version", Access: Anyone},
	}
}

func (t *Table) tellVersion(s Session, words []string) error {
	if len(words) > 0 && words[0] == "--json" {
		return json.NewEncoder(s.Stdout).Encode(map[string]string{"version": t.version})
	}
	if len(words) > 0 {
		return platform.Errorf(platform.Usage, "version takes no argument")
	}
	_, err := fmt.Fprintf(s.Stdout, "paas %s\n", t.version)
	return err
}
