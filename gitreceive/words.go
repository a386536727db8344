package gitreceive

import (
	"strings"

	"paas/platform"
)

// split takes a command line apart as a POSIX shell would, without expanding anything: words are separated
// by blanks, '…' keeps everything, "…" and a backslash keep what they do in sh(1), section "Quoting".
func split(line string) ([]string, error) {
	s := splitter{rest: line}
	for s.rest != "" {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	s.end()
	return s.words, nil
}

type splitter struct {
	rest  string
	words []string
	word  strings.Builder
	open  bool // a word has begun; it may be empty, as in ''
}

func (s *splitter) take() byte {
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

func (s *splitter) next() error {
	switch c := s.take(); c {
	case ' ', '\t', '\n', '\r':
		s.end()
		return nil
	case '\'':
		return s.single()
	case '"':
		return s.double()
	case '\\':
		return s.escaped()
	default:
		s.put(c)
		return nil
	}
}

func (s *splitter) put(c byte) {
	s.open = true
	s.word.WriteByte(c)
}

func (s *splitter) end() {
	if !s.open {
		return
	}
	s.words = append(s.words, s.word.String())
	s.word.Reset()
	s.open = false
}

func unfinished(what string) error {
	return platform.Errorf(platform.Usage, "the command line ends inside %s", what)
}

func (s *splitter) single() error {
	s.open = true
	text, rest, ok := strings.Cut(s.rest, "'")
	if !ok {
		return unfinished("a quotation")
	}
	s.word.WriteString(text)
	s.rest = rest
	return nil
}

func (s *splitter) double() error {
	s.open = true
	for s.rest != "" {
		c := s.take()
		if c == '"' {
			return nil
		}
		if c == '\\' && s.rest != "" && strings.IndexByte("\\\"$`\n", s.rest[0]) >= 0 {
			c = s.take()
			if c == '\n' {
				continue
			}
		}
		s.put(c)
	}
	return unfinished("a quotation")
}

func (s *splitter) escaped() error {
	if s.rest == "" {
		return unfinished("an escape")
	}
	if c := s.take(); c != '\n' { // an escaped line end joins lines
		s.put(c)
	}
	return nil
}

// appArgument is the app's name in what git sends for paas:hello, paas:/hello, paas:hello.git, paas:~/hello
// and ssh://paas/hello.
func appArgument(word string) string {
	word = strings.TrimPrefix(word, "~")
	word = strings.Trim(word, "/")
	return strings.TrimSuffix(word, ".git")
}
