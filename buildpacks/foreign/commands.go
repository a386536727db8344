package foreign

import (
	"encoding/json"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

// The files of Railpack and Nixpacks.
const (
	railpackName = "railpack.json"
	nixpacksName = "nixpacks.toml"
)

// Commands are what the app's build and web process are to run.
type Commands struct {
	File   string   // that says so; empty if none does
	Build  []string // instead of what the language would run
	Extend bool     // after what the language would run, not instead of it
	Start  string
}

// ReadCommands reads the start and the build command of a railpack.json, or else of a nixpacks.toml.
func ReadCommands(tree *source.Tree) (Commands, error) {
	c, ok, err := readRailpack(tree)
	if err != nil || ok {
		return c, err
	}
	return readNixpacks(tree)
}

// readRailpack reads steps.build.commands, whose entries are lines or objects with a cmd, and
// deploy.startCommand (Railpack's documentation, "Config File").
func readRailpack(tree *source.Tree) (Commands, bool, error) {
	text, ok, err := read(tree, railpackName)
	if err != nil || !ok {
		return Commands{}, false, err
	}
	var file struct {
		Steps map[string]struct {
			Commands []json.RawMessage `json:"commands"`
		} `json:"steps"`
		Deploy struct {
			Start string `json:"startCommand"`
		} `json:"deploy"`
	}
	if err := source.Decode(railpackName, text, &file); err != nil {
		return Commands{}, false, err
	}
	c := Commands{File: railpackName, Start: file.Deploy.Start}
	for _, raw := range file.Steps["build"].Commands {
		c.add(railpackCommand(raw))
	}
	return c, true, nil
}

// railpackCommand is empty for what is no command, such as a file to copy.
func railpackCommand(raw json.RawMessage) string {
	var line string
	if json.Unmarshal(raw, &line) == nil {
		return line
	}
	var long struct {
		Cmd string `json:"cmd"`
	}
	_ = json.Unmarshal(raw, &long) // a step that copies has none
	return long.Cmd
}

// readNixpacks reads phases.build.cmds and start.cmd (Nixpacks' documentation, "Configuration File").
func readNixpacks(tree *source.Tree) (Commands, error) {
	text, ok, err := read(tree, nixpacksName)
	if err != nil || !ok {
		return Commands{}, err
	}
	var file struct {
		Phases map[string]struct {
			Cmds []string `toml:"cmds"`
		} `toml:"phases"`
		Start struct {
			Cmd string `toml:"cmd"`
		} `toml:"start"`
	}
	if _, err := toml.Decode(string(text), &file); err != nil {
		return Commands{}, notTOML(nixpacksName, err)
	}
	c := Commands{File: nixpacksName, Start: file.Start.Cmd}
	for _, line := range file.Phases["build"].Cmds {
		c.add(line)
	}
	return c, nil
}

// add knows "...", which stands for what the language would run.
func (c *Commands) add(line string) {
	switch line = strings.TrimSpace(line); line {
	case "":
	case "...":
		c.Extend = true
	default:
		c.Build = append(c.Build, line)
	}
}

func notTOML(name string, err error) error {
	return platform.Errorf(platform.Failed, "%s is not TOML of the expected form: %s", name, firstLine(err.Error())).Because(err)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
