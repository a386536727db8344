package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
)

// DefaultRoot is where the state of containers is unless --root says otherwise: it ends with a reboot, as
// they do.
const DefaultRoot = "/run/paas-oci"

// Files in a container's directory.
const (
	recordName = "state.json"
	configName = "config.json" // as it was at create: later edits of the bundle count for nothing
	startName  = "start.sock"  // the stage waits on it for start
)

// StatePaused is beyond the specification, which lets a runtime have states of its own.
const StatePaused specs.ContainerState = "paused"

// phase is how far we got. What the process does after that is asked of /proc.
type phase string

const (
	creating phase = "creating"
	waiting  phase = "created" // for start
	started  phase = "started"
)

// record is what is known of a container between two calls of us.
type record struct {
	ID          string            `json:"id"`
	Version     string            `json:"ociVersion"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Phase       phase             `json:"phase"`
	PID         int               `json:"pid"`
	StartTime   uint64            `json:"startTime"` // clock ticks after boot, proc_pid_stat(5): tells a reused pid
	Created     time.Time         `json:"created"`
	Groups      groups            `json:"cgroups"`
	Made        []string          `json:"made,omitempty"`     // groups, and their parents
	Attached    bool              `json:"attached,omitempty"` // the rootfs is mounted on the host
	Preserve    int               `json:"preserve,omitempty"` // descriptors that the process inherits
}

// Store is the directory that holds one directory a container. Every operation holds the container's lock.
type Store struct{ root string }

// Open makes the directory if it is missing.
func Open(root string) (*Store, error) {
	if root == "" {
		root = DefaultRoot
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	return &Store{root}, nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_+.-]+$`)

// checkID keeps an id a name, and never a path.
func checkID(id string) error {
	if id == "" {
		return platform.Errorf(platform.Usage, "the container's id is missing")
	}
	if !idPattern.MatchString(id) || id == "." || id == ".." || len(id) > 255 {
		return platform.Errorf(platform.Usage, "%q is not a container id: letters, digits and _ + - . make one", id)
	}
	return nil
}

// container is one container, locked by this process until it is closed.
type container struct {
	record
	dir  string
	lock *os.File
}

// make registers a new container.
func (s *Store) make(id string) (*container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.root, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, platform.Errorf(platform.Conflict, "container %s exists", id).WithHint("delete it, or take another id")
		}
		return nil, fmt.Errorf("make container %s: %w", id, err)
	}
	c, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.ID, c.Phase, c.Created = id, creating, time.Now().UTC()
	return c, nil
}

// open locks and reads a container.
func (s *Store) open(id string) (*container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	c, err := lockDir(filepath.Join(s.root, id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing(id)
	}
	if err != nil {
		return nil, err
	}
	if err := c.read(id); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// peek reads a container without its lock: a hook may ask for the state of the container that is being made.
func (s *Store) peek(id string) (*container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	c := &container{dir: filepath.Join(s.root, id)}
	if _, err := os.Stat(c.dir); err != nil {
		return nil, missing(id)
	}
	return c, c.read(id)
}

func missing(id string) error {
	return platform.Errorf(platform.NotFound, "container %s does not exist", id).WithHint("paas oci list shows those that do")
}

func (c *container) read(id string) error {
	text, err := os.ReadFile(c.path(recordName))
	if err == nil {
		err = json.Unmarshal(text, &c.record)
	}
	if errors.Is(err, os.ErrNotExist) { // create did not write any yet, or was killed before
		c.ID, c.Phase, err = id, creating, nil
	}
	if err != nil {
		return fmt.Errorf("read the state of %s: %w", id, err)
	}
	return nil
}

// lockDir waits for whoever else works on the container. A directory that went away meanwhile, or was made
// anew, is not the one that was locked.
func lockDir(dir string) (*container, error) {
	for {
		f, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			_ = f.Close()
			if err == unix.EINTR {
				continue
			}
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if same(f, dir) {
			return &container{dir: dir, lock: f}, nil
		}
		_ = f.Close()
	}
}

func same(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist) || err == nil && os.SameFile(a, b)
}

func (c *container) close() { _ = c.lock.Close() }

func (c *container) path(name string) string { return filepath.Join(c.dir, name) }

// save replaces the record in one step.
func (c *container) save() error {
	text, err := json.MarshalIndent(c.record, "", "\t")
	if err != nil {
		return fmt.Errorf("save the state of %s: %w", c.ID, err)
	}
	if err := replaceFile(c.path(recordName), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("save the state of %s: %w", c.ID, err)
	}
	return nil
}

// replaceFile needs no fsync: state ends with the machine's uptime.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, text, mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// config is the container's configuration as it was at create.
func (c *container) config() (*specs.Spec, error) {
	text, err := os.ReadFile(c.path(configName))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", c.ID, err)
	}
	return Parse(text)
}

// status is the record's phase, corrected by what runs.
func (c *container) status() specs.ContainerState {
	switch {
	case c.PID == 0 && c.Phase == creating:
		return specs.StateCreating
	case !c.alive():
		return specs.StateStopped
	case c.Phase == creating:
		return specs.StateCreating
	case c.Phase == waiting:
		return specs.StateCreated
	case frozen(c.Groups):
		return StatePaused
	default:
		return specs.StateRunning
	}
}

// alive tells whether the container's process is there, is the same and has not ended.
func (c *container) alive() bool {
	state, start, err := processStat(c.PID)
	return err == nil && start == c.StartTime && state != 'Z' && state != 'X'
}

// processStat reads a process's state and start time, fields 3 and 22 of proc_pid_stat(5). Field 2 is the
// command's name in parentheses, which may hold anything.
func processStat(pid int) (state byte, start uint64, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("stat of process %d is short", pid)
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}

// state is what the specification lets others see.
func (c *container) state() specs.State {
	s := specs.State{Version: c.Version, ID: c.ID, Status: c.status(), Bundle: c.Bundle, Annotations: c.Annotations}
	if s.Status != specs.StateStopped {
		s.Pid = c.PID
	}
	return s
}

// ids lists the containers.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && checkID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}
