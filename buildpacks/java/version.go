package java

import (
	"regexp"
	"strings"

	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

// wish is the Java that an app asks for.
type wish struct {
	version string // "21", "21.0.3" or ">=17"; "" for the default
	from    string
	warning string
}

// number of a version: its first part, or the second of the old "1.8".
var numbers = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// version reads, the first one winning: system.properties, as Heroku has it, .java-version, .tool-versions and
// .sdkmanrc, which name a version to have, and then the build file, which names the least one to do.
func version(src *source.Tree) (wish, error) {
	for _, read := range []func(*source.Tree) (wish, error){fromProperties, fromLine, fromTools, fromSdkman, fromBuild} {
		w, err := read(src)
		if err != nil {
			return w, err
		}
		if w.version != "" {
			return normal(w)
		}
	}
	return wish{warning: "No Java version is asked for; the default one here is taken. Pin it: echo java.runtime.version=21 > system.properties."}, nil
}

func fromProperties(src *source.Tree) (wish, error) {
	text, err := versionfile.Property(src, "system.properties", "java.runtime.version")
	return wish{version: text, from: "system.properties"}, err
}

func fromLine(src *source.Tree) (wish, error) {
	text, err := versionfile.Line(src, ".java-version")
	return wish{version: text, from: ".java-version"}, err
}

func fromTools(src *source.Tree) (wish, error) {
	text, err := versionfile.Tool(src, "java")
	return wish{version: text, from: versionfile.Tools}, err
}

func fromSdkman(src *source.Tree) (wish, error) {
	text, err := versionfile.Property(src, ".sdkmanrc", "java")
	return wish{version: text, from: ".sdkmanrc"}, err
}

// vendor is what tools write before or behind a version: "temurin-21.0.3+9.0.LTS", "21.0.3-tem", "openjdk21".
var vendor = regexp.MustCompile(`^(?:[a-z_-]+-)?(?:openjdk|zulu|heroku|java|jdk)?-?([0-9]+(?:\.[0-9]+)*)`)

// normal is the wish in numbers: 1.8 is 8, and vendors are all the same to us.
func normal(w wish) (wish, error) {
	text := strings.TrimPrefix(w.version, ">=")
	least := text != w.version
	m := vendor.FindStringSubmatch(strings.ToLower(strings.Trim(text, `"' `)))
	if m == nil || !numbers.MatchString(m[1]) {
		return w, platform.Errorf(platform.Failed, "%s asks for Java %.40q, which is not a version", w.from, w.version).
			WithHint("write the number only, such as 21")
	}
	w.version = strings.TrimPrefix(m[1], "1.")
	if least {
		w.version = ">=" + w.version
	}
	return w, nil
}

// fromBuild takes what the build file compiles for: newer compilers do it too.
func fromBuild(src *source.Tree) (wish, error) {
	if src.Has(pom) {
		return fromPom(src)
	}
	return fromGradle(src)
}

// least is any version that is not older.
func least(version, from string) wish {
	if version == "" {
		return wish{}
	}
	return wish{version: ">=" + version, from: from}
}
