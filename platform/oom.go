package platform

import (
	"context"
	"fmt"
)

// watchMemory reads of kills for want of memory until the platform closes.
func (p *Platform) watchMemory(ctx context.Context) {
	for {
		select {
		case k := <-p.Runner.OOMKills():
			p.killedForMemory(ctx, k)
		case <-ctx.Done():
			return
		}
	}
}

// killedForMemory counts a kill for its process type, and explains it as an event and in the app's log. The instance's end,
// if that was it, is an event of its own.
func (p *Platform) killedForMemory(ctx context.Context, k OOMKill) {
	i := k.Instance
	name := i.Name()
	what := name + " " + outOfMemory(k.Peak, k.Limit)
	if k.Kills > 1 {
		what = fmt.Sprintf("%d processes of %s were killed: they used %s of its %s memory limit", k.Kills, name, Bytes(k.Peak), Bytes(k.Limit))
	}
	p.sayOf(EventOutOfMemory, i, "", "%s", what)
	err := p.Store.CountOOM(ctx, i.App, OOMCount{Type: i.Type, Kills: k.Kills, LastAt: k.At, Peak: k.Peak, Limit: k.Limit})
	if err != nil && KindOf(err) != NotFound {
		p.Log.Error("count kills for want of memory", "app", i.App, "err", err)
	}
	if err := p.Runner.Note(i.App, name, what+"; "+moreMemory(i.App, i.Type, k.Limit)); err != nil {
		p.Log.Error("note kills for want of memory", "app", i.App, "err", err)
	}
}

// sparedOf adds to what is shown of a running instance what the kernel has killed of it.
func (p *Platform) sparedOf(ctx context.Context, v ProcessView, i Instance) ProcessView {
	c, err := p.Runner.Consumed(ctx, i.ID)
	if err != nil || c.OOMKills == 0 { // it may just have ended
		return v
	}
	v.OOMKills = c.OOMKills
	v.Status += fmt.Sprintf(", %s killed for want of memory (limit %s)", plural(c.OOMKills, "process", "processes"), Bytes(c.MemoryLimit))
	return v
}
