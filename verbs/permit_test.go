package verbs

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"paas/platform"
)

// as runs a line as a user, whose roles are asked of the store.
func as(t *Table, user string, line string) result {
	var out, errs bytes.Buffer
	s := Session{
		Actor: platform.Actor{Name: user, Fingerprint: "SHA256:" + user, Door: platform.DoorSSH, Request: platform.NewRequest()},
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Prefix: "ssh paas",
	}
	return result{t.Run(context.Background(), s, line), out.String(), errs.String()}
}

// withApp is a line that calls the verb with the app in one of its places, or "" if it has no such place there.
func withApp(v Verb, at param, app string) string {
	words := []string{v.Name}
	for _, p := range v.params {
		word := "x"
		switch {
		case p.index == at.index && at.app == "first":
			word = app + " a=1"
		case p.index == at.index && p.flag:
			words = append(words, "--"+p.name, app)
			continue
		case p.index == at.index:
			word = app
		case p.flag || p.optional && p.index > at.index:
			continue
		case p.kind == reflect.Int:
			word = "1"
		case p.name == appArg || p.app != "" && p.app != "new":
			word = "mine"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// requestLine ends a failure, and is another one each time.
var requestLine = regexp.MustCompile(`(?m)^ *Request [0-9a-f]+\n`)

// A stranger gets for an app that is there exactly what they get for one that is not, from every verb and in every
// place where it names an app.
func TestStrangersLearnNothing(t *testing.T) {
	tab := table(t)
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tab.platform.Store.AddUser(ctx, platform.User{Name: "bob", Creates: true}))
	for app, owner := range map[platform.AppName]string{"hidden": "", "mine": "bob"} {
		_, err := tab.platform.Store.CreateAppFor(ctx, app, owner)
		must(err)
	}
	places := 0
	for _, v := range tab.verbs {
		for _, p := range v.params {
			if p.app == "" && p.name != appArg || p.app == "new" {
				continue
			}
			places++
			there, missing := as(tab, "bob", withApp(v, p, "hidden")), as(tab, "bob", withApp(v, p, "absent"))
			there.err, missing.err = requestLine.ReplaceAllString(there.err, ""), requestLine.ReplaceAllString(missing.err, "")
			missing.err, missing.out = strings.ReplaceAll(missing.err, "absent", "hidden"), strings.ReplaceAll(missing.out, "absent", "hidden")
			if there != missing || there.code == 0 {
				t.Errorf("%s:\n%d %s%s\nfor one that is not there:\n%d %s%s", withApp(v, p, "hidden"), there.code, there.out, there.err, missing.code, missing.out, missing.err)
			}
			if v.Access != Admin && there.code != 3 && there.code != 2 {
				t.Errorf("%s: status %d: %s", withApp(v, p, "hidden"), there.code, there.err)
			}
		}
	}
	if places < 60 {
		t.Errorf("only %d places name apps", places)
	}
	for _, line := range []string{"apps:list", "apps:list --json", "events --kind created --json", "builds:list", "ports:report", "ps:report", "builder:report", "access:list", "stacks:list", "apps:info hiddn", "whoami"} {
		if r := as(tab, "bob", line); strings.Contains(r.out+r.err, "hidden") {
			t.Errorf("%s tells of the hidden app: %s%s", line, r.out, r.err)
		}
	}
	bob := Session{
		Actor: platform.Actor{Name: "bob", Creates: true, Request: platform.NewRequest()}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &bytes.Buffer{},
	}
	if code := tab.Run(ctx, bob, "apps:create hidden --if-missing"); code != 5 || !strings.Contains(bob.Stderr.(*bytes.Buffer).String(), "the name hidden is taken") {
		t.Errorf("%d %s", code, bob.Stderr)
	}
}

// Each level asks for its role, and says which is needed and which there is.
func TestRolesIncludeThoseBefore(t *testing.T) {
	tab := table(t)
	ctx := context.Background()
	if err := tab.platform.Store.AddUser(ctx, platform.User{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.platform.Store.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	lines := []string{"apps:info blog", "ps:restart blog", "config:set blog A=1", "access:add blog bob view"}
	for role := platform.ViewRole; role <= platform.ManageRole; role++ {
		if err := tab.platform.Store.SetRole(ctx, platform.Member{App: "blog", User: "bob", Role: role}); err != nil {
			t.Fatal(err)
		}
		for i, line := range lines {
			r := as(tab, "bob", line)
			if may := i < int(role); may == (r.code == 4) {
				t.Errorf("%s with the role %s: %d %s", line, role, r.code, r.err)
			}
			if r.code == 4 && !strings.Contains(r.err, "and you have "+role.String()) {
				t.Errorf("%s with the role %s: %s", line, role, r.err)
			}
		}
	}
	if r := as(tab, "bob", "access:add blog bob owner"); r.code != 4 {
		t.Errorf("one who manages made an owner: %d %s%s", r.code, r.out, r.err)
	}
	for _, line := range []string{"router:set --global queue 9", "ps:rebuild --all", "keys:add alice ssh-ed25519 AAAA", "users:info alice", "tokens:create x --scope server:read"} {
		if r := as(tab, "bob", line); r.code != 4 {
			t.Errorf("%s: %d %s", line, r.code, r.err)
		}
	}
}

// Every verb that needs a role on an app says which argument names it; what is for anyone is looked at here.
func TestLevelsNameApps(t *testing.T) {
	tab := table(t)
	for _, v := range tab.verbs {
		named := slices.ContainsFunc(v.params, func(p param) bool { return p.app != "" || p.name == appArg })
		if v.Access >= View && !named && v.Name != "images:pull" {
			t.Errorf("%s is of level %s, but no argument names an app: tag it", v.Name, v.Access)
		}
		if v.Access == Anyone && !slices.Contains([]string{
			"apps:create", "apps:list", "events", "stacks:list", "images:pulled", "certs:ca", "users:info", "whoami",
			"keys:add", "keys:list", "keys:remove", "tokens:create", "tokens:list", "tokens:revoke",
			"network:list", "requests", "requests:wait", "trash:list", "trash:restore", "completion", "__complete", "help", "version",
		}, v.Name) {
			t.Errorf("%s is for anyone: see that it shows nobody what is not theirs, and list it here", v.Name)
		}
	}
	for _, name := range append(shows(), lists()...) {
		if _, ok := tab.find(name); !ok && name != "help" && name != "version" {
			t.Errorf("there is no verb %s", name)
		}
	}
}

func TestSecretsStayOutOfTheAudit(t *testing.T) {
	tab := table(t)
	for line, want := range map[string]string{
		"config:set blog A=secret B=more":                     "config:set blog A=*** B=***",
		"config:unset blog A":                                 "config:unset blog A",
		"ps:scale blog web=3":                                 "ps:scale blog web=3",
		"resource:limit blog memory=512m":                     "resource:limit blog memory=512m",
		"certs:set --global eab-key=x email=a@b.c":            "certs:set eab-key=*** email=a@b.c --global",
		"git:from-archive blog https://u:p@h.example/a?tok=1": "git:from-archive blog https://xxx@h.example/a?xxx",
		"run blog -e A=secret -- psql postgres://u:p@h/db":    "run blog psql postgres://xxx@h/db --env A=***",
		"links:add shop payments --type web":                  "links:add shop payments --type web",
	} {
		words := strings.Fields(line)
		v, _ := tab.find(words[0])
		args, err := sortWords(words[1:], v)
		if err != nil {
			continue // no such flag
		}
		if n := args.passed; n > 0 {
			args.positional = append(args.positional[:len(args.positional)-n], strings.Join(args.positional[len(args.positional)-n:], " "))
		}
		if got := v.line(args); got != want {
			t.Errorf("%s is shown as %s", line, got)
		}
	}
}

// Every call that changes something leaves exactly one entry, with who, from where and what, also when it fails.
func TestChangesLeaveEntries(t *testing.T) {
	tab := table(t)
	run(tab, true, "apps:create", "blog")
	run(tab, true, "ps:scale", "blog", "web=3")
	run(tab, true, "config:set", "blog", "A=secret")
	run(tab, true, "config:get", "blog", "A")
	run(tab, true, "config:show", "blog")
	run(tab, true, "config:show", "blog", "--reveal")
	run(tab, true, "rollback", "blog")
	as(tab, "bob", "ps:scale blog web=9")
	run(tab, true, "apps:list")
	events, err := tab.platform.Store.Events(context.Background(), platform.EventQuery{Kind: platform.EventCommand})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Actor+" "+e.Text+": "+e.Outcome)
	}
	want := []string{
		"alice apps:create blog: ok", "alice ps:scale blog web=3: ok", "alice config:set blog A=***: ok", "alice config:get blog A: ok",
		"alice config:show blog --reveal: ok", "alice rollback blog: conflict",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("%q", got)
	}
}

func FuzzParseValues(f *testing.F) {
	f.Add(`{"app": "blog", "type=n": ["web=1", 2, true], "stdin": "x"}`)
	f.Add(`{"a":[[]]}`)
	f.Fuzz(func(_ *testing.T, body string) {
		_, _, _ = ParseValues([]byte(body))
	})
}
