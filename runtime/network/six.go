package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// Files of the kernel's IPv6 settings (Documentation/networking/ip-sysctl.rst).
const (
	conf6         = "/proc/sys/net/ipv6/conf"
	forward6File  = conf6 + "/all/forwarding"
	forward6Off   = registryDir + "/forward6-off"
	acceptIfHost  = "1" // router advertisements, unless the machine forwards
	acceptAlways  = "2"
	hostLinkLocal = "fe80::1" // what containers call the host's end of their link
)

// hasIPv6 is false where the kernel lacks it or interfaces are made without it.
func hasIPv6() bool {
	for _, name := range []string{"all", "default"} {
		if off, err := readFlag(filepath.Join(conf6, name, "disable_ipv6")); err != nil || off != "0" {
			return false
		}
	}
	return true
}

func readFlag(path string) (string, error) {
	state, err := os.ReadFile(path)
	return strings.TrimSpace(string(state)), err
}

func (n *Network) prefix6File() string { return filepath.Join(n.dir, "subnet6") }

// choosePrefix6 gives the platform a unique local prefix (RFC 4193, section 3.2: 40 random bits, then a
// subnet number, here 0), once: the choice is kept.
func (n *Network) choosePrefix6() error {
	if !hasIPv6() {
		return nil
	}
	data, err := os.ReadFile(n.prefix6File())
	if err == nil {
		n.prefix6, err = netip.ParsePrefix(strings.TrimSpace(string(data)))
		return err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	a := [16]byte{0xfd}
	_, _ = rand.Read(a[1:6]) // never fails
	n.prefix6 = netip.PrefixFrom(netip.AddrFrom16(a), 64)
	return renameio.WriteFile(n.prefix6File(), []byte(n.prefix6.String()+"\n"), 0o644)
}

// forward6 turns forwarding on, and remembers if it was off. A machine that forwards stops listening to
// router advertisements and drops the default routes it has from them, unless an interface says otherwise:
// each that listens now is told to go on, and to be a host as before. Only the switch of the whole machine
// decides what is forwarded.
func (r *registry) forward6() error {
	if state, err := readFlag(forward6File); err != nil || state != "0" {
		return ignoreMissing(err)
	}
	interfaces, err := os.ReadDir(conf6)
	if err != nil {
		return err
	}
	var hosts, listeners []string
	for _, i := range interfaces {
		dir := filepath.Join(conf6, i.Name())
		if forwards, err := readFlag(dir + "/forwarding"); err != nil || forwards != "0" || i.Name() == "all" {
			continue
		}
		hosts = append(hosts, dir)
		if accepts, err := readFlag(dir + "/accept_ra"); err == nil && accepts == acceptIfHost {
			listeners = append(listeners, dir+"/accept_ra")
		}
	}
	if err := renameio.WriteFile(forward6Off, []byte(strings.Join(listeners, "\n")), 0o644); err != nil {
		return err
	}
	errs := []error{writeFlags(listeners, acceptAlways), os.WriteFile(forward6File, []byte("1"), 0)}
	for _, dir := range hosts {
		errs = append(errs, writeFlags([]string{dir + "/forwarding"}, "0"))
	}
	return errors.Join(errs...)
}

// writeFlags leaves out interfaces that are gone.
func writeFlags(files []string, value string) error {
	var errs []error
	for _, file := range files {
		errs = append(errs, ignoreMissing(os.WriteFile(file, []byte(value), 0)))
	}
	return errors.Join(errs...)
}

// unforward6 takes back what forward6 did.
func (r *registry) unforward6() error {
	list, err := os.ReadFile(forward6Off)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was on, and is somebody else's, or there is no IPv6
	}
	if err != nil {
		return err
	}
	err = errors.Join(writeFlags([]string{forward6File}, "0"), writeFlags(strings.Fields(string(list)), acceptIfHost))
	if err != nil {
		return fmt.Errorf("turn IPv6 forwarding off: %w", err)
	}
	return os.Remove(forward6Off)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
