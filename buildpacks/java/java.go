// Package java plans Java apps: built by Maven, by Gradle or by javac alone, or a jar that was committed. The
// image has the Java runtime and no compiler.
package java

import (
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	maxText  = 2 << 20
	pom      = "pom.xml"
	manifest = "META-INF/MANIFEST.MF"
	classes  = ".java/classes"
)

// options size the JVM by the container: a heap of three fifths of its memory leaves room for classes, threads and
// code. An app that has used up its heap ends, and is started anew.
const options = "-XX:MaxRAMPercentage=60 -Xss512k -XX:+ExitOnOutOfMemoryError"

// Detect tells whether the tree says that it is a Java app.
func Detect(src *source.Tree) bool {
	_, ok := src.First(append([]string{pom, manifest}, gradleFiles()...)...)
	return ok || loneJar(src) != ""
}

// Lone tells whether there is a Java source at the top and nothing that says how to build it.
func Lone(src *source.Tree) bool { return loneSource(src) != "" }

func gradleFiles() []string {
	return []string{"build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"}
}

// Plan plans an app that Detect or Lone knows. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	commands, err := readProcfile(src)
	if err != nil {
		return plan.Plan{}, err
	}
	wish, err := version(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, wish: wish, procfile: commands}
	switch file, _ := src.First(append([]string{pom}, gradleFiles()...)...); {
	case file == pom:
		return b.maven()
	case file != "":
		return b.gradle(file)
	case src.Has(manifest):
		return b.exploded()
	case loneJar(src) != "":
		return b.jar(loneJar(src)), nil
	}
	return b.javac()
}

// readProcfile returns the commands of all process types, and whether there is one for web.
func readProcfile(src *source.Tree) (map[platform.ProcessType]string, error) {
	if !src.Has(procfile.Name) {
		return nil, nil
	}
	text, err := src.Read(procfile.Name, procfile.MaxSize)
	if err != nil {
		return nil, err
	}
	return procfile.Parse(text)
}

// builder is what was found out about an app, whatever builds it.
type builder struct {
	src      *source.Tree
	wish     wish
	procfile map[platform.ProcessType]string
}

func (b builder) hasWeb() bool { return b.procfile[platform.Web] != "" }

// base is a plan that runs on the Java runtime and is built by a tool, if any.
func (b builder) base(detected, tool string) plan.Plan {
	p := plan.Plan{Builder: plan.Java, Detected: detected, Env: map[string]string{"JAVA_TOOL_OPTIONS": options}}
	p.Toolchains = []plan.Toolchain{b.toolchain("jre", false)}
	switch {
	case b.compilesAtStart():
		p.Toolchains = []plan.Toolchain{b.toolchain("jdk", false)}
	case b.anyCommand("mvn ", "mvnw"):
		p.Toolchains = []plan.Toolchain{b.toolchain("maven", false)}
	}
	if tool != "" && p.Toolchains[0].Name != tool {
		p.Toolchains = append(p.Toolchains, b.toolchain(tool, true))
	}
	if b.wish.warning != "" {
		p.Warnings = append(p.Warnings, b.wish.warning)
	}
	return p
}

func (b builder) toolchain(name string, build bool) plan.Toolchain {
	return plan.Toolchain{Name: name, Version: b.wish.version, From: b.wish.from, Build: build}
}

// compilesAtStart tells whether a process runs a source file, as "java Main.java" does.
func (b builder) compilesAtStart() bool { return b.anyCommand(".java", "javac ", "jshell ") }

func (b builder) anyCommand(parts ...string) bool {
	for _, command := range b.procfile {
		for _, part := range parts {
			if strings.Contains(command, part) {
				return true
			}
		}
	}
	return false
}

// built is a plan with a step of source that only the build needs, and one that builds.
func (b builder) built(p plan.Plan, build plan.Step) plan.Plan {
	code := []string{"*.java", "*.kt", "*.groovy", "*.scala", "src/test/"}
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: append(code, "target/", "build/libs/", ".gradle/")}
	if b.compilesAtStart() {
		app.Except = app.Except[len(code):]
		p.Steps = []plan.Step{app, build}
		return p
	}
	p.Steps = []plan.Step{app, {Name: "source", Files: code, Except: []string{"target/"}, Build: true}, build}
	return p
}
