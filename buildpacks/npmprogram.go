package buildpacks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sys/cpu"

	"paas/buildpacks/plan"
	"paas/platform"
)

// npmProgram is a program that npm's registry has: a package manager, or a runtime as a package for this platform.
type npmProgram struct {
	name  string
	pkg   string            // whose versions count
	below string            // versions from here on are another program's; "" for all
	bins  map[string]string // name to path in the package; nil if its package.json has them
	fetch func(version string) (pkg string, bins map[string]string)
}

// npmPrograms are by the name that plans use. From version 12 on pnpm is a program for each platform.
func npmPrograms() map[string]npmProgram {
	return map[string]npmProgram{
		"yarn":       {name: "Yarn", pkg: "yarn", below: "2.0.0"},
		"yarn-berry": {name: "Yarn", pkg: "@yarnpkg/cli-dist"},
		"pnpm": {name: "pnpm", pkg: "pnpm", fetch: func(version string) (string, map[string]string) {
			if major(version) < 12 {
				return "pnpm", nil
			}
			return "@pnpm/exe.linux-x64", map[string]string{"pnpm": "pnpm", "pn": "pnpm"}
		}},
		"bun":  {name: "Bun", pkg: bunPackage(cpu.X86.HasAVX2), bins: map[string]string{"bun": "bin/bun", "bunx": "bin/bun"}},
		"deno": {name: "Deno", pkg: "@deno/linux-x64-glibc", bins: map[string]string{"deno": "deno"}},
	}
}

// bunPackage is the build for this processor: the usual one needs AVX2.
func bunPackage(avx2 bool) string {
	if avx2 {
		return "@oven/bun-linux-x64"
	}
	return "@oven/bun-linux-x64-baseline"
}

// program finds or makes the layer of such a program.
func (e *Engine) program(ctx context.Context, base string, p npmProgram, t plan.Toolchain, story *platform.Story) (made, error) {
	versions, err := e.resolve(ctx, base, p.pkg, t, story)
	if err != nil {
		return made{}, err
	}
	m, err := e.firstServed(ctx, t, versions, story, func(version string) (made, error) {
		return e.programLayer(ctx, base, p, plan.Toolchain{Name: t.Name, Version: version, From: t.From}, story)
	})
	return m, e.refusedAll(ctx, base, p.pkg, t, err, story)
}

func (e *Engine) programLayer(ctx context.Context, base string, p npmProgram, t plan.Toolchain, story *platform.Story) (made, error) {
	pkg, bins := p.pkg, p.bins
	if p.fetch != nil {
		pkg, bins = p.fetch(t.Version)
	}
	key := keyOf("npm program", pkg, t.Version, bins, 1)
	m := made{layer: key, version: t.Version, path: path.Join("/opt", t.Name, "bin")}
	return m, e.hostLayer(ctx, story, product{key, p.name + " " + t.Version}, func(dir string) error {
		story.Phase("Fetching %s %s, once on this host", p.name, t.Version)
		opt := filepath.Join(dir, "opt", t.Name)
		if err := e.unpack(ctx, base, pkg, t.Version, filepath.Join(opt, "package"), story); err != nil {
			return notServed(t, t.Version, err)
		}
		return linkPrograms(opt, bins)
	})
}

// linkPrograms makes opt/bin, whose names are the programs of opt/package.
func linkPrograms(opt string, bins map[string]string) (err error) {
	if bins == nil {
		if bins, err = packageBins(filepath.Join(opt, "package")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(opt, "bin"), 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(bins)) {
		file := path.Join("package", path.Join("/", bins[name]))
		if err := os.Chmod(filepath.Join(opt, file), 0o755); err != nil { //nolint:gosec // a program
			return err
		}
		if err := os.Symlink(path.Join("..", file), filepath.Join(opt, "bin", path.Base(name))); err != nil {
			return err
		}
	}
	return nil
}

// packageBins reads the programs that a package.json names (npm's documentation, "package.json": bin).
func packageBins(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "package.json")) //nolint:gosec // of a package whose digest was checked
	if err != nil {
		return nil, err
	}
	var doc struct {
		Bin map[string]string `json:"bin"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read the package's programs: %w", err)
	}
	if len(doc.Bin) == 0 {
		return nil, errors.New("the package names no programs")
	}
	return doc.Bin, nil
}

// usesNPM tells whether steps may fetch from npm's registry.
func (b *build) usesNPM() bool {
	return slices.ContainsFunc(b.plan.Toolchains, func(t plan.Toolchain) bool {
		_, program := npmPrograms()[t.Name]
		return program || t.Name == "node"
	})
}

// registryEnv tells the package managers where the machine's npm registry is, each in its own words. Yarn 1 reads npm's.
func registryEnv(registry string) map[string]string {
	return map[string]string{"npm_config_registry": registry, "NPM_CONFIG_REGISTRY": registry, "YARN_NPM_REGISTRY_SERVER": registry}
}

// pinned is the toolchain in the version that a config var asks for, if one does: NODE_VERSION and the like count
// more than what the tree says.
func pinned(t plan.Toolchain, config platform.Config) plan.Toolchain {
	name := map[string]string{
		"node": "NODE_VERSION", "npm": "NPM_VERSION", "yarn": "YARN_VERSION", "yarn-berry": "YARN_VERSION", "pnpm": "PNPM_VERSION",
		"bun": "BUN_VERSION", "deno": "DENO_VERSION",
	}[t.Name]
	if version := config[name]; name != "" && version != "" {
		t.Version, t.From = version, "config "+name
	}
	return t
}

// programName is how people call a toolchain that comes from npm, or "".
func programName(toolchain string) string {
	return cmp.Or(npmPrograms()[toolchain].name, map[string]string{"node": "Node.js"}[toolchain])
}
