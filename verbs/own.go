package verbs

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"paas/platform"
)

// own is every verb that the table itself answers.
func (t *Table) own() []Verb {
	return []Verb{
		define(Verb{Name: "requests", Aliases: []string{"requests:list"}, Access: Anyone, Summary: "List commands that were not waited for",
			Example: "requests", Another: "requests --json"}, t.listRequests),
		define(Verb{Name: "requests:wait", Access: Anyone, Watch: true, Summary: "Wait for such a command, and end as it does",
			Example: "requests:wait 1f0c83d2", Another: "requests:wait 1f0c83d2 --timeout 5m"}, t.waitRequest),
		define(Verb{Name: "completion", Access: Anyone, Summary: "Print a shell function `paas` that completes",
			Example: `completion bash`, Another: "completion fish > ~/.config/fish/functions/paas.fish"}, t.completion),
		define(Verb{Name: "__complete", Access: Anyone, hidden: true, Summary: "Complete a command line, for shells",
			Example: "__complete ps", Another: "__complete -- ps:scale --app blog ''"}, t.complete),
		define(Verb{Name: "help", Access: Anyone, Summary: "Show all commands, a topic or one command",
			Example: "help ps:scale", Another: "help config"}, t.help),
		define(Verb{Name: "version", Access: Anyone, Summary: "Show the version of the server and its interface",
			Example: "version", Another: "version --json"}, t.tellVersion),
	}
}

// apiVersion counts changes that break what --json prints or what commands are called.
const apiVersion = "1"

// VersionView is version.
type VersionView struct {
	Version string `json:"version"`
	API     string `json:"api"`
	Commit  string `json:"commit,omitempty"` // that it was built from
	Go      string `json:"go"`
}

// Text implements output.
func (v VersionView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "paas %s\napi %s\ncommit %s\n", v.Version, v.API, v.Commit)
	return err
}

func (t *Table) tellVersion(*platform.Platform, context.Context, platform.Call, struct{}) (VersionView, error) {
	v := VersionView{Version: t.version, API: apiVersion, Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, nil
	}
	v.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v, nil
}
