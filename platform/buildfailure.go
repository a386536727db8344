package platform

import (
	"strconv"
	"strings"
)

// StepFailure is the error of a build step's command that a bound ended, nil if none did: one sentence with
// what it took and what it may, and what to type to give it more.
func StepFailure(app AppName, command string, exit Exit, l BuildLimits) *Error {
	fail := func(key, more, format string, args ...any) *Error {
		e := Errorf(Failed, format, args...)
		e.Message = "build failed: `" + shortCommand(command) + "` " + e.Message
		return e.WithHint("give it more: ssh paas builds:set %s %s=%s", app, key, more)
	}
	switch {
	case exit.OOM:
		return fail("memory", writeBytes(2*l.Memory), "%s", outOfMemory(exit.MemoryPeak, l.Memory))
	case exit.Over == DiskResource:
		return fail("disk", writeBytes(2*l.Disk), "was killed: it wrote %s, and its disk limit is %s", Bytes(exit.Used), Bytes(l.Disk))
	case exit.Over == ProcessResource:
		return fail("pids", strconv.Itoa(2*l.Processes), "wanted more processes than its limit of %d", l.Processes)
	case exit.Over == SilenceResource:
		return fail("silence", spellDuration(2*l.Silence), "was killed: it printed nothing for %s", spellDuration(l.Silence))
	}
	return nil
}

const longestCommand = 120

// shortCommand is a command as it fits into a sentence.
func shortCommand(command string) string {
	line, _, more := strings.Cut(strings.TrimSpace(command), "\n")
	line = printable(line)
	if len(line) > longestCommand {
		line, more = strings.ToValidUTF8(line[:longestCommand], ""), true
	}
	if more {
		line += " …"
	}
	return line
}
