package platform

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// cloneVerb is how the journal has the commands that dropHalfClones looks for.
const cloneVerb = "apps:clone "

// dropHalfClones removes the apps that commands which a crash cut off were making like others: a clone is there with
// all that it is to have, or not at all. What the journal tells of a command was written with what it changed, so that
// nobody else's app of the name is meant; one that serves already is whole.
func (p *Platform) dropHalfClones(ctx context.Context, cut []Event) error {
	var errs []error
	for _, e := range cut {
		for _, c := range e.Changes {
			if strings.HasPrefix(e.Text, cloneVerb) && c.What == "app" && c.Old == "" && c.New != "" {
				errs = append(errs, p.dropHalfClone(ctx, e, AppName(c.New)))
			}
		}
	}
	return errors.Join(errs...)
}

func (p *Platform) dropHalfClone(ctx context.Context, e Event, name AppName) error {
	app, err := p.Store.App(ctx, name)
	if KindOf(err) == NotFound || err == nil && app.Release != 0 {
		return nil
	}
	if err == nil {
		err = p.forgetApp(ctx, app)
	}
	if err != nil {
		return fmt.Errorf("remove %s, which was half a clone: %w", name, err)
	}
	p.say(Event{Kind: EventAppDestroyed, App: name, Text: fmt.Sprintf("it was half a clone: the server ended during %s's %s", e.Actor, e.Text)})
	return nil
}
