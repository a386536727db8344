package verbs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"paas/platform"
)

// param is one argument or flag, read from the tags of an input struct's field:
//
//	arg:"name"               positional; rest:"required" or "optional" takes all that are left
//	optional:"true"          a positional that may be missing
//	flag:"name" short:"n"    an option; a bool needs no value
//	help default value       for people: text, value when absent, what to call the value
//	app:"…"                  it names an app, see subject
//	access:"operate"         a flag that needs this level, whatever the verb does
//	secret:"true"            its value is not for the audit
//	was:"name"               what an option was called before: it is taken, with a warning
type param struct {
	name     string
	index    int // of the struct's field
	flag     bool
	short    string
	rest     bool
	optional bool
	isBool   bool
	fallback string
	value    string
	help     string
	app      string
	access   string
	secret   bool
	kind     reflect.Kind
	was      string
}

// app is the positional that -a and --app may give as well.
const appArg = "app"

func paramsOf[In any]() (list []param) {
	t := reflect.TypeFor[In]()
	for i := range t.NumField() {
		f := t.Field(i)
		p := param{
			index: i, short: f.Tag.Get("short"), help: f.Tag.Get("help"),
			fallback: f.Tag.Get("default"), value: f.Tag.Get("value"), isBool: f.Type.Kind() == reflect.Bool,
			app: f.Tag.Get("app"), access: f.Tag.Get("access"), secret: f.Tag.Get("secret") != "", kind: f.Type.Kind(), was: f.Tag.Get("was"),
		}
		if p.name = f.Tag.Get("arg"); p.name == "" {
			p.name, p.flag = f.Tag.Get("flag"), true
		}
		rest := f.Tag.Get("rest")
		p.rest, p.optional = rest != "", rest == "optional" || f.Tag.Get("optional") != ""
		list = append(list, p)
	}
	return list
}

func (p param) valueName() string {
	switch {
	case p.value != "":
		return p.value
	case p.fallback != "":
		return "N"
	default:
		return strings.ToUpper(p.name)
	}
}

// arguments are a command's words, sorted into positionals and flags.
type arguments struct {
	positional []string
	flags      map[string][]string
	common     switches
	warnings   []string // about words that still do, but not for long
	passed     int      // how many positionals at the end are the command that run passes on
}

// sortWords splits words by the verb's parameters. Flags may stand anywhere before "--"; in front of a
// command line that the verb passes on (run), they must stand before it.
func sortWords(words []string, v Verb) (arguments, error) {
	args := arguments{flags: map[string][]string{}}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			args.positional = append(args.positional, words...)
			if v.passesOn(args) {
				args.passed = len(words)
			}
			return args, nil
		case len(word) > 1 && word[0] == '-':
			var err error
			if words, err = args.takeFlag(word, words, v); err != nil {
				return args, err
			}
		default:
			args.positional = append(args.positional, word)
			if v.passesOn(args) {
				args.positional = append(args.positional, words...)
				args.passed = 1 + len(words)
				return args, nil
			}
		}
	}
	return args, nil
}

// passesOn tells whether what follows belongs to the command that run runs.
func (v Verb) passesOn(args arguments) bool {
	need := 0
	for _, p := range v.params {
		if p.flag {
			continue
		}
		if p.rest {
			return p.name == "command" && len(args.positional) > need
		}
		if p.name != appArg || args.flags[appArg] == nil {
			need++
		}
	}
	return false
}

func (a *arguments) takeFlag(word string, words []string, v Verb) ([]string, error) {
	name, value, joined := strings.Cut(word, "=")
	p, ok := v.flagNamed(name)
	if !ok {
		rest, common, err := a.takeCommon(v, name, value, words)
		if !common {
			return nil, v.unknownFlag(name)
		}
		return rest, err
	}
	if p.was != "" && name == "--"+p.was {
		a.warnings = append(a.warnings, name+" is called --"+p.name+" now; the old name goes in the version after next")
	}
	switch {
	case p.isBool && joined:
		return nil, platform.Errorf(platform.Usage, "%s takes no value", name).WithHint("%s", v.usage())
	case p.isBool:
		value = "true"
	case !joined && len(words) == 0:
		return nil, platform.Errorf(platform.Usage, "%s needs a value: %s", name, p.valueName()).WithHint("%s", v.usage())
	case !joined:
		value, words = words[0], words[1:]
	}
	a.flags[p.name] = append(a.flags[p.name], value)
	return words, nil
}

func (v Verb) flagNamed(name string) (param, bool) {
	for _, p := range v.params {
		if p.flag && (name == "--"+p.name || p.short != "" && name == "-"+p.short || p.was != "" && name == "--"+p.was) {
			return p, true
		}
		if !p.flag && p.name == appArg && (name == "--app" || name == "-a") {
			return p, true
		}
	}
	return param{}, false
}

// fill sets the input struct's fields.
func (a arguments) fill(in any, params []param) error {
	v := reflect.ValueOf(in).Elem()
	assigned, rest := a.assign(params)
	for i, p := range params {
		values := assigned[i]
		if len(values) == 0 && !p.flag && !p.optional {
			return platform.Errorf(platform.Usage, "%s is missing", p.name)
		}
		if err := set(v.Field(p.index), p, values); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return platform.Errorf(platform.Usage, "%q is too much", rest[0])
	}
	if f := v.FieldByName("JSON"); f.IsValid() {
		f.SetBool(f.Bool() || a.common.json)
	}
	return nil
}

func set(field reflect.Value, p param, values []string) error {
	if len(values) == 0 {
		return nil
	}
	last := values[len(values)-1]
	switch field.Kind() {
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Int:
		n, err := strconv.Atoi(last)
		if err != nil {
			return platform.Errorf(platform.Usage, "--%s takes a number, not %q", p.name, last)
		}
		field.SetInt(int64(n))
	case reflect.Slice:
		field.Set(reflect.ValueOf(values))
	case reflect.String:
		field.SetString(last)
	default:
		panic(fmt.Sprintf("input field %s has kind %s", p.name, field.Kind())) // found by the table's test
	}
	return nil
}
