package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The validation suite, one program a test, each a folder of its module.
const (
	suiteModule  = "github.com/opencontainers/runtime-tools"
	suiteVersion = "v0.9.1-0.20250523060157-0ea5ed0382a2"
)

// suite is the built programs with what they need beside them: they run in its directory.
type suite struct {
	dir      string
	bundles  string // where the programs make theirs
	programs []string
}

// quick are programs that end fast and together see most of what a runtime does.
func quick() []string {
	return []string{
		"default", "hostname", "kill_no_effect", "linux_cgroups_cpus", "linux_devices", "linux_masked_paths",
		"linux_ns_path", "linux_seccomp", "linux_uid_mappings", "mounts", "process_user", "root_readonly_true",
	}
}

// peer is one runtime under the suite.
type peer struct {
	name, path string
	version    string // the newest spec version it accepts; empty: whatever the programs say
	hide       bool   // it cannot stand a hybrid host
}

func TestValidation(t *testing.T) {
	ours := peer{name: "paas", path: binary(t)}
	if !*all {
		s := newSuite(t, quick())
		for _, program := range s.programs {
			t.Run(program, func(t *testing.T) {
				t.Parallel() // they mostly wait
				if got := s.run(t, ours, program, t.TempDir()); !got.passed() {
					t.Errorf("%s\n%s", got, got.output)
				}
			})
		}
		return
	}
	s := newSuite(t, wanted())
	table := map[string]map[string]verdict{}
	peers := []peer{{name: "crun", path: lookPath(t, "crun"), version: "1.0.2", hide: true}, {name: "runc", path: lookPath(t, "runc")}}
	for _, p := range append(peers, ours) {
		t.Run(p.name, func(t *testing.T) { table[p.name] = s.judge(t, p, s.programs) })
	}
	for _, p := range peers {
		t.Run("against "+p.name, func(t *testing.T) { s.compare(t, p, table) })
	}
	report.validation = s.markdown(table)
}

func wanted() []string {
	if *only == "" {
		return nil
	}
	return strings.Split(*only, ",")
}

// racing are programs whose verdict is who was faster: they kill a process that ends by itself at once. On a busy
// machine one of them passes now and then on a runtime whose start does not wait until the process was executed.
func racing() []string { return []string{"pidfile"} }

// compare fails for each program that does better on a peer, and does so again: one passes by luck.
func (s *suite) compare(t *testing.T, p peer, table map[string]map[string]verdict) {
	for _, program := range s.programs {
		if slices.Contains(racing(), program) {
			continue
		}
		got, theirs := table["paas"][program], table[p.name][program]
		if got.worth() >= theirs.worth() {
			continue
		}
		if again := s.judge(t, p, []string{program})[program]; got.worth() < again.worth() {
			t.Errorf("%s: %s on %s, here: %s\n%s", program, again, p.name, got, got.output)
		}
	}
}

func lookPath(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("install Debian's package %s: %v", program, err)
	}
	return path
}

// newSuite builds the named programs, or all.
func newSuite(t *testing.T, names []string) *suite {
	t.Helper()
	s := &suite{dir: t.TempDir(), bundles: openDir(t)}
	out, err := exec.Command("go", "mod", "download", "-json", suiteModule+"@"+suiteVersion).Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Error != "" {
		t.Fatalf("download %s: %v %s", suiteModule, err, module.Error)
	}
	source := filepath.Join(s.dir, "source")
	if err := copySource(source, module.Dir); err != nil {
		t.Fatal(err)
	}
	if s.programs, err = programs(filepath.Join(source, "validation"), names); err != nil {
		t.Fatal(err)
	}
	s.build(t, source)
	return s
}

// openDir makes a directory that other users may enter: to peers that counts in a user namespace.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "paas-bundles-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unmountBelow(dir)
		_ = os.RemoveAll(dir)
	})
	return dir
}

// copySource copies the module, whose files in the cache are read-only and whose list of vendored modules
// names sources that are not in it.
func copySource(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(to, "vendor"))
}

func programs(dir string, names []string) ([]string, error) {
	if names != nil {
		return names, nil
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "util" {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (s *suite) build(t *testing.T, source string) {
	t.Helper()
	builds := [][]string{{"build", "-mod=mod", "-o", s.dir + "/", "./cmd/runtimetest"}, {"build", "-mod=mod", "-o", filepath.Join(s.dir, "bin") + "/"}}
	for _, p := range s.programs {
		builds[1] = append(builds[1], "./validation/"+p)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range builds {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0") // static: it runs in the container
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the validation suite: %v\n%s", err, out)
		}
	}
	const rootfs = "rootfs-amd64.tar.gz"
	if err := os.Rename(filepath.Join(source, rootfs), filepath.Join(s.dir, rootfs)); err != nil {
		t.Fatal(err)
	}
}

// verdict is how one program ended (Test Anything Protocol). Some programs assert nothing when all is well
// and complain in a diagnostic when it is not: a TAP harness takes both for skipped.
type verdict struct {
	ok, notOK int
	complains bool // in a diagnostic, without an assertion
	failed    bool // it did not end well, whatever it counted
	output    string
}

func (v verdict) passed() bool { return v.String() == "pass" }

func (v verdict) String() string {
	switch {
	case v.failed || v.notOK > 0:
		return "fail"
	case v.ok > 0:
		return "pass"
	case v.complains:
		return "skip, with a complaint"
	default:
		return "skip, content"
	}
}

// worth orders verdicts: failing, complaining, content, passing.
func (v verdict) worth() int {
	return slices.Index([]string{"fail", "skip, with a complaint", "skip, content", "pass"}, v.String())
}

// judge runs programs with the runtime.
func (s *suite) judge(t *testing.T, p peer, programs []string) map[string]verdict {
	if p.hide {
		hideHybrid(t)
	}
	root := t.TempDir()
	verdicts := make(map[string]verdict)
	for _, program := range programs {
		verdicts[program] = s.run(t, p, program, root)
		s.clean(t, p, root)
	}
	return verdicts
}

const programTimeout = 90 * time.Second

func (s *suite) run(t *testing.T, p peer, program, root string) verdict {
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "bin", program))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+s.bundles, "RUNTIME="+self, standInRuntime+"="+p.path, standInRoot+"="+root, standInVersion+"="+p.version)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	v := parseTAP(string(out))
	v.failed = err != nil
	if *all {
		t.Logf("%s: %s, %d ok, %d not ok", program, v, v.ok, v.notOK)
	}
	return v
}

func parseTAP(output string) verdict {
	v := verdict{output: output}
	for line := range strings.Lines(output) {
		switch {
		case strings.HasPrefix(line, "not ok"):
			v.notOK++
		case strings.HasPrefix(line, "    \"error\":"):
			v.complains = true
		case strings.HasPrefix(line, "ok") && !strings.Contains(strings.ToLower(line), "# skip"):
			v.ok++
		}
	}
	return v
}

// clean removes what a program, or a runtime, left: containers first, then the groups that the suite names.
func (s *suite) clean(t *testing.T, p peer, root string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = exec.Command(p.path, "--root", root, "delete", "--force", e.Name()).Run()
			_ = os.RemoveAll(filepath.Join(root, e.Name()))
		}
	}
	for _, dir := range suiteGroups() {
		removeGroup(dir)
	}
	unmountBelow(s.bundles)
}

// unmountBelow takes back what came out of a container that shares its mounts with the host.
func unmountBelow(dir string) {
	table, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[1], dir+"/") {
			_ = unix.Unmount(fields[1], unix.MNT_DETACH)
		}
	}
}

// suiteGroups finds the control groups that the validation programs ask for, inner ones first.
func suiteGroups() []string {
	var dirs []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if !d.IsDir() {
			return nil
		}
		if slices.Contains(strings.Split(path, "/"), "cgrouptest") || d.Name() == "testdir" {
			dirs = append(dirs, path)
		}
		return nil
	})
	slices.Reverse(dirs)
	return dirs
}

// removeGroup ends what is in a group and removes it; a frozen process dies when it thaws.
func removeGroup(dir string) {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0)
	for range 100 {
		if err := unix.Rmdir(dir); err != unix.EBUSY {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *suite) markdown(table map[string]map[string]verdict) string {
	var b strings.Builder
	b.WriteString("| program | crun | runc | paas |\n|---|---|---|---|\n")
	for _, program := range s.programs {
		if slices.Contains(racing(), program) {
			fmt.Fprintf(&b, "| %s | a race | a race | **a race** |\n", program)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", program, table["crun"][program], table["runc"][program], bold(table["paas"][program]))
	}
	fmt.Fprintf(&b, "| **passed of %d** | %s | %s | **%s** |\n", len(s.programs), count(table["crun"]), count(table["runc"]), count(table["paas"]))
	return b.String()
}

func bold(v verdict) string { return "**" + v.String() + "**" }

func count(verdicts map[string]verdict) string {
	n := 0
	for program, v := range verdicts {
		if v.passed() && !slices.Contains(racing(), program) {
			n++
		}
	}
	return strconv.Itoa(n)
}
