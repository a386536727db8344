package java

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func pomWith(properties string) string {
	return "<project><properties>" + properties + "</properties></project>"
}

func TestVersions(t *testing.T) {
	cases := []struct {
		name, want, from string
		files            map[string]string
	}{
		{"nothing", "", "", map[string]string{"pom.xml": pomWith("")}},
		{"heroku", "21", "system.properties", map[string]string{"pom.xml": pomWith("<java.version>17</java.version>"), "system.properties": "# x\njava.runtime.version = 21\n"}},
		{"old number", "8", "system.properties", map[string]string{"pom.xml": pomWith(""), "system.properties": "java.runtime.version=1.8\n"}},
		{"java-version", "21.0.3", ".java-version", map[string]string{"pom.xml": pomWith(""), ".java-version": "temurin-21.0.3+9.0.LTS\n"}},
		{"tools", "21", ".tool-versions", map[string]string{"pom.xml": pomWith(""), ".tool-versions": "java openjdk-21\n"}},
		{"sdkman", "25.0.1", ".sdkmanrc", map[string]string{"pom.xml": pomWith(""), ".sdkmanrc": "java=25.0.1-tem\n"}},
		{"release", ">=17", "pom.xml maven.compiler.release", map[string]string{"pom.xml": pomWith("<maven.compiler.release>17</maven.compiler.release>")}},
		{"reference", ">=17", "pom.xml maven.compiler.source", map[string]string{"pom.xml": pomWith("<v>17</v><maven.compiler.source>${v}</maven.compiler.source>")}},
		{"itself", "", "", map[string]string{"pom.xml": pomWith("<java.version>${java.version}</java.version>")}},
		{"plugin", ">=11", "pom.xml maven-compiler-plugin", map[string]string{"pom.xml": "<project><build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><configuration><release>11</release></configuration></plugin></plugins></build></project>"}},
		{"gradle toolchain", ">=21", "build.gradle", map[string]string{"build.gradle": "java { toolchain { languageVersion = JavaLanguageVersion.of(21) } }"}},
		{"gradle constant", ">=8", "build.gradle", map[string]string{"build.gradle": "sourceCompatibility = JavaVersion.VERSION_1_8"}},
	}
	for _, c := range cases {
		p := planned(t, c.files)
		if tool := p.Toolchains[0]; tool.Name != "jre" || tool.Build || tool.Version != c.want || tool.From != c.from {
			t.Errorf("%s: %+v", c.name, tool)
		}
		if warned := len(p.Warnings) > 0; warned != (c.want == "") {
			t.Errorf("%s: warnings %q", c.name, p.Warnings)
		}
	}
}

func TestGradleTask(t *testing.T) {
	for text, want := range map[string]string{
		"task stage(dependsOn: ['build'])":                        "stage",
		`tasks.register("stage") { }`:                             "stage",
		"plugins { id 'org.springframework.boot' version '3.4' }": "bootJar",
		"plugins { id('com.gradleup.shadow') }":                   "shadowJar",
		"plugins { id 'application' }":                            "installDist",
		"plugins {\n    application\n}":                           "installDist",
		"apply plugin: 'application'":                             "installDist",
		"plugins { id 'java' }":                                   "build -x test",
	} {
		if got := gradleTask(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestWithoutBuildFile(t *testing.T) {
	const main = "public class X {\n  public static void main(String[] a) {}\n}"
	cases := []struct {
		name, web string
		files     map[string]string
	}{
		{"jar", "java -Dserver.port=$PORT $JAVA_OPTS -jar app.jar", map[string]string{"app.jar": "PK"}},
		{"exploded", "java -Dserver.port=$PORT $JAVA_OPTS -cp . org.example.Launcher", map[string]string{manifest: "Manifest-Version: 1.0\r\nMain-Class: org.example.Launcher\r\n"}},
		{"one class", "java $JAVA_OPTS a.b.Hi", map[string]string{"src/a/b/Hi.java": "package a.b;\n" + main}},
		{"Main of two", "java $JAVA_OPTS Main", map[string]string{"Main.java": main, "Other.java": main}},
		{"two", "", map[string]string{"A.java": main, "B.java": main}},
	}
	for _, c := range cases {
		src := treetest.Opened(t, c.files)
		if !Detect(src) && !Lone(src) {
			t.Errorf("%s: not detected", c.name)
		}
		if p := planned(t, c.files); p.Processes[platform.Web] != c.web {
			t.Errorf("%s: %q", c.name, p.Processes)
		}
	}
	if src := treetest.Opened(t, map[string]string{"a.jar": "", "b.jar": "", "x/Y.java": ""}); Detect(src) || Lone(src) {
		t.Error("two jars and a source far away are no app")
	}
}

// What a Procfile's command reads is not known, so all that the build made stays.
func TestProcfileKeepsEverything(t *testing.T) {
	p := planned(t, map[string]string{"pom.xml": pomWith(""), "Procfile": "web: java -cp target/classes:target/dependency/* Main"})
	last := p.Steps[len(p.Steps)-1]
	if len(p.Processes) != 0 || last.Output != nil || len(last.Commands) != 1 {
		t.Errorf("%v %+v", p.Processes, last)
	}
	p = planned(t, map[string]string{"Main.java": "class Main {}", "Procfile": "web: java Main.java"})
	if len(p.Toolchains) != 1 || p.Toolchains[0].Name != "jdk" || p.Toolchains[0].Build || !p.Steps[0].Sees("Main.java") {
		t.Errorf("java runs a source, and has no compiler: %+v", p)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		message string
		files   map[string]string
	}{
		{"is not a version", map[string]string{"pom.xml": pomWith(""), "system.properties": "java.runtime.version=newest"}},
		{"pom.xml cannot be read", map[string]string{"pom.xml": "<project"}},
		{"pom.xml leads out of the app", map[string]string{"pom.xml": "-> /etc/passwd"}},
		{"leads out of the app", map[string]string{"build.gradle": "-> ../../x"}},
		{"larger than", map[string]string{"pom.xml": strings.Repeat(" ", 3<<20)}},
	} {
		_, err := Plan(treetest.Opened(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, c.message) {
			t.Errorf("want %q, got %v", c.message, err)
		}
	}
}

// The programs that layers get are scripts; one that does not parse would fail every build.
func TestProgramsParse(t *testing.T) {
	for path, text := range MavenPrograms() {
		checkScript(t, path, text)
	}
	for path, text := range GradlePrograms() {
		checkScript(t, path, text)
	}
	for path, text := range RunPrograms() {
		checkScript(t, path, text)
	}
}

func checkScript(t *testing.T, path, text string) {
	if !strings.HasPrefix(text, "#!") {
		return
	}
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %s", path, out)
	}
}
