// Package platform holds the nouns of a self-hosted platform, its verbs as methods, and converge, which
// makes what runs match what is wanted. It imports the standard library only; rooms implement its walls.
package platform

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Settings are the platform's own, not an app's.
type Settings struct {
	Domain    string        // apps get <app>.<Domain>
	HTTPPort  int           // what visitors must type; 80 is left out of URLs
	HTTPSPort int           // the same for HTTPS and 443; 0: it is not served
	Drain     time.Duration // requests in flight on replaced instances may take this long
	Grace     time.Duration // between the stop signal and SIGKILL
	StartWait time.Duration // a web process must listen within this

	HostStorage string // directory of the host below which admins may mount directories; "": none

	KeepReleases int           // how many releases of each app can be rolled back to, beside the current
	KeepPrevious time.Duration // the instances of the release before stand still for so long; negative: they end at once
}

// Defaults fills what is zero: 30 s as Heroku gives to drain and to stop, 60 s to bind the port, ten
// releases to go back to, to the last one for ten minutes at once.
func (s Settings) Defaults() Settings {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&s.Drain, 30*time.Second)
	fill(&s.Grace, 30*time.Second)
	fill(&s.StartWait, 60*time.Second)
	fill(&s.KeepPrevious, defaultKeepPrevious)
	if s.KeepReleases == 0 {
		s.KeepReleases = 10
	}
	if s.Domain == "" {
		s.Domain = "localhost"
	}
	if s.HTTPPort == 0 {
		s.HTTPPort = 80
	}
	return s
}

// Sources keeps the git repositories and what builds keep for an app.
type Sources interface {
	// Rename moves what is kept by the app's name. It may be repeated; what is not there is no error.
	Rename(ctx context.Context, from, to AppName) error
	// Copy gives an app without a repository the commits and branches of another one.
	Copy(ctx context.Context, from, to App) error
	// Remove deletes the app's repository and build caches. Missing ones are no error.
	Remove(app App) error
}

// Rooms are what a Platform works with.
type Rooms struct {
	Store   Store
	Builder Builder
	Runner  Runner
	Router  Router
	Sources Sources
	Images  Images
	Host    Host    // nil: only the runner's checks
	Walls   Walls   // nil: there are none
	Ports   Ports   // nil: none can be mapped
	Hasher  Hasher  // of passwords that guard apps; nil: none can be set
	Outputs Outputs // nil: what builds print is not kept
	Gauge   Gauge   // nil: builds begin without regard to how busy the host is

	Certificates Certificates // nil: nothing is served over TLS

	Distribution Distribution
	Archives     Archives
	Bases        Bases        // nil: the builder has one of its own
	Planner      Planner      // may be nil where nothing asks about buildpacks
	Repositories Repositories // may be nil where nothing is built again

	Volumes Volumes // nil: there are none

	Log *slog.Logger
	Now func() time.Time
}

// Platform is the whole: every door calls its methods.
type Platform struct {
	Rooms
	Settings Settings

	wallsMu sync.Mutex
	twin    Move       // an app that is being renamed: what may reach or be reached as one may as the other
	portsMu sync.Mutex // held to change port mappings
	stackMu sync.Mutex // held to add versions of stacks

	mu     sync.Mutex
	lanes  map[AppName]*lane
	closed bool

	budgeted  time.Time             // when builds last led to a look at the disk's budget
	buildings map[int64][]*building // by app, oldest first
	numbers   map[int64]int         // of the last build, by app
	queue     buildQueue

	feed     feed
	sleepers sleepers
	shelves  shelves

	life   context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// New makes a platform over its rooms. Call Boot before doors open, Close at the end.
func New(rooms Rooms, settings Settings) *Platform {
	if rooms.Now == nil {
		rooms.Now = time.Now
	}
	if rooms.Walls == nil {
		rooms.Walls = noWalls{}
	}
	if rooms.Ports == nil {
		rooms.Ports = noPorts{}
	}
	if rooms.Images == nil {
		rooms.Images = noImages{}
	}
	if rooms.Bases == nil {
		rooms.Bases = noBases{}
	}
	life, cancel := context.WithCancel(context.Background())
	return &Platform{
		Rooms: rooms, Settings: settings.Defaults(), lanes: map[AppName]*lane{}, life: life, cancel: cancel,
		buildings: map[int64][]*building{}, numbers: map[int64]int{},
		sleepers: newSleepers(), shelves: newShelves(),
	}
}

// Close stops the platform's own work and waits for it. Instances run on.
func (p *Platform) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.tasks.Wait()
	p.carry(context.Background()) // what was said on the way out
}

// adopt routes to the app's instances that outlived the predecessor. A restart that was cut off may
// have left instances of an older epoch: they serve until converge has replaced them.
func (p *Platform) adopt(ctx context.Context, app App, have []Instance) {
	w, ok, err := p.wanted(ctx, app.Name)
	if err != nil {
		p.Log.Error("adopt", "app", app.Name, "err", err)
	}
	var running []Instance
	for _, i := range have {
		ours := i.Release == app.Release || w.canary.Number != 0 && i.Release == w.canary.Number
		if i.App == app.Name && i.Exit == nil && ours {
			running = append(running, i)
		}
	}
	p.publish(ctx, app, p.unfreezing(app.Name, running))
	for _, i := range have {
		if ok && w.fits(i) && i.App == app.Name {
			p.tend(w.at(slot{i.Type, i.Number}), i)
		}
	}
}

// stopStrangers ends instances of apps that are no more: a crash in the middle of apps:destroy.
func (p *Platform) stopStrangers(apps []App, have []Instance) {
	known := map[AppName]bool{}
	for _, a := range apps {
		known[a.Name] = true
	}
	for _, i := range have {
		if !known[i.App] {
			p.spawn(func(ctx context.Context) { p.stop(ctx, i) })
		}
	}
}

// spawn runs f in the background; Close waits for it. After Close nothing is begun any more.
func (p *Platform) spawn(f func(ctx context.Context)) { p.spawned(f) }

// spawned is spawn, and false after Close.
func (p *Platform) spawned(f func(ctx context.Context)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Go(func() { f(p.life) })
	}
	return !p.closed
}

// URL is where visitors find the app.
func (p *Platform) URL(name AppName) string {
	if host := p.defaultHost(name); p.Certificates != nil && p.Certificates.Secured(host, true) {
		return "https://" + host + portSuffix(p.Settings.HTTPSPort, 443)
	}
	return fmt.Sprintf("http://%s.%s%s", name, p.Settings.Domain, portSuffix(p.Settings.HTTPPort, 80))
}

// portSuffix is what an address needs behind its host.
func portSuffix(port, usual int) string {
	if port == usual {
		return ""
	}
	return fmt.Sprintf(":%d", port)
}
