package buildpacks

import (
	"regexp"

	"paas/platform"
)

// failure is the error of a command that did not end well. tail is the last of what it said.
func failure(app platform.AppName, command string, exit platform.Exit, limits platform.BuildLimits, tail []string) error {
	if bound := platform.StepFailure(app, command, exit, limits); bound != nil {
		return bound
	}
	failed := platform.Errorf(platform.Failed, "build failed: `%s` %s", command, exit)
	if host, ok := unreachable(tail); ok {
		return failed.WithHint("the build could not reach %s; `ssh paas doctor` tells if a firewall of the server stands in the way", host)
	}
	if what, hint, ok := knownCause(string(app), tail); ok {
		failed.Message += ": " + what
		return failed.WithHint("%s", hint)
	}
	switch exit.Code {
	case 126:
		return failed.WithHint("a file that the command runs is not executable: git update-index --chmod=+x FILE")
	case 127:
		return failed.WithHint("a program that the command names is not there: is it among the dependencies?")
	}
	return failed.WithHint("the lines above tell why; the same command should work in a fresh clone")
}

// unreachableLines are how package clients say that they did not get to a host, whose name is the group:
// npm and Node.js, Maven, Gradle, Go, curl, git and pip, apt, Deno.
var unreachableLines = []*regexp.Regexp{
	regexp.MustCompile(`(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT) ([a-zA-Z0-9.-]+\.[a-zA-Z0-9.-]+)`),
	regexp.MustCompile(`Could not transfer artifact \S+ from/to \S+ \(https?://([a-zA-Z0-9.-]+)`), // Maven
	regexp.MustCompile(`Could not (?:GET|HEAD) 'https?://([a-zA-Z0-9.-]+)`),                       // Gradle
	regexp.MustCompile(`curl error (?:6|7|28|35) while downloading https?://([a-zA-Z0-9.-]+)`),    // Composer, which breaks lines
	regexp.MustCompile(`failed_connect, \[\{:to_address, \{~c"([a-zA-Z0-9.-]+)"`),                 // Mix
	regexp.MustCompile(`dial tcp: lookup ([a-zA-Z0-9.-]+)`),
	regexp.MustCompile(`Could not resolve host: ([a-zA-Z0-9.-]+)`),
	regexp.MustCompile(`Could not reach host ([a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+)`), // Bundler
	regexp.MustCompile(`host='([a-zA-Z0-9.-]+)'.*(?:Failed to establish|Max retries)`),
	regexp.MustCompile(`(?:Could not resolve|Temporary failure resolving) '([a-zA-Z0-9.-]+)'`),
	regexp.MustCompile(`(?:error sending request for url|Import) '?\(?https?://([a-zA-Z0-9.-]+)`),
	noIndex,
}

// noIndex is pip's newer way to say it, which tells no name.
var noIndex = regexp.MustCompile(`pip\._vendor\.urllib3\..*Failed to establish a new connection`)

func unreachable(tail []string) (host string, ok bool) {
	for _, line := range tail {
		for _, r := range unreachableLines {
			m := r.FindStringSubmatch(line)
			switch {
			case m != nil && r == noIndex:
				return "the index of Python packages", true
			case m != nil:
				return m[1], true
			}
		}
	}
	return "", false
}
