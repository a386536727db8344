package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"paas/gitreceive/pack"
	"paas/platform"
)

// verdict is what becomes of one command of a push: taken, or refused with a short reason for git's
// answer and a sentence for the pusher.
type verdict struct {
	*packp.Command
	refused string // "main deploys"; empty if it is taken
	told    *platform.Error
	deploys bool
}

func (v *verdict) refuse(reason string, told *platform.Error) {
	v.refused, v.told = reason, told
}

func (v *verdict) taken() bool { return v.refused == "" }

// verdicts of a push, in the order of its commands.
type verdicts []*verdict

// taken is those that are not refused.
func (vs verdicts) taken() (taken verdicts) {
	for _, v := range vs {
		if v.taken() {
			taken = append(taken, v)
		}
	}
	return taken
}

// deploying is the command that deploys, or nil.
func (vs verdicts) deploying() *verdict {
	for _, v := range vs {
		if v.deploys && v.taken() {
			return v
		}
	}
	return nil
}

// refuseRest refuses whatever is still taken.
func (vs verdicts) refuseRest(reason string) {
	for _, v := range vs.taken() {
		v.refuse(reason, nil)
	}
}

// judge applies the rules that need no objects. deploys is the branch whose pushes deploy; when none is
// set, the push makes one of its branches it.
func judge(req *request, deploys string, refs map[plumbing.ReferenceName]pack.ID) verdicts {
	if deploys == "" {
		deploys = firstBranch(req)
	}
	var all verdicts
	for _, c := range req.commands {
		v := &verdict{Command: c}
		all = append(all, v)
		judgeName(v)
		if v.taken() && c.Name.IsBranch() {
			judgeBranch(v, deploys)
		}
		if v.taken() && c.Action() == packp.Create {
			judgePlace(v, refs)
		}
	}
	return all
}

// firstBranch is which of the pushed branches becomes the one that deploys.
func firstBranch(req *request) (first string) {
	for _, c := range req.commands {
		if !c.Name.IsBranch() || c.Action() == packp.Delete {
			continue
		}
		name := c.Name.Short()
		if name == "main" || name == "master" && first != "main" || first == "" {
			first = name
		}
	}
	return first
}

func judgeName(v *verdict) {
	if v.Name == plumbing.HEAD || v.Name.Validate() != nil || len(v.Name) > 200 {
		v.refuse("not a valid name", nil)
		return
	}
	if !v.Name.IsBranch() && !v.Name.IsTag() {
		v.refuse("only branches and tags are kept", nil)
	}
}

func judgeBranch(v *verdict, deploys string) {
	name := v.Name.Short()
	switch {
	case v.Action() == packp.Delete && name == deploys:
		v.refuse("the deploy branch stays", platform.Errorf(platform.Conflict, "%s is the branch that deploys, so it cannot be deleted", name))
	case v.Action() == packp.Delete:
	case name == deploys:
		v.deploys = true
	default:
		v.refuse(deploys+" deploys", platform.Errorf(platform.Conflict, "pushes of %s do not deploy, those of %s do", name, deploys).
			WithHint("push it as %s: git push paas %s:%s", deploys, name, deploys))
	}
}

// judgePlace refuses a name that is a folder of another's, as git's files cannot hold both.
func judgePlace(v *verdict, refs map[plumbing.ReferenceName]pack.ID) { judgePlaceOf(v, v.Name, refs) }

func judgePlaceOf(v *verdict, name plumbing.ReferenceName, refs map[plumbing.ReferenceName]pack.ID) {
	for have := range refs {
		if strings.HasPrefix(string(have), string(name)+"/") || strings.HasPrefix(string(name), string(have)+"/") {
			v.refuse(fmt.Sprintf("%s is in the way", have.Short()), nil)
		}
	}
}

// inspection is the rules that look at what was pushed.
type inspection struct {
	ctx   context.Context
	store *pack.Store // repository and quarantine
	refs  map[plumbing.ReferenceName]pack.ID
}

// inspect judges one command once its objects are here, and brings its old id up to date. The ref may
// have moved since it was advertised, by a push that this one waited for: that is fine as long as what it
// is at now is part of what is pushed, else somebody's work would be undone unseen.
func (in inspection) inspect(v *verdict) error {
	now := in.refs[v.Name]
	if v.Action() == packp.Delete {
		if now != v.Old {
			v.refuse("it has moved meanwhile", nil)
		}
		return nil
	}
	if err := in.kind(v); err != nil || !v.taken() {
		return err
	}
	if now == v.Old || now == v.New {
		v.Old = now
		return nil
	}
	if now.IsZero() || !v.Name.IsBranch() {
		v.refuse("it has moved meanwhile", nil)
		return nil
	}
	ahead, err := in.store.Contains(in.ctx, v.New, now)
	if err != nil {
		return err
	}
	if !ahead {
		v.refuse("fetch first", platform.Errorf(platform.Conflict, "somebody else pushed %s meanwhile", v.Name.Short()).
			WithHint("fetch it, merge it, and push again"))
	}
	v.Old = now
	return nil
}

// kind sees that a branch is put on a commit, and a tag on anything that is there.
func (in inspection) kind(v *verdict) error {
	kind, err := in.store.Kind(v.New)
	switch {
	case errors.Is(err, pack.ErrNotFound):
		v.refuse("missing objects", platform.Errorf(platform.Failed, "the object %s did not come with the push", v.New))
		return nil
	case err != nil:
		return err
	case v.Name.IsBranch() && kind != plumbing.CommitObject:
		v.refuse("not a commit", platform.Errorf(platform.Usage, "a branch stands on a commit, and %s is a %s", v.New, kind))
	}
	return nil
}
