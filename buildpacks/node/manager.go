package node

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
)

// The package managers, as toolchains are called.
const (
	npm   = "npm"
	yarn  = "yarn"       // 1.x
	berry = "yarn-berry" // 2 and newer
	pnpm  = "pnpm"
	bun   = "bun"
)

// lockfiles are those of each package manager. Of several, the first counts.
var lockfiles = []struct{ manager, file string }{
	{npm, "npm-shrinkwrap.json"}, {npm, "package-lock.json"}, {pnpm, "pnpm-lock.yaml"}, {yarn, "yarn.lock"}, {bun, "bun.lock"}, {bun, "bun.lockb"},
}

// manager is the package manager of an app.
type manager struct {
	plan.Toolchain          // its name is one of the above
	lock           string   // its lockfile, "" without one
	unread         []string // lockfiles of others
	pnp            bool     // Plug'n'Play: there is no node_modules
	reason         string   // what decided
}

// chooseManager asks packageManager, then the lockfiles, then engines.
func chooseManager(src *source.Tree, pkg manifest) (manager, error) {
	m := named(pkg)
	if m.Name == "" {
		m = byLock(src)
	}
	if m.Name == "" {
		m = byEngines(pkg)
	}
	m.findLocks(src)
	if m.Name == yarn {
		if err := m.tellBerry(src); err != nil {
			return m, err
		}
	}
	if m.Version != "" {
		return m, m.check()
	}
	if wish := ordinary(pkg.Engines.of(m.Name)); wish != "" {
		m.Version, m.From = wish, "package.json engines."+family(m.Name)
		return m, m.check()
	}
	return m, m.guessVersion(src)
}

// family is the name under which an app speaks of a package manager.
func family(name string) string {
	if name == berry {
		return yarn
	}
	return name
}

var packageManager = regexp.MustCompile(`^(npm|yarn|pnpm|bun)(?:@([^+\s]+))?`)

// named is what package.json names in so many words (Node.js's documentation, "packageManager"; the OpenJS
// Foundation's proposal "devEngines").
func named(pkg manifest) manager {
	if m := packageManager.FindStringSubmatch(strings.TrimSpace(pkg.PackageManager.value)); m != nil {
		const from = "package.json packageManager"
		return manager{Toolchain: plan.Toolchain{Name: m[1], Version: ordinary(m[2]), From: from}, reason: from}
	}
	dev := pkg.DevEngines.value.PackageManager.value
	if m := packageManager.FindStringSubmatch(dev.Name); m != nil {
		const from = "package.json devEngines.packageManager"
		return manager{Toolchain: plan.Toolchain{Name: m[1], Version: ordinary(dev.Version), From: from}, reason: from}
	}
	return manager{}
}

func byLock(src *source.Tree) manager {
	for _, l := range lockfiles {
		if src.Has(l.file) {
			return manager{Toolchain: plan.Toolchain{Name: l.manager}, reason: l.file}
		}
	}
	return manager{}
}

// byEngines is npm unless engines names others only.
func byEngines(pkg manifest) manager {
	if pkg.Engines.NPM == "" {
		for _, name := range []string{pnpm, yarn, bun} {
			if pkg.Engines.of(name) != "" {
				return manager{Toolchain: plan.Toolchain{Name: name}, reason: "package.json engines." + name}
			}
		}
	}
	return manager{Toolchain: plan.Toolchain{Name: npm}}
}

// findLocks tells the manager's own lockfile from those of others.
func (m *manager) findLocks(src *source.Tree) {
	for _, l := range lockfiles {
		switch {
		case !src.Has(l.file):
		case l.manager != m.Name:
			m.unread = append(m.unread, l.file)
		case m.lock == "":
			m.lock = l.file
		}
	}
}

// tellBerry tells Yarn 1 from its successors, which keep another format and other settings.
func (m *manager) tellBerry(src *source.Tree) error {
	rc, err := optional(src, yarnrc, maxNpmrc)
	if err != nil {
		return err
	}
	lock, err := m.readLock(src)
	if err != nil {
		return err
	}
	switch {
	case m.Version != "" && strings.HasPrefix(m.Version, "1."), m.Version == "1":
		return nil
	case m.Version == "" && rc == nil && !bytes.Contains(lock, []byte("__metadata:")):
		return nil
	}
	m.Name = berry
	linker := setting(rc, "nodeLinker")
	m.pnp = linker == "" || linker == "pnp"
	return nil
}

func (m *manager) readLock(src *source.Tree) ([]byte, error) {
	if m.lock == "" {
		return nil, nil
	}
	return src.Read(m.lock, maxLockfile)
}

// check refuses what is no version.
func (m *manager) check() error {
	if _, err := ParseRange(m.Version); err != nil {
		return badVersion(spoken(m.Name), m.Version, m.From).Because(err)
	}
	return nil
}

func spoken(name string) string {
	if family(name) == yarn {
		return "Yarn"
	}
	if name == bun {
		return "Bun"
	}
	return name
}

// guessVersion finds a version that reads the lockfile as it is.
func (m *manager) guessVersion(src *source.Tree) (err error) {
	if m.Name == bun {
		return m.bunVersion(src)
	}
	lock, err := m.readLock(src)
	if err != nil {
		return err
	}
	m.From = m.lock
	switch m.Name {
	case yarn:
		m.Version = "1.x"
	case berry:
		return m.berryVersion(src, lock)
	case pnpm:
		m.Version, err = pnpmVersion(src, lock)
	default:
		m.From = ""
	}
	return err
}

// bunVersion is what .bun-version or .tool-versions says.
func (m *manager) bunVersion(src *source.Tree) (err error) {
	m.From = ".bun-version"
	if m.Version, err = versionfile.Line(src, m.From); m.Version == "" && err == nil {
		m.Version, m.From, err = versionfile.Named(src, bun)
	}
	if err != nil || m.Version == "" {
		return err
	}
	m.Version = ordinary(strings.TrimPrefix(m.Version, "bun-"))
	return m.check()
}

var (
	releaseFile = regexp.MustCompile(`yarn-(\d+\.\d+\.\d+)[\w.-]*\.c?js$`)
	lockVersion = regexp.MustCompile(`(?m)^__metadata:\s+version: (\d+)`)
)

// berryLines are the versions of Yarn that write a format of the lockfile, as tried out.
var berryLines = map[string]string{
	"4": "2.x", "5": ">=3.0.0 <3.2.0", "6": ">=3.2.0 <4.0.0", "7": ">=3.2.0 <4.0.0", "8": ">=4.0.0 <4.14.0", "9": "4.14.x",
}

// berryVersion is that of the release in the repository, else the line that writes such a lockfile: Yarn
// refuses to change a frozen one from an older format to its own.
func (m *manager) berryVersion(src *source.Tree, lock []byte) error {
	rc, err := optional(src, yarnrc, maxNpmrc)
	if err != nil {
		return err
	}
	if release := releaseFile.FindStringSubmatch(setting(rc, "yarnPath")); release != nil {
		m.Version, m.From = release[1], yarnrc+" yarnPath"
		return nil
	}
	if format := lockVersion.FindSubmatch(lock); format != nil {
		m.Version = berryLines[string(format[1])]
	}
	if m.Version == "" {
		m.Version = "4.x"
	}
	return nil
}

// pnpmFormat is the first line of a lockfile (pnpm's specification of its lockfile).
var pnpmFormat = regexp.MustCompile(`(?m)^lockfileVersion: ['"]?(\d+\.\d+)`)

// pnpmVersion is the line that writes such a lockfile. Two and more lines write 9.0: pnpm 9 is the last
// that runs install scripts without being told which, pnpm 10 the first with its settings in
// pnpm-workspace.yaml.
func pnpmVersion(src *source.Tree, lock []byte) (string, error) {
	format := pnpmFormat.FindSubmatch(lock)
	if format == nil {
		return "10.x", nil
	}
	switch string(format[1]) {
	case "5.0", "5.1", "5.2":
		return "5.x", nil
	case "5.3":
		return "6.x", nil
	case "5.4":
		return "7.x", nil
	case "6.0", "6.1":
		return "8.x", nil
	}
	workspace, err := optional(src, pnpmWorkspace, maxNpmrc)
	if err != nil {
		return "", err
	}
	if workspace != nil && !onlyPackages(workspace) {
		return "10.x", nil
	}
	return "9.x", nil
}

var topKey = regexp.MustCompile(`(?m)^([A-Za-z]\w*):`)

// onlyPackages tells whether a pnpm-workspace.yaml has nothing but what pnpm 9 reads in it.
func onlyPackages(text []byte) bool {
	found := false
	for _, key := range topKey.FindAllSubmatch(text, -1) {
		switch string(key[1]) {
		case "packages":
			found = true
		case "catalog", "catalogs":
		default:
			return false
		}
	}
	return found
}

// setting is a top-level scalar of a YAML file, or "".
func setting(text []byte, name string) string {
	r := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:[ \t]*["']?([^"'#\r\n]*)`)
	m := r.FindSubmatch(text)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(string(m[1]))
}

// lockWarnings tell of lockfiles that nobody reads, and of one that is missing.
func (m *manager) lockWarnings() (w []string) {
	if m.lock == "" {
		w = append(w, fmt.Sprintf("%s is missing: every build may get other versions. Run %s install and commit the file.", m.ownLock(), m.program()))
	}
	for _, other := range m.unread {
		if m.lock != "" {
			w = append(w, fmt.Sprintf("Both %s and %s are there; only %s is read, by %s. Remove the other one, or name the right package manager in package.json: \"packageManager\".",
				m.lock, other, m.lock, spoken(m.Name)))
			continue
		}
		w = append(w, fmt.Sprintf("%s is not read: %s asks for %s.", other, m.reason, spoken(m.Name)))
	}
	return w
}

func (m *manager) ownLock() string {
	return map[string]string{npm: "package-lock.json", yarn: "yarn.lock", berry: "yarn.lock", pnpm: "pnpm-lock.yaml", bun: "bun.lock"}[m.Name]
}

// program is what is typed to run it.
func (m *manager) program() string { return family(m.Name) }
