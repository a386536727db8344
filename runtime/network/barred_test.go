package network

import (
	"os/exec"
	"strings"
	"testing"
)

// A firewall of the host's own that drops what is forwarded is named, with commands that let containers out; once they
// were typed nothing is named. Rules in all the spellings of nft and iptables count.
func TestBarred(t *testing.T) {
	world := outside(t)
	greet(t, world, "203.0.113.2:80")
	n := openNetwork(t, Options{ID: "ba"})
	pid := box(t)
	_, err := n.Attach(pid, "x")
	check(t, err)
	chain := "add table inet guard; add chain inet guard way { type filter hook forward priority 10; policy drop; }"
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", "guard").Run() })
	for _, rules := range []string{
		"", "add rule inet guard way ct state established,related accept", "add rule inet guard way iifname eth7 accept",
		"add rule inet guard way ct state vmap { established : accept, related : accept }",
		"add rule inet guard way iifname \"pvba-*\" tcp dport 25 accept",
	} {
		nft(t, chain+"; "+rules)
		text, fix := n.Barred()
		if !strings.Contains(text, "the host's firewall (table guard, chain way)") || !strings.Contains(fix, "nft insert rule inet guard way iifname") {
			t.Errorf("with %q: %q, %q", rules, text, fix)
		}
		if _, err := call(pid, "203.0.113.2:80"); err == nil {
			t.Errorf("with %q the world is reached", rules)
		}
		nft(t, strings.ReplaceAll(strings.TrimPrefix(fix, "as root on the server: "), "nft insert", "insert"))
		if text, _ = n.Barred(); text != "" {
			t.Errorf("with %q and what was to be typed: %q", rules, text)
		}
		if _, err := call(pid, "203.0.113.2:80"); err != nil {
			t.Errorf("with %q and what was to be typed: %v", rules, err)
		}
		nft(t, "delete table inet guard")
	}
	nft(t, chain+"; add chain inet guard theirs; add rule inet guard theirs accept; add rule inet guard way iifname eth7 jump theirs")
	if text, _ := n.Barred(); text == "" {
		t.Error("a chain that accepts what comes from somebody else counts")
	}
	nft(t, "delete table inet guard; add table ip6 guard; add chain ip6 guard way { type filter hook forward priority 10; policy drop; }")
	if text, _ := n.Barred(); text != "" {
		t.Errorf("a firewall of IPv6 alone: %q", text)
	}
	nft(t, "delete table ip6 guard")
	nft(t, chain+"; add chain inet guard ours; add rule inet guard way counter jump ours; add rule inet guard ours accept")
	if text, _ := n.Barred(); text != "" {
		t.Errorf("a chain that is jumped to accepts all: %q", text)
	}
}
