package verbs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"paas/platform"
)

const (
	keptRequests = 200       // that are over; older ones are forgotten
	keptOutput   = 256 << 10 // bytes of what one printed, from the end
	quickEnough  = time.Second
)

// later is what was asked for with --no-wait. It is kept in the store before it begins, and the next daemon goes on
// with what this one did not finish (see Resume). Of what it printed only that of those that failed outlives the daemon.
type later struct {
	mu   sync.Mutex
	list []*errand // oldest first
}

// errand is one command that nobody need wait for.
type errand struct {
	id, actor, verb, app string
	start                time.Time
	done                 chan struct{} // closed when it is over

	mu     sync.Mutex
	output bytes.Buffer
	stderr bytes.Buffer
	code   int
	end    time.Time
}

// inBackground begins the verb and says by which name it goes on, unless it is over in a moment: bad words are
// told at once. It gets no input. line is what args were read from.
func (t *Table) inBackground(ctx context.Context, s Session, v Verb, args arguments, line []Word) (int, error) {
	words, err := json.Marshal(spoken{line, s.Prefix})
	if err != nil {
		return 0, err
	}
	e := platform.Errand{
		ID: s.Actor.Request, Actor: s.Actor, Verb: v.Name, App: platform.AppName(args.app(v)), Words: string(words), Began: time.Now(),
	}
	if err := t.platform.Store.AddErrand(ctx, e); err != nil {
		return 0, fmt.Errorf("accept %s: %w", v.Name, err)
	}
	r := newErrand(e)
	if !t.platform.Background(func(ctx context.Context) { t.carryOn(ctx, r, r.session(s), v, args) }) {
		err := platform.Errorf(platform.Failed, "the server ends or is replaced").WithHint("say it again in a moment")
		return 0, errors.Join(err, t.over(ctx, r, status[platform.Failed]))
	}
	t.later.add(r)
	select {
	case <-r.done:
		return r.replay(s), nil
	case <-time.After(quickEnough):
	case <-ctx.Done():
	}
	started := Started{Request: r.id}
	if args.common.json {
		return 0, writeJSON(s.Stdout, started)
	}
	_, _ = fmt.Fprintf(s.Stderr, "It goes on. Wait for it with: %s requests:wait %s\n", s.Prefix, r.id)
	return 0, started.Text(s.Stdout)
}

// carryOn does an errand. One that the end of the daemon cuts off is the next one's.
func (t *Table) carryOn(ctx context.Context, r *errand, s Session, v Verb, args arguments) {
	code, err := t.call(ctx, s, v, args)
	if err != nil {
		e := t.platform.Human(err)
		code = status[e.Kind]
		if args.common.json {
			tellJSON(s, e)
		} else {
			tellError(s, e)
		}
	}
	if ctx.Err() != nil && code != 0 {
		r.finish(code, time.Now())
		return
	}
	if err := t.over(context.WithoutCancel(ctx), r, code); err != nil {
		t.platform.Log.Error("end an accepted command", "request", r.id, "err", err)
	}
}

// over notes that an errand has ended.
func (t *Table) over(ctx context.Context, r *errand, code int) error {
	end := time.Now()
	v, _ := t.find(r.verb)
	err := t.platform.Store.EndErrand(ctx, platform.Errand{ID: r.id, Ended: end, Code: code, Said: r.remains(v, code)})
	r.finish(code, end)
	return err
}

func newErrand(e platform.Errand) *errand {
	return &errand{id: e.ID, actor: e.Actor.Name, verb: e.Verb, app: string(e.App), start: e.Began, done: make(chan struct{})}
}

// session is s for what nobody waits for: without input and terminal (an empty one would be a value, or a file), and
// its output is kept.
func (r *errand) session(s Session) Session {
	s.Stdin, s.Terminal, s.Signals = nil, nil, nil
	s.Stdout, s.Stderr = &tail{r: r, to: &r.output}, &tail{r: r, to: &r.stderr}
	return s
}

// tell adds a line to what it printed.
func (r *errand) tell(line string) { _, _ = fmt.Fprintln(&tail{r: r, to: &r.stderr}, line) }

// Started is what --no-wait prints.
type Started struct {
	Request string `json:"request"`
}

// Text implements output.
func (r Started) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, r.Request)
	return err
}

// app is the app that the words name, if the verb is about one.
func (a arguments) app(v Verb) string {
	if given := a.flags[appArg]; len(given) > 0 {
		return given[len(given)-1]
	}
	if len(v.params) > 0 && v.params[0].name == appArg && !v.params[0].flag && len(a.positional) > 0 {
		return a.positional[0]
	}
	return ""
}

// tail keeps the end of what is written.
type tail struct {
	r  *errand
	to *bytes.Buffer
}

func (w *tail) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.to.Write(p)
	if over := w.to.Len() - keptOutput; over > 0 {
		w.to.Next(over)
	}
	return len(p), nil
}

func (r *errand) finish(code int, at time.Time) {
	r.mu.Lock()
	r.code, r.end = code, at
	r.mu.Unlock()
	close(r.done)
}

// replay prints what the request printed and returns its exit status.
func (r *errand) replay(s Session) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = s.Stderr.Write(r.stderr.Bytes())
	_, _ = s.Stdout.Write(r.output.Bytes())
	return r.code
}

func (l *later) add(r *errand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r)
	for len(l.list) > keptRequests {
		i := slices.IndexFunc(l.list, (*errand).over)
		if i < 0 {
			return
		}
		l.list = slices.Delete(l.list, i, i+1)
	}
}

func (r *errand) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// seenBy are the requests that the actor made, or all for an admin.
func (l *later) seenBy(a platform.Actor) (list []*errand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.list {
		if a.Admin || r.actor == a.Name {
			list = append(list, r)
		}
	}
	return list
}

// RequestView is a command that was not waited for.
type RequestView struct {
	ID        string     `json:"id"`
	Verb      string     `json:"verb"`
	App       string     `json:"app,omitempty"`
	Actor     string     `json:"actor"`
	Status    string     `json:"status"` // running, done or failed
	Exit      *int       `json:"exit,omitempty"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

func (r *errand) view() RequestView {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := RequestView{ID: r.id, Verb: r.verb, App: r.app, Actor: r.actor, Status: "running", StartedAt: r.start.UTC()}
	if !r.end.IsZero() {
		code, end := r.code, r.end.UTC()
		v.Exit, v.EndedAt, v.Status = &code, &end, "done"
		if code != 0 {
			v.Status = fmt.Sprintf("failed (%d)", code)
		}
	}
	return v
}

// RequestList is requests.
type RequestList []RequestView

// Text implements output.
func (l RequestList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{v.ID, v.Status, v.Verb, v.App, v.Actor, v.StartedAt.Format(time.RFC3339)})
	}
	return platform.WriteTable(w, []string{"REQUEST", "STATUS", "COMMAND", "APP", "BY", "SINCE"}, rows)
}

func (t *Table) listRequests(_ *platform.Platform, _ context.Context, call platform.Call, _ struct{}) (RequestList, error) {
	list := RequestList{}
	for _, r := range t.later.seenBy(call.Actor) {
		list = append(list, r.view())
	}
	slices.SortStableFunc(list, func(a, b RequestView) int { return cmp.Compare(b.StartedAt.UnixNano(), a.StartedAt.UnixNano()) })
	return list, nil
}

// WaitInput is requests:wait.
type WaitInput struct {
	ID string `arg:"request"`
}

// Waited is what requests:wait waited for; its text is what the command itself printed.
type Waited struct {
	RequestView
	Output string `json:"output"`
	Errors string `json:"stderr"`
}

// Text implements output.
func (w Waited) Text(to io.Writer) error {
	_, err := io.WriteString(to, w.Output)
	return err
}

// ExitStatus is the command's own.
func (w Waited) ExitStatus() int { return *w.Exit }

func (t *Table) waitRequest(_ *platform.Platform, ctx context.Context, call platform.Call, in WaitInput) (Waited, error) {
	list := t.later.seenBy(call.Actor)
	i := slices.IndexFunc(list, func(r *errand) bool { return r.id == in.ID })
	if i < 0 {
		return Waited{}, platform.Errorf(platform.NotFound, "there is no request %q that was not waited for", in.ID).
			WithHint("see them: ssh paas requests")
	}
	r := list[i]
	select {
	case <-r.done:
	case <-ctx.Done():
		return Waited{}, ctx.Err()
	}
	r.mu.Lock()
	out := Waited{Output: r.output.String(), Errors: r.stderr.String()}
	r.mu.Unlock()
	out.RequestView = r.view()
	_, _ = io.WriteString(call.Err, out.Errors)
	return out, nil
}

// within bounds ctx by --timeout.
func (s switches) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.timeout)
}

// cut says of what only watches, and so ended well, that it ended because its time was up.
func (s switches) cut(ctx context.Context, v Verb, out exiting) error {
	if !v.Watch || out.ExitStatus() != status[platform.Interrupted] {
		return nil
	}
	return s.late(ctx, v, nil)
}

// late says of what failed because its time was up that it did.
func (s switches) late(ctx context.Context, v Verb, err error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || s.timeout == 0 {
		return err
	}
	e := platform.Errorf(platform.Timeout, "it took longer than %s and was called off", s.timeout).Because(err)
	if !v.waits() {
		return e.WithHint("give it more: ssh paas %s --timeout 10m", v.Name)
	}
	return e.WithHint("give it more with --timeout, or do not wait: ssh paas %s --no-wait", v.Name)
}
