package buildpacks

import (
	"strings"
	"testing"

	"paas/buildpacks/treetest"
)

func rustApp(says, version string) *treetest.Tree {
	return treetest.Files(map[string]string{
		"Cargo.toml":                       "[package]\nname = \"hi\"\nversion = \"" + version + "\"\nedition = \"2021\"\n\n[dependencies]\ntiny = \"1\"\n",
		"Cargo.lock":                       "version = 4\n\n[[package]]\nname = \"hi\"\nversion = \"" + version + "\"\ndependencies = [\n \"tiny\",\n]\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
		".cargo/config.toml":               "[source.crates-io]\nreplace-with = \"vendored-sources\"\n[source.vendored-sources]\ndirectory = \"vendor\"\n",
		"vendor/tiny/Cargo.toml":           "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
		"vendor/tiny/src/lib.rs":           "pub fn tiny() -> &'static str { \"tiny\" }\n",
		"vendor/tiny/.cargo-checksum.json": `{"files":{}}`,
		"src/main.rs":                      "fn main() { println!(\"" + says + " {} {}\", tiny::tiny(), env!(\"CARGO_PKG_VERSION\")) }\n",
	})
}

// Vendored crates are compiled once, in a layer of their own, with an empty program in the place of the app's. That
// one must never be taken for the app's: its files may be older than the layer.
func TestRustDependenciesAreALayer(t *testing.T) {
	b := newBench(t, "rust", "tools")
	b.contain()
	b.Detect = Detect
	app := b.app()
	for _, c := range []struct {
		says, version string
		compiles      bool // the dependency
	}{{"one", "0.1.0", true}, {"two", "0.1.0", false}, {"one", "0.1.0", false}, {"one", "0.2.0", true}} {
		img, told := b.mustBuild(app, rustApp(c.says, c.version))
		if got, want := b.run(app, img, "bin/hi"), c.says+" tiny "+c.version; got != want {
			t.Errorf("it says %q, want %q\n%s", got, want, told)
		}
		if strings.Contains(told, "Compiling tiny") != c.compiles {
			t.Errorf("tiny is compiled: %v\n%s", !c.compiles, told)
		}
	}
}
