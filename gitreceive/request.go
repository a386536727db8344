package gitreceive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"paas/gitreceive/pack"
)

// request is what a pusher asks for before it sends its pack (gitprotocol-pack(5), "Reference Update
// Request"):
//
//	*( "shallow" SP id )  1*( old SP new SP ref [ NUL capabilities ] )  flush
type request struct {
	commands []*packp.Command
	able     capabilities
	shallow  bool // the pusher's history is cut somewhere
	named    map[plumbing.ReferenceName]bool
}

// capabilities is what the client chose, with values if they have one.
type capabilities map[capability.Capability]string

func (c capabilities) has(name capability.Capability) bool {
	_, ok := c[name]
	return ok
}

func parseCapabilities(line string) capabilities {
	c := capabilities{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		c[capability.Capability(name)] = value
	}
	return c
}

const maxCommands = 10_000 // refs in one push

// readRequest reads up to the flush. A client that wants nothing gives an empty request; one that stops in
// the middle is an error, so that nothing half said is done.
func readRequest(in io.Reader) (*request, error) {
	req := &request{able: capabilities{}, named: map[plumbing.ReferenceName]bool{}}
	lines := pktline.NewScanner(in)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			return req, nil
		}
		if len(req.commands) == maxCommands {
			return nil, fmt.Errorf("more than %d refs in one push", maxCommands)
		}
		if err := req.add(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read push request: %w", err)
	}
	if len(req.commands) > 0 || req.shallow {
		return nil, fmt.Errorf("read push request: %w", io.ErrUnexpectedEOF)
	}
	return req, nil
}

func (req *request) add(line []byte) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		req.shallow = true
		return nil
	}
	line, able, first := bytes.Cut(line, []byte{0})
	if first && len(req.commands) == 0 {
		req.able = parseCapabilities(string(able))
	}
	c, err := parseCommand(string(line))
	if err != nil {
		return err
	}
	if req.named[c.Name] {
		return fmt.Errorf("%q is in the push twice", c.Name)
	}
	req.named[c.Name] = true
	req.commands = append(req.commands, c)
	return nil
}

func parseCommand(line string) (*packp.Command, error) {
	old, rest, ok := strings.Cut(line, " ")
	next, name, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || name == "" {
		return nil, fmt.Errorf("malformed command %q", line)
	}
	from, err := parseID(old)
	to, err2 := parseID(next)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	c := &packp.Command{Name: plumbing.ReferenceName(name), Old: from, New: to}
	if c.Action() == packp.Invalid {
		return nil, fmt.Errorf("malformed command %q", line)
	}
	return c, nil
}

func parseID(s string) (id pack.ID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("%q is not an object id", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("%q is not an object id", s)
	}
	return id, nil
}

// sendsPack: only what is not a deletion brings objects.
func (req *request) sendsPack() bool {
	for _, c := range req.commands {
		if c.Action() != packp.Delete {
			return true
		}
	}
	return false
}
