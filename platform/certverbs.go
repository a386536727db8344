package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// CertSetInput is certs:set.
type CertSetInput struct {
	App    string   `flag:"app" short:"a" value:"APP" help:"the app, if it is not the first word"`
	Global bool     `flag:"global" help:"of the platform, and for apps without an own"`
	Words  []string `arg:"app key=value" rest:"optional" app:"first" help:"redirect=on hsts=365d …; clear unsets, - reads stdin"`
}

// CertSettings is what certs:set leaves.
type CertSettings struct {
	App      AppName       `json:"app,omitempty"`
	Settings []CertSetting `json:"settings"`
}

// CertSetting is one of them.
type CertSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "app", "global" or "default"
	Help   string `json:"help"`
}

// Text implements the verbs' output.
func (r CertSettings) Text(w io.Writer) error {
	var rows [][]string
	for _, s := range r.Settings {
		rows = append(rows, []string{s.Key, s.Value, s.Source, s.Help})
	}
	return table(w, []string{"KEY", "VALUE", "FROM", "WHAT IT IS"}, rows)
}

// SetCertificates changes settings of certificates, at once.
func (p *Platform) SetCertificates(ctx context.Context, call Call, in CertSetInput) (CertSettings, error) {
	words, name := in.Words, in.App
	if !in.Global && name == "" {
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return CertSettings{}, Errorf(Usage, "name the app first, or say --global").WithHint("ssh paas certs:set blog redirect=on")
		}
		name, words = words[0], words[1:]
	}
	changes, err := certChanges(call, words, in.Global)
	if err != nil {
		return CertSettings{}, err
	}
	if in.Global {
		return p.setGlobalCertificates(ctx, call, changes)
	}
	app, err := p.find(ctx, name)
	if err != nil {
		return CertSettings{}, err
	}
	if len(changes) > 0 {
		if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
			return CertSettings{}, err
		}
		p.saySettings(EventCertsSet, app, call, veiled(changes))
		if err := p.rewish(ctx, app); err != nil {
			return CertSettings{}, err
		}
	}
	return p.certSettings(ctx, app.Name)
}

// setGlobalCertificates asks the room first: what it cannot work with is not stored.
func (p *Platform) setGlobalCertificates(ctx context.Context, call Call, changes []Setting) (CertSettings, error) {
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return CertSettings{}, err
	}
	r := usualCertRules()
	if err := r.take(overlaid(list, changes), map[string]string{}, ""); err != nil {
		return CertSettings{}, err
	}
	if p.Certificates != nil {
		if err := p.Certificates.Configure(r.authority); err != nil {
			return CertSettings{}, err
		}
	}
	if err := p.Store.ChangeGlobalSettings(ctx, changes); err != nil {
		return CertSettings{}, err
	}
	if len(changes) > 0 {
		p.saySettings(EventCertsSet, App{}, call, veiled(changes))
	}
	if err := p.rewishAll(ctx); err != nil {
		return CertSettings{}, err
	}
	return p.certSettings(ctx, "")
}

// overlaid is a list of settings after changes.
func overlaid(list, changes []Setting) []Setting {
	out := slices.Clone(list)
	for _, c := range changes {
		out = slices.DeleteFunc(out, func(s Setting) bool { return s.Topic == c.Topic && s.Key == c.Key })
		if c.Value != "" {
			out = append(out, c)
		}
	}
	return out
}

func veiled(changes []Setting) []Setting {
	out := slices.Clone(changes)
	for i, c := range out {
		if k, err := findCertKnob(c.Key); err == nil && (k.secret || k.input) && c.Value != "" {
			out[i].Value = "…"
		}
	}
	return out
}

// certChanges checks each word before anything is stored.
func certChanges(call Call, words []string, global bool) (changes []Setting, err error) {
	if len(words) == 0 {
		return nil, nil
	}
	keys, values, err := parsePairs(words)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		k, err := findCertKnob(key)
		if err != nil {
			return nil, err
		}
		if k.global && !global {
			return nil, Errorf(Usage, "%s holds for the platform", key).WithHint("ssh paas certs:set --global %s=%s", key, k.like)
		}
		s := Setting{Topic: CertsTopic, Key: key}
		if values[key] != clearValue {
			if s.Value, err = k.read(call, values[key]); err != nil {
				return nil, err
			}
			r := usualCertRules()
			if err := k.set(&r, s.Value); err != nil {
				return nil, fmt.Errorf("set %s: %w", key, err)
			}
		}
		changes = append(changes, s)
	}
	return changes, nil
}

// maxInput bounds what a verb reads from the standard input: a chain of certificates is a few kilobytes.
const maxInput = 1 << 20

func (k certKnob) read(call Call, value string) (string, error) {
	if k.secret && value != "-" {
		return "", Errorf(Usage, "%s is a secret: it comes on the standard input", k.key).WithHint("ssh paas certs:set --global %s=- < file", k.key)
	}
	if !k.input || value != "-" {
		return value, nil
	}
	text, err := readInput(call)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = Errorf(Usage, "there was nothing on the standard input for %s", k.key)
	}
	return string(text), err
}

func readInput(call Call) ([]byte, error) {
	if call.In == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(call.In, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = Errorf(Usage, "that is more than 1 MiB")
	}
	return text, err
}

func (p *Platform) certSettings(ctx context.Context, app AppName) (CertSettings, error) {
	out := CertSettings{App: app}
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return out, err
	}
	values, sources := map[string]string{}, map[string]string{}
	note := func(list []Setting, source string) {
		for _, s := range veiled(list) {
			if s.Topic == CertsTopic {
				values[s.Key], sources[s.Key] = s.Value, source
			}
		}
	}
	note(list, "global")
	knobs := certKnobs()
	if app != "" {
		if list, err = p.Store.Settings(ctx, app); err != nil {
			return out, err
		}
		note(list, "app")
		knobs = appCertKnobs()
	}
	for _, k := range knobs {
		s := CertSetting{k.key, values[k.key], sources[k.key], k.help}
		if s.Source == "" {
			s.Source = "default"
		}
		out.Settings = append(out.Settings, s)
	}
	return out, nil
}

// CertReportInput is certs:report.
type CertReportInput struct {
	App string `arg:"app" optional:"true"`
}

// CertReport is how it stands with certificates.
type CertReport struct {
	Domains  []AppCertificate `json:"domains"`
	Settings []CertSetting    `json:"settings"`
	now      time.Time
}

// AppCertificate is one domain's.
type AppCertificate struct {
	App AppName `json:"app"` // "" for the platform's own
	CertificateStatus
}

// Text implements the verbs' output.
func (r CertReport) Text(w io.Writer) error {
	var rows [][]string
	for _, d := range r.Domains {
		until := "-"
		if d.Expires != nil {
			until = fmt.Sprintf("%s (%s)", d.Expires.Format(time.DateOnly), spellLeft(d.Expires.Sub(r.now)))
		}
		why := d.Error
		if d.Next != nil && d.Failures > 0 {
			why += fmt.Sprintf(" (failed %d times, next try %s)", d.Failures, d.Next.Format(time.RFC3339))
		}
		rows = append(rows, []string{string(d.App), d.Host, d.State, d.Source, until, d.Issuer, why})
	}
	return table(w, []string{"APP", "DOMAIN", "STATE", "SOURCE", "EXPIRES", "ISSUER", "WHY"}, rows)
}

func spellLeft(d time.Duration) string {
	switch {
	case d < 0:
		return "expired"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// ReportCertificates shows how it stands with an app's certificates, or with all.
func (p *Platform) ReportCertificates(ctx context.Context, call Call, in CertReportInput) (CertReport, error) {
	r := CertReport{Domains: []AppCertificate{}, now: p.Now()}
	if p.Certificates == nil {
		return r, nil
	}
	apps, err := p.oneOrAll(ctx, call, in.App)
	if err != nil {
		return r, err
	}
	for _, app := range apps {
		hosts, err := p.hosts(ctx, app.Name)
		if err != nil {
			return r, err
		}
		for _, s := range p.Certificates.Status(hosts) {
			r.Domains = append(r.Domains, AppCertificate{app.Name, s})
		}
	}
	if in.App == "" {
		for _, s := range p.Certificates.Status([]string{p.RegistryHost()}) {
			r.Domains = append(r.Domains, AppCertificate{"", s})
		}
	}
	s, err := p.certSettings(ctx, AppName(in.App))
	r.Settings = s.Settings
	return r, err
}

// CertHostInput is certs:renew.
type CertHostInput struct {
	App   string   `arg:"app"`
	Hosts []string `arg:"domain" rest:"optional"`
	Force bool     `flag:"force" help:"also where the certificate that is there would do"`
}

// RenewCertificates asks the authority at once, whatever the schedule says.
func (p *Platform) RenewCertificates(ctx context.Context, call Call, in CertHostInput) (CertReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CertReport{}, err
	}
	hosts, err := p.hostsNamed(ctx, app, in.Hosts)
	if err != nil {
		return CertReport{}, err
	}
	for _, s := range p.Certificates.Status(hosts) {
		if len(in.Hosts) == 0 && (s.Source != "acme" || s.State == "waiting" || s.State == "valid" && !in.Force) {
			continue
		}
		_, _ = fmt.Fprintf(call.Err, "Asking for a certificate for %s…\n", s.Host)
		if err := p.Certificates.Obtain(ctx, s.Host, in.Force); err != nil {
			return CertReport{}, withHint(err, "see how it stands: ssh paas certs:report %s", app.Name)
		}
		call.Audit.Changed("certificate of "+s.Host, s.State, "obtained anew")
	}
	return p.ReportCertificates(ctx, call, CertReportInput{App: in.App})
}

// hostsNamed are the app's hosts that were named, or all of them.
func (p *Platform) hostsNamed(ctx context.Context, app App, named []string) ([]string, error) {
	if p.Certificates == nil {
		return nil, Errorf(Failed, "there are no certificates here")
	}
	hosts, err := p.hosts(ctx, app.Name)
	if err != nil || len(named) == 0 {
		return hosts, err
	}
	var list []string
	for _, s := range named {
		host, err := p.parseHost(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(hosts, host) {
			return nil, Errorf(NotFound, "%s has no domain %s", app.Name, host).WithHint("see them: ssh paas domains:report %s", app.Name)
		}
		list = append(list, host)
	}
	return list, nil
}

// RevokeCertInput is certs:revoke.
type RevokeCertInput struct {
	App    string `arg:"app"`
	Host   string `arg:"domain"`
	Reason string `flag:"reason" default:"unspecified" value:"REASON" help:"unspecified, key-compromise, superseded or cessation"`
}

// RevokeCertificate declares a certificate void at its authority.
func (p *Platform) RevokeCertificate(ctx context.Context, call Call, in RevokeCertInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	hosts, err := p.hostsNamed(ctx, app, []string{in.Host})
	if err != nil {
		return Done{}, err
	}
	reasons := map[string]int{"unspecified": 0, "key-compromise": 1, "superseded": 4, "cessation": 5} // RFC 5280, 5.3.1
	reason, ok := reasons[in.Reason]
	if !ok {
		return Done{}, Errorf(Usage, "%q is no reason: it is unspecified, key-compromise, superseded or cessation", in.Reason)
	}
	if err := p.Certificates.Revoke(ctx, hosts[0], reason); err != nil {
		return Done{}, err
	}
	call.Audit.Changed("certificate of "+hosts[0], "valid", "revoked")
	p.say(Event{Kind: EventCertRevoked, App: app.Name, Actor: call.Actor.Name, Text: "the certificate of " + hosts[0] + " was revoked: " + in.Reason})
	return donef("Revoked the certificate of %s; another one is asked for.", hosts[0]), nil
}

// CARoot is certs:ca.
type CARoot struct {
	PEM string `json:"pem"`
}

// Text implements the verbs' output.
func (r CARoot) Text(w io.Writer) error {
	_, err := io.WriteString(w, r.PEM)
	return err
}

// InternalRoot shows the certificate that clients of private names must trust.
func (p *Platform) InternalRoot(context.Context, Call, struct{}) (CARoot, error) {
	if p.Certificates == nil {
		return CARoot{}, Errorf(Failed, "there are no certificates here")
	}
	return CARoot{string(p.Certificates.Root())}, nil
}
