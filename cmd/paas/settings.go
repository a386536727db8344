package main

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"net"
	"os"
	"strconv"

	"github.com/BurntSushi/toml"

	"paas/platform"
)

const defaultConfig = "/etc/paas/paas.toml"

// settings are the daemon's own; the file gives what no flag does.
type settings struct {
	Data   string `toml:"data"`
	HTTP   string `toml:"http"`
	SSH    string `toml:"ssh"`
	Domain string `toml:"domain"`
	Subnet string `toml:"subnet"`

	DiskBudget   string `toml:"disk_budget"`  // of layers and build caches, like "20GB" or "30%"; empty: half the disk
	CacheBudget  string `toml:"cache_budget"` // of build caches among them; empty: 10 %, at most 10 GiB
	DiskReserve  string `toml:"disk_reserve"` // of the disk, which no build may take; empty: 5 %, at most 2 GiB
	KeepReleases int    `toml:"keep_releases"`
	Buildpacks   string `toml:"buildpacks"` // directory whose git repositories are buildpacks for file:// URLs; empty: none
	file         string

	Bases map[string]string `toml:"bases"` // what FROM of a Dockerfile means by a name

	Clients clientLimits `toml:"clients"`
}

// readSettings reads flags, then the configuration file, then defaults.
func readSettings(name string, args []string, env environ, more func(*flag.FlagSet)) (settings, error) {
	var s settings
	set := newFlags(name)
	set.StringVar(&s.Data, "data", "", "directory that holds everything (default "+defaultData+")")
	set.StringVar(&s.HTTP, "http", "", "address of the HTTP router (default :80)")
	set.StringVar(&s.SSH, "ssh", "", "address of the SSH server (default :2222)")
	set.StringVar(&s.Domain, "domain", "", "apps answer at APP.DOMAIN (default localhost)")
	set.StringVar(&s.Subnet, "subnet", "", "addresses of instances, like 10.99.0.0/16 (default: a free one)")
	set.StringVar(&s.DiskBudget, "disk-budget", "", "what images and build caches may take, like 20GB or 30% (default 50%)")
	set.StringVar(&s.CacheBudget, "cache-budget", "", "what build caches may take of it (default 10%, at most 10GB)")
	set.StringVar(&s.DiskReserve, "disk-reserve", "", "what builds and images leave free (default 5%, at most 2GB)")
	set.IntVar(&s.KeepReleases, "keep-releases", 0, "how many releases of an app can be rolled back to (default 10)")
	set.StringVar(&s.Buildpacks, "buildpacks", "", "directory of git repositories that apps may use as buildpacks by file:// URLs (default: none)")
	set.StringVar(&s.file, "config", "", "configuration file (default "+defaultConfig+" when it is there)")
	if more != nil {
		more(set)
	}
	if err := flags(set, args, 0, env); err != nil {
		return s, err
	}
	return s.complete()
}

// complete fills what the flags left open.
func (s settings) complete() (settings, error) {
	path := s.file
	if path == "" {
		path = defaultConfig
	}
	var file settings
	meta, err := toml.DecodeFile(path, &file)
	if errors.Is(err, fs.ErrNotExist) && s.file == "" {
		err = nil
	}
	if err != nil {
		return s, platform.Errorf(platform.Usage, "%s cannot be read: %v", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return s, platform.Errorf(platform.Usage, "%s has the unknown key %q", path, unknown[0].String()).
			WithHint("known are data, http, ssh, domain, subnet, disk_budget, cache_budget, disk_reserve, keep_releases, buildpacks, [bases] and [clients]")
	}
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	s.Bases = file.Bases
	s.Clients = file.Clients
	if _, err := s.Clients.limits(); err != nil {
		return s, err
	}
	s.Data = first(s.Data, file.Data, defaultData)
	s.HTTP = first(s.HTTP, file.HTTP, ":80")
	s.SSH = first(s.SSH, file.SSH, ":2222")
	s.Domain = first(s.Domain, file.Domain, "localhost")
	s.Subnet = first(s.Subnet, file.Subnet)
	s.DiskBudget = first(s.DiskBudget, file.DiskBudget)
	s.CacheBudget = first(s.CacheBudget, file.CacheBudget)
	s.DiskReserve = first(s.DiskReserve, file.DiskReserve)
	s.Buildpacks = first(s.Buildpacks, file.Buildpacks)
	s.KeepReleases = cmp.Or(s.KeepReleases, file.KeepReleases)
	if s.KeepReleases < 0 {
		return s, platform.Errorf(platform.Usage, "keep_releases is %d: it is a number from 1 up", s.KeepReleases)
	}
	return s, nil
}

// port is the number at the end of an address.
func port(addr net.Addr) int {
	_, text, err := net.SplitHostPort(addr.String())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(text) // the kernel's own text
	return n
}

// makeData makes the data directory, its owner's alone.
func (s settings) makeData() error {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return platform.Errorf(platform.Failed, "the data directory %s cannot be made: %v", s.Data, err)
	}
	return nil
}
