package dockerfile_test

import (
	"archive/tar"
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

// feature is a Dockerfile whose image is looked at with a command.
type feature struct {
	name, dockerfile string
	files            []string // pairs of path and content
	look             string   // run in the image
	want             string
}

func features() []feature {
	return []feature{
		{"ARG before and after FROM", "ARG BASE=busybox\nFROM $BASE\nARG BASE\nARG WHO=world\nRUN echo \"$BASE $WHO\" > /f\n", nil, "cat /f", "busybox world"},
		{"heredocs", "FROM busybox\nRUN <<EOF\necho one > /f\necho two >> /f\nEOF\nCOPY <<EOT /g\nthree\nEOT\n", nil, "cat /f /g", "one\ntwo\nthree"},
		{"COPY --chmod --chown", "FROM busybox\nCOPY --chmod=0640 --chown=1000:7 a /a\nCOPY --chown=app b /b\n", []string{"a", "1", "b", "2"}, "stat -c '%n %a %u:%g' /a /b", "/a 640 1000:7\n/b 644 1000:1000"},
		{"COPY of several sources", "FROM busybox\nRUN mkdir /t\nCOPY a b c* /t/\nCOPY d a /t/x/\n", []string{"a", "1\n", "b", "2\n", "c1", "3\n", "c2", "4\n", "d/e", "5\n"}, "cat /t/a /t/b /t/c1 /t/c2 /t/x/e /t/x/a", "1\n2\n3\n4\n5\n1"},
		{"COPY --link", "FROM busybox\nCOPY --link a /x/a\nCOPY --link b /x/b\nRUN cat /x/a /x/b > /f\n", []string{"a", "1\n", "b", "2\n"}, "cat /f", "1\n2"},
		{"COPY --parents", "# syntax=docker/dockerfile:1\nFROM busybox\nCOPY --parents x/*/c /\n", []string{"x/1/c", "1\n", "x/2/c", "2\n", "x/2/d", "3"}, "find /x -type f | sort", "/x/1/c\n/x/2/c"},
		{"COPY --exclude", "FROM busybox\nCOPY --exclude=*.md . /d\n", []string{"a.txt", "1", "b.md", "2"}, "ls /d", "Dockerfile\na.txt"},
		{"COPY of symlinks", "FROM busybox\nCOPY d /d\nRUN readlink /d/out > /f; cat /d/in >> /f\n", []string{"d/in", "-> real", "d/real", "inside\n", "d/out", "-> ../../../etc/shadow"}, "cat /f", "../../../etc/shadow\ninside"},
		{"WORKDIR, ENV, USER, SHELL", "FROM busybox\nENV A=1 B=\"two $A\"\nWORKDIR /w/$A\nSHELL [\"/bin/sh\",\"-ec\"]\nRUN mkdir -p /home && chmod 777 .\nUSER app\nRUN echo \"$(id -u):$(id -g) $PWD $HOME\" > f\n", nil, "cat /w/1/f; stat -c %u /w/1/f", "1000:1000 /w/1 /app\n1000"},
		{"USER by number and group", "FROM busybox\nRUN echo 'staff:x:50:app' > /etc/group && mkdir -m 777 /o\nUSER app:staff\nRUN id -G > /o/f\nUSER 77:88\nRUN id -u > /o/g; id -g >> /o/g\n", nil, "cat /o/f /o/g", "50\n77\n88"},
		{"ONBUILD", "FROM busybox AS base\nONBUILD RUN echo triggered > /f\nFROM base\nRUN cat /f\n", nil, "cat /f", "triggered"},
		{"unused stages", "FROM busybox AS unused\nRUN false\nFROM busybox\nRUN echo ok > /f\n", nil, "cat /f", "ok"},
		{"cache mounts", "FROM busybox\nRUN --mount=type=cache,target=/c echo kept > /c/f\nRUN --mount=type=cache,target=/c cat /c/f > /f; test ! -e /c/none\n", nil, "cat /f; test ! -e /c/f && echo gone", "kept\ngone"},
		{"bind mounts", "FROM busybox AS one\nRUN mkdir /s && echo deep > /s/f && ln -s s /l\nFROM busybox\nRUN --mount=type=bind,from=one,source=/l,target=/m cat /m/f > /f; ! touch /m/x\nRUN --mount=type=bind,target=/ctx,rw cat /ctx/a >> /f && echo changed > /ctx/a\nRUN --mount=type=bind,source=a,target=/one cat /one >> /f\n", []string{"a", "context\n"}, "cat /f", "deep\ncontext\ncontext"},
		{"tmpfs mounts", "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=4096 grep ' /t tmpfs' /proc/mounts > /f && echo x > /t/y\n", nil, "grep -c tmpfs /f; ls /t 2>/dev/null | wc -l", "1\n0"},
		{"network none", "FROM busybox\nRUN --network=none ls /sys/class/net | grep -v lo > /f || echo none > /f\n", nil, "cat /f", "none"},
		{"dockerignore", "FROM busybox\nCOPY . /d\n", []string{".dockerignore", "*\n!keep\n!sub/x\n", "keep", "1", "drop", "2", "sub/x", "3", "sub/y", "4"}, "cd /d && find . -type f | sort", "./keep\n./sub/x"},
		{"Dockerfile.dockerignore", "FROM busybox\nCOPY . /d\n", []string{".dockerignore", "a\n", "Dockerfile.dockerignore", "b\nDockerfile*\n.dockerignore\n", "a", "1", "b", "2"}, "ls /d", "a"},
		{"ADD of an archive", "FROM busybox\nADD a.tar /x/\nADD plain /y/\n", []string{"a.tar", archive("in/side", "unpacked\n"), "plain", "p"}, "cat /x/in/side; cat /y/plain", "unpacked\np"},
		{"RUN deletes", "FROM busybox\nRUN mkdir /d && echo 1 > /d/a && echo 2 > /d/b\nRUN rm /d/a\nRUN rm -r /d && mkdir /d\n", nil, "ls -A /d | wc -l", "0"},
		{"permissions", "FROM busybox\nRUN touch /s && chmod 4755 /s && mkdir -m 1777 /t && chown 5:6 /t && mkfifo /p && ln /s /hard\n", nil, "stat -c '%n %a %u:%g %h' /s /t; test -p /p", "/s 4755 0:0 2\n/t 1777 5:6 2"},
		{"root in its user namespace", "FROM busybox\nRUN chown 65534:65534 /tmp && su app -s /bin/sh -c 'id -u' > /f\n", nil, "cat /f; id -u", "1000\n0"},
		{"an unset HOME", "FROM busybox\nRUN echo $HOME > /f\nENV HOME=/set\nRUN echo $HOME >> /f\n", nil, "cat /f", "/root\n/set"},
		{"scratch", "FROM busybox AS b\nFROM scratch\nCOPY --from=b /bin /bin\nRUN [\"/bin/sh\", \"-c\", \"echo bare > /f\"]\n", nil, "cat /f", "bare"},
	}
}

func archive(name, text string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// Every instruction and flag does what Docker's documentation says.
func TestFeatures(t *testing.T) {
	b := newBench(t)
	app := b.app()
	for _, f := range features() {
		t.Run(f.name, func(t *testing.T) {
			img, told, err := b.build(t.Context(), app, nil, files(append(slices.Clone(f.files), "Dockerfile", f.dockerfile+"CMD [\"sh\"]\n")...))
			if err != nil {
				t.Fatalf("%v\n%s", err, told)
			}
			img.UID, img.GID, img.Groups = 0, 0, nil
			if got := b.run(app, img, f.look); got != f.want {
				t.Errorf("%q, want %q\n%s", got, f.want, told)
			}
		})
	}
}

// What the configuration says becomes the image's processes, port, check and the rest.
func TestConfiguration(t *testing.T) {
	b := newBench(t)
	text := `FROM busybox
LABEL who=me
EXPOSE 9000/udp 8080 8081/tcp
STOPSIGNAL SIGQUIT
VOLUME /data
USER app
WORKDIR /app
HEALTHCHECK --interval=10s --timeout=2s --retries=4 --start-period=10s CMD test -e /tmp/up
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "sleep 1"]
`
	img, told := b.mustBuild(b.app(), files("Dockerfile", text))
	if got := strings.Join(img.Commands[platform.Web], "|"); got != "/bin/sh|-c|sleep 1" {
		t.Errorf("web is %q", got)
	}
	if img.Port != 8080 || img.StopSignal != "SIGQUIT" || img.Labels["who"] != "me" || img.UID != 1000 || img.WorkDir != "/app" || img.Env["HOME"] != "/app" {
		t.Errorf("image %+v", img)
	}
	if !slices.Equal(img.Volumes, []string{"/data"}) || !strings.Contains(told, "VOLUME /data") {
		t.Errorf("volumes %v:\n%s", img.Volumes, told)
	}
	c := img.Checks[platform.Web]
	if len(c) != 1 || c[0].Timeout != 2*time.Second || c[0].Attempts != 6 || c[0].Wait != 5*time.Second || strings.Join(c[0].Command, "|") != "/bin/sh|-c|test -e /tmp/up" {
		t.Errorf("checks %+v", c)
	}
	img, _ = b.mustBuild(b.app(), files("Dockerfile", text, "Procfile", "web: httpd -f\nworker: sleep 9\n"))
	if img.Processes[platform.Web] != "httpd -f" || img.Commands[platform.Web] != nil || img.Processes["worker"] != "sleep 9" {
		t.Errorf("with a Procfile the processes are %v and %v", img.Processes, img.Commands)
	}
}

// ADD fetches what a URL names, and checks its digest.
func TestADDOfAURL(t *testing.T) {
	b := newBench(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fetched\n")) }))
	defer server.Close()
	app := b.app()
	sum := "sha256:" + strings.Repeat("0", 64)
	_, _, err := b.build(t.Context(), app, nil, files("Dockerfile", "FROM busybox\nADD --checksum="+sum+" "+server.URL+"/f /f\nCMD sh\n"))
	if err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("a wrong checksum: %v", err)
	}
	img, _ := b.mustBuild(app, files("Dockerfile", "FROM busybox\nADD --chmod=0600 "+server.URL+"/f /f\nCMD sh\n"))
	if got := b.run(app, img, "cat /f; stat -c %a /f"); got != "fetched\n600" {
		t.Errorf("/f is %q", got)
	}
}
