package verbs

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

func TestSplitReadsDollarQuotes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`$'a\nb'`: "a\nb", `$'it\'s'`: "it's", `$'\303\251'`: "é", `$'\x41\t'`: "A\t", `x$'y'z`: "xyz", `'$'x`: "$x",
		`$HOME`: "$HOME", `"$'x'"`: "$'x'", `$'\e[0m'`: "\x1b[0m", `$'\q\\'`: `q\`, `a$`: "a$", `$'\0501'`: "(1",
	} {
		words, err := Split(line)
		if err != nil || !slices.Equal(texts(words), []string{want}) {
			t.Errorf("%s: %q, %v", line, texts(words), err)
		}
	}
	if _, err := Split(`$'a\'`); platform.KindOf(err) != platform.Usage {
		t.Error("an open $' is taken:", err)
	}
}

// Dokku's words before the command, and the app that the shell function names.
func TestLeadingFlags(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"--app blog ps": "ps --app blog", "-a blog --json ps x": "ps -a blog --json x", "ps --json": "ps --json",
		"--json": "--json", "-h": "-h", "-- ps": "ps", "--remote-app=blog --quiet ps": "ps --quiet", "": "",
	} {
		words, _ := Split(line)
		got, app := leading(words)
		if strings.Join(texts(got), " ") != want || (app == "blog") != strings.HasPrefix(line, "--remote") {
			t.Errorf("%q became %q with the app %q", line, texts(got), app)
		}
	}
}

// The directory's app is taken where the words leave one out, and only there.
func TestImpliedApp(t *testing.T) {
	tab := table(t)
	run(tab, true, "apps:create blog")
	run(tab, true, "apps:create shop")
	for _, tc := range [][2]string{
		{"open", "blog."}, {"open shop", "shop."}, {"config:set A=1", "Changed A"}, {"config:get A", "1"}, {"ps:scale web=1", "web=1"},
		{"open -a shop", "shop."}, {"config:set shop A=2", "Changed A"}, {"config:keys --global", ""}, {"open nope", `no app "nope"`},
	} {
		r := run(tab, true, "--remote-app=blog "+tc[0])
		if !strings.Contains(r.out+r.err, tc[1]) {
			t.Errorf("%s: %s%s", tc[0], r.out, r.err)
		}
	}
	if r := run(tab, true, "config:get shop A"); r.out != "2\n" {
		t.Errorf("the app that was named was not taken: %+v", r)
	}
}

type renamed struct {
	Lines int    `flag:"lines" was:"num" help:"how many"`
	Name  string `arg:"name" optional:"true"`
}

func TestOldFlagWarns(t *testing.T) {
	t.Parallel()
	v := define(Verb{Name: "x", Access: View}, func(*platform.Platform, context.Context, platform.Call, renamed) (platform.Done, error) {
		return platform.Done{}, nil
	})
	args, err := sortWords([]string{"--num", "3"}, v)
	if err != nil || len(args.warnings) != 1 || args.flags["lines"][0] != "3" {
		t.Errorf("%+v, %v", args, err)
	}
}

func TestSpinnerStaysOutOfTheWay(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	s := spin(&screen)
	w := s.writer(&screen)
	_, _ = w.Write([]byte("Type blog to go on: "))
	time.Sleep(spinnerAfter + 2*spinnerEvery)
	_, _ = w.Write([]byte("blog\r\n"))
	time.Sleep(spinnerAfter + 2*spinnerEvery)
	_, _ = w.Write([]byte("done\r\n"))
	s.end()
	text := screen.String()
	prompt, rest, _ := strings.Cut(text, "blog\r\n")
	if prompt != "Type blog to go on: " {
		t.Errorf("something stands behind the prompt: %q", prompt)
	}
	if !strings.Contains(rest, "s\r ") || !strings.HasSuffix(rest, "\rdone\r\n") {
		t.Errorf("no spinner, or one that stays: %q", rest)
	}
}

// A command that nobody waits for has no standard input: a value must not become empty by that.
func TestNoWaitTakesNoEmptyValue(t *testing.T) {
	tab := table(t)
	run(tab, true, "apps:create blog")
	if r := run(tab, true, "config:set blog API_TOKEN --no-wait"); r.code != 2 || !strings.Contains(r.err, "has no value") {
		t.Errorf("%+v", r)
	}
	if r := run(tab, true, "config:keys blog"); r.out != "" {
		t.Errorf("%+v", r)
	}
}
