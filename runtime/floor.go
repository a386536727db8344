package runtime

import (
	"fmt"
	"os"
	"path/filepath"
)

// floorLayer is the lowest layer of every container: the mount points that a container needs. Making them
// in the layer that takes the writes would cost a millisecond and stay behind there.
const floorLayer = "floor"

// layFloor makes the layer and keeps it as long as the Runtime is open.
func (r *Runtime) layFloor() (err error) {
	if r.floor, err = r.options.Images.Lease(); err != nil {
		return err
	}
	if err := r.floor.Hold(floorLayer); err != nil {
		return err
	}
	if r.options.Images.Has(floorLayer) {
		return nil
	}
	draft, err := r.options.Images.Draft()
	if err != nil {
		return fmt.Errorf("make mount points: %w", err)
	}
	defer func() { _ = draft.Discard() }()
	for _, dir := range []string{"dev", "etc", "proc", "sys"} {
		if err := makeOpen(filepath.Join(draft.Dir, dir)); err != nil {
			return err
		}
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		if err := os.WriteFile(filepath.Join(draft.Dir, "etc", name), nil, 0o644); err != nil {
			return err
		}
	}
	return draft.Commit(floorLayer)
}
