package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// Manifest is the file that makes an app a Node.js app.
const Manifest = "package.json"

const maxManifest = 1 << 20

// manifest is what matters of a package.json. Fields that people fill with nonsense are loose.
type manifest struct {
	Name     loose[string]            `json:"name"`
	Version  loose[string]            `json:"version"`
	Main     loose[string]            `json:"main"`
	Module   loose[string]            `json:"module"`
	Scripts  loose[map[string]string] `json:"scripts"`
	Engines  engines                  `json:"engines"`
	Gypfile  loose[bool]              `json:"gypfile"`
	Prod     loose[map[string]string] `json:"dependencies"`
	Dev      loose[map[string]string] `json:"devDependencies"`
	Optional loose[map[string]string] `json:"optionalDependencies"`
	Peer     loose[map[string]string] `json:"peerDependencies"`
	Bin      json.RawMessage          `json:"bin"`
	// Workspaces is a list of patterns, or an object with one.
	Workspaces     json.RawMessage   `json:"workspaces"`
	PackageManager loose[string]     `json:"packageManager"`
	DevEngines     loose[devEngines] `json:"devEngines"`
}

type devEngines struct {
	PackageManager loose[struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}] `json:"packageManager"`
}

type engines struct{ Node, NPM, Yarn, PNPM, Bun string }

// of is the range for a package manager.
func (e engines) of(manager string) string {
	return map[string]string{npm: e.NPM, yarn: e.Yarn, berry: e.Yarn, pnpm: e.PNPM, bun: e.Bun}[manager]
}

// UnmarshalJSON forgives engines written as a list, as npm 0.x had it.
func (e *engines) UnmarshalJSON(text []byte) error {
	var fields map[string]loose[string]
	if json.Unmarshal(text, &fields) != nil {
		return nil
	}
	for name, into := range map[string]*string{"node": &e.Node, npm: &e.NPM, yarn: &e.Yarn, pnpm: &e.PNPM, bun: &e.Bun} {
		*into = strings.TrimSpace(fields[name].value)
	}
	return nil
}

// loose is a value that counts as missing when it has another type.
type loose[T any] struct{ value T }

func (l *loose[T]) UnmarshalJSON(text []byte) error {
	var v T
	if json.Unmarshal(text, &v) == nil {
		l.value = v
	}
	return nil
}

func readManifest(src *source.Tree, name string) (manifest, error) {
	var pkg manifest
	text, err := src.Read(name, maxManifest)
	if err != nil {
		return pkg, err
	}
	return pkg, source.Decode(name, text, &pkg)
}

// optional is a file's text, nil if it is missing.
func optional(src *source.Tree, name string, limit int64) ([]byte, error) {
	text, err := src.Read(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

func (m manifest) script(name string) string { return strings.TrimSpace(m.Scripts.value[name]) }

func (m manifest) hasScript(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return m.script(n) != "" })
}

// uses tells whether the app itself depends on the package.
func (m manifest) uses(name string) bool {
	for _, deps := range m.dependencies() {
		if _, ok := deps[name]; ok {
			return true
		}
	}
	return false
}

func (m manifest) dependencies() []map[string]string {
	return []map[string]string{m.Prod.value, m.Dev.value, m.Optional.value, m.Peer.value}
}

// dependencyNames are the packages that the app itself depends on, in order.
func (m manifest) dependencyNames() (names []string) {
	for _, deps := range m.dependencies() {
		names = slices.AppendSeq(names, maps.Keys(deps))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (m manifest) needsNothing() bool {
	empty := func(deps map[string]string) bool { return len(deps) == 0 }
	return !slices.ContainsFunc(m.dependencies(), func(d map[string]string) bool { return !empty(d) })
}

// local tells whether a dependency lies in the source tree.
func (m manifest) local() bool {
	for _, deps := range m.dependencies() {
		for spec := range maps.Values(deps) {
			if localSpec(spec) {
				return true
			}
		}
	}
	return false
}

// localSpec tells whether npm would look for it on the disk (npm-package-arg: file:, link:, paths, archives).
func localSpec(spec string) bool {
	for _, prefix := range []string{"file:", "link:", "portal:", "./", "../", "/", "~/"} {
		if strings.HasPrefix(spec, prefix) {
			return true
		}
	}
	return false
}
