// Command attack is a hostile program: it tries from inside a container what must not succeed.
//
//	attack NAME [WORD...]
//
// It prints one line of JSON that says what was tried, what was achieved and how the rest was refused,
// and exits 42 if anything was achieved, 0 if nothing was, 1 if it could not try. Attacks that are only
// dangerous by what they use up say what they reached and leave the judgement to the test.
//
// Its runtime must not look at cgroups: it would keep a descriptor.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"sort"
)

// try is one thing that must fail: it gives nil when it was achieved.
type try struct {
	what string
	do   func() error
}

// report is what the test reads.
type report struct {
	Attack   string            `json:"attack"`
	Tried    int               `json:"tried"`
	Achieved []string          `json:"achieved"`
	Refused  map[string]string `json:"refused"`
	Reached  map[string]int64  `json:"reached,omitempty"` // how far an attack that uses things up came
}

const (
	achieved = 42
	usage    = 1
)

// attacks is what can be named on the command line.
func attacks() map[string]func(words []string) []try {
	return map[string]func(words []string) []try{
		"doors": doors, "chroot": chrootEscape, "handles": handles, "ipc": neighbourIPC, "reach": reach, "spoof": spoof,
		"proc-write":      func([]string) []try { return writableFiles("/proc") },
		"sys-write":       func([]string) []try { return writableFiles("/sys") },
		"descriptors":     wordless(descriptors),
		"programs":        wordless(programs),
		"proc-write-self": wordless(ownFiles),
		"proc-read":       wordless(hostSecrets),
		"devices":         wordless(deviceNodes),
		"mounts":          wordless(mounts),
		"cgroups":         wordless(controlGroups),
		"namespaces":      wordless(namespaces),
		"kernel":          wordless(kernelDoors),
		"quota":           wordless(quota),
		"keys":            wordless(keys),
		"entries":         wordless(otherEntries),
		"sockets":         wordless(sockets),
		"netlink":         wordless(netlinkChanges),
		"init":            wordless(attackInit),
		"rights":          wordless(moreRights),
		"identity":        wordless(identity),
		"limits":          wordless(limits),
	}
}

func wordless(tries func() []try) func([]string) []try {
	return func([]string) []try { return tries() }
}

func main() {
	if len(os.Args) < 2 {
		os.Exit(usage)
	}
	name, words := os.Args[1], os.Args[2:]
	everything := floods()
	maps.Copy(everything, smallFloods())
	if run, ok := everything[name]; ok {
		tell(report{Attack: name, Reached: run(words)})
		return
	}
	if run, ok := children()[name]; ok {
		os.Exit(run(words))
	}
	make, ok := attacks()[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such attack:", name)
		os.Exit(usage)
	}
	r := attempt(name, make(words))
	tell(r)
	if len(r.Achieved) > 0 {
		os.Exit(achieved)
	}
}

func attempt(name string, tries []try) report {
	r := report{Attack: name, Tried: len(tries), Refused: make(map[string]string)}
	for _, t := range tries {
		if err := t.do(); err != nil {
			r.Refused[t.what] = err.Error()
		} else {
			r.Achieved = append(r.Achieved, t.what)
		}
	}
	sort.Strings(r.Achieved)
	return r
}

func tell(r report) {
	_ = json.NewEncoder(os.Stdout).Encode(r)
}
