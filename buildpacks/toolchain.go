package buildpacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// common are the toolchains that Prepare fetches ahead: those of the examples people start with.
var common = []plan.Toolchain{{Name: "node"}, {Name: "static"}}

// made is a toolchain as a layer.
type made struct {
	layer   string
	version string
	path    string            // of its programs; empty if they are where every system has them
	env     map[string]string // that its users need
}

func (b *build) addToolchains(ctx context.Context) error {
	base := b.layers[0]
	for _, t := range b.plan.Toolchains {
		if t.Name == "npm" && t.Version == "" {
			continue // the one that comes with Node.js
		}
		m, err := b.toolchain(ctx, base, t, b.req.Story)
		if err != nil {
			return err
		}
		from := "the default"
		if t.From != "" {
			from = t.From
		}
		if m.version != "" {
			b.req.Story.Line("Using %s %s (%s)", t.Name, m.version, from)
		}
		b.add(m.layer, !t.Build)
		if m.path != "" {
			b.path = append(b.path, m.path)
		}
		for k, v := range m.env {
			b.env[k] = v
		}
	}
	return nil
}

// toolchain finds or makes a toolchain's layer.
func (e *Engine) toolchain(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	switch t.Name {
	case "node":
		return e.node(ctx, base, t, story)
	case "npm":
		return e.npm(ctx, base, t, story)
	case "go":
		return e.golang(ctx, base, t, story)
	case "python":
		return e.python(ctx, base, t, story)
	case "static":
		return e.static()
	default:
		return made{}, fmt.Errorf("plan asks for the unknown toolchain %q", t.Name)
	}
}

// layer makes a layer by fill unless the store has it.
func (e *Engine) layer(key string, fill func(dir string) error) error {
	unlock := e.locks.lock(key)
	defer unlock()
	if e.Images.Has(key) {
		return nil
	}
	draft, err := e.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	if err := fill(draft.Dir); err != nil {
		return err
	}
	return draft.Commit(key)
}

// static is our own program, which serves files as `paas static`.
func (e *Engine) static() (made, error) {
	program, err := os.Open(e.Static)
	if err != nil {
		return made{}, fmt.Errorf("read own program: %w", err)
	}
	defer func() { _ = program.Close() }()
	info, err := program.Stat()
	if err != nil {
		return made{}, err
	}
	key := keyOf("static", info.Size(), info.ModTime().UnixNano())
	return made{layer: key}, e.layer(key, func(dir string) error {
		bin := filepath.Join(dir, "usr", "local", "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(filepath.Join(bin, "paas"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // a program
		if err != nil {
			return err
		}
		_, err = io.Copy(out, program)
		return errors.Join(err, out.Close())
	})
}

// python is Debian's, with venv and pip.
func (e *Engine) python(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	if err := pythonFits(t); err != nil {
		return made{}, err
	}
	layer, err := e.packages(ctx, base, []string{"python3", "python3-venv", "python3-pip", "python-is-python3"}, story)
	return made{layer: layer, version: debianPython}, err
}

// debianPython is the Python of the base image's Debian.
const debianPython = "3.13"

// pythonFits refuses a version that this host cannot provide.
func pythonFits(t plan.Toolchain) error {
	if t.Version == "" || t.Version == "3" || t.Version == debianPython || len(t.Version) > len(debianPython) && t.Version[:len(debianPython)+1] == debianPython+"." {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s asks for Python %s; this host has Python %s", t.From, t.Version, debianPython).
		WithHint("write %s into .python-version", debianPython)
}

// answer is what an index said, kept for a day so that a push without changes asks nobody.
type answer struct {
	At   time.Time `json:"at"`
	List []string  `json:"list"`
}

const answerAge = 24 * time.Hour

// known returns a fresh kept answer, or asks and keeps. When asking fails an old answer serves.
func (e *Engine) known(name string, ask func() ([]string, error)) ([]string, error) {
	unlock := e.locks.lock("known " + name)
	defer unlock()
	path := filepath.Join(e.Dir, "known", hashName(name))
	var kept answer
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &kept) // a damaged one is asked again
	}
	if len(kept.List) > 0 && time.Since(kept.At) < answerAge {
		return kept.List, nil
	}
	list, err := ask()
	if err != nil && len(kept.List) > 0 {
		return kept.List, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(answer{At: time.Now(), List: list})
	if err != nil {
		return nil, err
	}
	return list, replace(path, text)
}

func hashName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}
