package rust

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

const maxText = 16 << 20

// manifest is what matters of a Cargo.toml (doc.rust-lang.org/cargo/reference/manifest.html).
type manifest struct {
	Package *struct {
		Name        string `toml:"name"`
		DefaultRun  string `toml:"default-run"`
		RustVersion any    `toml:"rust-version"` // a string, or {workspace = true}
		AutoBins    *bool  `toml:"autobins"`
		Build       any    `toml:"build"` // a path, or false
	} `toml:"package"`
	Workspace *struct {
		Members        []string `toml:"members"`
		DefaultMembers []string `toml:"default-members"`
		Exclude        []string `toml:"exclude"`
		Package        struct {
			RustVersion string `toml:"rust-version"`
		} `toml:"package"`
		Dependencies map[string]any `toml:"dependencies"`
	} `toml:"workspace"`
	Dependencies map[string]any            `toml:"dependencies"`
	BuildDeps    map[string]any            `toml:"build-dependencies"`
	Target       map[string]map[string]any `toml:"target"`
	Lib          target                    `toml:"lib"`
	Bin          []target                  `toml:"bin"`
	Example      []target                  `toml:"example"`
	Test         []target                  `toml:"test"`
	Bench        []target                  `toml:"bench"`
}

type target struct {
	Name string `toml:"name"`
	Path string `toml:"path"`
}

// crate is one package whose source is in the tree.
type crate struct {
	dir  string // "" is the root
	file manifest
	bins []string
}

// workspace is all crates of the tree that are built together; the first is the root's if that has one.
type workspace struct {
	root   manifest
	crates []crate
}

func readWorkspace(src *source.Tree) (workspace, error) {
	root, err := readManifest(src, manifestFile)
	if err != nil {
		return workspace{}, err
	}
	w := workspace{root: root}
	for _, dir := range crateDirs(src, root) {
		file, err := readManifest(src, path.Join(dir, manifestFile))
		if err != nil {
			return w, err
		}
		if file.Package == nil {
			continue
		}
		c := crate{dir: dir, file: file}
		c.bins = c.programs(src)
		w.crates = append(w.crates, c)
	}
	return w, nil
}

func readManifest(src *source.Tree, name string) (m manifest, err error) {
	text, err := src.Read(name, maxText)
	if err != nil {
		return m, err
	}
	if err := toml.Unmarshal(text, &m); err != nil {
		return m, platform.Errorf(platform.Failed, "%s cannot be read", name).Because(err).
			WithHint("cargo says what is wrong with it when you run: cargo metadata")
	}
	return m, nil
}

// crateDirs are the directories with a manifest that belongs to the build: the root's, members of the workspace, and
// others below the root, which members name as paths. What is excluded is left to itself.
func crateDirs(src *source.Tree, root manifest) []string {
	var dirs []string
	for _, f := range src.Files() {
		if path.Base(f.Path) != manifestFile || !src.Has(f.Path) {
			continue
		}
		dir := strings.TrimSuffix(strings.TrimSuffix(f.Path, manifestFile), "/")
		if dir == "" || safe.MatchString(dir) && !ignored(dir) && !excluded(root, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

var safe = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)

func ignored(dir string) bool {
	for part := range strings.SplitSeq(dir, "/") {
		if part == "vendor" || part == "target" || part == "node_modules" || part == "tests" || strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}

func excluded(root manifest, dir string) bool {
	return root.Workspace != nil && slices.ContainsFunc(root.Workspace.Exclude, func(e string) bool {
		return dir == path.Clean(e) || strings.HasPrefix(dir, path.Clean(e)+"/")
	})
}

// programs are the names of the crate's binaries: those that the manifest lists, and those that lie where cargo looks
// (cargo's "Target auto-discovery").
func (c crate) programs(src *source.Tree) (names []string) {
	for _, b := range c.file.Bin {
		names = append(names, b.Name)
	}
	if auto := c.file.Package.AutoBins; auto != nil && !*auto {
		return names
	}
	if src.Has(path.Join(c.dir, "src/main.rs")) && !c.lists("src/main.rs") {
		names = append(names, c.file.Package.Name)
	}
	bin := path.Join(c.dir, "src/bin")
	for _, f := range src.Below(bin) {
		name, rest, deep := strings.Cut(strings.TrimPrefix(f.Path, bin+"/"), "/")
		switch {
		case deep && rest == "main.rs":
			names = append(names, name)
		case !deep && strings.HasSuffix(name, ".rs"):
			names = append(names, strings.TrimSuffix(name, ".rs"))
		}
	}
	slices.Sort(names)
	return slices.Compact(slices.DeleteFunc(names, func(n string) bool { return !safe.MatchString(n) }))
}

func (c crate) lists(file string) bool {
	return slices.ContainsFunc(c.file.Bin, func(t target) bool { return path.Clean(t.Path) == file })
}

// builds tells whether cargo build, run at the root, builds the crate: the root's own, or the default members.
func (w workspace) builds(c crate) bool {
	switch ws := w.root.Workspace; {
	case ws != nil && len(ws.DefaultMembers) > 0:
		return matches(ws.DefaultMembers, c.dir)
	case w.root.Package != nil:
		return c.dir == ""
	default:
		return ws != nil && matches(ws.Members, c.dir)
	}
}

func matches(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = path.Clean(p)
		if p == "." {
			return dir == ""
		}
		ok, err := path.Match(p, dir)
		return err == nil && ok
	})
}

// programs are those that are built.
func (w workspace) programs() (names []string) {
	for _, c := range w.crates {
		if w.builds(c) {
			names = append(names, c.bins...)
		}
	}
	return names
}

// web is the program of the web process: the only one, the one that cargo run would run, or the one called like the
// root's package, or else web or server.
func (w workspace) web() string {
	names := w.programs()
	if len(names) == 1 {
		return names[0]
	}
	var wanted []string
	if w.root.Package != nil {
		wanted = []string{w.root.Package.DefaultRun, w.root.Package.Name}
	}
	for _, name := range append(wanted, "web", "server", "app", "api") {
		if name != "" && slices.Contains(names, name) {
			return name
		}
	}
	return ""
}

// depends tells whether a crate needs another one that is not in the tree.
func (w workspace) depends() bool {
	foreign := func(list map[string]any) bool {
		for _, d := range list {
			table, _ := d.(map[string]any)
			if table == nil || table["path"] == nil {
				return true
			}
		}
		return false
	}
	for _, c := range w.crates {
		if foreign(c.file.Dependencies) || foreign(c.file.BuildDeps) || len(c.file.Target) > 0 {
			return true
		}
	}
	return false
}

// manifests are the files that say what is to be compiled.
func (w workspace) manifests() (files []string) {
	for _, c := range w.crates {
		files = append(files, path.Join(c.dir, manifestFile))
	}
	if w.root.Package == nil {
		files = append(files, manifestFile)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// stubs are the files that cargo wants to see before it compiles anything.
func (w workspace) stubs(src *source.Tree) (files []string) {
	for _, c := range w.crates {
		at := func(name string) {
			if name != "" {
				files = append(files, path.Join(c.dir, name))
			}
		}
		build, _ := c.file.Package.Build.(string)
		for _, name := range []string{"src/main.rs", "src/lib.rs", "build.rs", build, c.file.Lib.Path} {
			if src.Has(path.Join(c.dir, name)) {
				at(name)
			}
		}
		for _, t := range slices.Concat(c.file.Bin, c.file.Example, c.file.Test, c.file.Bench) {
			at(t.Path)
		}
		for _, dir := range []string{"src/bin", "examples", "tests", "benches"} {
			files = append(files, rustFiles(src, path.Join(c.dir, dir))...)
		}
	}
	slices.Sort(files)
	return slices.Compact(slices.DeleteFunc(files, func(f string) bool {
		return !safe.MatchString(f) || strings.HasPrefix(path.Clean(f), "..")
	}))
}

// rustFiles are those directly in a directory, and main.rs of directories in it.
func rustFiles(src *source.Tree, dir string) (files []string) {
	for _, f := range src.Below(dir) {
		rest := strings.TrimPrefix(f.Path, dir+"/")
		if strings.HasSuffix(rest, ".rs") && (!strings.Contains(rest, "/") || path.Base(rest) == "main.rs") {
			files = append(files, f.Path)
		}
	}
	return files
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
