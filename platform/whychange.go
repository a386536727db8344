package platform

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Difference is what is different since an app was well last. Values of config vars are shown to nobody.
type Difference struct {
	From         int             `json:"from"`         // the release that was well
	To           int             `json:"to,omitempty"` // the one that is not; 0: it never became one
	CommitBefore string          `json:"commit_before,omitempty"`
	CommitAfter  string          `json:"commit_after,omitempty"`
	Image        bool            `json:"image_changed"`
	Config       []ConfigChanged `json:"config,omitempty"`
	Processes    []string        `json:"processes,omitempty"` // types whose command changed, came or went
	Others       []Event         `json:"others,omitempty"`    // what no release records: limits, scale, routing
}

// ConfigChanged is a config var that came, went, or has another value.
type ConfigChanged struct {
	Key    string `json:"key"`
	Change string `json:"change"` // "added", "changed" or "removed"
}

// changesSince compares what went wrong with what was well: a change that failed with the release that serves, a
// crash with the release before. nil: there is nothing to compare with.
func (p *Platform) changesSince(ctx context.Context, look look) (*Difference, error) {
	if look.app.Release == 0 {
		return nil, nil //nolint:nilnil // nothing to compare with is no error
	}
	releases, err := p.Store.Releases(ctx, look.app.Name)
	if err != nil {
		return nil, err
	}
	number := func(n int) *Release {
		i := slices.IndexFunc(releases, func(r Release) bool { return r.Number == n })
		if i < 0 {
			return nil
		}
		return &releases[i]
	}
	current := number(look.app.Release)
	switch {
	case current == nil:
		return nil, nil //nolint:nilnil // it was replaced just now
	case look.change != nil:
		return look.changeFailed(*current, number(look.change.Release)), nil
	}
	c := Difference{From: current.Number, To: current.Number}
	if before := goodBefore(releases, *current); before != nil {
		c = compare(*before, *current)
	}
	c.Others = look.othersSince(current.CreatedAt)
	return c.unlessEmpty(), nil
}

// changeFailed is what a failed push or change brought.
func (k *look) changeFailed(current Release, failed *Release) *Difference {
	c := Difference{From: current.Number, CommitBefore: current.Commit, CommitAfter: k.change.Commit}
	if failed != nil {
		c = compare(current, *failed)
	}
	if c.CommitAfter == c.CommitBefore {
		c.CommitBefore, c.CommitAfter = "", ""
	}
	c.Others = k.othersSince(current.CreatedAt)
	return c.unlessEmpty()
}

// goodBefore is the release that served before this one; releases are newest first.
func goodBefore(releases []Release, current Release) *Release {
	for i, r := range releases {
		if r.Number < current.Number && r.Status == Live {
			return &releases[i]
		}
	}
	return nil
}

func compare(before, after Release) Difference {
	c := Difference{From: before.Number, To: after.Number, Image: before.Image.ID != after.Image.ID}
	if before.Commit != after.Commit {
		c.CommitBefore, c.CommitAfter = before.Commit, after.Commit
	}
	for _, key := range changedKeys(before.Config, after.Config) {
		change := "changed"
		if _, had := before.Config[key]; !had {
			change = "added"
		} else if _, has := after.Config[key]; !has {
			change = "removed"
		}
		c.Config = append(c.Config, ConfigChanged{key, change})
	}
	all := maps.Clone(before.Image.Processes)
	if all == nil {
		all = map[ProcessType]string{}
	}
	maps.Copy(all, after.Image.Processes)
	for _, typ := range slices.Sorted(maps.Keys(all)) {
		if before.Image.Processes[typ] != after.Image.Processes[typ] {
			c.Processes = append(c.Processes, string(typ))
		}
	}
	return c
}

// mostOthers bounds what is told of it.
const mostOthers = 3

// othersSince are the latest things that people changed and that no release records.
func (k *look) othersSince(since time.Time) (list []Event) {
	kinds := []EventKind{EventScaled, EventLimited, EventOpened, EventPolicySet, EventRouting, EventDomains, EventStackChanged, EventIdleSet}
	for _, e := range slices.Backward(k.events) {
		if len(list) == mostOthers || e.At.Before(since) {
			break
		}
		if slices.Contains(kinds, e.Kind) {
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list
}

func (c Difference) unlessEmpty() *Difference {
	if !c.Image && c.CommitAfter == "" && len(c.Config)+len(c.Processes)+len(c.Others) == 0 {
		return nil
	}
	return &c
}

// text says it in a line, without what is in Others.
func (c Difference) text() string {
	var parts []string
	if c.CommitAfter != "" {
		parts = append(parts, fmt.Sprintf("commit %s (was %s)", shortCommit(c.CommitAfter), shortCommit(c.CommitBefore)))
	} else if c.Image {
		parts = append(parts, "another image")
	}
	for _, k := range c.Config {
		parts = append(parts, fmt.Sprintf("config var %s %s", k.Key, k.Change))
	}
	if len(c.Processes) > 0 {
		parts = append(parts, "the command of "+strings.Join(c.Processes, ", "))
	}
	return strings.Join(parts, "; ")
}
