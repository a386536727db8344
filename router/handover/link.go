// Package handover lets a daemon be replaced while clients are connected to it: the line between the two
// processes, and the routes of the one that only finishes what its clients have begun.
//
//	predecessor                                   successor
//	  decides, serves
//	  starts it with every listening socket  ──►  reads settings, binds what is new
//	                                         ◄──  Ready
//	  sessions end, no new ones; stops deciding,
//	  lets go of data directory and firewall
//	  Yours                                  ──►  takes the lock, opens everything, routes
//	                                         ◄──  Serving: takes connections from the same sockets
//	  takes no more connections, tells systemd
//	  Main                                   ──►  says READY to systemd
//	  finishes what is open                  ◄──  Swap, Remove: where requests go now
//	  Drained                                ──►  nothing of it is with those instances any more
//	  ends                                   ◄──  End: sooner, because the service ends
//
// What must hold:
//   - Exactly one process decides: the one that holds the lock of the data directory. Nothing is open in the other.
//   - The predecessor takes connections until Serving, so there is always one who does. Its routes stand still
//     from Yours on, and follow the successor's after that: an instance is stopped when both have let go of it.
//   - Until Serving the predecessor takes everything back when the successor ends or stays silent; it kills it
//     first, so that two never decide. From Serving on it never decides again.
//   - A successor whose predecessor ends before Main goes on alone, unless systemd, which only knows the
//     predecessor, starts another one anyway: then it ends.
package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Word is what a Message says; see the package's comment.
type Word string

// The words, in the order of a handover.
const (
	Ready   Word = "ready"
	Yours   Word = "yours"
	Serving Word = "serving"
	Main    Word = "main"
	Swap    Word = "swap"
	Remove  Word = "remove"
	Cut     Word = "cut" // what Seq still waits for shall be closed
	Drained Word = "drained"
	End     Word = "end"
)

// Message is one line between the two. Both may be of different versions: what one does not know it skips.
type Message struct {
	Say   Word             `json:"say"`
	Seq   int64            `json:"seq,omitempty"` // of Swap; Drained and Cut name it
	Route *platform.Route  `json:"route,omitempty"`
	App   platform.AppName `json:"app,omitempty"` // of Remove
}

// Link is one end of the line. Send is safe for concurrent use.
type Link struct {
	conn net.Conn
	in   *json.Decoder
	mu   sync.Mutex // of sending
}

// sendTime bounds how long the other end may leave a message unread.
const sendTime = 10 * time.Second

// FileName is what the other end's descriptor is called where descriptors have names.
const FileName = "handover"

// Pair makes a line: our end, and the other for a child to inherit, whose file the caller closes.
func Pair() (*Link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a line to a successor: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), FileName)
	ours, err := Open(os.NewFile(uintptr(fds[0]), FileName))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// Open makes a Link of an end. It takes the file.
func Open(f *os.File) (*Link, error) {
	conn, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("open the line of the handover: %w", err)
	}
	return &Link{conn: conn, in: json.NewDecoder(conn)}, nil
}

// Send says something. It blocks at most 10 s.
func (l *Link) Send(m Message) error {
	line, err := json.Marshal(m)
	if err != nil && m.Route != nil { // a rule that cannot be written: the way to the instances can
		m.Route = &platform.Route{App: m.Route.App, Hosts: m.Route.Hosts, Stopped: m.Route.Stopped, Backends: m.Route.Backends}
		line, err = json.Marshal(m)
	}
	if err != nil {
		return fmt.Errorf("say %s: %w", m.Say, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(sendTime)) // a closed one fails below
	if _, err := l.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("say %s: %w", m.Say, err)
	}
	return nil
}

// Receive blocks until the other end says something. It fails when that has ended.
func (l *Link) Receive() (m Message, err error) {
	err = l.in.Decode(&m)
	return m, err
}

// Await blocks until the other end says the word, and skips others; at most for patience.
func (l *Link) Await(word Word, patience time.Duration) error {
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	defer func() { _ = l.conn.SetReadDeadline(time.Time{}) }()
	for {
		m, err := l.Receive()
		if err != nil {
			return fmt.Errorf("wait for %q: %w", word, err)
		}
		if m.Say == word {
			return nil
		}
	}
}

// Close ends the line, and with it every Receive at both ends.
func (l *Link) Close() error { return l.conn.Close() }
