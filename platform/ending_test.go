package platform

import (
	"fmt"
	"strings"
	"testing"
)

// What processes say at their end, as dash, bash, busybox, Perl and Node spell it.
func TestEndingsAreTold(t *testing.T) {
	for _, c := range []struct {
		exit    Exit
		command string
		says    string
		code    TroubleCode
		text    string
	}{
		{Exit{Code: 127}, "gunicorn app", "sh: 1: gunicorn: not found", TroubleCommand, `"gunicorn"`},
		{Exit{Code: 127}, "bin/start", "bin/start: 3: exec: unicorn: not found", TroubleCommand, `"unicorn"`},
		{Exit{Code: 127}, "gunicorn app", "bash: line 1: gunicorn: command not found", TroubleCommand, `"gunicorn"`},
		{Exit{Code: 127}, "./run.sh", "/bin/bash: line 1: ./run.sh: cannot execute: required file not found", TroubleCommand, `first line of "run.sh"`},
		{Exit{Code: 126}, "./run.sh", "bash: ./run.sh: /bin/sh^M: bad interpreter: No such file or directory", TroubleCommand, `first line of "run.sh"`},
		{Exit{Code: 127}, "bin/run", "/usr/bin/env: 'bash\\r': No such file or directory", TroubleCommand, `first line of "bin/run"`},
		{Exit{Code: 127}, "PORT=1 exec rails s", "", TroubleCommand, `"rails"`},
		{Exit{Code: 126}, "./app", "sh: 1: ./app: Exec format error", TroubleFormat, `"app"`},
		{Exit{Code: 2}, "./app", "./app: 1: Syntax error: word unexpected (expecting \")\") ELF", TroubleFormat, "exec format"},
		{Exit{Code: 126}, "./run.sh", "sh: 1: ./run.sh: Permission denied", TroubleRights, `"run.sh"`},
		{Exit{Code: 1}, "node app", "Error: listen EADDRINUSE: address already in use :::5000", TroubleAddress, "taken"},
		{Exit{Code: 1}, "perl x", "write: No space left on device at x line 3.", TroubleDisk, "write no more"},
		{Exit{Code: 0}, "true", "done", TroubleFinished, "`true` did its work"},
		{Exit{Code: 137, Signal: "SIGKILL"}, "x", "", TroubleSignal, "SIGKILL"},
		{Exit{Code: 137, OOM: true, MemoryPeak: 64 << 20, MemoryLimit: 64 << 20}, "x", "", TroubleMemory, "64 MiB of its 64 MiB"},
		{Exit{Code: 3}, "x", "not found: the meaning of life", TroubleExit, "exited with status 3"},
	} {
		var output []string
		if c.says != "" {
			output = []string{"hello", c.says}
		}
		got := ending{app: "blog", typ: "web", name: "web.1", command: c.command, exit: &c.exit, output: output}.trouble()
		if got.Code != c.code || !strings.Contains(got.Text, c.text) || !strings.HasPrefix(got.Text, "web.1 ") || got.Fix == "" {
			t.Errorf("%d %q: %+v", c.exit.Code, c.says, got)
		}
	}
}

// However much else a process says, its last errors are shown.
func TestLastLinesHaveErrors(t *testing.T) {
	var all []LogLine
	for n := range 15 {
		all = append(all, LogLine{Stream: "stderr", Text: fmt.Sprint("e", n)})
	}
	for n := range 100 {
		all = append(all, LogLine{Stream: "stdout", Text: fmt.Sprint("o", n)})
	}
	got := lastOf(all)
	if len(got) != lastWords || got[0].Text != "e5" || got[9].Text != "e14" || got[10].Text != "o90" || got[19].Text != "o99" {
		t.Errorf("%v", got)
	}
	if got = lastOf(all[:3]); len(got) != 3 || got[0].Text != "e0" {
		t.Errorf("%v", got)
	}
	if got = lastOf(all[100:]); len(got) != 15 {
		t.Errorf("%d lines", len(got))
	}
}
