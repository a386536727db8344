package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"paas/platform"
)

// maxResources is how long a document of limits may be, in bytes; an engine's has a few hundred.
const maxResources = 1 << 20

// Update changes the limits of a container whose process has not ended, to those that r names; others stay, and so do
// devices. Which limits were written when one cannot be is not defined, as in other runtimes.
func (r *Runtime) Update(id string, limits *specs.LinuxResources) error {
	c, err := r.Store.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	if s := c.status(); s == specs.StateStopped || s == specs.StateCreating {
		return platform.Errorf(platform.Conflict, "container %s is %s: there is nothing to bound", id, s)
	}
	// Memory alone is never above memory with swap: raising both goes the other way around than lowering both.
	err = c.Groups.limit(limits)
	if m := limits.Memory; err != nil && m != nil && m.Limit != nil && m.Swap != nil {
		_ = c.Groups.limit(&specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: m.Swap}})
		err = c.Groups.limit(limits)
	}
	if err != nil {
		return fmt.Errorf("update %s: %w", id, err)
	}
	return nil
}

func (c *Command) update(_ context.Context, args []string) (int, error) {
	set := c.flags("update")
	var from string
	for _, n := range []string{"resources", "r"} {
		set.StringVar(&from, n, "-", "file with linux.resources of config.json, - for stdin")
	}
	given, err := parse(set, args, 1, 1)
	if err != nil {
		return 0, err
	}
	limits, err := c.readResources(from)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Update(given[0], limits)
}

func (c *Command) readResources(from string) (limits *specs.LinuxResources, err error) {
	f := c.Stdio[0]
	if from != "-" {
		if f, err = os.Open(from); err != nil {
			return nil, fmt.Errorf("read limits: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	text, err := io.ReadAll(io.LimitReader(f, maxResources))
	if err != nil {
		return nil, fmt.Errorf("read limits: %w", err)
	}
	limits = &specs.LinuxResources{}
	if err := json.Unmarshal(text, limits); err != nil {
		return nil, platform.Errorf(platform.Usage, "the limits are not JSON: %v", err).WithHint(`write them like {"memory": {"limit": 67108864}}`)
	}
	return limits, nil
}
