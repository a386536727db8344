package platform

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// madeStep is what an app's step was made from the last time.
type madeStep struct {
	Since  int          `json:"since"` // the first build with that key
	Build  int          `json:"build"` // the last one
	Key    string       `json:"key"`
	Place  string       `json:"place,omitempty"`
	Failed bool         `json:"failed,omitempty"`
	Cost   float64      `json:"cost,omitempty"` // seconds that making it took, whenever that was; 0: not known
	Inputs []BuildInput `json:"inputs"`
	Files  fileList     `json:"files"`
}

// stepInputs is that of all of an app's steps, by kind and name.
type stepInputs map[string]madeStep

func (s BuildStep) id() string { return string(s.Kind) + " " + s.Name }

// fileList is a list of files with a JSON form that costs little: a tree may have many.
type fileList []File

// MarshalJSON implements json.Marshaler.
func (l fileList) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for _, f := range l {
		fmt.Fprintf(&b, "%o %s %q\n", f.Mode, f.ID, f.Path)
	}
	return json.Marshal(b.String())
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *fileList) UnmarshalJSON(text []byte) error {
	var lines string
	if err := json.Unmarshal(text, &lines); err != nil {
		return err
	}
	for line := range strings.Lines(lines) {
		var f File
		if _, err := fmt.Sscanf(line, "%o %s %q", &f.Mode, &f.ID, &f.Path); err != nil {
			return fmt.Errorf("read list of files: %w", err)
		}
		*l = append(*l, f)
	}
	return nil
}

// mostFiles is how many files of a step are kept one by one; of more, directories are.
const mostFiles = 20_000

// folded is the list with as many directories in the place of files as are needed.
func (l fileList) folded() fileList {
	for len(l) > mostFiles {
		short := l.fold()
		if len(short) == len(l) {
			return short[:0]
		}
		l = short
	}
	return l
}

// fold puts directories, with a hash of their entries, in the place of these.
func (l fileList) fold() (short fileList) {
	hash := sha256.New()
	for i, f := range l {
		dir := path.Dir(strings.TrimSuffix(f.Path, "/")) + "/"
		_, _ = fmt.Fprintf(hash, "%o %s %q\n", f.Mode, f.ID, f.Path)
		if i+1 < len(l) && path.Dir(strings.TrimSuffix(l[i+1].Path, "/"))+"/" == dir {
			continue
		}
		short = append(short, File{Path: dir, ID: hex.EncodeToString(hash.Sum(nil))[:40]})
		hash.Reset()
	}
	return short
}

// explain finds out why each step was reused or not, and keeps what the steps were made from for the next
// build.
func (b *building) explain(ctx context.Context) {
	b.reason.Do(func() {
		last, err := b.p.readInputs(ctx, b.app.Name)
		if err != nil {
			b.p.Log.Error("read what the last build was made from", "app", b.app.Name, "err", err)
		}
		b.mu.Lock()
		steps, number, over := b.snapshot().Steps, b.record.Number, b.record.Status == BuildSucceeded
		b.mu.Unlock()
		next, changed := last.next(steps, number, over)
		b.mu.Lock()
		b.record.Steps = steps
		b.mu.Unlock()
		if !changed {
			return
		}
		if err := b.p.writeInputs(ctx, b.app.Name, next); err != nil && KindOf(err) != NotFound {
			b.p.Log.Error("keep what a build was made from", "app", b.app.Name, "err", err)
		}
	})
}

// next explains steps in place and returns what to keep. Steps that a build did not come to stay.
func (last stepInputs) next(steps []BuildStep, number int, whole bool) (next stepInputs, changed bool) {
	next = stepInputs{}
	for i := range steps {
		s := &steps[i]
		made := madeStep{
			Since: number, Build: number, Key: s.Key, Place: s.Place, Failed: s.Failed, Inputs: s.Inputs, Files: fileList(s.Files).folded(),
		}
		before, known := last.of(*s, steps)
		s.explain(before, known, made)
		made.Cost = s.cost()
		if known && before.Key == s.Key && before.Failed == s.Failed {
			made.Since = before.Since
			changed = changed || !slices.Equal(before.Inputs, made.Inputs) || before.Cost == 0 && made.Cost > 0
		} else {
			changed = true
		}
		next[s.id()] = made
	}
	for id, before := range last {
		if _, there := next[id]; !there && !whole {
			next[id] = before
		}
	}
	return next, changed || len(next) != len(last)
}

// of finds what a step was made from the last time: by its name, or by its place if what was there has no step
// of its name any more.
func (last stepInputs) of(s BuildStep, steps []BuildStep) (madeStep, bool) {
	if before, known := last[s.id()]; known || s.Place == "" {
		return before, known
	}
	for id, before := range last {
		if before.Place == s.Place && !slices.ContainsFunc(steps, func(o BuildStep) bool { return o.id() == id }) {
			return before, true
		}
	}
	return madeStep{}, false
}

func (p *Platform) readInputs(ctx context.Context, app AppName) (stepInputs, error) {
	data, err := p.Store.BuildInputs(ctx, app)
	if err != nil || len(data) == 0 {
		return stepInputs{}, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return stepInputs{}, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return stepInputs{}, err
	}
	inputs := stepInputs{}
	return inputs, json.Unmarshal(text, &inputs)
}

func (p *Platform) writeInputs(ctx context.Context, app AppName, inputs stepInputs) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(z).Encode(inputs); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return p.Store.SaveBuildInputs(ctx, app, b.Bytes())
}
