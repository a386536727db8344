package drain

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Ports of syslog over TLS (RFC 5425) and TCP (RFC 6587 names none; 514 is what servers take).
const (
	tlsPort = "6514"
	tcpPort = "514"
)

const (
	facility    = 16 // local0 (RFC 5424, 6.2.1)
	ackPause    = 5 * time.Millisecond
	mostHost    = 255 // bytes (RFC 5424, 6)
	mostAppName = 48
	mostProcess = 128
)

// syslog sends lines in the form of RFC 5424, framed by octet counting (RFC 6587, 3.4.1):
//
//	LENGTH <PRI>1 TIME HOST APP PROCESS SOURCE [paas@32473 …] TEXT
type syslog struct {
	address string
	dialer  *net.Dialer
	secure  *tls.Config // nil: plain TCP
	host    string
	conn    net.Conn // nil: it is to be made
	plain   syscall.RawConn
	ended   chan struct{} // closed when the receiver has closed it
}

func newSyslog(spec platform.LogDrain, u *url.URL, secure *tls.Config) *syslog {
	s := &syslog{dialer: newDialer(spec), secure: secure}
	port := tlsPort
	if u.Scheme == "syslog" || u.Scheme == "syslog+tcp" {
		s.secure, port = nil, tcpPort
	}
	if p := u.Port(); p != "" {
		port = p
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	s.host, _ = os.Hostname() // without a name it is "-"
	s.host = field(s.host, mostHost)
	return s
}

func (s *syslog) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// send returns when the receiver's system has acknowledged all of it: syslog has no answers, and what lies in a buffer of
// ours is lost when the connection breaks.
func (s *syslog) send(ctx context.Context, app platform.AppName, list []platform.LogEntry) error {
	var out []byte
	for _, e := range list {
		out = s.append(out, app, e)
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = s.conn.SetWriteDeadline(deadline)
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	defer stop()
	_, err := s.conn.Write(out)
	if err == nil {
		err = s.acknowledged(ctx)
	}
	if err != nil {
		s.close()
	}
	return err
}

// connect makes a connection unless there is one that the receiver has not closed.
func (s *syslog) connect(ctx context.Context) error {
	if s.conn != nil {
		select {
		case <-s.ended:
			s.close()
		default:
			return nil
		}
	}
	conn, err := s.dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	tcp := conn.(*net.TCPConn)
	s.plain, err = tcp.SyscallConn()
	if err == nil && s.secure != nil {
		secured := tls.Client(conn, s.secure)
		err = secured.HandshakeContext(ctx)
		conn = secured
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.conn, s.ended = conn, make(chan struct{})
	go func(conn net.Conn, ended chan struct{}) { // ends with the connection
		var b [512]byte
		for {
			if _, err := conn.Read(b[:]); err != nil {
				close(ended)
				return
			}
		}
	}(conn, s.ended)
	return nil
}

// acknowledged waits until nothing that was written waits in the kernel (SIOCOUTQ, tcp(7)).
func (s *syslog) acknowledged(ctx context.Context) error {
	for {
		left := 0
		var failed error
		err := s.plain.Control(func(fd uintptr) { left, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err = errors.Join(err, failed); err != nil || left == 0 {
			return err
		}
		select {
		case <-time.After(ackPause):
		case <-s.ended:
			return errors.New("it closed the connection")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *syslog) append(out []byte, app platform.AppName, e platform.LogEntry) []byte {
	var b bytes.Buffer
	process := e.Process
	if process == "" {
		process = string(e.Source)
	}
	fmt.Fprintf(&b, "<%d>1 %s %s %s %s %s ", facility*8+severity(e.Level), e.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		s.host, field(string(app), mostAppName), field(process, mostProcess), e.Source)
	b.WriteString("[paas@32473") // the number that RFC 5612 sets aside: there is none of our own
	if e.Release > 0 {
		fmt.Fprintf(&b, ` release="v%d"`, e.Release)
	}
	if e.Stream != "" {
		fmt.Fprintf(&b, ` stream="%s"`, e.Stream)
	}
	fmt.Fprintf(&b, ` level="%s"] `, e.Level)
	b.WriteString(strings.Map(flat, e.Text))
	out = strconv.AppendInt(out, int64(b.Len()), 10)
	out = append(out, ' ')
	return append(out, b.Bytes()...)
}

// severity is a level's number in RFC 5424, 6.2.1.
func severity(l platform.LogLevel) int {
	return [...]int{7, 6, 4, 3, 2}[min(max(l, 0), platform.LogFatal)]
}

// field is a header field: printable ASCII without spaces.
func field(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}

// flat: receivers that do not count octets take a line's end, or a zero, for the message's.
func flat(r rune) rune {
	if r == '\n' || r == '\r' || r == 0 {
		return ' '
	}
	return r
}
