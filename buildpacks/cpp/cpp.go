// Package cpp plans C and C++ apps that CMake, Meson or make builds: programs in /app/bin, and an image without
// source and compiler. Compiled objects are kept between builds by their content.
package cpp

import (
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	maxText = 1 << 20
	cache   = "/cache/ccache"
	build   = ".build"
)

// Detect tells whether the tree says that it is a C or C++ app. A Makefile alone builds anything, so it counts
// together with C beside it.
func Detect(src *source.Tree) bool { return tool(src) != "" }

func tool(src *source.Tree) string {
	file, _ := src.First("CMakeLists.txt", "meson.build")
	if file == "" && src.Has("Makefile") && hasC(src) {
		return "Makefile"
	}
	return file
}

func hasC(src *source.Tree) bool {
	for _, f := range src.Files() {
		switch path.Ext(f.Path) {
		case ".c", ".cc", ".cpp", ".cxx":
			return strings.Count(f.Path, "/") <= 2
		}
	}
	return false
}

// Plan plans an app. Programs are called as the build file calls them; the web process is the one that is called as
// the project, or the only one.
func Plan(src *source.Tree) (plan.Plan, error) {
	file := tool(src)
	text, err := src.Read(file, maxText)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{Builder: plan.CPP, Detected: file, Path: []string{"/app/bin"}}
	s := plan.Step{
		Name:   "build",
		Files:  []string{},
		Env:    map[string]string{"CCACHE_DIR": cache, "CCACHE_BASEDIR": "/app", "CCACHE_COMPILERCHECK": "content", "CCACHE_MAXSIZE": "2G"},
		Config: true,
		Caches: []plan.Cache{{ID: "ccache", Dir: cache}},
		Tools:  true,
		Output: []string{"bin/"},
	}
	switch file {
	case "CMakeLists.txt":
		p.Toolchains = []plan.Toolchain{{Name: "cmake", Build: true}}
		s.Commands = []string{
			"cmake -G Ninja -S . -B " + build + " -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache $CMAKE_FLAGS",
			"cmake --build " + build,
			collect,
		}
	case "meson.build":
		p.Toolchains = []plan.Toolchain{{Name: "meson", Build: true}}
		s.Commands = []string{`CC="ccache gcc" CXX="ccache g++" meson setup ` + build + " --buildtype release $MESON_FLAGS", "ninja -C " + build, collect}
	default:
		p.Toolchains = []plan.Toolchain{{Name: "ccache", Build: true}}
		s.Commands = []string{`make CC="ccache gcc" CXX="ccache g++"`}
		s.Output = nil // a Makefile puts its results where it likes
	}
	p.Steps = steps(file, s)
	if start := program(file, string(text)); start != "" && !src.Has(procfile.Name) {
		p.Processes = map[platform.ProcessType]string{platform.Web: start}
	}
	return p, nil
}

// collect takes programs, not the scratch of the build tool and not libraries that are linked into them; shared ones
// go along, and are found there.
const collect = "mkdir -p bin && find " + build + ` -type f -executable ! -path '*/CMakeFiles/*' ! -path '*/meson-*' ! -name '*.so*' -exec cp -t bin {} + && ` +
	"find " + build + ` -name '*.so*' ! -type d ! -path '*/CMakeFiles/*' -exec cp -Pt bin {} +`

func steps(file string, s plan.Step) []plan.Step {
	if file == "Makefile" {
		return []plan.Step{{Name: "app", Files: []string{"/"}, Except: []string{build + "/"}}, s}
	}
	code := []string{"*.c", "*.cc", "*.cpp", "*.cxx", "*.h", "*.hpp", "*.hh", "CMakeLists.txt", "meson.build"}
	return []plan.Step{
		{Name: "app", Files: []string{"/"}, Except: append([]string{build + "/"}, code...)},
		{Name: "source", Files: code, Except: []string{build + "/"}, Build: true},
		s,
	}
}

var (
	cmakeProject = regexp.MustCompile(`(?im)^\s*project\s*\(\s*"?([A-Za-z0-9_][A-Za-z0-9_.+-]*)`)
	cmakeProgram = regexp.MustCompile(`(?im)^\s*add_executable\s*\(\s*"?([A-Za-z0-9_$][A-Za-z0-9_.+{}-]*)`)
	mesonProject = regexp.MustCompile(`(?m)^\s*project\s*\(\s*'([A-Za-z0-9_][A-Za-z0-9_.+-]*)'`)
	mesonProgram = regexp.MustCompile(`(?m)\bexecutable\s*\(\s*'([A-Za-z0-9_][A-Za-z0-9_.+-]*)'`)
)

// program is what the web process runs, or "" if it cannot be told.
func program(file, text string) string {
	name := ""
	switch file {
	case "CMakeLists.txt":
		name = choose(cmakeProject, cmakeProgram, text)
	case "meson.build":
		name = choose(mesonProject, mesonProgram, text)
	default:
		rules := readMakefile(text)
		return rules.program()
	}
	if name == "" {
		return ""
	}
	return "bin/" + name
}

func choose(project, programs *regexp.Regexp, text string) string {
	name := ""
	if m := project.FindStringSubmatch(text); m != nil {
		name = m[1]
	}
	all := programs.FindAllStringSubmatch(text, -1)
	for _, m := range all {
		if m[1] == name || m[1] == "${PROJECT_NAME}" || m[1] == "${CMAKE_PROJECT_NAME}" {
			return name
		}
	}
	if len(all) == 1 && !strings.Contains(all[0][1], "$") {
		return all[0][1]
	}
	return ""
}
