package shell

import (
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestInterpreter(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/bash\nset -e\n": "bash start.sh", "#!/usr/bin/env bash\n": "bash start.sh", "#!/bin/sh\n": "sh start.sh",
		"echo hi\n": "sh start.sh", "": "sh start.sh", "#!": "sh start.sh", "#!/usr/bin/perl -w": "perl start.sh", "#!/x/$(id)\n": "sh start.sh",
	} {
		src, err := source.Open(treetest.Files(map[string]string{Script: text}))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := Plan(src); err != nil || p.Processes[platform.Web] != want {
			t.Errorf("%q: %v %v", text, p.Processes, err)
		}
	}
}
