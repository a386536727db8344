package verbs

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"paas/platform"
)

// Description is a verb as doors for programs see it.
type Description struct {
	Name    string
	Aliases []string
	Summary string
	Example string
	Access  Access
	Reads   bool // it changes nothing
	Streams bool // it writes its output while it runs
	Lines   bool // what it writes is one JSON document a line, if it is asked for that
	Bytes   bool // what it writes is its command's output, standard error apart
	Params  []Param
	Output  reflect.Type
}

// Param is an argument or a flag.
type Param struct {
	Name     string
	Help     string
	Default  string
	Required bool
	Flag     bool   // on a command line it is an option
	App      string // which app it names, if it names one: see permit.go
	Access   string // that using it needs by itself, "" for no more than the verb does
	List     bool
	Type     reflect.Kind // Bool, Int or String
}

// Describe lists the verbs.
func (t *Table) Describe() []Description {
	list := make([]Description, 0, len(t.verbs))
	for _, v := range t.verbs {
		list = append(list, v.describe())
	}
	return list
}

// Lookup finds a verb by its name or one of its other spellings.
func (t *Table) Lookup(name string) (Description, bool) {
	v, ok := t.find(name)
	if !ok {
		return Description{}, false
	}
	return v.describe(), true
}

func (v Verb) describe() Description {
	d := Description{
		Name: v.Name, Aliases: v.Aliases, Summary: v.Summary, Example: v.Example, Access: v.Access, Reads: v.reads(),
		Output: v.out, Streams: v.out == reflect.TypeFor[platform.Streamed](), Bytes: v.Raw,
	}
	for _, p := range v.params {
		if p.flag && p.name == "json" {
			d.Lines = true
			continue
		}
		d.Params = append(d.Params, Param{
			Name: p.name, Help: p.help, Default: p.fallback, Required: !p.flag && !p.optional, List: p.kind == reflect.Slice, Type: p.elem(),
			Flag: p.flag, App: p.names(), Access: p.access,
		})
	}
	return d
}

// names tells in which way the parameter names an app, "" for none.
func (p param) names() string {
	if p.app == "" && p.name == appArg {
		return "same"
	}
	return p.app
}

func (p param) elem() reflect.Kind {
	if p.kind == reflect.Bool || p.kind == reflect.Int {
		return p.kind
	}
	return reflect.String
}

// Answer is what a verb came to.
type Answer struct {
	Output any // nil when it has written it all
	Exit   int // of a command that was run
}

// Call carries a verb out for a door that has its arguments by name, as if --json had been said. It blocks until the
// verb is over, which the end of ctx makes soon. The Session's Prefix and Terminal are not used.
func (t *Table) Call(ctx context.Context, s Session, name string, values map[string][]string) (Answer, error) {
	v, ok := t.find(name)
	if !ok {
		return Answer{}, platform.Errorf(platform.Unknown, "there is no command %q", name)
	}
	args := arguments{flags: map[string][]string{}, common: switches{json: true}}
	for key, list := range values {
		p, ok := v.paramNamed(key)
		if !ok {
			return Answer{}, platform.Errorf(platform.Usage, "%s has no argument %q", v.Name, key).WithHint("%s", v.usage())
		}
		if p.name == "command" {
			list = []string{shellLine(list)}
		}
		args.flags[p.name] = list
	}
	out, err := t.carryOut(ctx, s.Actor, v, args, platform.Call{In: s.Stdin, Out: s.Stdout, Err: s.Stderr})
	if err != nil {
		return Answer{}, withNext(err, v)
	}
	a := Answer{Output: out}
	if e, ok := out.(exiting); ok {
		a.Exit = e.ExitStatus()
	}
	if _, streamed := out.(platform.Streamed); streamed {
		a.Output = nil
	}
	return a, nil
}

func (v Verb) paramNamed(name string) (param, bool) {
	for _, p := range v.params {
		if p.name == name {
			return p, true
		}
	}
	return param{}, false
}

// shellLine is a command as a line for a shell: one word is a line by itself, of several each is quoted.
func shellLine(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// ParseValues reads a JSON object of arguments: strings, numbers, booleans, and lists of them. stdin is what its member
// of that name says.
func ParseValues(body []byte) (values map[string][]string, stdin string, err error) {
	var raw map[string]any
	if len(strings.TrimSpace(string(body))) == 0 {
		return map[string][]string{}, "", nil
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil || raw == nil || dec.More() {
		return nil, "", platform.Errorf(platform.Usage, "the body is no JSON object of arguments").Because(err)
	}
	values = map[string][]string{}
	for key, v := range raw {
		words, err := wordsOf(v)
		if err != nil {
			return nil, "", platform.Errorf(platform.Usage, "%q is neither a string, a number, a boolean nor a list of them", key)
		}
		if key == "stdin" {
			stdin = strings.Join(words, "\n")
		} else if words != nil {
			values[key] = words
		}
	}
	return values, stdin, nil
}

// wordsOf is a value as words of a command line. False and null are an option that was not given.
func wordsOf(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case json.Number:
		return []string{v.String()}, nil
	case bool:
		if !v {
			return nil, nil
		}
		return []string{"true"}, nil
	case []any:
		words := []string{}
		for _, item := range v {
			more, err := wordsOf(item)
			if err != nil || len(more) != 1 {
				return nil, errors.New("not a word")
			}
			words = append(words, more...)
		}
		return words, nil
	}
	return nil, errors.New("not a word")
}
