package http2

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	spec2 "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// TestSpec runs all 145 cases of h2spec over TLS, as browsers connect, strictly.
func TestSpec(t *testing.T) {
	addr := listen(t, &Server{Handler: echo{}}, true)
	quiet(t)
	tcp, _ := addr.(*net.TCPAddr)
	c := &config.Config{
		Host: "127.0.0.1", Port: tcp.Port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000,
		TLS: true, Insecure: true, Strict: true,
	}
	total := 0
	for _, group := range []*spec.TestGroup{generic.Spec(), spec2.Spec(), hpack.Spec()} {
		group.Test(c)
		total += count(t, group)
	}
	t.Logf("%d cases", total)
	if total < 145 {
		t.Errorf("h2spec ran %d cases, expected 145", total)
	}
}

func count(t *testing.T, group *spec.TestGroup) int {
	all := append(append([]*spec.TestCase(nil), group.Tests...), group.StrictTests...)
	for i, test := range all {
		if r := test.Result; r == nil || r.Skipped || r.Failed {
			t.Errorf("%s case %d (%s): %+v", group.ID(), i+1, strings.TrimSpace(test.Desc), r)
		}
	}
	n := len(all)
	for _, sub := range group.Groups {
		n += count(t, sub)
	}
	return n
}

// quiet swallows what h2spec prints.
func quiet(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	out := os.Stdout
	os.Stdout = w
	t.Cleanup(func() { os.Stdout = out; _ = w.Close(); _ = r.Close() })
}
