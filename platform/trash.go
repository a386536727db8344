package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is destroyed goes to the trash first: one transaction takes its name, domains and ports away, and from then on
// a crash leaves it there. Emptying notes that first, removes files, and forgets the entry last.

// DestroyInput is apps:destroy.
type DestroyInput struct {
	App     string `arg:"app"`
	Confirm string `flag:"confirm" value:"APP" help:"the app's name again, instead of being asked"`
	DryRun  bool   `flag:"dry-run" help:"destroy nothing, show what would go"`
	Force   bool   `flag:"force" short:"f" help:"Dokku's; it does not replace --confirm"`
}

// Destroy ends an app and puts it into the trash: releases, config, domains, repository, log, volumes.
func (p *Platform) Destroy(ctx context.Context, call Call, in DestroyInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	what, bytes, err := p.belongings(ctx, app)
	if err != nil {
		return Done{}, err
	}
	days, err := p.trashTime(ctx)
	if err != nil {
		return Done{}, err
	}
	if in.DryRun {
		return donef("This would destroy %s (%s). It would stay in the trash for %s.", what, Bytes(bytes), roughly(days)), nil
	}
	text := fmt.Sprintf("This destroys %s (%s); it stays in the trash for %s", what, Bytes(bytes), roughly(days))
	if err := confirm(call, string(app.Name), in.Confirm, text); err != nil {
		return Done{}, unforced(err, in.Force)
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	leaveHelm, err := p.lane(app.Name).takeHelm(ctx)
	if err != nil {
		return Done{}, err
	}
	defer leaveHelm()
	t, err := p.discardApp(context.WithoutCancel(ctx), app, bytes, call.Actor.Name)
	if err != nil {
		return Done{}, fmt.Errorf("destroy %s: %w", app.Name, err)
	}
	p.say(Event{Kind: EventAppDestroyed, App: app.Name, Actor: call.Actor.Name, Text: "the app was destroyed"})
	return donef("Destroyed %s. Until %s it can be had back: %s",
		app.Name, t.At.Add(days).UTC().Format("2006-01-02"), "ssh paas trash:restore "+string(app.Name)), nil
}

// unforced tells who wrote --force what it is not for.
func unforced(err error, force bool) error {
	var e *Error
	if !force || !errors.As(err, &e) {
		return err
	}
	return e.WithHint("--force does not replace it: %s", e.Hint)
}

// belongings says what an app has, and how many bytes that takes.
func (p *Platform) belongings(ctx context.Context, app App) (what string, bytes int64, err error) {
	releases, err := p.Store.Releases(ctx, app.Name)
	if err != nil {
		return "", 0, err
	}
	config, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return "", 0, err
	}
	domains, err := p.Store.Domains(ctx, app.Name)
	if err != nil {
		return "", 0, err
	}
	parts := []string{
		plural(int64(len(releases)), "release", "releases"), plural(int64(len(config)), "config var", "config vars"),
		"its repository and log",
	}
	if len(domains) > 0 {
		parts = append(parts, "the domains "+strings.Join(domains, ", "))
	}
	volumes, err := p.volumesOf(ctx, app.Name)
	for _, v := range volumes {
		if len(v.Apps) == 1 {
			parts = append(parts, "the volume "+string(v.Name))
		}
	}
	return fmt.Sprintf("%s with %s", app.Name, strings.Join(parts, ", ")), p.weight(ctx, app.Name), err
}

// weight is what an app takes alone, in bytes; 0 where nothing measures.
func (p *Platform) weight(ctx context.Context, name AppName) (bytes int64) {
	if _, none := p.Images.(noImages); none {
		return 0
	}
	r, err := p.diskReport(ctx, name)
	if err != nil {
		return 0
	}
	for _, a := range r.Apps {
		bytes += a.Own
	}
	return bytes
}

// discardApp puts an app into the trash. The caller holds its lane and helm.
func (p *Platform) discardApp(ctx context.Context, app App, bytes int64, actor string) (Trashed, error) {
	drop, err := p.holdRunning(ctx, app)
	if err != nil {
		return Trashed{}, err
	}
	defer drop()
	t, err := p.Store.TrashApp(ctx, app.Name, Trashed{Kind: TrashedApp, Name: string(app.Name), Bytes: bytes, Actor: actor})
	if err != nil {
		return t, err
	}
	err = p.quit(ctx, app.Name)
	return t, errors.Join(err, p.follow(ctx, Move{app.Name, TrashName(app.Name, t.ID)}), p.setWalls(ctx))
}

// quit ends what runs under a name that is no app's any more.
func (p *Platform) quit(ctx context.Context, name AppName) error {
	p.unpublish(name)
	p.forgetSleep(name)
	if p.Certificates != nil {
		p.Certificates.Forget(name)
	}
	have, err := p.Runner.Instances(ctx)
	if err != nil {
		return err
	}
	if err := p.dropOneOffs(ctx, name); err != nil {
		return err
	}
	own := slices.DeleteFunc(have, func(i Instance) bool { return i.App != name })
	p.markRetiring(name, own)
	p.clearShelf(name)
	p.stopAll(ctx, own)
	return nil
}

// forgetApp removes an app that nobody misses, with everything.
func (p *Platform) forgetApp(ctx context.Context, app App) error {
	t, err := p.discardApp(ctx, app, 0, "")
	if err != nil {
		return err
	}
	return p.purge(ctx, t)
}

// globalName is what the config vars of all apps are called in the trash, and for confirmation.
const globalName = "global"

// discardConfig puts config vars that are taken from an app, or with "" from all, into the trash.
func (p *Platform) discardConfig(ctx context.Context, name string, config Config, actor string) error {
	t := Trashed{Kind: TrashedConfig, Name: orElse(name, globalName), Detail: TrashDetail{Config: config}, Bytes: int64(size(config)), Actor: actor}
	if name != "" {
		app, err := p.find(ctx, name)
		if err != nil {
			return err
		}
		t.AppID = app.ID
	}
	_, err := p.Store.Discard(ctx, t)
	return err
}

// TrashTopic is the topic of trash:set.
const TrashTopic Topic = "trash"

// How long things stay in the trash.
const (
	usualTrashTime = 7 * 24 * time.Hour
	leastTrashTime = time.Hour
	mostTrashTime  = 365 * 24 * time.Hour
)

// trashTime is how long what is destroyed stays.
func (p *Platform) trashTime(ctx context.Context) (time.Duration, error) {
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		if s.Topic == TrashTopic && s.Key == trashKey {
			return parseDays(s.Value)
		}
	}
	return usualTrashTime, nil
}

const trashKey = "keep"

// parseDays reads "7d", "36h".
func parseDays(text string) (time.Duration, error) {
	bad := Errorf(Usage, "%q is not a time to keep things: write it like 7d or 36h, from 1h to 365d", text)
	d, err := time.ParseDuration(text)
	if number, ok := strings.CutSuffix(text, "d"); ok {
		var days int
		days, err = strconv.Atoi(number)
		d = time.Duration(min(days, 366)) * 24 * time.Hour
	}
	if err != nil || d < leastTrashTime || d > mostTrashTime {
		return 0, bad
	}
	return d, nil
}

// TrashSetInput is trash:set.
type TrashSetInput struct {
	Words []string `arg:"setting" rest:"required" help:"keep=7d, or keep=clear"`
}

// SetTrash changes how long things stay.
func (p *Platform) SetTrash(ctx context.Context, call Call, in TrashSetInput) (Done, error) {
	keys, values, err := parsePairs(in.Words)
	if err != nil {
		return Done{}, err
	}
	if len(keys) != 1 || keys[0] != trashKey {
		return Done{}, Errorf(Usage, "the trash has one setting: keep").WithHint("ssh paas trash:set keep=14d")
	}
	s := Setting{Topic: TrashTopic, Key: trashKey, Value: values[trashKey]}
	if s.Value == clearValue {
		s.Value = ""
	} else if _, err := parseDays(s.Value); err != nil {
		return Done{}, err
	}
	if err := p.Store.ChangeGlobalSettings(ctx, []Setting{s}); err != nil {
		return Done{}, err
	}
	d, err := p.trashTime(ctx)
	text := "What is destroyed stays in the trash for " + roughly(d)
	p.say(Event{Kind: EventLimited, Actor: call.Actor.Name, Text: text})
	return donef("%s.", text), err
}

// TrashView is something in the trash as people see it.
type TrashView struct {
	ID      int64     `json:"id"`
	Kind    TrashKind `json:"kind"`
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`
	Actor   string    `json:"actor"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
	Domains []string  `json:"domains,omitempty"`
	now     time.Time
}

// TrashList is trash:list, oldest first.
type TrashList []TrashView

// Text implements the verbs' output.
func (l TrashList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		left := "for " + roughly(v.Until.Sub(v.now)+time.Minute) // what was just destroyed stays for the whole time
		if !v.Until.After(v.now) {
			left = "about to go"
		}
		rows = append(rows, []string{strconv.FormatInt(v.ID, 10), string(v.Kind), v.Name, Bytes(v.Bytes), v.Actor, v.At.Format(time.RFC3339), left})
	}
	return table(w, []string{"ID", "KIND", "NAME", "SIZE", "BY", "DESTROYED", "KEPT"}, rows)
}

// ListTrash shows what the caller can have back.
func (p *Platform) ListTrash(ctx context.Context, call Call, _ struct{}) (TrashList, error) {
	keep, err := p.trashTime(ctx)
	if err != nil {
		return nil, err
	}
	all, err := p.trashOf(ctx, call.Actor, ScopeServerRead)
	list := TrashList{}
	for _, t := range all {
		list = append(list, TrashView{
			ID: t.ID, Kind: t.Kind, Name: t.Name, Bytes: t.Bytes, Actor: t.Actor, At: t.At, Until: t.At.Add(keep),
			Domains: t.Detail.Domains, now: p.Now(),
		})
	}
	return list, err
}

// trashNamed finds what a person means: by name, or by number where several have one.
func (p *Platform) trashNamed(ctx context.Context, actor Actor, word string) (found Trashed, err error) {
	all, err := p.trashOf(ctx, actor, ScopeServerManage)
	if err != nil {
		return found, err
	}
	var ids []string
	for _, t := range all {
		if t.Name != word && strconv.FormatInt(t.ID, 10) != word {
			continue
		}
		found = t
		ids = append(ids, fmt.Sprintf("%d (%s of %s)", t.ID, t.Kind, t.At.UTC().Format(time.RFC3339)))
	}
	switch len(ids) {
	case 0:
		return found, Errorf(NotFound, "there is no %q in the trash", word).WithHint("see what is there: ssh paas trash:list")
	case 1:
		return found, nil
	}
	return found, Errorf(Conflict, "several things of the name %s are in the trash: %s", word, strings.Join(ids, ", ")).
		WithHint("name one by its number: ssh paas trash:restore %d", found.ID)
}

// EmptyInput is trash:empty.
type EmptyInput struct {
	What    string `arg:"what" optional:"true" help:"a name or a number of trash:list; without it, all of it"`
	Confirm string `flag:"confirm" value:"NAME" help:"the name again, or trash for all of it, instead of being asked"`
	DryRun  bool   `flag:"dry-run" help:"remove nothing, show what would go"`
	Force   bool   `flag:"force" short:"f" help:"it does not replace --confirm"`
}

// EmptyTrash removes for good what lies in the trash.
func (p *Platform) EmptyTrash(ctx context.Context, call Call, in EmptyInput) (Done, error) {
	all, err := p.Store.Trash(ctx)
	name := "trash"
	if err == nil && in.What != "" {
		var one Trashed
		one, err = p.trashNamed(ctx, call.Actor, in.What)
		all, name = []Trashed{one}, one.Name
	}
	if err != nil {
		return Done{}, err
	}
	var names []string
	var bytes int64
	for _, t := range all {
		names = append(names, fmt.Sprintf("the %s %s (%s)", t.Kind, t.Name, Bytes(t.Bytes)))
		bytes += t.Bytes
	}
	if len(all) == 0 {
		return donef("The trash is empty."), nil
	}
	if in.DryRun {
		return donef("This would remove %s for good.", strings.Join(names, ", ")), nil
	}
	if err := confirm(call, name, in.Confirm, fmt.Sprintf("This removes %s for good", strings.Join(names, ", "))); err != nil {
		return Done{}, unforced(err, in.Force)
	}
	for _, t := range all {
		if err := p.purge(context.WithoutCancel(ctx), t); err != nil && KindOf(err) != NotFound {
			return Done{}, err
		}
	}
	p.say(Event{Kind: EventTrashEmptied, Actor: call.Actor.Name, Text: strings.Join(names, ", ") + " was removed for good"})
	return donef("Removed %s for good.", strings.Join(names, ", ")), nil
}

// purge removes a thing in the trash. It can be repeated after a crash at any point.
func (p *Platform) purge(ctx context.Context, t Trashed) error {
	if err := p.Store.Purging(ctx, t.ID); err != nil {
		return err
	}
	var errs []error
	switch t.Kind {
	case TrashedApp:
		errs = append(errs, p.purgeApp(ctx, t))
	case TrashedVolume:
		errs = append(errs, p.dropVolume(t.VolumeID))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("empty the trash of %s: %w", t.Name, err)
	}
	return p.Store.Purge(ctx, t)
}

func (p *Platform) purgeApp(ctx context.Context, t Trashed) error {
	app := App{ID: t.AppID, Name: TrashName(AppName(t.Name), t.ID)}
	closeDrains, err := p.drainsToClose(ctx, app.Name)
	if err != nil {
		return err
	}
	defer closeDrains()
	volumes, err := p.volumesOf(ctx, app.Name)
	errs := []error{err}
	for _, v := range volumes {
		if len(v.Apps) == 1 {
			errs = append(errs, p.dropVolume(v.ID))
		}
	}
	return errors.Join(append(errs, p.Runner.Forget(ctx, app.Name), p.Sources.Remove(app))...)
}

// trashEvery is how often what was kept long enough is looked for.
const trashEvery = time.Hour

// keepTrash removes what was kept long enough, until ctx ends.
func (p *Platform) keepTrash(ctx context.Context) {
	for tick := time.NewTicker(trashEvery); ; {
		if err := p.expireTrash(ctx); err != nil && ctx.Err() == nil {
			p.Log.Error("empty the trash", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// expireTrash removes what was kept long enough, and what a crash left half removed.
func (p *Platform) expireTrash(ctx context.Context) error {
	keep, err := p.trashTime(ctx)
	if err != nil {
		return err
	}
	all, err := p.Store.Trash(ctx)
	errs := []error{err}
	for _, t := range all {
		if !t.Purging && p.Now().Sub(t.At) < keep {
			continue
		}
		if err := p.purge(ctx, t); err != nil {
			errs = append(errs, err)
			continue
		}
		p.say(Event{Kind: EventTrashEmptied, Text: fmt.Sprintf("the %s %s was removed after %s in the trash", t.Kind, t.Name, roughly(keep))})
	}
	return errors.Join(errs...)
}
