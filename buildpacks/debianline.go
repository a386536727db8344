package buildpacks

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// debianLine is one of several versions of a toolchain that the suite has side by side.
type debianLine struct {
	version  string
	packages []string
	env      map[string]string
}

func (d debianToolchain) fits(wish string) bool {
	_, ok := d.line(wish)
	return ok
}

// line is the version for a wish: the default one if that fits, else the first of the others that does.
func (d debianToolchain) line(wish string) (debianLine, bool) {
	for _, l := range d.all() {
		if len(l.packages) > 0 && fits(l.version, wish) {
			return l, true
		}
	}
	return debianLine{}, false
}

func (d debianToolchain) all() []debianLine {
	return append([]debianLine{{d.version, d.packages, d.env}}, d.lines...)
}

// refuse says what the suite has instead of what was asked for, the nearest first.
func (d debianToolchain) refuse(t plan.Toolchain) error {
	if len(d.packages) == 0 {
		return platform.Errorf(platform.Failed, "%s asks for %s %s, which cannot be had: its own site is not reached from this server, and Debian %s does not package it",
			t.From, d.name, t.Version, suite).WithHint("%s", d.pin)
	}
	var versions []string
	for _, l := range d.all() {
		versions = append(versions, l.version)
	}
	slices.SortFunc(versions, func(a, b string) int { return cmp.Compare(remoteness(a, t.Version), remoteness(b, t.Version)) })
	return platform.Errorf(platform.Failed, "%s asks for %s %s; this server has %s %s", t.From, d.name, t.Version, d.name, strings.Join(versions, " and ")).
		WithHint("if the app runs with it too: %s", d.pinTo(versions[0]))
}

// pinTo is the pin with the nearest version in the place of the default one.
func (d debianToolchain) pinTo(version string) string {
	return strings.ReplaceAll(d.pin, d.version, version)
}

// fits tells whether a version is one that was asked for: of the right one any patch release will do, a shorter
// version is any of those that begin so, and ">=1.70" is any that is not older.
func fits(version, wish string) bool {
	if least, ok := strings.CutPrefix(wish, ">="); ok {
		return compareVersions(version, strings.TrimSpace(least), 2) >= 0
	}
	return wish == "" || wish == version || strings.HasPrefix(wish, version+".") || strings.HasPrefix(version, wish+".")
}

// compareVersions compares the first numbers of two dotted versions; one that is missing is a zero.
func compareVersions(a, b string, numbers int) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range numbers {
		if c := cmp.Compare(number(as, i), number(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i]) // what is no number counts as none
	return n
}

// remoteness puts versions in an order of nearness to the one that was asked for.
func remoteness(version, wish string) int {
	wish = strings.TrimLeft(wish, ">= ")
	at := func(v string) int { return number(strings.Split(v, "."), 0)*1000 + number(strings.Split(v, "."), 1) }
	return max(at(version)-at(wish), at(wish)-at(version))
}

// with adds files beside the packages.
func (d debianToolchain) with(files map[string]string) debianToolchain {
	d.files = files
	return d
}

func packagesWithKey(base string, names []string, files map[string]string) string {
	if len(files) == 0 {
		return packagesKey(base, names)
	}
	return keyOf("packages and files", packagesKey(base, names), files)
}

// packagesWith is packages with files of our own beside them, if there are any.
func (e *Engine) packagesWith(ctx context.Context, base string, names []string, files map[string]string, story *platform.Story) (string, error) {
	if len(files) == 0 {
		return e.packages(ctx, base, names, story)
	}
	key := packagesWithKey(base, names, files)
	return key, e.hostLayer(ctx, story, product{key, "Debian packages: " + strings.Join(names, " ")}, func(dir string) error {
		story.Phase("Installing Debian packages, once on this host: %s", shortList(names))
		if err := e.apt(ctx, base, dir, names, story); err != nil {
			return err
		}
		return errors.Join(mergeable(e.Images.Dir(base), dir), writePrograms(dir, files))
	})
}

// writePrograms writes our own files into a layer that only apt wrote to.
func writePrograms(dir string, files map[string]string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(files[name], "#!") {
			mode = 0o755
		}
		err := root.MkdirAll(path.Dir(name), 0o755)
		if err := errors.Join(err, root.WriteFile(name, []byte(files[name]), mode), root.Chmod(filepath.FromSlash(name), mode)); err != nil {
			return err
		}
	}
	return nil
}

// javaVersions are those of the suite, the default first: the newest one with long support that most of the field
// builds for.
var javaVersions = []string{"21", "25"}

// javaToolchain has one line for each version of Java in the suite.
func javaToolchain(name, kind string, packages ...string) debianToolchain {
	d := debianToolchain{name: name, version: javaVersions[0], pin: "echo java.runtime.version=21 > system.properties"}
	d.packages, d.env = javaPackages(javaVersions[0], kind, packages), javaHome(javaVersions[0])
	for _, v := range javaVersions[1:] {
		d.lines = append(d.lines, debianLine{v, javaPackages(v, kind, packages), javaHome(v)})
	}
	return d
}

func javaHome(version string) map[string]string {
	return map[string]string{"JAVA_HOME": "/usr/lib/jvm/java-" + version + "-openjdk-amd64"}
}

func javaPackages(version, kind string, more []string) []string {
	return slices.Concat([]string{"openjdk-" + version + "-" + kind + "-headless"}, more)
}

// mavenPackages are Maven and the plugins that most builds use, in the versions that Debian's Maven binds to its
// phases: apps without other dependencies can be built where no Maven repository is reached.
func mavenPackages() []string {
	packages := []string{"maven", "unzip", "libsurefire-java"}
	for _, plugin := range []string{
		"antrun", "assembly", "clean", "compiler", "dependency", "enforcer", "exec", "install", "jar", "resources", "shade", "source", "war",
	} {
		packages = append(packages, "libmaven-"+plugin+"-plugin-java")
	}
	return packages
}

// erlangPackages are the parts of OTP that apps on servers use.
func erlangPackages() (packages []string) {
	for _, part := range strings.Fields(`base dev asn1 crypto eldap eunit ftp inets mnesia os-mon parsetools public-key
		runtime-tools ssh ssl syntax-tools tools xmerl`) {
		packages = append(packages, "erlang-"+part)
	}
	return packages
}
