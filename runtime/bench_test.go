package runtime

import (
	"context"
	"io"
	"testing"

	"paas/platform"
)

// A job from nothing to its exit status with nothing left, /bin/true.
func BenchmarkStartToExit(b *testing.B) {
	x := newBench(b)
	s := spec("")
	s.Command = []string{"/bin/true"}
	for b.Loop() {
		if _, err := x.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, io.Discard, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	x := newBench(b)
	i, err := x.Start(context.Background(), spec("exec sleep 1000"))
	check(b, err)
	for b.Loop() {
		if _, err := x.Exec(context.Background(), i.ID, []string{"/bin/true"}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStartStop(b *testing.B) {
	x := newBench(b)
	for b.Loop() {
		i, err := x.Start(context.Background(), spec("exec sleep 1000"))
		check(b, err)
		check(b, x.Stop(context.Background(), i.ID, 0))
	}
}
