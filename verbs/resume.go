package verbs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"paas/platform"
)

// spoken is what an errand needs to be said again.
type spoken struct {
	Words  []Word `json:"words"` // behind the verb
	Prefix string `json:"prefix"`
}

// Resume goes on with what was accepted from callers who did not wait, and was not over when the daemon before ended.
// It is called once, when the platform is up.
func (t *Table) Resume(ctx context.Context) error {
	list, err := t.platform.Store.Errands(ctx)
	if err != nil {
		return fmt.Errorf("go on with accepted commands: %w", err)
	}
	for _, e := range list {
		r := newErrand(e)
		t.later.add(r)
		if !e.Ended.IsZero() {
			r.recall(e.Said)
			r.finish(e.Code, e.Ended)
			continue
		}
		if err := t.again(ctx, r, e); err != nil {
			return err
		}
	}
	return nil
}

// again begins an errand that was cut off once more, unless what it had to do is done: a change is noted in the audit
// with what it changes, in one transaction. What comes to the same when it is done twice is begun again anyway: it may
// have been half done.
func (t *Table) again(ctx context.Context, r *errand, e platform.Errand) error {
	did, err := t.platform.Did(ctx, e.ID)
	if err != nil {
		return err
	}
	if did && !repeatable(e.Verb) {
		r.tell("The server ended after it was done, and the next one made it so.")
		return t.over(ctx, r, 0)
	}
	s, v, args, err := t.respoken(ctx, r, e)
	if err != nil {
		h := t.platform.Human(err)
		t.platform.Refuse(e.Actor, e.App, e.Verb, err)
		r.tell(h.Message)
		return t.over(ctx, r, status[h.Kind])
	}
	r.tell("The server ended meanwhile; it is begun again.")
	t.platform.Background(func(ctx context.Context) { t.carryOn(ctx, r, s, v, args) })
	return nil
}

// respoken reads an errand's words again, as its actor with the rights that are left.
func (t *Table) respoken(ctx context.Context, r *errand, e platform.Errand) (s Session, v Verb, args arguments, err error) {
	var said spoken
	if err := json.Unmarshal([]byte(e.Words), &said); err != nil {
		return s, v, args, fmt.Errorf("read the words of %s: %w", e.ID, err)
	}
	v, ok := t.find(e.Verb)
	if !ok {
		return s, v, args, platform.Errorf(platform.Unknown, "there is no command %s any more", e.Verb)
	}
	actor, err := t.platform.Again(ctx, e.Actor)
	if err != nil {
		return s, v, args, err
	}
	args, err = readWords(said.Words, v)
	return r.session(Session{Actor: actor, Prefix: said.Prefix}), v, args, err
}

// readWords sorts the words of a command line.
func readWords(line []Word, v Verb) (arguments, error) {
	args, err := sortWords(texts(line), v)
	if n := args.passed; err == nil && n > 0 {
		args.positional = append(args.positional[:len(args.positional)-n], asWritten(line, n))
	}
	return args, err
}

// repeatable tells whether a command that is done twice comes to the same as once: it says how something is to be, not
// what is to happen.
func repeatable(verb string) bool {
	topic, word, _ := strings.Cut(verb, ":")
	topics := []string{
		"access", "auth", "builder", "buildpacks", "checks", "config", "cron", "domains", "links", "maintenance", "network", "pages", "paths",
		"ports", "redirects", "resource", "router", "security",
	}
	return word == "set" || slices.Contains(topics, topic) && word != "run" ||
		slices.Contains([]string{"apps:import", "git:sync", "ps:scale", "ps:start", "ps:stop", "storage:mount", "storage:unmount"}, verb)
}
