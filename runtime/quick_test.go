package runtime

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

func TestQuick(t *testing.T) {
	x := newBench(t)
	s := spec("")
	s.Command = []string{"/bin/true"}
	var l []time.Duration
	for range 40 {
		b := time.Now()
		if _, err := x.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
		l = append(l, time.Since(b))
		time.Sleep(60 * time.Millisecond)
	}
	slices.Sort(l)
	fmt.Println("start-to-exit min", l[0], "median", l[20], "p90", l[36])
	i, err := x.Start(context.Background(), spec("exec sleep 1000"))
	check(t, err)
	l = nil
	for range 40 {
		b := time.Now()
		if _, err := x.Exec(context.Background(), i.ID, []string{"/bin/true"}, io.Discard); err != nil {
			t.Fatal(err)
		}
		l = append(l, time.Since(b))
		time.Sleep(10 * time.Millisecond)
	}
	slices.Sort(l)
	fmt.Println("exec min", l[0], "median", l[20], "p90", l[36])
}
