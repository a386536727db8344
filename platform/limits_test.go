package platform_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

func (w *world) limit(typ string, changes ...string) (platform.Limited, error) {
	return w.Limit(context.Background(), w.call, platform.LimitInput{App: "blog", Type: typ, Changes: changes})
}

func (w *world) oneOf(typ platform.ProcessType) platform.InstanceID {
	w.t.Helper()
	list, _ := w.host.Instances(context.Background())
	for _, i := range list {
		if i.Type == typ && i.Exit == nil {
			return i.ID
		}
	}
	w.t.Fatalf("no %s runs", typ)
	return ""
}

func TestLimitsReachWhatRunsAndWhatStarts(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: serve")
	if _, err := w.Scale(context.Background(), w.call, platform.ScaleInput{App: "blog", Changes: []string{"worker=1"}}); err != nil {
		t.Fatal(err)
	}
	before := w.oneOf(platform.Web)
	out, err := w.limit("", "memory=256m", "pids=100")
	if err != nil || strings.Join(out.Applied, " ") != "web.1 worker.1" {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err = w.limit("worker", "memory=1g", "disk=1g"); err != nil || strings.Join(out.Applied, " ") != "worker.1" || len(out.Shortfalls) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if w.oneOf(platform.Web) != before {
		t.Error("the instance was replaced")
	}
	for typ, want := range map[platform.ProcessType]string{platform.Web: "{Memory:268435456 CPUs:0 Processes:100 Disk:0", "worker": "{Memory:1073741824 CPUs:0 Processes:100 Disk:1073741824"} {
		if got := w.host.specOf(w.oneOf(typ)); !strings.HasPrefix(got, want) {
			t.Errorf("%s runs with %s", typ, got)
		}
	}
	if _, err := w.Restart(context.Background(), w.call, platform.RestartInput{App: "blog"}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the new worker has them too", func() bool {
		return strings.HasPrefix(w.host.specOf(w.oneOf("worker")), "{Memory:1073741824 CPUs:0 Processes:100")
	})
	if out, err = w.ClearLimits(context.Background(), w.call, platform.ClearLimitsInput{App: "blog", Type: "worker"}); err != nil || len(out.Settings) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err = w.limit("", "memory=clear"); err != nil || len(out.Settings) != 1 || out.Settings[0].Key != "pids" {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestLimitThatDoesNotFitWaits(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	out, err := w.limit("web", "memory=5m")
	if err != nil || len(out.Applied) != 0 || len(out.Refused) != 1 || !strings.Contains(out.Refused[0], "web.1: it uses 6 MiB now") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestLimitsAreRefusedWithASentence(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for word, says := range map[string]string{
		"memory": "is no setting", "memory=": "is no setting", "memory=lots": "not an amount", "memory=1k": "too little", "memory=-1m": "not an amount",
		"memory=9999999t": "not an amount", "cpu=0": "not a number", "cpu=NaN": "not a number", "pids=1": "not a number", "cpuset=3-1": "not a list",
		"cpuset=a": "not a list", "memroy=1g": "cannot be set", "io-read=1": "too little",
	} {
		_, err := w.limit("", word)
		if platform.KindOf(err) != platform.Usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", word, err)
		}
	}
	if _, err := w.limit("nope", "memory=1g"); platform.KindOf(err) != platform.Usage {
		t.Errorf("of a type that is not there: %v", err)
	}
	var e *platform.Error
	if _, err := w.limit("", "memroy=1g"); !errors.As(err, &e) || !strings.Contains(e.Hint, "memory") {
		t.Errorf("a typo: %v", err)
	}
	if out, err := w.limit(""); err != nil || len(out.Settings) != 0 {
		t.Errorf("something was stored: %+v, %v", out, err)
	}
}

func TestKillForMemoryIsCountedAndExplained(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.host.kill(w.oneOf(platform.Web))
	w.host.kill(w.oneOf(platform.Web))
	var report platform.ResourceReport
	w.eventually("it is counted", func() bool {
		var err error
		report, err = w.Resources(context.Background(), w.call, platform.AppInput{App: "blog"})
		return err == nil && len(report.OOM) == 1 && report.OOM[0].Kills == 2
	})
	if report.OOM[0].Limit != 64<<20 || report.OOM[0].Type != platform.Web || len(report.Processes) != 1 {
		t.Errorf("%+v", report)
	}
	var log strings.Builder
	err := w.host.Logs(context.Background(), platform.LogQuery{App: "blog", Lines: 10}, func(l platform.LogLine) error {
		log.WriteString(l.Stream + " " + l.Source + ": " + l.Text + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "platform web.1: web.1 was killed: it used 64 MiB of its 64 MiB memory limit; raise it: ssh paas resource:limit blog --process-type web memory=128m"
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log says\n%s", log.String())
	}
	list, err := w.Processes(context.Background(), w.call, platform.AppInput{App: "blog"})
	if err != nil || len(list) != 1 || list[0].OOMKills != 2 || !strings.Contains(list[0].Status, "2 processes killed") {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSecurityIsStoredWithWhoDidIt(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	set := func(know bool, changes ...string) (platform.SecurityReport, error) {
		return w.SetSecurity(context.Background(), w.call, platform.SecurityInput{App: "blog", Changes: changes, Know: know})
	}
	r, err := set(false, "cap-add=NET_RAW", "cap-add=cap_ipc_lock", "read-only=true", "device=/dev/fuse", "nofile=100:200", "no-new-privileges=false")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Security.Capabilities, " "); got != "NET_RAW IPC_LOCK" || !r.Security.ReadOnly || !r.Security.Privileges {
		t.Errorf("%+v", r.Security)
	}
	if len(r.Pending) != 1 || len(r.Changes) != 5 || r.Changes[0].Actor != "alice" {
		t.Errorf("%+v", r)
	}
	time.Sleep(2 * time.Millisecond) // the store keeps milliseconds
	if _, err := w.Restart(context.Background(), w.call, platform.RestartInput{App: "blog"}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the new instance has it", func() bool {
		return strings.Contains(w.host.specOf(w.oneOf(platform.Web)), "Devices:[{Path:/dev/fuse Block:false Major:10 Minor:229 Access:rw}]")
	})
	if r, err = set(false, "read-only=clear"); err != nil || r.Security.ReadOnly || len(r.Changes) != 6 || r.Changes[0].Before != "true" || r.Changes[0].Value != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := set(false, "cap-add=NET_ADMIN"); platform.KindOf(err) != platform.Denied {
		t.Errorf("a reckless one without --i-know: %v", err)
	}
	if _, err := set(true, "cap-add=NET_ADMIN"); err != nil {
		t.Error(err)
	}
}

func TestSecurityRefusesWhatIsTheHost(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for _, word := range []string{
		"cap-add=SYS_ADMIN", "cap-add=SYS_MODULE", "cap-add=FLY", "device=/dev/mem", "device=/etc/passwd", "device=/dev/../etc/shadow",
		"device=/dev/nothing", "tmpfs=/proc:1m", "tmpfs=/dev/shm:1m", "tmpfs=/x", "tmpfs=x:1m", "tmpfs=/a/../proc:1m", "sysctl=kernel.panic=1",
		"sysctl=vm.swappiness=1", "sysctl=net/../kernel.panic=1", "sysctl=net...kernel=1", "seccomp=open_by_handle_at", "seccomp=kexec_load",
		"read-only=maybe", "nofile=2:1", "nofile=many", "shm-size=1", "privileged=true",
	} {
		_, err := w.SetSecurity(context.Background(), w.call, platform.SecurityInput{App: "blog", Changes: []string{word}, Know: true})
		if k := platform.KindOf(err); k != platform.Usage && k != platform.NotFound {
			t.Errorf("%s: %v", word, err)
		}
	}
	r, err := w.Security(context.Background(), w.call, platform.AppInput{App: "blog"})
	if err != nil || len(r.Settings) != 0 || len(r.Changes) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDoctorSortsAndCounts(t *testing.T) {
	w := newWorld(t)
	d, err := w.Doctor(context.Background(), w.call, platform.DoctorInput{})
	if err != nil || len(d.Findings) != 2 || d.ExitStatus() != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	w.Platform.Host = sick{}
	d = w.Diagnose(context.Background())
	if d.Failed != 1 || d.Warned != 1 || d.ExitStatus() != 1 || d.Findings[0].Grade != platform.Failing || d.Findings[2].Grade != platform.Fine {
		t.Errorf("%+v", d)
	}
}

type sick struct{}

func (sick) Leads(context.Context, string) error { return nil }

func (sick) Inspect(context.Context) []platform.Finding {
	return []platform.Finding{{Check: "pulse", Grade: platform.Warning, Text: "It is slow."}, {Check: "heart", Grade: platform.Failing, Text: "There is none."}}
}
