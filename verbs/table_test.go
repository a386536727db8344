package verbs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paas/platform"
	"paas/store"
)

func table(t *testing.T) *Table {
	t.Helper()
	s, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "paas.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := platform.New(platform.Rooms{Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, platform.Settings{})
	t.Cleanup(p.Close)
	return New(p, "1.2.3")
}

type result struct {
	code     int
	out, err string
}

func run(t *Table, admin bool, words ...string) result {
	var out, errs bytes.Buffer
	s := Session{Actor: platform.Actor{Name: "alice", Admin: admin}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Prefix: "ssh paas"}
	return result{t.Run(context.Background(), s, strings.Join(words, " ")), out.String(), errs.String()}
}

func TestHelpJSONListsTheTable(t *testing.T) {
	tab := table(t)
	var list []VerbView
	if err := json.Unmarshal([]byte(run(tab, false, "help", "--json").out), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(tab.views()) || len(list) < 100 {
		t.Fatalf("%d verbs in JSON, %d in the table", len(list), len(tab.verbs))
	}
	for _, v := range list {
		if v.Name == "" || len(v.Examples) != 2 || v.Access == "" || v.Usage == "" || v.Output == nil && !v.Streams && v.Name != "help" {
			t.Errorf("incomplete: %+v", v)
		}
	}
}

func TestExitStatusAndSentences(t *testing.T) {
	tab := table(t)
	for _, tc := range []struct {
		words string
		admin bool
		code  int
		says  string
	}{
		{"", true, 0, "apps:create"},
		{"help", true, 0, "git push paas main"},
		{"apps:list", true, 0, ""},
		{"apps:create blog", true, 0, "blog"},
		{"apps:create blog", true, 5, "exists already"},
		{"apps:create blog --if-missing", true, 0, "blog"},
		{"apps:create Blog", true, 2, "is not an app name"},
		{"apps:create --help", true, 0, "ssh paas apps:create app [--if-missing]"},
		{"apps:create", true, 2, "app is missing"},
		{"apps:create a b", true, 2, `"b" is too much`},
		{"apps:create a --if-mising", true, 2, "Did you mean `--if-missing`?"},
		{"apps:create x", false, 4, "is for admins"},
		{"app:create x", true, 127, "Did you mean `apps:create`?"},
		{"frobnicate", true, 127, "Unknown command"},
		{"config", true, 2, "app is missing"},
		{"domains:", true, 127, "Unknown command"},
		{"keys:", true, 127, "Unknown command"},
		{"ps blgo", true, 3, `did you mean "blog"`},
		{"apps:scale web=3", true, 2, "name the app first"},
		{"apps:scale web=3 -a blog", true, 0, "web=3"},
		{"logs blog -n x", true, 2, "takes a number"},
		{"run blog ls -la", true, 5, "no release to run in"},
		{"rollback blog", true, 5, "no release to roll back"},
		{"version", false, 0, "paas 1.2.3"},
		{"config:set blog A=1 B=2", true, 0, "takes effect with the first push"},
		{"config:get blog A", true, 0, "1"},
		{"config:get blog C", true, 3, `no config var "C"`},
		{"config:set blog 1A=1", true, 2, "is not a config var"},
		{"apps:destroy blog", true, 2, "--confirm blog"},
	} {
		r := run(tab, tc.admin, strings.Fields(tc.words)...)
		if r.code != tc.code || !strings.Contains(r.out+r.err, tc.says) {
			t.Errorf("%q: status %d, want %d\n%s%s", tc.words, r.code, tc.code, r.out, r.err)
		}
		if tc.code != 0 && (r.out != "" || !strings.HasPrefix(r.err, " !     ")) {
			t.Errorf("%q: a failure wrote to stdout %q, stderr %q", tc.words, r.out, r.err)
		}
	}
}

// What follows run's command belongs to the command, --help and --json too.
func TestRunPassesWordsOn(t *testing.T) {
	v, _ := table(t).find("run")
	for words, want := range map[string]string{
		"blog ls -la --json":            "blog ls -la --json",
		"-a blog ls -la":                "ls -la",
		"blog -e A=1 -- sh -c x --help": "blog sh -c x --help",
		"blog -- --help":                "blog --help",
	} {
		args, err := sortWords(strings.Fields(words), v)
		if got := strings.Join(args.positional, " "); err != nil || got != want {
			t.Errorf("%q became %q (%v), want %q", words, got, err, want)
		}
	}
}

func TestSplitKeepsWhatWasMeant(t *testing.T) {
	for line, want := range map[string]string{
		`run blog -- grep -E "^(a|b)" 'x y'`: `grep -E "^(a|b)" 'x y'`,
		`run blog 'echo $HOME; exit 3'`:      `echo $HOME; exit 3`,
		`run blog echo $HOME`:                `echo $HOME`,
		`run blog -- "sh -c \"a b\""`:        `sh -c "a b"`,
		`run -a blog a\ b c`:                 `a\ b c`,
	} {
		words, err := Split(line)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := table(t).find("run")
		args, err := sortWords(texts(words[1:]), v)
		if err != nil {
			t.Fatal(err)
		}
		if got := asWritten(words, args.passed); got != want {
			t.Errorf("%s passes on %q, want %q", line, got, want)
		}
	}
	for _, open := range []string{`a 'b`, `a "b`, `"`} {
		if _, err := Split(open); platform.KindOf(err) != platform.Usage {
			t.Errorf("%s: %v", open, err)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"":                     nil,
		"  \t\n ":              nil,
		"a b":                  {"a", "b"},
		" a  b ":               {"a", "b"},
		`'a b' "c d"`:          {"a b", "c d"},
		`a'b'"c"d`:             {"abcd"},
		`'' ""`:                {"", ""},
		`\a\ \'`:               {"a '"},
		`"\a\"\\\$"`:           {`\a"\$`},
		`'\'`:                  {`\`},
		"a\\\nb":               {"ab"},
		"\"a\\\nb\"":           {"ab"},
		"$HOME `x` *":          {"$HOME", "`x`", "*"},
		"git-receive-pack 'x'": {"git-receive-pack", "x"},
		"\xff \xfe":            {"\xff", "\xfe"},
	} {
		got, err := Split(line)
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{"'", `"`, `\`, `a "b`, `"a\`, "x 'y"} {
		if got, err := Split(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("a 'b c'", "d\"e")
	f.Fuzz(func(t *testing.T, line, word string) {
		_, _ = Split(line)
		quoted := "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		got, err := Split("x " + quoted + " y")
		if err != nil || !slices.Equal(texts(got), []string{"x", word, "y"}) {
			t.Fatalf("%q became %q, %v", word, got, err)
		}
	})
}

func FuzzSortWords(f *testing.F) {
	f.Add("blog -n 3 -f --process=web")
	v, _ := (&Table{verbs: declared()}).find("logs")
	f.Fuzz(func(t *testing.T, line string) {
		args, err := sortWords(strings.Fields(line), v)
		if err != nil {
			return
		}
		var in platform.LogsInput
		_ = args.fill(&in, v.params)
	})
}
