package router_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"paas/platform"
	"paas/router"
)

// What an HTTP/2 connection may do that makes work and wants no answer is what the setting says, and no more.
func TestNoiseIsASetting(t *testing.T) {
	r := serveWith(t, router.Options{})
	r.Configure(platform.Intake{MaxNoise: 100})
	r.swap(newInstance(t, func(http.ResponseWriter, *http.Request) {}))
	url, _ := r.secured()
	c := patient{r, strings.TrimPrefix(url, "https://")}.dialTLS("hello.test", "h2")
	_, _ = io.WriteString(c, http2.ClientPreface)
	framer := http2.NewFramer(c, c)
	_ = framer.WriteSettings()
	go func() {
		for framer.WritePing(false, [8]byte{}) == nil { // until it is told to stop
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		f, err := framer.ReadFrame()
		if g, ok := f.(*http2.GoAwayFrame); ok && err == nil {
			if g.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("it was sent away with %v", g.ErrCode)
			}
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("thousands of pings were answered")
		}
		if err != nil {
			return // a reset came first
		}
	}
}
