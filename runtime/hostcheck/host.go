// Package hostcheck finds out whether a host can do what the platform needs of it: kernel features, the
// distribution's restrictions, disk, clock, names. Every check is one finding with what mends it.
package hostcheck

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// Host is the machine to look at. A test gives it another Root for what is read from /proc and /sys.
type Host struct {
	Root string // "/"
	Dir  string // the platform's data directory
}

func (h Host) read(path string) string {
	b, err := os.ReadFile(filepath.Join(h.Root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func fine(check, format string, args ...any) platform.Finding {
	return platform.Finding{Check: check, Grade: platform.Fine, Text: fmt.Sprintf(format, args...)}
}

func found(grade platform.Grade, check, fix, format string, args ...any) platform.Finding {
	return platform.Finding{Check: check, Grade: grade, Fix: fix, Text: fmt.Sprintf(format, args...)}
}

// Kernel checks what the containers are made of.
func (h Host) Kernel() []platform.Finding {
	return []platform.Finding{
		h.release(), h.seccomp(), h.landlock(), h.userNamespaces(), h.appArmor(), h.overlay(), h.resources(), h.pressure(),
	}
}

// The kernel's versions that matter: id-mapped mounts of what overlayfs stands on came with 5.19.
const (
	leastMajor, leastMinor   = 5, 15
	wantedMajor, wantedMinor = 6, 1
)

func (h Host) release() platform.Finding {
	text := h.read("proc/sys/kernel/osrelease")
	var major, minor int
	if _, err := fmt.Sscanf(text, "%d.%d", &major, &minor); err != nil {
		return found(platform.Warning, "kernel", "", "Its version %q cannot be read.", text)
	}
	switch {
	case older(major, minor, leastMajor, leastMinor):
		return found(platform.Failing, "kernel", "install a kernel of 6.1 or newer", "Linux %s is too old: containers need %d.%d.", text, leastMajor, leastMinor)
	case older(major, minor, wantedMajor, wantedMinor):
		return found(platform.Warning, "kernel", "install a kernel of 6.1 or newer", "Linux %s works with less: layers are copied where newer kernels map owners.", text)
	}
	return fine("kernel", "Linux %s has all that is needed.", text)
}

func older(major, minor, thanMajor, thanMinor int) bool {
	return major < thanMajor || major == thanMajor && minor < thanMinor
}

func (h Host) seccomp() platform.Finding {
	if !strings.Contains(h.read("proc/sys/kernel/seccomp/actions_avail"), "errno") {
		return found(platform.Failing, "seccomp", "boot a kernel with CONFIG_SECCOMP_FILTER", "The kernel filters no system calls.")
	}
	return fine("seccomp", "System calls of apps are filtered.")
}

// landlock asks for the version of its interface (landlock(7)). It is not used, so its absence is no warning.
func (h Host) landlock() platform.Finding {
	const askVersion = 1 // LANDLOCK_CREATE_RULESET_VERSION
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askVersion)
	if errno != 0 {
		return fine("landlock", "The kernel has it not; the walls do not stand on it.")
	}
	return fine("landlock", "Apps may use it (version %d); the walls do not stand on it.", version)
}

// userNamespaces checks the two sysctls that can take them away (user_namespaces(7), Debian's own one).
// Debian's is for other users than root, so it does no harm.
func (h Host) userNamespaces() platform.Finding {
	most, err := strconv.Atoi(h.read("proc/sys/user/max_user_namespaces"))
	switch {
	case err != nil:
		return found(platform.Failing, "user namespaces", "boot a kernel with CONFIG_USER_NS", "The kernel has none.")
	case most == 0:
		return found(platform.Failing, "user namespaces", "sysctl -w user.max_user_namespaces=65536", "They are turned off.")
	case most < 1000:
		return found(platform.Warning, "user namespaces", "sysctl -w user.max_user_namespaces=65536", "There can be %d of them, one for every container.", most)
	}
	return fine("user namespaces", "Root in an app is nobody on the host.")
}

// appArmor: since Ubuntu 23.10 an unconfined program of an ordinary user gets a user namespace without
// rights. The daemon is root and confined by nothing, to whom that does not apply; a profile for it might.
func (h Host) appArmor() platform.Finding {
	const path = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	profile := h.read("proc/self/attr/apparmor/current")
	confined := profile != "" && !strings.HasPrefix(profile, "unconfined")
	if h.read(path) == "1" && confined {
		return found(platform.Failing, "apparmor", "aa-disable "+strings.Fields(profile)[0],
			"The daemon runs under the profile %q, and AppArmor takes the rights of user namespaces away.", profile)
	}
	if h.read(path) == "1" {
		return fine("apparmor", "It restricts user namespaces of ordinary users, which the daemon is not.")
	}
	return fine("apparmor", "It does not restrict user namespaces.")
}

func (h Host) overlay() platform.Finding {
	for line := range strings.Lines(h.read("proc/filesystems")) {
		if strings.HasSuffix(strings.TrimSpace(line), "overlay") {
			return fine("overlayfs", "Containers share the layers of their images.")
		}
	}
	return found(platform.Failing, "overlayfs", "modprobe overlay", "The kernel has no overlayfs loaded.")
}

// resources: without CAP_SYS_RESOURCE the daemon can neither raise hard limits nor lower its OOM score.
func (h Host) resources() platform.Finding {
	for line := range strings.Lines(h.read("proc/self/status")) {
		value, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err == nil && mask&(1<<unix.CAP_SYS_RESOURCE) == 0 {
			return found(platform.Warning, "capabilities", "start it by systemd, or as root outside of containers",
				"The daemon lacks CAP_SYS_RESOURCE: hard limits cannot be raised, and the kernel may take it like any other process.")
		}
	}
	return fine("capabilities", "The daemon has what it needs.")
}

func (h Host) pressure() platform.Finding {
	if h.read("proc/pressure/memory") == "" {
		return found(platform.Warning, "pressure", "boot with psi=1", "The kernel does not measure what processes wait for.")
	}
	return fine("pressure", "The kernel measures what processes wait for.")
}

// Share of the disk, and bytes, that should be free.
const (
	scarceShare, lastShare = 0.10, 0.03
	scarceBytes, lastBytes = 5 << 30, 1 << 30
)

// Disk checks the room for images and what apps write, in bytes and in files.
func (h Host) Disk() platform.Finding {
	var st unix.Statfs_t
	if err := unix.Statfs(h.Dir, &st); err != nil {
		return found(platform.Failing, "disk", "", "%s cannot be looked at: %v.", h.Dir, err)
	}
	free, total := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	fix := "ssh paas builds:prune --all, or a larger disk"
	text := fmt.Sprintf("%s of %s are free on the file system of %s.", platform.Bytes(free), platform.Bytes(total), h.Dir)
	share := float64(free) / float64(max(total, 1))
	files := float64(st.Ffree) / float64(max(st.Files, 1))
	switch {
	case share < lastShare && free < scarceBytes || free < lastBytes:
		return found(platform.Failing, "disk", fix, "%s", text)
	case share < scarceShare && free < 4*scarceBytes || free < scarceBytes:
		return found(platform.Warning, "disk", fix, "%s", text)
	case st.Files > 0 && files < lastShare:
		return found(platform.Warning, "disk", fix, "Only %.0f%% of the inodes are free on the file system of %s.", 100*files, h.Dir)
	}
	return fine("disk", "%s", text)
}

// Clock asks the kernel whether anything keeps the clock right (adjtimex(2)): certificates and logs need it.
func (h Host) Clock() platform.Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	year := time.Now().Year()
	switch {
	case year < 2024:
		return found(platform.Failing, "clock", "timedatectl set-ntp true", "It says %d.", year)
	case err != nil:
		return found(platform.Warning, "clock", "", "The kernel does not say whether it is right: %v.", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return found(platform.Warning, "clock", "apt install systemd-timesyncd && timedatectl set-ntp true", "Nothing keeps it right.")
	}
	return fine("clock", "It is kept right.")
}

const nameTime = 5 * time.Second

// Names asks for the host's own name and for one of the world's.
func (h Host) Names(ctx context.Context) platform.Finding {
	if !strings.Contains(h.read("etc/resolv.conf"), "nameserver") {
		return found(platform.Warning, "names", "write a nameserver into /etc/resolv.conf", "The host has no name server.")
	}
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, "localhost"); err != nil {
		return found(platform.Warning, "names", "write 127.0.0.1 localhost into /etc/hosts", "localhost is not known: %v.", err)
	}
	if _, err := net.DefaultResolver.LookupNS(ctx, "."); err != nil {
		return found(platform.Warning, "names", "see /etc/resolv.conf", "Its name server does not answer: builds that download something will fail.")
	}
	return fine("names", "The name server answers.")
}
