package platform

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// SecurityInput is security:set.
type SecurityInput struct {
	App     string   `arg:"app"`
	Changes []string `arg:"key=value" rest:"required" help:"cap-add=NET_RAW device=/dev/kvm read-only=true …; clear unsets"`
	Know    bool     `flag:"i-know" help:"open what makes the app's wall a lot thinner"`
}

// SecurityReport is security:report and what security:set leaves.
type SecurityReport struct {
	App      AppName         `json:"app"`
	Settings []Setting       `json:"settings"`
	Security Security        `json:"security"`
	Changes  []SettingChange `json:"changes"` // newest first
	Pending  []string        `json:"pending"` // instances that were started before the last change
	Missing  []Shortfall     `json:"not_enforced"`
}

const keptChanges = 20 // that security:report shows

// Text implements the verbs' output.
func (r SecurityReport) Text(w io.Writer) error {
	var b strings.Builder
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "%s=%s\n", s.Key, s.Value)
	}
	if len(r.Settings) == 0 {
		fmt.Fprintln(&b, "Nothing is opened: the defaults hold.")
	}
	if len(r.Pending) > 0 {
		fmt.Fprintf(&b, "%s started before the last change: ssh paas ps:restart %s\n", strings.Join(r.Pending, ", "), r.App)
	}
	for _, s := range r.Missing {
		fmt.Fprintf(&b, "not enforced on this host: %s: %s\n", s.Limit, s.Reason)
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s  %s: %s=%s\n", c.At.Format("2006-01-02T15:04:05Z07:00"), c.Actor, c.Key, afterWord(c))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func afterWord(c SettingChange) string {
	after, before := c.Value, c.Before
	if after == "" {
		after = clearValue
	}
	if before == "" {
		before = "nothing"
	}
	return after + " (was " + before + ")"
}

// SetSecurity opens or closes something for an app, from its next start on. Admins only.
func (p *Platform) SetSecurity(ctx context.Context, call Call, in SecurityInput) (SecurityReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return SecurityReport{}, err
	}
	changes, err := p.securityChanges(in)
	if err != nil {
		return SecurityReport{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return SecurityReport{}, err
	}
	defer leave()
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return SecurityReport{}, err
	}
	p.saySettings(EventOpened, app, call, changes)
	p.emptyShelf(app.Name, "what is open to the app was changed")
	return p.security(ctx, app)
}

func (p *Platform) securityChanges(in SecurityInput) (changes []Setting, err error) {
	keys, values, err := parsePairs(in.Changes)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		l, err := findLever(key)
		if err != nil {
			return nil, err
		}
		s := Setting{Topic: SecurityTopic, Key: key}
		if values[key] != clearValue {
			s.Value = values[key]
			if err := p.checkLever(l, s.Value, in); err != nil {
				return nil, err
			}
		}
		changes = append(changes, s)
	}
	return changes, nil
}

func (p *Platform) checkLever(l lever, value string, in SecurityInput) error {
	var s Security
	reckless, err := l.set(&s, value)
	if err != nil {
		return err
	}
	for _, d := range s.Devices {
		found, err := p.Runner.OpenDevice(d.Path)
		if err != nil {
			return err
		}
		if found.Block { // who writes a disk writes every file on it
			reckless = "the disk " + d.Path
		}
	}
	if reckless != "" && !in.Know {
		return Errorf(Denied, "%s makes the wall around %s a lot thinner", reckless, in.App).
			WithHint("if you know what it is for: add --i-know")
	}
	return nil
}

// Security shows what was opened for an app, and who did.
func (p *Platform) Security(ctx context.Context, _ Call, in AppInput) (SecurityReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return SecurityReport{}, err
	}
	return p.security(ctx, app)
}

func (p *Platform) security(ctx context.Context, app App) (r SecurityReport, err error) {
	r = SecurityReport{App: app.Name, Changes: []SettingChange{}, Pending: []string{}, Missing: []Shortfall{}}
	list, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return r, err
	}
	r.Settings = ofTopic(list, SecurityTopic)
	if r.Security, err = securityOf(list); err != nil {
		return r, err
	}
	changes, err := p.Store.SettingChanges(ctx, app.Name, SecurityTopic, keptChanges)
	if err != nil {
		return r, err
	}
	r.Changes = append(r.Changes, changes...)
	for _, s := range p.Runner.Shortfalls(Limits{}) {
		if s.Limit == "device" {
			r.Missing = append(r.Missing, s)
		}
	}
	return r, p.pendingSecurity(ctx, app, &r)
}

// pendingSecurity finds the instances that are older than the last change.
func (p *Platform) pendingSecurity(ctx context.Context, app App, r *SecurityReport) error {
	have, err := p.instances(ctx, app.Name)
	if err != nil || len(r.Changes) == 0 {
		return err
	}
	for _, i := range have {
		if i.Exit == nil && i.StartedAt.Before(r.Changes[0].At) {
			r.Pending = append(r.Pending, i.Name())
		}
	}
	return nil
}

// opened is the app's Security with what the host knows of its devices.
func (p *Platform) opened(list []Setting) (Security, error) {
	s, err := securityOf(list)
	if err != nil {
		return s, err
	}
	for i, d := range s.Devices {
		found, err := p.Runner.OpenDevice(d.Path)
		if err != nil {
			return s, err
		}
		found.Access = d.Access
		s.Devices[i] = found
	}
	return s, nil
}
