package stack

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"ustack/stack/tcb"
)

// ListenerInfo is a listener at a moment.
type ListenerInfo struct {
	// Addr is what it listens on; an unspecified address is all of ours.
	Addr netip.AddrPort
	// BothFamilies tells that the unspecified address of IPv6 stands for that of IPv4 as well.
	BothFamilies bool
	// Waiting are connections that nobody has accepted yet, HalfOpen those whose handshake is not complete. There are
	// at most Backlog of each: what ListenConfig.Backlog says, or Config.Backlog.
	Waiting, HalfOpen, Backlog int
	// SynCookies says when SYNs are answered without a record, which HalfOpen does not count.
	SynCookies SynCookies
}

// HalfOpenInfo is a connection to one of our listeners in SYN-RECEIVED at a moment.
type HalfOpenInfo struct {
	Local, Remote netip.AddrPort
	// Resent is how often the SYN,ACK has been sent again.
	Resent int
	// Remaining is the time until it is sent once more, or the connection forgotten.
	Remaining time.Duration
}

// TimeWaitInfo is a connection in TIME-WAIT at a moment.
type TimeWaitInfo struct {
	Local, Remote netip.AddrPort
	// Remaining is the time until it is forgotten.
	Remaining time.Duration
}

// Listeners returns the listeners of the moment, in the order of their ports.
func (s *Stack) Listeners() []ListenerInfo {
	var all []ListenerInfo
	ls := &s.listeners
	ls.mu.RLock()
	for _, list := range ls.byPort {
		for _, l := range list {
			all = append(all, l.info())
		}
	}
	ls.mu.RUnlock()
	slices.SortFunc(all, func(a, b ListenerInfo) int {
		return cmp.Or(cmp.Compare(a.Addr.Port(), b.Addr.Port()), a.Addr.Compare(b.Addr))
	})
	return all
}

func (l *Listener) info() ListenerInfo {
	return ListenerInfo{
		Addr: netip.AddrPortFrom(l.host, l.port), BothFamilies: l.any4 && l.any6, SynCookies: l.cookies,
		// Who finds no place has asked for one first.
		Waiting: int(min(l.waiting.Load(), l.backlog)), HalfOpen: int(l.halfOpen.Load()), Backlog: int(l.backlog),
	}
}

// HalfOpens lists the connections to our listeners whose handshake is not complete, in no order. It does not hold up
// the stack, whatever is done with them meanwhile; those that come or go meanwhile may be in it or not.
func (s *Stack) HalfOpens() iter.Seq[HalfOpenInfo] {
	return list(s, func(sh *shard) *slab[halfOpen] { return &sh.halfOpens }, func(r *halfOpen, now tcb.Time) (HalfOpenInfo, bool) {
		if r.l == nil { // the place is free
			return HalfOpenInfo{}, false
		}
		local, remote := r.key.ends()
		return HalfOpenInfo{local, remote, r.ho.Handshake().Resent, time.Duration(max(r.ho.Deadline()-now, 0))}, true
	})
}

// TimeWaits lists the connections in TIME-WAIT as HalfOpens does. There may be tens of thousands of them.
func (s *Stack) TimeWaits() iter.Seq[TimeWaitInfo] {
	return list(s, func(sh *shard) *slab[timeWait] { return &sh.timeWaits }, func(r *timeWait, now tcb.Time) (TimeWaitInfo, bool) {
		if r.key.lport == 0 { // the place is free
			return TimeWaitInfo{}, false
		}
		local, remote := r.key.ends()
		return TimeWaitInfo{local, remote, time.Duration(max(r.tw.Deadline()-now, 0))}, true
	})
}

// maxListed is how many places of a slab are looked at before others get the shard.
const maxListed = 64

// list goes through one slab of every shard: it copies some records, lets the shard go, and hands them out. About tells
// of the record at a place, if there is one.
func list[R, I any](s *Stack, of func(*shard) *slab[R], about func(*R, tcb.Time) (I, bool)) iter.Seq[I] {
	return func(yield func(I) bool) {
		some := make([]I, 0, maxListed)
		for i := range s.table.shards {
			sh := &s.table.shards[i]
			for from, end := 0, 1; from < end; from += maxListed {
				some = some[:0]
				sh.mu.Lock()
				now := s.now() // not before a record's own
				records := of(sh)
				end = len(records.chunks) * slabChunk
				for at := from; at < min(from+maxListed, end); at++ {
					if x, ok := about(records.at(uint32(at)), now); ok {
						some = append(some, x)
					}
				}
				sh.mu.Unlock()
				for _, x := range some {
					if !yield(x) {
						return
					}
				}
			}
		}
	}
}
