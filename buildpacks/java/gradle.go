package java

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
)

const gradleCache = "/cache/gradle"

var (
	stageTask   = regexp.MustCompile(`(?m)(?:^\s*task\s+\(?['"]?stage\b|tasks\.(?:register|create)\(\s*['"]stage['"]|val\s+stage\s+by\s+tasks)`)
	springBoot  = regexp.MustCompile(`org\.springframework\.boot['"]`)
	shadow      = regexp.MustCompile(`com\.github\.johnrengelman\.shadow|com\.gradleup\.shadow`)
	application = regexp.MustCompile(`(?m)(?:id\s*\(?\s*['"]application['"]|plugin:\s*['"]application['"]|^\s*application\s*$|io\.ktor\.plugin|org\.gradle\.application)`)
	gradleLevel = regexp.MustCompile(`(?:languageVersion\s*(?:=|\.set\()\s*JavaLanguageVersion\.of\(\s*|jvmToolchain\(\s*|(?:source|target)Compatibility\s*=?\s*(?:JavaVersion\.)?['"]?(?:VERSION_)?)([0-9][0-9._]*)`)
)

// gradle plans the task that Heroku would take: stage if the app has it, else what makes the fewest files that run.
func (b builder) gradle(file string) (plan.Plan, error) {
	text, err := gradleText(b.src)
	if err != nil {
		return plan.Plan{}, err
	}
	p := b.base(file, "gradle")
	build := plan.Step{
		Name:     "build",
		Files:    []string{},
		Commands: []string{"gradle --no-daemon ${GRADLE_TASK:-" + gradleTask(text) + "}"},
		Env:      map[string]string{"GRADLE_USER_HOME": gradleCache},
		Config:   true,
		Caches:   []plan.Cache{{ID: "gradle", Dir: gradleCache}},
	}
	p = b.started(p, build)
	if last := &p.Steps[len(p.Steps)-1]; !b.hasWeb() {
		last.Output = append(last.Output, installed(b.src)...)
	}
	return p, nil
}

func gradleTask(text string) string {
	switch {
	case stageTask.MatchString(text):
		return "stage"
	case springBoot.MatchString(text):
		return "bootJar"
	case shadow.MatchString(text):
		return "shadowJar"
	case application.MatchString(text):
		return "installDist"
	}
	return "build -x test"
}

// installed are the directories into which Gradle's application plugin puts a program and its jars.
func installed(src *source.Tree) (dirs []string) {
	for _, file := range gradleBuilds(src) {
		dirs = append(dirs, path.Join(path.Dir(file), "build/install")+"/")
	}
	return dirs
}

// gradleBuilds are the build files of the tree, those of subprojects too.
func gradleBuilds(src *source.Tree) (files []string) {
	const most = 200
	for _, f := range src.Files() {
		if base := path.Base(f.Path); len(files) < most && (base == "build.gradle" || base == "build.gradle.kts") && path.Dir(f.Path) != "buildSrc" {
			files = append(files, f.Path)
		}
	}
	return files
}

// gradleText is all build files, one after the other: they are programs, and only read by their words.
func gradleText(src *source.Tree) (string, error) {
	var all strings.Builder
	for _, file := range gradleBuilds(src) {
		text, err := src.Read(file, maxText)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a symlink to nothing
		}
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String(), nil
}

func fromGradle(src *source.Tree) (wish, error) {
	text, err := gradleText(src)
	if m := gradleLevel.FindStringSubmatch(text); m != nil {
		return least(strings.Trim(strings.ReplaceAll(m[1], "_", "."), "."), "build.gradle"), err
	}
	return wish{}, err
}

// latin1 reads the only other encoding that build files are written in. What it makes of other ones does not
// matter: names of elements are ASCII.
func latin1(_ string, in io.Reader) (io.Reader, error) { return in, nil }
