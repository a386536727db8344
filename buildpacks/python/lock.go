package python

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
	"paas/platform"
)

const maxLock = 16 << 20

// A lock file is read here and not by the tool that wrote it: what it says becomes exact requirements with their
// hashes, and pip installs those without looking at dependencies. That needs no tool in the build, and the key of
// the layer is what is installed, so that another development dependency changes nothing.
type lock struct {
	file     string
	tool     string            // whose it is, as people type it
	names    map[string]string // normal name of a package: its extras
	pins     []pin
	options  []string // of pip, which package indexes
	editable []string // directories of the tree whose packages the app imports, "" for the root
	where    place
}

// pin is one package of an exact version.
type pin struct {
	name, version string
	from          string   // where it is if no index has it: a URL, or a path in the tree
	marker        string   // for pip to judge
	hashes        []string // "sha256:…"
	files         []string // that the index has of it, as far as the lock tells
}

// file is one that a lock allows for a package.
type file struct{ name, hash string }

// choose keeps the hashes of files that can be installed here.
func (l *lock) choose(p *pin, files []file) error {
	for _, f := range files {
		if f.name != "" && !l.where.wheelFits(f.name) && !isSource(f.name) {
			continue
		}
		if f.hash != "" {
			p.hashes = append(p.hashes, f.hash)
		}
		p.files = append(p.files, f.name)
	}
	if len(files) > 0 && len(p.files) == 0 {
		return platform.Errorf(platform.Failed, "%s: %s %s has no file for Python %s on x86_64 Linux", l.file, p.name, p.version, l.where.version).
			WithHint("take a version that has one, or another Python: echo 3.13 > .python-version")
	}
	return nil
}

// Words of a lock file that become words of pip's.
var (
	goodName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	goodVersion = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+!_-]*$`)
	goodHash    = regexp.MustCompile(`^(sha256|sha384|sha512):[0-9a-f]{64,128}$`)
	goodURL     = regexp.MustCompile(`^[a-z+]+://[^\s'"\\]+$`)
)

func (l *lock) add(p pin) error {
	if !goodName.MatchString(p.name) || p.from == "" && !goodVersion.MatchString(p.version) {
		return l.bad("%.60q %.60q is not a package with a version", p.name, p.version)
	}
	for _, h := range p.hashes {
		if !goodHash.MatchString(h) {
			return l.bad("%.60q of %s is not a hash", h, p.name)
		}
	}
	if strings.ContainsAny(p.marker, "\n\r\\") || strings.ContainsAny(p.from, " \n\r\\") {
		return l.bad("what it says of %s has more than one line", p.name)
	}
	if _, ok := l.names[normal(p.name)]; !ok {
		l.names[normal(p.name)] = ""
	}
	l.pins = append(l.pins, p)
	return nil
}

func (l *lock) bad(format string, args ...any) error {
	return platform.Errorf(platform.Failed, l.file+": "+format, args...).WithHint("write it anew: %s lock", l.tool)
}

// stale is the error about a lock file that is older than what it locks.
func (l *lock) stale(what, manifest string) error {
	return platform.Errorf(platform.Failed, "%s does not lock %s, which %s asks for", l.file, what, manifest).
		WithHint("run: %s lock && git add %s", l.tool, l.file)
}

// covers is an error unless every name is locked.
func (l *lock) covers(names []string, manifest string) error {
	for _, name := range names {
		if _, ok := l.names[normal(name)]; !ok {
			return l.stale(name, manifest)
		}
	}
	return nil
}

// index is a pip option for a package index that the app declares.
func (l *lock) index(url string, first bool) error {
	if !goodURL.MatchString(strings.ReplaceAll(url, "${", "")) {
		return l.bad("%.80q is not the address of a package index", url)
	}
	option := "--extra-index-url "
	if first {
		option = "--index-url "
	}
	if !slices.Contains(l.options, option+url) {
		l.options = append(l.options, option+url)
	}
	return nil
}

// lines are the requirements as pip reads them: those with hashes, and those that nobody has a hash of, such as
// a commit of a repository.
func (l *lock) lines() (hashed, others []string) {
	for _, p := range l.pins {
		line := p.name + "==" + p.version
		switch {
		case p.from != "" && !strings.Contains(p.from, "://"):
			line = "./" + p.from
		case p.from != "":
			line = p.name + " @ " + p.from
		}
		if p.marker != "" {
			line += " ; " + p.marker
		}
		if len(p.hashes) == 0 {
			others = append(others, line)
			continue
		}
		hashed = append(hashed, line+" --hash="+strings.Join(p.hashes, " --hash="))
	}
	slices.Sort(hashed)
	slices.Sort(others)
	return slices.Compact(hashed), slices.Compact(others)
}

// Where the requirements of a lock lie while pip reads them.
const (
	hashedFile = venv + "/locked.txt"
	otherFile  = venv + "/locked-without-hashes.txt"
)

// install is how the locked packages get into an environment.
func (l *lock) install(src *source.Tree) installation {
	in := installation{names: l.names, made: map[string]string{}, apart: !src.Has("Aptfile")}
	links, complete := l.vendored(src, &in)
	hashed, others := l.lines()
	pip := "pip --python " + venv + "/bin/python install --no-deps" + links
	for _, part := range []struct {
		file, flag string
		lines      []string
	}{{hashedFile, " --require-hashes", hashed}, {otherFile, "", others}} {
		if len(part.lines) == 0 {
			continue
		}
		in.made[part.file] = strings.Join(append(slices.Clone(l.options), part.lines...), "\n") + "\n"
		in.commands = append(in.commands, pip+part.flag+" -r "+part.file)
	}
	in.tools, in.config = !complete && l.compiles(), strings.Contains(strings.Join(l.options, " "), "${")
	for _, p := range l.pins {
		if p.from != "" && !strings.Contains(p.from, "://") {
			in.files = append(in.files, src.Trail(p.from)...)
		}
	}
	return in
}

// vendored is where the wheels lie that the tree has, and whether that is all of them: then no index is asked.
func (l *lock) vendored(src *source.Tree, in *installation) (options string, complete bool) {
	dirs, complete := wheelDirs(src), len(l.pins) > 0
	for _, p := range l.pins {
		complete = complete && (hasPinned(src, dirs, p) || p.from != "" && !strings.Contains(p.from, "://"))
	}
	for _, dir := range dirs {
		options += " --find-links " + dir
		in.files = append(in.files, dir+"/")
	}
	if complete {
		options += " --no-index"
	}
	return options, complete
}

func hasPinned(src *source.Tree, dirs []string, p pin) bool {
	for _, dir := range dirs {
		for _, f := range src.Below(dir) {
			parts := strings.SplitN(path.Base(f.Path), "-", 3)
			if strings.HasSuffix(f.Path, ".whl") && len(parts) == 3 && normal(parts[0]) == normal(p.name) && parts[1] == p.version {
				return true
			}
		}
	}
	return false
}

// compiles tells whether pip may have to compile something: there is no wheel, or nobody knows.
func (l *lock) compiles() bool {
	return slices.ContainsFunc(l.pins, func(p pin) bool {
		return !slices.ContainsFunc(p.files, func(f string) bool { return strings.HasSuffix(f, ".whl") })
	})
}

// readers are the lock files that are read, in the order in which an app with several is taken at its word.
func readers() []struct {
	file string
	read func(*source.Tree, place) (*lock, error)
} {
	return []struct {
		file string
		read func(*source.Tree, place) (*lock, error)
	}{
		{"Pipfile.lock", readPipfileLock}, {"poetry.lock", readPoetryLock}, {"uv.lock", readUVLock}, {"pdm.lock", readPDMLock},
	}
}

func newLock(file, tool string, where place) *lock {
	return &lock{file: file, tool: tool, names: map[string]string{}, where: where}
}
