package platform

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RouterTopic is the topic of settings of requests.
const RouterTopic Topic = "router"

// edgeSettings are what router:set sets for an app, and for the whole host.
type edgeSettings struct {
	Traffic Traffic
	Edge    Edge
	Drain   time.Duration
	Intake  Intake
}

// usualEdge are the defaults; docs/router.md has the reasons.
func (p *Platform) usualEdge() edgeSettings {
	return edgeSettings{
		Traffic: Traffic{Queue: 100, WakeQueue: 1000, QueueWait: 30 * time.Second, SlowStart: 10 * time.Second, FirstByte: time.Minute, Idle: time.Hour},
		Drain:   p.Settings.Drain,
		Intake:  Intake{}.Defaults(),
	}
}

// edgeKnob is a key that router:set takes.
type edgeKnob struct {
	key    string
	global bool // it holds for the host, since it is asked for before an app is known
	help   string
	set    func(*edgeSettings, string) error
	show   func(edgeSettings) string
}

func edgeKnobs() []edgeKnob {
	return slices.Concat(trafficKnobs(), guardKnobs(), patienceKnobs(), intakeKnobs(), framingKnobs())
}

func trafficKnobs() []edgeKnob {
	return []edgeKnob{
		{"balance", false, "how an instance is chosen: least (busy), round-robin or sticky",
			func(s *edgeSettings, v string) error {
				return setWord((*string)(&s.Traffic.Balance), v, "least", "round-robin", "sticky")
			},
			func(s edgeSettings) string { return cmp.Or(string(s.Traffic.Balance), "least") }},
		{"concurrency", false, "requests that one instance gets at once; 0: any number",
			func(s *edgeSettings, v string) error { return setCount(&s.Traffic.Concurrency, v, 0, 1_000_000) },
			func(s edgeSettings) string { return strconv.Itoa(s.Traffic.Concurrency) }},
		{"queue", false, "requests that wait when all instances have so many; 0: none",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Traffic.Queue, v, 1_000_000) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Traffic.Queue, 0)) }},
		{"wake-queue", false, "requests that wait while the app wakes up; 0: none",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Traffic.WakeQueue, v, 1_000_000) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Traffic.WakeQueue, 0)) }},
		{"queue-timeout", false, "how long they wait, before they are answered with 503",
			func(s *edgeSettings, v string) error { return setDuration(&s.Traffic.QueueWait, v) },
			func(s edgeSettings) string { return spellDuration(s.Traffic.QueueWait) }},
		{"slow-start", false, "a new instance gets its full share after so long; 0: at once",
			func(s *edgeSettings, v string) error { return setDurationOrNone(&s.Traffic.SlowStart, v) },
			func(s edgeSettings) string { return spellDuration(max(s.Traffic.SlowStart, 0)) }},
		{"drain", false, "what is in flight on a replaced instance may take so long",
			func(s *edgeSettings, v string) error { return setDuration(&s.Drain, v) },
			func(s edgeSettings) string { return spellDuration(s.Drain) }},
		{"client-max-body-size", false, "bytes of a request's body; 0: any number",
			func(s *edgeSettings, v string) error { return setBytes(&s.Traffic.MaxBody, v, 0) },
			func(s edgeSettings) string { return writeBytes(s.Traffic.MaxBody) }},
		{"proxy-read-timeout", false, "until an instance begins to answer",
			func(s *edgeSettings, v string) error { return setDuration(&s.Traffic.FirstByte, v) },
			func(s edgeSettings) string { return spellDuration(s.Traffic.FirstByte) }},
		{"idle-timeout", false, "of an answer or WebSocket on which nothing moves",
			func(s *edgeSettings, v string) error { return setDuration(&s.Traffic.Idle, v) },
			func(s edgeSettings) string { return spellDuration(s.Traffic.Idle) }},
		{"backend-protocol", false, "what instances speak: http1, or h2c (HTTP/2, as gRPC servers)",
			func(s *edgeSettings, v string) error {
				s.Traffic.H2C = v == "h2c"
				return setWord(new(string), v, "http1", "h2c")
			},
			func(s edgeSettings) string { return map[bool]string{true: "h2c", false: "http1"}[s.Traffic.H2C] }},
		{"access-log-format", false, "of the lines about requests: heroku, json or off",
			func(s *edgeSettings, v string) error {
				return setWord((*string)(&s.Traffic.Access), v, "heroku", "json", "off")
			},
			func(s edgeSettings) string { return cmp.Or(string(s.Traffic.Access), "heroku") }},
	}
}

func guardKnobs() []edgeKnob {
	return []edgeKnob{
		{"allow", false, "the only addresses that may ask, like 10.0.0.0/8,2001:db8::/32",
			func(s *edgeSettings, v string) error { return setPrefixes(&s.Edge.Allow, v) },
			func(s edgeSettings) string { return showPrefixes(s.Edge.Allow) }},
		{"deny", false, "addresses that may not ask",
			func(s *edgeSettings, v string) error { return setPrefixes(&s.Edge.Deny, v) },
			func(s edgeSettings) string { return showPrefixes(s.Edge.Deny) }},
		{"rate-limit", false, "requests of one client, like 10/s or 300/m",
			func(s *edgeSettings, v string) error { return setRate(&s.Edge.Rate, v) },
			func(s edgeSettings) string { return s.Edge.Rate.String() }},
		{"rate-burst", false, "how many of them may come at once",
			func(s *edgeSettings, v string) error { return setCount(&s.Edge.Rate.Burst, v, 1, 1_000_000) },
			func(s edgeSettings) string { return unlessZero(s.Edge.Rate.Burst) }},
		{"compression", false, "of answers: off, on (zstd or gzip), gzip or zstd",
			func(s *edgeSettings, v string) error {
				return setWord((*string)(&s.Edge.Compress), v, "off", "on", "gzip", "zstd")
			},
			func(s edgeSettings) string { return cmp.Or(string(s.Edge.Compress), "off") }},
		{"mirror", false, "an app that gets copies of requests; nobody sees its answers",
			func(s *edgeSettings, v string) (err error) { s.Edge.Mirror.App, err = ParseAppName(v); return err },
			func(s edgeSettings) string { return string(s.Edge.Mirror.App) }},
		{"mirror-percent", false, "of the requests, to copy",
			func(s *edgeSettings, v string) error { return setPercent(&s.Edge.Mirror.Percent, v) },
			func(s edgeSettings) string { return showPercent(s.Edge.Mirror.Percent) }},
		{"maintenance", false, "answer every request with 503 and a page: on or off",
			func(s *edgeSettings, v string) error {
				s.Edge.Maintenance = v == "on"
				return setWord(new(string), v, "on", "off")
			},
			func(s edgeSettings) string { return map[bool]string{true: "on", false: "off"}[s.Edge.Maintenance] }},
	}
}

// hostCount is a number that holds for the host.
func hostCount(key, help string, field func(*edgeSettings) *int, least, most int) edgeKnob {
	return edgeKnob{key, true, help,
		func(s *edgeSettings, v string) error { return setCount(field(s), v, least, most) },
		func(s edgeSettings) string { return strconv.Itoa(*field(&s)) }}
}

func intakeKnobs() []edgeKnob {
	count := hostCount
	return []edgeKnob{
		{"trusted-proxies", true, "addresses of proxies whose X-Forwarded-… are believed",
			func(s *edgeSettings, v string) error { return setPrefixes(&s.Intake.TrustedProxies, v) },
			func(s edgeSettings) string { return showPrefixes(s.Intake.TrustedProxies) }},
		count("max-head", "bytes of the head of a request", func(s *edgeSettings) *int { return &s.Intake.MaxHead }, 1<<10, 1<<20),
		count("max-fields", "header fields of a request", func(s *edgeSettings) *int { return &s.Intake.MaxFields }, 10, 10_000),
		count("max-target", "bytes of the path and query of a request", func(s *edgeSettings) *int { return &s.Intake.MaxTarget }, 256, 1<<20),
		count("max-streams", "requests at once on an HTTP/2 or HTTP/3 connection", func(s *edgeSettings) *int { return &s.Intake.MaxStreams }, 1, 10_000),
		{"http3-handshakes", true, "new HTTP/3 connections a second, before clients must show their address",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Intake.Handshakes, v, 1_000_000) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Intake.Handshakes, 0)) }},
		count("max-noise", "HTTP/2 frames at once that make work and want no answer", func(s *edgeSettings) *int { return &s.Intake.MaxNoise }, 100, 1_000_000),
		{"stall-timeout", true, "for 4 KiB of a body over HTTP/2 or HTTP/3",
			func(s *edgeSettings, v string) error { return setDuration(&s.Intake.Stall, v) },
			func(s edgeSettings) string { return spellDuration(s.Intake.Stall) }},
		{"max-unread", true, "bytes of a body the app did not read, to keep a connection; 0: none",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Intake.MaxUnread, v, 1<<30) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Intake.MaxUnread, 0)) }},
		{"max-connections", true, "of one client address; 0: any number",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Intake.MaxConnections, v, 1_000_000) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Intake.MaxConnections, 0)) }},
		{"min-rate", true, "bytes a second that a client must send or take; 0: any",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Intake.MinRate, v, 1<<30) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Intake.MinRate, 0)) }},
	}
}

// setWord takes one of the words; the first is the default and stored as nothing.
func setWord(to *string, value string, words ...string) error {
	if !slices.Contains(words, value) {
		return Errorf(Usage, "%q is not one of %s", value, strings.Join(words, ", "))
	}
	if *to = value; value == words[0] {
		*to = ""
	}
	return nil
}

// setOrNone takes a number; 0 is stored as -1, since 0 in what the router gets means the default.
func setOrNone(to *int, value string, most int) error {
	err := setCount(to, value, 0, most)
	if *to == 0 {
		*to = -1
	}
	return err
}

func setDurationOrNone(to *time.Duration, value string) error {
	if value == "0" || value == "0s" || value == "off" {
		*to = -1
		return nil
	}
	return setDuration(to, value)
}

// setPrefixes reads addresses and networks with commas between them.
func setPrefixes(to *[]netip.Prefix, value string) error {
	var list []netip.Prefix
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		p, err := netip.ParsePrefix(word)
		if a, addrErr := netip.ParseAddr(word); err != nil && addrErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return Errorf(Usage, "%q is neither an address nor a network: write it like 203.0.113.7 or 10.0.0.0/8", word)
		}
		list = append(list, p.Masked())
	}
	if len(list) > mostPrefixes {
		return Errorf(Usage, "these are %d networks: at most %d are looked at for every request", len(list), mostPrefixes)
	}
	*to = list
	return nil
}

func showPrefixes(list []netip.Prefix) string {
	var words []string
	for _, p := range list {
		if p.IsSingleIP() {
			words = append(words, p.Addr().String())
			continue
		}
		words = append(words, p.String())
	}
	return strings.Join(words, ",")
}

// rateUnits are how long the n of n/s, n/m and n/h may take.
func rateUnits() map[string]time.Duration {
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
}

// setRate reads "10/s".
func setRate(to *Allowance, value string) error {
	number, unit, _ := strings.Cut(value, "/")
	n, err := strconv.Atoi(number)
	per, known := rateUnits()[unit]
	if err != nil || !known || n < 1 || n > 1_000_000 {
		return Errorf(Usage, "%q is no rate: write it like 10/s, 300/m or 1000/h", value)
	}
	to.Every = per / time.Duration(n)
	return nil
}

// leastBurst is a burst that nobody has set: it lets a page's own files come at once.
const leastBurst = 10

// String spells a rate as setRate reads it.
func (a Allowance) String() string {
	for _, unit := range []string{"s", "m", "h"} {
		per := rateUnits()[unit]
		if n := (per + a.Every/2) / max(a.Every, 1); a.Every > 0 && n >= 1 && per/n == a.Every {
			return fmt.Sprintf("%d/%s", n, unit)
		}
	}
	return ""
}

func setPercent(to *float64, value string) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	if err != nil || !(f > 0 && f <= 100) {
		return Errorf(Usage, "%q is no share: write it like 10%%, above 0 and up to 100", value)
	}
	*to = f
	return nil
}

// unlessZero shows nothing where there is nothing.
func unlessZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func showPercent(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'g', -1, 64) + "%"
}

// edgeSettings are what holds for an app, or for all with "", and for each key where that comes from if it is
// not the default.
func (p *Platform) edgeSettings(ctx context.Context, app AppName) (s edgeSettings, sources map[string]string, err error) {
	s, sources = p.usualEdge(), map[string]string{}
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return s, nil, fmt.Errorf("read settings of the router: %w", err)
	}
	if err := s.take(list, "global", sources); err != nil {
		return s, nil, err
	}
	if app != "" {
		if list, err = p.Store.Settings(ctx, app); err != nil {
			return s, nil, fmt.Errorf("read settings of requests of %s: %w", app, err)
		}
		err = s.take(list, "app", sources)
	}
	return s.complete(), sources, err
}

func (s *edgeSettings) take(list []Setting, source string, sources map[string]string) error {
	for _, n := range list {
		i := slices.IndexFunc(edgeKnobs(), func(k edgeKnob) bool { return k.key == n.Key })
		if n.Topic != RouterTopic || i < 0 {
			continue
		}
		if err := edgeKnobs()[i].set(s, n.Value); err != nil {
			return fmt.Errorf("read setting %s of requests: %w", n.Key, err)
		}
		sources[n.Key] = source
	}
	return nil
}

// complete fills what depends on something else.
func (s edgeSettings) complete() edgeSettings {
	if s.Edge.Mirror.App != "" && s.Edge.Mirror.Percent == 0 {
		s.Edge.Mirror.Percent = 100
	}
	if rate := &s.Edge.Rate; rate.Every > 0 && rate.Burst == 0 {
		rate.Burst = max(int(time.Second/rate.Every), leastBurst)
	}
	return s
}
