package quota

import (
	"fmt"
	"os"
)

// Change sets new limits for the project that Set put dir into, also while files are written there.
func Change(dir string, p Project, l Limits) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("change disk quota: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := l.write(f, p); err != nil {
		return fmt.Errorf("change disk quota: %w", err)
	}
	return nil
}
