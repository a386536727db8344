package buildpacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paas/buildpacks/plan"
)

func getxattr(path string, into []byte) (int, error) {
	return unix.Getxattr(path, "trusted.overlay.opaque", into)
}

func TestDebianMirrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, mirror, security string }{
		"deb822": {"debian.sources", `Types: deb
# the archive
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://deb.example/debian-security
Suites: bookworm-security
Components: main
`, "http://deb.example/debian", "http://deb.example/debian-security"},
		"lines": {"a.list", "# deb http://old/debian bookworm main\ndeb [arch=amd64 signed-by=/x y=z] https://m/pool trixie main contrib\n" +
			"deb http://s/sec trixie-security main\ndeb-src http://n/ trixie main\n", "https://m/pool", "http://s/sec"},
		"others":   {"x.list", "deb https://packages.example/apt cloud-sdk-bookworm main\ndeb https://n/node nodistro main\n", "", ""},
		"ubuntu":   {"ubuntu.sources", "Types: deb\nURIs: http://archive.example/ubuntu/\nSuites: noble noble-updates\nComponents: main universe\n", "", ""},
		"disabled": {"d.sources", "Enabled: no\nTypes: deb\nURIs: http://deb.example/debian\nSuites: sid\nComponents: main\n", "", ""},
		"folded":   {"f.sources", "Types: deb deb-src\nURIs:\n http://one/debian\n http://two/debian\nSuites:\n stable\nComponents: main\n", "http://one/debian", ""},
		"cdrom":    {"c.list", "deb cdrom:[Debian]/ bookworm main\ndeb http://m/d bookworm main\n", "http://m/d", ""},
		"backup":   {"debian.sources.bak", "Types: deb\nURIs: http://deb.example/debian\nSuites: sid\nComponents: main\n", "", ""},
		"cut":      {"e.list", "deb\ndeb [arch\ndeb http://m\n", "", ""},
	} {
		dir := t.TempDir()
		check(t, os.Mkdir(filepath.Join(dir, "sources.list.d"), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, "sources.list.d", c.file), []byte(c.text), 0o600))
		if mirror, security := debianMirrors(dir); mirror != c.mirror || security != c.security {
			t.Errorf("%s: %q %q", name, mirror, security)
		}
	}
}

func TestMachineCarriesNoCredentials(t *testing.T) {
	home := t.TempDir()
	conf := filepath.Join(home, "pip.conf")
	check(t, os.WriteFile(conf, []byte("[global]\nindex-url = https://me:secret@index.example/simple\n"), 0o600))
	env := map[string]string{
		"HOME": home, "PATH": os.Getenv("PATH"), "PIP_CONFIG_FILE": conf, "PIP_INDEX_URL": "https://me:secret@index.example/simple",
		"HTTPS_PROXY": "http://me:secret@proxy:3128", "NPM_TOKEN": "secret", "PIP_FIND_LINKS": home + " https://me:secret@x/y /nowhere file://" + home,
		"npm_config_registry": "https://secret@npm.example/",
	}
	m := ReadMachine(t.Context(), func(name string) string { return env[name] })
	for name, value := range m.env() {
		if strings.Contains(value, "secret") {
			t.Errorf("%s=%s", name, value)
		}
	}
	if m.Vars["PIP_INDEX_URL"] != "https://index.example/simple" || m.Vars["HTTPS_PROXY"] != "http://proxy:3128" || m.PipConf == conf {
		t.Errorf("%+v", m)
	}
	if len(m.Wheels) != 1 || m.Wheels[0] != home {
		t.Errorf("wheels %v", m.Wheels)
	}
	if m.hostVar("HTTPS_PROXY") != "http://me:secret@proxy:3128" {
		t.Error("the host's own programs need the proxy's password")
	}
}

// The caches that were not used for longest go first, those of a running build never.
func TestSweep(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	b.Now = func() time.Time { return now }
	fill := func(app int64, id string) string {
		now = now.Add(time.Minute)
		dir, err := b.cache(app, id, appUser)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600))
		check(t, os.Chtimes(dir, now, now))
		return dir
	}
	dirs := []string{fill(1, "used"), fill(2, "old"), fill(3, "young"), fill(2, "again")}
	b.CacheBudget = 2<<20 + 100<<10
	done := b.caches.use(1, now)
	check(t, b.Sweep())
	done()
	for i, stays := range []bool{true, false, false, true} {
		if _, err := os.Stat(dirs[i]); (err == nil) != stays {
			t.Errorf("%s: %v", dirs[i], err)
		}
	}
	b.CacheBudget = 0
	check(t, b.Sweep())
	if left, err := b.cacheUsages(); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// Maven's and Cargo's settings are shown to builds, unless they hold a secret: apps' own code runs there.
func TestSettingsWithSecretsStayOnTheHost(t *testing.T) {
	for text, shown := range map[string]bool{
		"<mirror><url>http://m/</url></mirror>":                                true,
		"<server>\n<password>x</password></server>":                            false,
		"[registries.x]\nindex = \"sparse+http://m/\"\n":                       true,
		"[registry]\ntoken = \"x\"\n":                                          false,
		"<mirror><url>http://me:secret@m/</url></mirror>":                      false,
		`{"repositories":{"packagist":{"type":"composer","url":"http://m/"}}}`: true,
		`{"config":{"http-basic":{"m":{"username":"a","password":"b"}}}}`:      false,
		`{"config": {"github-oauth" : {"github.com": "x"}}}`:                   false,
		"[source.x]\nregistry = \"http://me:s@m/index\"\n":                     false,
	} {
		file := filepath.Join(t.TempDir(), "settings")
		check(t, os.WriteFile(file, []byte(text), 0o644))
		if got := openConf(file); (got == file) != shown {
			t.Errorf("%q: %q", text, got)
		}
		check(t, os.Chmod(file, 0o600))
		if got := openConf(file); got != "" {
			t.Errorf("%q: builds cannot read it, and are shown it", text)
		}
	}
}

// Composer finds the host's settings whatever home the plan gives it.
func TestComposerFindsTheHostsSettings(t *testing.T) {
	b := &build{Engine: &Engine{Options: Options{Machine: Machine{Composer: "/root/.composer/config.json"}}}}
	env, err := b.stepEnv(t.Context(), plan.Step{Env: map[string]string{"COMPOSER_HOME": "/cache/composer/home"}})
	binds := b.Machine.binds()
	if err != nil || len(binds) != 1 || binds[0].Target != env["COMPOSER_HOME"]+"/config.json" || !binds[0].ReadOnly {
		t.Errorf("%v, %v, %v", env, binds, err)
	}
}
