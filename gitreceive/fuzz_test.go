package gitreceive

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

func FuzzReadRequest(f *testing.F) {
	id := strings.Repeat("1", 40)
	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	_ = e.Encodef("shallow %s", id)
	_ = e.Encodef("%040d %s refs/heads/main\x00 report-status side-band-64k agent=git/2", 0, id)
	_ = e.Encodef("%s %040d refs/tags/x\n", id, 0)
	_ = e.Flush()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-4])
	f.Add([]byte("0000"))
	f.Add([]byte("0005a"))
	f.Fuzz(func(t *testing.T, p []byte) {
		req, err := readRequest(bytes.NewReader(p))
		if err != nil {
			return
		}
		if len(req.commands) > 0 && !bytes.Contains(p, []byte("0000")) {
			t.Fatal("a request that does not end is taken")
		}
		for _, c := range req.commands {
			if c.Name == "" || c.Action() == packp.Invalid {
				t.Fatalf("command %+v is taken", c)
			}
		}
		for _, v := range judge(req, "main", nil) {
			if v.taken() && (strings.Contains(string(v.Name), "..") || !strings.HasPrefix(string(v.Name), "refs/")) {
				t.Fatalf("%q is taken", v.Name)
			}
		}
	})
}
