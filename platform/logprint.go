package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// logForm is how lines are shown.
type logForm struct {
	json bool
	full bool // the date, too
	time bool
	who  bool
	app  bool // for several apps together
}

// logForm is what the flags say, or the app's setting.
func (p *Platform) logForm(ctx context.Context, app AppName, in LogsInput) (logForm, error) {
	name := in.FormatAs
	if name == "" {
		rules, _, err := p.logRules(ctx, app)
		if err != nil {
			return logForm{}, err
		}
		name = rules.format
	}
	form, ok := logForms()[name]
	if !ok {
		return form, Errorf(Usage, "--format takes full, short or plain, not %q", name)
	}
	form.json = in.JSON
	form.time = form.time && !in.NoTime && !in.Quiet
	form.who = form.who && !in.Quiet
	return form, nil
}

func logForms() map[string]logForm {
	return map[string]logForm{
		"full":  {full: true, time: true, who: true},
		"short": {time: true, who: true},
		"plain": {},
	}
}

// What waits for more lines is written when it is so much, or that old.
const (
	printAhead = 16 << 10
	printDelay = 20 * time.Millisecond
)

// logPrinter writes lines, several at a time.
type logPrinter struct {
	to   io.Writer
	form logForm

	mu    sync.Mutex
	buf   bytes.Buffer
	timer *time.Timer // nil while nothing waits
	err   error       // of a write, for the next line's teller
}

func (o *logPrinter) print(e LogEntry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.form.json {
		to := json.NewEncoder(&o.buf)
		to.SetEscapeHTML(false) // arrows of builds shall be arrows
		o.err = errors.Join(o.err, to.Encode(ViewLog(e)))
	} else {
		if o.form.app {
			o.buf.WriteString(string(e.App) + " ")
		}
		o.form.line(&o.buf, e)
	}
	if o.buf.Len() >= printAhead {
		o.write()
	} else if o.timer == nil {
		o.timer = time.AfterFunc(printDelay, func() { _ = o.flush() })
	}
	return o.err
}

// flush writes what waits, and tells of errors that nobody was told of.
func (o *logPrinter) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write()
	return o.err
}

func (o *logPrinter) write() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if o.buf.Len() > 0 && o.err == nil {
		_, o.err = o.to.Write(o.buf.Bytes())
	}
	o.buf.Reset()
}

// line is Heroku's form: time, who[process], text.
func (f logForm) line(b *bytes.Buffer, e LogEntry) {
	if e.Gap > 0 {
		b.WriteString("— " + e.Text + " —\n")
		return
	}
	switch {
	case f.time && f.full:
		b.WriteString(e.At.UTC().Format("2006-01-02T15:04:05.000000Z "))
	case f.time:
		b.WriteString(e.At.UTC().Format("15:04:05 "))
	}
	switch {
	case f.who && f.full:
		b.WriteString(who(e) + ": ")
	case f.who:
		fmt.Fprintf(b, "%-10s ", e.Process)
	}
	showText(b, e.Text)
	b.WriteByte('\n')
}

// who wrote it, as Heroku spells it: app[web.1], paas[router], build[7].
func who(e LogEntry) string {
	switch e.Source {
	case LogApp:
		return "app[" + e.Process + "]"
	case LogRouter, LogPlatform:
		process := e.Process
		if process == "" {
			process = "app"
		}
		return "paas[" + process + "]"
	case LogRelease:
		return fmt.Sprintf("release[v%d]", e.Release)
	}
	return fmt.Sprintf("%s[%s]", e.Source, strings.TrimPrefix(e.Process, string(e.Source)+"."))
}

// showText makes any bytes printable: colours and tabs stay, what else would drive a terminal or is no text is written as
// \x1b.
func showText(b *bytes.Buffer, text string) {
	for len(text) > 0 {
		if n := colour(text); n > 0 {
			b.WriteString(text[:n])
			text = text[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == '\r' && n == len(text): // of a line that ended in \r\n
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\t', r == 0x7f:
			fmt.Fprintf(b, `\x%02x`, text[0])
		case 0x80 <= r && r < 0xa0: // ESC's and CSI's other spellings
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
}

// colour is the length of the sequence at the text's beginning that selects a colour or weight (ECMA-48, SGR), or 0.
func colour(text string) int {
	if !strings.HasPrefix(text, "\x1b[") {
		return 0
	}
	for i := 2; i < min(len(text), 32); i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && c != ':' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// LogView is a line as JSON.
type LogView struct {
	Number  uint64    `json:"number"`
	At      time.Time `json:"at"`
	Source  LogSource `json:"source"`
	Process string    `json:"process,omitempty"`
	Release int       `json:"release,omitempty"`
	Level   string    `json:"level"`
	Stream  string    `json:"stream,omitempty"`
	Gap     uint64    `json:"gap,omitempty"` // so many lines are missing
	Text    string    `json:"text"`
}

// ViewLog makes it one.
func ViewLog(e LogEntry) LogView {
	return LogView{e.Number, e.At.UTC(), e.Source, e.Process, e.Release, e.Level.String(), e.Stream, e.Gap, strings.ToValidUTF8(e.Text, "\uFFFD")}
}
