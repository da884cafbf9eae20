package stack

import (
	"net/netip"

	"ustack/ippkt"
)

// addresses are the host's own.
type addresses struct {
	own       map[ippkt.Addr]struct{}
	broadcast map[ippkt.Addr]struct{} // directed broadcast of our prefixes
	prefixes  []netip.Prefix          // with our address in each
}

func (a *addresses) init(list []netip.Prefix) {
	a.own = make(map[ippkt.Addr]struct{})
	a.broadcast = make(map[ippkt.Addr]struct{})
	for _, p := range list {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
		}
		a.prefixes = append(a.prefixes, p)
		a.own[ippkt.FromNetip(p.Addr())] = struct{}{}
		if p.Addr().Is4() && p.Bits() > 0 && p.Bits() < 31 { // RFC 3021: /31 has no broadcast
			a.broadcast[lastOf(p)] = struct{}{}
		}
	}
}

// lastOf returns the address of p with all host bits set.
func lastOf(p netip.Prefix) ippkt.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return ippkt.From4(b)
}

// isOwn reports whether packets to a are for us.
func (a *addresses) isOwn(x ippkt.Addr) bool {
	_, ok := a.own[x]
	return ok
}

// isBroadcast reports whether x is the broadcast address of one of our prefixes.
func (a *addresses) isBroadcast(x ippkt.Addr) bool {
	_, ok := a.broadcast[x]
	return ok
}

// validPeer reports whether x may be the other end of a connection (spec §2, MUST-46): one
// host, not us.
func (a *addresses) validPeer(x ippkt.Addr) bool {
	return x.ValidRemote() && !a.isOwn(x) && !a.isBroadcast(x)
}

// source chooses our address for talking to remote (MUST-44, the rules of RFC 6724 that a
// static configuration can need): same family, then the same scope, then the longest prefix
// that holds both. False: we have no address of the family.
func (a *addresses) source(remote ippkt.Addr) (ippkt.Addr, bool) {
	var best netip.Prefix
	score := -1
	to := remote.Netip()
	for _, p := range a.prefixes {
		if p.Addr().Is4() != to.Is4() {
			continue
		}
		s := 0
		if p.Addr().IsLinkLocalUnicast() == to.IsLinkLocalUnicast() {
			s = 1
		}
		if p.Contains(to) {
			s = 2 + p.Bits()
		}
		if s > score {
			best, score = p, s
		}
	}
	return ippkt.FromNetip(best.Addr()), score >= 0
}
