package platform

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
)

// mask replaces secrets in a stream, also where they are cut between two writes. What might be the
// beginning of one is kept back until more comes.
type mask struct {
	secrets []maskedSecret // the longest first
	held    []byte
}

type maskedSecret struct{ value, instead []byte }

const (
	leastSecret     = 8  // bytes; what is shorter is in every output by chance
	leastSecretLine = 16 // bytes of a line of a longer secret, such as a key's
)

// commonValues are no secrets, and hiding them would make outputs hard to read.
func commonValues() []string {
	return []string{"production", "development", "localhost", "127.0.0.1"}
}

func newMask(config Config) mask {
	var m mask
	for name, value := range config {
		m.add(name, value, leastSecret)
		if strings.Contains(value, "\n") {
			for line := range strings.Lines(value) {
				m.add(name, strings.TrimRight(line, "\r\n"), leastSecretLine)
			}
		}
	}
	slices.SortFunc(m.secrets, func(a, b maskedSecret) int {
		return cmp.Or(cmp.Compare(len(b.value), len(a.value)), bytes.Compare(a.instead, b.instead))
	})
	return m
}

func (m *mask) add(name, value string, least int) {
	if len(value) >= least && !slices.Contains(commonValues(), value) {
		m.secrets = append(m.secrets, maskedSecret{[]byte(value), []byte("[" + name + "]")})
	}
}

// hide replaces the secrets in a whole text.
func (m mask) hide(text string) string {
	if len(m.secrets) == 0 {
		return text
	}
	m.held = nil
	out := m.take([]byte(text))
	return string(append(out, m.flush()...))
}

// take takes the next part of the stream and returns what of it can be shown.
func (m *mask) take(p []byte) []byte {
	if len(m.secrets) == 0 {
		return p
	}
	return m.show(append(m.held, p...), true)
}

// flush returns what was kept back.
func (m *mask) flush() []byte {
	held := m.held
	m.held = nil
	return m.show(held, false)
}

// show goes from one secret to the next. What begins earlier goes first, then the longer one.
func (m *mask) show(p []byte, more bool) (out []byte) {
	for {
		hold := len(p)
		if more {
			hold = m.beginning(p)
		}
		at, s := m.find(p)
		if at < 0 || hold <= at {
			m.held = bytes.Clone(p[hold:])
			return append(out, p[:hold]...)
		}
		out = append(append(out, p[:at]...), s.instead...)
		p = p[at+len(s.value):]
	}
}

func (m *mask) find(p []byte) (at int, found maskedSecret) {
	at = -1
	for _, s := range m.secrets {
		end := len(p)
		if at >= 0 {
			end = min(end, at+len(s.value)-1) // only what begins before
		}
		if i := bytes.Index(p[:end], s.value); i >= 0 {
			at, found = i, s
		}
	}
	return at, found
}

// beginning is where the longest end of p begins that a secret could go on from; len(p) if there is none.
func (m *mask) beginning(p []byte) int {
	for i := max(0, len(p)-len(m.secrets[0].value)+1); i < len(p); i++ {
		for _, s := range m.secrets {
			if len(s.value) > len(p)-i && bytes.HasPrefix(s.value, p[i:]) {
				return i
			}
		}
	}
	return len(p)
}

// clean is an error without the secrets in it: a builder quotes the line that it failed at.
func (s *Story) clean(err error) error {
	if text := err.Error(); s.hidden(text) == text {
		return err
	}
	var human *Error
	if !errors.As(err, &human) {
		return errors.New(s.hidden(err.Error()))
	}
	e := Error{Kind: human.Kind, Message: s.hidden(human.Message), Hint: s.hidden(human.Hint), Table: human.Table}
	for _, line := range human.Output {
		e.Output = append(e.Output, s.hidden(line))
	}
	return &e
}
