package verbs

import (
	"context"
	"io"
	"reflect"

	"paas/platform"
)

// Access is who may use a verb. The zero value is admins only, so that a forgotten verb is closed.
type Access int

// The levels: admins of the platform, everyone with a key (who is shown no more than what concerns them),
// and the four roles a user may have for the app that the verb is about, of which each includes those before.
const (
	Admin   Access = iota // admins' keys and root on the server
	Anyone                // every key that may come in
	View                  // sees the app's state, not its secrets
	Deploy                // changes which code runs
	Operate               // changes how it runs, and sees its config vars
	Manage                // changes what the app is and who reaches it
)

// String is how help spells it.
func (a Access) String() string {
	return [...]string{"admin", "anyone", "view", "deploy", "operate", "manage"}[a]
}

// Verb is one command: its declaration is everything that doors derive from.
type Verb struct {
	Name    string   // "apps:create"
	Aliases []string // other spellings, not listed
	Summary string   // one line, no full stop
	Example string   // what to type after the program's name
	Another string   // one more, of another use
	Access  Access
	Raw     bool // its terminal is its command's, which ends lines itself
	Archive bool // its output is an archive: no text, no JSON
	Watch   bool // it only shows what happens, often until its user has seen enough: a restart need not wait for it
	Reads   bool // it only shows something; those of level View do anyway. All others leave an entry in the audit
	Lists   bool // without an app it is about all that the caller sees; else only admins may leave an app out
	hidden  bool // for programs: help does not list it
	params  []param
	out     reflect.Type // of its output
	prepare func(args arguments) (prepared, error)
}

// prepared is a verb with its arguments read.
type prepared struct {
	in reflect.Value // the input struct
	do func(ctx context.Context, p *platform.Platform, call platform.Call) (output, error)
}

// output knows how to print itself; its JSON form is its exported fields'.
type output interface{ Text(w io.Writer) error }

// exiting outputs end the door's command with a status of their own.
type exiting interface{ ExitStatus() int }

// turner inputs may be given in another order.
type turner[In any] interface{ Turned() In }

// define completes a verb with the method that carries it out; the input struct's tags declare the
// arguments and flags.
func define[In any, Out output](v Verb, method func(*platform.Platform, context.Context, platform.Call, In) (Out, error)) Verb {
	v.params, v.out = paramsOf[In](), reflect.TypeFor[Out]()
	v.prepare = func(args arguments) (prepared, error) {
		var in In
		if err := args.fill(&in, v.params); err != nil {
			return prepared{}, err
		}
		if other, ok := any(in).(turner[In]); ok {
			in = other.Turned()
		}
		return prepared{reflect.ValueOf(in), func(ctx context.Context, p *platform.Platform, call platform.Call) (output, error) {
			return method(p, ctx, call, in)
		}}, nil
	}
	return v
}
