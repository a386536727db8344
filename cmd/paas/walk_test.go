package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"paas/verbs"
)

// The table's verbs are walked through both doors, ssh and the JSON API, by somebody who does not know how to use them,
// by a stranger, and by somebody who lacks one role. What they do right is in the scenarios: verbs/whole_test.go.

// Apps of the walk. bob manages mine, has one role on each of those below, and none on hidden; absent is no app. The two
// have names of one length, so that answers about them can be compared byte for byte.
const (
	hiddenApp, absentApp, mineApp = "hidden", "absent", "mine"
	walkers                       = 4 // at a time: a key has eight sessions
	walkPatience                  = 60 * time.Second
	fewestCalls                   = 800
)

func appOf(role string) string { return role + "-app" }

func levels() []string { return []string{"view", "deploy", "operate", "manage"} }

// levelBelow is the role that comes before.
func levelBelow(role string) string { return levels()[max(0, slices.Index(levels(), role)-1)] }

func TestWalk(t *testing.T) {
	w := walk(t)
	t.Run("misused", w.misused)
	t.Run("strangers", w.strangers)
	t.Run("a role too low", w.tooLow)
	t.Run("for admins", w.forAdmins)
	t.Run("API", w.api)
	if n := w.calls.Load(); n < fewestCalls {
		t.Errorf("the walk was only %d calls by ssh", n)
	}
}

type walker struct {
	p       *platformUnderTest
	verbs   []verbs.Description
	db      *sql.DB
	masters []*exec.Cmd
	tokens  map[string]string // by user
	calls   atomic.Int64
}

// said is what one call came to, without the name of its request.
type said struct {
	code     int
	out, err string
}

func (s said) String() string { return fmt.Sprintf("status %d\n%s%s", s.code, s.out, s.err) }

// as writes another app's name for the one that was asked about.
func (s said) as(from, to string) said {
	return said{s.code, strings.ReplaceAll(s.out, from, to), strings.ReplaceAll(s.err, from, to)}
}

func walk(t *testing.T) *walker {
	t.Helper()
	binary, template := prepared(t)
	p, err := newPlatform(binary, template, filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.tearDown(t) })
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	w := &walker{p: p, verbs: verbs.New(nil, "").Describe(), tokens: map[string]string{}}
	w.share(t)
	w.people(t)
	if w.db, err = sql.Open("sqlite3", "file:"+filepath.Join(p.data, "paas.db")+"?mode=ro"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// share makes one connection for each person that all calls go over.
func (w *walker) share(t *testing.T) {
	t.Helper()
	path := filepath.Join(w.p.home, "ssh_config")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, "Host *\n  ControlPath "+w.p.home+"/m-%n\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, m := range w.masters {
			_ = m.Process.Signal(syscall.SIGTERM)
			_ = m.Wait()
		}
	})
	w.master(t, "paas")
}

func (w *walker) master(t *testing.T, host string) {
	t.Helper()
	m := w.ssh(context.Background(), host, "")
	m.Args = slices.Insert(m.Args[:len(m.Args)-2], 1, "-M", "-N", host)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	w.masters = append(w.masters, m)
	for range 600 {
		if _, err := os.Stat(filepath.Join(w.p.home, "m-"+host)); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no connection of " + host)
}

func (w *walker) ssh(ctx context.Context, host, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ssh", "-F", filepath.Join(w.p.home, "ssh_config"), host, line)
	cmd.Env = append(os.Environ(), "HOME="+w.p.home)
	return cmd
}

var requestNamed = regexp.MustCompile(`Request [0-9a-f]{8}\n|"request":"[0-9a-f]{8}"`)

// say carries a command line out.
func (w *walker) say(t *testing.T, host, line string) said {
	t.Helper()
	w.calls.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), walkPatience)
	defer cancel()
	cmd := w.ssh(ctx, host, line)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Errorf("%s: %v %v", line, err, ctx.Err())
	}
	return said{cmd.ProcessState.ExitCode(), out.String(), requestNamed.ReplaceAllString(errs.String(), "Request\n")}
}

func (w *walker) must(t *testing.T, host, line string) string {
	t.Helper()
	s := w.say(t, host, line)
	if s.code != 0 {
		t.Fatalf("%s: %s", line, s)
	}
	return s.out
}

func (w *walker) people(t *testing.T) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(w.p.home, "bob.pub"))
	if err != nil {
		t.Fatal(err)
	}
	w.must(t, "paas", "keys:add bob '"+strings.TrimSpace(string(key))+"'")
	w.must(t, "paas", "apps:create "+hiddenApp)
	for _, role := range levels() {
		app := appOf(role)
		if role == "manage" {
			app = mineApp
		}
		w.must(t, "paas", "apps:create "+app)
		w.must(t, "paas", "access:add "+app+" bob "+role)
	}
	w.master(t, "paas-bob")
	scopes := "apps:manage,config:write,config:reveal,logs:read"
	w.tokens["bob"] = strings.TrimSpace(w.must(t, "paas-bob", "tokens:create walk --scope "+scopes))
	w.tokens["looker"] = strings.TrimSpace(w.must(t, "paas-bob", "tokens:create look --scope apps:read"))
	w.tokens["alice"] = strings.TrimSpace(w.must(t, "paas", "tokens:create walk --scope server:manage,"+scopes))
}

// each calls do for every verb, several at a time.
func (w *walker) each(do func(v verbs.Description)) {
	var all sync.WaitGroup
	places := make(chan struct{}, walkers)
	for _, v := range w.verbs {
		places <- struct{}{}
		all.Go(func() { do(v); <-places })
	}
	all.Wait()
}

// values are one for each argument that must be there, and for all the others, too, if all is true. Where apps are
// named it is app.
func values(v verbs.Description, app string, all bool) map[string]string {
	list := map[string]string{}
	for _, p := range v.Params {
		switch {
		case p.Flag || !p.Required && !all:
		case p.App == "first":
			list[p.Name] = app + " a=1"
		case p.App != "" && p.App != "new":
			list[p.Name] = app
		case p.Type == reflect.Int:
			list[p.Name] = "1"
		default:
			list[p.Name] = "x"
		}
	}
	return list
}

// spell is the command line that says them; flags come first, since what follows a command is the command's.
func spell(v verbs.Description, values map[string]string) string {
	words := []string{v.Name}
	for _, flags := range []bool{true, false} {
		for _, p := range v.Params {
			value, ok := values[p.Name]
			switch {
			case !ok || p.Flag != flags:
			case p.Flag && p.Type == reflect.Bool:
				words = append(words, "--"+p.Name)
			case p.Flag:
				words = append(words, "--"+p.Name, value)
			default:
				words = append(words, value)
			}
		}
	}
	return strings.Join(words, " ")
}

// place is where a verb names an app.
type place struct {
	param string
	value func(app string) string
	level string // the role that is needed there, "" for what is for anyone
}

func places(v verbs.Description) (list []place) {
	for _, p := range v.Params {
		if p.App == "" || p.App == "new" {
			continue
		}
		at := place{p.Name, func(app string) string { return app }, v.Access.String()}
		if p.App == "first" {
			at.value = func(app string) string { return app + " a=1" }
		}
		if slices.Contains(levels(), p.App) {
			at.level = p.App
		}
		if v.Access < verbs.View {
			at.level = ""
		}
		list = append(list, at)
	}
	return list
}

// at is the verb with an app in that place.
func (at place) at(v verbs.Description, app string) map[string]string {
	list := values(v, mineApp, false)
	list[at.param] = at.value(app)
	return list
}

// snapshot is every row of the database.
func (w *walker) snapshot(t *testing.T) map[string]bool {
	t.Helper()
	tables := w.column(t, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	rows := map[string]bool{}
	for _, table := range tables {
		for _, row := range w.rows(t, table) {
			rows[row] = true
		}
	}
	return rows
}

func (w *walker) column(t *testing.T, query string) (list []string) {
	t.Helper()
	rows, err := w.db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var word string
		if err := rows.Scan(&word); err != nil {
			t.Fatal(err)
		}
		list = append(list, word)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func (w *walker) rows(t *testing.T, table string) (list []string) {
	t.Helper()
	rows, err := w.db.Query(`SELECT * FROM "` + table + `"`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	for err == nil && rows.Next() {
		cells, to := make([]sql.RawBytes, len(names)), make([]any, len(names))
		for i := range cells {
			to[i] = &cells[i]
		}
		err = rows.Scan(to...)
		list = append(list, fmt.Sprintf("%s %q", table, cells))
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return list
}

// unchanged compares the database with what it was; what rows may have come is told by their beginnings.
func (w *walker) unchanged(t *testing.T, before map[string]bool, but ...string) {
	t.Helper()
	after := w.snapshot(t)
	for _, list := range [][2]map[string]bool{{before, after}, {after, before}} {
		for _, row := range slices.Sorted(maps.Keys(list[0])) {
			if !list[1][row] && !slices.ContainsFunc(but, func(b string) bool { return strings.HasPrefix(row, b) }) {
				t.Errorf("this was or is otherwise in the database: %s", row)
			}
		}
	}
}

// body is what the JSON API takes for them.
func body(v verbs.Description, values map[string]string) map[string]any {
	members := map[string]any{}
	for name, value := range values {
		members[name] = value
	}
	for _, p := range v.Params {
		if value, ok := values[p.Name]; ok && p.List {
			members[p.Name] = strings.Fields(value)
		}
	}
	return members
}

// call carries a verb out over the JSON API.
func (w *walker) call(t *testing.T, user string, v verbs.Description, values map[string]string) said {
	t.Helper()
	text, err := json.Marshal(body(v, values))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), walkPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/api/v1/verbs/%s", w.p.http, v.Name), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "panel.example.test"
	req.Header.Set("Authorization", "Bearer "+w.tokens[user])
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
		return said{}
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
	}
	return said{code: res.StatusCode, err: requestNamed.ReplaceAllString(string(answer), "Request")}
}
