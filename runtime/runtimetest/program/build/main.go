// Command build puts programs that tests run into a directory: build DIR IMPORTPATH...
package main

import (
	"fmt"
	"os"

	"paas/runtime/runtimetest/program"
)

func main() {
	for _, pkg := range os.Args[2:] {
		if err := program.Build(os.Args[1], pkg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
