package main

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/BurntSushi/toml"

	"paas/platform"
	"paas/router/proxyproto"
)

const defaultConfig = "/etc/paas/paas.toml"

// settings are the daemon's own; the file gives what no flag does.
type settings struct {
	Data   string `toml:"data"`
	HTTP   string `toml:"http"`
	HTTPS  string `toml:"https"` // empty: :443 beside :80, else none; "off": none
	HTTP3  bool   `toml:"http3"` // over QUIC, on the port of HTTPS
	SSH    string `toml:"ssh"`
	Domain string `toml:"domain"`
	Subnet string `toml:"subnet"`

	DiskBudget   string `toml:"disk_budget"`  // of layers and build caches, like "20GB" or "30%"; empty: half the disk
	CacheBudget  string `toml:"cache_budget"` // of build caches among them; empty: 10 %, at most 10 GiB
	DiskReserve  string `toml:"disk_reserve"` // of the disk, which no build may take; empty: 5 %, at most 2 GiB
	KeepReleases int    `toml:"keep_releases"`
	SessionWait  string `toml:"session_wait"` // of a handover for pushes and commands, like "10m"
	DrainWait    string `toml:"drain_wait"`   // for clients' connections after it
	SSHIdle      string `toml:"ssh_idle"`     // after which an SSH connection without a session ends, and a session that waits for its client

	PortsAddress      string `toml:"ports_address"`       // of this host, on which mapped ports are; empty: that of HTTP
	HTTPProxyProtocol string `toml:"http_proxy_protocol"` // networks whose connections begin with a PROXY protocol header; empty: none
	HostStorage       string `toml:"host_storage"`        // directory of this host below which admins may mount directories into apps; empty: none
	Buildpacks        string `toml:"buildpacks"`          // directory whose git repositories are buildpacks for file:// URLs; empty: none
	file              string
	httpsAsked        bool // somebody wrote where HTTPS is to be served

	Bases map[string]string `toml:"bases"` // what FROM of a Dockerfile means by a name
}

// readSettings reads flags, then the configuration file, then defaults.
func readSettings(name string, args []string, env environ, more func(*flag.FlagSet)) (settings, error) {
	var s settings
	set := newFlags(name)
	set.StringVar(&s.Data, "data", "", "directory that holds everything (default "+defaultData+")")
	set.StringVar(&s.HTTP, "http", "", "address of the HTTP router (default :80)")
	set.StringVar(&s.HTTPS, "https", "", "address of HTTPS, or off (default :443 when http is on port 80, else off)")
	set.BoolVar(&s.HTTP3, "http3", false, "serve HTTP/3 too, on the UDP port of HTTPS")
	set.StringVar(&s.SSH, "ssh", "", "address of the SSH server (default :2222)")
	set.StringVar(&s.Domain, "domain", "", "apps answer at APP.DOMAIN (default localhost)")
	set.StringVar(&s.Subnet, "subnet", "", "addresses of instances, like 10.99.0.0/16 (default: a free one)")
	set.StringVar(&s.DiskBudget, "disk-budget", "", "what images and build caches may take, like 20GB or 30% (default 50%)")
	set.StringVar(&s.CacheBudget, "cache-budget", "", "what build caches may take of it (default 10%, at most 10GB)")
	set.StringVar(&s.DiskReserve, "disk-reserve", "", "what builds and images leave free (default 5%, at most 2GB)")
	set.IntVar(&s.KeepReleases, "keep-releases", 0, "how many releases of an app can be rolled back to (default 10)")
	set.StringVar(&s.Buildpacks, "buildpacks", "", "directory of git repositories that apps may use as buildpacks by file:// URLs (default: none)")
	set.StringVar(&s.HostStorage, "host-storage", "", "directory below which admins may mount directories of this host into apps (default: none)")
	set.StringVar(&s.SessionWait, "session-wait", "", "how long a handover waits for pushes and commands that run (default 10m)")
	set.StringVar(&s.DrainWait, "drain-wait", "", "how long clients' connections may last after a handover (default 5m)")
	set.StringVar(&s.SSHIdle, "ssh-idle", "", "how long an SSH connection may say nothing; run and what follows logs may (default 60m)")
	set.StringVar(&s.PortsAddress, "ports-address", "", "address of this host on which mapped ports are (default: that of --http)")
	set.StringVar(&s.HTTPProxyProtocol, "http-proxy-protocol", "", "balancers whose HTTP connections begin with a PROXY protocol header, like 10.0.0.0/8,192.0.2.1 (default: none)")
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
			WithHint("known are data, http, https, http3, ssh, domain, subnet, disk_budget, cache_budget, disk_reserve, keep_releases, buildpacks, host_storage, session_wait, drain_wait, ssh_idle, ports_address, http_proxy_protocol and [bases]")
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
	s.Data = first(s.Data, file.Data, defaultData)
	s.HTTP = first(s.HTTP, file.HTTP, ":80")
	s.HTTPS = first(s.HTTPS, file.HTTPS)
	s.HTTP3 = s.HTTP3 || file.HTTP3
	s.httpsAsked = s.HTTPS != ""
	s.HTTPS = first(s.HTTPS, s.usualHTTPS())
	s.SSH = first(s.SSH, file.SSH, ":2222")
	s.Domain = first(s.Domain, file.Domain, "localhost")
	s.Subnet = first(s.Subnet, file.Subnet)
	s.DiskBudget = first(s.DiskBudget, file.DiskBudget)
	s.CacheBudget = first(s.CacheBudget, file.CacheBudget)
	s.DiskReserve = first(s.DiskReserve, file.DiskReserve)
	s.Buildpacks = first(s.Buildpacks, file.Buildpacks)
	s.HostStorage = first(s.HostStorage, file.HostStorage)
	if s.HostStorage != "" && (!filepath.IsAbs(s.HostStorage) || filepath.Clean(s.HostStorage) == "/") {
		return s, platform.Errorf(platform.Usage, "host_storage is %q: it is an absolute path, and not all of the host", s.HostStorage)
	}
	s.KeepReleases = cmp.Or(s.KeepReleases, file.KeepReleases)
	s.SessionWait = first(s.SessionWait, file.SessionWait, "10m")
	s.DrainWait = first(s.DrainWait, file.DrainWait, "5m")
	s.SSHIdle = first(s.SSHIdle, file.SSHIdle, "60m")
	for _, text := range []string{s.SessionWait, s.DrainWait, s.SSHIdle} {
		if d, err := time.ParseDuration(text); err != nil || d < 0 {
			return s, platform.Errorf(platform.Usage, "%q is no time: write it like 90s or 10m", text)
		}
	}
	host, _, _ := net.SplitHostPort(s.HTTP) // what is wrong with it, listening says
	s.PortsAddress = first(s.PortsAddress, file.PortsAddress, host)
	s.HTTPProxyProtocol = first(s.HTTPProxyProtocol, file.HTTPProxyProtocol)
	if _, err := proxyproto.ParseNetworks(s.HTTPProxyProtocol); err != nil {
		return s, platform.Errorf(platform.Usage, "http_proxy_protocol: %v", err)
	}
	if s.KeepReleases < 0 {
		return s, platform.Errorf(platform.Usage, "keep_releases is %d: it is a number from 1 up", s.KeepReleases)
	}
	return s, nil
}

// sessionWait and drainWait were checked when the settings were read.
func (s settings) sessionWait() time.Duration { return duration(s.SessionWait) }
func (s settings) drainWait() time.Duration   { return duration(s.DrainWait) }

func (s settings) sshIdle() time.Duration { return duration(s.SSHIdle) }

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}

// noHTTPS is what --https says when there shall be none.
const noHTTPS = "off"

// usualHTTPS: who serves the world's port 80 serves its 443 too; others choose.
func (s settings) usualHTTPS() string {
	if host, port, err := net.SplitHostPort(s.HTTP); err == nil && (port == "80" || port == "http") {
		return net.JoinHostPort(host, "443")
	}
	return noHTTPS
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
