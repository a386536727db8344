package platform

import (
	"context"
	"fmt"
	"slices"
)

// keptStacks is how many versions of each stack keep their layers, so that one can go back to them.
const keptStacks = 3

// StackTopic is where an app's stack is set.
const StackTopic Topic = "stack"

const stackKey = "name"

// stackName is the stack that the app was put on.
func (p *Platform) stackName(ctx context.Context, app AppName) (string, error) {
	list, err := p.Store.Settings(ctx, app)
	if name := resolve(list, StackTopic, "")[stackKey]; name != "" {
		return name, err
	}
	return DefaultStack, err
}

// stackOf is the version that the app's builds work on, its layers there. The default stack is made the first
// time.
func (p *Platform) stackOf(ctx context.Context, app App, story *Story) (Stack, error) {
	name, err := p.stackName(ctx, app.Name)
	if err != nil {
		return Stack{}, err
	}
	return p.readyStack(ctx, name, story)
}

func (p *Platform) readyStack(ctx context.Context, name string, story *Story) (Stack, error) {
	if s, err := p.currentStack(ctx, name); err == nil && p.Images.Kept([]string{s.Layer}) {
		return s, nil
	}
	p.stackMu.Lock() // another build may make it already
	defer p.stackMu.Unlock()
	s, err := p.currentStack(ctx, name)
	if err == nil {
		err = p.restoreStack(ctx, s)
	}
	if KindOf(err) == NotFound && name == DefaultStack {
		return p.makeDefault(ctx, story)
	}
	return s, err
}

func (p *Platform) restoreStack(ctx context.Context, s Stack) error {
	if p.Images.Kept([]string{s.Layer}) {
		return nil
	}
	return withHint(p.Bases.RestoreBase(ctx, s), "make it again: ssh paas stacks:set %s --image %s", s.Name, s.Image)
}

// makeDefault records the default stack's first version, or the next one if its layers are lost.
func (p *Platform) makeDefault(ctx context.Context, story *Story) (Stack, error) {
	s, err := p.Bases.DefaultBase(ctx, story)
	if err != nil || s.Layer == "" {
		return s, err
	}
	s.Name, s.Description = DefaultStack, "Made"
	return p.Store.AddStack(ctx, s)
}

// currentStack is the newest version of a stack.
func (p *Platform) currentStack(ctx context.Context, name string) (Stack, error) {
	all, err := p.Store.Stacks(ctx)
	if err != nil {
		return Stack{}, err
	}
	if i := slices.IndexFunc(all, func(s Stack) bool { return s.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Stack{}, Errorf(NotFound, "there is no stack %q", name).WithHint("see what there is: ssh paas stacks:list")
}

// needStacks adds the layers of the versions that can be gone back to.
func (p *Platform) needStacks(ctx context.Context, needed map[string]bool) error {
	all, err := p.Store.Stacks(ctx)
	if err != nil {
		return fmt.Errorf("list stacks: %w", err)
	}
	seen := map[string]int{}
	for _, s := range all {
		if seen[s.Name]++; seen[s.Name] <= keptStacks {
			needed[s.Layer] = true
		}
		if seen[s.Name] == 1 {
			needed[p.Bases.BuildVariant(s)] = true
		}
	}
	return nil
}

// PrepareStack makes what the default stack's first builds need, unless it is there.
func (p *Platform) PrepareStack(ctx context.Context, story *Story) error {
	s, err := p.readyStack(ctx, DefaultStack, story)
	if err != nil {
		return err
	}
	return p.Bases.PrepareBase(ctx, s, story)
}

// addStack records a version and says so.
func (p *Platform) addStack(ctx context.Context, actor Actor, s Stack) (Stack, error) {
	s.Actor = actor.Name
	s, err := p.Store.AddStack(ctx, s)
	if err == nil {
		p.say(Event{Kind: EventStackChanged, Actor: actor.Name, Text: fmt.Sprintf("stack %s v%d is current: %s", s.Name, s.Number, s.Description)})
	}
	return s, err
}
