package golang

import (
	"bytes"
	"errors"
	"go/build"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"paas/buildpacks/source"
	"paas/platform"
)

// packageDir is a directory with Go files that count on Linux.
type packageDir struct {
	dir  string // "" is the root
	main bool
	cgo  bool
}

// scan looks at every directory that go would: those of the workspace's modules, without vendor, testdata
// and names that start with a dot or an underscore. It reads the head of each Go file.
func (w workspace) scan(src *source.Tree) ([]packageDir, error) {
	var packages []packageDir
	for _, dir := range goDirs(src) {
		if !w.owns(src, dir) {
			continue
		}
		p, err := look(src, dir)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func goDirs(src *source.Tree) []string {
	var dirs []string
	for _, f := range src.Files() {
		if !strings.HasSuffix(f.Path, ".go") || ignored(f.Path) {
			continue
		}
		dirs = append(dirs, strings.TrimSuffix(strings.TrimSuffix(f.Path, path.Base(f.Path)), "/"))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func ignored(file string) bool {
	for part := range strings.SplitSeq(path.Dir(file), "/") {
		if part == "vendor" || part == "testdata" || part == "node_modules" || strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".") && part != "." {
			return true
		}
	}
	return false
}

// owns tells whether the nearest go.mod above the directory is one of the workspace's.
func (w workspace) owns(src *source.Tree, dir string) bool {
	for {
		if w.has(dir) {
			return true
		}
		if dir == "" || src.Has(path.Join(dir, "go.mod")) {
			return false
		}
		dir = path.Dir(dir)
		if dir == "." {
			dir = ""
		}
	}
}

// look asks go/build, which knows build constraints and file names, over the tree.
func look(src *source.Tree, dir string) (packageDir, error) {
	ctx := context(src)
	pkg, err := ctx.ImportDir("/"+dir, 0)
	var none *build.NoGoError
	var human *platform.Error
	if errors.As(err, &human) {
		return packageDir{}, err
	}
	if err != nil && !errors.As(err, &none) && pkg.Name == "" {
		return packageDir{dir: dir}, nil // the compiler will say it better
	}
	builds := len(pkg.GoFiles)+len(pkg.CgoFiles) > 0
	return packageDir{dir: dir, main: pkg.Name == "main" && builds, cgo: len(pkg.CgoFiles) > 0}, nil
}

// maxHead is more than any file's package clause and imports, license text included.
const maxHead = 256 << 10

func context(src *source.Tree) build.Context {
	return build.Context{
		GOOS: "linux", GOARCH: "amd64", Compiler: "gc", CgoEnabled: true,
		ReleaseTags: build.Default.ReleaseTags,
		JoinPath:    path.Join,
		IsAbsPath:   path.IsAbs,
		IsDir:       func(name string) bool { return name == "/" || src.HasDir(name[1:]) },
		HasSubdir:   func(string, string) (string, bool) { return "", false },
		ReadDir:     func(name string) ([]fs.FileInfo, error) { return goFiles(src, name[1:]), nil },
		OpenFile: func(name string) (io.ReadCloser, error) {
			head, err := src.Head(name[1:], maxHead)
			return io.NopCloser(bytes.NewReader(head)), err
		},
	}
}

func goFiles(src *source.Tree, dir string) []fs.FileInfo {
	files, prefix := src.Files(), ""
	if dir != "" {
		files, prefix = src.Below(dir), dir+"/"
	}
	var infos []fs.FileInfo
	for _, f := range files {
		name := f.Path[len(prefix):]
		if strings.HasSuffix(name, ".go") && !strings.Contains(name, "/") && src.Has(f.Path) {
			infos = append(infos, info(name))
		}
	}
	return infos
}

// info is a regular file of that name.
type info string

func (i info) Name() string     { return string(i) }
func (info) Size() int64        { return 0 }
func (info) Mode() fs.FileMode  { return 0o644 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) IsDir() bool        { return false }
func (info) Sys() any           { return nil }
