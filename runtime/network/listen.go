package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// The kernel's side of nfnetlink_log (include/uapi/linux/netfilter/nfnetlink_log.h): a socket binds a group,
// and gets a message for each packet that a rule logs to it.
const (
	logPacket    = 0 // NFULNL_MSG_PACKET
	logConfigure = 1 // NFULNL_MSG_CONFIG

	logCommand   = 1 // NFULA_CFG_CMD
	logMode      = 2 // NFULA_CFG_MODE
	logTimeout   = 4 // NFULA_CFG_TIMEOUT
	logThreshold = 5 // NFULA_CFG_QTHRESH
	logBind      = 1 // NFULNL_CFG_CMD_BIND
	logMetaOnly  = 1 // NFULNL_COPY_META

	logOutDevice = 5 // NFULA_IFINDEX_OUTDEV
)

// listenAtDoors binds a group of this platform's own. The same platform gets the same number as long as it is
// free, so that the table of a predecessor goes on.
func (n *Network) listenAtDoors() error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("listen at doors: %w", err)
	}
	for try := range uint32(logTries) {
		n.bell.logGroup = uint16(firstLogGroup + (n.firstGroupTried()+try)%logGroups)
		if err = bindLog(conn, n.bell.logGroup); err == nil {
			n.hearKnocks(conn)
			return nil
		}
	}
	return errors.Join(fmt.Errorf("listen at doors: %w", err), conn.Close())
}

// bindLog asks for every packet at once, without its content.
func bindLog(conn *netlink.Conn, group uint16) error {
	word := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	for _, a := range []netlink.Attribute{
		{Type: logCommand, Data: []byte{logBind}},
		{Type: logMode, Data: append(word(0), logMetaOnly, 0)},
		{Type: logThreshold, Data: word(1)},
		{Type: logTimeout, Data: word(0)},
	} {
		attributes, err := netlink.MarshalAttributes([]netlink.Attribute{a})
		if err != nil {
			return err
		}
		_, err = conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_ULOG<<8 | logConfigure, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, byte(group >> 8), byte(group)}, attributes...),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hearKnocks rings for whom packets are, until Close.
func (n *Network) hearKnocks(conn *netlink.Conn) {
	n.work.Go(func() {
		<-n.closed
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	})
	n.work.Go(func() {
		defer func() { _ = conn.Close() }()
		for {
			messages, err := conn.Receive()
			if errors.Is(err, unix.ENOBUFS) { // some were missed: anybody may have been meant
				n.ringAll()
				continue
			}
			if err != nil {
				return
			}
			for _, m := range messages {
				if app, ok := n.calledBy(m); ok {
					n.ring(app)
				}
			}
		}
	})
}

// calledBy tells for which sleeping app a logged packet is.
func (n *Network) calledBy(m netlink.Message) (app platform.AppName, ok bool) {
	const head = 4 // struct nfgenmsg
	if m.Header.Type != unix.NFNL_SUBSYS_ULOG<<8|logPacket || len(m.Data) < head {
		return "", false
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[head:])
	if err != nil {
		return "", false
	}
	attributes.ByteOrder = binary.BigEndian
	for attributes.Next() {
		if attributes.Type() == logOutDevice {
			return n.dozerAt(attributes.Uint32())
		}
	}
	return "", false
}

func (n *Network) dozerAt(index uint32) (app platform.AppName, ok bool) {
	device, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return "", false
	}
	number, ok := n.number(device.Name)
	if !ok {
		return "", false
	}
	who, ok := n.people.who(number)
	n.bell.mu.Lock()
	defer n.bell.mu.Unlock()
	_, dozes := n.bell.dozing[who.App]
	return who.App, ok && dozes
}

func (n *Network) ringAll() {
	n.bell.mu.Lock()
	var all []platform.AppName
	for app := range n.bell.dozing {
		all = append(all, app)
	}
	n.bell.mu.Unlock()
	for _, app := range all {
		n.ring(app)
	}
}
