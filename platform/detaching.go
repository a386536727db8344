package platform

import (
	"context"
	"time"
)

// Detaching is what a Runner can do with one-off containers that nobody is attached to. Like instances they outlive
// the Runner and write the app's log; unlike them they are in no formation: Instances and Exits do not tell of them.
// Stop forgets one.
type Detaching interface {
	// Detach returns when the command was executed. After an error nothing of it is left. Type and Number
	// tell one from another, so that who crashed meanwhile finds it again.
	Detach(ctx context.Context, spec InstanceSpec) (Instance, error)
	// Detached lists what was started by Detach and not forgotten, ended ones included, oldest first.
	Detached(ctx context.Context) ([]Instance, error)
	// DetachedExits delivers the end of each, at least once, including those that ended while no Runner was
	// there. The channel is never closed. It must be read.
	DetachedExits() <-chan Instance
	// Terminate sends the stop signal, waits at most grace, and kills what is left. It blocks until every process
	// is gone; the end is told as any other, and nothing is forgotten. One that ended, or that nobody knows, is
	// no error. Ending ctx shortens the grace to zero.
	Terminate(ctx context.Context, id InstanceID, grace time.Duration) error
}
