package node

import (
	"encoding/json"
	"path"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// IsMember tells whether the directory is a package of the workspace at the tree's root: it has a package.json
// and no lockfile of its own, and the root's workspaces name it (npm's documentation, "workspaces"; pnpm has
// them in a file of its own, which is not looked into).
func IsMember(src *source.Tree, dir string) bool {
	if !src.Has(Manifest) || !src.Has(path.Join(dir, Manifest)) {
		return false
	}
	for _, lock := range []string{"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"} {
		if src.Has(path.Join(dir, lock)) {
			return false
		}
	}
	if src.Has("pnpm-workspace.yaml") {
		return true
	}
	text, err := src.Read(Manifest, maxLockfile)
	if err != nil {
		return false
	}
	for _, pattern := range workspaces(text) {
		if ok, err := path.Match(path.Clean(pattern), dir); ok && err == nil {
			return true
		}
		if prefix, ok := strings.CutSuffix(pattern, "/**"); ok && strings.HasPrefix(dir, path.Clean(prefix)+"/") {
			return true
		}
	}
	return false
}

// workspaces are a list, or yarn's object with one.
func workspaces(manifest []byte) []string {
	var root struct {
		Workspaces json.RawMessage `json:"workspaces"`
	}
	if json.Unmarshal(manifest, &root) != nil {
		return nil
	}
	var list []string
	if json.Unmarshal(root.Workspaces, &list) == nil {
		return list
	}
	var object struct {
		Packages []string `json:"packages"`
	}
	_ = json.Unmarshal(root.Workspaces, &object) // something else names none
	return object.Packages
}

// planPart plans one package of a workspace: everything is installed at the root, and the package's own
// scripts build and start it in its directory.
func planPart(src *source.Tree, root manifest, in install, p plan.Plan) (plan.Plan, error) {
	own := src.OfPart()
	pkg, err := readManifest(own)
	if err != nil {
		return p, err
	}
	builds := pkg.buildScript() != ""
	in.dev, in.whole = in.dev || builds, true
	p.Detected = path.Join(src.Part(), Manifest)
	p.WorkDir, p.Env, p.Warnings = src.Part(), pkg.env(), warnings(src, p.Toolchains[0], in)
	p.Path = []string{path.Join("/app", p.WorkDir, "node_modules/.bin"), "/app/node_modules/.bin"}
	if command := start(own, pkg); command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: command}
	}
	install := in.step(root)
	p.Steps = []plan.Step{app(in), install}
	if !builds {
		return p, nil
	}
	p.Steps[1].Commands = []string{in.command()} // what only builds need goes after the build
	p.Steps = append(p.Steps, plan.Step{
		Name: "build", Files: []string{}, Env: in.env(), Config: true, Caches: caches(),
		Commands: append([]string{"npm run " + pkg.buildScript() + " --workspace " + quote(p.WorkDir)}, in.prune(root)...),
	})
	return p, nil
}
