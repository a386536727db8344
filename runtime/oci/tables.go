package oci

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

func (c *Command) ps(_ context.Context, args []string) (int, error) {
	set := c.flags("ps")
	format := formatFlag(set)
	given, err := parse(set, args, 1, 99)
	if err != nil {
		return 0, err
	}
	pids, err := c.runtime.Processes(given[0])
	if err != nil {
		return 0, err
	}
	if *format == "json" {
		return 0, c.printJSON(pids)
	}
	return 0, printProcesses(c.Stdio[1], pids)
}

func formatFlag(set *flag.FlagSet) *string {
	format := set.String("format", "table", "table or json")
	set.StringVar(format, "f", "table", "table or json")
	return format
}

// printProcesses leaves out what ends meanwhile.
func printProcesses(to io.Writer, pids []int) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PID\tSTATE\tCOMMAND")
	for _, pid := range pids {
		state, _, err := processStat(pid)
		command, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if errors.Join(err, readErr) != nil {
			continue
		}
		text := strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " ")
		_, _ = fmt.Fprintf(w, "%d\t%c\t%s\n", pid, state, text)
	}
	return w.Flush()
}

func (c *Command) list(_ context.Context, args []string) (int, error) {
	set := c.flags("list")
	format := formatFlag(set)
	quiet := set.Bool("quiet", false, "ids only")
	set.BoolVar(quiet, "q", false, "ids only")
	if _, err := parse(set, args, 0, 0); err != nil {
		return 0, err
	}
	list, err := c.runtime.List()
	if err != nil {
		return 0, err
	}
	if *format == "json" && !*quiet {
		return 0, c.printJSON(list)
	}
	w := tabwriter.NewWriter(c.Stdio[1], 0, 0, 2, ' ', 0)
	if !*quiet {
		_, _ = fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED")
	}
	for _, i := range list {
		if *quiet {
			_, _ = fmt.Fprintln(w, i.ID)
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", i.ID, i.Pid, i.Status, i.Bundle, i.Created)
	}
	return 0, w.Flush()
}
