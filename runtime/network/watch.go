package network

import (
	"errors"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Other software's reload of the firewall comes in many transactions. The walls are put back at once, but
// not more often than this.
const repairRest = 200 * time.Millisecond

// watch repairs the walls as soon as somebody takes them away, until Close. It says in the
// log if it cannot; then Repair's caller is what keeps them.
func (n *Network) watch() {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err == nil {
		err = conn.JoinGroup(unix.NFNLGRP_NFTABLES)
	}
	if err != nil {
		n.log.Error("watch the firewall", "error", err)
		return
	}
	n.work.Go(func() {
		<-n.closed
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	})
	n.work.Go(func() {
		defer func() { _ = conn.Close() }()
		for n.awaitLoss(conn) {
			if err := n.Repair(); err != nil {
				n.log.Error("repair the firewall", "error", err)
			}
			n.rest(repairRest)
		}
	})
}

func (n *Network) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-n.closed:
	}
}

// awaitLoss blocks until a rule, chain or table was deleted, of whichever table: Repair finds out. It is
// false when the network closes.
func (n *Network) awaitLoss(conn *netlink.Conn) bool {
	for {
		messages, err := conn.Receive()
		if errors.Is(err, unix.ENOBUFS) { // some were missed
			return true
		}
		if err != nil {
			return false
		}
		for _, m := range messages {
			switch int(m.Header.Type) & 0xff {
			case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE:
				return true
			}
		}
	}
}

// intact counts the rules in the table. The caller holds mu.
func (n *Network) intact() bool {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	table, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: append([]byte(n.table().Name), 0)}})
	if err != nil {
		return false
	}
	rules, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, table...), // struct nfgenmsg
	})
	return err == nil && len(rules) == n.rules
}
