package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestInstallScriptsAreClean(t *testing.T) {
	needPrograms(t, "shellcheck")
	scripts := []string{"install.sh", "cmd/paas/go.sh", "cmd/paas/demo.sh", ".ci/run"}
	cmd := exec.Command("shellcheck", scripts...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "install.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines >= 300 {
		t.Errorf("install.sh has %d lines, a person reads 299", lines)
	}
	if !strings.HasSuffix(string(text), "\nmain \"$@\"\n") {
		t.Error("install.sh must not do anything before its last line")
	}
}

func TestInstallRefusesWrongOptions(t *testing.T) {
	h := newTestHost(t)
	key := "--admin-key=" + h.key
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"--bogus", 2, "no option --bogus"},
		{"--http-port", 2, "--http-port needs a value"},
		{"--http-port 0", 2, "0 does not fit --http-port"},
		{"--https-port maybe", 2, "maybe does not fit --https-port"},
		{"--ssh-port 65536", 2, "65536 does not fit --ssh-port"},
		{"--ssh-port=2x", 2, "2x does not fit --ssh-port"},
		{"--domain Up.Case", 2, "does not fit --domain"},
		{"--domain a\"b", 2, "does not fit --domain"},
		{"--data relative", 2, "does not fit --data"},
		{"--purge", 2, "--purge goes with --uninstall only"},
		{"--uninstall --purge", 2, "add --confirm " + hostname(t)},
		{"--uninstall --purge --confirm other", 2, "add --confirm " + hostname(t)},
		{"--upgrade " + key, 1, "paas is not installed here"},
		{"--archive /nowhere/paas_1_linux_amd64.tar.gz " + key, 1, "there is no file /nowhere/paas_1"},
		{"", 1, "paas needs a first admin"},
	} {
		out, status := h.install(strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(out, test.want) {
			t.Errorf("install.sh %s: status %d, want %d and %q in:\n%s", test.args, status, test.status, test.want, out)
		}
	}
	h.holdsNothing(t)
}

func TestInstallDryRunChangesNothing(t *testing.T) {
	h := newTestHost(t)
	out, status := h.install("--dry-run", "--domain", "example.test", "--admin-key", h.key)
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, out)
	}
	for _, want := range []string{
		"✓ kernel", "✓ SSH port", "would run: make ", "would write /etc/paas/paas.toml", `domain = "example.test"`,
		"would run: /usr/local/bin/paas setup --data /var/lib/paas",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	h.holdsNothing(t)
}

func TestInstallNamesWhoHoldsAPort(t *testing.T) {
	h := newTestHost(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	out, status := h.install("--admin-key", h.key, "--http-port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	if status == 0 || !strings.Contains(out, fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("status %d, want a refusal that names process %d:\n%s", status, os.Getpid(), out)
	}
	h.holdsNothing(t)
}

func TestInstallVerifiesTheArchive(t *testing.T) {
	h := newTestHost(t)
	archive := filepath.Join(h.dir, "paas_1_linux_amd64.tar.gz")
	for name, text := range map[string]string{archive: "changed on its way", filepath.Join(h.dir, "SHA256SUMS"): strings.Repeat("0", 64) + "  " + filepath.Base(archive) + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, status := h.install("--archive", archive, "--admin-key", h.key)
	if status == 0 || !strings.Contains(out, "is not what SHA256SUMS says") {
		t.Errorf("status %d:\n%s", status, out)
	}
	h.holdsNothing(t)
}

// The whole life of an installation on a machine without systemd.
func TestInstallUpgradeUninstall(t *testing.T) {
	needPrograms(t, "git", "ssh", "ssh-keygen", "mmdebstrap", "unshare", "nsenter", "make", "gcc")
	h := newTestHost(t)
	h.shareBase(t)
	must := func(want string, args ...string) {
		t.Helper()
		out, status := h.install(args...)
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("install.sh %s: status %d, want %q in:\n%s", args, status, want, out)
		}
	}
	options := []string{
		"--domain", "example.test", "--admin-key", h.key, "--data", h.data,
		"--http-port", strconv.Itoa(h.http), "--https-port", "off", "--ssh-port", strconv.Itoa(h.ssh),
	}
	must("git remote add paas paas:myapp", options...)
	must("paas is already current.", options...)
	h.in(t, "grep", "-qx", `domain = "example.test"`, "/etc/paas/paas.toml")
	h.in(t, "grep", "-qx", `https = "off"`, "/etc/paas/paas.toml")

	h.serve(t)
	first := h.over(t, "version")
	archive := h.archive(t)
	must("paas is upgraded", "--upgrade", "--archive", archive, "--domain", "other.test")
	must("paas is already current.", "--upgrade", "--archive", archive)
	h.in(t, "grep", "-qx", `domain = "example.test"`, "/etc/paas/paas.toml")
	if out, status := h.install("--uninstall"); status == 0 {
		t.Fatalf("a running paas was uninstalled:\n%s", out)
	}
	h.endDaemon()
	h.serve(t)
	if next := h.over(t, "version"); next == first || !strings.Contains(next, "next") {
		t.Errorf("version is %q after the upgrade, was %q", next, first)
	}
	h.endDaemon()

	must("Kept: "+h.data, "--uninstall")
	h.in(t, "test", "-f", filepath.Join(h.data, "paas.db"))
	must("paas is not installed", "--uninstall")
	must("git remote add paas", append(options, "--archive", archive)...)
	must("uninstall --data", "--uninstall", "--purge", "--confirm", hostname(t), "--dry-run")
	must("", "--uninstall", "--purge", "--confirm", hostname(t))
	if _, err := os.Stat(h.data); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", h.data, err)
	}
	h.holdsNothing(t)
}

// testHost is a mount namespace in which /etc, /usr/local/bin and /var/lib/paas are this test's own and
// systemd is not running, kept by a process that sleeps in it.
type testHost struct {
	dir, data, key string
	http, ssh      int
	keeper, daemon *exec.Cmd
}

func newTestHost(t *testing.T) *testHost {
	t.Helper()
	needPrograms(t, "unshare", "nsenter", "ssh-keygen")
	h := &testHost{}
	var err error
	if h.dir, err = os.MkdirTemp("/var/tmp", "paas-install-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.remove(t) })
	h.data, h.key = filepath.Join(h.dir, "data"), filepath.Join(h.dir, "key.pub")
	if h.http, h.ssh, err = freePorts(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(h.dir, "key")).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	for _, dir := range []string{"etc", "work", "bin", "var", "home"} {
		if err := os.Mkdir(filepath.Join(h.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.keep(t)
	return h
}

// keep makes the namespace. /etc is an overlay: the installer adds to it, and reads who is who from it.
func (h *testHost) keep(t *testing.T) {
	t.Helper()
	script := `set -e; cd "$1"
mount -t overlay -o lowerdir=/etc,upperdir=etc,workdir=work overlay /etc
sed -i "s|^root:.*|root:x:0:0:root:$1/home:/bin/sh|" /etc/passwd
mount --bind bin /usr/local/bin
mkdir -p /run/systemd; mount -t tmpfs none /run/systemd
rm -rf /etc/paas
echo ready; exec sleep 3600`
	h.keeper = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", h.dir)
	h.keeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	h.keeper.Stderr = os.Stderr
	out, err := h.keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.keeper.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("make a host to install on: %v", err)
	}
}

func (h *testHost) remove(t *testing.T) {
	h.endDaemon()
	if t.Failed() && h.data != "" { // whatever the failed test left running
		_ = h.command("/usr/local/bin/paas", "uninstall", "--data", h.data).Run()
	}
	if h.keeper != nil && h.keeper.Process != nil {
		_ = h.keeper.Process.Kill()
		_ = h.keeper.Wait()
	}
	if err := os.RemoveAll(h.dir); err != nil {
		t.Error(err)
	}
}

// command runs in the host's mount namespace. Nothing of the person who runs the test gets in.
func (h *testHost) command(name string, args ...string) *exec.Cmd {
	wd, _ := os.Getwd() // the empty directory makes nsenter fail with a sentence of its own
	cmd := exec.Command("nsenter", append([]string{"--mount", "--wd=" + filepath.Join(wd, "..", ".."), "--target", strconv.Itoa(h.keeper.Process.Pid), name}, args...)...)
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "SUDO_") && !strings.HasPrefix(line, "PAAS_") {
			cmd.Env = append(cmd.Env, line)
		}
	}
	return cmd
}

func (h *testHost) install(args ...string) (output string, status int) {
	cmd := h.command("sh", append([]string{"./install.sh"}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// in runs a command that must succeed.
func (h *testHost) in(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := h.command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// holdsNothing fails when anything is left of an installation.
func (h *testHost) holdsNothing(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/etc/paas", "/usr/local/bin/paas", "/usr/local/bin/paas-init", "/usr/local/bin/paas.new"} {
		if err := h.command("test", "!", "-e", path).Run(); err != nil {
			t.Errorf("%s is there", path)
		}
	}
}

// shareBase spares the installation from making the base image anew.
func (h *testHost) shareBase(t *testing.T) {
	t.Helper()
	_, template := prepared(t)
	if err := os.Mkdir(h.data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, shared := range sharedDirs {
		if err := link(filepath.Join(template, shared), filepath.Join(h.data, shared)); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts what was installed, in the way that install.sh prints where there is no systemd.
func (h *testHost) serve(t *testing.T) {
	t.Helper()
	h.daemon = h.command("/usr/local/bin/paas", "serve", "--config", "/etc/paas/paas.toml")
	h.daemon.Stderr = os.Stderr
	if err := h.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.ssh))
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("paas does not listen after 30 s")
}

func (h *testHost) endDaemon() {
	if h.daemon == nil {
		return
	}
	_ = h.daemon.Process.Signal(syscall.SIGTERM) // nsenter became paas
	_ = h.daemon.Wait()
	h.daemon = nil
}

// over runs a verb with the first admin's key and real ssh.
func (h *testHost) over(t *testing.T, words ...string) string {
	t.Helper()
	args := []string{
		"-p", strconv.Itoa(h.ssh), "-i", filepath.Join(h.dir, "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=" + filepath.Join(h.dir, "known_hosts"), "paas@127.0.0.1",
	}
	out, err := exec.Command("ssh", append(args, words...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh paas %s: %v\n%s", words, err, out)
	}
	return string(out)
}

// archive makes a release archive of another version, with its checksum beside it.
func (h *testHost) archive(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(h.dir, "release")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	buildBinary(t, dir, "-ldflags", "-X main.version=next")
	path := filepath.Join(dir, "paas_next_linux_amd64.tar.gz")
	sum := sha256.New()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(io.MultiWriter(f, sum))
	out := tar.NewWriter(zip)
	for name, from := range map[string]string{"paas": dir + "/paas", "paas-init": dir + "/paas-init", "paas.service": "paas.service"} {
		addFile(t, out, name, from)
	}
	for _, c := range []io.Closer{out, zip, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sums := fmt.Sprintf("%x  %s\n", sum.Sum(nil), filepath.Base(path))
	if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(sums), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func addFile(t *testing.T, out *tar.Writer, name, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(data); err != nil {
		t.Fatal(err)
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
