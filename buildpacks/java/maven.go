package java

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const mavenCache = "/cache/maven"

// maven plans what Heroku does: goals and options can be set by config vars.
func (b builder) maven() (plan.Plan, error) {
	p := b.base(pom, "maven")
	build := plan.Step{
		Name:     "build",
		Files:    []string{},
		Commands: []string{"mvn -B -ntp ${MAVEN_SETTINGS_PATH:+-s $MAVEN_SETTINGS_PATH} ${MAVEN_CUSTOM_OPTS:--DskipTests} ${MAVEN_CUSTOM_GOALS:-clean package}"},
		Env:      map[string]string{"MAVEN_USER_HOME": mavenCache},
		Config:   true,
		Caches:   []plan.Cache{{ID: "maven", Dir: mavenCache}},
	}
	return b.started(p, build), nil
}

// started adds a web process that starts what the build made, unless the app says itself how to start: then all
// that the build made stays, for nobody knows what of it the command reads.
func (b builder) started(p plan.Plan, build plan.Step) plan.Plan {
	if !b.hasWeb() {
		build.Commands = append(build.Commands, "java-start")
		build.Output = []string{".java/", "*.jar", "*.war"}
		p.Processes = map[platform.ProcessType]string{platform.Web: ".java/start"}
	}
	return b.built(p, build)
}

// project is what matters of a pom.xml (maven.apache.org/pom.html).
type project struct {
	Properties struct {
		List []property `xml:",any"`
	} `xml:"properties"`
	Plugins []struct {
		ArtifactID string `xml:"artifactId"`
		Release    string `xml:"configuration>release"`
		Target     string `xml:"configuration>target"`
		Source     string `xml:"configuration>source"`
	} `xml:"build>plugins>plugin"`
}

type property struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// fromPom reads what the compiler plugin is told to compile for. Properties of a parent that is not in the tree
// are not known.
func fromPom(src *source.Tree) (wish, error) {
	text, err := src.Read(pom, maxText)
	if err != nil {
		return wish{}, err
	}
	var doc project
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.CharsetReader = latin1
	if err := decoder.Decode(&doc); err != nil {
		return wish{}, platform.Errorf(platform.Failed, "pom.xml cannot be read").Because(err).
			WithHint("mvn validate says what is wrong with it")
	}
	return doc.least(), nil
}

func (p project) least() wish {
	for _, name := range []string{"maven.compiler.release", "java.version", "maven.compiler.target", "maven.compiler.source"} {
		if v := p.value(name); numbers.MatchString(v) {
			return least(v, "pom.xml "+name)
		}
	}
	for _, plugin := range p.Plugins {
		if plugin.ArtifactID != "maven-compiler-plugin" {
			continue
		}
		for _, v := range []string{plugin.Release, plugin.Target, plugin.Source} {
			if v = p.expand(v); numbers.MatchString(v) {
				return least(v, "pom.xml maven-compiler-plugin")
			}
		}
	}
	return wish{}
}

func (p project) value(name string) string {
	for _, property := range p.Properties.List {
		if property.XMLName.Local == name {
			return p.expand(property.Value)
		}
	}
	return ""
}

var reference = regexp.MustCompile(`^\$\{([A-Za-z0-9._-]+)\}$`)

// expand follows one reference: compiler settings often name a property of the project's own.
func (p project) expand(text string) string {
	text = strings.TrimSpace(text)
	m := reference.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	for _, property := range p.Properties.List {
		if property.XMLName.Local == m[1] {
			return strings.TrimSpace(property.Value)
		}
	}
	return ""
}
