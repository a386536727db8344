package platform

import (
	"context"
	"slices"
)

// What lies in the trash is still somebody's: who could have destroyed an app, a volume of it or its config vars sees
// them there and brings them back. For everybody else it is not there.

// trashOf is what the actor may bring back, oldest first; all of it for admins whose token, if they came with one, has
// the scope.
func (p *Platform) trashOf(ctx context.Context, actor Actor, scope Scope) ([]Trashed, error) {
	all, err := p.Store.Trash(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t Trashed) bool { return t.Purging })
	if actor.MayAdmin(scope) {
		return all, nil
	}
	manages, err := p.managed(ctx, actor)
	if err != nil {
		return nil, err
	}
	owners, err := p.trashOwners(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t Trashed) bool { return !slices.ContainsFunc(owners(t), manages) }), nil
}

// managed tells which apps the actor manages, those in the trash by the names that they have there.
func (p *Platform) managed(ctx context.Context, actor Actor) (func(AppName) bool, error) {
	if actor.isAdmin() { // with a token for some apps
		return actor.Token.covers, nil
	}
	roles, err := p.Store.RolesOfUser(ctx, actor.Name)
	return func(name AppName) bool { return roles[name] >= ManageRole && actor.Token.covers(name) }, err
}

// trashOwners tells whose a thing in the trash is: a volume is of every app that may mount it.
func (p *Platform) trashOwners(ctx context.Context) (func(Trashed) []AppName, error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	volumes, err := p.Store.Volumes(ctx)
	return func(t Trashed) (owners []AppName) {
		switch t.Kind {
		case TrashedApp:
			return []AppName{TrashName(AppName(t.Name), t.ID)}
		case TrashedVolume:
			for _, v := range volumes {
				if v.ID == t.VolumeID {
					return v.Apps
				}
			}
		case TrashedConfig:
			for _, app := range apps {
				if app.ID == t.AppID {
					return []AppName{app.Name}
				}
			}
		}
		return nil
	}, err
}
