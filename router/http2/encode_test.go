package http2

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"paas/router/wire"
)

// TestEncoder writes heads that fill, overflow and resize the table, and reads them with x/net's decoder.
func TestEncoder(t *testing.T) {
	r := rand.New(rand.NewPCG(7541, 1))
	e := newEncoder()
	dec := hpack.NewDecoder(tableSize, nil)
	all := []string{"Content-Type", "Server", "X-A", "X-B", "Set-Cookie", "ETag", "Date", "Vary", "X-" + strings.Repeat("n", 200)}
	for i := range 3000 {
		if i > 1500 && r.IntN(50) == 0 {
			e.resize(uint32(tableSize - r.IntN(i)))
			e.resize(uint32(tableSize - r.IntN(i)))
		}
		status := []int{200, 204, 304, 404, 418, 503}[r.IntN(6)]
		want := []string{fmt.Sprintf(":status=%d", status), fmt.Sprintf("content-length=%d", i)}
		block := e.length(e.status(e.begin(nil), status), int64(i))
		for range r.IntN(10) {
			name, value := all[r.IntN(len(all))], strings.Repeat("v", r.IntN(5))+fmt.Sprint(r.IntN(30))
			if r.IntN(20) == 0 {
				value = strings.Repeat("long", r.IntN(1000))
			}
			block = e.field(block, wire.Field{Name: []byte(name), Value: []byte(value)})
			want = append(want, strings.ToLower(name)+"="+value)
		}
		fields, err := dec.DecodeFull(block)
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		for j, f := range fields {
			if got := f.Name + "=" + f.Value; j >= len(want) || got != want[j] || f.Name == "set-cookie" && !f.Sensitive {
				t.Fatalf("block %d: field %d is %.99q", i, j, got)
			}
		}
		if e.size > e.max || len(fields) != len(want) {
			t.Fatalf("block %d: %d fields of %d, table %d of %d", i, len(fields), len(want), e.size, e.max)
		}
	}
}

// TestWindow wants a window to be given back by halves, and to grow when it is in the way.
func TestWindow(t *testing.T) {
	w := window{size: 1000, left: 1000, most: 5000}
	sent, announced := 0, 0
	for range 100 {
		n := min(300, w.left)
		if !w.spend(n) {
			t.Fatal("within the window")
		}
		sent += n
		announced += w.credit(n)
	}
	if w.size != 5000 || w.left != 1000+announced-sent {
		t.Errorf("window %+v after %d sent and %d announced", w, sent, announced)
	}
	if w.spend(w.left + 1) {
		t.Error("more than the window was taken")
	}
}
