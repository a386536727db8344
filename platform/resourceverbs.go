package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// LimitInput is resource:limit and resource:reserve.
type LimitInput struct {
	App     string   `arg:"app"`
	Changes []string `arg:"key=value" rest:"optional" help:"memory=512m cpu=1.5 pids=512 …; clear unsets; none prints them"`
	Type    string   `flag:"process-type" short:"p" value:"TYPE" help:"only this process type, like web; without it every one"`
	Memory  string   `flag:"memory" short:"m" value:"SIZE" help:"the same as memory=SIZE; a bare number is MiB"`
	CPU     string   `flag:"cpu" value:"N" help:"the same as cpu=N"`
}

// Turned lets people say "--memory 256 --cpu 2", as Dokku has it.
func (in LimitInput) Turned() LimitInput {
	if _, err := strconv.Atoi(in.Memory); err == nil {
		in.Memory += "m"
	}
	for _, f := range []struct{ key, value string }{{"memory", in.Memory}, {"cpu", in.CPU}} {
		if f.value != "" {
			in.Changes = append(in.Changes, f.key+"="+f.value)
		}
	}
	return in
}

// ClearLimitsInput is resource:limit-clear.
type ClearLimitsInput struct {
	App  string `arg:"app"`
	Type string `flag:"process-type" short:"p" value:"TYPE" help:"only this process type; without it what is set for all"`
}

// Limited is what resource:limit did.
type Limited struct {
	App        AppName     `json:"app"`
	Settings   []Setting   `json:"settings"`
	Applied    []string    `json:"applied"` // instances that have the new limits
	Refused    []string    `json:"refused"` // that get them at their next start, and why
	Shortfalls []Shortfall `json:"not_enforced"`
}

// Text implements the verbs' output.
func (l Limited) Text(w io.Writer) error {
	var b strings.Builder
	for _, s := range l.Settings {
		fmt.Fprintf(&b, "%s\t%s\t%s=%s\n", s.Topic, typeName(s.Type), s.Key, s.Value)
	}
	if len(l.Settings) == 0 {
		fmt.Fprintln(&b, "Nothing is set: the defaults hold.")
	}
	if len(l.Applied) > 0 {
		fmt.Fprintf(&b, "In force for %s.\n", strings.Join(l.Applied, ", "))
	}
	for _, r := range l.Refused {
		fmt.Fprintf(&b, "Not before its next start for %s\n", r)
	}
	for _, s := range l.Shortfalls {
		fmt.Fprintf(&b, "%s is not enforced on this host: %s\n", s.Limit, s.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func typeName(t ProcessType) string {
	if t == "" {
		return "all"
	}
	return string(t)
}

// Limit sets what processes may use, also of those that run.
func (p *Platform) Limit(ctx context.Context, call Call, in LimitInput) (Limited, error) {
	return p.bound(ctx, call, LimitTopic, in)
}

// Reserve sets what processes keep when others are short.
func (p *Platform) Reserve(ctx context.Context, call Call, in LimitInput) (Limited, error) {
	return p.bound(ctx, call, ReserveTopic, in)
}

// ClearLimits takes all limits of a process type away, or those for all.
func (p *Platform) ClearLimits(ctx context.Context, call Call, in ClearLimitsInput) (Limited, error) {
	return p.clearBounds(ctx, call, LimitTopic, in)
}

// ClearReserves does the same for reserves.
func (p *Platform) ClearReserves(ctx context.Context, call Call, in ClearLimitsInput) (Limited, error) {
	return p.clearBounds(ctx, call, ReserveTopic, in)
}

func (p *Platform) clearBounds(ctx context.Context, call Call, topic Topic, in ClearLimitsInput) (Limited, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Limited{}, err
	}
	list, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return Limited{}, err
	}
	var words []string
	for _, s := range list {
		if s.Topic == topic && s.Type == ProcessType(in.Type) {
			words = append(words, s.Key+"="+clearValue)
		}
	}
	return p.bound(ctx, call, topic, LimitInput{App: in.App, Type: in.Type, Changes: words})
}

func (p *Platform) bound(ctx context.Context, call Call, topic Topic, in LimitInput) (Limited, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Limited{}, err
	}
	changes, err := p.boundChanges(ctx, app, topic, in)
	if err != nil {
		return Limited{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return Limited{}, err
	}
	defer leave()
	if len(changes) > 0 {
		if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
			return Limited{}, err
		}
		p.saySettings(EventLimited, app, call, changes)
		p.emptyShelf(app.Name, "the app's limits were changed")
	}
	list, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return Limited{}, err
	}
	out := Limited{App: app.Name, Settings: ofTopic(list, topic)}
	if len(changes) > 0 {
		err = p.applyBounds(ctx, app, ProcessType(in.Type), list, &out)
	}
	return out, err
}

// saySettings tells of changes in the words they were asked for with.
func (p *Platform) saySettings(kind EventKind, app App, call Call, changes []Setting) {
	var parts []string
	for _, c := range changes {
		value := c.Value
		if value == "" {
			value = clearValue
		}
		parts = append(parts, c.Key+"="+value)
	}
	text := fmt.Sprintf("%s of %s: %s", changes[0].Topic, typeName(changes[0].Type), strings.Join(parts, " "))
	p.say(Event{Kind: kind, App: app.Name, Actor: call.Actor.Name, Text: text})
}

// ofTopic leaves out other topics; it is never nil.
func ofTopic(list []Setting, topic Topic) []Setting {
	out := []Setting{}
	for _, s := range list {
		if s.Topic == topic {
			out = append(out, s)
		}
	}
	return out
}

// boundChanges checks each word before anything is stored.
func (p *Platform) boundChanges(ctx context.Context, app App, topic Topic, in LimitInput) (changes []Setting, err error) {
	typ := ProcessType(in.Type)
	if err := p.checkType(ctx, app, typ); err != nil {
		return nil, err
	}
	keys, values, err := parsePairs(in.Changes)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		k, err := findKnob(knobsOf(topic), key)
		if err != nil {
			return nil, err
		}
		s := Setting{Topic: topic, Type: typ, Key: key}
		if values[key] != clearValue {
			s.Value = values[key]
			if err := k.set(&Limits{}, s.Value); err != nil {
				return nil, fmt.Errorf("set %s: %w", key, err)
			}
		}
		changes = append(changes, s)
	}
	return changes, nil
}

// checkType refuses a process type that the app does not have.
func (p *Platform) checkType(ctx context.Context, app App, typ ProcessType) error {
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil || !released || slices.Contains([]ProcessType{"", runType, cronType, ReleasePhase, predeployType, postdeployType}, typ) {
		return err
	}
	if _, declares := w.release.Image.Processes[typ]; !declares {
		return Errorf(Usage, "%s has no process type %q: %s", app.Name, typ, declared(w.release.Image))
	}
	return nil
}

// applyBounds gives running instances their new limits and says what came of it.
func (p *Platform) applyBounds(ctx context.Context, app App, typ ProcessType, list []Setting, out *Limited) error {
	have, err := p.instances(ctx, app.Name)
	if err != nil {
		return err
	}
	for _, i := range have {
		if i.Exit != nil || typ != "" && i.Type != typ {
			continue
		}
		l, err := limitsOf(list, i.Type)
		if err != nil {
			return err
		}
		name := i.Name()
		switch err := p.Runner.SetLimits(ctx, i.ID, l); {
		case err == nil:
			out.Applied = append(out.Applied, name)
		case KindOf(err) == Conflict:
			out.Refused = append(out.Refused, name+": "+p.Human(err).Message)
		case KindOf(err) != NotFound: // it has just ended
			return err
		}
	}
	l, err := limitsOf(list, typ)
	out.Shortfalls = p.Runner.Shortfalls(l)
	return err
}

// ResourceReport is resource:report.
type ResourceReport struct {
	App        AppName            `json:"app"`
	Settings   []Setting          `json:"settings"`
	Processes  []ProcessResources `json:"processes"`
	OOM        []OOMCount         `json:"oom_kills"`
	Shortfalls []Shortfall        `json:"not_enforced"`
}

// ProcessResources is what one instance uses. What the host does not count is null.
type ProcessResources struct {
	Name            string     `json:"name"`
	Memory          *int64     `json:"memory_bytes"`
	MemoryPeak      *int64     `json:"memory_peak_bytes"`
	MemoryLimit     *int64     `json:"memory_limit_bytes"`
	Swap            *int64     `json:"swap_bytes"`
	OOMKills        int64      `json:"oom_kills"`
	CPUSeconds      *float64   `json:"cpu_seconds"`
	CPULimit        float64    `json:"cpu_limit,omitempty"`
	Throttled       *float64   `json:"throttled_seconds"`
	ThrottledShare  float64    `json:"throttled_share"` // of the time, 0 to 1
	Processes       *int64     `json:"processes"`
	ProcessLimit    *int64     `json:"process_limit"`
	ProcessRefusals *int64     `json:"process_refusals"`
	Disk            *int64     `json:"disk_bytes"`
	DiskLimit       *int64     `json:"disk_limit_bytes"`
	Pressure        []Pressure `json:"pressure"`
}

// Resources shows limits, what is used, and what of the limits does not hold on this host.
func (p *Platform) Resources(ctx context.Context, _ Call, in AppInput) (ResourceReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ResourceReport{}, err
	}
	list, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return ResourceReport{}, err
	}
	r := ResourceReport{App: app.Name, Processes: []ProcessResources{}}
	r.Settings = append(ofTopic(list, LimitTopic), ofTopic(list, ReserveTopic)...)
	if r.OOM, err = p.Store.OOMCounts(ctx, app.Name); err != nil {
		return r, err
	}
	if err := p.reportProcesses(ctx, app, list, &r); err != nil {
		return r, err
	}
	return r, p.reportShortfalls(list, &r)
}

func (p *Platform) reportProcesses(ctx context.Context, app App, list []Setting, r *ResourceReport) error {
	have, err := p.instances(ctx, app.Name)
	if err != nil {
		return err
	}
	for _, i := range have {
		c, err := p.Runner.Consumed(ctx, i.ID)
		if KindOf(err) == NotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what %s.%d of %s uses: %w", i.Type, i.Number, app.Name, err)
		}
		l, err := limitsOf(list, i.Type)
		if err != nil {
			return err
		}
		r.Processes = append(r.Processes, c.view(i, l))
	}
	return nil
}

// reportShortfalls joins those of every process type that has limits.
func (p *Platform) reportShortfalls(list []Setting, r *ResourceReport) error {
	r.Shortfalls = []Shortfall{}
	types := map[ProcessType]bool{"": true}
	for _, s := range list {
		types[s.Type] = true
	}
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		l, err := limitsOf(list, typ)
		if err != nil {
			return err
		}
		for _, s := range p.Runner.Shortfalls(l) {
			if !slices.Contains(r.Shortfalls, s) {
				r.Shortfalls = append(r.Shortfalls, s)
			}
		}
	}
	return nil
}

func (c Consumption) view(i Instance, l Limits) ProcessResources {
	v := ProcessResources{
		Name: i.Name(), Memory: known(c.Memory), MemoryPeak: known(c.MemoryPeak),
		MemoryLimit: known(c.MemoryLimit), Swap: known(c.Swap), OOMKills: c.OOMKills, CPULimit: l.CPUs,
		ThrottledShare: c.ThrottledPeriod, Processes: known(c.Processes), ProcessLimit: known(c.ProcessLimit),
		ProcessRefusals: known(c.ProcessRefusals), Disk: known(c.Disk), DiskLimit: known(c.DiskLimit), Pressure: c.Pressure,
	}
	if v.Pressure == nil {
		v.Pressure = []Pressure{}
	}
	if c.CPU >= 0 {
		v.CPUSeconds = new(c.CPU.Seconds())
	}
	if c.Throttled >= 0 {
		v.Throttled = new(c.Throttled.Seconds())
	}
	return v
}

func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// Text implements the verbs' output.
func (r ResourceReport) Text(w io.Writer) error {
	if err := r.processTable(w); err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "%s for %s: %s=%s\n", s.Topic, typeName(s.Type), s.Key, s.Value)
	}
	for _, c := range r.OOM {
		fmt.Fprintf(&b, "%s: %s killed for want of memory, last at %s with %s of %s\n", c.Type, plural(c.Kills, "process was", "processes were"),
			c.LastAt.Format("2006-01-02T15:04:05Z07:00"), Bytes(c.Peak), Bytes(c.Limit))
	}
	for _, s := range r.Shortfalls {
		fmt.Fprintf(&b, "not enforced on this host: %s: %s\n", s.Limit, s.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r ResourceReport) processTable(w io.Writer) error {
	var rows [][]string
	for _, v := range r.Processes {
		rows = append(rows, []string{
			v.Name, bytesOr(v.Memory), bytesOr(v.MemoryPeak), bytesOr(v.MemoryLimit), fmt.Sprint(v.OOMKills),
			secondsOr(v.CPUSeconds), secondsOr(v.Throttled), countOr(v.Processes) + "/" + countOr(v.ProcessLimit),
			bytesOr(v.Disk), pressures(v.Pressure),
		})
	}
	return table(w, []string{"NAME", "MEMORY", "PEAK", "LIMIT", "OOM KILLS", "CPU", "THROTTLED", "PIDS", "DISK", "PRESSURE"}, rows)
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func bytesOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return Bytes(*n)
}

func countOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func secondsOr(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.1fs", *f)
}

func pressures(list []Pressure) string {
	var parts []string
	for _, p := range list {
		parts = append(parts, fmt.Sprintf("%s %.0f%%", p.Of, p.Some10))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, " ")
}
