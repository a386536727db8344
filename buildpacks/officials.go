package buildpacks

import (
	"context"
	"fmt"
	"go/version"
	"regexp"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
)

// officials are the distributions by the name that plans use, all for x86_64 Linux with glibc. A site has its
// documented layout at any mirror: what the variables name is the address that the site's own stands for.
func officials() map[string]official {
	java := official{ // api.adoptium.net/q/swagger-ui, "/v3/assets/latest"
		name: "Java", site: "https://api.adoptium.net", mirrors: []string{"ADOPTIUM_API_MIRROR"}, of: "java",
		probe: "/v3/info/available_releases", list: listJava, strip: 1, env: map[string]string{"JAVA_HOME": "/opt/java"},
	}
	return map[string]official{
		"node": { // nodejs.org/dist/index.json; the variables are those of node-gyp's and nvm's users
			name: "Node.js", site: "https://nodejs.org/dist", mirrors: []string{"NODEJS_ORG_MIRROR", "NVM_NODEJS_ORG_MIRROR"},
			probe: "/index.json", list: listNode, strip: 1,
		},
		"go": { // go.dev/dl, "?mode=json"
			name: "Go", site: "https://go.dev/dl", mirrors: []string{"GO_DL_MIRROR"}, probe: "/?mode=json", list: listGo, strip: 1,
		},
		"python": { // python-build-standalone's documentation, "Obtaining distributions"; the variable is uv's
			name: "Python", site: "https://github.com/astral-sh/python-build-standalone/releases/download",
			mirrors: []string{"UV_PYTHON_INSTALL_MIRROR"}, probe: latestPython, list: listPython, strip: 1,
		},
		"java": java, "jre": java, "jdk": java, "maven": java, "gradle": java,
		"dotnet": { // github.com/dotnet/core, "release-notes/releases-index.json"
			name: ".NET", site: "https://builds.dotnet.microsoft.com/dotnet", mirrors: []string{"DOTNET_MIRROR"},
			probe: dotnetIndex, list: listDotNet, bin: ".", env: map[string]string{"DOTNET_ROOT": "/opt/dotnet"},
		},
		"rust": { // forge.rust-lang.org, "Archive of Rust Stable Standalone Installers"; the variable is rustup's
			name: "Rust", site: "https://static.rust-lang.org", mirrors: []string{"RUSTUP_DIST_SERVER"},
			probe: "/dist/channel-rust-stable.toml.sha256", list: listRust, strip: 1,
			roots: []string{"rustc", "cargo", "rust-std-" + rustTarget},
		},
		"ruby": { // ruby-lang.org/en/downloads: sources only, so it is compiled, once on a host
			name: "Ruby", site: "https://cache.ruby-lang.org/pub/ruby", mirrors: []string{"RUBY_MIRROR"},
			probe: "/index.txt", list: listRuby, strip: 1,
			compile: `./configure --prefix=/opt/ruby --enable-shared --disable-install-doc && make -j"$(nproc)" && make install`,
		},
	}
}

// matcher tells which versions are the ones that were asked for.
func matcher(t plan.Toolchain, now time.Time) func(string) bool {
	switch t.Name {
	case "node":
		wish, err := node.ParseRange(t.Version)
		return func(v string) bool {
			return err == nil && wish.Match(v) && (t.Version != "" || longTerm(major(v), now))
		}
	case "go":
		wish := strings.TrimPrefix(t.Version, "go")
		return func(v string) bool { return len(fittingGo([]string{v}, prefixed(wish))) > 0 }
	}
	if strings.HasPrefix(t.Version, ">=") {
		return func(v string) bool { return fits(v, t.Version) }
	}
	return func(v string) bool {
		plain, _, _ := strings.Cut(v, "+")
		return t.Version == "" || v == t.Version || plain == t.Version || strings.HasPrefix(v, t.Version+".")
	}
}

func prefixed(v string) string {
	if v == "" {
		return ""
	}
	return "go" + v
}

func listNode(ctx context.Context, s site, _ string) (all []release, err error) {
	var index []struct {
		Version string   `json:"version"`
		Files   []string `json:"files"`
	}
	if err := s.json(ctx, "/index.json", &index); err != nil {
		return nil, err
	}
	for _, v := range index {
		for _, f := range v.Files {
			if f == "linux-x64" {
				dir := s.base + "/" + v.Version
				all = append(all, release{
					version: strings.TrimPrefix(v.Version, "v"), url: dir + "/node-" + v.Version + "-linux-x64.tar.gz", sums: dir + "/SHASUMS256.txt",
				})
			}
		}
	}
	return all, nil
}

func listGo(ctx context.Context, s site, _ string) (all []release, err error) {
	var index []struct {
		Version string `json:"version"`
		Stable  bool   `json:"stable"`
		Files   []struct {
			Filename, OS, Arch, Kind, SHA256 string
		} `json:"files"`
	}
	if err := s.json(ctx, "/?mode=json&include=all", &index); err != nil {
		return nil, err
	}
	for _, v := range index {
		for _, f := range v.Files {
			if v.Stable && version.IsValid(v.Version) && f.OS == "linux" && f.Arch == "amd64" && f.Kind == "archive" {
				all = append(all, release{version: strings.TrimPrefix(v.Version, "go"), url: s.base + "/" + f.Filename, sum: f.SHA256})
			}
		}
	}
	return all, nil
}

// latestPython is the newest release's list of files, beside the folder of downloads.
const latestPython = "/../latest/download/SHA256SUMS"

var pythonFile = regexp.MustCompile(`^cpython-([0-9.]+)\+([0-9]+)-x86_64-unknown-linux-gnu-install_only\.tar\.gz$`)

// listPython reads the newest release, which has the last patch release of every line.
func listPython(ctx context.Context, s site, _ string) (all []release, err error) {
	text, err := s.engine.document(ctx, below(s.base, latestPython))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		if m := pythonFile.FindStringSubmatch(words[1]); m != nil {
			all = append(all, release{version: m[1], url: s.base + "/" + m[2] + "/" + words[1], sum: words[0]})
		}
	}
	return all, nil
}

// listJava has one version of each line: the newest.
func listJava(ctx context.Context, s site, wish string) (all []release, err error) {
	var lines struct {
		Available []int `json:"available_releases"`
		LTS       int   `json:"most_recent_lts"`
	}
	if err := s.json(ctx, "/v3/info/available_releases", &lines); err != nil {
		return nil, err
	}
	line := lines.LTS
	for i, n := range numbers(wish) {
		if i == 0 {
			line = n
		}
	}
	var assets []struct {
		Binary struct {
			Package struct{ Link, Checksum string } `json:"package"`
		} `json:"binary"`
		Version struct{ Semver string } `json:"version"`
	}
	const query = "?architecture=x64&image_type=jdk&jvm_impl=hotspot&os=linux&vendor=eclipse"
	if err := s.json(ctx, fmt.Sprintf("/v3/assets/latest/%d/hotspot%s", line, query), &assets); err == nil && len(assets) > 0 {
		a := assets[0]
		return []release{{version: a.Version.Semver, url: a.Binary.Package.Link, sum: a.Binary.Package.Checksum}}, nil
	}
	for _, n := range lines.Available {
		all = append(all, release{version: fmt.Sprint(n)}) // to name the nearest
	}
	return all, nil
}

const rustTarget = "x86_64-unknown-linux-gnu"

// listRust reads a channel's manifest: of a version, of a line, or the stable one.
func listRust(ctx context.Context, s site, wish string) ([]release, error) {
	channel := wish
	if channel == "" || strings.HasPrefix(wish, ">=") {
		channel = "stable"
	}
	text, err := s.engine.document(ctx, s.base+"/dist/channel-rust-"+channel+".toml")
	if err != nil && channel != "stable" {
		text, err = s.engine.document(ctx, s.base+"/dist/channel-rust-stable.toml") // to name the nearest
	}
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Pkg struct {
			Rust struct {
				Version string `toml:"version"` // "1.91.0 (f8297e351 2025-10-28)"
				Target  map[string]struct {
					URL  string `toml:"url"`
					Hash string `toml:"hash"`
				} `toml:"target"`
			} `toml:"rust"`
		} `toml:"pkg"`
	}
	if err := toml.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("read a channel of Rust: %w", err)
	}
	rust := manifest.Pkg.Rust
	number, _, _ := strings.Cut(rust.Version, " ")
	at := rust.Target[rustTarget]
	_, below, ok := strings.Cut(at.URL, "/dist/") // the manifest names the site itself, also at a mirror
	if number == "" || !ok {
		return nil, fmt.Errorf("a channel of Rust has nothing for %s", rustTarget)
	}
	return []release{{version: number, url: s.base + "/dist/" + below, sum: at.Hash}}, nil
}

var rubyName = regexp.MustCompile(`^ruby-([0-9]+\.[0-9]+\.[0-9]+)$`)

// listRuby reads lines of a name, an address and three digests, the second a SHA-256.
func listRuby(ctx context.Context, s site, _ string) (all []release, err error) {
	text, err := s.engine.document(ctx, s.base+"/index.txt")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 4 || !strings.HasSuffix(words[1], ".tar.gz") {
			continue
		}
		_, below, ok := strings.Cut(words[1], "/pub/ruby/") // the list names the site itself, also at a mirror
		if m := rubyName.FindStringSubmatch(words[0]); m != nil && ok {
			all = append(all, release{version: m[1], url: s.base + "/" + below, sum: words[3]})
		}
	}
	return all, nil
}

// dotnetIndex lists the lines of .NET, each with the address of a list of its releases.
const dotnetIndex = "/release-metadata/releases-index.json"

// listDotNet has all SDKs of the line that was asked for, or the newest of every line.
func listDotNet(ctx context.Context, s site, wish string) (all []release, err error) {
	var index struct {
		Lines []struct {
			Line    string `json:"channel-version"`
			SDK     string `json:"latest-sdk"`
			Support string `json:"support-phase"` // "active", "preview", "eol"
		} `json:"releases-index"`
	}
	if err := s.json(ctx, dotnetIndex, &index); err != nil {
		return nil, err
	}
	line := ""
	for _, l := range index.Lines { // the newest first
		if wish == l.Line || wish == "" && line == "" && l.Support == "active" || strings.HasPrefix(wish, l.Line+".") {
			line = l.Line
		}
		all = append(all, release{version: l.SDK}) // to name the nearest
	}
	if line == "" {
		return all, nil
	}
	return s.sdks(ctx, line)
}

func (s site) sdks(ctx context.Context, line string) (all []release, err error) {
	type sdk struct {
		Version string
		Files   []struct{ RID, Name, URL, Hash string }
	}
	var list struct {
		Releases []struct {
			SDKs []sdk `json:"sdks"`
		} `json:"releases"`
	}
	if err := s.json(ctx, "/release-metadata/"+line+"/releases.json", &list); err != nil {
		return nil, err
	}
	for _, r := range list.Releases {
		for _, sdk := range r.SDKs {
			for _, f := range sdk.Files {
				_, below, ok := strings.Cut(f.URL, "/dotnet/") // the list names the site itself, also at a mirror
				if ok && f.RID == "linux-x64" && strings.HasSuffix(f.Name, ".tar.gz") && !strings.Contains(sdk.Version, "-") {
					all = append(all, release{version: sdk.Version, url: s.base + "/" + below, sum: f.Hash})
				}
			}
		}
	}
	return all, nil
}
