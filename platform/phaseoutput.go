package platform

import (
	"bytes"
	"io"
	"sync"
)

// releaseSource is who the lines of a release's commands are by in the app's log.
const releaseSource = "release"

// How much of one command's output goes into the app's log. All of it is in the story, which a build keeps.
const (
	mostPhaseLines = 2000
	maxPhaseLine   = 4096 // bytes; a longer line is more than one
)

// phaseOutput tells the story and fills the app's log with the same lines.
func (p *Platform) phaseOutput(app AppName, story *Story) io.WriteCloser {
	return &phaseOutput{story: story.Writer(), note: func(line string) {
		if err := p.Runner.Note(app, releaseSource, line); err != nil {
			p.Log.Error("note a line of a release", "app", app, "err", err)
		}
	}}
}

type phaseOutput struct {
	story io.WriteCloser
	note  func(line string)

	mu    sync.Mutex
	rest  []byte // of a line that is not complete
	lines int
}

func (o *phaseOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.story.Write(b)
	for len(b) > 0 && o.lines < mostPhaseLines {
		end := bytes.IndexByte(b, '\n')
		take := min(maxPhaseLine-len(o.rest), len(b))
		if end >= 0 && end < take {
			take = end + 1
		}
		o.rest = append(o.rest, b[:take]...)
		b = b[take:]
		if len(o.rest) >= maxPhaseLine || o.rest[len(o.rest)-1] == '\n' {
			o.flush()
		}
	}
	return n, err
}

func (o *phaseOutput) flush() {
	line := printable(shown(string(o.rest)))
	o.rest = o.rest[:0]
	if o.lines++; o.lines == mostPhaseLines {
		line = "there is more, which is not kept here"
	}
	o.note(line)
}

// Close tells a last line that has no newline.
func (o *phaseOutput) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 {
		o.flush()
	}
	return o.story.Close()
}
