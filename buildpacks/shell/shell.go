// Package shell plans apps that are a script: start.sh is run by the program that its first line names.
package shell

import (
	"path"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// Script is the file that makes a tree such an app.
const Script = "start.sh"

const maxLine = 256

// Detect tells whether the tree has the script.
func Detect(src *source.Tree) bool { return src.Has(Script) }

// Plan runs the script. It needs no execute permission, which people forget to commit.
func Plan(src *source.Tree) (plan.Plan, error) {
	head, err := src.Head(Script, maxLine)
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Plan{
		Builder:   plan.Shell,
		Detected:  Script,
		Steps:     []plan.Step{{Name: "app", Files: []string{"/"}}},
		Processes: map[platform.ProcessType]string{platform.Web: interpreter(string(head)) + " " + Script},
	}, nil
}

// interpreter is the shell that the first line names (execve(2), "Interpreter scripts"), as far as the base image
// has it; every other one would be a guess.
func interpreter(head string) string {
	line, _, _ := strings.Cut(head, "\n")
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(words) == 0 {
		return "sh"
	}
	name := path.Base(words[0])
	if name == "env" && len(words) > 1 {
		name = words[len(words)-1]
	}
	if name == "bash" || name == "perl" {
		return name
	}
	return "sh"
}
