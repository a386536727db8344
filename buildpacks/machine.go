package buildpacks

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paas/platform"
)

// Machine is what builds inherit of the host: where its packages come from, and whom it trusts. It
// carries no credentials.
type Machine struct {
	Mirror   string            // first Debian mirror of the apt sources
	Apt      []string          // apt.conf lines: proxies and the like
	CABundle string            // PEM file of trusted authorities; empty if there is none
	Registry string            // npm's; empty when the host has no npm to ask
	Go       string            // the host's go command, 1.21 or newer; empty if there is none
	PipConf  string            // pip's configuration file; empty if there is none
	Wheels   []string          // local directories that pip finds links in
	Vars     map[string]string // of the environment, those that say where packages come from
}

// inherited are the variables that steer package clients; none of them is a secret by its nature.
var inherited = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE",
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_NO_INDEX",
}

// caVariables name the bundle for clients that do not look where Debian keeps it.
var caVariables = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"}

const bundlePath = "/etc/ssl/certs/ca-certificates.crt"

// ReadMachine asks the host. env reads a variable. It runs npm, go and apt-config where they are.
func ReadMachine(ctx context.Context, env func(string) string) Machine {
	m := Machine{Mirror: debianMirror(), Vars: map[string]string{}}
	for _, name := range inherited {
		if value := env(name); value != "" {
			m.Vars[name] = value
		}
	}
	m.CABundle = firstFile(env("SSL_CERT_FILE"), bundlePath, "/etc/pki/tls/certs/ca-bundle.crt")
	m.PipConf = firstFile(env("PIP_CONFIG_FILE"), "/etc/pip.conf", filepath.Join(env("HOME"), ".config/pip/pip.conf"))
	for _, word := range strings.Fields(m.Vars["PIP_FIND_LINKS"]) {
		if info, err := os.Stat(word); err == nil && info.IsDir() && filepath.IsAbs(word) {
			m.Wheels = append(m.Wheels, word)
		}
	}
	m.Registry = strings.TrimSuffix(ask(ctx, "npm", "config", "get", "registry"), "/")
	m.Go = goCommand(ctx)
	if m.Go != "" {
		for _, name := range []string{"GOPROXY", "GONOSUMDB", "GOSUMDB", "GOPRIVATE", "GONOPROXY"} {
			if value := ask(ctx, m.Go, "env", name); value != "" {
				m.Vars[name] = value
			}
		}
	}
	for line := range strings.Lines(ask(ctx, "apt-config", "dump")) {
		if strings.HasPrefix(line, "Acquire::http") || strings.HasPrefix(line, "Acquire::Check") {
			m.Apt = append(m.Apt, strings.TrimSpace(line))
		}
	}
	return m
}

// goCommand finds a go that can fetch other versions of itself (1.21 and newer).
func goCommand(ctx context.Context) string {
	for _, name := range []string{"go", "/usr/local/go/bin/go"} {
		path, err := exec.LookPath(name)
		if err == nil && ask(ctx, path, "env", "GOTOOLCHAIN") != "" {
			return path
		}
	}
	return ""
}

// ask runs a program of the host and returns what it says, or nothing.
func ask(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func firstFile(paths ...string) string {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// debianMirror is the first Debian archive in the host's apt sources, in either of apt's formats
// (sources.list(5)).
func debianMirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*") // the pattern is fine
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			continue
		}
		if uri := mirrorIn(string(text)); uri != "" {
			return uri
		}
	}
	return ""
}

func mirrorIn(text string) string {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "deb" && words[0] != "URIs:" {
			continue
		}
		for _, w := range words[1:] {
			if strings.Contains(w, "://") && strings.HasSuffix(strings.TrimSuffix(w, "/"), "/debian") {
				return w
			}
		}
	}
	return ""
}

// key names what of the machine can change a result. Where bytes come from does not, as long as the
// lockfile says which.
func (m Machine) key() string { return "debian" }

// env is the environment of build steps.
func (m Machine) env() map[string]string {
	env := maps.Clone(m.Vars)
	if env == nil {
		env = map[string]string{}
	}
	if m.Registry != "" {
		env["npm_config_registry"] = m.Registry
	}
	if m.CABundle != "" {
		for _, name := range caVariables {
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
	for _, dir := range slices.Compact(slices.Sorted(slices.Values(m.Wheels))) {
		binds = append(binds, platform.Bind{Source: dir, Target: dir, ReadOnly: true})
	}
	return binds
}
