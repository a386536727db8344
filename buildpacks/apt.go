package buildpacks

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paas/platform"
)

// hostApp is the id under which the host's own steps run: ids of apps start at 1.
const hostApp = 0

// packagesKey is the layer's of Debian packages over a base.
func packagesKey(base string, names []string) string { return keyOf("packages", base, set(names), 2) }

// set is names in order, each once.
func set(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// packages finds or makes a layer of Debian packages over the base.
func (e *Engine) packages(ctx context.Context, base string, names []string, story *platform.Story) (string, error) {
	key := packagesKey(base, names)
	e.sets.Store(key, set(names))
	if err := e.holding.hold(key); err != nil {
		return key, err
	}
	if e.restore(ctx, key) == nil {
		return key, nil
	}
	return key, e.hostLayer(ctx, story, product{key, "Debian packages: " + strings.Join(names, " ")}, func(dir string) error {
		story.Phase("Installing Debian packages, once on this host: %s", shortList(names))
		if err := e.apt(ctx, base, dir, names, story); err != nil {
			return err
		}
		return mergeable(e.Images.Dir(base), dir)
	})
}

func shortList(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, " ")
	}
	return strings.Join(names[:shown], " ") + " …"
}

// aptUpdate fetches the lists. update ends with status 0 when it fetched nothing, so its words are read too.
const aptUpdate = `
apt-get -q update >/tmp/update 2>&1 || { cat /tmp/update; exit 1; }
if grep -E '^(Err|W: Failed to fetch|E:)' /tmp/update; then exit 1; fi`

// aptTidy removes what apt leaves that nobody needs.
const aptTidy = `
rm -rf /var/log/*.log /var/log/apt /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache`

// aptInstall installs the packages that the script gets as arguments, and tells its long story only when that fails.
const (
	aptInstall = `
apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 install `
	aptArgs = `"$@" >/tmp/install 2>&1 || { tail -n 30 /tmp/install; exit 1; }`
)

const aptScript = aptUpdate + aptInstall + aptArgs + aptTidy

// apt installs packages into upper.
func (e *Engine) apt(ctx context.Context, base, upper string, names []string, story *platform.Story) error {
	return e.runApt(ctx, aptRun{layers: []string{base}, upper: upper, script: aptScript, args: names,
		name: "apt-get install " + shortList(names)}, story)
}

// aptRun is a script that uses apt over layers, with what it writes going to upper.
type aptRun struct {
	layers       []string
	upper        string
	script, name string
	args         []string
}

// runApt runs a script as root. Lists and archives lie in caches of the host's, which one apt at a time may use; a
// layer would be 90 MB bigger with them.
func (e *Engine) runApt(ctx context.Context, r aptRun, story *platform.Story) error {
	unlock, err := e.lockHost(ctx, "apt")
	if err != nil {
		return err
	}
	defer unlock()
	defer e.caches.use(hostApp, e.now())()
	binds, err := e.aptBinds()
	if err != nil {
		return err
	}
	spec := platform.StepSpec{
		AppID: hostApp, App: "debian", Name: "apt", Layers: r.layers, Upper: r.upper, Dir: "/",
		Env: e.aptEnv(), Binds: append(e.Machine.binds(), binds...), Limits: e.Limits,
		Argv: slices.Concat([]string{"/bin/bash", "-e", "-c", r.script, "apt"}, r.args),
	}
	_, err = e.exec(ctx, spec, r.name, story)
	return err
}

func (e *Engine) aptBinds() (binds []platform.Bind, err error) {
	for id, target := range map[string]string{"apt-archives": "/var/cache/apt", "apt-lists": "/var/lib/apt/lists"} {
		dir, err := e.cache(hostApp, id, 0)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
			return nil, err
		}
		binds = append(binds, platform.Bind{Source: dir, Target: target})
	}
	scratch, err := e.newScratch(hostApp, 0)
	if err != nil {
		return nil, err
	}
	return append(binds, platform.Bind{Source: scratch, Target: "/tmp"}), e.writeAptConf(scratch)
}

// writeAptConf makes apt use the host's mirrors of today, whatever they were when the base was made. The
// sandbox user of apt could not write to the caches.
func (e *Engine) writeAptConf(dir string) error {
	conf := []string{`APT::Sandbox::User "root";`, `Acquire::Languages "none";`, `DPkg::Options { "--force-unsafe-io"; };`}
	conf = append(conf, e.Machine.Apt...)
	sources := e.Machine.aptSources()
	if len(sources) > 0 {
		conf = append(conf, `Dir::Etc::SourceList "/tmp/sources.list";`, `Dir::Etc::SourceParts "-";`)
	}
	write := func(name string, lines []string) error {
		return os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644) //nolint:gosec // read inside
	}
	return errors.Join(write("apt.conf", conf), write("sources.list", sources))
}

func (e *Engine) aptEnv() map[string]string {
	env := map[string]string{
		"DEBIAN_FRONTEND": "noninteractive", "PATH": systemPath, "HOME": "/root", "LANG": "C.UTF-8",
		"APT_CONFIG": "/tmp/apt.conf",
	}
	proxies := maps.Clone(e.Machine.Vars)
	maps.DeleteFunc(proxies, func(name, _ string) bool { return !strings.HasSuffix(strings.ToLower(name), "_proxy") })
	maps.Copy(env, proxies)
	return env
}
