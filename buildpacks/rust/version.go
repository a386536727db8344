package rust

import (
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

// toolchain is the Rust that the app asks for: rust-toolchain.toml or rust-toolchain, which name a version to have;
// rust-version, which names the least one to do; .tool-versions; else the newest.
func (w workspace) toolchain(src *source.Tree) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "rust", Build: true}
	for _, name := range []string{"rust-toolchain.toml", "rust-toolchain", ".rust-version"} {
		channel, err := readChannel(src, name)
		if err != nil || channel != "" {
			return named(t, channel, name, err)
		}
	}
	if v := w.rustVersion(); v != "" {
		t.Version, t.From = ">="+v, "Cargo.toml rust-version"
		return t, checkVersion(t, v)
	}
	v, err := versionfile.Tool(src, "rust")
	return named(t, v, versionfile.Tools, err)
}

// readChannel reads a toolchain file in its form of TOML, or the older one of a line.
func readChannel(src *source.Tree, name string) (string, error) {
	text, err := src.Read(name, maxText)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var file struct {
		Toolchain struct {
			Channel string `toml:"channel"`
		} `toml:"toolchain"`
	}
	if toml.Unmarshal(text, &file) == nil {
		return file.Toolchain.Channel, nil
	}
	return versionfile.Line(src, name)
}

var (
	version = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,2}$`)
	host    = regexp.MustCompile(`-x86_64-unknown-linux-(gnu|musl)$`)
)

// named takes "stable" for the newest there is. Beta and nightly compilers are nobody's to package.
func named(t plan.Toolchain, channel, from string, err error) (plan.Toolchain, error) {
	channel = host.ReplaceAllString(channel, "")
	if err != nil || channel == "" {
		return t, err
	}
	t.From = from
	if channel == "stable" {
		return t, nil
	}
	t.Version = channel
	return t, checkVersion(t, channel)
}

func checkVersion(t plan.Toolchain, v string) error {
	switch {
	case strings.HasPrefix(v, "nightly"), strings.HasPrefix(v, "beta"):
		return platform.Errorf(platform.Failed, "%s asks for Rust %.40s; this server builds with stable releases only", t.From, v).
			WithHint("write stable, or a number such as 1.85, if the app builds with it")
	case !version.MatchString(v):
		return platform.Errorf(platform.Failed, "%s asks for Rust %.40q, which is not a version", t.From, v).
			WithHint("write stable, or a number such as 1.85")
	}
	return nil
}

func (w workspace) rustVersion() string {
	if w.root.Package != nil {
		if v, ok := w.root.Package.RustVersion.(string); ok {
			return v
		}
	}
	if w.root.Workspace != nil {
		return w.root.Workspace.Package.RustVersion
	}
	return ""
}
