package main

import (
	"os"
	"os/exec"
)

// removeContainers takes back what a scenario left when it failed half way.
func removeContainers(binary, state string) {
	entries, err := os.ReadDir(state)
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = exec.Command(binary, "oci", "--root", state, "delete", "--force", e.Name()).Run()
	}
}
