package elixir

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

const maxText = 1 << 20

// project is what is read of mix.exs by its words: it is a program, and nothing of the tree is run to plan.
type project struct {
	name          string // of what the release's start script is called
	release       string // of the release, if there are several
	elixir        string // the requirement, "~> 1.15"
	appsPath      string // of an umbrella project
	depends       bool   // on anything that is not in the tree
	hex           bool   // on packages of Hex
	local         bool   // on projects in the tree, by their paths
	deploysAssets bool
	manifests     []string // every mix.exs
}

var (
	appName      = regexp.MustCompile(`\bapp:\s*:([a-z][a-z0-9_]*)`)
	requirement  = regexp.MustCompile(`\belixir:\s*"([^"\n]{1,60})"`)
	appsPath     = regexp.MustCompile(`\bapps_path:\s*"([^"\n]{1,200})"`)
	releaseName  = regexp.MustCompile(`(?s)\breleases:\s*\[\s*([a-z][a-z0-9_]*):|defp?\s+releases\b[^\[]*\[\s*([a-z][a-z0-9_]*):`)
	assetsDeploy = regexp.MustCompile(`["']assets\.deploy["']:`)
	dependency   = regexp.MustCompile(`\{\s*:[a-z][a-z0-9_]*\s*,`)
	pathDep      = regexp.MustCompile(`\{\s*:[a-z][a-z0-9_]*\s*,[^}\n]*\bpath:`)
	comment      = regexp.MustCompile(`(?m)^\s*#.*$`)
)

func readProject(src *source.Tree) (project, error) {
	text, err := read(src, mixFile)
	if err != nil {
		return project{}, err
	}
	p := project{
		name: first(appName, text), elixir: first(requirement, text), appsPath: first(appsPath, text),
		deploysAssets: assetsDeploy.MatchString(text),
		manifests:     src.Trail(mixFile),
	}
	if m := releaseName.FindStringSubmatch(text); m != nil {
		p.release = m[1] + m[2]
		p.name = p.release
	}
	if err := p.readDependencies(src, text); err != nil {
		return p, err
	}
	lock, err := read(src, lockFile)
	p.hex = p.hex || strings.Contains(lock, "{:hex,")
	p.depends = p.depends || strings.Contains(lock, `": {:`)
	return p, err
}

// readDependencies looks at the lists of dependencies of the project and, in an umbrella, of its apps.
func (p *project) readDependencies(src *source.Tree, text string) error {
	texts := []string{text}
	if p.appsPath != "" {
		for _, f := range src.Below(p.umbrella()) {
			if path.Base(f.Path) != mixFile || strings.Count(f.Path, "/") != strings.Count(p.umbrella(), "/")+2 {
				continue
			}
			more, err := read(src, f.Path)
			if err != nil {
				return err
			}
			p.manifests, texts = append(p.manifests, f.Path), append(texts, more)
		}
	}
	for _, text := range texts {
		all, local := len(dependency.FindAllString(text, -1)), len(pathDep.FindAllString(text, -1))
		p.local = p.local || local > 0
		p.depends = p.depends || depsList(text) && all > 0
		p.hex = p.hex || depsList(text) && all > local && strings.Contains(text, `, "`)
	}
	return nil
}

// depsList tells whether a project lists dependencies with something in the list.
func depsList(text string) bool {
	_, list, ok := strings.Cut(text, "defp deps")
	if !ok {
		if _, list, ok = strings.Cut(text, "deps: ["); !ok {
			return false
		}
	}
	list, _, _ = strings.Cut(list, "]")
	return dependency.MatchString(list)
}

// read returns a file's text without lines of comments; a missing file is empty.
func read(src *source.Tree, name string) (string, error) {
	text, err := src.Read(name, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return comment.ReplaceAllString(string(text), ""), err
}

func first(r *regexp.Regexp, text string) string {
	if m := r.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func commands(src *source.Tree) (map[platform.ProcessType]string, error) {
	text, err := src.Read(procfile.Name, procfile.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return procfile.Parse(text)
}

var mixCommand = regexp.MustCompile(`(^|[\s;&])(mix|elixir|iex)\s`)

func runsMix(commands map[platform.ProcessType]string) bool {
	for _, command := range commands {
		if mixCommand.MatchString(command) {
			return true
		}
	}
	return false
}
