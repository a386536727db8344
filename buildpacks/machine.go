package buildpacks

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"paas/platform"
)

// Machine is what builds inherit of the host: where its packages come from, and whom it trusts. It
// carries no credentials: apps' own code runs in builds.
type Machine struct {
	Mirror   string            // Debian mirror of the apt sources; empty: mmdebstrap's own choice
	Security string            // Debian's security updates; empty if the host has none
	Apt      []string          // apt.conf lines: proxies and the like
	CABundle string            // PEM file of trusted authorities; empty if there is none
	NPM      string            // the host's npm; empty if there is none
	Go       string            // the host's go command, 1.21 or newer; empty if there is none
	PipConf  string            // pip's configuration file; empty if there is none
	Wheels   []string          // local directories that pip finds links in
	Maven    string            // Maven's settings.xml; empty if there is none
	Cargo    string            // Cargo's config.toml; empty if there is none
	Composer string            // Composer's config.json; empty if there is none
	Vars     map[string]string // of the environment, those that say where packages come from
	Host     []string          // environment in which the host's own programs are run, "NAME=value"
}

// ReadMachine asks the host. env reads a variable. It runs go and apt-config where they are, which takes
// some ten milliseconds.
func ReadMachine(ctx context.Context, env func(string) string) Machine {
	m := Machine{Vars: map[string]string{}}
	m.Mirror, m.Security = debianMirrors("/etc/apt")
	for _, name := range inherited() {
		if value := env(name); value != "" {
			m.Vars[name] = withoutPassword(value)
		}
	}
	m.Host = hostEnviron(env)
	m.CABundle = firstFile(env("SSL_CERT_FILE"), bundlePath, "/etc/pki/tls/certs/ca-bundle.crt")
	m.PipConf = pipConf(env)
	m.Maven = openConf(filepath.Join(env("HOME"), ".m2/settings.xml"), "/etc/maven/settings.xml")
	m.Cargo = openConf(filepath.Join(env("CARGO_HOME"), "config.toml"), filepath.Join(env("HOME"), ".cargo/config.toml"))
	m.Composer = openConf(filepath.Join(env("COMPOSER_HOME"), "config.json"), filepath.Join(env("HOME"), ".config/composer/config.json"),
		filepath.Join(env("HOME"), ".composer/config.json"))
	m.Wheels = localDirs(m.Vars["PIP_FIND_LINKS"])
	m.NPM, _ = exec.LookPath("npm")
	m.readGo(ctx)
	for line := range strings.Lines(m.ask(ctx, "apt-config", "dump")) {
		if aptSetting.MatchString(line) {
			m.Apt = append(m.Apt, withoutPassword(strings.TrimSpace(line)))
		}
	}
	return m
}

// inherited are the variables that steer package clients; none of them is a secret by its nature.
func inherited() []string {
	return []string{
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "npm_config_registry",
		"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE",
		"NODEJS_ORG_MIRROR", "NVM_NODEJS_ORG_MIRROR", "GO_DL_MIRROR", "UV_PYTHON_INSTALL_MIRROR", "ADOPTIUM_API_MIRROR",
		"RUSTUP_DIST_SERVER", "RUBY_MIRROR", "DOTNET_MIRROR",
		"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_NO_INDEX",
		"BUNDLE_MIRROR__ALL", "PERL_CPANM_OPT", "PERL_CARTON_MIRROR",
		"HEX_MIRROR", "HEX_BUILDS_URL", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
	}
}

// A proxy that a program of the host's finds out is of no use in a container.
var aptSetting = regexp.MustCompile(`^Acquire::(https?::(?:Proxy )|Check-)`)

// passwords are user names and passwords in URLs.
var passwords = regexp.MustCompile(`://[^/@\s"']+@`)

func withoutPassword(value string) string { return passwords.ReplaceAllString(value, "://") }

// hostEnviron is the environment of programs that run on the host for us. It sees what the daemon sees of
// the network's settings, passwords included: no app's code runs in it.
func hostEnviron(env func(string) string) (list []string) {
	names := append(inherited(), "PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "npm_config_userconfig")
	for _, name := range names {
		if value := env(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// pipConf finds pip's configuration (pip's documentation, "Configuration files"), unless it has passwords.
func pipConf(env func(string) string) string {
	file := firstFile(env("PIP_CONFIG_FILE"), filepath.Join(env("HOME"), ".config/pip/pip.conf"),
		filepath.Join(env("HOME"), ".pip/pip.conf"), "/etc/pip.conf")
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil || passwords.Match(text) {
		return ""
	}
	return file
}

// secretWords are what Maven's settings, Cargo's and Composer's configuration call what nobody else may know (Maven's
// "Settings Reference", The Cargo Book, "Configuration", Composer's documentation, "Authentication for privately hosted
// packages").
var secretWords = regexp.MustCompile(`(?im)<(password|passphrase|privateKey)>|^\s*(token|secret-key)\s*=|` +
	`"(http-basic|bearer|custom-headers|client-certificate|forgejo-token|(github|gitlab|bitbucket)-(oauth|token))"\s*:`)

// openConf is the first of the files that is there, unless it keeps a secret or is not for everybody to read: builds
// run as nobody of the host, and their clients fail at a file that they cannot read.
func openConf(paths ...string) string {
	file := firstFile(paths...)
	info, err := os.Stat(file)
	if err != nil || info.Mode()&0o004 == 0 {
		return ""
	}
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil || passwords.Match(text) || secretWords.Match(text) {
		return ""
	}
	return file
}

// localDirs are those words that name directories of the host.
func localDirs(words string) (dirs []string) {
	for _, word := range strings.Fields(words) {
		if u, err := url.Parse(word); err == nil && u.Scheme == "file" {
			word = u.Path
		}
		if info, err := os.Stat(word); err == nil && info.IsDir() && filepath.IsAbs(word) {
			dirs = append(dirs, filepath.Clean(word))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(dirs)))
}

// readGo finds a go that can fetch other versions of itself (1.21 and newer) and asks it about its proxy.
func (m *Machine) readGo(ctx context.Context) {
	for _, name := range []string{"go", "/usr/local/go/bin/go"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		var answer map[string]string
		text := m.ask(ctx, path, "env", "-json", "GOTOOLCHAIN", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOPRIVATE", "GONOPROXY")
		if json.Unmarshal([]byte(text), &answer) != nil || answer["GOTOOLCHAIN"] == "" {
			continue
		}
		m.Go = path
		delete(answer, "GOTOOLCHAIN")
		maps.DeleteFunc(answer, func(_, value string) bool { return value == "" })
		for name, value := range answer {
			m.Vars[name] = withoutPassword(value)
		}
		return
	}
}

// ask runs a program of the host and returns what it says, or nothing.
func (m *Machine) ask(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = m.Host, "/"
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// hostVar is a variable of the host's environment, in either case as proxies' are.
func (m *Machine) hostVar(name string) string {
	for _, prefix := range []string{name + "=", strings.ToLower(name) + "="} {
		for _, v := range m.Host {
			if value, ok := strings.CutPrefix(v, prefix); ok {
				return value
			}
		}
	}
	return ""
}

func firstFile(paths ...string) string {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

const bundlePath = "/etc/ssl/certs/ca-certificates.crt"

// composerHome is where Composer finds the host's settings; it writes nothing of value there.
const composerHome = "/etc/composer-host"

// env is the machine's part of the environment of build steps. Not every client looks for authorities
// where Debian keeps them.
func (m Machine) env() map[string]string {
	env := map[string]string{}
	maps.Copy(env, m.Vars)
	if m.CABundle != "" {
		for _, name := range []string{
			"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
		} {
			env[name] = bundlePath
		}
	}
	if m.PipConf != "" {
		env["PIP_CONFIG_FILE"] = "/etc/pip.conf"
	}
	return env
}

// binds shows build steps what the environment speaks of.
func (m Machine) binds() (binds []platform.Bind) {
	if m.CABundle != "" {
		binds = append(binds, platform.Bind{Source: m.CABundle, Target: bundlePath, ReadOnly: true})
	}
	if m.PipConf != "" {
		binds = append(binds, platform.Bind{Source: m.PipConf, Target: "/etc/pip.conf", ReadOnly: true})
	}
	if m.Maven != "" {
		binds = append(binds, platform.Bind{Source: m.Maven, Target: "/etc/maven-host.xml", ReadOnly: true})
	}
	if m.Cargo != "" { // Cargo reads those of all directories above the app's
		binds = append(binds, platform.Bind{Source: m.Cargo, Target: "/.cargo/config.toml", ReadOnly: true})
	}
	if m.Composer != "" {
		binds = append(binds, platform.Bind{Source: m.Composer, Target: composerHome + "/config.json", ReadOnly: true})
	}
	for _, dir := range m.Wheels {
		binds = append(binds, platform.Bind{Source: dir, Target: dir, ReadOnly: true})
	}
	return binds
}

// aptSources are the lines of a sources.list (sources.list(5)) for the base image; none if the host does
// not say where Debian is to be had.
func (m Machine) aptSources() []string {
	if m.Mirror == "" {
		return nil
	}
	lines := []string{"deb " + m.Mirror + " " + suite + " main", "deb " + m.Mirror + " " + suite + "-updates main"}
	if m.Security != "" {
		lines = append(lines, "deb "+m.Security+" "+suite+"-security main")
	}
	return lines
}
