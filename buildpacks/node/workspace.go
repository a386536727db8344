package node

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// member is a package of a workspace.
type member struct {
	dir string
	pkg manifest
}

// maxMembers bounds what is read of a tree to plan it.
const maxMembers = 500

// findMembers lists the packages of the app's workspace, by directory.
func findMembers(src *source.Tree, pkg manifest, m manager) ([]member, error) {
	patterns, err := workspacePatterns(src, pkg, m)
	if len(patterns) == 0 || err != nil {
		return nil, err
	}
	var list []member
	for _, f := range src.Files() {
		dir, ok := strings.CutSuffix(f.Path, "/"+Manifest)
		if !ok || strings.Contains("/"+f.Path, "/node_modules/") || !belongs(patterns, dir) || len(list) == maxMembers {
			continue
		}
		pkg, err := readManifest(src, f.Path)
		if err != nil {
			return nil, err
		}
		list = append(list, member{dir, pkg})
	}
	return list, nil
}

// IsMember tells whether the directory is a package of the workspace at the tree's root, and has no lockfile of its
// own. What cannot be read makes it none.
func IsMember(src *source.Tree, dir string) bool {
	for _, lock := range lockfiles {
		if src.Has(path.Join(dir, lock.file)) {
			return false
		}
	}
	if !src.Has(Manifest) {
		return false
	}
	pkg, err := readManifest(src, Manifest)
	if err != nil {
		return false
	}
	m, err := chooseManager(src, pkg)
	if err != nil {
		return false
	}
	members, err := findMembers(src, pkg, m)
	return err == nil && slices.ContainsFunc(members, func(m member) bool { return m.dir == dir })
}

// workspacePatterns are the globs that name a workspace's directories: pnpm has them in a file of its own.
func workspacePatterns(src *source.Tree, pkg manifest, m manager) ([]string, error) {
	if m.Name == pnpm {
		text, err := optional(src, pnpmWorkspace, maxNpmrc)
		return yamlList(string(text), "packages"), err
	}
	var list []string
	if json.Unmarshal(pkg.Workspaces, &list) == nil {
		return list, nil
	}
	var object struct {
		Packages loose[[]string] `json:"packages"`
	}
	_ = json.Unmarshal(pkg.Workspaces, &object) // nonsense counts as missing
	return object.Packages.value, nil
}

// yamlList is a top-level list of scalars, in either of YAML's two notations.
func yamlList(text, name string) (list []string) {
	_, rest, ok := strings.Cut("\n"+text, "\n"+name+":")
	if !ok {
		return nil
	}
	first, rest, _ := strings.Cut(rest, "\n")
	if inline := strings.TrimSpace(first); strings.HasPrefix(inline, "[") {
		for item := range strings.SplitSeq(strings.Trim(inline, "[]"), ",") {
			list = append(list, unquoted(item))
		}
		return list
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		item, ok := strings.CutPrefix(line, "- ")
		if !ok && line != "" && !strings.HasPrefix(line, "#") {
			break
		}
		if ok {
			list = append(list, unquoted(item))
		}
	}
	return list
}

var comment = regexp.MustCompile(`\s#.*$`)

func unquoted(item string) string {
	return strings.Trim(strings.TrimSpace(comment.ReplaceAllString(item, "")), `"'`)
}

// belongs tells whether a directory is one of the workspace's: a pattern that starts with "!" takes away.
func belongs(patterns []string, dir string) bool {
	in := false
	for _, p := range patterns {
		glob, not := strings.CutPrefix(p, "!")
		if matchGlob(glob, dir) {
			in = !not
		}
	}
	return in
}

// matchGlob knows *, ? and **, and matches element by element.
func matchGlob(glob, dir string) bool {
	glob = strings.TrimSuffix(strings.TrimPrefix(glob, "./"), "/")
	return matchParts(strings.Split(glob, "/"), strings.Split(dir, "/"))
}

func matchParts(glob, dir []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			return slices.ContainsFunc(suffixes(dir), func(rest []string) bool { return matchParts(glob[1:], rest) })
		}
		if len(dir) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], dir[0]); err != nil || !ok {
			return false
		}
		glob, dir = glob[1:], dir[1:]
	}
	return len(dir) == 0
}

func suffixes(parts []string) (list [][]string) {
	for i := range len(parts) + 1 {
		list = append(list, parts[i:])
	}
	return list
}

// needed lists the members that the one in dir depends on, and itself, each after what it needs; "." stands for all.
func needed(members []member, dir string) []member {
	byName := map[string]member{}
	for _, m := range members {
		byName[m.pkg.Name.value] = m
	}
	var order []member
	seen := map[string]bool{}
	var visit func(m member)
	visit = func(m member) {
		if seen[m.dir] {
			return
		}
		seen[m.dir] = true
		for _, name := range m.pkg.dependencyNames() {
			if other, ok := byName[name]; ok {
				visit(other)
			}
		}
		order = append(order, m)
	}
	for _, m := range members {
		if dir == "." || m.dir == dir {
			visit(m)
		}
	}
	return order
}

// candidates are the members that could be the app: those of the surest kind that there is. One with a start script
// is surer than one with a framework's server, and that than one with pages.
func candidates(src *source.Tree, members []member) []member {
	for _, is := range []func(member) bool{
		func(m member) bool { return m.pkg.hasScript("start") && !m.watches(src) },
		func(m member) bool { return m.shape(src).start != "" },
		func(m member) bool { return m.shape(src).site.Dir != "" },
	} {
		if found := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return !is(m) }); len(found) > 0 {
			return found
		}
	}
	return nil
}
