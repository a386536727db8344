// Package deno plans Deno apps: modules by `deno install` from the app's lockfile, into a directory of the app's own.
package deno

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

const (
	lockfile   = "deno.lock"
	cache      = "/app/.deno" // where modules lie, also for the running app
	maxConfig  = 1 << 20
	defaultVer = "2.x"
)

// configs are Deno's own (Deno's manual, "deno.json and package.json").
var configs = [...]string{"deno.json", "deno.jsonc"}

// entries are the files that are started when no task is called start.
var entries = [...]string{"main.ts", "server.ts", "app.ts", "index.ts", "mod.ts", "src/main.ts", "main.tsx", "main.js", "server.js", "main.mjs"}

// Detect tells whether the tree says that it is a Deno app. Beside a package.json, settings of Deno's formatter and
// linter alone do not say so.
func Detect(src *source.Tree) bool {
	if src.Has(lockfile) || !src.Has("package.json") {
		_, ok := src.First(configs[0], configs[1], lockfile)
		return ok
	}
	_, c, err := readConfig(src)
	return err == nil && len(c.Tasks)+len(c.Imports) > 0
}

// config is what matters of a deno.json.
type config struct {
	Tasks   map[string]json.RawMessage `json:"tasks"`
	Imports map[string]string          `json:"imports"`
	Lock    json.RawMessage            `json:"lock"`
	Members json.RawMessage            `json:"workspace"`
}

// Plan plans a Deno app. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	name, c, err := readConfig(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := toolchain(src)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{
		Builder: plan.Deno, Detected: name, Toolchains: []plan.Toolchain{tool},
		Env: map[string]string{"DENO_DIR": cache, "DENO_NO_UPDATE_CHECK": "1", "NODE_ENV": "production"},
	}
	p.Steps = steps(src, c)
	if command := start(src, c); command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: command}
	}
	if !src.Has(lockfile) && c.locked() && len(c.Imports) > 0 {
		p.Warnings = append(p.Warnings, "deno.lock is missing: every build may get other versions. Run deno install and commit the file.")
	}
	return p, nil
}

func (c config) locked() bool { return string(c.Lock) != "false" }

func (c config) hasTask(name string) bool {
	text := bytes.TrimSpace(c.Tasks[name])
	return len(text) > 0 && string(text) != "null" && string(text) != `""`
}

func readConfig(src *source.Tree) (name string, c config, err error) {
	name, ok := src.First(configs[:]...)
	if !ok {
		return lockfile, c, nil
	}
	text, err := src.Read(name, maxConfig)
	if err != nil {
		return name, c, err
	}
	return name, c, source.Decode(name, withoutComments(text), &c)
}

// toolchain is the version that .deno-version or a file of version managers names.
func toolchain(src *source.Tree) (plan.Toolchain, error) {
	from := ".deno-version"
	version, err := versionfile.Line(src, from)
	if err == nil && version == "" {
		from = ".dvmrc"
		version, err = versionfile.Line(src, from)
	}
	if err == nil && version == "" {
		version, from, err = versionfile.Named(src, "deno")
	}
	if err != nil {
		return plan.Toolchain{}, err
	}
	version = strings.TrimPrefix(version, "v")
	if version == "" || version == "latest" {
		return plan.Toolchain{Name: "deno", Version: defaultVer, From: from}, nil
	}
	if !wish.MatchString(version) {
		return plan.Toolchain{}, platform.Errorf(platform.Failed, "%s asks for Deno %.40q, which is not a version", from, version).
			WithHint("write one such as 2 or 2.5.1")
	}
	return plan.Toolchain{Name: "deno", Version: version, From: from}, nil
}

var wish = regexp.MustCompile(`^[\^~>=<\s]*\d+(\.[\dx*]+){0,2}[\s<>=.\dx]*$`)

// steps fetch what the configuration imports, put the source there, and then do what needs the source: fetch
// what only files import, and build.
func steps(src *source.Tree, c config) (list []plan.Step) {
	frozen := ""
	if src.Has(lockfile) && c.locked() {
		frozen = " --frozen"
	}
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{"node_modules/"}}
	env := map[string]string{"DENO_DIR": cache, "DENO_NO_UPDATE_CHECK": "1", "DENO_TLS_CA_STORE": "system", "NO_COLOR": "1", "NODE_ENV": "production"}
	modules := plan.Step{Name: "dependencies", Files: moduleFiles(src), Env: env, Commands: []string{"deno install" + frozen}}
	late := plan.Step{Name: "build", Files: []string{}, Env: env, Config: true}
	switch {
	case !installs(src, c):
		list = []plan.Step{app}
	case len(c.Members) > 0:
		modules.Files = []string{}
		list = []plan.Step{app, modules}
	default:
		list = []plan.Step{modules, app}
	}
	if entry := entryOf(src, c); entry != "" && importsInline(src) {
		late.Commands = append(late.Commands, "deno cache"+frozen+" "+entry)
	}
	if c.hasTask("build") {
		late.Commands = append(late.Commands, "deno task build")
	}
	if len(late.Commands) > 0 {
		list = append(list, late)
	}
	return list
}

// installs tells whether the configuration imports anything.
func installs(src *source.Tree, c config) bool {
	remote := func(target string) bool {
		return strings.HasPrefix(target, "npm:") || strings.HasPrefix(target, "jsr:") || strings.HasPrefix(target, "http")
	}
	for _, target := range c.Imports {
		if remote(target) {
			return true
		}
	}
	return len(c.Members) > 0 || src.Has("package.json")
}

func moduleFiles(src *source.Tree) (files []string) {
	for _, name := range []string{configs[0], configs[1], lockfile, "package.json", ".npmrc", "import_map.json"} {
		if src.Has(name) {
			files = append(files, src.Trail(name)...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// inline is an import that names a package in the file itself.
var inline = regexp.MustCompile(`["'](npm:|jsr:|https://)[^"'\s]+["']`)

const (
	maxScanned = 400
	maxHead    = 16 << 10 // imports come first
)

// importsInline tells whether files import what the configuration does not name. It errs on the side of yes.
func importsInline(src *source.Tree) bool {
	scanned := 0
	for _, f := range src.Files() {
		if !isModule(f.Path) {
			continue
		}
		if scanned++; scanned > maxScanned {
			return true
		}
		if text, err := src.Head(f.Path, maxHead); err == nil && inline.Match(text) {
			return true
		}
	}
	return false
}

// taskEntry is the module that a task runs.
var taskEntry = regexp.MustCompile(`\bdeno (?:run|serve)\b[^&|;"]*?\s([\w@][\w./@-]*\.[mc]?[jt]sx?)\b`)

func entryOf(src *source.Tree, c config) string {
	if m := taskEntry.FindSubmatch(c.Tasks["start"]); m != nil && src.Has(string(m[1])) {
		return string(m[1])
	}
	entry, _ := src.First(entries[:]...)
	return entry
}

// withoutComments blanks out what JSON with comments has beyond JSON (its specification by Microsoft): comments, and
// commas before closing brackets. Lines stay where they are.
func withoutComments(text []byte) []byte {
	out := bytes.Clone(text)
	comma := -1 // of which nothing has followed yet
	for i := 0; i < len(out); {
		switch {
		case out[i] == '"':
			i, comma = stringEnd(out, i), -1
		case bytes.HasPrefix(out[i:], []byte("//")), bytes.HasPrefix(out[i:], []byte("/*")):
			i = blank(out, i)
		default:
			if (out[i] == '}' || out[i] == ']') && comma >= 0 {
				out[comma] = ' '
			}
			if c := out[i]; c == ',' {
				comma = i
			} else if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				comma = -1
			}
			i++
		}
	}
	return out
}

func stringEnd(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// blank overwrites the comment at i with spaces, and returns its end.
func blank(text []byte, i int) int {
	end := bytes.IndexByte(text[i:], '\n')
	if text[i+1] == '*' {
		if end = bytes.Index(text[i+2:], []byte("*/")); end >= 0 {
			end += 4
		}
	}
	if end < 0 {
		end = len(text) - i
	}
	for j := i; j < i+end; j++ {
		if text[j] != '\n' {
			text[j] = ' '
		}
	}
	return i + end
}
