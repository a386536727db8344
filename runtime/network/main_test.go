package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// TestMain runs all tests in a machine of their own: new network and mount namespaces with an empty
// /run and a resolv.conf. The real host's firewall, routes and switches are never touched.
func TestMain(m *testing.M) {
	if os.Getenv("NETWORK_TEST_SANDBOX") == "" {
		os.Exit(rerun())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare sandbox:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func rerun() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), "NETWORK_TEST_SANDBOX=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig means the thread
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and Linux:", err)
		return 1
	}
	return 0
}

const testResolv = "# host\nnameserver 127.0.0.53\nnameserver 203.0.113.2\nnameserver ::1\nsearch example.test\n"

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := setResolv(testResolv); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// setResolv replaces /etc/resolv.conf, for this mount namespace only.
func setResolv(content string) error {
	if err := os.WriteFile("/run/test-resolv", []byte(content), 0o644); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	return unix.Mount("/run/test-resolv", target, "", unix.MS_BIND, "")
}

// openNetwork is a network of the given id that is destroyed after the test.
func openNetwork(t testing.TB, o Options) *Network {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	n, err := Open(o)
	check(t, err)
	t.Cleanup(func() {
		check(t, n.Close())
		n, err := Open(o) // the test may have closed it
		check(t, err)
		check(t, n.Destroy())
	})
	return n
}

// box is a process in a network namespace of its own, as a container's is.
func box(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // never unlocked: the thread must outlive the test's process
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// in runs f on a thread inside the namespace of a process. Sockets that f opens stay there.
func in[T any](t testing.TB, pid int, f func() (T, error)) T {
	t.Helper()
	v, err := tryIn(pid, f)
	check(t, err)
	return v
}

func tryIn[T any](pid int, f func() (T, error)) (v T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		var ns netns.NsHandle
		if ns, err = netns.GetFromPid(pid); err != nil {
			return
		}
		if err = netns.Set(ns); err == nil {
			v, err = f()
		}
		err = errors.Join(err, ns.Close())
	}()
	<-done
	return v, err
}

// greet serves TCP on addr inside pid's namespace (0: the host) and tells every caller its address.
func greet(t testing.TB, pid int, addr string) {
	t.Helper()
	listen := func() (net.Listener, error) { return net.Listen("tcp", addr) }
	var l net.Listener
	if pid == 0 {
		var err error
		l, err = listen()
		check(t, err)
	} else {
		l = in(t, pid, listen)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(c, c.RemoteAddr())
			_ = c.Close()
		}
	}()
}

// call dials from inside pid's namespace (0: the host) and returns what the other side says.
func call(pid int, addr string) (string, error) {
	dial := func() (string, error) {
		c, err := net.DialTimeout("tcp", addr, 400*time.Millisecond)
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		return string(buf[:n]), err
	}
	if pid == 0 {
		return dial()
	}
	return tryIn(pid, dial)
}

// outside is another machine, 203.0.113.2, that the host has its default route through. It knows the
// way to the containers' addresses.
func outside(t testing.TB) int {
	t.Helper()
	pid := box(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "up0", 1400
	up := netlink.NewVeth(attrs)
	up.PeerName, up.PeerNamespace, up.PeerMTU = "eth0", netlink.NsPid(pid), 1400
	check(t, netlink.LinkAdd(up))
	t.Cleanup(func() { check(t, netlink.LinkDel(up)) })
	check(t, errors.Join(addAddr("up0", "203.0.113.1/24"), addAddr("up0", "2001:db8::1/64"),
		route("0.0.0.0/0", "203.0.113.2"), route("::/0", "2001:db8::2")))
	in(t, pid, func() (struct{}, error) {
		return struct{}{}, errors.Join(addAddr("eth0", "203.0.113.2/24"), addAddr("eth0", "2001:db8::2/64"),
			addAddr("lo", "169.254.169.254/32"), addAddr("lo", "fd00:ec2::254/128"), addAddr("lo", "198.18.0.1/32"),
			addAddr("lo", "198.18.0.2/32"), addAddr("lo", "198.18.0.3/32"),
			route("10.0.0.0/8", "203.0.113.1"), route("fd00::/8", "2001:db8::1"), carrier("eth0"))
	})
	check(t, carrier("up0"))
	return pid
}

func carrier(iface string) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	s, err := talk(nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return awaitCarrier(s, uint32(link.Attrs().Index))
}

func addAddr(iface, addr string) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
}

func route(dst, via string) error {
	p := netip.MustParsePrefix(dst)
	to := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	return netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(via)})
}

// snapshot is all that a network could leave behind.
func snapshot(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	links, err := netlink.LinkList()
	check(t, err)
	for _, l := range links {
		_, _ = fmt.Fprintln(&b, "link", l.Attrs().Name)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	check(t, err)
	for _, r := range routes {
		_, _ = fmt.Fprintln(&b, "route", r.Dst, r.Type)
	}
	for _, name := range tables(t) {
		_, _ = fmt.Fprintln(&b, "table", name)
	}
	for _, r := range routes6(t) {
		_, _ = fmt.Fprintln(&b, "route", r)
	}
	state, err := os.ReadFile(forwardFile)
	check(t, err)
	files, err := filepath.Glob(registryDir + "/*")
	check(t, err)
	return b.String() + "forward " + string(state) + strings.Join(files, " ")
}

// routes6 leaves out what the kernel adds to every interface.
func routes6(t testing.TB) (list []string) {
	t.Helper()
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	check(t, err)
	for _, r := range routes {
		if r.Dst == nil || !r.Dst.IP.IsLinkLocalUnicast() {
			list = append(list, fmt.Sprint(r.Dst, r.Type))
		}
	}
	return list
}

// member attaches a box and gives it to an app.
func member(t testing.TB, n *Network, app platform.AppName, kind platform.ProcessType, number int) (int, Endpoint) {
	t.Helper()
	pid := box(t)
	e, err := n.Attach(pid, "waiting")
	check(t, err)
	check(t, n.Admit(e, Owner{App: app, Type: kind, Number: number, Key: string(app)}))
	boxes[e.Addr] = pid
	return pid, e
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// boxes are the processes behind addresses.
var boxes = map[netip.Addr]int{}

// nft runs the command line tool; apt-get install nftables.
func nft(t testing.TB, command string) string {
	t.Helper()
	out, err := exec.Command("nft", command).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", command, err, out)
	}
	return string(out)
}
