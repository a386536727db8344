package gitreceive

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
	"paas/verbs"
)

// client is one session's caller and streams.
type client struct {
	ctx    context.Context // ends when the channel is closed, or a signal came
	cancel context.CancelFunc
	actor  platform.Actor
	in     io.Reader
	out    io.Writer
	stderr io.Writer
	local  bool
	env    map[string]string // of those variables that say how output shall look
}

// handle serves one session: an exec request, or a shell request, whose command is empty.
func (d *Server) handle(s ssh.Session) {
	if !d.begin() {
		_ = s.Exit(1)
		return
	}
	defer d.sessions.Done()
	code := d.serve(s)
	if d.ctx.Err() != nil && code != 0 {
		_, _ = io.WriteString(s.Stderr(), " !     The server ends or is replaced: say it again in a moment.\r\n")
	}
	_ = s.Exit(code) // fails when the client is gone
}

// begin counts a session that Shutdown waits for.
func (d *Server) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.sessions.Add(1)
	return true
}

func (d *Server) serve(s ssh.Session) int {
	ctx := s.Context()
	channel := ctx.Value(channelKey{}).(*channel)
	conn := ctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
	c := &client{
		ctx: ctx, cancel: channel.cancel, in: channel.raw, out: channel.raw, stderr: channel.raw.Stderr(),
		local: ctx.Value(ssh.ContextKeyServer) == d.local,
	}
	var err error
	if c.actor, err = d.actor(ctx, conn, c.local); err != nil {
		return d.complain(c, platform.Errorf(platform.Denied, "this key may not come in any more").Because(err))
	}
	c.actor.Request = platform.NewRequest()
	words, err := verbs.Split(s.RawCommand())
	if err != nil {
		return d.complain(c, err)
	}
	service, arguments := gitService(words)
	if service != "" || !d.options.Commands.Watches(s.RawCommand()) {
		defer d.work()()
	}
	connectionOf(ctx).settle()
	if service != "" {
		return d.git(c, service, arguments)
	}
	c.env = channel.environ()
	return d.verb(c, s.RawCommand(), terminal(s, channel))
}

// gitService finds which of git's services a command line asks for, in both of its spellings, and what is
// left of the line.
func gitService(line []verbs.Word) (string, []string) {
	words := make([]string, len(line))
	for i, w := range line {
		words[i] = w.Text
	}
	if len(words) > 1 && words[0] == "git" {
		words = append([]string{"git-" + words[1]}, words[2:]...)
	}
	if len(words) == 0 {
		return "", nil
	}
	switch words[0] {
	case "git-receive-pack", "git-upload-pack", "git-upload-archive":
		return words[0], words[1:]
	}
	return "", nil
}

func (d *Server) git(c *client, service string, words []string) int {
	if len(words) != 1 {
		return d.complain(c, platform.Errorf(platform.Usage, "%s takes the name of one app", service))
	}
	app := appArgument(words[0])
	idle := newIdle(c, d.options.Idle)
	defer idle.stop()
	c.in = idle
	switch service {
	case "git-receive-pack":
		return d.receivePack(c, app)
	case "git-upload-pack":
		return d.uploadPack(c, app)
	default:
		return d.turnAway(c, app, platform.Errorf(platform.Usage, "git archive is not served here").
			WithHint("clone it instead: git clone --depth 1"))
	}
}

// idle ends the session of a git client that was asked for something and stays silent.
type idle struct {
	in    io.Reader
	limit time.Duration
	timer *time.Timer
}

func newIdle(c *client, limit time.Duration) *idle {
	timer := time.AfterFunc(limit, func() {
		c.cancel()
		if ch, ok := c.out.(gossh.Channel); ok {
			_ = ch.Close()
		}
	})
	timer.Stop()
	return &idle{in: c.in, limit: limit, timer: timer}
}

func (i *idle) Read(p []byte) (int, error) {
	i.timer.Reset(i.limit)
	defer i.timer.Stop()
	return i.in.Read(p)
}

func (i *idle) stop() { i.timer.Stop() }

// appArgument finds the app in what git sends for paas:blog, ssh://paas/blog and paas:blog.git.
func appArgument(word string) string {
	word = strings.Trim(strings.TrimPrefix(word, "~"), "/")
	return strings.TrimSuffix(word, ".git")
}
