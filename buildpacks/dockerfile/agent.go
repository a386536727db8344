package dockerfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"context"
)

// agents answer `--mount=type=ssh`: each id has an SSH agent (draft-ietf-sshm-ssh-agent) of its own, which
// signs with keys that no step ever sees. It implements BuildKit's session.Attachable.
type agents struct {
	rings map[string]agent.Agent
	bad   map[string]error
}

func newAgents(keys map[string][]byte) session.Attachable {
	a := &agents{rings: map[string]agent.Agent{}, bad: map[string]error{}}
	for id, text := range keys {
		key, err := ssh.ParseRawPrivateKey(text)
		if err != nil {
			a.bad[id] = fmt.Errorf("the SSH key %s cannot be read: %w", id, err)
			continue
		}
		ring := agent.NewKeyring()
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			a.bad[id] = err
			continue
		}
		a.rings[id] = readOnlyAgent{ring}
	}
	return a
}

// readOnlyAgent refuses to be given keys, or to lose them.
type readOnlyAgent struct{ agent.Agent }

var errReadOnly = errors.New("the agent's keys cannot be changed")

func (readOnlyAgent) Add(agent.AddedKey) error   { return errReadOnly }
func (readOnlyAgent) Remove(ssh.PublicKey) error { return errReadOnly }
func (readOnlyAgent) RemoveAll() error           { return errReadOnly }
func (readOnlyAgent) Lock([]byte) error          { return errReadOnly }
func (readOnlyAgent) Unlock([]byte) error        { return errReadOnly }

// Register implements session.Attachable.
func (a *agents) Register(s *grpc.Server) { sshforward.RegisterSSHServer(s, a) }

// CheckAgent implements BuildKit's SSHServer.
func (a *agents) CheckAgent(_ context.Context, req *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	_, err := a.ring(req.ID)
	return &sshforward.CheckAgentResponse{}, err
}

func (a *agents) ring(id string) (agent.Agent, error) {
	if id == "" {
		id = sshforward.DefaultID
	}
	if err := a.bad[id]; err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	ring, ok := a.rings[id]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "there is no SSH key %s", id)
	}
	return ring, nil
}

// ForwardAgent implements BuildKit's SSHServer: it is one connection to an agent.
func (a *agents) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	id := sshforward.DefaultID
	if md, ok := metadata.FromIncomingContext(stream.Context()); ok {
		if v := md[sshforward.KeySSHID]; len(v) > 0 && v[0] != "" {
			id = v[0]
		}
	}
	ring, err := a.ring(id)
	if err != nil {
		return err
	}
	ours, theirs := newDuplex()
	var g errgroup.Group
	g.Go(func() error {
		defer func() { _ = theirs.Close() }()
		return ignoreEOF(agent.ServeAgent(ring, theirs))
	})
	g.Go(func() error { return sshforward.Copy(stream.Context(), ours, stream, nil) })
	return g.Wait()
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// duplex is one end of a pair of pipes.
type duplex struct {
	io.Reader
	io.Writer
	close func()
}

// Close implements io.Closer.
func (d duplex) Close() error { d.close(); return nil }

func newDuplex() (a, b duplex) {
	ar, bw := io.Pipe()
	br, aw := io.Pipe()
	end := func() {
		_ = aw.Close()
		_ = bw.Close()
	}
	return duplex{ar, aw, end}, duplex{br, bw, end}
}
