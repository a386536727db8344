// Package oci is the runtime-spec command line: containers as other engines describe them, in a bundle with
// a config.json (opencontainers/runtime-spec, config.md and runtime.md), started by create and start.
//
//	create   config.json -> checked -> cgroup -> clone -> the stage: mounts, devices, masks, pivot_root
//	                                                       waits on a socket in the state directory
//	start    connects to that socket -> the stage gives up its rights and executes the process
//	state    what the state directory says, corrected by what /proc says
//	kill     a signal to the process, or with --all to everything in its cgroup
//	delete   cgroup, state directory, poststop hooks
//
// The container's process is process 1 itself: no init of ours stays, as the specification has it.
package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"paas/platform"
)

// maxConfig bounds config.json in bytes: it comes from another engine.
const maxConfig = 16 << 20

// Load reads and checks the bundle's config.json.
func Load(bundle string) (*specs.Spec, error) {
	name := filepath.Join(bundle, "config.json")
	info, err := os.Stat(name)
	if err != nil {
		return nil, platform.Errorf(platform.NotFound, "no bundle in %s: %v", bundle, err).
			WithHint("--bundle names the directory that holds config.json")
	}
	if info.Size() > maxConfig {
		return nil, platform.Errorf(platform.Failed, "%s is larger than %d bytes", name, maxConfig)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	return Parse(text)
}

// Parse reads a configuration and refuses what this runtime cannot do or what contradicts itself. Unknown
// properties are ignored, as config.md demands under "Extensibility".
func Parse(text []byte) (*specs.Spec, error) {
	s := &specs.Spec{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, platform.Errorf(platform.Failed, "config.json cannot be read: %v", err)
	}
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
	}
	if s.Hooks == nil {
		s.Hooks = &specs.Hooks{}
	}
	checks := []func(*specs.Spec) error{
		checkVersion, checkRoot, checkMounts, checkNamespaces, checkMappings, checkSysctls, checkDevices,
		checkHooks, checkSeccomp, checkPropagation,
	}
	for _, check := range checks {
		if err := check(s); err != nil {
			return nil, platform.Errorf(platform.Failed, "config.json: %v", err)
		}
	}
	if s.Process == nil {
		return s, nil
	}
	if err := CheckProcess(s.Process); err != nil {
		return nil, platform.Errorf(platform.Failed, "config.json: %v", err)
	}
	return s, nil
}

// versionPattern is Semantic Versioning 2.0.0 with our major version.
var versionPattern = regexp.MustCompile(`^1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

func checkVersion(s *specs.Spec) error {
	if !versionPattern.MatchString(s.Version) {
		return fmt.Errorf("ociVersion %q is not a version 1", s.Version)
	}
	return nil
}

func checkRoot(s *specs.Spec) error {
	switch {
	case s.Root == nil || s.Root.Path == "":
		return errors.New("root.path is missing")
	case strings.Contains(s.Root.Path, "\x00"):
		return errors.New("root.path holds a zero byte")
	}
	return nil
}

func checkMounts(s *specs.Spec) error {
	for i, m := range s.Mounts {
		if m.Destination == "" {
			return fmt.Errorf("mount %d has no destination", i)
		}
		if strings.Contains(m.Destination+m.Source+m.Type+strings.Join(m.Options, ""), "\x00") {
			return fmt.Errorf("mount %d holds a zero byte", i)
		}
		if (m.UIDMappings == nil) != (m.GIDMappings == nil) {
			return fmt.Errorf("mount %s maps only one of uids and gids", m.Destination)
		}
	}
	return nil
}

func checkNamespaces(s *specs.Spec) error {
	seen := make(map[specs.LinuxNamespaceType]bool)
	for _, ns := range s.Linux.Namespaces {
		if _, ok := namespaceFlag(ns.Type); !ok {
			return fmt.Errorf("namespace type %q is unknown", ns.Type)
		}
		if seen[ns.Type] {
			return fmt.Errorf("namespace %s is named twice", ns.Type)
		}
		if ns.Path != "" && !path.IsAbs(ns.Path) {
			return fmt.Errorf("namespace %s: path %q is not absolute", ns.Type, ns.Path)
		}
		seen[ns.Type] = true
	}
	if (s.Hostname != "" || s.Domainname != "") && !seen[specs.UTSNamespace] {
		return errors.New("a hostname needs a uts namespace")
	}
	if len(s.Linux.TimeOffsets) > 0 && !seen[specs.TimeNamespace] {
		return errors.New("time offsets need a time namespace")
	}
	return nil
}

func checkMappings(s *specs.Spec) error {
	fresh := has(s, specs.UserNamespace) == created
	mapped := len(s.Linux.UIDMappings) > 0 || len(s.Linux.GIDMappings) > 0
	if mapped && !fresh && has(s, specs.UserNamespace) == absent {
		return errors.New("id mappings need a user namespace")
	}
	if fresh && (len(s.Linux.UIDMappings) == 0 || len(s.Linux.GIDMappings) == 0) {
		return errors.New("a new user namespace needs uidMappings and gidMappings")
	}
	for _, m := range slices.Concat(s.Linux.UIDMappings, s.Linux.GIDMappings) {
		if m.Size == 0 || uint64(m.HostID)+uint64(m.Size) > 1<<32 || uint64(m.ContainerID)+uint64(m.Size) > 1<<32 {
			return fmt.Errorf("id mapping %d %d %d is not a range of ids", m.ContainerID, m.HostID, m.Size)
		}
	}
	return nil
}

// checkSysctls keeps writes away from what all of the host shares: a sysctl must belong to a namespace of
// the container's own (namespaces(7), proc_sys(5)).
func checkSysctls(s *specs.Spec) error {
	for key, value := range s.Linux.Sysctl {
		name := strings.ReplaceAll(key, "/", ".")
		if strings.Contains(name+value, "\x00") || strings.Contains(name, "..") {
			return fmt.Errorf("sysctl %q is not a name", key)
		}
		owner, ok := sysctlOwner(name)
		if !ok {
			return fmt.Errorf("sysctl %s belongs to the host", key)
		}
		if has(s, owner) == absent {
			return fmt.Errorf("sysctl %s needs a namespace of type %s", key, owner)
		}
	}
	return nil
}

func sysctlOwner(name string) (specs.LinuxNamespaceType, bool) {
	switch {
	case strings.HasPrefix(name, "net."):
		return specs.NetworkNamespace, true
	case name == "kernel.domainname" || name == "kernel.hostname":
		return specs.UTSNamespace, true
	case strings.HasPrefix(name, "fs.mqueue."), strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"),
		name == "kernel.sem":
		return specs.IPCNamespace, true
	}
	return "", false
}

func checkDevices(s *specs.Spec) error {
	for _, d := range s.Linux.Devices {
		if !path.IsAbs(d.Path) || strings.Contains(d.Path, "\x00") {
			return fmt.Errorf("device path %q is not absolute", d.Path)
		}
		if !slices.Contains([]string{"c", "u", "b", "p"}, d.Type) {
			return fmt.Errorf("device %s has the unknown type %q", d.Path, d.Type)
		}
		if d.Major < 0 || d.Minor < 0 || d.Major > 0xfff || d.Minor > 0xfffff {
			return fmt.Errorf("device %s has no such number: %d:%d", d.Path, d.Major, d.Minor)
		}
	}
	if s.Linux.Resources == nil {
		return nil
	}
	for i, d := range s.Linux.Resources.Devices {
		if !slices.Contains([]string{"", "a", "c", "b"}, d.Type) || strings.Trim(d.Access, "rwm") != "" {
			return fmt.Errorf("device rule %d is malformed: %q %q", i, d.Type, d.Access)
		}
	}
	return nil
}

func checkHooks(s *specs.Spec) error {
	h := s.Hooks
	for _, hook := range slices.Concat(prestart(h), h.CreateRuntime, h.CreateContainer, h.StartContainer, h.Poststart, h.Poststop) {
		if !path.IsAbs(hook.Path) {
			return fmt.Errorf("hook path %q is not absolute", hook.Path)
		}
		if hook.Timeout != nil && *hook.Timeout <= 0 {
			return fmt.Errorf("hook %s: its timeout must be more than zero seconds", hook.Path)
		}
	}
	return nil
}

// prestart is deprecated, but engines and their plugins have such hooks.
func prestart(h *specs.Hooks) []specs.Hook {
	return h.Prestart //nolint:staticcheck // see above
}

func checkPropagation(s *specs.Spec) error {
	if p := s.Linux.RootfsPropagation; p != "" {
		if _, ok := propagationFlag(p); !ok {
			return fmt.Errorf("rootfsPropagation %q is unknown", p)
		}
	}
	return nil
}

// CheckProcess refuses a process that cannot be executed as it is described.
func CheckProcess(p *specs.Process) error {
	switch {
	case len(p.Args) == 0:
		return errors.New("process.args is empty")
	case !path.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd %q is not absolute", p.Cwd)
	case strings.Contains(p.Cwd+strings.Join(p.Args, "")+strings.Join(p.Env, ""), "\x00"):
		return errors.New("process holds a zero byte")
	case p.OOMScoreAdj != nil && (*p.OOMScoreAdj < -1000 || *p.OOMScoreAdj > 1000):
		return fmt.Errorf("oomScoreAdj %d is not between -1000 and 1000", *p.OOMScoreAdj)
	case p.SelinuxLabel != "":
		return errors.New("selinuxLabel is not supported")
	case p.ApparmorProfile != "" && !apparmorThere():
		return errors.New("apparmorProfile is set, but this kernel has no AppArmor")
	}
	if err := checkCapabilities(p.Capabilities); err != nil {
		return err
	}
	if err := checkSchedule(p); err != nil {
		return err
	}
	return checkRlimits(p.Rlimits)
}

func apparmorThere() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(text), "Y")
}

func checkCapabilities(c *specs.LinuxCapabilities) error {
	if c == nil {
		return nil
	}
	for _, name := range slices.Concat(c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient) {
		if _, ok := capabilityBit(name); !ok {
			return fmt.Errorf("capability %q is unknown", name)
		}
	}
	return nil
}

func checkRlimits(limits []specs.POSIXRlimit) error {
	seen := make(map[string]bool)
	for _, l := range limits {
		if _, ok := rlimitNumber(l.Type); !ok {
			return fmt.Errorf("rlimit %q is unknown", l.Type)
		}
		if seen[l.Type] {
			return fmt.Errorf("rlimit %s is set twice", l.Type)
		}
		if l.Soft > l.Hard {
			return fmt.Errorf("rlimit %s: the soft limit is above the hard one", l.Type)
		}
		seen[l.Type] = true
	}
	return nil
}

// presence is how a container comes by a namespace.
type presence int

const (
	absent  presence = iota // it stays in the runtime's
	created                 // a new one
	joined                  // one that is there already, by its path
)

func has(s *specs.Spec, kind specs.LinuxNamespaceType) presence {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type != kind {
			continue
		}
		if ns.Path != "" {
			return joined
		}
		return created
	}
	return absent
}
