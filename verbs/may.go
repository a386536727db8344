package verbs

import (
	"context"

	"paas/platform"
)

// May tells whether the actor may use a verb for an app: what a door need not offer, it hides. Who calls the verb
// nevertheless is refused by Run.
func (t *Table) May(_ context.Context, actor platform.Actor, verb, _ string) bool {
	v, ok := t.find(verb)
	return ok && (v.Access != Admin || actor.Admin)
}
