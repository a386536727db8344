package platform

import (
	"context"
	"time"
)

// Errand is a command that was answered as accepted before it was over. It outlives the daemon: the next one begins it
// again, unless it had done its work.
type Errand struct {
	ID    string // its request's
	Actor Actor  // as it was; see Again
	Verb  string
	App   AppName // "" for none
	Words string  // what a door needs to say it again; "" when it is over
	Said  string  // what a door needs to tell again what it printed, of one that is over
	Began time.Time
	Ended time.Time // zero: it has not
	Code  int       // its exit status
}

// Errands is the part of a Store that keeps them.
type Errands interface {
	// AddErrand keeps one that begins; of those that are over the oldest beyond some hundreds make room.
	AddErrand(ctx context.Context, e Errand) error
	// EndErrand notes how it ended and what it said, and forgets its words. One that is over stays as it is.
	EndErrand(ctx context.Context, e Errand) error
	Errands(ctx context.Context) ([]Errand, error) // oldest first
}

// Again is the actor with the rights that are left of it, for what is done long after it was said. It fails with kind
// Denied when the key or the token is gone.
func (p *Platform) Again(ctx context.Context, a Actor) (Actor, error) {
	again := a
	switch {
	case a.Token != nil:
		t, err := p.tokenOf(ctx, a)
		if err != nil {
			return Actor{}, err
		}
		again = p.actorOf(t)
	case a.Fingerprint != "":
		var err error
		if again, err = p.Actor(ctx, a.Fingerprint); err != nil || again.Name != a.Name {
			return Actor{}, Errorf(Denied, "the key of %q was removed meanwhile", a.Name).Because(err)
		}
	}
	again.Door, again.Remote, again.Request = a.Door, a.Remote, a.Request
	return again, nil
}

func (p *Platform) tokenOf(ctx context.Context, a Actor) (Token, error) {
	list, err := p.Store.Tokens(ctx)
	if err != nil {
		return Token{}, err
	}
	for _, t := range list {
		if t.User == a.Name && t.Name == a.Token.Name && t.Hash == a.Token.Hash {
			return t, nil
		}
	}
	return Token{}, Errorf(Denied, "the token %s was revoked meanwhile", a.Token.Name)
}

// Did tells whether something that a command changed is noted in the audit.
func (p *Platform) Did(ctx context.Context, request string) (bool, error) {
	list, err := p.Store.Events(ctx, EventQuery{Kind: EventCommand, Request: request})
	for _, e := range list {
		if len(e.Changes) > 0 {
			return true, err
		}
	}
	return false, err
}
