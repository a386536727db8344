package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
)

// keptOutput is how much of a build's output is kept, in bytes; of more than that the end is kept too.
const (
	keptOutput = 4 << 20
	keptEnd    = 64 << 10
)

// buildOutput keeps what a build prints, in a file that can be read meanwhile.
type buildOutput struct {
	mu     sync.Mutex
	file   io.WriteCloser // nil: it could not be made, or is closed
	size   int64          // bytes that were written
	end    []byte         // the last of what was printed beyond keptOutput
	cut    int64          // bytes that are not in the file
	closed bool
	news   chan struct{} // closed and replaced when there is more
}

func newBuildOutput(file io.WriteCloser) *buildOutput {
	return &buildOutput{file: file, news: make(chan struct{})}
}

// Write implements io.Writer. It never fails: a build is not lost for its output.
func (o *buildOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size < keptOutput {
		o.put(p)
		return len(p), nil
	}
	o.cut += int64(len(p))
	o.end = append(o.end, p...)
	if len(o.end) > 2*keptEnd {
		o.end = append(o.end[:0], o.end[len(o.end)-keptEnd:]...)
	}
	return len(p), nil
}

// put writes and wakes up readers. The caller holds mu.
func (o *buildOutput) put(p []byte) {
	o.size += int64(len(p))
	if o.file != nil {
		if _, err := o.file.Write(p); err != nil {
			_ = o.file.Close()
			o.file = nil
		}
	}
	close(o.news)
	o.news = make(chan struct{})
}

func (o *buildOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	end := o.end[max(0, len(o.end)-keptEnd):]
	o.cut -= int64(len(end))
	if o.cut > 0 {
		o.put(fmt.Appendf(nil, "       [%s of output are not kept]\n", Bytes(o.cut)))
	}
	o.put(end)
	o.closed, o.end = true, nil
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

// sizes are what was printed and what of it is not kept, in bytes.
func (o *buildOutput) sizes() (printed, cut int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size + o.cut, o.cut
}

// wait returns a channel that is closed when there is more, nil when there will be no more.
func (o *buildOutput) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	return o.news
}

// BuildOutputInput is builds:output.
type BuildOutputInput struct {
	App    string `arg:"app"`
	Number string `arg:"number" optional:"true"`
	Follow bool   `flag:"follow" short:"f" help:"go on until the build has ended"`
}

// BuildOutput prints what a build printed.
func (p *Platform) BuildOutput(ctx context.Context, call Call, in BuildOutputInput) (Streamed, error) {
	app, build, err := p.findBuild(ctx, in.App, in.Number)
	if err != nil {
		return Streamed{}, err
	}
	if p.Outputs == nil {
		return Streamed{}, noOutput(build)
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	file, err := p.Outputs.Open(app, build.Number)
	if err != nil {
		if KindOf(err) == NotFound {
			err = noOutput(build)
		}
		return Streamed{}, err
	}
	defer func() { _ = file.Close() }()
	return p.copyOutput(ctx, call.Out, file, p.outputOf(app, build.Number, in.Follow))
}

func noOutput(b Build) error {
	return Errorf(NotFound, "the output of build %d of %s is not kept any more", b.Number, b.App)
}

// outputOf is the output of a build that is followed, nil for one that has ended.
func (p *Platform) outputOf(app App, number int, follow bool) *buildOutput {
	list := p.underWay(app.ID)
	i := slices.IndexFunc(list, func(b *building) bool { return b.record.Number == number })
	if i < 0 || !follow {
		return nil
	}
	return list[i].output
}

func (p *Platform) copyOutput(ctx context.Context, to io.Writer, file io.Reader, live *buildOutput) (Streamed, error) {
	for {
		var news <-chan struct{}
		if live != nil {
			news = live.wait()
		}
		if _, err := io.Copy(to, file); err != nil {
			return Streamed{}, fmt.Errorf("print output of a build: %w", err)
		}
		if news == nil {
			return Streamed{}, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Streamed{Exit: 130}, nil
		case <-p.life.Done():
			return Streamed{}, nil
		}
	}
}
