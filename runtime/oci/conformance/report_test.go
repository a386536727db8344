package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// report is what the tests found out, in Markdown.
var report struct {
	validation, podman string
}

const heading = "## Runtime"

// writeReport replaces the section of the document and leaves the others as they are.
func writeReport() error {
	old, err := os.ReadFile(*document)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), heading+"\n")
	if !ok {
		return fmt.Errorf("%s has no section %q", *document, heading)
	}
	after := ""
	if i := strings.Index(rest, "\n## "); i >= 0 {
		after = rest[i:]
	}
	return os.WriteFile(*document, []byte(before+section()+after), 0o644)
}

func section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", heading)
	fmt.Fprintf(&b, "`paas oci` under the validation programs of %s %s,\neach run with `RUNTIME` set to it, side by side with Debian's %s and %s.\n", suiteModule, suiteVersion, release("crun"), release("runc"))
	fmt.Fprintf(&b, "Kernel %s, %s.\n\n", kernel(), groupsOfHost())
	b.WriteString(`A program that asserts nothing is "content", or it has a "complaint" in a diagnostic: harnesses count both as
skipped. crun is told that every configuration is of version 1.0.2, the newest it takes, and does not see the
controller of a hybrid cgroup mount, which it refuses.

`)
	b.WriteString(report.validation)
	b.WriteString(notes)
	fmt.Fprintf(&b, "\n### Podman\n\nDebian's %s with `--runtime` pointing at `paas-oci`, `--cgroup-manager cgroupfs`, the vfs storage driver and an\nimage of busybox.\n\n| case | result |\n|---|---|\n%s", release("podman"), report.podman)
	return b.String()
}

// notes say why some programs pass nowhere.
const notes = `
Why some pass nowhere:

* ` + "`linux_cgroups_*blkio`, `*hugetlb`, `*network`" + `: the host has no such controller, or no scheduler that weighs.
* ` + "`linux_cgroups_*memory`" + ` wants a limit on kernel memory alone, which Linux 6.1 removed.
* ` + "`process_rlimits`, `process_capabilities`" + ` want what only CAP_SYS_RESOURCE allows; a virtual machine may lack it.
* ` + "`linux_process_apparmor_profile`" + ` needs AppArmor.
* ` + "`misc_props`" + ` starts a program that it did not put into the bundle and wants that to succeed.
* ` + "`start`" + ` wants a start without a process to succeed, which runtime.md says must be an error.
* ` + "`hooks`" + ` reads its output after it removed the bundle; ` + "`prestart`" + ` wants prestart hooks to run at start, as version 1.0.0
  of the specification had it.
* ` + "`pidfile`" + ` kills a process that ends by itself at once: it passes when the kill is faster, on any runtime, and counts
  for none.
`

func release(program string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}", program).Output()
	if err != nil {
		return program
	}
	return string(out)
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func groupsOfHost() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "cgroup v2"
	}
	return "cgroup v1"
}
