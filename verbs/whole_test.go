package verbs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"paas/platform"
)

// Every verb says all of itself: what it does, two examples that can be typed, who may, which JSON it prints, and a
// scenario in which a person uses it.
func TestEveryVerbIsWhole(t *testing.T) {
	tab := table(t)
	seen := map[string]bool{}
	scenarios := typed(t)
	for _, v := range tab.verbs {
		if v.Summary == "" || strings.HasSuffix(v.Summary, ".") || utf8.RuneCountInString(v.Summary) > 62 {
			t.Errorf("%s: summary %q", v.Name, v.Summary)
		}
		wholeExamples(t, v)
		wholeInput(t, v)
		wholeOutput(t, v)
		for _, name := range append([]string{v.Name}, v.Aliases...) {
			if seen[name] {
				t.Errorf("%s is declared twice", name)
			}
			seen[name] = true
		}
		if !slices.ContainsFunc(append([]string{v.Name}, v.Aliases...), func(n string) bool { return scenarios[n] }) {
			t.Errorf("%s: no scenario in cmd/paas/testdata shows it succeed", v.Name)
		}
		for line := range strings.SplitSeq(run(tab, true, "help", v.Name).out, "\n") {
			if utf8.RuneCountInString(line) > helpWidth {
				t.Errorf("help of %s is too wide: %s", v.Name, line)
			}
		}
	}
	for name := range another {
		if _, ok := tab.find(name); !ok {
			t.Errorf("there is a second example of %s, which is no verb", name)
		}
	}
}

func wholeExamples(t *testing.T, v Verb) {
	t.Helper()
	if v.Example == v.Another {
		t.Errorf("%s: its two examples are one", v.Name)
	}
	for _, line := range []string{v.Example, v.Another} {
		words, err := Split(line)
		example := texts(words)
		if err != nil || len(example) == 0 || example[0] != v.Name && !slices.Contains(v.Aliases, example[0]) {
			t.Errorf("%s: example %q does not show it", v.Name, line)
			continue
		}
		if i := slices.IndexFunc(example, func(w string) bool { return w == "<" || w == ">" }); i > 0 {
			example = example[:i]
		}
		args, err := sortWords(example[1:], v)
		if err != nil {
			t.Errorf("%s: its example %q does not parse: %v", v.Name, line, err)
		}
		need := 0
		for _, p := range v.params {
			if !p.flag && !p.optional && args.flags[p.name] == nil {
				need++
			}
		}
		if len(args.positional) < need {
			t.Errorf("%s: its example %q lacks words", v.Name, line)
		}
		if utf8.RuneCountInString(line) > helpWidth+20 {
			t.Errorf("%s: its example %q is too wide", v.Name, line)
		}
	}
}

func wholeInput(t *testing.T, v Verb) {
	t.Helper()
	if v.Access < Admin || v.Access > Manage {
		t.Errorf("%s: access %d", v.Name, v.Access)
	}
	for _, p := range v.params {
		if p.name == "" {
			t.Errorf("%s has an input field without a name", v.Name)
		}
		if p.flag && p.help == "" {
			t.Errorf("%s: --%s has no help", v.Name, p.name)
		}
	}
}

// wholeOutput: what a verb prints is a declared type whose fields have names of their own in JSON, or it streams
// objects, a line each. An archive is neither.
func wholeOutput(t *testing.T, v Verb) {
	t.Helper()
	if v.out == nil {
		t.Errorf("%s has no declared output", v.Name)
		return
	}
	if v.streams() { // its own lines of JSON, or those that the table makes of text, see ndjson.go
		return
	}
	namedFields(t, v.Name, v.out, map[reflect.Type]bool{})
}

func namedFields(t *testing.T, verb string, typ reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		namedFields(t, verb, typ.Elem(), seen)
	case reflect.Struct:
		if seen[typ] || typ.Implements(reflect.TypeFor[json.Marshaler]()) || typ == reflect.TypeFor[platform.Streamed]() {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if f.IsExported() && !f.Anonymous && (name == "" || strings.ToLower(name) != name) {
				t.Errorf("%s: field %s of %s has no JSON name in lower case", verb, f.Name, typ)
			}
			if f.IsExported() {
				namedFields(t, verb, f.Type, seen)
			}
		}
	}
}

// typed is every verb that a scenario calls with success, by ssh under any name of the server or by paas.
func typed(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../cmd/paas/testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	words := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			for _, word := range succeeding(line) {
				words[word] = true
			}
		}
	}
	return words
}

var (
	called = regexp.MustCompile(`(?:ssh (?:-\S+ )*paas(?:-\w+)?|exec paas|[ '"&|(;]paas|^paas)(?: -- | )(?:(?:-a|--app) \S+ )?["']*([a-z_][a-z0-9:_-]*)`)
	calls  = regexp.MustCompile(`^(exec|eventually|repeat \d+|terminal|ssh|paas) `)
	fails  = regexp.MustCompile(`test \$\? (=|-eq) *[1-9]|test \$\? (!=|-ne) *0|; true|\|\| `)
)

// succeeding are the verbs that a line of a scenario calls, unless it is about a call that fails.
func succeeding(line string) (words []string) {
	if !calls.MatchString(line) || fails.MatchString(line) {
		return nil
	}
	for _, m := range called.FindAllStringSubmatch(line, -1) {
		words = append(words, m[1])
	}
	return words
}

func TestSucceeding(t *testing.T) {
	for line, want := range map[string]string{
		"exec ssh paas apps:create blog":                         "apps:create",
		"exec ssh paas -- --app blog ps:report":                  "ps:report",
		"exec paas apps:list":                                    "apps:list",
		"exec sh -c 'ssh paas a:b > x; paas c:d x > y; cmp x y'": "a:b c:d",
		"exec sh -c 'ssh paas-bob users:info bob; test $? = 0'":  "users:info",
		"! exec ssh paas apps:create blog":                       "",
		"exec sh -c 'ssh paas apps:create; test $? = 2'":         "",
		"stderr 'see ssh paas apps:create'":                      "",
		"# ssh paas apps:create":                                 "",
		`exec ssh paas "config:set blog A='b c'"`:                "config:set",
	} {
		if got := strings.Join(succeeding(line), " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
