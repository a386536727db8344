package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var sleepsFor = flag.Duration("sleeps", 8*time.Second, "how long apps are put to sleep under load (TestSleepUnderLoad)")

// An app that is put to sleep again and again while visitors come loses no request, and a daemon that is killed
// in the middle leaves it asleep or awake, and answering.
func TestSleepUnderLoad(t *testing.T) {
	p := newTestPlatform(t)
	p.run(t, p.repository(t, filepath.Join("testdata", "apps", "hello"), "hello"), "git", "push", "paas", "main")
	slept, asked := p.sleepUnderLoad(t, *sleepsFor)
	t.Logf("%d sleeps, %d requests", slept, asked)
	if slept < 2 {
		t.Errorf("it slept only %d times", slept)
	}
	for range 3 {
		done := make(chan struct{})
		go func() { _, _ = p.try(p.home, "paas", "ps:sleep", "hello"); close(done) }()
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		p.end(syscall.SIGKILL)
		<-done
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		if err := p.visit(); err != nil {
			t.Errorf("after a kill: %v", err)
		}
	}
}

func (p *platformUnderTest) visit() error {
	status, body, err := get(p.url("/"), "hello.example.test")
	if err == nil && (status != http.StatusOK || string(body) != "Hello\n") {
		err = fmt.Errorf("status %d, %q", status, body)
	}
	return err
}

// sleepUnderLoad alternates between sleep and stop, with visitors at random moments.
func (p *platformUnderTest) sleepUnderLoad(t *testing.T, d time.Duration) (slept, asked int64) {
	t.Helper()
	var n atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
				}
				n.Add(1)
				if err := p.visit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		words := []string{"paas", "ps:sleep", "hello"}
		if rand.IntN(4) == 0 {
			words = append(words, "--stop")
		}
		if _, err := p.try(p.home, words...); err == nil {
			slept++
		}
	}
	close(done)
	group.Wait()
	return slept, n.Load()
}
