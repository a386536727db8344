package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"paas/platform"
)

// Outputs keeps what builds print: a file for each, <dir>/<app's id>/<number>. It implements
// platform.Outputs.
type Outputs struct{ dir string }

// OpenOutputs makes the directory.
func OpenOutputs(dir string) (*Outputs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open outputs of builds: %w", err)
	}
	return &Outputs{dir}, nil
}

func (o *Outputs) folder(app platform.App) string {
	return filepath.Join(o.dir, strconv.FormatInt(app.ID, 10))
}

func (o *Outputs) file(app platform.App, number int) string {
	return filepath.Join(o.folder(app), strconv.Itoa(number))
}

// Create implements platform.Outputs.
func (o *Outputs) Create(app platform.App, number, oldest int) (io.WriteCloser, error) {
	for n := oldest; n > 0; n-- {
		if err := os.Remove(o.file(app, n)); err != nil {
			break // nor are there older ones
		}
	}
	if err := os.MkdirAll(o.folder(app), 0o700); err != nil {
		return nil, fmt.Errorf("keep output of a build: %w", err)
	}
	return os.OpenFile(o.file(app, number), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// Open implements platform.Outputs.
func (o *Outputs) Open(app platform.App, number int) (io.ReadCloser, error) {
	f, err := os.Open(o.file(app, number))
	if errors.Is(err, os.ErrNotExist) {
		return nil, platform.Errorf(platform.NotFound, "the output of build %d of %s is not kept", number, app.Name).Because(err)
	}
	return f, err
}

// Remove removes what is kept of an app.
func (o *Outputs) Remove(app platform.App) error { return os.RemoveAll(o.folder(app)) }
