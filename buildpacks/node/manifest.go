package node

import (
	"bytes"
	"encoding/json"
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
	Scripts  loose[map[string]string] `json:"scripts"`
	Engines  engines                  `json:"engines"`
	Gypfile  loose[bool]              `json:"gypfile"`
	Prod     loose[map[string]string] `json:"dependencies"`
	Dev      loose[map[string]string] `json:"devDependencies"`
	Optional loose[map[string]string] `json:"optionalDependencies"`
	Peer     loose[map[string]string] `json:"peerDependencies"`
	// Workspaces is a list, or an object with one; only whether there is any matters.
	Workspaces json.RawMessage `json:"workspaces"`
}

type engines struct{ Node, NPM string }

// UnmarshalJSON forgives engines written as a list, as npm 0.x had it.
func (e *engines) UnmarshalJSON(text []byte) error {
	var fields struct {
		Node loose[string] `json:"node"`
		NPM  loose[string] `json:"npm"`
	}
	if json.Unmarshal(text, &fields) == nil {
		e.Node, e.NPM = strings.TrimSpace(fields.Node.value), strings.TrimSpace(fields.NPM.value)
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

func readManifest(src *source.Tree) (manifest, error) {
	var pkg manifest
	text, err := src.Read(Manifest, maxManifest)
	if err != nil {
		return pkg, err
	}
	return pkg, source.Decode(Manifest, text, &pkg)
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

func (m manifest) needsNothing() bool {
	empty := func(deps map[string]string) bool { return len(deps) == 0 }
	return !slices.ContainsFunc(m.dependencies(), func(d map[string]string) bool { return !empty(d) }) && !m.hasWorkspaces()
}

func (m manifest) hasWorkspaces() bool {
	w := string(bytes.TrimSpace(m.Workspaces))
	return w != "" && w != "null" && w != "[]" && w != "{}"
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
	for _, prefix := range []string{"file:", "link:", "./", "../", "/", "~/"} {
		if strings.HasPrefix(spec, prefix) {
			return true
		}
	}
	return false
}
