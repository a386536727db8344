package golang

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

const maxModfile = 4 << 20

var majorVersion = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)

// module is one module whose source is in the tree.
type module struct {
	dir     string // "" is the root
	path    string
	file    *modfile.File
	install []string // packages that "// +heroku install" comments name
	goes    string   // the version that a "// +heroku goVersion" comment names
}

// workspace is the modules that are built together: those of go.work, or the one of go.mod, and the local
// ones that replace others.
type workspace struct {
	detected string // "go.mod", "go.work" or, without both, "main.go"
	made     bool   // there is no go.mod, and the build makes one
	work     *modfile.WorkFile
	modules  []module
	members  int // how many of the modules are the app's own, the first ones
}

func readWorkspace(src *source.Tree) (workspace, error) {
	w := workspace{detected: "go.mod"}
	dirs, err := w.dirs(src)
	if err != nil {
		return w, err
	}
	for _, dir := range dirs {
		if err := w.add(src, dir, true); err != nil {
			return w, err
		}
	}
	w.members = len(w.modules)
	return w, w.addReplacements(src)
}

// dirs are the directories of the app's own modules.
func (w *workspace) dirs(src *source.Tree) ([]string, error) {
	text, err := src.Read("go.work", maxModfile)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{""}, nil
	}
	if err != nil {
		return nil, err
	}
	if w.work, err = modfile.ParseWork("go.work", text, nil); err != nil {
		return nil, badModfile("go.work", err)
	}
	w.detected = "go.work"
	dirs := make([]string, len(w.work.Use))
	for i, use := range w.work.Use {
		if dirs[i], err = inside("go.work", "", use.Path); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

func (w *workspace) add(src *source.Tree, dir string, own bool) error {
	name := path.Join(dir, "go.mod")
	text, err := src.Read(name, maxModfile)
	if errors.Is(err, fs.ErrNotExist) && dir == "" && w.work == nil && own {
		w.made, w.detected = true, Script
		w.modules = append(w.modules, module{path: "app", file: new(modfile.File)})
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Errorf(platform.Failed, "%s is missing, and go needs it", name).Because(err).
			WithHint("commit it, or take the directory out of go.work and the replace lines")
	}
	if err != nil {
		return err
	}
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return badModfile(name, err)
	}
	m := module{dir: dir, file: file}
	if file.Module != nil {
		m.path = file.Module.Mod.Path
	}
	if own {
		m.install, m.goes = installLines(text), versionComment(text)
	}
	w.modules = append(w.modules, m)
	return nil
}

var installLine = regexp.MustCompile(`(?m)^\s*//\s*\+heroku\s+install\s+(.+)$`)

var versionLine = regexp.MustCompile(`(?m)^\s*//\s*\+heroku\s+goVersion\s+(?:go)?(\S+)\s*$`)

// versionComment is Heroku's own way to name a version, from before there was a toolchain line.
func versionComment(text []byte) string {
	if m := versionLine.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

func installLines(text []byte) []string {
	var packages []string
	for _, match := range installLine.FindAllSubmatch(text, -1) {
		packages = append(packages, strings.Fields(string(match[1]))...)
	}
	return packages
}

// addReplacements adds the modules that replace others from a directory. Only those of the app's own
// modules count for go (go.dev/ref/mod, "replace directive").
func (w *workspace) addReplacements(src *source.Tree) error {
	for _, m := range w.modules[:w.members] {
		if err := w.addReplaced(src, m.file.Replace, path.Join(m.dir, "go.mod"), m.dir); err != nil {
			return err
		}
	}
	if w.work == nil {
		return nil
	}
	return w.addReplaced(src, w.work.Replace, "go.work", "")
}

func (w *workspace) addReplaced(src *source.Tree, replace []*modfile.Replace, file, base string) error {
	for _, r := range replace {
		if !modfile.IsDirectoryPath(r.New.Path) {
			continue
		}
		dir, err := inside(file, base, r.New.Path)
		if err != nil {
			return err
		}
		if w.has(dir) {
			continue
		}
		if err := w.add(src, dir, false); err != nil {
			return err
		}
	}
	return nil
}

func (w *workspace) has(dir string) bool {
	for _, m := range w.modules {
		if m.dir == dir {
			return true
		}
	}
	return false
}

// inside is the directory that file means by name, relative to base, if it is in the tree.
func inside(file, base, name string) (string, error) {
	dir, ok := source.Inside(base, name)
	if !ok {
		return "", platform.Errorf(platform.Failed, "%s points to %s, which is outside the app", file, name).
			WithHint("move the module into the repository, or vendor it: go mod vendor")
	}
	return dir, nil
}

func badModfile(name string, err error) error {
	return platform.Errorf(platform.Failed, "%s cannot be read", name).Because(err).
		WithHint("go says what is wrong with it when you run: go mod verify")
}

// main is the module that the app is called after.
func (w workspace) main() module {
	if len(w.modules) == 0 {
		return module{}
	}
	return w.modules[0]
}

// requires tells whether anything is to be downloaded.
func (w workspace) requires() bool {
	for _, m := range w.modules {
		if len(m.file.Require) > 0 {
			return true
		}
	}
	return false
}

// files are the module files that the tree has.
func (w workspace) files(src *source.Tree) []string {
	var files []string
	for _, name := range []string{"go.work", "go.work.sum"} {
		if src.Has(name) {
			files = append(files, src.Trail(name)...)
		}
	}
	for _, m := range w.modules {
		for _, name := range []string{"go.mod", "go.sum"} {
			if file := path.Join(m.dir, name); src.Has(file) {
				files = append(files, src.Trail(file)...)
			}
		}
	}
	return files
}

// toolchain is the one that a comment for Heroku names, the toolchain line, or the go line; where there is none of
// them, .go-version or .tool-versions.
func (w workspace) toolchain(src *source.Tree) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "go", Build: true}
	for _, m := range w.modules[:w.members] {
		if m.goes != "" {
			t.Version, t.From = m.goes, path.Join(m.dir, "go.mod")+" +heroku goVersion"
			return t, nil
		}
	}
	if w.work != nil {
		t.Version, t.From = versionOf(w.work.Toolchain, w.work.Go, "go.work")
	}
	if t.Version == "" && len(w.modules) > 0 {
		m := w.modules[0]
		t.Version, t.From = versionOf(m.file.Toolchain, m.file.Go, path.Join(m.dir, "go.mod"))
	}
	if t.Version != "" {
		return t, nil
	}
	return fileVersion(src, t)
}

func fileVersion(src *source.Tree, t plan.Toolchain) (plan.Toolchain, error) {
	line, err := versionfile.Line(src, ".go-version")
	if err != nil || line != "" {
		t.Version, t.From = strings.TrimPrefix(line, "go"), ".go-version"
		return t, err
	}
	line, err = versionfile.Tool(src, "golang", "go")
	if line != "" {
		t.Version, t.From = strings.TrimPrefix(line, "go"), versionfile.Tools
	}
	return t, err
}

func versionOf(toolchain *modfile.Toolchain, line *modfile.Go, file string) (version, from string) {
	if toolchain != nil && toolchain.Name != "default" && toolchain.Name != "local" {
		return strings.TrimPrefix(toolchain.Name, "go"), file + " toolchain"
	}
	if line != nil {
		return line.Version, file + " go"
	}
	return "", ""
}
