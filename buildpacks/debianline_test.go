package buildpacks

import (
	"strings"
	"testing"

	"paas/buildpacks/plan"
)

func TestDebianLines(t *testing.T) {
	for _, c := range []struct{ tool, wish, want string }{
		{"jre", "", "21"}, {"jre", ">=17", "21"}, {"jre", "25.0.1", "25"}, {"jre", ">=22", "25"}, {"jre", "17", ""}, {"jre", ">=26", ""},
		{"rust", "", "1.96"}, {"rust", "1.85.1", "1.85"}, {"rust", ">=1.70.0", "1.96"}, {"rust", ">=1.97", ""}, {"rust", "1.8", ""},
		{"elixir", "1.18.4", "1.18"}, {"elixir", ">=1.14.5", "1.18"}, {"erlang", "26", ""}, {"dotnet", "", ""},
	} {
		if line, ok := debianToolchains[c.tool].line(c.wish); line.version != c.want || ok != (c.want != "") {
			t.Errorf("%s %q: %q", c.tool, c.wish, line.version)
		}
	}
}

// A version that cannot be had is one sentence, the nearest that can first, and what to type for it.
func TestRefusedLines(t *testing.T) {
	for _, c := range []struct{ tool, wish, message, hint string }{
		{"jre", "17", "x asks for Java 17; this server has Java 21 and 25", "java.runtime.version=21"},
		{"jre", "26", "this server has Java 25 and 21", "java.runtime.version=25"},
		{"rust", "1.84", "this server has Rust 1.85 and 1.96", `channel = "1.85"`},
		{"dotnet", "8.0", "x asks for .NET 8.0, which cannot be had: its own site is not reached from this server, and Debian trixie does not package it", "Dockerfile"},
	} {
		err := debianToolchains[c.tool].refuse(plan.Toolchain{Name: c.tool, Version: c.wish, From: "x"})
		if !strings.Contains(err.Error(), c.message) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%v (%s)", err, hint(err))
		}
	}
}
