package buildpacks

import (
	"path"
	"strings"

	"paas/buildpacks/python"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	supported = "supported are Node.js (package.json), Python (requirements.txt, uv.lock, poetry.lock), Ruby (Gemfile), PHP (composer.json, index.php), " +
		"Go (go.mod), Java (pom.xml, build.gradle), Rust (Cargo.toml), Elixir (mix.exs), Perl (cpanfile), C and C++ (CMakeLists.txt), static sites (index.html), " +
		"Dockerfiles, and programs that bring what they need (Procfile)"
)

// unsupportedLanguage is an error when the tree has the main file of a language that no buildpack knows.
func unsupportedLanguage(tree *source.Tree) error {
	for _, l := range []struct{ file, name string }{
		{"build.sbt", "Scala"}, {"project.clj", "Clojure"}, {"Package.swift", "Swift"},
	} {
		if tree.Has(l.file) {
			return platform.Errorf(platform.Failed, "this looks like a %s app (%s), which is not supported yet", l.name, l.file).
				WithHint("%s", supported)
		}
	}
	return nil
}

// nothingFound says what was looked for, and what nearly was it.
func nothingFound(tree *source.Tree) error {
	if len(tree.Files()) == 0 {
		return platform.Errorf(platform.Failed, "the commit has no files").WithHint("add the app: git add . && git commit")
	}
	e := platform.Errorf(platform.Failed, "no app was found: there is no package.json, requirements.txt, go.mod, index.html or Procfile at the top of the repository")
	if file, ok := python.Misspelt(tree); ok {
		return e.WithHint("there is a %s: Python's file is called requirements.txt", file)
	}
	if file := nearly(tree); file != "" {
		return e.WithHint("there is %q: the name must be exact, and the app at the top of the repository", file)
	}
	return e.WithHint("%s", supported)
}

// nearly is the first file one directory down, or of another case, that would have told what the app is.
func nearly(tree *source.Tree) string {
	for _, f := range tree.Files() {
		if strings.Count(f.Path, "/") > 1 {
			continue
		}
		switch strings.ToLower(path.Base(f.Path)) {
		case "package.json", "requirements.txt", "go.mod", "index.html", "procfile":
			return f.Path
		}
	}
	return ""
}
