package network

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"paas/platform"
)

// Every process type of an app has a number for good, which its interfaces carry as their group. Other
// software on the host that uses interface groups takes low numbers.
const (
	noGroup    = 0         // the kernel's default: nobody's
	endedGroup = 1<<20 - 1 // of interfaces whose container has ended
	firstGroup = 1 << 20
)

// groups are the numbers that were given, by "app/type".
type groups map[string]uint32

func groupName(o Owner) string { return string(o.App) + "/" + string(o.Type) }

// ofApp lists the numbers of an app's process type, or of all its types if it is "".
func (g groups) ofApp(app platform.AppName, kind platform.ProcessType) []uint32 {
	var list []uint32
	for name, number := range g {
		owner, t, _ := strings.Cut(name, "/")
		if owner == string(app) && (kind == "" || t == string(kind)) {
			list = append(list, number)
		}
	}
	return list
}

// apps lists whose numbers there are.
func (g groups) apps() []platform.AppName {
	seen := map[platform.AppName]bool{}
	for name := range g {
		app, _, _ := strings.Cut(name, "/")
		seen[platform.AppName(app)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// pairs are the keys under which the walls find that app reaches what the link says.
func (g groups) pairs(app platform.AppName, l platform.Link) [][]byte {
	var list [][]byte
	for _, from := range g.ofApp(app, "") {
		for _, to := range g.ofApp(l.To, l.Type) {
			list = append(list, append(groupBytes(from), groupBytes(to)...))
		}
	}
	return list
}

func (g groups) next() uint32 {
	number := uint32(firstGroup)
	for _, taken := range g {
		number = max(number, taken+1)
	}
	return number
}

func groupNumber(key []byte) uint32 { return binary.NativeEndian.Uint32(key) }

// group is the number of the owner's process type. The first endpoint of a type makes it, and the walls are
// told: that costs milliseconds, once.
func (n *Network) group(o Owner) (uint32, error) {
	if o.App == "" {
		return noGroup, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, ok := n.groups[groupName(o)]; ok {
		return number, nil
	}
	number := n.groups.next()
	n.groups[groupName(o)] = number
	if err := n.saveGroups(); err != nil {
		delete(n.groups, groupName(o))
		return 0, fmt.Errorf("number %s: %w", groupName(o), err)
	}
	return number, n.rebuild()
}

// dropGroups forgets the numbers of apps that have neither a policy nor an endpoint. The caller holds mu.
func (n *Network) dropGroups() error {
	before := len(n.groups)
	maps.DeleteFunc(n.groups, func(name string, _ uint32) bool {
		app, _, _ := strings.Cut(name, "/")
		_, known := n.policies[platform.AppName(app)]
		return !known && len(n.people.find(func(r resident) bool { return string(r.App) == app })) == 0
	})
	if len(n.groups) == before {
		return nil
	}
	return n.saveGroups()
}

func (n *Network) groupFile() string { return filepath.Join(n.dir, "network-groups.json") }

func (n *Network) saveGroups() error {
	data, err := json.Marshal(n.groups)
	if err != nil {
		return err
	}
	return renameio.WriteFile(n.groupFile(), data, 0o600)
}

func (n *Network) loadGroups() error {
	n.groups = groups{}
	data, err := os.ReadFile(n.groupFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &n.groups); err != nil {
		return fmt.Errorf("%s: %w", n.groupFile(), err)
	}
	return nil
}
