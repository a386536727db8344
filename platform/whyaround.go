package platform

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// around is what stands around the app: what it needs and nobody set, the disk, the firewall, the router, those it calls.
func (p *Platform) around(ctx context.Context, look look) (list []Trouble, notes []string, err error) {
	needed, err := p.needed(ctx, look)
	if err != nil {
		return nil, nil, err
	}
	list = append(needed, p.hostTroubles(ctx, look.app)...)
	r := p.requestsNow(look)
	for _, name := range r.Resting {
		list = append(list, Trouble{Code: TroubleRequests, Process: name, Text: name + " did not answer the router, and gets no requests for a moment"})
	}
	if r.Waiting > 0 {
		list = append(list, Trouble{Code: TroubleRequests, Text: fmt.Sprintf("%s for an instance that is free", plural(int64(r.Waiting), "request waits", "requests wait")),
			Fix: fmt.Sprintf("let more instances run: ssh paas ps:scale %s web=+1", look.app.Name)})
	}
	links, notes, err := p.linkTroubles(ctx, look.app)
	return append(list, links...), notes, err
}

// needed are the config vars that app.json requires and that nobody set: the first deploy is refused without them, but
// they may be unset later, or a later app.json may ask for more. An app that is up, and whose last change did not fail, does without.
func (p *Platform) needed(ctx context.Context, look look) ([]Trouble, error) {
	r := look.want.release
	if look.app.Release == 0 {
		return nil, nil
	}
	global, err := p.Store.GlobalConfig(ctx)
	if err != nil {
		return nil, err
	}
	missing := r.Image.lacks(r.Config, global)
	if len(missing) == 0 {
		return nil, nil
	}
	t := configMissing(look.app.Name, missing).trouble()
	t.Release, t.Over = r.Number, look.change == nil && len(look.up) == len(look.want.slots())
	return []Trouble{t}, nil
}

// lacks lists the config vars that app.json requires, gives no value for, and that neither config has.
func (i Image) lacks(config, global Config) (missing []string) {
	for _, key := range slices.Sorted(maps.Keys(i.Declared)) {
		d := i.Declared[key]
		_, have := config[key]
		if d.Required && d.Generator == "" && d.Value == "" && !have && global[key] == "" {
			missing = append(missing, key)
		}
	}
	return missing
}

// missingVars says that config vars are needed.
type missingVars struct{ text, fix string }

func configMissing(app AppName, keys []string) missingVars {
	vars, is := "config var", "is"
	if len(keys) > 1 {
		vars, is = "config vars", "are"
	}
	return missingVars{
		text: fmt.Sprintf("app.json requires the %s %s, which %s not set", vars, strings.Join(keys, ", "), is),
		fix:  fmt.Sprintf("set it first: ssh paas config:set %s %s=…", app, strings.Join(keys, "=… ")),
	}
}

func (m missingVars) trouble() Trouble { return Trouble{Code: TroubleConfig, Text: m.text, Fix: m.fix} }

// hostTroubles are what of the host is in every app's way.
func (p *Platform) hostTroubles(ctx context.Context, app App) (list []Trouble) {
	if err := p.Images.Room(); KindOf(err) == Failed {
		list = append(list, Trouble{Code: TroubleHost, Text: "the server's disk is nearly full, so nothing can be pushed: " + sentence(err), Fix: "see what takes it: ssh paas disk"})
	}
	allowed, limited, err := p.Store.EgressList(ctx, app.Name)
	if err != nil || limited && len(allowed) == 0 {
		return list // it is to reach nobody
	}
	if text, fix := p.Walls.Barred(); text != "" {
		list = append(list, Trouble{Code: TroubleFirewall, Text: text, Fix: fix})
	}
	return list
}

// linkTroubles tells of apps that this one may call, and that cannot answer.
func (p *Platform) linkTroubles(ctx context.Context, app App) (list []Trouble, notes []string, err error) {
	links, err := p.Store.Links(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("look at links of %s: %w", app.Name, err)
	}
	told := map[AppName]bool{}
	for _, l := range links {
		if l.App != app.Name || told[l.To] {
			continue
		}
		told[l.To] = true
		to, err := p.Store.App(ctx, l.To)
		if err != nil {
			continue // destroyed meanwhile
		}
		t, note, err := p.linked(ctx, app.Name, to)
		if err != nil {
			return nil, nil, err
		}
		if t.Text != "" {
			list = append(list, t)
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return list, notes, nil
}

// linked tells how an app is that another one calls. Both are empty for one that answers.
func (p *Platform) linked(ctx context.Context, from AppName, to App) (t Trouble, note string, err error) {
	look, err := p.lookAt(ctx, to)
	if err != nil {
		return t, "", err
	}
	name := fmt.Sprintf("%s, which it is linked to, ", to.Name)
	t.Code = TroubleLink
	switch state, _ := look.state(p); state {
	case StateSleeping:
		return Trouble{}, name + "sleeps; a call wakes it", nil
	case StateNew:
		t.Text, t.Fix = name+"was never deployed", fmt.Sprintf("push it, or: ssh paas links:remove %s %s", from, to.Name)
	case StateStopped:
		t.Text, t.Fix = name+"is stopped", fmt.Sprintf("ssh paas ps:start %s", to.Name)
	case StatePaused:
		t.Text, t.Fix = name+"is paused", fmt.Sprintf("ssh paas ps:resume %s", to.Name)
	case StateIdle:
		t.Text, t.Fix = name+"runs nothing: no process of it is scaled up", fmt.Sprintf("ssh paas ps:scale %s web=1", to.Name)
	case StateCrashing, StateUnhealthy:
		t.Text, t.Fix = name+"is down: "+look.downBecause(), fmt.Sprintf("ssh paas why %s", to.Name)
	default:
		return Trouble{}, "", nil
	}
	return t, "", nil
}

// downBecause is the worst that is wrong with an app, for people who may not be its own: without what it said.
func (k *look) downBecause() string {
	i := slices.IndexFunc(k.troubles, func(t Trouble) bool { return !t.Over && t.Process != "" })
	if i < 0 {
		return "its processes are not up"
	}
	return k.troubles[i].Text
}

// atWork tells what is being done to the app, and how far the processes are that are to serve after it.
func (p *Platform) atWork(look look) (notes []string) {
	if look.holder != "" && look.app.Release > 0 && !look.deploying() {
		notes = append(notes, fmt.Sprintf("%s is under way; v%d goes on meanwhile", look.holder, look.app.Release))
	}
	for _, i := range look.coming {
		note := fmt.Sprintf("%s of v%d was started %s ago and is not healthy yet", i.Name(), i.Release, roughly(look.now.Sub(i.StartedAt)))
		if addrs, err := p.Runner.Listening(i.ID); err == nil && look.want.serves(i.Type) {
			note += fmt.Sprintf(": it listens on %s; PORT is %d", cmp.Or(joinAddrs(addrs), "no port"), i.Addr.Port())
		}
		notes = append(notes, note)
	}
	return notes
}
