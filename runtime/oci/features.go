package oci

import (
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"paas/runtime/seccomp"
)

// Features is what this runtime can do (features.md of the specification).
func Features() features.Features {
	yes, no := true, false
	return features.Features{
		OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
		Hooks:        []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions: knownMountOptions(),
		Linux: &features.Linux{
			Namespaces: namespaceNames(), Capabilities: knownCapabilities(),
			Cgroup:   &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no, SystemdUser: &no, Rdma: &yes},
			Seccomp:  seccompFeatures(),
			Apparmor: &features.Apparmor{Enabled: &yes}, Selinux: &features.Selinux{Enabled: &no},
			IntelRdt:        &features.IntelRdt{Enabled: &no},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
		},
	}
}

func namespaceNames() (names []string) {
	for _, k := range namespaceKinds() {
		names = append(names, string(k.kind))
	}
	slices.Sort(names)
	return names
}

func knownCapabilities() (names []string) {
	all := allCapabilities()
	for i, n := range capabilityNames() {
		if all&(1<<i) != 0 {
			names = append(names, "CAP_"+n)
		}
	}
	return names
}

func seccompFeatures() *features.Seccomp {
	yes := true
	s := &features.Seccomp{Enabled: &yes, Archs: []string{"SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}}
	for _, a := range seccomp.SpecActions() {
		s.Actions = append(s.Actions, string(a))
	}
	for _, o := range seccomp.SpecOperators() {
		s.Operators = append(s.Operators, string(o))
	}
	for _, f := range slices.Sorted(maps.Keys(seccompFlags())) {
		s.KnownFlags = append(s.KnownFlags, string(f))
	}
	s.SupportedFlags = s.KnownFlags
	return s
}
