package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReleaseTopic is the topic of settings about an app's releases.
const ReleaseTopic Topic = "releases"

// releaseRules say what is kept of releases that are over.
type releaseRules struct {
	Retention int           // releases whose images are kept
	Keep      time.Duration // the instances of the one before stand still for so long; 0: they end at once
	Types     []ProcessType // of these types; nil: those that requests lead to
}

func (r releaseRules) keeps(t ProcessType) bool { return slices.Contains(r.Types, t) }

// The properties of releases:set.
const (
	retentionKey    = "retention"
	keepPreviousKey = "keep-previous"
	keepTypesKey    = "keep-types"
)

// Bounds of the properties.
const (
	mostRetention       = 500 // of as many a Store knows
	leastKeep           = time.Second
	mostKeep            = 24 * time.Hour
	defaultKeepPrevious = 10 * time.Minute
)

// take reads one setting. An empty value leaves the default.
func (r *releaseRules) take(key, value string) (err error) {
	switch {
	case key != retentionKey && key != keepPreviousKey && key != keepTypesKey:
		return Errorf(Usage, "releases:set has no property %q", key).WithHint("it has retention, keep-previous and keep-types")
	case value == "":
	case key == retentionKey:
		err = setCount(&r.Retention, value, 1, mostRetention)
	case key == keepPreviousKey:
		r.Keep, err = parseKeep(value)
	case key == keepTypesKey:
		r.Types = nil
		for name := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ',' || c == ' ' }) {
			r.Types = append(r.Types, ProcessType(name))
		}
	}
	return err
}

// parseKeep reads a time, or 0, off or never for none.
func parseKeep(value string) (time.Duration, error) {
	if slices.Contains([]string{"0", "off", "never"}, value) {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < leastKeep || d > mostKeep {
		return 0, Errorf(Usage, "%q is no time from 1s to 24h: write it like 90s or 10m, or off", value)
	}
	return d, nil
}

// usualReleases are the defaults.
func (p *Platform) usualReleases() releaseRules {
	return releaseRules{Retention: p.Settings.KeepReleases, Keep: max(p.Settings.KeepPrevious, 0)}
}

// releaseRules are the app's. Those that cannot be read are the defaults.
func (p *Platform) releaseRules(ctx context.Context, name AppName) releaseRules {
	r := p.usualReleases()
	list, err := p.Store.Settings(ctx, name)
	for key, value := range resolve(list, ReleaseTopic, "") {
		if err == nil {
			err = r.take(key, value)
		}
	}
	if err != nil && KindOf(err) != NotFound {
		p.Log.Error("read what is kept of releases", "app", name, "err", err)
	}
	return r
}

// ReleaseSetInput is releases:set.
type ReleaseSetInput struct {
	App   string `arg:"app"`
	Key   string `arg:"property" help:"retention, keep-previous or keep-types"`
	Value string `arg:"value" optional:"true" help:"without it the default is brought back"`
}

// ReleaseReport is releases:report, and what releases:set leaves.
type ReleaseReport struct {
	App          AppName       `json:"app"`
	Retention    int           `json:"retention"`             // releases that can be rolled back to, with the current one
	Kept         int           `json:"kept"`                  // how many there are now
	KeepPrevious float64       `json:"keep_previous_seconds"` // 0: off
	KeepTypes    []ProcessType `json:"keep_types"`            // empty: those that requests lead to
	Standing     int           `json:"kept_instances"`        // that stand still now
}

// Text implements the verbs' output.
func (r ReleaseReport) Text(w io.Writer) error {
	var types []string
	for _, t := range r.KeepTypes {
		types = append(types, string(t))
	}
	if len(types) == 0 {
		types = []string{"those that requests lead to"}
	}
	return table(w, nil, [][]string{
		{"app", string(r.App)}, {retentionKey, strconv.Itoa(r.Retention)}, {"kept", strconv.Itoa(r.Kept)},
		{keepPreviousKey, spellIdle(time.Duration(r.KeepPrevious * float64(time.Second)))}, {keepTypesKey, strings.Join(types, ",")},
		{"kept-instances", strconv.Itoa(r.Standing)},
	})
}

// SetReleases changes what is kept of an app's releases.
func (p *Platform) SetReleases(ctx context.Context, call Call, in ReleaseSetInput) (ReleaseReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ReleaseReport{}, err
	}
	r := p.usualReleases()
	if err := r.take(in.Key, in.Value); err != nil {
		return ReleaseReport{}, err
	}
	if err := p.declaresAll(ctx, app, r.Types); err != nil {
		return ReleaseReport{}, err
	}
	before := p.releaseRules(ctx, app.Name)
	changes := []Setting{{Topic: ReleaseTopic, Key: in.Key, Value: in.Value}}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return ReleaseReport{}, err
	}
	after := p.releaseRules(ctx, app.Name)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		p.saySettings(EventReleasesSet, app, call, changes)
	}
	p.obeyKeep(app.Name, after)
	return p.ReportReleases(ctx, call, AppInput{App: in.App})
}

// obeyKeep has a new time hold for what stands still already.
func (p *Platform) obeyKeep(name AppName, r releaseRules) {
	if r.Keep == 0 {
		p.emptyShelf(name, "it was switched off")
		return
	}
	l := p.lane(name)
	l.mu.Lock()
	l.shelf.keep = r.Keep
	l.mu.Unlock()
	p.shelves.kick()
}

// ReportReleases tells what is kept of an app's releases.
func (p *Platform) ReportReleases(ctx context.Context, _ Call, in AppInput) (ReleaseReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ReleaseReport{}, err
	}
	rules := p.releaseRules(ctx, app.Name)
	r := ReleaseReport{App: app.Name, Retention: rules.Retention, KeepPrevious: rules.Keep.Seconds(), KeepTypes: append([]ProcessType{}, rules.Types...)}
	releases, err := p.Store.Releases(ctx, app.Name)
	for _, v := range releases {
		if v.Status == Live && p.Images.Kept(v.Image.Layers) {
			r.Kept++
		}
	}
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.shelf.list {
		if !i.Kept.IsZero() {
			r.Standing++
		}
	}
	return r, err
}
