package client

import (
	"fmt"
	"regexp"
	"strings"

	"paas/platform"
)

// How BuildKit says that an instruction names what is not there. The parts with names of its own mean nothing to
// anybody else.
var (
	noFile   = regexp.MustCompile(`failed to calculate checksum of ref \S+: "?([^"]+?)"?: not found$`)
	noSecret = regexp.MustCompile(`secret (\S+): not found$`)
	noKey    = regexp.MustCompile(`(?:unset ssh forward key|no SSH key) "?([^"\s]+)"?`)
)

// lacking says it for people: what is not there, and how to bring it.
func lacking(app platform.AppName, instruction, text string) (says, hint string) {
	if m := noSecret.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("there is no config var %s to mount", m[1]), fmt.Sprintf("set it: ssh paas config:set %s %s=VALUE", app, m[1])
	}
	if m := noKey.FindStringSubmatch(text); m != nil {
		name := m[1]
		if name == "default" {
			name = "SSH_PRIVATE_KEY"
		}
		return fmt.Sprintf("there is no config var %s with a private key to sign with", name), fmt.Sprintf("set it: ssh paas config:set %s %s=KEY", app, name)
	}
	m := noFile.FindStringSubmatch(text)
	if m == nil {
		return text, "the lines above tell more"
	}
	file := strings.TrimPrefix(m[1], "/")
	if strings.Contains(instruction, "--from=") || strings.Contains(instruction, "from=") {
		return fmt.Sprintf("/%s is not in the stage or image that it is taken from", file), "look at what that stage makes, and where"
	}
	return fmt.Sprintf("%s is not in the commit, or .dockerignore leaves it out", file), fmt.Sprintf("commit it (git add -f %s), or correct .dockerignore", file)
}
