package plan

import (
	"cmp"
	"fmt"
)

// The builders, as Plan.Builder names them.
const (
	Node     = "nodejs"
	Go       = "go"
	Python   = "python"
	Ruby     = "ruby"
	PHP      = "php"
	Perl     = "perl"
	Java     = "java"
	Rust     = "rust"
	Elixir   = "elixir"
	DotNet   = "dotnet"
	CPP      = "cpp"
	Shell    = "shell"
	Static   = "static"
	Bun      = "bun"
	Deno     = "deno"
	Procfile = "procfile"

	Buildpacks = "buildpacks" // those of git repositories
	Pack       = "pack"       // Cloud Native Buildpacks
	Dockerfile = "dockerfile"
)

// Title is the line that tells a pusher what was found: "Node.js app detected (package.json)".
func (p Plan) Title() string {
	return fmt.Sprintf("%s app detected (%s)", p.Language(), p.Detected)
}

// Language is the builder as people write it.
func (p Plan) Language() string {
	names := map[string]string{
		Node: "Node.js", Go: "Go", Python: "Python", Ruby: "Ruby", PHP: "PHP", Perl: "Perl", Static: "Static", Procfile: "Procfile",
		Java: "Java", Rust: "Rust", Elixir: "Elixir", DotNet: ".NET", CPP: "C/C++", Shell: "Shell", Bun: "Bun", Deno: "Deno",
		Dockerfile: "Dockerfile", Buildpacks: "Buildpack", Pack: "Cloud Native Buildpacks",
	}
	return cmp.Or(names[p.Builder], p.Builder)
}
