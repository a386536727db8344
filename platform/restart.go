package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// restartPolicy says what happens after an instance ended by itself. However it is, what went down with
// the machine comes back.
type restartPolicy struct {
	mode string // "always", "on-failure", "never"
	max  int    // on-failure: how many failures in a row are met by a restart; 0: any number
}

const (
	restartAlways    = "always"
	restartOnFailure = "on-failure"
	restartNever     = "never"
)

// parsePolicy knows always, never, on-failure and on-failure:N. Empty is always, Heroku's.
func parsePolicy(s string) (restartPolicy, error) {
	mode, number, numbered := strings.Cut(s, ":")
	n, err := strconv.Atoi(number)
	switch {
	case s == "":
		return restartPolicy{mode: restartAlways}, nil
	case !numbered && (mode == restartAlways || mode == restartNever || mode == restartOnFailure):
		return restartPolicy{mode: mode}, nil
	case mode == restartOnFailure && err == nil && n > 0 && n <= 1000:
		return restartPolicy{mode, n}, nil
	}
	return restartPolicy{}, Errorf(Usage, "%q is no restart policy: write always, on-failure, on-failure:5 or never", s)
}

func (r restartPolicy) String() string {
	if r.max > 0 {
		return r.mode + ":" + strconv.Itoa(r.max)
	}
	return r.mode
}

// again tells whether an instance that ended like this, for the count-th time in a row, is started again.
func (r restartPolicy) again(exit *Exit, count int) bool {
	switch {
	case exit == nil || exit.Lost || r.mode == restartAlways:
		return true
	case r.mode == restartNever || exit.Code == 0:
		return false
	}
	return r.max == 0 || count <= r.max
}

// policy is the app's. One that cannot be read is the default.
func (p *Platform) policy(ctx context.Context, name AppName) restartPolicy {
	text, err := p.Store.RestartPolicy(ctx, name)
	if err != nil {
		p.Log.Error("read restart policy", "app", name, "err", err)
	}
	policy, err := parsePolicy(text)
	if err != nil {
		p.Log.Error("read restart policy", "app", name, "err", err)
		policy.mode = restartAlways
	}
	return policy
}

// resting finds the ended instances that stay ended, and so keep their places. They are there until
// something else of the app is asked for: that they ended is remembered by the runner, over a restart too.
func (p *Platform) resting(ctx context.Context, w want, have []Instance) (list []Instance) {
	policy := p.policy(ctx, w.app.Name)
	l := p.lane(w.app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range have {
		s := slot{i.Type, i.Number}
		if i.Exit == nil || i.Release != w.at(s).release.Number || i.Epoch != w.app.epoch(s.Type) {
			continue
		}
		count := l.crashes[s].count
		if l.crashes[s].last != i.ID {
			count++ // its end was not counted yet
		}
		if !policy.again(i.Exit, count) {
			l.crashes[s] = crash{count: count, exit: i.Exit, last: i.ID, resting: true}
			list = append(list, i)
		}
	}
	return list
}

// PolicyInput is ps:restart-policy.
type PolicyInput struct {
	App    string `arg:"app"`
	Policy string `arg:"policy" optional:"true" help:"always, on-failure, on-failure:5 or never; without it, it is shown"`
}

// PolicyView is an app's restart policy.
type PolicyView struct {
	App    AppName `json:"app"`
	Policy string  `json:"policy"`
}

// Text implements the verbs' output.
func (v PolicyView) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, v.Policy)
	return err
}

// RestartPolicy shows or sets what happens to an instance that ended by itself.
func (p *Platform) RestartPolicy(ctx context.Context, call Call, in PolicyInput) (PolicyView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PolicyView{}, err
	}
	if in.Policy == "" {
		return PolicyView{app.Name, p.policy(ctx, app.Name).String()}, nil
	}
	policy, err := parsePolicy(in.Policy)
	if err != nil {
		return PolicyView{}, err
	}
	if err := p.Store.SetRestartPolicy(ctx, app.Name, policy.String()); err != nil {
		return PolicyView{}, err
	}
	p.say(Event{Kind: EventPolicySet, App: app.Name, Actor: call.Actor.Name, Text: "the restart policy is " + policy.String()})
	p.wakeResting(app.Name)
	p.reconcileSoon(app.Name)
	return PolicyView{app.Name, policy.String()}, nil
}

// wakeResting lets the new policy decide about what the old one left ended.
func (p *Platform) wakeResting(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, c := range l.crashes {
		if c.resting {
			delete(l.crashes, s)
		}
	}
}
