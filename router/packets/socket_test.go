package packets

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// Of two that share a socket the one that reads passes on what is for the other, with who sent it, and nothing else.
func TestSocketPassesOn(t *testing.T) {
	dir := t.TempDir()
	shared, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := shared.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	old := opened(t, shared, dir)
	again, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	heir := opened(t, again.(*net.UDPConn), dir)
	old.Leave()
	client, err := net.DialUDP("udp", nil, shared.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	id, _ := old.GenerateConnectionID()
	long := append([]byte{0xc3, 0, 0, 0, 1, idLen}, append(id.Bytes(), "long"...)...)
	short := append(append([]byte{0x40}, id.Bytes()...), "short"...)
	for _, p := range [][]byte{long, short, {0x40}, {0xc0, 1, 2, 3, 4, 255}, bytes.Repeat([]byte{0x40}, 40)} {
		if _, err := client.Write(p); err != nil {
			t.Fatal(err)
		}
		if n := next(t, heir); (n == 0) != bytes.Contains(p, id.Bytes()) {
			t.Errorf("%x: the reader has %d bytes of it", p, n)
		}
	}
	for _, want := range [][]byte{long, short} {
		ms := room()
		n, err := old.ReadBatch(ms, 0)
		if err != nil || n != 1 || !bytes.Equal(ms[0].Buffers[0][:ms[0].N], want) || ms[0].Addr.String() != client.LocalAddr().String() {
			t.Errorf("%d packets, %v: %x from %v", n, err, ms[0].Buffers[0][:ms[0].N], ms[0].Addr)
		}
	}
	_ = old.SetReadDeadline(time.Now())
	if _, err := old.ReadBatch(room(), 0); err == nil {
		t.Error("it reads on after its end")
	}
}

func opened(t *testing.T, c *net.UDPConn, dir string) *Socket {
	t.Helper()
	s, err := Open(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func room() []ipv4.Message { return []ipv4.Message{{Buffers: [][]byte{make([]byte, 1500)}}} }

func next(t *testing.T, s *Socket) int {
	t.Helper()
	ms := room()
	if _, err := s.ReadBatch(ms, 0); err != nil {
		t.Fatal(err)
	}
	return ms[0].N
}
