// Package golang plans Go apps: modules downloaded into a layer of their own, binaries in /app/bin, and
// an image without Go source, modules and toolchain.
package golang

import (
	"path"
	"slices"
	"strings"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	gopath       = "/app/.go" // hidden from "./..." by its dot; only in layers that the image leaves out
	buildCache   = "/cache/go-build"
	downloadDir  = "/cache/go-download" // laid out as a module proxy
	preCompile   = "bin/go-pre-compile"
	postCompile  = "bin/go-post-compile"
	vendorList   = "vendor/modules.txt"
	packagesFlag = "GO_INSTALL_PACKAGE_SPEC" // Heroku's config var that names what to build
)

// Detect tells whether the tree says that it is a Go app.
func Detect(src *source.Tree) bool { return src.Has("go.mod") || src.Has("go.work") }

// Script is the file of an app without a module.
const Script = "main.go"

// Lone tells whether there is a Go program and nothing that says which module it is.
func Lone(src *source.Tree) bool { return src.Has(Script) }

// Plan plans an app that Detect or Lone knows. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	work, err := readWorkspace(src)
	if err != nil {
		return plan.Plan{}, err
	}
	packages, err := work.scan(src)
	if err != nil {
		return plan.Plan{}, err
	}
	targets, err := work.targets(packages)
	if err != nil {
		return plan.Plan{}, err
	}
	assets, _, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	cgo, err := needsCgo(src, packages)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := work.toolchain(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, work: work, tool: tool, targets: targets, cgo: cgo, assets: assets}
	return b.plan(), nil
}

// builder is all that was found out about an app.
type builder struct {
	src     *source.Tree
	work    workspace
	tool    plan.Toolchain
	targets []target
	cgo     bool
	assets  node.Assets
}

func (b builder) plan() plan.Plan {
	p := plan.Plan{
		Builder:    plan.Go,
		Detected:   b.work.detected,
		Toolchains: append([]plan.Toolchain{b.tool}, b.assets.Toolchains...),
		Path:       []string{"/app/bin"},
		Warnings:   b.assets.Warnings,
	}
	switch {
	case b.work.made:
		p.Warnings = append(p.Warnings, "There is no go.mod, so the build makes one. Run: go mod init example.com/app && go mod tidy && git add go.mod.")
	case b.tool.Version == "":
		p.Warnings = append(p.Warnings, "go.mod does not say which Go it is for; the newest one is taken. Run: go mod tidy.")
	}
	p.Steps = b.steps()
	if name := b.web(); name != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: "bin/" + name}
	}
	return p
}

// steps puts what changes least first. The image gets the layers of app and build only.
func (b builder) steps() []plan.Step {
	var steps []plan.Step
	if b.downloads() {
		steps = append(steps, b.dependencies())
	}
	steps = append(steps, b.assets.Before...)
	steps = append(steps, plan.Step{Name: "app", Files: []string{"/"}, Except: b.except()})
	steps = append(steps, b.assets.After...)
	return append(steps, plan.Step{Name: "source", Files: b.sources(), Build: true}, b.build())
}

func (b builder) vendored() bool { return b.src.Has(vendorList) }

func (b builder) downloads() bool { return !b.vendored() && b.work.requires() }

// sources are the files that only the compiler reads.
func (b builder) sources() []string {
	files := append([]string{"*.go"}, b.work.files(b.src)...)
	if b.vendored() {
		files = append(files, "vendor/")
	}
	return files
}

func (b builder) except() []string {
	except := b.sources()
	if len(b.assets.Toolchains) > 0 {
		except = append(except, "node_modules/")
	}
	return except
}

// dependencies downloads modules, those that an earlier build of the app already had from its cache: Go's
// download cache has the layout of a module proxy (go.dev/ref/mod, "GOPROXY protocol").
func (b builder) dependencies() plan.Step {
	return plan.Step{
		Name:  "dependencies",
		Files: b.work.files(b.src),
		Commands: []string{
			`GOPROXY="file://` + downloadDir + `,$(go env GOPROXY)" go mod download`,
			"cp -Ru .go/pkg/mod/cache/download/. " + downloadDir + "/",
		},
		Env:    b.env(),
		Caches: []plan.Cache{{ID: "go-download", Dir: downloadDir}},
		Build:  true,
	}
}

func (b builder) build() plan.Step {
	s := plan.Step{
		Name:   "build",
		Files:  []string{},
		Env:    b.env(),
		Config: true,
		Caches: []plan.Cache{{ID: "go-build", Dir: buildCache}},
		Tools:  b.cgo,
		Output: []string{"bin/"},
	}
	compile := "go build -trimpath -ldflags='-s -w' -o bin/ ${" + packagesFlag + ":-" + b.packages() + "}"
	s.Commands = []string{compile}
	if b.work.made {
		s.Commands = []string{"go mod init app && go mod tidy", compile}
	}
	if b.src.Has(preCompile) {
		s.Commands, s.Output = append([]string{"bash " + preCompile}, s.Commands...), nil
	}
	if b.src.Has(postCompile) {
		s.Commands, s.Output = append(s.Commands, "bash "+postCompile), nil
	}
	return s
}

func (b builder) packages() string {
	words := make([]string, len(b.targets))
	for i, t := range b.targets {
		words[i] = t.pattern
	}
	return strings.Join(words, " ")
}

// env keeps Go to the toolchain it was given and its writes to known places. Modules are writable so that a
// layer can be removed like any other.
func (b builder) env() map[string]string {
	env := map[string]string{
		"CGO_ENABLED": "0",
		"GOCACHE":     buildCache,
		"GOFLAGS":     "-modcacherw",
		"GOPATH":      gopath,
		"GOTOOLCHAIN": "local",
	}
	if b.cgo {
		env["CGO_ENABLED"] = "1"
	}
	return env
}

// web is the binary of the web process: the only one, the one called like the module, or else web or server.
func (b builder) web() string {
	var names []string
	for _, t := range b.targets {
		names = append(names, t.binaries...)
	}
	if len(names) == 1 {
		return names[0]
	}
	for _, name := range []string{binary(b.work.main().path), "web", "server", "app", "api"} {
		if slices.Contains(names, name) {
			return name
		}
	}
	return ""
}

// binary is what go build calls the program of an import path: its last element that is not a version.
func binary(importPath string) string {
	name := path.Base(importPath)
	if dir := path.Dir(importPath); majorVersion.MatchString(name) && dir != "." {
		return path.Base(dir)
	}
	return name
}
