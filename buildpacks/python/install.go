package python

import (
	"maps"
	"path"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
)

// installation is how an app's dependencies get into its environment.
type installation struct {
	names    map[string]string // normal name of a package: its extras
	files    []string          // what is read of the tree, in the notation of plan.Step
	made     map[string]string // and what is read beside it
	commands []string          // after the environment was made
	apart    bool              // Debian's own packages are not seen
	pip      bool              // the environment has a pip of its own
	whole    bool              // something is built from the tree itself
	tools    bool              // something may have to be compiled
	config   bool              // config vars are part of what is read
}

func (in installation) has(name string) bool {
	_, ok := in.names[name]
	return ok
}

// step is the layer of the environment.
func (in installation) step() plan.Step {
	s := plan.Step{Name: "dependencies", Files: []string{}, Made: in.made, Tools: in.tools, Config: in.config}
	if !in.whole && in.files != nil {
		s.Files = in.files
	}
	s.Commands = append([]string{in.environment()}, in.commands...)
	if len(in.commands) == 0 {
		return s
	}
	s.Env = map[string]string{"PIP_CACHE_DIR": cacheDir, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
	s.Caches = []plan.Cache{{ID: "pip", Dir: cacheDir}}
	return s
}

// environment makes it. Debian's packages are seen, as an Aptfile may name some, unless all that the app needs is
// locked.
func (in installation) environment() string {
	command := "python3 -m venv"
	if !in.pip {
		command += " --without-pip"
	}
	if !in.apart {
		command += " --system-site-packages"
	}
	return command + " " + venv
}

// own makes the app's own packages importable from everywhere, and its commands callable: what an editable
// installation does, without the project's build tool. Where the packages lie is read from the tree.
func (in *installation) own(src *source.Tree, dirs []string, programs map[string]string) {
	var lines []string
	for _, dir := range dirs {
		if src.HasDir(path.Join(dir, "src")) {
			dir = path.Join(dir, "src")
		}
		if line := path.Join("/app", dir); !slices.Contains(lines, line) && !strings.ContainsAny(line, "\n\r") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return
	}
	if in.made == nil {
		in.made = map[string]string{}
	}
	in.made[pathFile] = strings.Join(lines, "\n") + "\n"
	maps.Copy(in.made, programs)
	in.commands = append(in.commands, "cp "+pathFile+` "$(`+venv+`/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/app.pth"`)
}

// pathFile is read by Python's site module when it lies among an environment's packages.
const pathFile = venv + "/app.pth"
