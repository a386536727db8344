package platform_test

import (
	"context"
	"testing"

	"paas/platform"
)

// asked tells what a builder is asked for.
type asked struct {
	platform.Builder
	tell func(platform.BuildRequest)
}

func (a asked) Build(ctx context.Context, r platform.BuildRequest) (platform.Image, error) {
	a.tell(r)
	return a.Builder.Build(ctx, r)
}

// A build is told the team of its app: who may deploy it, but for admins and those who only look.
func TestTeamOfABuild(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var teams []string
	w.Builder = asked{w.Builder, func(r platform.BuildRequest) { teams = append(teams, r.Team) }}
	build := func() {
		t.Helper()
		w.mustPush("web: serve")
	}
	build()
	for _, u := range []platform.User{{Name: "ann"}, {Name: "bob"}, {Name: "root", Admin: true}} {
		if err := w.Store.AddUser(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	give := func(user string, role platform.Role) {
		t.Helper()
		if err := w.Store.SetRole(ctx, platform.Member{App: "blog", User: user, Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	give("root", platform.OwnerRole)
	give("bob", platform.ViewRole)
	build()
	give("ann", platform.OwnerRole)
	build()
	give("bob", platform.DeployRole)
	build()
	give("bob", platform.NoRole)
	build()
	if teams[0] != "" || teams[1] != "" || teams[2] == "" || teams[3] == teams[2] || teams[4] != teams[2] {
		t.Errorf("teams %q", teams)
	}
}
