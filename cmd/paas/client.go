package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

const socketName = "paas.sock"

// callDaemon sends a verb to the daemon on this host: the same SSH server, over a unix socket that
// tells it who calls.
func callDaemon(ctx context.Context, socket string, args []string, env environ) int {
	code, err := overSocket(ctx, socket, args, env)
	if err != nil && len(args) > 0 && args[0] == "version" { // of the program; the daemon's may be another
		_, _ = fmt.Fprintf(env.stdout, "paas %s\n", version)
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintf(env.stderr, " !     %v\n", err)
		return 1
	}
	return code
}

func overSocket(ctx context.Context, socket string, args []string, env environ) (int, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0, fmt.Errorf("no paas serves at %s; start it with `paas serve`, or name its --data DIR", socket)
	}
	config := &ssh.ClientConfig{
		User:            "root",
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // a path that only root can make is the identity
	}
	c, channels, requests, err := ssh.NewClientConn(conn, socket, config)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("call the daemon: %w (only root may use the socket)", err), conn.Close())
	}
	client := ssh.NewClient(c, channels, requests)
	defer func() { _ = client.Close() }()
	session, err := client.NewSession()
	if err != nil {
		return 0, fmt.Errorf("call the daemon: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	return runSession(session, args, env)
}

func runSession(session *ssh.Session, args []string, env environ) (int, error) {
	session.Stdout, session.Stderr = env.stdout, env.stderr
	restore, err := attachTerminal(session, env)
	if err != nil {
		return 0, err
	}
	defer restore()
	for _, name := range []string{"NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE"} {
		if value := env.get(name); value != "" {
			_ = session.Setenv(name, value) // how output looks only
		}
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := session.Start(quoteAll(args)); err != nil {
		return 0, fmt.Errorf("call the daemon: %w", err)
	}
	go func() { // ends with the process at the latest: a read from a terminal cannot be called off
		_, _ = io.Copy(stdin, env.stdin)
		_ = stdin.Close()
	}()
	return exitStatus(session.Wait())
}

func exitStatus(err error) (int, error) {
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return exit.ExitStatus(), nil
	}
	var missing *ssh.ExitMissingError
	if errors.As(err, &missing) {
		return 130, nil
	}
	return 0, err
}

// attachTerminal asks for a PTY when both ends of this process are one.
func attachTerminal(session *ssh.Session, env environ) (restore func(), err error) {
	in, out := int(env.stdin.Fd()), int(env.stdout.Fd())
	if !term.IsTerminal(in) || !term.IsTerminal(out) {
		return func() {}, nil
	}
	cols, rows, err := term.GetSize(out)
	if err != nil {
		return nil, err
	}
	if err := session.RequestPty(env.get("TERM"), rows, cols, ssh.TerminalModes{}); err != nil {
		return nil, fmt.Errorf("ask for a terminal: %w", err)
	}
	state, err := term.MakeRaw(in)
	if err != nil {
		return nil, err
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	go func() {
		for range resized {
			if cols, rows, err := term.GetSize(out); err == nil {
				_ = session.WindowChange(rows, cols)
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		close(resized)
		_ = term.Restore(in, state)
	}, nil
}

// quoteAll makes one command line that the server splits into the same words.
func quoteAll(args []string) string {
	var words []string
	for _, a := range args {
		words = append(words, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}
