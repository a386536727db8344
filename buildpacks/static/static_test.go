package static

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func tree(t *testing.T, files map[string]string) *source.Tree {
	t.Helper()
	src, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestFind(t *testing.T) {
	cases := []struct {
		name    string
		files   map[string]string
		command string
	}{
		{"root", map[string]string{"index.html": "", "public/index.html": ""}, "paas static --root ."},
		{"public", map[string]string{"public/index.html": ""}, "paas static --root public"},
		{"dist", map[string]string{"dist/index.html": ""}, "paas static --root dist"},
		{"marker", map[string]string{".static": "", "a.html": ""}, "paas static --root ."},
		{"heroku", map[string]string{"static.json": `{"root": "build/", "clean_urls": true, "error_page": "errors/404.html", "routes": {"/**": "index.html"}}`},
			"paas static --root build --fallback index.html --error-page errors/404.html --clean-urls"},
		{"heroku default", map[string]string{"static.json": `{}`}, "paas static --root public_html"},
		{"cloud", map[string]string{"Staticfile": "# c\nroot: dist\npushstate: enabled\n"}, "paas static --root dist --fallback index.html"},
		{"cloud empty", map[string]string{"Staticfile": "", "public/index.html": ""}, "paas static --root public"},
		{"cloud fallback", map[string]string{"Staticfile": "root: /web/\nindex_fallback: true\r\n"}, "paas static --root web --fallback index.html"},
	}
	for _, c := range cases {
		got, ok, err := Find(tree(t, c.files))
		if err != nil || !ok || got.Command() != c.command {
			t.Errorf("%s: %q, %v, %v", c.name, got.Command(), ok, err)
		}
	}
	if _, ok, err := Find(tree(t, map[string]string{"about.html": ""})); ok || err != nil {
		t.Errorf("a page alone is no site: %v, %v", ok, err)
	}
}

// What Command writes, parse reads.
func TestCommandIsRead(t *testing.T) {
	s := Site{Root: "dist", Fallback: "index.html", ErrorPage: "e.html", CleanURLs: true}
	got, err := parse(strings.Fields(s.Command())[2:], nil)
	want := Options{Root: "dist", Fallback: "index.html", ErrorPage: "e.html", CleanURLs: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFindWarns(t *testing.T) {
	s, _, err := Find(tree(t, map[string]string{"static.json": `{"https_only": true, "proxies": {}, "routes": {"/a/**": "a.html", "/**": "/i.html"}}`}))
	if err != nil || len(s.Warnings) != 3 || s.Fallback != "i.html" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestFindRefuses(t *testing.T) {
	cases := []struct {
		files   map[string]string
		message string
	}{
		{map[string]string{"static.json": `{"root": "../x"}`}, `static.json: the root "../x" is not a path inside`},
		{map[string]string{"static.json": `{"root": "a;b"}`}, `static.json: the root "a;b" is not`},
		{map[string]string{"static.json": `{"root": "--clean-urls"}`}, "is not a path inside"},
		{map[string]string{"static.json": `{"routes": {"/**": "$(x)"}}`}, `static.json: the page "$(x)" is not`},
		{map[string]string{"static.json": `{"routes": 5}`}, "static.json is not a JSON object of the expected form"},
		{map[string]string{"static.json": "{\n]"}, "static.json line 2 is not JSON"},
		{map[string]string{"Staticfile": "root: ../.."}, `Staticfile: the root "../.." is not`},
	}
	for _, c := range cases {
		_, _, err := Find(tree(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || e.Hint == "" || !strings.Contains(e.Message, c.message) {
			t.Errorf("want %q, got %v", c.message, err)
		}
	}
}

func TestMissing(t *testing.T) {
	src := tree(t, map[string]string{"real/a": "", "link": "-> real"})
	for root, ok := range map[string]bool{".": true, "real": true, "link": true, "gone": false, "real/a": false} {
		if err := (Site{Root: root, Detected: "static.json"}).Missing(src); (err == nil) != ok {
			t.Errorf("%s: %v", root, err)
		}
	}
}
