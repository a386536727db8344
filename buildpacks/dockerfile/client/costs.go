package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	costsFile = "costs" // in Options.Dir
	mostCosts = 20_000  // instructions whose cost is known; the ones that were carried out last
	maxCosts  = 2 * mostCosts * costLine
	costLine  = 48 // bytes at most: a name, a space, seconds, a newline
)

// costs is what instructions took when they were carried out, by what they are made from: an app that finds one in
// the cache can be told what that saved it, though another one's build made it. The file is lines of a name and
// seconds, the newest last. It is appended to without waiting for the disk, and all of it may be lost; a line that
// a crash has torn says nothing.
type costs struct {
	path string

	mu    sync.Mutex
	known map[string]float64 // nil until it is read
	order []string           // names in the file's order, older lines of a name too
	fresh []byte             // lines that are not in the file yet
}

// costName is what an instruction is known by: builds of other teams, which do not share it, have another name for it.
func costName(r Request, key string) string {
	owner := r.Team
	if r.Alone {
		owner = strconv.FormatInt(r.App.ID, 10)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%t %q %s", r.Alone, owner, key))
	return hex.EncodeToString(sum[:16])
}

// of is how many seconds it took; 0 if that is not known.
func (c *costs) of(name string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	return c.known[name]
}

// note remembers the seconds that an instruction took. Nothing is written before save.
func (c *costs) note(name string, seconds float64) {
	if seconds <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	c.add(name, seconds)
	c.fresh = fmt.Appendf(c.fresh, "%s %.3f\n", name, seconds)
}

func (c *costs) add(name string, seconds float64) {
	c.known[name] = seconds
	c.order = append(c.order, name)
}

// read reads the file once. One that cannot be read is as good as none.
func (c *costs) read() {
	if c.known != nil {
		return
	}
	c.known = map[string]float64{}
	f, err := os.Open(c.path)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxCosts))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		name, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		seconds, err := strconv.ParseFloat(number, 64)
		if err == nil && len(name) == 32 && seconds > 0 {
			c.add(name, seconds)
		}
	}
}

// save writes what is new, and the whole file anew when older lines have become too many.
func (c *costs) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fresh) == 0 {
		return nil
	}
	if len(c.order) > 2*mostCosts-1000 {
		return c.rewrite()
	}
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("remember what instructions took: %w", err)
	}
	_, err = f.Write(append([]byte("\n"), c.fresh...)) // the last line may be half of one
	c.fresh = nil
	return errors.Join(err, f.Close())
}

// rewrite keeps the newest line of each instruction, and of the newest instructions.
func (c *costs) rewrite() error {
	seen := map[string]bool{}
	var lines []string
	for _, name := range slices.Backward(c.order) {
		if !seen[name] && len(lines) < mostCosts {
			lines = append(lines, fmt.Sprintf("%s %.3f\n", name, c.known[name]))
		}
		seen[name] = true
	}
	slices.Reverse(lines)
	next := c.path + ".new"
	err := os.WriteFile(next, []byte(strings.Join(lines, "")), 0o600)
	if err == nil {
		err = os.Rename(next, c.path)
	}
	c.known, c.order, c.fresh = nil, nil, nil // read again, without those that went
	return err
}
