package conformance_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	h2spec "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// h2result is what h2spec found. Section 8 is about requests and answers, the rest about frames.
type h2result struct {
	cases, passed   int
	cases8, passed8 int
	failed          []string // section and number
}

// runH2Spec runs its 145 cases, and one that it calls strict.
func runH2Spec(t *testing.T, port int) (r h2result) {
	out := os.Stdout
	in, muted, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { os.Stdout = out; _ = muted.Close(); _ = in.Close() }()
	go func() { _, _ = io.Copy(io.Discard, in) }()
	os.Stdout = muted
	c := &config.Config{
		Host: "127.0.0.1", Port: port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, TLS: true, Insecure: true, Strict: true,
	}
	for _, group := range []*spec.TestGroup{generic.Spec(), h2spec.Spec(), hpack.Spec()} {
		group.Test(c)
		r.count(group)
	}
	return r
}

func (r *h2result) count(group *spec.TestGroup) {
	for i, test := range group.Tests {
		passed := test.Result != nil && !test.Result.Failed && !test.Result.Skipped
		eighth := strings.HasPrefix(group.ID(), "http2/8")
		r.cases += one(true)
		r.passed += one(passed)
		r.cases8 += one(eighth)
		r.passed8 += one(eighth && passed)
		if !passed {
			r.failed = append(r.failed, fmt.Sprintf("%s/%d", group.ID(), i+1))
		}
	}
	for _, sub := range group.Groups {
		r.count(sub)
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// page is docs/conformance-http.md.
func page(list []*peer) string {
	var b strings.Builder
	b.WriteString(`# HTTP conformance

` + "`sudo make conformance-http`" + ` runs the same cases through our router, Debian's nginx and HAProxy, and Caddy built from its
module, and writes this page. A case is bytes from a client, bytes from an origin, and what the other side may get of
them. Here are only those of the suite in ` + "`router/conformance`" + ` that RFC 9110 or 9112 decides with a MUST, a MUST NOT or the
grammar that a sender must keep to; where the text leaves a choice, every choice is right. The proxies are configured to
forward and no further. HTTP/2 is
[h2spec](https://github.com/summerwind/h2spec)'s, over TLS: 145 cases, and one that it calls strict.

`)
	columns(&b, "", list, func(p *peer) string { return p.name })
	b.WriteString("|---|" + strings.Repeat("---|", len(list)) + "\n")
	columns(&b, "version", list, func(p *peer) string { return p.about })
	for _, group := range groups(list[0]) {
		columns(&b, group, list, func(p *peer) string { return p.share(group + "/") })
	}
	columns(&b, "**RFC 9110 and 9112**", list, func(p *peer) string { return "**" + p.share("") + "**" })
	columns(&b, "**h2spec**", list, func(p *peer) string { return fmt.Sprintf("**%d of %d**", p.h2.passed, p.h2.cases) })
	columns(&b, "section 8 of it", list, func(p *peer) string { return fmt.Sprintf("%d of %d", p.h2.passed8, p.h2.cases8) })
	b.WriteString("\n## What is missed\n\n| section | what must be | case | by |\n|---|---|---|---|\n")
	for i, v := range list[0].verdicts {
		if by := missedBy(list, i); by != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.Rule.Section, v.Rule.Must, strings.ReplaceAll(v.Case, "|", `\|`), by)
		}
	}
	b.WriteString("\nh2spec's cases that fail, as it numbers them:\n\n")
	for _, p := range list {
		fmt.Fprintf(&b, "* %s: %s\n", p.name, orNone(p.h2.failed))
	}
	return b.String()
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func columns(b *strings.Builder, title string, list []*peer, cell func(*peer) string) {
	fmt.Fprintf(b, "| %s |", title)
	for _, p := range list {
		fmt.Fprintf(b, " %s |", cell(p))
	}
	b.WriteString("\n")
}

func groups(p *peer) (list []string) {
	for _, v := range p.verdicts {
		group, _, _ := strings.Cut(v.Case, "/")
		if !slices.Contains(list, group) {
			list = append(list, group)
		}
	}
	return list
}

func (p *peer) share(group string) string {
	n, all := 0, 0
	for _, v := range p.verdicts {
		if strings.HasPrefix(v.Case, group) {
			all++
			n += one(v.Fault == "")
		}
	}
	return fmt.Sprintf("%d of %d", n, all)
}

func missedBy(list []*peer, i int) string {
	var names []string
	for _, p := range list {
		if p.verdicts[i].Fault != "" {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, ", ")
}
