package router_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

// Bodies that wait for their turn filled the window of their connection, which the body of the request whose turn it
// was needed too: none of them got on until the queue's time was over, or the one that was read counted as stalled.
func TestBodiesThatWaitDoNotHoldUpTheOneThatIsRead(t *testing.T) {
	const size = 300 << 10
	r := newServed(t, nil)
	r.route(platform.Traffic{Concurrency: 1, QueueWait: 5 * time.Minute}, newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(5 * time.Millisecond)
		if n, _ := io.Copy(io.Discard, req.Body); n != size {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	secure, client := r.secured()
	quic := "https://" + quicOf(t, r)
	over3 := &http.Client{Transport: client3(t, quic).Transport}
	t.Run("HTTP/2", func(t *testing.T) { manyUploads(t, client, secure, size) })
	t.Run("HTTP/3", func(t *testing.T) { manyUploads(t, over3, quic, size) })
}

// manyUploads has many bodies sent over one connection at a time.
func manyUploads(t *testing.T, client *http.Client, url string, size int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(make([]byte, size)))
			if err != nil {
				t.Error(err)
				return
			}
			req.Host = "hello.test"
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
				t.Error(res.Status)
			}
		})
	}
	all.Wait()
}
