package heroku

import "slices"

// makers are those whose buildpacks for languages ours take the place of.
func makers() []string {
	return []string{"", "heroku", "heroku-community", "heroku-buildpacks", "dokku", "gliderlabs", "paketo-buildpacks", "paketobuildpacks", "paketo-community", "paas"}
}

// ours is the builder of our own for a buildpack of those makers, or one of the few that everybody uses for a
// language that they have none for; empty otherwise.
func ours(org, repo string) string {
	if slices.Contains(makers(), org) {
		return languages()[repo]
	}
	return map[string]string{
		"hashnuke/elixir": "elixir", "gigalixir/elixir": "elixir", "gigalixir/phoenix-static": "nodejs", "gjaldon/phoenix-static": "nodejs",
		"emk/rust": "rust", "miyagawa/perl": "perl", "jincod/dotnetcore": "dotnet", "chibicode/deno": "deno", "jakeg/bun": "bun",
		"mars/create-react-app": "nodejs", "cloudfoundry/nodejs": "nodejs", "cloudfoundry/python": "python", "cloudfoundry/staticfile": "static",
	}[org+"/"+repo]
}

// languages are what buildpacks for languages are called, less the usual prefixes.
func languages() map[string]string {
	return map[string]string{
		"nodejs": "nodejs", "node": "nodejs", "nodejs-engine": "nodejs", "nodejs-npm-install": "nodejs", "nodejs-yarn": "nodejs", "nodejs-pnpm-install": "nodejs",
		"npm-install": "nodejs", "node-engine": "nodejs", "yarn": "nodejs", "web-servers": "static",
		"python": "python", "pip": "python", "poetry": "python", "pipenv": "python", "uv": "python", "python-poetry": "python",
		"ruby": "ruby", "go": "go", "golang": "go", "php": "php", "perl": "perl",
		"java": "java", "jvm": "java", "maven": "java", "gradle": "java", "scala": "scala", "clojure": "clojure", "kotlin": "java",
		"rust": "rust", "elixir": "elixir", "deno": "deno", "bun": "bun", "dotnet": "dotnet", "dotnet-core": "dotnet",
		"static": "static", "staticfile": "static",
	}
}

// spare tells whether what a buildpack does is done for every app here: the Procfile and the Aptfile are read,
// several buildpacks are composed, and the host's certificate authorities are trusted.
func spare(org, repo string) bool {
	names := []string{"procfile", "apt", "multi", "multi-buildpack", "ca-certificates", "null"}
	return slices.Contains(append(makers(), "ddollar"), org) && slices.Contains(names, repo)
}
