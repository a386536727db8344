// Package plan is what a buildpack makes of a source tree: a value that can be printed, compared and run.
package plan

import "paas/platform"

// Plan is how to build and run one app. Its JSON form is what `paas build:plan` prints.
// The layers of the image are, bottom first: base, packages, one per toolchain, one per step.
type Plan struct {
	Builder    string      `json:"builder"`              // "nodejs", "go", "python", "static"
	Detected   string      `json:"detected"`             // the file that decided, "package.json"
	Toolchains []Toolchain `json:"toolchains,omitempty"` // bottom first
	Packages   []string    `json:"packages,omitempty"`   // Debian packages the running app needs, sorted
	Steps      []Step      `json:"steps"`

	Dockerfile string `json:"dockerfile,omitempty"` // its path, if the builder is "dockerfile": then there are no steps

	BuilderImage string            `json:"builder_image,omitempty"` // of Cloud Native Buildpacks, if the builder is "pack": then there are no steps
	BuildEnv     map[string]string `json:"build_env,omitempty"`     // of its build

	Processes map[platform.ProcessType]string           `json:"processes"`
	Env       map[string]string                         `json:"env,omitempty"`  // of running processes
	Path      []string                                  `json:"path,omitempty"` // put before PATH, for steps and processes
	Checks    map[platform.ProcessType][]platform.Check `json:"checks,omitempty"`
	Formation map[platform.ProcessType]int              `json:"formation,omitempty"`
	Parallel  map[platform.ProcessType]int              `json:"max_parallel,omitempty"`
	Declared  map[string]platform.EnvVar                `json:"declared,omitempty"`
	Cron      []platform.CronJob                        `json:"cron,omitempty"`
	Scripts   platform.Scripts                          `json:"scripts,omitzero"`
	Warnings  []string                                  `json:"warnings,omitempty"` // told to the pusher
	Notes     []string                                  `json:"notes,omitempty"`    // told to the pusher, too, and nothing to mend

	Dir        string      `json:"dir,omitempty"`        // of the repository that the app is; empty: all of it
	WorkDir    string      `json:"work_dir,omitempty"`   // of processes, below /app; empty: /app
	Profile    bool        `json:"profile,omitempty"`    // .profile.d/*.sh and .profile are sourced before each process
	Buildpacks []Buildpack `json:"buildpacks,omitempty"` // from git repositories, in the order in which they run
	Release    int         `json:"release,omitempty"`    // which of them names process types (from 1); 0: none does
}

// Buildpack is a Heroku-style buildpack in a git repository.
type Buildpack struct {
	URL string `json:"url"`
	Ref string `json:"ref,omitempty"` // branch, tag or full commit id; empty: the repository's HEAD
}

// Name is the buildpack as people write it.
func (b Buildpack) Name() string {
	if b.Ref == "" {
		return b.URL
	}
	return b.URL + "#" + b.Ref
}

// Toolchain is a language's compiler or interpreter. Version is a constraint in the language's own
// notation as the app wrote it ("22.x", ">=20 <23", "1.24", "" for the newest stable); the engine resolves it.
type Toolchain struct {
	Name    string `json:"name"` // "node", "npm", "go", "python", "static"
	Version string `json:"version,omitempty"`
	From    string `json:"from,omitempty"`  // where the version was read, "package.json engines.node"
	Build   bool   `json:"build,omitempty"` // needed by steps only, not by the running app
	// With are Debian packages that extend the toolchain, such as PHP's extensions: one layer has all of them.
	With []string `json:"with,omitempty"`
}

// Step makes one layer.
type Step struct {
	Name string `json:"name"` // "dependencies", "app", "build"
	// Files are the source paths the step sees in /app beside what earlier steps left there: exact paths,
	// or a directory with a trailing slash for everything below it, or "/" for the whole tree. The step
	// runs again only when one of them (or what is below it) changed. A step without commands only
	// puts the files there. "*.go" is every file whose name ends so, in any directory.
	Files []string `json:"files"`
	// Except takes files away from Files, in the same notation.
	Except   []string `json:"except,omitempty"`
	Commands []string `json:"commands,omitempty"` // shell lines, run in order by `bash -e` in /app
	// Made are files that the plan brings itself, by path below /app: they lie there when the commands start.
	Made   map[string]string `json:"made,omitempty"`
	Env    map[string]string `json:"env,omitempty"`
	Config bool              `json:"config,omitempty"` // the app's config vars are in the environment, and in the key
	Caches []Cache           `json:"caches,omitempty"`
	Tools  bool              `json:"tools,omitempty"` // needs compilers and headers: the build stack is mounted below
	// Build says that later steps need the layer and the image does not: it is left out of the image.
	Build bool `json:"build,omitempty"`
	// Output names what the image needs of all that the commands write, relative to /app and in the
	// notation of Files; the rest of the layer may be dropped. Empty means everything.
	Output []string `json:"output,omitempty"`
	// Buildpack is which of the plan's buildpacks the step runs, from 1.
	Buildpack int `json:"buildpack,omitempty"`
	// EnvDir is where the app's config vars lie, one file each, instead of in the environment.
	EnvDir string `json:"env_dir,omitempty"`
}

// IsSource tells whether the step does nothing but put source files there.
func (s Step) IsSource() bool { return len(s.Commands) == 0 }

// Cache is a directory that outlives the step, one per app and id. Never part of a layer.
type Cache struct {
	ID  string `json:"id"`  // "npm"
	Dir string `json:"dir"` // absolute path in the container
}
