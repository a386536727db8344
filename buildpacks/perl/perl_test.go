package perl

import (
	"reflect"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestDetect(t *testing.T) {
	for file, want := range map[string]bool{"cpanfile": true, "app.psgi": true, "Makefile.PL": true, "server.pl": false} {
		equal(t, file, Detect(treetest.Opened(t, map[string]string{file: ""})), want)
	}
	equal(t, "a script of Mojolicious", Lone(treetest.Opened(t, map[string]string{"hello.pl": "#!/usr/bin/env perl\nuse Mojolicious::Lite -signatures;\n"})), true)
	equal(t, "a script of its own", Lone(treetest.Opened(t, map[string]string{"hello.pl": "print 1;\n# use Mojolicious::Lite\n"})), false)
}

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		files         map[string]string
		version, from string
	}{
		{map[string]string{"cpanfile": ""}, "", ""},
		{map[string]string{"cpanfile": "requires 'perl', '5.10.1';", ".perl-version": "5.38.2"}, "5.38.2", ".perl-version"},
		{map[string]string{"cpanfile": "requires perl => '5.010';", ".tool-versions": "perl 5.40.0"}, "5.40.0", ".tool-versions"},
		{map[string]string{"cpanfile": "requires 'perl', '5.036001';"}, "5.40", "cpanfile requires perl"},
		{map[string]string{"cpanfile": "requires 'perl', 'v5.42.0';"}, "5.42", "cpanfile requires perl"},
	} {
		p := planned(t, c.files)
		equal(t, c.from, []string{p.Toolchains[0].Version, p.Toolchains[0].From}, []string{c.version, c.from})
	}
}

func TestDependencies(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string
		steps   int
		seen    []string
		command string
	}{
		{"a list", map[string]string{"cpanfile": "requires 'Plack';"}, 2, []string{"cpanfile"}, "cpanm --notest --local-lib local --installdeps ."},
		{"locked", map[string]string{"cpanfile": "requires 'Plack';", "cpanfile.snapshot": ""}, 2, []string{"cpanfile.snapshot", "cpanfile"}, "carton install --deployment --without develop"},
		{"vendored", map[string]string{"cpanfile": "requires 'Plack';", "cpanfile.snapshot": "", "vendor/cache/x": ""}, 2, []string{"cpanfile.snapshot", "cpanfile", "vendor/cache/"}, "carton install --deployment --cached --without develop"},
		{"a distribution", map[string]string{"Makefile.PL": ""}, 2, []string{}, "cpanm --notest --local-lib local --installdeps ."},
		{"nothing", map[string]string{"cpanfile": "on test => sub {\n requires 'Test::More';\n};\n", "app.psgi": ""}, 1, nil, ""},
	} {
		p := planned(t, c.files)
		equal(t, c.name+": steps", len(p.Steps), c.steps)
		for _, s := range p.Steps {
			if s.Name == "dependencies" {
				equal(t, c.name+": files", s.Files, c.seen)
				equal(t, c.name+": command", s.Commands[0], c.command)
			}
		}
	}
}

func TestStart(t *testing.T) {
	const starman = "starman --listen :$PORT --workers ${WEB_CONCURRENCY:-4} -E deployment "
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
		with  []string
	}{
		{"psgi", map[string]string{"app.psgi": ""}, starman + "app.psgi", []string{"starman"}},
		{"dancer", map[string]string{"cpanfile": "requires 'Dancer2';", "bin/app.psgi": ""}, starman + "bin/app.psgi", []string{"starman"}},
		{"a server of its own", map[string]string{"cpanfile": "requires 'Starman';", "cpanfile.snapshot": "", "app.psgi": ""}, starman + "app.psgi", nil},
		{"twiggy", map[string]string{"cpanfile": "requires 'Twiggy';", "app.psgi": ""}, "plackup -s Twiggy -E deployment --port $PORT app.psgi", nil},
		{"mojolicious", map[string]string{"cpanfile": "", "my.pl": "use Mojolicious::Lite;\n"}, "perl my.pl prefork -m production -l http://*:$PORT", []string{"libmojolicious-perl"}},
		{"a mojolicious app", map[string]string{"cpanfile": "", "script/shop": "#!perl\nMojolicious::Commands->start_app('Shop');\n"}, "perl script/shop prefork -m production -l http://*:$PORT", []string{"libmojolicious-perl"}},
		{"two of them", map[string]string{"cpanfile": "", "a.psgi": "", "b.psgi": ""}, "", nil},
		{"an odd name", map[string]string{"cpanfile": "", "a;b.psgi": ""}, "", nil},
	} {
		p := planned(t, c.files)
		equal(t, c.name, p.Processes[platform.Web], c.want)
		equal(t, c.name+": with", p.Toolchains[0].With, c.with)
	}
}

func TestWarnings(t *testing.T) {
	p := planned(t, map[string]string{"cpanfile": "requires 'Plack';", "local/lib/perl5/x.pm": ""})
	if warned := strings.Join(p.Warnings, "\n"); !strings.Contains(warned, "carton install") || !strings.Contains(warned, "git rm") || !strings.Contains(warned, ".perl-version") {
		t.Error(warned)
	}
}

func FuzzModules(f *testing.F) {
	f.Add([]byte("requires 'perl', '5.36';\non 'test' => sub {\n requires 'x';\n};\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		src, err := source.Open(treetest.Files(map[string]string{"cpanfile": string(text), "app.psgi": string(text)}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(src); err != nil && platform.KindOf(err) != platform.Failed {
			t.Fatalf("no sentence: %v", err)
		}
	})
}
