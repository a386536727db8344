package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/network"
)

// phase is how far a container came. One that was not running when its daemon died is removed: nobody
// was told of it.
type phase string

const (
	making  phase = "making"
	running phase = "running"
	ended   phase = "ended"
)

// record is what survives the daemon about one container: instances/<ID>/record.json. It holds no
// config var.
type record struct {
	ID        platform.InstanceID
	Passing   bool // a job or a build step: it ends with the daemon that started it
	Phase     phase
	App       platform.AppName
	Release   int
	Epoch     int
	Type      platform.ProcessType
	Number    int
	Group     string            // above its cgroup, "apps"
	Shell     string            // name of its cgroup
	Endpoint  *network.Endpoint `json:",omitempty"`
	Port      uint16            `json:",omitempty"` // the app listens there and nowhere else
	Boot      string            // the host's boot id: pids mean nothing after a reboot
	PID       int               // of its init
	Started   uint64            // of its init, in clock ticks after boot: a pid is used again
	StartedAt time.Time
	Paused    bool           `json:"-"` // wanted: a file of its own says so, see pause.go
	Kept      time.Time      `json:"-"` // set aside: a file of its own says so, see keep.go
	Exit      *platform.Exit `json:",omitempty"`
	Reported  bool           // Exits delivered it
	OOMKills  int64          `json:",omitempty"` // that OOMKills delivered
}

func (r *record) instance() platform.Instance {
	i := platform.Instance{
		ID: r.ID, App: r.App, Release: r.Release, Epoch: r.Epoch, Type: r.Type, Number: r.Number,
		StartedAt: r.StartedAt, Paused: r.Paused && r.Phase == running, Kept: r.Kept,
	}
	if r.Endpoint != nil {
		i.Addr = netip.AddrPortFrom(r.Endpoint.Addr, r.Endpoint.Port)
	}
	if r.Exit != nil {
		exit := *r.Exit
		i.Exit = &exit
	}
	return i
}

// owner tells the network whose the container is. Build steps are nobody's: they run before there is
// anything to link.
func (r *record) owner() network.Owner {
	o := r.nobody()
	if !r.Kept.IsZero() {
		return o
	}
	if r.Type != "" {
		o.App, o.Type = r.App, r.Type
	}
	if !r.Passing {
		o.Number = r.Number
	}
	return o
}

// source is what log lines and messages call it: "web.1".
func (r *record) source() string { return source(r.Type, r.Number) }

func source(t platform.ProcessType, number int) string { return string(t) + "." + strconv.Itoa(number) }

func (r *record) journal() journal {
	return journal{ID: r.ID, Source: r.source(), Started: r.StartedAt}
}

const recordFile = "record.json"

func (r *record) save(dir string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("save record of %s: %w", r.ID, err)
	}
	if err := overwrite(filepath.Join(dir, recordFile), b); err != nil {
		return fmt.Errorf("save record of %s: %w", r.ID, err)
	}
	return nil
}

func loadRecord(dir string) (record, error) {
	var r record
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && string(r.ID) != filepath.Base(dir) {
		err = errors.New("it is another instance's")
	}
	if err != nil {
		return record{}, fmt.Errorf("load record in %s: %w", dir, err)
	}
	return r, nil
}

// overwrite replaces what is in a file of text by one write, which a kill of the daemon cannot cut; the end of a
// longer old content becomes spaces. The record must survive the daemon, not the machine, for with the
// machine the containers are gone too. A rename over the old file would make ext4 write to the disk at
// once (mount option auto_da_alloc, ext4(5)), which takes a millisecond.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for int64(len(content)) < info.Size() {
		content = append(content, ' ')
	}
	_, err = f.WriteAt(content, 0)
	return err
}

// readStatus reads what the container's init left (see cmd/paas-init/init.c): the app's own exit.
func readStatus(path string) (platform.Exit, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return platform.Exit{}, false
	}
	line, _, whole := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if !whole || len(fields) != 3 {
		return platform.Exit{}, false
	}
	var n [3]int64
	for i, f := range fields {
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return platform.Exit{}, false
		}
	}
	return platform.Exit{Code: int(n[0]), Signal: signalName(int(n[1])), At: time.Unix(0, n[2])}, true
}

// bootID changes with every boot (random(4)).
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// startTime is field 22 of /proc/<pid>/stat, counted behind the command, which may hold anything.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	i := strings.LastIndexByte(string(b), ')')
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("read start time of process %d: unexpected format", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
