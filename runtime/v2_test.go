package runtime

import (
	"context"
	"testing"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// Containers placed the v2 way, whatever the host's own way is. Where the tree has no controllers,
// limits cannot be part of the test.
func TestContainersOnCgroupV2(t *testing.T) {
	b := newBench(t)
	own := b.groups
	v2, err := openCgroups(v2Tree(t), sandbox.ID()+"two")
	check(t, err)
	b.groups = v2
	t.Cleanup(func() {
		all, err := b.Instances(context.Background())
		check(t, err)
		for _, i := range all {
			check(t, b.Stop(context.Background(), i.ID, 0))
		}
		for _, p := range b.pools {
			check(t, p.drain())
		}
		check(t, v2.destroy())
		b.groups = own
	})
	equal(t, "its cgroup", b.output(spec(`grep ^0:: /proc/self/cgroup`)), "0::/")
	equal(t, "the shown cgroup", b.output(spec(`awk '$2=="/sys/fs/cgroup"{print $3, $4 ~ /^ro,/}' /proc/mounts; cat /sys/fs/cgroup/cgroup.type`)), "cgroup2 1\ndomain")
	equal(t, "writing it", b.output(asRoot(spec(`mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; true`))), "")
	i, err := b.Start(context.Background(), spec(`exec sleep 1000`))
	check(t, err)
	var out sandbox.Buffer
	_, err = b.Exec(context.Background(), i.ID, []string{"grep", "^0::", "/proc/self/cgroup"}, &out)
	check(t, err)
	equal(t, "exec's cgroup", out.String(), "0::/\n")
	equal(t, "groups", b.used(appsGroup), 1)
	if _, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: spec("exit 0")}, nil, &out, &out); err != nil {
		t.Error(err)
	}
	equal(t, "groups of jobs", b.used(buildsGroup), 0)
}
