package main

import (
	"errors"
	"time"

	"paas/platform"
	"paas/router/http1"
)

// clientLimits are the [clients] of the configuration file: what one who asks over HTTP may do before any app is
// concerned. What is not there has the default of package http1; -1 is no limit.
type clientLimits struct {
	Head        int    `toml:"head"`           // bytes of a request's header
	Target      int    `toml:"target"`         // bytes of its address
	Fields      int    `toml:"fields"`         // of its header
	Header      string `toml:"header_timeout"` // to send it, like "10s"
	Idle        string `toml:"idle_timeout"`   // between two requests
	Rate        int64  `toml:"body_rate"`      // bytes a second that a body must move, either way
	Window      string `toml:"body_window"`    // on the average of this time
	Connections int    `toml:"connections"`    // from one IPv4 address or IPv6 /64 network
}

func (c clientLimits) limits() (http1.Limits, error) {
	l := http1.Limits{Head: c.Head, Target: c.Target, Fields: c.Fields, Rate: c.Rate, PerClient: c.Connections}
	for _, t := range []struct {
		key, text string
		to        *time.Duration
	}{
		{"header_timeout", c.Header, &l.Header}, {"idle_timeout", c.Idle, &l.Idle}, {"body_window", c.Window, &l.Window},
	} {
		var err error
		if *t.to, err = patience(t.text); err != nil {
			return l, platform.Errorf(platform.Usage, "%s = %q in [clients] is no time", t.key, t.text).WithHint("write it like 10s or 2m; -1 is no limit")
		}
	}
	return l, nil
}

// patience is 0 for no text, and negative for no limit.
func patience(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "-1":
		return -1, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("not a time")
	}
	return d, err
}
