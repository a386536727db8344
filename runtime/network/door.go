package network

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// Every instance listens on a port of its own, which no caller can guess, so port 80 of its address leads
// there: http://web.myapp.internal works. What the table says of a number is the same whoever has it but for
// apps with a port of their own, so it is written for many numbers at a time and stays.
const doorBlock = 64 // one transaction costs the kernel milliseconds, whatever its size

// openDoors makes sure that the number's door leads to its own port.
func (n *Network) openDoors(number uint32) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.doors[number] == firstPort+uint16(number) {
		return nil
	}
	doors := map[uint32]uint16{number: uint16(firstPort + number)}
	for m := number; m < min(number+doorBlock, n.count()+firstIndex); m++ {
		if _, ok := n.doors[m]; !ok {
			doors[m] = uint16(firstPort + m)
		}
	}
	return n.setDoors(doors)
}

// moveDoor lets the number's door lead to another port.
func (n *Network) moveDoor(number uint32, port uint16) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.doors[number] == port {
		return nil
	}
	return n.setDoors(map[uint32]uint16{number: port})
}

func (n *Network) setDoors(doors map[uint32]uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	s := n.sets()
	for _, set := range []*nftables.Set{s.doors, s.doors6} {
		var old, fresh []nftables.SetElement
		for number, port := range doors {
			if before, ok := n.doors[number]; ok {
				old = append(old, n.door(set, number, before)...)
			}
			fresh = append(fresh, n.door(set, number, port)...)
		}
		if err := errors.Join(deleteElements(c, set, old), addElements(c, set, fresh)); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("open doors in nftables table %s: %w", n.table().Name, err)
	}
	for number, port := range doors {
		n.doors[number] = port
	}
	return nil
}

// door is at most one element.
func (n *Network) door(set *nftables.Set, number uint32, port uint16) []nftables.SetElement {
	a := n.addr(number)
	if set.KeyType.Name == nftables.TypeIP6Addr.Name {
		a = n.addr6(number)
	}
	if !a.IsValid() {
		return nil
	}
	return []nftables.SetElement{{Key: a.AsSlice(), Val: binaryutil.BigEndian.PutUint16(port)}}
}

// doorElements are all doors that there are.
func (n *Network) doorElements() (doors, doors6 []nftables.SetElement) {
	s := n.sets()
	for number, port := range n.doors {
		doors = append(doors, n.door(s.doors, number, port)...)
		doors6 = append(doors6, n.door(s.doors6, number, port)...)
	}
	return doors, doors6
}

// addElements and deleteElements do nothing for none, which the kernel refuses.
func addElements(c *nftables.Conn, set *nftables.Set, elements []nftables.SetElement) error {
	if len(elements) == 0 {
		return nil
	}
	return c.SetAddElements(set, elements)
}

func deleteElements(c *nftables.Conn, set *nftables.Set, elements []nftables.SetElement) error {
	if len(elements) == 0 {
		return nil
	}
	return c.SetDeleteElements(set, elements)
}
