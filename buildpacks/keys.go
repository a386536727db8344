package buildpacks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"paas/buildpacks/plan"
	"paas/platform"
)

// keyOf is the name of what the parts make: 40 hex digits of a SHA-256 over their JSON.
func keyOf(parts ...any) string {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(parts); err != nil {
		panic(err) // the parts are strings, numbers, maps of strings and steps
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}

// filesKey is made from paths, modes and blob ids: no file is read.
func filesKey(files []platform.File) string {
	h := sha256.New()
	var line []byte
	for _, f := range files {
		line = fmt.Appendf(line[:0], "%o %s %q\n", f.Mode, f.ID, f.Path)
		_, _ = h.Write(line) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// stepKey is made from everything that can change what the step writes: what is below it, what it runs,
// with which variables, and which files it sees. Of config vars, which are secrets, there are digests only.
func (b *build) stepKey(s plan.Step, files []platform.File) string {
	s.Caches = nil // they make it faster, not different
	config := map[string]string{}
	var tools []string
	if s.Config {
		config = b.secret.digests(b.req.Config)
	}
	if s.Tools {
		tools = set(buildPackages)
	}
	return b.own(keyOf("step", b.key, s, filesKey(files), config, tools, b.searchPath(b.path), appUser))
}

// own makes a key one of the app's team, or of the app alone if its owner wants that: whoever makes a layer first
// decides what all get that have the key, and can see whether somebody had it.
func (b *build) own(key string) string {
	switch {
	case b.req.Alone:
		return keyOf("own", b.req.App.ID, key)
	case b.req.Team != "":
		return keyOf("team", b.req.Team, key)
	}
	return key
}
