package hostile_test

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// rightsLayer has programs whose mode or attributes would give rights.
func rightsLayer(dir string) error {
	if err := os.Mkdir(dir+"/rights", 0o755); err != nil {
		return err
	}
	return errors.Join(
		copyProgram(dir+"/rights/setuid", 0o755|os.ModeSetuid),
		copyProgram(dir+"/rights/setgid", 0o755|os.ModeSetgid),
		copyProgram(dir+"/rights/filecaps", 0o755),
		copyProgram(dir+"/rights/filecaps3", 0o755),
		unix.Setxattr(dir+"/rights/filecaps", "security.capability", fileCapabilities(2), 0),
		unix.Setxattr(dir+"/rights/filecaps3", "security.capability", fileCapabilities(3), 0),
	)
}

// fileCapabilities gives all of them, effective, in a format's revision (struct vfs_ns_cap_data,
// linux/capability.h); revision 3 names the user who is root, here 0.
func fileCapabilities(revision uint32) []byte {
	words := []uint32{revision<<24 | 1, ^uint32(0), 0, ^uint32(0) >> 23, 0}
	if revision == 3 {
		words = append(words, 0)
	}
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// nodesLayer has device nodes, as no layer that was extracted by us could.
func nodesLayer(dir string) error {
	if err := os.Mkdir(dir+"/nodes", 0o755); err != nil {
		return err
	}
	return errors.Join(
		unix.Mknod(dir+"/nodes/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))),
		unix.Mknod(dir+"/nodes/mem", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1))),
	)
}
