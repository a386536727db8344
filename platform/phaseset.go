package platform

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// ReleaseTopic is the topic of settings of the release phase and of app.json's scripts.
const ReleaseTopic Topic = "release"

// The properties of ps:set.
const (
	releaseTimeoutKey = "release-timeout"
	releasePhaseKey   = "release-phase"
)

// Which releases the release command is run for. Heroku runs it for all of them, Dokku for deploys. Here it is run
// unless a release with the same code and config vars was live before: so not for a rollback, since migration tools
// refuse to work with code that is older than the database, and that must not keep anybody from rolling back.
const (
	runsOnChanges = "changes"
	runsAlways    = "all"
	runsOnDeploys = "deploys"
)

// defaultPhaseTime is how long a command of a release may take, as with Heroku; and the longest that can be set.
const (
	defaultPhaseTime = time.Hour
	longestPhaseTime = 24 * time.Hour
)

// phaseRules are what holds for an app's release phase.
type phaseRules struct {
	Timeout time.Duration // of each command
	When    string
}

func phaseRulesOf(list []Setting) (phaseRules, error) {
	r := phaseRules{Timeout: defaultPhaseTime, When: runsOnChanges}
	for key, value := range resolve(list, ReleaseTopic, "") {
		if err := r.take(key, value); err != nil {
			return r, fmt.Errorf("read %s: %w", key, err)
		}
	}
	return r, nil
}

func (r *phaseRules) take(key, value string) error {
	if key == releasePhaseKey {
		switch value {
		case runsOnChanges, runsAlways, runsOnDeploys:
			r.When = value
			return nil
		}
		return Errorf(Usage, "%q is not when the release command can run", value).
			WithHint("write %s (new code or config vars), %s (rollbacks, too) or %s (new code)", runsOnChanges, runsAlways, runsOnDeploys)
	}
	if err := setDuration(&r.Timeout, value); err != nil {
		return err
	}
	if r.Timeout > longestPhaseTime {
		return Errorf(Usage, "%s is longer than %s", spellDuration(r.Timeout), spellDuration(longestPhaseTime))
	}
	return nil
}

// setRelease is ps:set with one of the properties above. An empty value brings the default back.
func (p *Platform) setRelease(ctx context.Context, call Call, in PropertyInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	if in.Value == clearValue {
		in.Value = ""
	}
	if in.Value != "" {
		if err := new(phaseRules).take(in.Key, in.Value); err != nil {
			return Done{}, err
		}
	}
	changes := []Setting{{Topic: ReleaseTopic, Key: in.Key, Value: in.Value}}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return Done{}, err
	}
	p.saySettings(EventChecksSet, app, call, changes)
	return donef("The %s of %s is %s.", in.Key, app.Name, cmp.Or(in.Value, "the default")), nil
}
