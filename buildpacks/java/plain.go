package java

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// loneJar is the one jar at the top of the tree, or "".
func loneJar(src *source.Tree) string {
	var jars []string
	for _, f := range src.Files() {
		if !strings.Contains(f.Path, "/") && strings.HasSuffix(f.Path, ".jar") && safe.MatchString(f.Path) {
			jars = append(jars, f.Path)
		}
	}
	if len(jars) != 1 {
		return ""
	}
	return jars[0]
}

var safe = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*$`)

// jar plans a jar that was built elsewhere.
func (b builder) jar(file string) plan.Plan {
	p := b.base(file, "")
	p.Steps = []plan.Step{{Name: "app", Files: []string{"/"}}}
	p.Processes = map[platform.ProcessType]string{platform.Web: "java -Dserver.port=$PORT $JAVA_OPTS -jar " + file}
	return p
}

var mainClass = regexp.MustCompile(`(?m)^Main-Class:\s*([A-Za-z_$][\w.$]*)\s*$`)

// exploded plans a jar that was unpacked: its manifest says where it starts.
func (b builder) exploded() (plan.Plan, error) {
	text, err := b.src.Read(manifest, maxText)
	if err != nil {
		return plan.Plan{}, err
	}
	p := b.base(manifest, "")
	p.Steps = []plan.Step{{Name: "app", Files: []string{"/"}}}
	if m := mainClass.FindStringSubmatch(strings.ReplaceAll(string(text), "\r", "")); m != nil {
		p.Processes = map[platform.ProcessType]string{platform.Web: "java -Dserver.port=$PORT $JAVA_OPTS -cp . " + strings.ReplaceAll(m[1], "$", `\$`)}
	}
	return p, nil
}

// loneSource is a Java source at the top of the tree, or below src.
func loneSource(src *source.Tree) string {
	sources := javaSources(src)
	if i := slices.IndexFunc(sources, func(f string) bool { return !strings.Contains(f, "/") }); i >= 0 {
		return sources[i]
	}
	if len(sources) > 0 && strings.HasPrefix(sources[0], "src/") {
		return sources[0]
	}
	return ""
}

func javaSources(src *source.Tree) (files []string) {
	for _, f := range src.Files() {
		if strings.HasSuffix(f.Path, ".java") && !strings.HasPrefix(f.Path, "src/test/") && src.Has(f.Path) {
			files = append(files, f.Path)
		}
	}
	return files
}

// javac plans sources without a build file: compiled together, with the jars of lib.
func (b builder) javac() (plan.Plan, error) {
	main, err := findMain(b.src)
	if err != nil {
		return plan.Plan{}, err
	}
	p := b.base(loneSource(b.src), "jdk")
	p.Env["CLASSPATH"] = "/app/" + classes + ":/app/lib/*"
	if main != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: "java $JAVA_OPTS " + main}
	}
	return b.built(p, plan.Step{
		Name:  "build",
		Files: []string{},
		Commands: []string{
			`find . -name '*.java' ! -path './src/test/*' > /tmp/sources && javac -encoding UTF-8 -cp 'lib/*' -d ` + classes + " @/tmp/sources",
			"if [ -d src/main/resources ]; then cp -R src/main/resources/. " + classes + "; fi",
		},
		Output: []string{classes + "/"},
	}), nil
}

var (
	packageLine = regexp.MustCompile(`(?m)^\s*package\s+([A-Za-z_][\w.]*)\s*;`)
	mainMethod  = regexp.MustCompile(`\bstatic\s+(?:final\s+)?void\s+main\s*\(`)
)

// findMain is the class with a main method: the only one, or the one with a name that people give it.
func findMain(src *source.Tree) (string, error) {
	const most = 500
	mains := map[string]string{} // class without its package -> with it
	sources := javaSources(src)
	for _, file := range sources[:min(most, len(sources))] {
		text, err := src.Head(file, maxText)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if name := strings.TrimSuffix(path.Base(file), ".java"); mainMethod.Match(text) && safe.MatchString(name) {
			mains[name] = name
			if m := packageLine.FindSubmatch(text); m != nil {
				mains[name] = string(m[1]) + "." + name
			}
		}
	}
	if len(mains) == 1 {
		for _, class := range mains {
			return class, nil
		}
	}
	for _, name := range []string{"Main", "App", "Application", "Server", "Web"} {
		if mains[name] != "" {
			return mains[name], nil
		}
	}
	return "", nil
}
