package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// What platforms on one host must agree on; all of it is forgotten at a reboot, as is what it describes.
//
//	/run/paas/network/ID.json      a platform's claim on a subnet
//	/run/paas/network/forward-off  net.ipv4.ip_forward was off before the first platform
//	/run/paas/network/forward6-off the same of net.ipv6.conf.all.forwarding, and what to put back with it
//	/run/paas/network/lock         held while any of it is read or changed
const (
	registryDir = "/run/paas/network"
	forwardOff  = registryDir + "/forward-off"
	forwardFile = "/proc/sys/net/ipv4/ip_forward"
)

// registry is the host's list of platforms, locked.
type registry struct{ lock *os.File }

// entry is one platform's claim.
type entry struct {
	ID     string       `json:"id"`
	Dir    string       `json:"dir"`
	Subnet netip.Prefix `json:"subnet"`
}

func openRegistry() (*registry, error) {
	if err := os.MkdirAll(registryDir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(registryDir+"/lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			return &registry{lock}, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, lock.Close())
		}
	}
}

func (r *registry) close() { _ = r.lock.Close() }

func entryFile(id string) string { return filepath.Join(registryDir, id+".json") }

// entries lists all platforms.
func (r *registry) entries() ([]entry, error) {
	files, err := os.ReadDir(registryDir)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(registryDir, f.Name()))
		if err != nil {
			return nil, err
		}
		var e entry
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		all = append(all, e)
	}
	return all, nil
}

// others lists the platforms but one, which must be the same that had its id before.
func (r *registry) others(id, dir string) ([]entry, error) {
	all, err := r.entries()
	var others []entry
	for _, e := range all {
		if e.ID != id {
			others = append(others, e)
		} else if e.Dir != dir {
			return nil, platform.Errorf(platform.Conflict, "another platform on this host has the id %q (%s)", id, e.Dir)
		}
	}
	return others, err
}

// own is the claim that the platform has already, or the zero entry.
func (r *registry) own(id string) (entry, error) {
	all, err := r.entries()
	for _, e := range all {
		if e.ID == id {
			return e, err
		}
	}
	return entry{}, err
}

func (r *registry) add(e entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return renameio.WriteFile(entryFile(e.ID), data, 0o644)
}

// forward turns forwarding on, and remembers if it was off.
func (r *registry) forward() error {
	state, err := os.ReadFile(forwardFile)
	if err != nil || strings.TrimSpace(string(state)) != "0" {
		return err
	}
	if err := renameio.WriteFile(forwardOff, nil, 0o644); err != nil {
		return err
	}
	return os.WriteFile(forwardFile, []byte("1"), 0)
}

// remove drops a claim; the last one to go turns forwarding off if it was off before all of them.
func (r *registry) remove(id string) error {
	if err := os.Remove(entryFile(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	left, err := r.entries()
	if err != nil || len(left) > 0 {
		return err
	}
	if err := r.unforward6(); err != nil {
		return err
	}
	if err := os.Remove(forwardOff); errors.Is(err, os.ErrNotExist) {
		return nil // it was on, and is somebody else's
	} else if err != nil {
		return err
	}
	return os.WriteFile(forwardFile, []byte("0"), 0)
}
