// Package rust plans Rust apps: dependencies compiled into a layer of their own, programs in /app/bin, and an image
// without source, crates and compiler.
package rust

import (
	"strings"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	manifestFile = "Cargo.toml"
	lockFile     = "Cargo.lock"
	cargoHome    = "/cache/cargo"
	targetDir    = "target" // in /app; only in layers that the image leaves out
)

// Detect tells whether the tree says that it is a Rust app.
func Detect(src *source.Tree) bool { return src.Has(manifestFile) }

// Plan plans a crate or a workspace. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	w, err := readWorkspace(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := w.toolchain(src)
	if err != nil {
		return plan.Plan{}, err
	}
	assets, _, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, work: w, tool: tool, assets: assets}
	return b.plan()
}

// builder is all that was found out about an app.
type builder struct {
	src    *source.Tree
	work   workspace
	tool   plan.Toolchain
	assets node.Assets
}

func (b builder) plan() (plan.Plan, error) {
	if len(b.work.programs()) == 0 {
		return plan.Plan{}, platform.Errorf(platform.Failed, "Cargo.toml is there, but no program that could be built and run").
			WithHint("put main into src/main.rs")
	}
	p := plan.Plan{
		Builder:    plan.Rust,
		Detected:   manifestFile,
		Toolchains: append([]plan.Toolchain{b.tool}, b.assets.Toolchains...),
		Steps:      b.steps(),
		Env:        map[string]string{"ROCKET_ADDRESS": "0.0.0.0"},
		Path:       []string{"/app/bin"},
		Warnings:   b.warnings(),
	}
	if name := b.work.web(); name != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: start(b.src, name)}
	}
	return p, nil
}

// start gives Rocket its port, which it reads from no other variable (rocket.rs, "Configuration").
func start(src *source.Tree, name string) string {
	if text, err := src.Read(lockFile, maxText); err == nil && strings.Contains(string(text), "name = \"rocket\"\n") {
		return "ROCKET_PORT=$PORT bin/" + name
	}
	return "bin/" + name
}

func (b builder) warnings() []string {
	w := b.assets.Warnings
	if !b.src.Has(lockFile) {
		w = append(w, "There is no Cargo.lock, so versions may change from build to build. Run: cargo generate-lockfile && git add Cargo.lock.")
	}
	if b.src.HasDir(targetDir) {
		w = append(w, "target is committed and not used. Run: git rm -r --cached target.")
	}
	return w
}

// steps puts what changes least first. The image gets the layers of app and build only.
func (b builder) steps() []plan.Step {
	var steps []plan.Step
	if b.work.depends() && b.src.Has(lockFile) {
		steps = append(steps, b.dependencies())
	}
	steps = append(steps, b.assets.Before...)
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: append(b.code(), targetDir+"/")}
	if len(b.assets.Toolchains) > 0 {
		app.Except = append(app.Except, "node_modules/")
	}
	steps = append(append(steps, app), b.assets.After...)
	return append(steps, plan.Step{Name: "source", Files: b.code(), Except: []string{targetDir + "/"}, Build: true}, b.build())
}

// code is what only the compiler reads.
func (b builder) code() []string {
	code := []string{"*.rs", lockFile}
	if b.vendored() != "" {
		code = append(code, b.vendored()+"/")
	}
	return code
}

// vendored is the directory that crates were copied to, if cargo is told to take them from there.
func (b builder) vendored() string {
	if b.src.HasDir("vendor") && b.src.Has(configFile(b.src)) {
		return "vendor"
	}
	return ""
}

func configFile(src *source.Tree) string {
	file, _ := src.First(".cargo/config.toml", ".cargo/config")
	return file
}

// dependencies compiles the crates that the app uses, with empty programs and libraries in the place of its own:
// they are compiled again only when a manifest or the lock file changes.
func (b builder) dependencies() plan.Step {
	files := b.work.manifests()
	for _, name := range []string{lockFile, configFile(b.src), "rust-toolchain.toml", "rust-toolchain"} {
		if name != "" && b.src.Has(name) {
			files = append(files, b.src.Trail(name)...)
		}
	}
	if dir := b.vendored(); dir != "" {
		files = append(files, dir+"/")
	}
	return plan.Step{
		Name:  "dependencies",
		Files: files,
		Commands: []string{
			"for f in " + strings.Join(b.work.stubs(b.src), " ") + `; do mkdir -p "$(dirname "$f")"; echo 'fn main() {}' > "$f"; done`,
			"cargo fetch --locked",
			"cargo build --release --locked --offline || echo 'The dependencies are compiled together with the app.'",
			"rm -f " + strings.Join(b.work.stubs(b.src), " "),
		},
		Env:    b.env(),
		Caches: b.caches(),
		Tools:  true,
		Build:  true,
	}
}

// build compiles the app. Files get the time of now first: cargo compares times, and a file of an older layer
// would count as compiled.
func (b builder) build() plan.Step {
	locked := " --locked"
	if !b.src.Has(lockFile) {
		locked = ""
	}
	skip := "-path ./" + targetDir + " -prune"
	if dir := b.vendored(); dir != "" {
		skip += " -o -path ./" + dir + " -prune"
	}
	return plan.Step{
		Name:  "build",
		Files: []string{},
		Commands: []string{
			"find . " + skip + " -o -type f -exec touch -c {} +",
			"cargo build --release" + locked + " $CARGO_BUILD_FLAGS",
			"mkdir -p bin && find " + targetDir + "/release -maxdepth 1 -type f -executable ! -name '*.so' -exec cp -t bin {} +",
		},
		Env:    b.env(),
		Config: true,
		Caches: b.caches(),
		Tools:  true,
		Output: []string{"bin/"},
	}
}

func (b builder) env() map[string]string {
	return map[string]string{"CARGO_HOME": cargoHome, "CARGO_TARGET_DIR": "/app/" + targetDir, "CARGO_INCREMENTAL": "0", "CARGO_TERM_COLOR": "never"}
}

func (b builder) caches() []plan.Cache { return []plan.Cache{{ID: "cargo", Dir: cargoHome}} }
