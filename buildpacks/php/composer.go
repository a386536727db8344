package php

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	composerFile = "composer.json"
	lockFile     = "composer.lock"
	maxText      = 1 << 20
	maxLock      = 32 << 20
)

// composer is what matters of a composer.json and its lock (Composer's documentation, "The composer.json schema").
type composer struct {
	there   bool
	locked  bool
	version string // of PHP that is required
	from    string // who says so
	needs   map[string]string
	deep    map[string]bool // extensions that locked packages require
	scripts map[string]bool
	files   []string // what installing reads
	whole   bool     // installing reads all of the tree
	private bool     // packages come from elsewhere, so that config may have the keys
}

// loose takes a PHP array for what it is: an empty one is written as a list.
type loose map[string]json.RawMessage

func (l *loose) UnmarshalJSON(text []byte) error {
	m := map[string]json.RawMessage{}
	if json.Unmarshal(text, &m) == nil {
		*l = m
	}
	return nil
}

type composerText struct {
	Require      loose           `json:"require"`
	Scripts      loose           `json:"scripts"`
	Config       loose           `json:"config"`
	Repositories json.RawMessage `json:"repositories"`
}

type lockText struct {
	Packages []struct {
		Require loose `json:"require"`
	} `json:"packages"`
	Platform loose `json:"platform"`
}

func readComposer(src *source.Tree) (composer, error) {
	c := composer{needs: map[string]string{}, deep: map[string]bool{}, scripts: map[string]bool{}}
	text, err := src.Read(composerFile, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	var content composerText
	if err := source.Decode(composerFile, text, &content); err != nil {
		return c, err
	}
	c.there = true
	c.files = src.Trail(composerFile)
	for name := range content.Require {
		c.needs[strings.ToLower(name)] = content.Require.text(name)
	}
	for name := range content.Scripts {
		c.scripts[name] = true
	}
	c.readRepositories(src, content.Repositories)
	if err := c.readLock(src); err != nil {
		return c, err
	}
	c.readVersion(content.Config)
	return c, nil
}

func (l loose) text(name string) (value string) {
	_ = json.Unmarshal(l[name], &value) // what is no text says nothing
	return value
}

func (c *composer) readVersion(config loose) {
	var pinned struct {
		PHP string `json:"php"`
	}
	_ = json.Unmarshal(config["platform"], &pinned) // it may be a list, which pins nothing
	c.version, c.from = c.needs["php"], composerFile+" require.php"
	if c.version == "" && pinned.PHP != "" {
		c.version, c.from = pinned.PHP, composerFile+" config.platform.php"
	}
}

func (c *composer) readLock(src *source.Tree) error {
	text, err := src.Read(lockFile, maxLock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var lock lockText
	if err := source.Decode(lockFile, text, &lock); err != nil {
		return err
	}
	c.locked = true
	c.files = append(c.files, src.Trail(lockFile)...)
	for _, p := range lock.Packages {
		for name := range p.Require {
			c.deep[strings.ToLower(name)] = true
		}
	}
	return nil
}

// readRepositories finds packages that lie in the tree, and those that come from servers of the app's own.
func (c *composer) readRepositories(src *source.Tree, text json.RawMessage) {
	for _, r := range repositories(text) {
		switch r.Type {
		case "path", "artifact":
			dir, _, _ := strings.Cut(r.URL, "*")
			dir, ok := source.Inside("", strings.TrimSuffix(dir, "/"))
			c.whole = c.whole || !ok || dir == "" || !src.HasDir(dir) && !src.HasDir(path.Dir(dir))
			c.files = append(c.files, dir+"/")
		case "":
		default:
			c.private = true
		}
	}
}

type repository struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// repositories are a list or an object; what turns the public one off is no object.
func repositories(text json.RawMessage) (list []repository) {
	var named map[string]json.RawMessage
	var all []json.RawMessage
	if json.Unmarshal(text, &named) == nil {
		for _, name := range slices.Sorted(maps.Keys(named)) {
			all = append(all, named[name])
		}
	} else {
		_ = json.Unmarshal(text, &all) // Composer says what is wrong with it
	}
	for _, one := range all {
		var r repository
		if json.Unmarshal(one, &r) == nil {
			list = append(list, r)
		}
	}
	return list
}

func (c composer) requires(name string) bool {
	_, ok := c.needs[name]
	return ok
}

// packages tells whether there is something to fetch: a name without a slash is of the platform.
func (c composer) packages() bool {
	for name := range c.needs {
		if strings.Contains(name, "/") {
			return true
		}
	}
	return false
}

func (c composer) toolchain() plan.Toolchain {
	t := plan.Toolchain{Name: "php"}
	if c.version == "" {
		return t
	}
	t.Version, t.From = newest, c.from
	if !allows(c.version, newest) {
		t.Version = short(c.version)
	}
	return t
}

func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most]
	}
	return text
}

// extensions are the Debian packages of what the app requires and PHP does not have from the start. What only a
// package of the lock asks for is left to Composer if nobody packages it.
func (c composer) extensions() (packages []string, err error) {
	for name := range c.needs {
		extension, ok := strings.CutPrefix(name, "ext-")
		if !ok {
			continue
		}
		pkg, known := extensionPackage(extension)
		if !known {
			return nil, platform.Errorf(platform.Failed, "composer.json requires ext-%.40s, which Debian has no package of", extension).
				WithHint("remove it from require, or use a package that does the same in PHP")
		}
		packages = append(packages, pkg)
	}
	for name := range c.deep {
		if extension, ok := strings.CutPrefix(name, "ext-"); ok {
			pkg, _ := extensionPackage(extension)
			packages = append(packages, pkg)
		}
	}
	packages = slices.DeleteFunc(packages, func(p string) bool { return p == "" })
	return slices.Compact(slices.Sorted(slices.Values(packages))), nil
}
