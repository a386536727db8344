package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogDrain is a place that an app's log is sent to.
type LogDrain struct {
	ID        int64
	App       AppName
	URL       string   // https://… (JSON lines), …/loki/api/v1/push (Loki), syslog+tls://…, syslog+tcp://…; may hold a password
	Private   bool     // an admin lets it be on the host, or on a private network
	Insecure  bool     // any certificate will do
	CA        string   // PEM; beside the host's own authorities
	Headers   []string // "Name: value", of HTTP; secrets
	Actor     string   // who added it
	CreatedAt time.Time
}

// Drains is the part of a Store that keeps them. They go with their app.
type Drains interface {
	// AddDrain numbers and keeps a drain; a second one to the same URL is an *Error of kind Conflict.
	AddDrain(ctx context.Context, d LogDrain) (LogDrain, error)
	RemoveDrain(ctx context.Context, id int64) error
	LogDrains(ctx context.Context, name AppName) ([]LogDrain, error) // of an app, or of all with "", oldest first
}

// DrainStatus is how a drain does.
type DrainStatus struct {
	Sent    uint64 // lines since the daemon started
	Missed  uint64 // lines that were gone before they could be sent, since then
	Behind  uint64 // lines that wait
	Failure string // of the last attempt, in a sentence; "" if it went well
	Retry   time.Time
}

// Drainer sends logs away.
type Drainer interface {
	// Check fails with kind Usage when a URL is none that can be drained to, and with kind Denied when it leads to the host
	// or a private network and Private is not set. It asks for the host's address, and blocks for that.
	Check(ctx context.Context, d LogDrain) error
	// Open begins with the lines that come from now on, or goes on where an Open with the same ID had come to, by this
	// daemon or another one.
	Open(d LogDrain) error
	// Pause ends one until it is opened again. An unknown one is no error.
	Pause(id int64)
	// Close ends one, and forgets how far it had come. An unknown one is no error.
	Close(app AppName, id int64)
	Status(id int64) DrainStatus
}

// mostDrains is how many an app may have.
const mostDrains = 8

// mostCA is how much of an authority's certificate is read, in bytes.
const mostCA = 64 << 10

// DrainView is a drain as people see it.
type DrainView struct {
	ID        int64      `json:"id"`
	URL       string     `json:"url"` // secrets are masked
	Kind      string     `json:"kind"`
	Sent      uint64     `json:"sent"`
	Missed    uint64     `json:"missed"`
	Behind    uint64     `json:"behind"`
	Failure   string     `json:"failure,omitempty"`
	Retry     *time.Time `json:"retry_at,omitempty"`
	Private   bool       `json:"private,omitempty"`
	Insecure  bool       `json:"insecure,omitempty"`
	Headers   []string   `json:"headers,omitempty"` // their names
	Actor     string     `json:"actor"`
	CreatedAt time.Time  `json:"created_at"`
}

// DrainList is logs:drain:list.
type DrainList []DrainView

// Text implements the verbs' output.
func (l DrainList) Text(w io.Writer) error {
	var rows [][]string
	for _, d := range l {
		state := "sends"
		if d.Failure != "" {
			state = "fails: " + d.Failure
		}
		rows = append(rows, []string{strconv.FormatInt(d.ID, 10), d.Kind, d.URL, strconv.FormatUint(d.Sent, 10), strconv.FormatUint(d.Behind, 10), state})
	}
	return table(w, []string{"ID", "KIND", "URL", "SENT", "WAIT", "STATE"}, rows)
}

// DrainInput is logs:drain:add.
type DrainInput struct {
	App      string   `arg:"app"`
	URL      string   `arg:"url" help:"https://HOST/PATH, …/loki/api/v1/push, syslog+tls://HOST, syslog+tcp://HOST"`
	Private  bool     `flag:"allow-private" help:"it may be on this host or a private network; for admins"`
	Insecure bool     `flag:"insecure" help:"do not look at its certificate"`
	CA       bool     `flag:"ca" help:"its authority's certificate comes on stdin, in PEM"`
	Header   []string `flag:"header" secret:"true" value:"NAME:VALUE" help:"one more header, over HTTP"`
}

// AddLogDrain has an app's log sent to a URL, from now on.
func (p *Platform) AddLogDrain(ctx context.Context, call Call, in DrainInput) (DrainView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DrainView{}, err
	}
	if p.Drainer == nil || p.Logbook == nil {
		return DrainView{}, Errorf(Failed, "this server drains no logs")
	}
	if in.Private && !call.Actor.Admin {
		return DrainView{}, Errorf(Denied, "--allow-private is for admins, and your key %q is not one", call.Actor.Name)
	}
	d := LogDrain{App: app.Name, URL: in.URL, Private: in.Private, Insecure: in.Insecure, Actor: call.Actor.Name}
	if d.Headers, err = drainHeaders(in.Header); err != nil {
		return DrainView{}, err
	}
	if in.CA {
		if d.CA, err = readCA(call.In); err != nil {
			return DrainView{}, err
		}
	}
	if err := p.Drainer.Check(ctx, d); err != nil {
		return DrainView{}, err
	}
	have, err := p.Store.LogDrains(ctx, app.Name)
	if err != nil {
		return DrainView{}, err
	}
	if len(have) >= mostDrains {
		return DrainView{}, Errorf(Conflict, "%s has %d drains, which is the most", app.Name, mostDrains).
			WithHint("take one away: ssh paas logs:drain:remove %s %d", app.Name, have[0].ID)
	}
	if d, err = p.Store.AddDrain(ctx, d); err != nil {
		return DrainView{}, err
	}
	if err := p.Drainer.Open(d); err != nil {
		return DrainView{}, err
	}
	p.say(Event{Kind: EventDrainAdded, App: app.Name, Actor: call.Actor.Name, Text: "the log is sent to " + maskURL(d.URL)})
	return p.drainView(d), nil
}

func readCA(in io.Reader) (string, error) {
	if in == nil {
		return "", Errorf(Usage, "--ca wants a certificate on stdin")
	}
	b, err := io.ReadAll(io.LimitReader(in, mostCA+1))
	if err != nil {
		return "", fmt.Errorf("read a certificate: %w", err)
	}
	if len(b) > mostCA || !strings.Contains(string(b), "BEGIN CERTIFICATE") {
		return "", Errorf(Usage, "what came on stdin is no certificate in PEM").WithHint("ssh paas logs:drain:add APP URL --ca < ca.pem")
	}
	return string(b), nil
}

func drainHeaders(words []string) (list []string, err error) {
	for _, word := range words {
		name, value, ok := strings.Cut(word, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		bad := strings.ContainsFunc(name, func(r rune) bool {
			return !strings.ContainsRune("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r)
		})
		if !ok || name == "" || bad || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(word) > 4096 {
			return nil, Errorf(Usage, "%q is no header: write it like X-Scope-OrgID:blog", word)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if slices.Contains([]string{"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection"}, name) {
			return nil, Errorf(Usage, "the header %s is the platform's own", name)
		}
		list = append(list, name+": "+value)
	}
	return list, nil
}

// Text implements the verbs' output.
func (d DrainView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Drain %d sends new lines to %s (%s).\n", d.ID, d.URL, d.Kind)
	return err
}

// DrainRemoveInput is logs:drain:remove.
type DrainRemoveInput struct {
	App   string `arg:"app"`
	Drain string `arg:"drain" help:"its number or its URL"`
}

// RemoveLogDrain ends a drain.
func (p *Platform) RemoveLogDrain(ctx context.Context, call Call, in DrainRemoveInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	list, err := p.Store.LogDrains(ctx, app.Name)
	if err != nil {
		return Done{}, err
	}
	i := slices.IndexFunc(list, func(d LogDrain) bool {
		return in.Drain == d.URL || in.Drain == maskURL(d.URL) || strings.TrimPrefix(in.Drain, "d") == strconv.FormatInt(d.ID, 10)
	})
	if i < 0 {
		return Done{}, Errorf(NotFound, "the log of %s is not drained to %q", app.Name, maskURL(in.Drain)).
			WithHint("see where: ssh paas logs:drain:list %s", app.Name)
	}
	if err := p.Store.RemoveDrain(ctx, list[i].ID); err != nil {
		return Done{}, err
	}
	if p.Drainer != nil {
		p.Drainer.Close(app.Name, list[i].ID)
	}
	where := maskURL(list[i].URL)
	p.say(Event{Kind: EventDrainRemoved, App: app.Name, Actor: call.Actor.Name, Text: "the log is not sent to " + where + " any more"})
	return donef("The log of %s is not sent to %s any more.", app.Name, where), nil
}

// DrainWordInput is logs:drain add|remove|list.
type DrainWordInput struct {
	Word     string   `arg:"what" help:"add, remove or list"`
	App      string   `arg:"app"`
	Drain    string   `arg:"drain" optional:"true" help:"a URL, or to remove one its number"`
	Private  bool     `flag:"allow-private" help:"it may be on this host or a private network; for admins"`
	Insecure bool     `flag:"insecure" help:"do not look at its certificate"`
	CA       bool     `flag:"ca" help:"its authority's certificate comes on stdin, in PEM"`
	Header   []string `flag:"header" secret:"true" value:"NAME:VALUE" help:"one more header, over HTTP"`
}

// Output knows how to print itself.
type Output interface{ Text(w io.Writer) error }

// DrainWord is logs:drain:add, remove or list, with a space for the second colon.
func (p *Platform) DrainWord(ctx context.Context, call Call, in DrainWordInput) (Output, error) {
	if in.Drain == "" && in.Word != "list" {
		return nil, Errorf(Usage, "drain is missing")
	}
	switch in.Word {
	case "add":
		return p.AddLogDrain(ctx, call, DrainInput{in.App, in.Drain, in.Private, in.Insecure, in.CA, in.Header})
	case "remove":
		return p.RemoveLogDrain(ctx, call, DrainRemoveInput{in.App, in.Drain})
	case "list":
		return p.LogDrainsOf(ctx, call, AppInput{App: in.App})
	}
	return nil, Errorf(Usage, "a drain can be added, removed or listed, and no %q", in.Word).
		WithHint("ssh paas logs:drain add blog https://logs.example.com/in")
}

// LogDrainsOf lists an app's drains.
func (p *Platform) LogDrainsOf(ctx context.Context, _ Call, in AppInput) (DrainList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	return p.drainViews(ctx, app.Name)
}

func (p *Platform) drainViews(ctx context.Context, app AppName) ([]DrainView, error) {
	list, err := p.Store.LogDrains(ctx, app)
	views := []DrainView{}
	for _, d := range list {
		views = append(views, p.drainView(d))
	}
	return views, err
}

func (p *Platform) drainView(d LogDrain) DrainView {
	v := DrainView{
		ID: d.ID, URL: maskURL(d.URL), Kind: DrainKind(d.URL), Private: d.Private, Insecure: d.Insecure, Actor: d.Actor, CreatedAt: d.CreatedAt,
	}
	for _, h := range d.Headers {
		name, _, _ := strings.Cut(h, ":")
		v.Headers = append(v.Headers, name)
	}
	if p.Drainer != nil {
		s := p.Drainer.Status(d.ID)
		v.Sent, v.Missed, v.Behind, v.Failure = s.Sent, s.Missed, s.Behind, s.Failure
		if !s.Retry.IsZero() {
			v.Retry = &s.Retry
		}
	}
	return v
}

// DrainKind is how a URL's drain speaks: "json", "loki" or "syslog"; "" if it is no drain's.
func DrainKind(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	switch u.Scheme {
	case "syslog", "syslog+tcp", "syslog+tls", "syslogs":
		return "syslog"
	case "loki+https", "loki+http", "loki":
		return "loki"
	case "https", "http":
		if strings.HasSuffix(u.Path, "/loki/api/v1/push") {
			return "loki"
		}
		return "json"
	}
	return ""
}

// maskURL hides what of a URL may be a secret: a password, and values of its query.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(no URL)"
	}
	if _, secret := u.User.Password(); secret {
		u.User = url.UserPassword(u.User.Username(), "xxxxx")
	}
	if u.RawQuery != "" {
		u.RawQuery = "xxxxx"
	}
	return u.String()
}

// drainsToClose lists an app's drains, to be closed when the app is gone: an app of that name that comes later is another's.
func (p *Platform) drainsToClose(ctx context.Context, app AppName) (closeAll func(), err error) {
	list, err := p.Store.LogDrains(ctx, app)
	if err != nil {
		return nil, fmt.Errorf("list drains of %s: %w", app, err)
	}
	return func() {
		for _, d := range list {
			if p.Drainer != nil {
				p.Drainer.Close(app, d.ID)
			}
		}
	}, nil
}

// RenameLog moves an app's log, and what of it is sent away, to the app's new name, which the store knows already. Instances may
// write meanwhile.
func (p *Platform) RenameLog(ctx context.Context, from, to AppName) error {
	if p.Logbook == nil {
		return nil
	}
	list, err := p.Store.LogDrains(ctx, to)
	if err != nil {
		return fmt.Errorf("rename the log of %s: %w", from, err)
	}
	for _, d := range list {
		if p.Drainer != nil {
			p.Drainer.Pause(d.ID)
		}
	}
	errs := []error{p.Logbook.Rename(from, to)}
	for _, d := range list {
		if p.Drainer != nil {
			errs = append(errs, p.Drainer.Open(d))
		}
	}
	return errors.Join(errs...)
}

// bootDrains goes on with every drain.
func (p *Platform) bootDrains(ctx context.Context) error {
	if p.Drainer == nil {
		return nil
	}
	list, err := p.Store.LogDrains(ctx, "")
	if err != nil {
		return fmt.Errorf("open drains: %w", err)
	}
	for _, d := range list {
		if err := p.Drainer.Open(d); err != nil {
			p.Log.Error("open a drain", "app", d.App, "drain", d.ID, "err", err)
		}
	}
	return nil
}
