package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// txQueueLen is how many packets the kernel keeps for us, per device. Its default of 500 drops
// at a thousand connections, unseen by the sender.
const txQueueLen = 10_000

func (d *Device) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// existing finds a device of the wanted name. nil means that there is none.
func existing(nl *netlink.Handle, c *Config) (*netlink.Tuntap, error) {
	l, err := nl.LinkByName(c.Name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Kind: ErrSetup, Detail: "looking for " + c.Name, Err: err}
	}
	t, ok := l.(*netlink.Tuntap)
	another := "Choose another name with --tun."
	switch {
	case !ok:
		return nil, &Error{Kind: ErrNotTUN, Detail: c.Name + " exists and is a " + l.Type() + " interface", Hint: another}
	case t.Mode != netlink.TUNTAP_MODE_TUN:
		return nil, &Error{Kind: ErrNotTUN, Detail: c.Name + " exists and is a TAP interface", Hint: another}
	case t.NonPersist:
		return nil, &Error{Kind: ErrBusy, Detail: c.Name + " belongs to another program that runs now",
			Hint: "End that program (another ustack?), or choose another name with --tun."}
	case c.Queues > 1 && t.Flags&netlink.TUNTAP_MULTI_QUEUE == 0:
		return nil, &Error{Kind: ErrConfig, Detail: fmt.Sprintf("%s was made for one queue, %d are wanted", c.Name, c.Queues),
			Hint: "Make it again with: ip tuntap add " + c.Name + " mode tun multi_queue"}
	}
	return t, nil
}

// worthPlain reports whether a plain device may work where virtio failed with err.
func worthPlain(m Mode, err error) bool {
	return m == Auto && (errors.Is(err, ErrNoVirtio) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY))
}

// conflicts looks for interfaces that have our addresses, or get our packets.
func (d *Device) conflicts(c *Config) error {
	if err := d.addrConflicts(c); err != nil {
		return err
	}
	for _, p := range c.prefixes() {
		if err := d.routeConflicts(c.Name, p.Masked()); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) addrConflicts(c *Config) error {
	ours := slices.Clone(c.Addrs)
	for _, p := range c.prefixes() {
		ours = append(ours, p.Addr())
	}
	addrs, err := d.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return &Error{Kind: ErrSetup, Detail: "listing addresses", Err: err}
	}
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		name := d.linkName(a.LinkIndex)
		host := ip.Unmap() == c.HostAddr.Addr() || ip.Unmap() == c.HostAddr6.Addr()
		if !slices.Contains(ours, ip.Unmap()) || host && name == c.Name {
			continue
		}
		return &Error{Kind: ErrAddrInUse, Detail: fmt.Sprintf("%v belongs to %s", ip.Unmap(), name),
			Hint: "Choose other addresses with --host-addr and --addr (--host-addr6 and --addr6)."}
	}
	return nil
}

// routeConflicts refuses a prefix of which another interface has a route to the same or to a
// part: packets for the stack would go there. A wider route is none of our business.
func (d *Device) routeConflicts(name string, p netip.Prefix) error {
	family := netlink.FAMILY_V6
	if p.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	routes, err := d.nl.RouteList(nil, family)
	if err != nil {
		return &Error{Kind: ErrSetup, Detail: "listing routes", Err: err}
	}
	for _, r := range routes {
		if r.Dst == nil || r.LinkIndex == 0 {
			continue
		}
		ip, _ := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		via := d.linkName(r.LinkIndex)
		if bits < p.Bits() || !p.Contains(ip.Unmap()) || via == name {
			continue
		}
		return &Error{Kind: ErrRouteInUse, Detail: fmt.Sprintf("%v goes to %s already (route %v)", p, via, r.Dst),
			Hint: "Choose another network with --host-addr and --addr (--host-addr6 and --addr6)."}
	}
	return nil
}

func (d *Device) linkName(index int) string {
	l, err := d.nl.LinkByIndex(index)
	if err != nil {
		return fmt.Sprintf("interface %d", index)
	}
	return l.Attrs().Name
}

// configure gives the interface its settings and addresses and brings it up. Everything is
// looked at first and changed only if it differs: the owner of a persistent device may open it,
// but not configure it, and needs no right to do so if it is as it should be.
func (d *Device) configure(c *Config) error {
	l, err := d.nl.LinkByName(d.name)
	if err != nil {
		return &Error{Kind: ErrSetup, Detail: "looking for " + d.name, Err: err}
	}
	attrs := l.Attrs()
	d.index, d.mtu = attrs.Index, attrs.MTU
	if attrs.Statistics != nil {
		d.drops0 = attrs.Statistics.TxDropped
	}
	d.beQuiet(l)
	d.setTxQueueLen(l)
	if err := d.setMTU(l, c); err != nil {
		return err
	}
	for _, q := range d.ends {
		q.mtu = d.mtu
	}
	if err := d.setUp(l); err != nil {
		return err
	}
	for _, p := range c.prefixes() {
		if err := d.addAddr(l, p); err != nil {
			return err
		}
	}
	return nil
}

// beQuiet keeps the kernel from sending on its own account: the first packet shall be the first
// of a user. What is refused stays noisy and harms nothing.
func (d *Device) beQuiet(l netlink.Link) {
	flags := l.Attrs().RawFlags
	if flags&unix.IFF_MULTICAST != 0 && d.nl.LinkSetMulticastOff(l) == nil {
		d.onRestore(func() error { return d.nl.LinkSetMulticastOn(l) })
	}
	if d.made {
		d.forgetGroups(l)
	}
	mode := d.addrGenMode()
	if flags&unix.IFF_UP == 0 && d.nl.LinkSetIP6AddrGenMode(l, nl6AddrGenNone) == nil {
		d.onRestore(func() error { return d.nl.LinkSetIP6AddrGenMode(l, mode) })
	}
	if flags&unix.IFF_NOARP == 0 && d.nl.LinkSetARPOff(l) == nil {
		d.onRestore(func() error { return d.nl.LinkSetARPOn(l) })
	}
}

// addrGenMode is how the kernel would make a link-local address; netlink does not tell.
func (d *Device) addrGenMode() int {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + d.name + "/addr_gen_mode")
	if err != nil {
		return nl6AddrGenEUI64
	}
	mode, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nl6AddrGenEUI64
	}
	return mode
}

// forgetGroups makes the kernel set up IPv6 on the interface anew, now that multicast is off: on
// a system that forwards IPv6 a new interface is in the group of all routers, and tells the link
// so. An MTU too small for IPv6 takes it down.
func (d *Device) forgetGroups(l netlink.Link) {
	if d.nl.LinkSetMTU(l, minMTU6-1) == nil {
		d.nl.LinkSetMTU(l, l.Attrs().MTU) // what was valid a moment ago
	}
}

// Values of IFLA_INET6_ADDR_GEN_MODE (linux/if_link.h).
const (
	nl6AddrGenEUI64 = 0 // the default
	nl6AddrGenNone  = 1
)

func (d *Device) setTxQueueLen(l netlink.Link) {
	old := l.Attrs().TxQLen
	if old >= txQueueLen {
		return
	}
	if err := d.nl.LinkSetTxQLen(l, txQueueLen); err != nil {
		d.note("txqueuelen stays at %d (%v): the kernel may drop packets to us under load", old, err)
		return
	}
	d.onRestore(func() error { return d.nl.LinkSetTxQLen(l, old) })
}

func (d *Device) setMTU(l netlink.Link, c *Config) error {
	old := l.Attrs().MTU
	if c.MTU != 0 && c.MTU != old {
		switch err := d.nl.LinkSetMTU(l, c.MTU); {
		case err == nil:
			d.mtu = c.MTU
			d.onRestore(func() error { return d.nl.LinkSetMTU(l, old) })
		case errors.Is(err, unix.EPERM):
			d.note("the MTU stays at %d: changing it needs root", old)
		default:
			return &Error{Kind: ErrSetup, Detail: fmt.Sprintf("setting the MTU of %s to %d", d.name, c.MTU), Err: err}
		}
	}
	if d.mtu < minMTU || d.mtu < minMTU6 && c.HostAddr6.IsValid() {
		return configError("%s has an MTU of %d: IPv4 needs 68, IPv6 1280", d.name, d.mtu)
	}
	return nil
}

func (d *Device) setUp(l netlink.Link) error {
	if l.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := d.nl.LinkSetUp(l); err != nil {
		return d.setupError("bringing up "+d.name, err, "sudo ip link set "+d.name+" up")
	}
	d.onRestore(func() error { return d.nl.LinkSetDown(l) })
	return nil
}

// addAddr gives the interface an address, usable at once: there is nobody on the link to detect
// a duplicate with.
func (d *Device) addAddr(l netlink.Link, p netip.Prefix) error {
	family := netlink.FAMILY_V4
	if p.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	have, err := d.nl.AddrList(l, family)
	if err != nil {
		return &Error{Kind: ErrSetup, Detail: "listing addresses", Err: err}
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	for _, h := range have {
		if h.IPNet.String() == a.IPNet.String() {
			return nil
		}
	}
	if family == netlink.FAMILY_V6 {
		a.Flags = unix.IFA_F_NODAD
	}
	err = d.nl.AddrAdd(l, a)
	switch {
	case err == nil:
		d.onRestore(func() error { return d.nl.AddrDel(l, a) })
		d.awaitLocal(p.Addr())
	case family == netlink.FAMILY_V6 && noIPv6(err):
		d.note("IPv6 is disabled on this system (%v): going on with IPv4 only", err)
	default:
		return d.setupError(fmt.Sprintf("giving %v to %s", p, d.name), err, fmt.Sprintf("sudo ip addr add %v dev %s", p, d.name))
	}
	return nil
}

// awaitLocal waits until the kernel takes packets for its new address. For IPv6 a work queue of
// the kernel makes the local route a moment after the address, without DAD too; what we send
// before would be dropped as misdirected.
func (d *Device) awaitLocal(a netip.Addr) {
	for range 1000 {
		routes, err := d.nl.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
		time.Sleep(time.Millisecond)
	}
	d.note("%v is not reachable yet", a)
}

// noIPv6 recognises how the kernel says that IPv6 is off: no module, or disable_ipv6.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EACCES)
}

func (d *Device) setupError(what string, err error, command string) error {
	if errors.Is(err, unix.EPERM) {
		return &Error{Kind: ErrNotPermitted, Detail: what + " needs CAP_NET_ADMIN", Err: err,
			Hint: "Run it as root, or do that part once as root: " + command}
	}
	return &Error{Kind: ErrSetup, Detail: what, Err: err}
}

// onRestore registers how to undo a change on a device that outlives us.
func (d *Device) onRestore(undo func() error) {
	if !d.made {
		d.undo = append(d.undo, undo)
	}
}

// restore undoes in reverse order. A process that has dropped its privileges cannot, and leaves
// a device that works all the same.
func (d *Device) restore() error {
	var errs []error
	for _, undo := range slices.Backward(d.undo) {
		if err := undo(); err != nil && !errors.Is(err, fs.ErrPermission) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
