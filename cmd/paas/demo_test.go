package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The demo starts, starts again over what is there, stops, and leaves nothing that runs.
func TestDemo(t *testing.T) {
	needPrograms(t, "git", "ssh", "ssh-keygen", "curl", "make", "gcc", "mmdebstrap")
	_, template := prepared(t)
	dir, err := os.MkdirTemp("/var/tmp", "paas-demo-")
	if err != nil {
		t.Fatal(err)
	}
	d := demo{dir}
	t.Cleanup(func() { d.remove(t) })
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, shared := range sharedDirs {
		if err := link(filepath.Join(template, shared), filepath.Join(dir, "data", shared)); err != nil {
			t.Fatal(err)
		}
	}
	out := d.run(t, "start")
	for _, want := range []string{"hello v1 is live", "Hello", "hello is live at http://hello.localhost:", "ssh -F " + dir + "/ssh_config paas"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	pid := d.file(t, "pid")
	if out := d.run(t, "start"); !strings.Contains(out, "Everything up-to-date") || d.file(t, "pid") != pid {
		t.Errorf("the second start is not the first's demo:\n%s", out)
	}
	d.run(t, "stop")
	if _, err := os.Readlink("/proc/" + pid + "/exe"); err == nil { // not every init reaps at once what it inherits
		t.Errorf("process %s runs after demo-stop", pid)
	}
	if status, _, err := get("http://127.0.0.1:"+d.file(t, "http")+"/", "hello.localhost"); err == nil && status == http.StatusOK {
		t.Error("the app answers after demo-stop")
	}
	if out := d.run(t, "start"); !strings.Contains(out, "hello is live at") {
		t.Errorf("the demo does not come back:\n%s", out)
	}
}

type demo struct{ dir string }

func (d demo) command(word string) *exec.Cmd {
	cmd := exec.Command("sh", "cmd/paas/demo.sh", word)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "PAAS_DEMO_DIR="+d.dir, "PAAS_DEMO_APP=cmd/paas/testdata/apps/hello")
	return cmd
}

func (d demo) run(t *testing.T, word string) string {
	t.Helper()
	out, err := d.command(word).CombinedOutput()
	if err != nil {
		t.Fatalf("demo.sh %s: %v\n%s", word, err, out)
	}
	return string(out)
}

func (d demo) file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (d demo) remove(t *testing.T) {
	if out, err := d.command("stop").CombinedOutput(); err != nil {
		t.Errorf("demo.sh stop: %v\n%s", err, out)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		t.Error(err)
	}
}
