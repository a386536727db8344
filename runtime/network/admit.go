package network

import (
	"fmt"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Owner says whose an endpoint is. The zero Owner may reach the internet and nobody else, and nobody
// reaches it.
type Owner struct {
	App    platform.AppName
	Type   platform.ProcessType
	Number int    // web.1 has 1; 0 is a one-off container, which no name leads to
	Key    string // names the container for humans: the interface's alias
}

// Admit makes an attached endpoint its owner's: the walls treat it as the app's policy says, names lead to
// it, and its questions for names are answered as the app's. Call it before the container's command
// runs. It costs one netlink message: the interface gets the number of the owner's process type as its
// group, and the walls know whom that group may reach.
func (n *Network) Admit(e Endpoint, o Owner) error {
	number, ok := n.number(e.Iface)
	if !ok || n.addr(number) != e.Addr {
		return fmt.Errorf("admit %s with %s: it is no endpoint of network %s (%s)", e.Iface, e.Addr, n.id, n.subnet)
	}
	group, err := n.group(o)
	if err == nil {
		err = n.label(e, o.Key, group)
	}
	if err == nil {
		err = n.moveDoor(number, e.Port)
	}
	if err != nil {
		return fmt.Errorf("admit %s to network %s: %w", o.Key, n.id, err)
	}
	n.people.remember(number, resident{Owner: o, port: e.Port})
	return nil
}

// Adopt makes sure that an endpoint of a container that outlived a daemon is in service as its owner's. If
// its interface is gone it fails with a *platform.Error of kind NotFound.
func (n *Network) Adopt(e Endpoint, o Owner) error {
	if _, err := n.route.LinkByName(e.Iface); isNotFound(err) {
		return platform.Errorf(platform.NotFound, "the network interface %s is gone", e.Iface).Because(err)
	} else if err != nil {
		return fmt.Errorf("adopt %s: %w", e.Iface, err)
	}
	return n.Admit(e, o)
}

// maxAlias is the longest name in bytes that an interface can have for humans (IFALIASZ less one).
const maxAlias = 255

// label sets an interface's alias and group in one message.
func (n *Network) label(e Endpoint, alias string, group uint32) error {
	host, err := talk(nil)
	if err != nil {
		return fmt.Errorf("label %s: %w", e.Iface, err)
	}
	defer host.Close()
	var b batch
	b.add("label "+e.Iface, unix.RTM_SETLINK, 0, linkMessage(0), text(unix.IFLA_IFNAME, e.Iface),
		aliasOf(alias), number32(unix.IFLA_GROUP, group))
	return b.send(host)
}

func aliasOf(s string) *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(s[:min(len(s), maxAlias)]))
}

// resident is who lives at an endpoint.
type resident struct {
	Owner
	port uint16
}

// residents are who lives where.
type residents struct {
	mu sync.RWMutex
	at map[uint32]resident // by endpoint number
}

func (r *residents) remember(number uint32, who resident) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[uint32]resident{}
	}
	r.at[number] = who
}

func (r *residents) forget(number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, number)
}

func (r *residents) who(number uint32) (resident, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	who, ok := r.at[number]
	return who, ok
}

// find lists the endpoints of which the filter is true.
func (r *residents) find(filter func(resident) bool) []uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var numbers []uint32
	for number, who := range r.at {
		if filter(who) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}
