package hostcheck

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
)

// host is a machine whose files say what a test wants, beside those of a good one.
func host(t *testing.T, files map[string]string) Host {
	t.Helper()
	all := map[string]string{
		"proc/sys/kernel/osrelease":             "6.1.0-56-cloud-amd64",
		"proc/sys/kernel/seccomp/actions_avail": "kill_process kill_thread trap errno user_notif trace log allow",
		"proc/sys/user/max_user_namespaces":     "15000",
		"proc/filesystems":                      "nodev\ttmpfs\nnodev\toverlay\n\text4",
		"proc/self/status":                      "Name:\tpaas\nCapEff:\t000001ffffffffff\n",
		"proc/pressure/memory":                  "some avg10=0.00 avg60=0.00 avg300=0.00 total=0",
	}
	root := t.TempDir()
	for path, text := range files {
		all[path] = text
	}
	for path, text := range all {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Root: root, Dir: root}
}

func TestKernel(t *testing.T) {
	const restrict = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	for _, c := range []struct {
		what  string
		files map[string]string
		check string // that is not fine; "" if all are
		grade platform.Grade
	}{
		{"a good host", nil, "", ""},
		{"an old kernel", map[string]string{"proc/sys/kernel/osrelease": "4.19.0-1"}, "kernel", platform.Failing},
		{"an older kernel", map[string]string{"proc/sys/kernel/osrelease": "5.15.0-100-generic"}, "kernel", platform.Warning},
		{"a new kernel", map[string]string{"proc/sys/kernel/osrelease": "10.0"}, "", ""},
		{"no seccomp", map[string]string{"proc/sys/kernel/seccomp/actions_avail": ""}, "seccomp", platform.Failing},
		{"no namespaces", map[string]string{"proc/sys/user/max_user_namespaces": "0"}, "user namespaces", platform.Failing},
		{"few namespaces", map[string]string{"proc/sys/user/max_user_namespaces": "10"}, "user namespaces", platform.Warning},
		{"Ubuntu", map[string]string{restrict: "1", "proc/self/attr/apparmor/current": "unconfined"}, "", ""},
		{"Ubuntu with a profile", map[string]string{restrict: "1", "proc/self/attr/apparmor/current": "paas (enforce)"}, "apparmor", platform.Failing},
		{"no overlayfs", map[string]string{"proc/filesystems": "\text4"}, "overlayfs", platform.Failing},
		{"a container", map[string]string{"proc/self/status": "CapEff:\t000001fffeffffff\n"}, "capabilities", platform.Warning},
		{"no psi", map[string]string{"proc/pressure/memory": ""}, "pressure", platform.Warning},
	} {
		for _, f := range host(t, c.files).Kernel() {
			want := platform.Fine
			if f.Check == c.check {
				want = c.grade
			}
			if f.Grade != want || !strings.HasSuffix(f.Text, ".") || f.Grade == platform.Failing && f.Fix == "" {
				t.Errorf("%s: %+v", c.what, f)
			}
		}
	}
}

// On the machine itself nothing may be wrong with what is not its own fault.
func TestThisHost(t *testing.T) {
	h := Host{Root: "/", Dir: t.TempDir()}
	for _, f := range append(h.Kernel(), h.Disk(), h.Clock(), h.Names(context.Background())) {
		t.Logf("%s %s: %s", f.Grade, f.Check, f.Text)
		if f.Grade == platform.Failing && f.Check != "disk" {
			t.Errorf("%+v", f)
		}
	}
	if f := (Host{Root: "/", Dir: "/nowhere"}).Disk(); f.Grade != platform.Failing {
		t.Errorf("%+v", f)
	}
	if f := host(t, nil).Names(context.Background()); f.Grade != platform.Warning {
		t.Errorf("without a name server: %+v", f)
	}
}
