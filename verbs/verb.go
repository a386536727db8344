package verbs

import (
	"context"
	"io"

	"paas/platform"
)

// Access is who may use a verb. The zero value is admins only, so that a forgotten verb is closed.
type Access int

// The levels.
const (
	Admin  Access = iota // admin keys and root on the server
	Member               // every key that may come in
)

// String is how help spells it.
func (a Access) String() string { return [...]string{"admin", "member"}[a] }

// Verb is one command: its declaration is everything that doors derive from.
type Verb struct {
	Name    string   // "apps:create"
	Aliases []string // other spellings, not listed
	Summary string   // one line, no full stop
	Example string   // what to type after the program's name
	Access  Access
	Raw     bool // its terminal is its command's, which ends lines itself
	Watch   bool // it only shows what happens, often until its user has seen enough: a restart need not wait for it
	params  []param
	call    func(ctx context.Context, p *platform.Platform, call platform.Call, args arguments) (output, error)
}

// output knows how to print itself; its JSON form is its exported fields'.
type output interface{ Text(w io.Writer) error }

// exiting outputs end the door's command with a status of their own.
type exiting interface{ ExitStatus() int }

// define completes a verb with the method that carries it out; the input struct's tags declare the
// arguments and flags.
func define[In any, Out output](v Verb, method func(*platform.Platform, context.Context, platform.Call, In) (Out, error)) Verb {
	v.params = paramsOf[In]()
	v.call = func(ctx context.Context, p *platform.Platform, call platform.Call, args arguments) (output, error) {
		var in In
		if err := args.fill(&in, v.params); err != nil {
			return nil, err
		}
		return method(p, ctx, call, in)
	}
	return v
}
