package platform

import (
	"maps"
	"strings"
	"testing"
)

func TestConfigOfABundle(t *testing.T) {
	for text, want := range map[string]Config{
		"export A='1'\nexport B=''\n":                 {"A": "1", "B": ""},
		"export A='it'\\''s'\n":                       {"A": "it's"},
		"export A='two\nlines'\nexport B='x y'\n\n":   {"A": "two\nlines", "B": "x y"},
		"A='1' B='2'":                                 {"A": "1", "B": "2"},
		"export A=plain\\ word\n":                     {"A": "plain word"},
		"export A='export B='\\''2'\\'''\nexport C=3": {"A": "export B='2'", "C": "3"},
		"": {},
	} {
		got, err := bundle{"config:export x": text}.config("x")
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"export A='1", "nonsense", "export A-B='1'", "export A=\\"} {
		if got, err := (bundle{"config:export x": text}).config("x"); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestBadBundles(t *testing.T) {
	for _, text := range []string{
		"", "hello", bundleHead + "\nloose", bundleHead + "\n## a\n|x", bundleHead + "\n## a\n|x\n## end x\n",
		bundleHead + "\n## a\nx\n## end 0\n", bundleHead + "\n|x\n",
	} {
		if b, err := readBundle(strings.NewReader(text)); KindOf(err) != Usage {
			t.Errorf("%q: %v, %v", text, b, err)
		}
	}
	b, err := readBundle(strings.NewReader(bundleHead + "\n## a\n|## end 1\n||x\n## end 0\n## b\n|no\n## end 1\n"))
	if err != nil || len(b) != 1 || b["a"] != "## end 1\n|x\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNamesFromDokku(t *testing.T) {
	for old, want := range map[string]AppName{"blog": "blog", "my.app": "my-app", "3d": "app-3d", "Shop_1": "shop-1", "x.": "x"} {
		if got, err := nameHere(old); err != nil || got != want {
			t.Errorf("%s: %s, %v", old, got, err)
		}
	}
	for _, old := range []string{"", "...", strings.Repeat("a", 50)} {
		if got, err := nameHere(old); err == nil {
			t.Errorf("%q: %s", old, got)
		}
	}
}

// While an app is renamed, both names reach and are reached alike.
func TestPoliciesOfARename(t *testing.T) {
	all := []Policy{
		{App: "a", Links: []Link{{App: "a", To: "old", Port: 80}}},
		{App: "old", Links: []Link{{App: "old", To: "b"}}},
	}
	got := Move{"old", "new"}.policies(all)
	if len(got) != 3 || len(got[0].Links) != 2 || got[0].Links[1].To != "new" || got[0].Links[1].Port != 80 ||
		got[2].App != "new" || len(got[2].Links) != 1 || got[2].Links[0].App != "new" {
		t.Errorf("%+v", got)
	}
	if same := (Move{}).policies(all); len(same) != 2 {
		t.Errorf("without a rename: %+v", same)
	}
}

func TestMountWords(t *testing.T) {
	for what, want := range map[string]Mount{
		"data:/data":                             {Storage: "data", Path: "/data"},
		"data:/a/../b/":                          {Storage: "data", Path: "/b"},
		"data:/data:ro":                          {Storage: "data", Path: "/data", ReadOnly: true},
		"/srv/x:/data":                           {Storage: "/srv/x", Path: "/data"},
		"/var/lib/dokku/data/storage/Shop/up:/d": {Storage: "shop-up", Path: "/d"},
		"/var/lib/dokku/data/storage/../../x:/d": {Storage: "..-..-x", Path: "/d"},
	} {
		got, err := parseMount(MountInput{App: "blog", What: what})
		if strings.HasPrefix(want.Storage, "..") {
			if KindOf(err) != Usage {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
			continue
		}
		if err != nil || got.Storage != want.Storage || got.Path != want.Path || got.ReadOnly != want.ReadOnly {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for _, what := range []string{"data", "data:", "data:data", "data:/", "data:/..", "data:/proc", "data:/sys/fs", "data:/dev", "data:/x:z", "da ta:/x", "x_trash3:/x", "data:/a\x00b"} {
		if got, err := parseMount(MountInput{App: "blog", What: what}); KindOf(err) != Usage {
			t.Errorf("%q: %+v, %v", what, got, err)
		}
	}
}

func TestHostDirectories(t *testing.T) {
	p := &Platform{Settings: Settings{HostStorage: "/srv/apps"}}
	for dir, want := range map[string]string{"/srv/apps/a": "a", "/srv/apps/a/../b": "b", "/srv/apps/a/b/": "a/b"} {
		if sub, err := p.belowHost(dir); err != nil || sub != want {
			t.Errorf("%s: %s, %v", dir, sub, err)
		}
	}
	for _, dir := range []string{"/srv/apps", "/srv", "/srv/apps/..", "/srv/apps2/x", "/etc", "/"} {
		if sub, err := p.belowHost(dir); KindOf(err) != Denied {
			t.Errorf("%s: %s, %v", dir, sub, err)
		}
	}
}
