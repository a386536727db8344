package oci

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountPlan is one mount of the configuration with its options taken apart.
type mountPlan struct {
	specs.Mount
	bind      bool
	recursive bool     // of a bind: with what is mounted below
	copyUp    bool     // a tmpfs gets what the directory held
	mapped    bool     // by the container's own id maps
	attrs     attrs    // of the mount itself
	below     attrs    // of it and all mounts below
	spread    int      // propagation, MS_… with MS_REC; 0: nothing was said
	data      []string // what the file system is told
}

// attrs are MOUNT_ATTR_… to set and to clear (mount_setattr(2)).
type attrs struct{ set, clear uint64 }

func (a *attrs) add(b attrs) {
	a.set, a.clear = a.set&^b.clear|b.set, a.clear&^b.set|b.clear
}

// attrOption is a mount option that is an attribute. "r" before its name makes it recursive
// (config.md, "Linux mount options").
func attrOptions() map[string]attrs {
	const atime = unix.MOUNT_ATTR__ATIME
	return map[string]attrs{
		"ro": {unix.MOUNT_ATTR_RDONLY, 0}, "rw": {0, unix.MOUNT_ATTR_RDONLY},
		"nosuid": {unix.MOUNT_ATTR_NOSUID, 0}, "suid": {0, unix.MOUNT_ATTR_NOSUID},
		"nodev": {unix.MOUNT_ATTR_NODEV, 0}, "dev": {0, unix.MOUNT_ATTR_NODEV},
		"noexec": {unix.MOUNT_ATTR_NOEXEC, 0}, "exec": {0, unix.MOUNT_ATTR_NOEXEC},
		"nodiratime": {unix.MOUNT_ATTR_NODIRATIME, 0}, "diratime": {0, unix.MOUNT_ATTR_NODIRATIME},
		"nosymfollow": {unix.MOUNT_ATTR_NOSYMFOLLOW, 0}, "symfollow": {0, unix.MOUNT_ATTR_NOSYMFOLLOW},
		"noatime": {unix.MOUNT_ATTR_NOATIME, atime}, "atime": {0, atime}, "relatime": {0, atime}, "norelatime": {0, atime},
		"strictatime": {unix.MOUNT_ATTR_STRICTATIME, atime}, "nostrictatime": {0, atime},
	}
}

// ignoredOptions mean nothing to a kernel file system.
func ignoredOptions() []string {
	return []string{"", "defaults", "async", "nomand", "mand", "loud", "noiversion", "nolazytime", "nofail", "_netdev", "bind", "rbind"}
}

// planMount takes a mount's options apart. The order counts: later ones win.
func planMount(m specs.Mount) mountPlan {
	p := mountPlan{Mount: m}
	p.Destination = path.Clean("/" + m.Destination)
	p.bind = m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
	p.recursive = slices.Contains(m.Options, "rbind")
	for _, option := range m.Options {
		p.option(option)
	}
	return p
}

func (p *mountPlan) option(option string) {
	table := attrOptions()
	if a, ok := table[option]; ok {
		p.attrs.add(a)
		return
	}
	if a, ok := table[strings.TrimPrefix(option, "r")]; ok {
		p.below.add(a)
		return
	}
	if flag, ok := propagationFlag(option); ok {
		p.spread = flag
		return
	}
	switch {
	case option == "tmpcopyup":
		p.copyUp = true
	case option == "idmap" || option == "ridmap":
		p.mapped = true
	case !slices.Contains(ignoredOptions(), option):
		p.data = append(p.data, option)
	}
}

// knownMountOptions is what features tells.
func knownMountOptions() []string {
	options := []string{"bind", "rbind", "tmpcopyup", "idmap", "ridmap", "sync", "dirsync", "lazytime", "defaults"}
	for name := range attrOptions() {
		options = append(options, name, "r"+name)
	}
	for _, name := range []string{"shared", "slave", "private", "unbindable"} {
		options = append(options, name, "r"+name)
	}
	slices.Sort(options)
	return slices.Compact(options)
}
