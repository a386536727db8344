package buildpacks

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// answer is what an index said, kept for a day so that a push without changes asks nobody.
type answer struct {
	At   time.Time `json:"at"`
	List []string  `json:"list"`
}

const answerAge = 24 * time.Hour

// known returns a fresh kept answer, or asks and keeps. When asking fails an old answer serves.
func (e *Engine) known(ctx context.Context, name string, ask func() ([]string, error)) ([]string, error) {
	unlock, err := e.locks.lock(ctx, "known "+name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	kept := e.kept(name)
	if len(kept.List) > 0 && e.now().Sub(kept.At) < answerAge {
		return kept.List, nil
	}
	list, err := ask()
	if err == nil && len(list) == 0 {
		err = errors.New("the answer is empty")
	}
	if err != nil && len(kept.List) > 0 && ctx.Err() == nil {
		e.Log.Warn("ask an index; its last answer serves", "index", name, "err", err)
		return kept.List, nil
	}
	if err != nil {
		return nil, err
	}
	return list, e.keep(name, list)
}

func (e *Engine) keep(name string, list []string) error {
	text, err := json.Marshal(answer{At: e.now(), List: list})
	if err != nil {
		return err
	}
	return replace(e.knownPath(name), text)
}

// kept is what was kept, however old. A damaged one counts as none.
func (e *Engine) kept(name string) (a answer) {
	text, err := os.ReadFile(e.knownPath(name))
	if err != nil || json.Unmarshal(text, &a) != nil {
		return answer{}
	}
	return a
}

func (e *Engine) knownPath(name string) string {
	return filepath.Join(e.Dir, "known", keyOf(name)[:16])
}

// replace writes a small file atomically. It is for caches: a power cut may lose it.
func replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
