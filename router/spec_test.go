package router_test

import (
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	h2spec "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// h2spec's cases (145, and a strict one) against the whole of it: TLS, the router and an instance behind it.
func TestH2Spec(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, nil))
	at, _ := r.secured()
	to, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	host, number, _ := net.SplitHostPort(to.Host)
	port, _ := strconv.Atoi(number)
	mute(t)
	c := &config.Config{
		Host: host, Port: port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, TLS: true, Insecure: true, Strict: true,
	}
	total := 0
	for _, group := range []*spec.TestGroup{generic.Spec(), h2spec.Spec(), hpack.Spec()} {
		group.Test(c)
		total += failures(t, group)
	}
	if total < 145 {
		t.Errorf("%d cases were run, expected 145", total)
	}
}

func failures(t *testing.T, group *spec.TestGroup) (cases int) {
	all := append(append([]*spec.TestCase(nil), group.Tests...), group.StrictTests...)
	for i, test := range all {
		if r := test.Result; r == nil || r.Skipped || r.Failed {
			t.Errorf("%s case %d (%s): %+v", group.ID(), i+1, strings.TrimSpace(test.Desc), r)
		}
	}
	cases = len(all)
	for _, sub := range group.Groups {
		cases += failures(t, sub)
	}
	return cases
}

// mute swallows what h2spec prints.
func mute(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	out := os.Stdout
	os.Stdout = w
	t.Cleanup(func() { os.Stdout = out; _ = w.Close(); _ = r.Close() })
}
