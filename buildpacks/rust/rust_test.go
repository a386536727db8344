package rust

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) (plan.Plan, error) {
	t.Helper()
	src, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return Plan(src)
}

const crateA = "[package]\nname = \"a\"\nversion = \"0.1.0\"\n"

func TestVersions(t *testing.T) {
	for _, c := range []struct{ file, text, want, from string }{
		{"x", "", "", ""},
		{"rust-toolchain.toml", "[toolchain]\nchannel = \"1.85\"\n", "1.85", "rust-toolchain.toml"},
		{"rust-toolchain", "1.85.1\n", "1.85.1", "rust-toolchain"},
		{"rust-toolchain", "[toolchain]\nchannel = \"stable-x86_64-unknown-linux-gnu\"\n", "", "rust-toolchain"},
		{".tool-versions", "rust 1.85.0\n", "1.85.0", ".tool-versions"},
	} {
		p, err := planned(t, map[string]string{"Cargo.toml": crateA, "src/main.rs": "", c.file: c.text})
		if err != nil || p.Toolchains[0].Version != c.want || c.from != "" && p.Toolchains[0].From != c.from {
			t.Errorf("%s: %+v %v", c.file, p.Toolchains, err)
		}
	}
	p, err := planned(t, map[string]string{"Cargo.toml": crateA + "rust-version = \"1.70\"\n", "src/main.rs": ""})
	if err != nil || p.Toolchains[0].Version != ">=1.70" {
		t.Errorf("%+v %v", p.Toolchains, err)
	}
}

func TestPrograms(t *testing.T) {
	cases := []struct {
		name, web string
		files     map[string]string
	}{
		{"main", "bin/a", map[string]string{"Cargo.toml": crateA, "src/main.rs": ""}},
		{"rocket", "ROCKET_PORT=$PORT bin/a", map[string]string{"Cargo.toml": crateA, "src/main.rs": "", "Cargo.lock": "[[package]]\nname = \"rocket\"\n"}},
		{"named", "bin/serve", map[string]string{"Cargo.toml": crateA + "[[bin]]\nname = \"serve\"\npath = \"src/main.rs\"\n", "src/main.rs": ""}},
		{"default-run", "bin/z", map[string]string{"Cargo.toml": crateA + "default-run = \"z\"\n", "src/bin/y.rs": "", "src/bin/z/main.rs": ""}},
		{"several", "", map[string]string{"Cargo.toml": crateA, "src/bin/y.rs": "", "src/bin/z.rs": ""}},
		{"workspace", "bin/server", map[string]string{"Cargo.toml": "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/x\"]\n",
			"crates/server/Cargo.toml": strings.ReplaceAll(crateA, `"a"`, `"server"`), "crates/server/src/main.rs": "",
			"crates/tool/Cargo.toml": crateA, "crates/tool/src/main.rs": "", "crates/x/Cargo.toml": crateA, "crates/x/src/main.rs": ""}},
		{"default members", "bin/a", map[string]string{"Cargo.toml": "[workspace]\nmembers = [\"one\", \"two\"]\ndefault-members = [\"one\"]\n",
			"one/Cargo.toml": crateA, "one/src/main.rs": "", "two/Cargo.toml": crateA, "two/src/bin/b.rs": "", "two/src/bin/c.rs": ""}},
	}
	for _, c := range cases {
		p, err := planned(t, c.files)
		if err != nil || p.Processes[platform.Web] != c.web {
			t.Errorf("%s: %v %v", c.name, p.Processes, err)
		}
	}
}

// Dependencies are a step of their own only where there are any, and its key has no source in it.
func TestDependencies(t *testing.T) {
	files := map[string]string{"Cargo.toml": crateA + "[dependencies]\nserde = \"1\"\n", "Cargo.lock": "version = 4\n", "src/main.rs": "", "build.rs": "", "benches/b.rs": ""}
	p, err := planned(t, files)
	if err != nil || p.Steps[0].Name != "dependencies" || !p.Steps[0].Build || !slices.Equal(p.Steps[0].Files, []string{"Cargo.toml", "Cargo.lock"}) {
		t.Fatalf("%+v %v", p.Steps, err)
	}
	if !strings.HasPrefix(p.Steps[0].Commands[0], "for f in benches/b.rs build.rs src/main.rs; do") {
		t.Error(p.Steps[0].Commands[0])
	}
	files["Cargo.toml"] = crateA
	if p, err = planned(t, files); err != nil || p.Steps[0].Name != "app" {
		t.Errorf("%+v %v", p.Steps, err)
	}
	delete(files, "Cargo.lock")
	p, err = planned(t, files)
	if build := p.Steps[len(p.Steps)-1]; err != nil || strings.Contains(strings.Join(build.Commands, " "), "--locked") || len(p.Warnings) != 1 {
		t.Errorf("%+v %v %v", build, p.Warnings, err)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		message string
		files   map[string]string
	}{
		{"no program", map[string]string{"Cargo.toml": crateA, "src/lib.rs": ""}},
		{"Cargo.toml cannot be read", map[string]string{"Cargo.toml": "[package"}},
		{"stable releases only", map[string]string{"Cargo.toml": crateA, "src/main.rs": "", "rust-toolchain": "nightly-2025-01-01"}},
		{"is not a version", map[string]string{"Cargo.toml": crateA, "src/main.rs": "", "rust-toolchain": "$(id)"}},
		{"leads out of the app", map[string]string{"Cargo.toml": "-> /etc/passwd"}},
	} {
		_, err := planned(t, c.files)
		var e *platform.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, c.message) {
			t.Errorf("want %q, got %v", c.message, err)
		}
	}
}

// Names from the tree go into shell commands.
func TestHostileNames(t *testing.T) {
	p, err := planned(t, map[string]string{
		"Cargo.toml": crateA + "[dependencies]\nx = \"1\"\n[[bin]]\nname = \"b\"\npath = \"../../etc/passwd\"\n[[test]]\nname = \"t\"\npath = \"; rm -rf /\"\n",
		"Cargo.lock": "", "src/main.rs": "", "src/bin/$(id).rs": "", "examples/`id`.rs": "", "$(id)/Cargo.toml": crateA,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if text := strings.Join(s.Commands, "\n"); strings.Contains(text, "(id)") || strings.Contains(text, "`id") || strings.Contains(text, "rm -rf") || strings.Contains(text, "..") {
			t.Error(text)
		}
	}
}
