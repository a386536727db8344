package platform_test

import (
	"context"
	"fmt"

	"paas/platform"
)

// The host's side of limits: it keeps what it is told, and what it was told last.

func (h *host) SetLimits(_ context.Context, id platform.InstanceID, l platform.Limits) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	if p == nil || p.Exit != nil {
		return platform.Errorf(platform.NotFound, "no instance %s is running", id)
	}
	if l.Memory == 5<<20 {
		return platform.Errorf(platform.Conflict, "it uses 6 MiB now, which does not fit into 5 MiB")
	}
	p.limits = l
	return nil
}

func (h *host) Consumed(_ context.Context, id platform.InstanceID) (platform.Consumption, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	if p == nil || p.Exit != nil {
		return platform.Consumption{}, platform.Errorf(platform.NotFound, "no instance %s is running", id)
	}
	return platform.Consumption{Memory: 1 << 20, MemoryPeak: 2 << 20, MemoryLimit: p.limits.Memory, OOMKills: p.kills, CPU: -1, Disk: -1}, nil
}

func (h *host) Shortfalls(l platform.Limits) (list []platform.Shortfall) {
	if l.Disk > 0 {
		list = append(list, platform.Shortfall{Limit: "disk", Reason: "goroutines write no disk"})
	}
	return list
}

func (h *host) OOMKills() <-chan platform.OOMKill { return h.ooms }

func (h *host) Note(app platform.AppName, source, text string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, platform.LogLine{App: app, Source: source, Stream: "platform", Text: text})
	return nil
}

func (h *host) Inspect(context.Context) []platform.Finding {
	return []platform.Finding{{Check: "goroutines", Grade: platform.Fine, Text: "There are some."}}
}

func (h *host) OpenDevice(path string) (platform.Device, error) {
	if path != "/dev/fuse" {
		return platform.Device{}, platform.Errorf(platform.NotFound, "this host has no %s", path)
	}
	return platform.Device{Path: path, Major: 10, Minor: 229, Access: "rw"}, nil
}

// kill has the kernel kill something of an instance that goes on.
func (h *host) kill(id platform.InstanceID) {
	h.mu.Lock()
	p := h.running[id]
	p.kills++
	i := p.Instance
	h.mu.Unlock()
	h.ooms <- platform.OOMKill{Instance: i, Kills: 1, Peak: 64 << 20, Limit: 64 << 20, At: i.StartedAt}
}

func (h *host) specOf(id platform.InstanceID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[id] == nil { // it was stopped since its id was asked for
		return ""
	}
	return fmt.Sprintf("%+v %+v", h.running[id].limits, h.running[id].security)
}
