package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// verb runs a verb on the server and returns what it printed.
func (p *platformUnderTest) verb(t *testing.T, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(p.binary, append([]string{"--data", p.data}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("paas %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out))
}

func (p *platformUnderTest) registry() string { return "127.0.0.1:" + strconv.Itoa(p.http) }

// The distribution-spec's own conformance suite passes in all four workflows, over HTTP through the
// router of the real binary. The suite is a Go module; testdata/conformance pins its version.
func TestDistributionConformance(t *testing.T) {
	suite := filepath.Join(t.TempDir(), "conformance.test")
	build := exec.Command("go", "test", "-c", "-o", suite, "github.com/opencontainers/distribution-spec/conformance")
	build.Dir = filepath.Join("testdata", "conformance")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	p := newTestPlatform(t)
	run := exec.Command(suite)
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(),
		"OCI_ROOT_URL=http://"+p.registry(), "OCI_NAMESPACE=library/conformance", "OCI_CROSSMOUNT_NAMESPACE=library/other",
		"OCI_USERNAME=ci", "OCI_PASSWORD="+p.verb(t, "tokens:create", "ci", "--scope", "apps:manage"),
		"OCI_TEST_PULL=1", "OCI_TEST_PUSH=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_CONTENT_MANAGEMENT=1",
		"OCI_AUTOMATIC_CROSSMOUNT=1", "OCI_REPORT_DIR=none", "OCI_HIDE_SKIPPED_WORKFLOWS=0",
	)
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("the suite failed: %v\n%s", err, out)
	}
	ran, passed, failed := summary(t, string(out))
	if failed != 0 || passed != ran || ran < 70 {
		t.Errorf("%d specs ran, %d passed, %d failed\n%s", ran, passed, failed, out)
	}
	t.Logf("%d specs ran, %d passed, %d failed", ran, passed, failed)
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// summary reads Ginkgo's last lines: "Ran 70 of 75 Specs in 1 seconds", "… 70 Passed | 0 Failed | …".
func summary(t *testing.T, out string) (ran, passed, failed int) {
	t.Helper()
	out = colours.ReplaceAllString(out, "")
	number := func(pattern string) int {
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("the suite says no %s\n%s", pattern, out)
		}
		n, _ := strconv.Atoi(m[1]) // digits
		return n
	}
	return number(`Ran (\d+) of`), number(`(\d+) Passed`), number(`(\d+) Failed`)
}

// A widespread client library pushes and pulls with the token's rights and no more.
func TestRegistryTokenRights(t *testing.T) {
	p := newTestPlatform(t)
	p.verb(t, "apps:create", "blog")
	p.verb(t, "apps:create", "shop")
	img, err := random.Image(2048, 2)
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{
		"all": p.verb(t, "tokens:create", "all", "--scope", "apps:manage"), "look": p.verb(t, "tokens:create", "look", "--read-only"),
		"blog": p.verb(t, "tokens:create", "blog", "--app", "blog", "--scope", "apps:manage"), "none": "",
	}
	push := func(token, repo string) error {
		return remote.Write(reference(t, p, repo), img, remote.WithAuth(&authn.Basic{Username: "x", Password: tokens[token]}))
	}
	pull := func(token, repo string) error {
		_, err := remote.Image(reference(t, p, repo), remote.WithAuth(&authn.Basic{Username: "x", Password: tokens[token]}))
		return err
	}
	for _, try := range []struct {
		what  func(token, repo string) error
		token string
		repo  string
		ok    bool
	}{
		{push, "all", "library/base:1", true}, {push, "all", "shop:edge", true}, {push, "all", "nobody:1", false},
		{push, "blog", "blog:edge", true}, {push, "blog", "blog/worker:edge", true}, {push, "blog", "shop:edge", false},
		{push, "blog", "library/base:2", false}, {push, "look", "blog:other", false}, {push, "none", "blog:other", false},
		{push, "blog", "blog:v7", false},
		{pull, "look", "shop:edge", true}, {pull, "blog", "shop:edge", false}, {pull, "blog", "blog:edge", true},
		{pull, "none", "blog:edge", false},
	} {
		if err := try.what(try.token, try.repo); (err == nil) != try.ok {
			t.Errorf("token %s, %s: %v", try.token, try.repo, err)
		}
	}
	p.verb(t, "tokens:revoke", "blog")
	if err := pull("blog", "blog:edge"); err == nil {
		t.Error("a revoked token still works")
	}
}

func reference(t *testing.T, p *platformUnderTest, repo string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(p.registry()+"/"+repo, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// skopeo, the client of podman and CRI-O, does all that people do with a registry.
func TestSkopeo(t *testing.T) {
	needPrograms(t, "skopeo")
	p := newTestPlatform(t)
	token := p.verb(t, "tokens:create", "ci", "--scope", "apps:manage")
	dir := t.TempDir()
	skopeo := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), commandWait)
		defer cancel()
		cmd := exec.CommandContext(ctx, "skopeo", append([]string{"--policy", filepath.Join(dir, "policy.json")}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("skopeo %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	writeFile(t, filepath.Join(dir, "policy.json"), `{"default": [{"type": "insecureAcceptAnything"}]}`)
	writeLayout(t, filepath.Join(dir, "in"))
	at := "docker://" + p.registry() + "/library/tool"
	creds := []string{"--dest-creds", "x:" + token, "--dest-tls-verify=false"}
	skopeo(append([]string{"copy", "oci:" + filepath.Join(dir, "in") + ":first", at + ":1"}, creds...)...)
	skopeo(append([]string{"copy", "--src-creds", "x:" + token, "--src-tls-verify=false", at + ":1", at + ":2"}, creds...)...)
	var info struct {
		Name     string
		Digest   string
		RepoTags []string
	}
	if err := json.Unmarshal([]byte(skopeo("inspect", "--creds", "x:"+token, "--tls-verify=false", at+":2")), &info); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(info.RepoTags) != "[1 2]" {
		t.Errorf("tags %v", info.RepoTags)
	}
	skopeo("copy", "--src-creds", "x:"+token, "--src-tls-verify=false", at+"@"+info.Digest, "oci:"+filepath.Join(dir, "out")+":second")
	if want, got := layoutDigest(t, filepath.Join(dir, "in")), layoutDigest(t, filepath.Join(dir, "out")); want != got {
		t.Errorf("pushed %s, pulled %s", want, got)
	}
	skopeo("delete", "--creds", "x:"+token, "--tls-verify=false", at+":1")
	if out, err := exec.Command("skopeo", "inspect", "--creds", "x:"+token, "--tls-verify=false", at+":2").CombinedOutput(); err == nil {
		t.Errorf("skopeo deletes by digest, and the image is still there: %s", out)
	}
}

// A client whose connection breaks in the middle of a blob asks how far it came and goes on from there.
func TestUploadOverABrokenLine(t *testing.T) {
	p := newTestPlatform(t)
	token := p.verb(t, "tokens:create", "ci", "--scope", "apps:manage")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	call := func(method, address string, body []byte, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.registry()+address, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("x", token)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	place := call("POST", "/v2/library/big/blobs/uploads/", nil).Header.Get("Location")
	sendHalf(t, p.registry(), place, token, content)
	var last int
	for range 50 { // the server may still be reading what the kernel has
		if _, err := fmt.Sscanf(call("GET", place, nil).Header.Get("Range"), "0-%d", &last); err == nil && last > 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if last == 0 || last >= len(content)-1 {
		t.Fatalf("%d of %d bytes have arrived", last+1, len(content))
	}
	if res := call("PATCH", place, []byte("x"), "Content-Range", fmt.Sprintf("%d-%d", last+2, last+2)); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a gap: status %d", res.StatusCode)
	}
	rest := fmt.Sprintf("%d-%d", last+1, len(content)-1)
	if res := call("PATCH", place, content[last+1:], "Content-Range", rest); res.StatusCode != http.StatusAccepted {
		t.Fatalf("the rest: status %d", res.StatusCode)
	}
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	if res := call("PUT", place+"?digest="+sum, nil); res.StatusCode != http.StatusCreated {
		t.Fatalf("the end: status %d", res.StatusCode)
	}
	if res := call("HEAD", "/v2/library/big/blobs/"+sum, nil); res.ContentLength != int64(len(content)) {
		t.Errorf("the blob: status %d, %d bytes", res.StatusCode, res.ContentLength)
	}
}

// sendHalf promises all of the content, sends half and hangs up.
func sendHalf(t *testing.T, host, place, token string, content []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("x:" + token))
	head := fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n", place, host, basic, len(content))
	_, err = conn.Write(append([]byte(head), content[:len(content)/2]...))
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// A manifest of any size has its length: clients refuse one that comes in chunks.
func TestLargeManifestsHaveALength(t *testing.T) {
	p := newTestPlatform(t)
	auth := remote.WithAuth(&authn.Basic{Username: "x", Password: p.verb(t, "tokens:create", "ci", "--scope", "apps:manage")})
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	large := mutate.Annotations(img, map[string]string{"a": strings.Repeat("A", 1<<20)}).(v1.Image)
	ref := reference(t, p, "library/large:1")
	if err := remote.Write(ref, large, auth); err != nil {
		t.Fatal(err)
	}
	d, err := remote.Get(ref, auth)
	if err != nil || d.Size < 1<<20 {
		t.Errorf("%v, %v", d, err)
	}
	res, err := http.Get("http://x:" + p.verb(t, "tokens:create", "other", "--scope", "apps:manage") + "@" + p.registry() + "/v2/library/large/manifests/1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.ContentLength < 1<<20 {
		t.Errorf("Content-Length %d", res.ContentLength)
	}
	huge := mutate.Annotations(img, map[string]string{"a": strings.Repeat("A", 5<<20)}).(v1.Image)
	if err := remote.Write(reference(t, p, "library/large:2"), huge, auth); err == nil || !strings.Contains(err.Error(), "SIZE_INVALID") {
		t.Errorf("5 MiB: %v", err)
	}
}
