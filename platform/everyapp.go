package platform

import (
	"context"
	"fmt"
	"strings"
)

// EachInput is the input of verbs for one app or for all of them.
type EachInput struct {
	App string `arg:"app" optional:"true"`
	All bool   `flag:"all" help:"every app that it would change, one after the other; for admins"`
}

// each carries a verb out for one app, or for all that it would change. What fails for one app keeps no other from its
// turn.
func (p *Platform) each(ctx context.Context, call Call, in EachInput, changes func(App) bool, do func(name string) (Done, error)) (Done, error) {
	if in.All == (in.App != "") {
		return Done{}, Errorf(Usage, "name one app, or write --all")
	}
	if !in.All {
		return do(in.App)
	}
	apps, err := p.oneOrAll(ctx, call, "")
	if err != nil {
		return Done{}, err
	}
	var done, failed []string
	kind := Failed
	for _, app := range apps {
		if app.Release == 0 || !changes(app) {
			continue
		}
		d, err := do(string(app.Name))
		if ctx.Err() != nil {
			return Done{}, err
		}
		if err != nil {
			_, _ = fmt.Fprintf(call.Err, "%s: %v\n", app.Name, err)
			failed, kind = append(failed, string(app.Name)), KindOf(err)
			continue
		}
		done = append(done, d.Message)
	}
	switch {
	case len(failed) > 0:
		return Done{}, Errorf(kind, "it failed for %s", strings.Join(failed, ", ")).WithHint("ssh paas why %s", failed[0])
	case len(done) == 0:
		return donef("There is no app for which this would change anything."), nil
	}
	return Done{strings.Join(done, "\n")}, nil
}
