package stack

import (
	"sync/atomic"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
)

// counter is one of the stack's own counters.
type counter uint8

const (
	countPacketsIn counter = iota
	countSegsIn
	countResetsIn
	countWriteErrors
	countNotOurs
	countLand
	countMulticast
	countFragments
	countFragmentCopy
	countFragmentOverlap
	countFragmentEnd
	countFragmentMany
	countFragmentLate
	countFragmentNested
	countFragmentsOut
	countReassembled
	countReassembledBig
	countReassembledECN
	countReassemblyTimeout
	countReassemblyEvicted
	countOffload
	countProtocol
	countTCPShort
	countTCPOffset
	countTCPChecksum
	countRefused
	countBacklog
	countAcceptQueue
	countCookiesOut
	countCookiesIn
	countCookiesBad
	countFastOpen
	countFastOpenBad
	countFastOpenFull
	countMemory
	countUDPNoPort
	countEcho
	countEchoLimited
	countICMPErrors
	countICMPLimited
	countICMPForbidden
	countICMPOther
	countICMPBroadcast
	countICMPNotice
	countICMPNoFlow
	countICMPStale
	numCounters
)

// counterNames name what Stats.Counters and Stats.Drops hold.
var counterNames = [numCounters]string{
	countPacketsIn:         "packets-in",
	countSegsIn:            "tcp-segments-in",
	countResetsIn:          "tcp-resets-received",
	countWriteErrors:       "write-errors",
	countNotOurs:           "ip-not-ours",
	countLand:              "ip-own-source",
	countMulticast:         "ip-multicast",
	countFragments:         "fragments-kept",
	countFragmentCopy:      "fragment-duplicate",
	countFragmentOverlap:   "fragment-overlap",
	countFragmentEnd:       "fragment-end-contradicted",
	countFragmentMany:      "fragment-too-many",
	countFragmentLate:      "fragment-of-discarded",
	countFragmentNested:    "fragment-nested",
	countFragmentsOut:      "fragments-out",
	countReassembled:       "reassembled",
	countReassembledBig:    "reassembled-too-big",
	countReassembledECN:    "reassembled-ecn",
	countReassemblyTimeout: "reassembly-timeout",
	countReassemblyEvicted: "reassembly-evicted",
	countOffload:           "ip-offload",
	countProtocol:          "ip-protocol",
	countTCPShort:          "tcp-short",
	countTCPOffset:         "tcp-data-offset",
	countTCPChecksum:       "tcp-checksum",
	countRefused:           "tcp-resets-sent",
	countBacklog:           "listen-backlog-full",
	countAcceptQueue:       "listen-accept-queue-full",
	countCookiesOut:        "syn-cookies-sent",
	countCookiesIn:         "syn-cookies-accepted",
	countCookiesBad:        "syn-cookie-bad",
	countFastOpen:          "fast-open-accepted",
	countFastOpenBad:       "fast-open-cookie-bad",
	countFastOpenFull:      "fast-open-too-many",
	countMemory:            "listen-memory-spent",
	countUDPNoPort:         "udp-no-port",
	countEcho:              "icmp-echo-replies",
	countEchoLimited:       "icmp-echo-limited",
	countICMPErrors:        "icmp-errors-sent",
	countICMPLimited:       "icmp-errors-limited",
	countICMPForbidden:     "icmp-errors-withheld",
	countICMPOther:         "icmp-ignored",
	countICMPBroadcast:     "icmp-broadcast",
	countICMPNotice:        "icmp-errors-for-a-connection",
	countICMPNoFlow:        "icmp-errors-for-no-connection",
	countICMPStale:         "icmp-errors-stale",
}

// segmentsOut names in Stats.Counters what Stats.Sent adds up to.
const segmentsOut = "tcp-segments-out"

// isDrop tells the counters of lost or refused packets from those of work done.
func (c counter) isDrop() bool {
	switch c {
	case countPacketsIn, countSegsIn, countResetsIn, countRefused, countEcho, countICMPErrors, countICMPForbidden,
		countICMPLimited, countICMPNotice, countFragments, countFragmentsOut, countReassembled,
		countCookiesOut, countCookiesIn, countFastOpen:
		return false
	}
	return true
}

// counters of one queue, so that readers do not share a cache line. Stats adds them up.
type counters struct {
	own [numCounters]atomic.Uint64
	ip  [ippkt.NumReasons]atomic.Uint64
	tcp [tcb.NumDrops]atomic.Uint64
	// sent are the segments that were sent, by cause.
	sent [tcb.CauseReset + 1]atomic.Uint64
}

// Stats are the counters of a stack since it was made.
type Stats struct {
	// Drops are packets and segments that were refused in whole or in part, by reason. Reasons
	// that never occurred are left out.
	Drops map[string]uint64
	// Counters are the rest: packets and segments in and out, RSTs and ICMP messages sent.
	Counters map[string]uint64
	// Sent are the segments that were sent, by what tcb.Cause calls their cause; a super-segment that the device cuts
	// counts once. Causes that never occurred are left out.
	Sent map[string]uint64
	// Links are the counters of the links, in the order of Config.Links.
	Links []link.Stats
	// Conns, HalfOpen and TimeWait are flows at the moment.
	Conns, HalfOpen, TimeWait int
	// MemoryUsed and MemoryBudget are octets of queues.
	MemoryUsed, MemoryBudget int64
}

// Resent adds up what of Sent was sent before.
func (st *Stats) Resent() (n uint64) {
	for c := tcb.CauseNone; c <= tcb.CauseReset; c++ {
		if c.Resends() {
			n += st.Sent[c.String()]
		}
	}
	return n
}

// Stats returns a snapshot of the counters.
func (s *Stack) Stats() Stats {
	st := Stats{
		Drops:        make(map[string]uint64),
		Counters:     make(map[string]uint64),
		Sent:         make(map[string]uint64),
		MemoryUsed:   s.mem.used.Load(),
		MemoryBudget: s.mem.budget,
	}
	add := func(m map[string]uint64, name string, n uint64) {
		if n > 0 {
			m[name] += n
		}
	}
	for _, q := range s.queues {
		for i := range q.count.own {
			m := st.Counters
			if counter(i).isDrop() {
				m = st.Drops
			}
			add(m, counterNames[i], q.count.own[i].Load())
		}
		for i := range q.count.ip {
			add(st.Drops, ippkt.Reason(i).String(), q.count.ip[i].Load())
		}
		for i := range q.count.tcp {
			add(st.Drops, dropPrefix+tcb.Drop(i).String(), q.count.tcp[i].Load())
		}
		for i := range q.count.sent {
			n := q.count.sent[i].Load()
			add(st.Sent, tcb.Cause(i).String(), n)
			add(st.Counters, segmentsOut, n)
		}
	}
	for _, l := range s.cfg.Links {
		st.Links = append(st.Links, l.Stats())
	}
	st.Conns, st.HalfOpen, st.TimeWait = s.table.count()
	return st
}
