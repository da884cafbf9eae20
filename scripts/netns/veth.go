package netns

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// End is one end of a cable: a device, and its address with the prefix, such as 10.90.0.1/24.
type End struct{ Device, Addr string }

// Join connects the namespace of this thread with far by a veth pair, as containers are.
func Join(near End, far *Namespace, farEnd End) error {
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: near.Device},
		PeerName:      farEnd.Device,
		PeerNamespace: netlink.NsFd(far.Fd()),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	if err := near.Up(); err != nil {
		return err
	}
	return far.Do(farEnd.Up)
}

// Up gives the device its address, in the namespace of this thread, and brings it up.
func (e End) Up() error {
	l, err := netlink.LinkByName(e.Device)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(e.Addr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return fmt.Errorf("give %s to %s: %w", e.Addr, e.Device, err)
	}
	return netlink.LinkSetUp(l)
}
