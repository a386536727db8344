package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// SleepTopic is the topic of settings about when an app sleeps.
const SleepTopic Topic = "sleep"

// idleRules say when an app sleeps. The zero value is never.
type idleRules struct {
	After time.Duration // without a request it is frozen; 0: never
	Stop  time.Duration // frozen for so long it is stopped; 0: only when memory is short
	Keep  []ProcessType // stay awake

	Reclaim time.Duration // frozen for so long its memory is taken back; 0: only when memory is short
}

// usualIdle are the defaults: apps do not sleep; one that does is stopped after a quarter of a day.
func usualIdle() idleRules { return idleRules{Stop: defaultIdleStop, Reclaim: defaultIdleReclaim} }

const (
	defaultIdleStop    = 6 * time.Hour
	defaultIdleReclaim = 10 * time.Minute
	leastIdle          = time.Second
	mostIdle           = 30 * 24 * time.Hour
)

// The properties of ps:set.
const (
	idleKey     = "idle"
	idleStopKey = "idle-stop"
	idleKeepKey = "idle-keep"

	idleReclaimKey = "idle-reclaim"
)

func idleKeys() []string { return []string{idleKey, idleReclaimKey, idleStopKey, idleKeepKey} }

// take reads one setting.
func (r *idleRules) take(key, value string) (err error) {
	switch key {
	case idleKey:
		r.After, err = parseIdle(value)
	case idleStopKey:
		r.Stop, err = parseIdle(value)
	case idleReclaimKey:
		r.Reclaim, err = parseIdle(value)
	case idleKeepKey:
		r.Keep, err = parseKept(value)
	}
	return err
}

// parseIdle reads a time, or 0, off or never for none.
func parseIdle(value string) (time.Duration, error) {
	if slices.Contains([]string{"0", "off", "never"}, value) {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < leastIdle || d > mostIdle {
		return 0, Errorf(Usage, "%q is no time from 1s to 30 days: write it like 15m or 6h, or off", value)
	}
	return d, nil
}

func parseKept(value string) (list []ProcessType, err error) {
	for name := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ',' || c == ' ' }) {
		if ProcessType(name) == Web {
			return nil, Errorf(Usage, "web is what sleeps; other process types can stay awake").WithHint("ssh paas ps:set APP idle off")
		}
		list = append(list, ProcessType(name))
	}
	return list, nil
}

func (r idleRules) keeps(t ProcessType) bool { return slices.Contains(r.Keep, t) }

func (r idleRules) keptNames() string {
	var names []string
	for _, t := range r.Keep {
		names = append(names, string(t))
	}
	return strings.Join(names, ",")
}

// sleepers are the apps that may sleep, and what makes somebody look at them again.
type sleepers struct {
	mu    sync.Mutex
	rules map[AppName]idleRules
	look  chan struct{} // something changed

	relieved time.Time // when one was stopped for want of memory; doze's own
}

func newSleepers() sleepers {
	return sleepers{rules: map[AppName]idleRules{}, look: make(chan struct{}, 1)}
}

func (s *sleepers) kick() {
	select {
	case s.look <- struct{}{}:
	default: // it has not looked since the last time
	}
}

func (p *Platform) idleRules(name AppName) idleRules {
	p.sleepers.mu.Lock()
	defer p.sleepers.mu.Unlock()
	if r, ok := p.sleepers.rules[name]; ok {
		return r
	}
	return usualIdle()
}

func (p *Platform) forgetIdle(name AppName) {
	p.sleepers.mu.Lock()
	defer p.sleepers.mu.Unlock()
	delete(p.sleepers.rules, name)
}

// readIdle reads an app's rules from the store.
func (p *Platform) readIdle(ctx context.Context, name AppName) error {
	list, err := p.Store.Settings(ctx, name)
	if err != nil {
		return fmt.Errorf("read when %s sleeps: %w", name, err)
	}
	r := usualIdle()
	for key, value := range resolve(list, SleepTopic, "") {
		if err := r.take(key, value); err != nil {
			return fmt.Errorf("read when %s sleeps: %w", name, err)
		}
	}
	p.sleepers.mu.Lock()
	defer p.sleepers.mu.Unlock()
	p.sleepers.rules[name] = r
	return nil
}

// setIdle is ps:set with one of the properties above. An empty value brings the default back.
func (p *Platform) setIdle(ctx context.Context, call Call, in PropertyInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	var r idleRules
	if in.Value != "" {
		if err := r.take(in.Key, in.Value); err != nil {
			return Done{}, err
		}
	}
	if err := p.declaresAll(ctx, app, r.Keep); err != nil {
		return Done{}, err
	}
	changes := []Setting{{Topic: SleepTopic, Key: in.Key, Value: in.Value}}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return Done{}, err
	}
	if err := p.readIdle(ctx, app.Name); err != nil {
		return Done{}, err
	}
	p.saySettings(EventIdleSet, app, call, changes)
	if err := p.obeyIdle(ctx, app.Name, in.Key); err != nil {
		return Done{}, err
	}
	p.sleepers.kick()
	return Done{p.idleRules(app.Name).sentence(app.Name)}, nil
}

// declaresAll refuses to keep awake what there is not.
func (p *Platform) declaresAll(ctx context.Context, app App, types []ProcessType) error {
	if app.Release == 0 || len(types) == 0 {
		return nil
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return err
	}
	for _, t := range types {
		if _, ok := release.Image.Processes[t]; !ok {
			return Errorf(Usage, "%s has no process type %q to keep awake: %s", app.Name, t, declared(release.Image))
		}
	}
	return nil
}

// obeyIdle wakes an app that shall not sleep any more, or of which something else shall stay awake.
func (p *Platform) obeyIdle(ctx context.Context, name AppName, key string) error {
	if key == idleStopKey || key == idleReclaimKey || key == idleKey && p.idleRules(name).After > 0 {
		return nil
	}
	return p.Wake(ctx, name)
}

// sentence says what holds.
func (r idleRules) sentence(name AppName) string {
	if r.After == 0 {
		return fmt.Sprintf("%s does not sleep.", name)
	}
	text := fmt.Sprintf("%s sleeps after %s without a request, and is stopped ", name, spellDuration(r.After))
	if r.Stop == 0 {
		text += "when memory is short"
	} else {
		text += spellDuration(r.Stop) + " later or when memory is short"
	}
	if len(r.Keep) > 0 {
		text += "; " + r.keptNames() + " stays awake"
	}
	return text + "."
}

// Turned lets people say "ps:set idle 15m blog", too.
func (in PropertyInput) Turned() PropertyInput {
	keys := idleKeys()
	if slices.Contains(keys, in.App) && !slices.Contains(keys, in.Key) && in.Value != "" {
		return PropertyInput{App: in.Value, Key: in.App, Value: in.Key}
	}
	return in
}
