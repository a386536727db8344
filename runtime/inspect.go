package runtime

import (
	"context"
	"os"
	"strings"

	"paas/platform"
	"paas/runtime/hostcheck"
	"paas/runtime/image"
)

// Inspect implements platform.Resources.
func (r *Runtime) Inspect(ctx context.Context) []platform.Finding {
	h := hostcheck.Host{Root: "/", Dir: r.options.Dir}
	list := append(h.Kernel(), r.groups.inspect()...)
	list = append(list, r.inspectMaps(), r.inspectQuota(), h.Disk(), h.Clock(), h.Names(ctx))
	return append(list, r.inspectNetwork()...)
}

// inspectMaps tries: whether a file system can be mapped is not written anywhere.
func (r *Runtime) inspectMaps() platform.Finding {
	f := platform.Finding{Check: "id-mapped mounts", Grade: platform.Fine, Text: "Owners of shared layers are mapped for each app."}
	ns, err := image.UserNS(firstUID, rangeSize)
	if err == nil {
		defer func() { _ = ns.Close() }()
		var mapped *os.File
		if mapped, err = image.Bind(r.options.Dir, true, ns); err == nil {
			_ = mapped.Close()
			return f
		}
	}
	f.Grade, f.Text = platform.Warning, "Owners of shared layers cannot be mapped: "+err.Error()+"."
	f.Fix = "use Linux 6.1 or newer, with the data directory on ext4, XFS or btrfs"
	return f
}

func (r *Runtime) inspectQuota() platform.Finding {
	f := platform.Finding{Check: "disk quotas", Grade: platform.Fine, Text: "What a container writes can be bounded."}
	if ok, why := r.Quota(); !ok {
		f.Grade, f.Text = platform.Warning, "The disk limits of containers are not kept: "+why+"."
		f.Fix = "use XFS or ext4 (tune2fs -O project,quota while unmounted) and mount it with the option prjquota"
	}
	return f
}

func (r *Runtime) inspectNetwork() (list []platform.Finding) {
	warnings, err := r.options.Network.Warnings()
	if err != nil {
		return []platform.Finding{{
			Check: "firewall", Grade: platform.Failing, Text: "nftables does not work: " + err.Error() + ".", Fix: "modprobe nf_tables",
		}}
	}
	for _, w := range warnings {
		list = append(list, platform.Finding{Check: "firewall", Grade: platform.Warning, Text: strings.ToUpper(w.Text[:1]) + w.Text[1:] + ".", Fix: w.Fix})
	}
	if len(list) == 0 {
		list = []platform.Finding{{Check: "firewall", Grade: platform.Fine, Text: "nftables works, and no other firewall stands in the way."}}
	}
	return list
}

// inspect tells of the control groups and of each controller.
func (c *cgroups) inspect() []platform.Finding {
	list := []platform.Finding{{Check: "cgroups", Grade: platform.Fine, Text: "cgroup v2 has the controllers."}}
	if !c.v2 {
		list[0].Grade = platform.Warning
		list[0].Text = "cgroup v1 has the controllers: starts are slower, and memory-high, pressure and buffered writes are not bounded."
		if c.hybrid {
			list[0].Text = "The host is a hybrid: c" + list[0].Text[1:]
		}
		list[0].Fix = "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
	}
	missing := make(map[string]bool)
	for _, m := range c.missing {
		missing[m] = true
	}
	for _, controller := range []string{"memory", "pids", "cpu", "cpuset", "io", "devices"} {
		list = append(list, c.inspectController(controller, missing[controller]))
	}
	return list
}

func (c *cgroups) inspectController(controller string, missing bool) platform.Finding {
	f := platform.Finding{Check: "cgroup " + controller, Grade: platform.Fine, Text: "Its limits are kept."}
	switch {
	case controller == "devices" && c.lacks["device"] != "":
		f.Grade, f.Text = platform.Warning, "Devices are kept from apps by their mounts alone: "+c.lacks["device"]+"."
	case controller == "devices":
		f.Text = "Apps can open the usual devices only."
	case missing && (controller == "memory" || controller == "pids"):
		f.Grade, f.Text = platform.Failing, "The kernel does not offer it: one app can take the whole host down."
		f.Fix = "boot with cgroup_enable=" + controller
	case missing:
		f.Grade, f.Text = platform.Warning, "The kernel does not offer it: its limits are not kept."
	default:
		for _, limit := range limitsOf(controller) {
			if why := c.lacks[limit]; why != "" && limit != "memory-high" {
				f.Grade, f.Text = platform.Warning, "Not kept is "+limit+": "+why+"."
			}
		}
	}
	return f
}
