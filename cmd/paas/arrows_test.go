package main

import (
	"os/exec"
	"strings"
	"testing"
)

// rooms and doors, and what of ours each may import beside the standard library and other people's
// packages. A package below a listed folder follows the folder's rule.
var mayImport = map[string][]string{
	"platform":      {},
	"verbs":         {"platform"},
	"store":         {"platform"},
	"buildpacks":    {"platform", "buildpacks", "runtime/image"},
	"runtime/image": {"platform", "runtime/image", "runtime/quota"},
	"runtime":       {"platform", "runtime"},
	"router":        {"platform", "router"},
	"plugins":       {"platform"},
	"gitreceive":    {"platform", "verbs", "gitreceive"},
	"controlpanel":  {"platform", "verbs", "controlpanel"},
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "paas/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], "paas/")
		allowed, ok := rule(from)
		for _, word := range words[1:] {
			to, ours := strings.CutPrefix(word, "paas/") // the standard library has a runtime too
			if _, known := rule(to); ok && ours && known && !within(to, allowed) {
				t.Errorf("%s must not know %s", from, to)
			}
		}
	}
	onlyThere(t, string(out), []string{"github.com/moby/buildkit/", "github.com/containerd/containerd/"}, "buildpacks/dockerfile")
	if std, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "paas/platform").Output(); err != nil || strings.Contains(string(std), ".") {
		t.Errorf("platform imports more than the standard library: %s (%v)", std, err)
	}
}

// onlyThere keeps other people's packages in one of ours.
func onlyThere(t *testing.T, list string, theirs []string, ours string) {
	t.Helper()
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], "paas/")
		for _, word := range words[1:] {
			for _, prefix := range theirs {
				if strings.HasPrefix(word, prefix) && from != ours {
					t.Errorf("%s must not know %s: only %s does", from, word, ours)
				}
			}
		}
		for _, word := range words[1:] {
			if word == "paas/"+ours && from != "cmd/paas" {
				t.Errorf("%s must not know %s: it is what a builder process runs", from, ours)
			}
		}
	}
}

// rule finds the rule of the folder that is nearest above pkg.
func rule(pkg string) ([]string, bool) {
	for dir := pkg; dir != ""; {
		if allowed, ok := mayImport[dir]; ok {
			return allowed, true
		}
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			return nil, false
		}
		dir = dir[:i]
	}
	return nil, false
}

func within(pkg string, folders []string) bool {
	for _, f := range folders {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}
