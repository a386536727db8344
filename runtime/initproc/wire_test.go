package initproc

import (
	"errors"
	"io"
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func sample() *Spec {
	return &Spec{
		Hostname: "web-1", Rootfs: 5, Mounts: []Mount{{6, "/cache", false}, {7, "/file", true}},
		Masked: []string{"/proc/kcore"}, ReadOnly: []string{},
		Process: Process{
			Argv: []string{"sh", "-c", "a\x00b"}, Env: []string{"A=1"}, Dir: "/app", UID: 1000, GID: 1001,
			Caps: 1<<31 | 1, Filter: []byte{1, 2, 3},
		},
		StopSignal: 15, Terminal: &Terminal{80, 24}, Stdin: None, Stdout: None, Stderr: None,
		Log: [2]int{8, 9}, LogLimit: 5 << 20, Status: 10, Exec: None, Tethered: true, ShowCgroup: true,
		OpenFiles: 65536, OOMScore: 300, SharedMemory: 64 << 20,
	}
}

func TestEverySpecFieldTravels(t *testing.T) {
	want := sample()
	v := reflect.ValueOf(*want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the sample lacks %s", v.Type().Field(i).Name)
		}
	}
	var got Spec
	if err := got.Decode(want.Encode()); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got %+v\nwant %+v", got, *want)
	}
}

func TestOtherMessagesTravel(t *testing.T) {
	g := Go{Env: []string{"PORT=1"}, Hosts: []byte("h"), Resolv: []byte("r"), Hostname: []byte("n")}
	q := Request{Argv: []string{"a"}, Env: []string{"b=c"}}
	r := Reply{Kind: ReplyFailed, Text: "no", Errno: 2, Made: []string{"/x"}, Code: 137, Signal: 9}
	var g2 Go
	var q2 Request
	var r2 Reply
	if err := errors.Join(g2.Decode(g.Encode()), q2.Decode(q.Encode()), r2.Decode(r.Encode())); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual([]any{g, q, r}, []any{g2, q2, r2}) {
		t.Errorf("got %+v %+v %+v", g2, q2, r2)
	}
}

// A message that was cut or has something behind it is refused, and nothing else happens.
func TestMalformedMessages(t *testing.T) {
	whole := sample().Encode()
	for n := range whole {
		if err := new(Spec).Decode(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken", n, len(whole))
		}
	}
	if err := new(Spec).Decode(append(whole, 0)); err == nil {
		t.Error("a byte too much was taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = new(Spec).Decode(b)
		_ = new(Reply).Decode(b)
	})
}

func TestMessagesWithFiles(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	defer func() { _ = b.Close() }()
	big := make([]byte, 1<<20) // more than a socket buffer holds
	go func() {
		_ = Send(a, []byte("first"))
		_ = Send(a, big, int(a.Fd()), 0)
		_ = a.Close()
	}()
	first, none, err := Receive(b)
	if err != nil || string(first) != "first" || len(none) != 0 {
		t.Fatalf("first: %q %v %v", first, none, err)
	}
	second, files, err := Receive(b)
	if err != nil || len(second) != len(big) || len(files) != 2 {
		t.Fatalf("second: %d bytes, files %v, %v", len(second), files, err)
	}
	for _, fd := range files {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("a received file survives exec: %v", err)
		}
	}
	closeAll(files)
	if _, _, err := Receive(b); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
