package platform

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// Tree is a source tree: what a commit holds. Read-only and safe for concurrent use.
// Nothing in it is trusted: paths may be any bytes, symlinks may point anywhere.
type Tree interface {
	// ID is the tree's git object id in hex.
	ID() string
	// Files lists every blob, symlink and submodule in path order. It may block on the disk.
	Files() ([]File, error)
	// Open reads a blob (for a symlink: its target). The caller closes it.
	Open(id string) (io.ReadCloser, error)
}

// File is one entry of a Tree.
type File struct {
	Path string   // slash-separated raw bytes, relative, no empty, "." or ".." part
	Mode FileMode // git's mode
	ID   string   // git object id in hex
}

// FileMode is git's: the four values below and no other.
type FileMode uint32

// What a tree entry can be (gitformat-index(5), "mode").
const (
	Regular    FileMode = 0o100644
	Executable FileMode = 0o100755
	Symlink    FileMode = 0o120000
	Submodule  FileMode = 0o160000
)

// BuildRequest is one build.
type BuildRequest struct {
	App    App
	Source Tree
	Commit string
	Stack  Stack  // to build on; zero: the builder's own choice
	Config Config // available to build steps, as Heroku does; secrets
	Choice BuildChoice
	Story  *Story
	Limits BuildLimits     // zero fields: the Builder's defaults
	Team   string          // layers that apps' own commands made are shared within it; "" is one too
	Alone  bool            // and not even there
	Report func(BuildStep) // if not nil, to be called for every layer, bottom first, when it is there or has failed
}

// Builder turns a source tree into an image.
type Builder interface {
	// Build blocks until the image is complete in the content store, or ctx ends. Before it counts as live its
	// layers must be durable: see Images.
	// Equal trees give equal images. A failure the pusher can mend is an *Error of kind Failed.
	// A cancelled or crashed build leaves nothing but cached layers behind. No value of req.Config gets into
	// a layer by the Builder's doing, into the name of one, or into a hash without a key.
	Build(ctx context.Context, req BuildRequest) (Image, error)
}

// Runner runs containers on one host. All methods are safe for concurrent use.
// Containers outlive it: a new Runner over the same state finds what its predecessor started.
type Runner interface {
	Living
	Keeping
	Layering
	Resources
	Detaching
	// Start returns when the instance's command was executed, not when it is healthy.
	// After an error nothing of the instance is left.
	Start(ctx context.Context, spec InstanceSpec) (Instance, error)
	// Stop sends the stop signal to the instance's process group, waits at most grace, kills what is
	// left, and forgets the instance; its log stays. Stopping an unknown or ended instance is no error.
	// It blocks until every process is gone. Ending ctx shortens the grace to zero.
	Stop(ctx context.Context, id InstanceID, grace time.Duration) error
	// Instances lists what was started and not forgotten, ended ones included, oldest first.
	Instances(ctx context.Context) ([]Instance, error)
	// Exits delivers every instance that ends by itself or by a kill from outside, once, including
	// those that ended while no Runner was there. The channel is never closed. It must be read.
	Exits() <-chan Instance
	// Listening tells where the instance's processes accept TCP, so that a failed health check can
	// say "listens on 127.0.0.1:3000, not on PORT".
	Listening(id InstanceID) ([]netip.AddrPort, error)
	// Run runs a one-off container to its end with the caller's streams and removes it. stdin may be
	// nil. When ctx ends it gets SIGHUP, 10 s later SIGKILL, and Run returns ctx's error.
	Run(ctx context.Context, job JobSpec, stdin io.Reader, stdout, stderr io.Writer) (Exit, error)
	// Exec runs a command inside a running instance with the instance's environment (no PTY).
	Exec(ctx context.Context, id InstanceID, argv []string, out io.Writer) (Exit, error)
	// Logs calls yield for the app's last q.Lines lines, oldest first, and with q.Follow for every
	// later one until ctx ends or yield fails. An instance's lines outlive it and its Runner.
	Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error
	// Rename moves the logs of an app that has another name now, also under instances that still write them. It may
	// be repeated; what is not there is no error.
	Rename(ctx context.Context, from, to AppName) error
	// Forget removes everything kept for the app, logs included. The app must have no instances.
	Forget(ctx context.Context, app AppName) error
}

// LogQuery chooses lines of one app's log.
type LogQuery struct {
	App    AppName
	Source string     // "", "web" or "web.1"
	ID     InstanceID // "" or one instance only
	Lines  int        // 0: none but new ones
	Follow bool
}

// Images is the content store, with all else that takes the disk.
type Images interface {
	// Hold keeps layers from being removed until drop is called or the process ends. It fails with kind
	// NotFound when one is not there.
	Hold(layers []string) (drop func(), err error)
	// Kept tells whether all of the layers are there.
	Kept(layers []string) bool
	// Durable returns when a power cut takes none of the layers. It blocks on the disk for those that a build has
	// just made.
	Durable(layers []string) error
	// Usage measures every layer, by name. It blocks on the disk for layers that are new to it.
	Usage() ([]LayerUsage, error)
	// Space tells how full the disk is; it costs what Usage costs.
	Space() (Space, error)
	// Room fails with kind Failed and a sentence when the reserve is touched. It does not block.
	Room() error
	// Left is how many bytes may be written before the reserve is touched. It does not block.
	Left() (int64, error)
	// Expected is how many bytes the app's next build will write, as far as its last ones tell; 0 if it
	// had none.
	Expected(app App) int64
	// Estimate is how many bytes an app's first build will write at least, and what takes them, as the beginning of a
	// sentence; 0 if nothing tells. It may block on registries for a few seconds.
	Estimate(ctx context.Context, req BuildRequest) (bytes int64, what string, err error)
	// Pieces measures all that can be removed by itself, and says what next builds need and who has it.
	// What releases need its caller knows. It costs what Usage costs. apps are all that there are.
	Pieces(ctx context.Context, apps []App) ([]Piece, error)
	// Remove removes pieces, but for those that somebody works with or has used within age, and returns
	// those that are gone by it. It blocks on the disk.
	Remove(ctx context.Context, pieces []Piece, age time.Duration) ([]Piece, error)
	// Tidy removes what builds keep for other apps than these, what nothing leads to in the registry, caches
	// that were not used for long, and the compressed form of layers that are not needed.
	Tidy(ctx context.Context, apps []App, needed map[string]bool) error
	// Explore tells what is in an image's layers, bottom first, and with a path what they do to it.
	Explore(ctx context.Context, layers []string, path string) (Contents, error)
	// Disk measures all that takes the disk but pieces. It reads every directory.
	Disk(ctx context.Context, apps []App) ([]DiskUse, error)
	// Report tells what people should know about how images are kept on this host.
	Report() []string
}

// Router sends requests to instances.
type Router interface {
	// Swap replaces the app's route in one step; requests that come after it returned see only the new
	// route. Hostnames that another app holds are not taken: the caller has checked. The returned
	// function blocks until no request is in flight on a backend that the swap removed; when its ctx
	// ends first it closes what is left. It must be called exactly once.
	Swap(route Route) (drained func(ctx context.Context))
	// Remove forgets the app's route. Requests for its hosts get 404.
	Remove(app AppName)
	// Stats tells what the app's requests came to, nothing for an app without a route. It does not block.
	Stats(app AppName) RequestStats
	// Configure sets what holds for every client. It is called before the first connection is taken, and whenever
	// it changes; but for trusted proxies, changes may wait for the next start.
	Configure(in Intake)
	// Idle tells when the app's last request ended, zero if none did, and how many are in flight: WebSockets
	// too, and every request that a backend may have got, also before it has. So none in flight after Swap
	// has said Asleep means that none will be until the next Swap. It does not block.
	Idle(app AppName) (since time.Time, inflight int)
}

// Hasher makes what is stored of a password.
type Hasher interface {
	// Hash takes as long as a guess shall take. A password that cannot be hashed is an *Error of kind Usage.
	Hash(password []byte) (string, error)
	// Check fails with kind Usage unless the text is a hash of a form that the router can compare with.
	Check(hash string) error
}

// Store keeps the desired state. Every method is one transaction, durable when it returns. Missing
// things are *Error of kind NotFound, duplicates of kind Conflict.
type Store interface {
	Ledger
	Ledgers
	Builds
	Mappings
	Edges
	Sleeps
	Bin
	VolumeStore
	OneOffs
	Globals
	GitHosts
	Errands
	// CreateAppFor makes an app with its owner, unless there is no user of that name ("" is nobody's).
	CreateAppFor(ctx context.Context, name AppName, owner string) (App, error)
	App(ctx context.Context, name AppName) (App, error)
	Apps(ctx context.Context) ([]App, error) // by name
	DestroyApp(ctx context.Context, name AppName) error
	// SetDeployBranch sets the branch if none is set and returns the one that is.
	SetDeployBranch(ctx context.Context, name AppName, branch string) (string, error)
	// ChangeDeployBranch sets the branch whatever it was; "" leaves it to the next push.
	ChangeDeployBranch(ctx context.Context, name AppName, branch string) error
	SetStopped(ctx context.Context, name AppName, stopped bool) error
	// RaiseEpoch makes every running instance out of date, or those of one type.
	RaiseEpoch(ctx context.Context, name AppName, typ ProcessType) error

	Config(ctx context.Context, name AppName) (Config, error)
	// SetConfig replaces the app's config vars as a whole.
	SetConfig(ctx context.Context, name AppName, c Config) error

	Formation(ctx context.Context, name AppName) (Formation, error)
	SetFormation(ctx context.Context, name AppName, f Formation) error

	// AddRelease numbers and stores a pending release; the oldest of some hundreds may make room. The app's config becomes the release's, and its links hold
	// beside those that do.
	AddRelease(ctx context.Context, r Release) (Release, error)
	// SetCurrent makes a release live. Of the app's links its own hold.
	SetCurrent(ctx context.Context, name AppName, number int) error
	// FailRelease marks a pending release failed and gives the app config and links of its current release.
	FailRelease(ctx context.Context, name AppName, number int) error
	// Spec is the current release's, or what the first one will have.
	Spec(ctx context.Context, name AppName) (Spec, error)
	// SetDraft replaces what the first release of an app without one will have.
	SetDraft(ctx context.Context, name AppName, c Config, s Spec) error
	Release(ctx context.Context, name AppName, number int) (Release, error)
	Releases(ctx context.Context, name AppName) ([]Release, error) // newest first

	Links(ctx context.Context) ([]Link, error) // that hold, of all apps, by name
	// EgressList is what an app may reach of the internet, all of it unless limited.
	EgressList(ctx context.Context, name AppName) (list []Egress, limited bool, err error)
	SetEgressList(ctx context.Context, name AppName, list []Egress, limited bool) error

	People
	Hostnames
	OwnCertificates
	Tokens
	Logins
	Pulls
	Stacks
	Troubles
	Drains
}
