package platform

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Alteration is one thing that a command changed. Secrets are masked.
type Alteration struct {
	App  AppName `json:"app,omitempty"` // whose it is, unless that is the event's
	What string  `json:"what"`
	Old  string  `json:"old"` // "" if it was not there
	New  string  `json:"new"` // "" if it is not there any more
}

// HiddenValue stands in an Alteration for a secret.
const HiddenValue = "********"

// mostAltered and mostText bound what one command leaves in the audit; the text in bytes.
const (
	mostAltered = 50
	mostText    = 400
)

// beyond is called what did not fit.
const beyond = "further changes"

// String is "web: 1 → 3".
func (c Alteration) String() string {
	none := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	text := fmt.Sprintf("%s: %s → %s", c.What, none(c.Old), none(c.New))
	if c.App != "" && !strings.HasSuffix(c.What, " on "+string(c.App)) { // a role's name has it
		text = string(c.App) + " " + text
	}
	return text
}

// Altered adds changes to those that a command did already. What was changed twice is one change, what is as it was
// before is none, and at most some dozens are named.
func Altered(list []Alteration, more ...Alteration) []Alteration {
	for _, c := range more {
		c = c.fit()
		i := slices.IndexFunc(list, func(was Alteration) bool { return was.App == c.App && was.What == c.What })
		switch {
		case i >= 0 && c.New == list[i].Old && c.New != HiddenValue:
			list = slices.Delete(list, i, i+1)
		case i >= 0:
			list[i].New = c.New
		case c.Old == c.New && c.New != HiddenValue:
		case len(list) <= mostAltered:
			list = append(list, c)
		}
		if n := len(list) - 1; n >= mostAltered { // one more is counted, not named
			count, _ := strconv.Atoi(list[n].New)
			list[n] = Alteration{What: beyond, New: strconv.Itoa(count + 1)}
		}
	}
	return list
}

// fit bounds and masks an alteration, which may be said of anything.
func (c Alteration) fit() Alteration {
	c.What = clip(c.What, mostText)
	for _, value := range []*string{&c.Old, &c.New} {
		if *value != "" && secretKey.MatchString(c.What) {
			*value = HiddenValue
		}
		*value = clip(MaskURLs(*value), mostText)
	}
	return c
}

var secretKey = regexp.MustCompile(`(?i)(pass(word)?|secret|token|credentials?|private[-_]key|api[-_]?key)$`)

var inWord = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'"]+`)

// MaskURLs hides users, passwords and queries of the URLs in a text.
func MaskURLs(text string) string {
	return inWord.ReplaceAllStringFunc(text, func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return "***"
		}
		if u.User != nil {
			u.User = url.User("xxx")
		}
		if u.RawQuery != "" {
			u.RawQuery = "xxx"
		}
		return u.String()
	})
}

// ReleaseAlterations are what makes one release of another, as the audit has it.
func ReleaseAlterations(before, after Release) (list []Alteration) {
	for _, c := range releaseChanges(before, after) {
		a := Alteration{after.App, strings.TrimSpace(c.What + " " + c.Name), c.Before, c.After}
		if c.What == "config" {
			a.Old, a.New = hidden(c.Before), hidden(c.After)
		}
		list = append(list, a)
	}
	return list
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return HiddenValue
}

type commandKey struct{}

// Within is ctx for what the entry's command does: what a Store writes with it is noted with the command, in the same
// transaction.
func (c *Entry) Within(ctx context.Context) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, commandKey{}, c.event.Request)
}

// CommandOf names the command that ctx belongs to, as its event's Request does; "" is none.
func CommandOf(ctx context.Context) string {
	name, _ := ctx.Value(commandKey{}).(string)
	return name
}
