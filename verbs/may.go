package verbs

import (
	"context"

	"paas/platform"
)

// May tells whether the actor may use a verb for an app: what a door need not offer, it hides. Who calls the verb
// nevertheless is refused by Run.
func (t *Table) May(ctx context.Context, actor platform.Actor, verb, app string) bool {
	v, ok := t.find(verb)
	if !ok || v.admits(actor) != nil {
		return false
	}
	role := v.Access.role()
	return role == platform.NoRole || t.platform.Permit(ctx, actor, app, role, v.Name) == nil
}
