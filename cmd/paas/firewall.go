package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

// firewall names the managers that may close the ports; they are never gone around.
func (h host) firewall() platform.Finding {
	f := platform.Finding{Check: "firewall manager", Grade: platform.Fine, Text: "Neither ufw nor firewalld runs here."}
	ports := h.openPorts()
	if closed, on := ufwCloses("/etc/ufw", ports); on {
		f.Text = "ufw is on, and lets visitors and git in."
		if len(closed) > 0 {
			f.Grade, f.Text = platform.Warning, fmt.Sprintf("ufw is on, and has no rule that lets port %s in.", strings.Join(closed, ", "))
			f.Fix = "ufw allow " + strings.Join(closed, "/tcp && ufw allow ") + "/tcp"
		}
	}
	if firewalldRuns() {
		closed := firewalldCloses(ports)
		f.Text = "firewalld is on, and lets visitors and git in."
		if len(closed) > 0 {
			f.Grade, f.Text = platform.Warning, fmt.Sprintf("firewalld is on, and does not let port %s in.", strings.Join(closed, ", "))
			f.Fix = "firewall-cmd --permanent --add-port=" + strings.Join(closed, "/tcp --add-port=") + "/tcp && firewall-cmd --reload"
		}
	}
	return f
}

// openPorts are those that the world is to reach.
func (h host) openPorts() (list []string) {
	for _, a := range []net.Addr{h.httpAddr, h.httpsAddr, h.sshAddr} {
		if a != nil {
			list = append(list, strconv.Itoa(port(a)))
		}
	}
	return list
}

// ufwCloses lists the ports that no rule of ufw lets in; its rules are iptables' in user.rules (ufw-framework(8)).
func ufwCloses(dir string, ports []string) (closed []string, on bool) {
	text, err := os.ReadFile(filepath.Join(dir, "ufw.conf")) //nolint:gosec // a fixed path
	if err != nil || !strings.Contains(string(text), "ENABLED=yes") {
		return nil, false
	}
	rules, err := os.ReadFile(filepath.Join(dir, "user.rules")) //nolint:gosec // a fixed path
	if err != nil {
		return ports, true
	}
	for _, port := range ports {
		if !ufwLets(string(rules), port) {
			closed = append(closed, port)
		}
	}
	return closed, true
}

func ufwLets(rules, port string) bool {
	for line := range strings.Lines(rules) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "-A" || words[1] != "ufw-user-input" || words[len(words)-1] != "ACCEPT" {
			continue
		}
		for i, w := range words[:len(words)-1] {
			if (w == "--dport" || w == "--dports") && portAmong(port, words[i+1]) {
				return true
			}
		}
	}
	return false
}

// portAmong looks into iptables' list of ports: "22", "80,443", "8000:8100".
func portAmong(port, list string) bool {
	n, _ := strconv.Atoi(port)
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, ":")
		a, _ := strconv.Atoi(first)
		b := a
		if isRange {
			b, _ = strconv.Atoi(last)
		}
		if a <= n && n <= b {
			return true
		}
	}
	return false
}

const firewallTime = 3 * time.Second

func firewalldRuns() bool {
	ctx, cancel := context.WithTimeout(context.Background(), firewallTime)
	defer cancel()
	return exec.CommandContext(ctx, "firewall-cmd", "--state").Run() == nil
}

// firewalldCloses asks firewalld itself; without an answer all count as closed.
func firewalldCloses(ports []string) (closed []string) {
	ctx, cancel := context.WithTimeout(context.Background(), firewallTime)
	defer cancel()
	for _, port := range ports {
		open := exec.CommandContext(ctx, "firewall-cmd", "--query-port="+port+"/tcp").Run() == nil
		service := map[string]string{"80": "http", "443": "https", "22": "ssh"}[port]
		if !open && service != "" {
			open = exec.CommandContext(ctx, "firewall-cmd", "--query-service="+service).Run() == nil
		}
		if !open {
			closed = append(closed, port)
		}
	}
	return closed
}
