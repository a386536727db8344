package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// port NETWORK NAME: sets a variable to a port that is free.
func cmdPort(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(args[1], fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port))
		ts.Check(c.Close())
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[1], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	ts.Check(l.Close())
}

const wireTime = 10 * time.Second

// wire tcp|udp PORT: says hello to an echo on loopback and puts what it answers in stdout.
// wire hold PORT, wire still, wire drop: opens a connection, uses it again, closes it.
func cmdWire(ts *testscript.TestScript, neg bool, args []string) {
	p := under(ts)
	var err error
	var answer string
	switch args[0] {
	case "hold":
		if p.held, err = net.Dial("tcp", "127.0.0.1:"+args[1]); err == nil {
			answer, err = hello(p.held, true)
		}
	case "still":
		answer, err = hello(p.held, false)
	case "drop":
		err = p.held.Close()
	default:
		var c net.Conn
		if c, err = net.Dial(args[0], "127.0.0.1:"+args[1]); err == nil {
			defer func() { _ = c.Close() }()
			answer, err = hello(c, args[0] == "tcp")
		}
	}
	_, _ = io.WriteString(ts.Stdout(), answer)
	if (err != nil) != neg {
		ts.Fatalf("wire %s: %v, answer %q", strings.Join(args, " "), err, answer)
	}
}

// hello waits for the greeting of a TCP echo, if one is due, and then for its own words.
func hello(c net.Conn, greeted bool) (answer string, err error) {
	_ = c.SetDeadline(time.Now().Add(wireTime))
	buffer := make([]byte, 4096)
	for deadline := time.Now().Add(wireTime); time.Now().Before(deadline); {
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			return answer, err
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // a datagram may be lost
		for {
			n, err := c.Read(buffer)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				break
			}
			if err != nil {
				return answer, err
			}
			answer += string(buffer[:n])
			if strings.HasSuffix(answer, "hello\n") && (!greeted || strings.Count(answer, "\n") > 1) {
				return answer, nil
			}
		}
	}
	return answer, errors.New("no answer")
}
