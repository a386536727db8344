// Package dotnet plans .NET apps: a self-contained program in /app/out, and an image without SDK and source.
package dotnet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	maxText = 1 << 20
	cache   = "/cache/nuget"
	out     = "out"
)

// Detect tells whether the tree says that it is a .NET app.
func Detect(src *source.Tree) bool {
	return src.Has("global.json") || len(projects(src, 0)) > 0 || topSolution(src) && len(projects(src, 3)) > 0
}

func topSolution(src *source.Tree) bool {
	for _, f := range src.Files() {
		if !strings.Contains(f.Path, "/") && (strings.HasSuffix(f.Path, ".sln") || strings.HasSuffix(f.Path, ".slnx")) {
			return true
		}
	}
	return false
}

var projectFile = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+ -]*\.(cs|fs|vb)proj$`)

// projects are the project files not deeper than so many directories.
func projects(src *source.Tree, depth int) (files []string) {
	for _, f := range src.Files() {
		if strings.Count(f.Path, "/") <= depth && projectFile.MatchString(f.Path) && src.Has(f.Path) {
			files = append(files, f.Path)
		}
	}
	return files
}

// Plan plans an app with a project that makes a program.
func Plan(src *source.Tree) (plan.Plan, error) {
	app, err := findProject(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := toolchain(src, app)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{
		Builder:    plan.DotNet,
		Detected:   app.file,
		Toolchains: []plan.Toolchain{tool},
		Env:        map[string]string{"DOTNET_RUNNING_IN_CONTAINER": "true"},
		Processes:  map[platform.ProcessType]string{platform.Web: "ASPNETCORE_URLS=http://0.0.0.0:$PORT '" + out + "/" + app.assembly() + "'"},
	}
	code := []string{"*.cs", "*.fs", "*.vb", "*.csproj", "*.fsproj", "*.vbproj", "*.razor", "*.cshtml"}
	built := []string{"bin/", "obj/", out + "/"}
	p.Steps = []plan.Step{
		restore(src, app),
		{Name: "app", Files: []string{"/"}, Except: append(built, code...)},
		{Name: "source", Files: code, Except: built, Build: true},
		{
			Name:     "build",
			Files:    []string{},
			Commands: []string{"dotnet publish '" + app.file + "' -c Release -r linux-x64 --self-contained true --no-restore -o " + out},
			Env:      env(),
			Config:   true,
			Caches:   caches(),
			Output:   []string{out + "/"},
		},
	}
	return p, nil
}

// restore fetches packages, exactly those of the lock file where there is one.
func restore(src *source.Tree, app project) plan.Step {
	command := "dotnet restore '" + app.file + "' -r linux-x64"
	files := projects(src, 8)
	for _, f := range src.Files() {
		switch base := path.Base(f.Path); {
		case base == "packages.lock.json":
			files = append(files, f.Path)
		case strings.EqualFold(base, "nuget.config"), base == "global.json", strings.HasPrefix(base, "Directory.") && strings.HasSuffix(base, ".props"),
			strings.HasPrefix(base, "Directory.") && strings.HasSuffix(base, ".targets"):
			files = append(files, f.Path)
		}
	}
	if src.Has(path.Join(path.Dir(app.file), "packages.lock.json")) {
		command += " --locked-mode"
	}
	return plan.Step{Name: "dependencies", Files: files, Commands: []string{command}, Env: env(), Caches: caches(), Build: true}
}

func env() map[string]string {
	return map[string]string{"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1", "NUGET_PACKAGES": cache}
}

func caches() []plan.Cache { return []plan.Cache{{ID: "nuget", Dir: cache}} }

// project is what matters of a project file (learn.microsoft.com, "MSBuild properties for .NET SDK projects").
type project struct {
	file   string
	Sdk    string `xml:"Sdk,attr"`
	Groups []struct {
		TargetFramework  string
		TargetFrameworks string
		OutputType       string
		AssemblyName     string
	} `xml:"PropertyGroup"`
}

func (p project) assembly() string {
	for _, g := range p.Groups {
		if name := strings.TrimSpace(g.AssemblyName); plain.MatchString(name) {
			return name
		}
	}
	base := path.Base(p.file)
	return strings.TrimSuffix(base, path.Ext(base))
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+ -]*$`)

// program tells whether the project makes one: the SDK for the web always does.
func (p project) program() bool {
	web := strings.HasPrefix(p.Sdk, "Microsoft.NET.Sdk.Web") || strings.HasPrefix(p.Sdk, "Microsoft.NET.Sdk.Worker")
	for _, g := range p.Groups {
		web = web || strings.EqualFold(strings.TrimSpace(g.OutputType), "Exe")
	}
	return web
}

// findProject takes the first program for the web, else the first program: those nearer to the root first.
func findProject(src *source.Tree) (project, error) {
	var programs []project
	for _, file := range projects(src, 3) {
		p, err := readProject(src, file)
		if err != nil {
			return p, err
		}
		if strings.HasPrefix(p.Sdk, "Microsoft.NET.Sdk.Web") && !strings.Contains(strings.ToLower(file), "test") {
			return p, nil
		}
		if p.program() {
			programs = append(programs, p)
		}
	}
	if len(programs) == 0 {
		return project{}, platform.Errorf(platform.Failed, "this is a .NET app, but no project of it makes a program").
			WithHint("use the SDK Microsoft.NET.Sdk.Web, or write <OutputType>Exe</OutputType> into the project file")
	}
	return programs[0], nil
}

func readProject(src *source.Tree, file string) (project, error) {
	p := project{file: file}
	text, err := src.Read(file, maxText)
	if err != nil {
		return p, err
	}
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(&p); err != nil {
		return p, platform.Errorf(platform.Failed, "%s cannot be read", file).Because(err).WithHint("dotnet build says what is wrong with it")
	}
	return p, nil
}

var framework = regexp.MustCompile(`^net([0-9]+\.[0-9]+)(-.*)?$`)

// toolchain is the SDK that global.json names, else the one of the target framework: as far as SDKs are exchangeable.
func toolchain(src *source.Tree, app project) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "dotnet", Build: true}
	version, err := globalVersion(src)
	if err != nil || version != "" {
		t.Version, t.From = version, "global.json"
		return t, err
	}
	for _, g := range app.Groups {
		all := strings.Split(g.TargetFramework+";"+g.TargetFrameworks, ";")
		for _, name := range all {
			if m := framework.FindStringSubmatch(strings.TrimSpace(name)); m != nil {
				t.Version, t.From = m[1], app.file+" TargetFramework"
				return t, nil
			}
		}
	}
	t.From = app.file
	return t, nil
}

var sdkLine = regexp.MustCompile(`^([0-9]+\.[0-9]+)\.[0-9]+`)

func globalVersion(src *source.Tree) (string, error) {
	text, err := src.Read("global.json", maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var global struct {
		SDK struct {
			Version string `json:"version"`
		} `json:"sdk"`
	}
	if err := source.Decode("global.json", text, &global); err != nil {
		return "", err
	}
	if m := sdkLine.FindStringSubmatch(global.SDK.Version); m != nil {
		return m[1], nil
	}
	return "", nil
}
