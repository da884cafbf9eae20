package stack

import (
	"testing"
	"testing/synctest"

	"ustack/ippkt"
	"ustack/tcpseg"
)

// tooBig is a router's Packet Too Big about a packet of ours.
func tooBig(is6 bool, packet []byte, mtu int) []byte {
	p, _ := ippkt.Parse(packet)
	h := ippkt.Header{Src: p.Dst, Dst: p.Src, TTL: 64}
	m := ippkt.ICMP{Type: ippkt.ICMP4Unreachable, Code: ippkt.ICMP4CodeFragNeeded, Arg: uint32(mtu), Body: packet[:p.HeaderLen+8]}
	if is6 {
		m.Type, m.Code = ippkt.ICMP6PacketTooBig, 0
	}
	return ippkt.AppendICMP(nil, &h, &m)
}

// largest returns the length of the largest of packets.
func largest(packets [][]byte) (n int) {
	for _, p := range packets {
		n = max(n, len(p))
	}
	return n
}

// A path that is narrower than the link: what was too large is sent again, other connections to the same destination
// heed it too, new ones from the start, and the MSS we advertise stays.
// req: PMTU-02 PMTU-03 PMTU-05 PMTU-07 PMTU-09
func TestPathMTU(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			one, p := w.acceptedMSS(is6, 4001, 1400)
			two, _ := w.acceptedMSS(is6, 4002, 1400)
			one.Write(make([]byte, 4000))
			data := w.recv()
			if n := largest(data); n < 1400 {
				t.Fatalf("largest packet %d", n)
			}
			forged := append([]byte(nil), data[0]...)
			forged[p.h.Len()+5]++ // a sequence number far off
			w.send(tooBig(is6, forged, 1290))
			w.send(tooBig(is6, data[0], 60)) // below any floor
			w.send(tooBig(is6, data[0], 9000))
			w.silence()
			w.send(tooBig(is6, data[0], 1290))
			again := w.recv()
			if n := largest(again); n > 1290 || len(again) < 2 {
				t.Errorf("%d packets after the router's word, the largest of %d", len(again), n)
			}
			two.Write(make([]byte, 4000))
			if n := largest(w.recv()); n > 1290 {
				t.Errorf("another connection sent %d octets", n)
			}
			three, _ := w.acceptedMSS(is6, 4003, 1400)
			three.Write(make([]byte, 4000))
			if n := largest(w.recv()); n > 1290 {
				t.Errorf("a new connection sent %d octets", n)
			}
		})
	}
}

// A router's word about what has been acknowledged meanwhile, or about a flow that we do not have, is not heeded.
// req: PMTU-10
func TestStalePathMTU(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			c, p := w.acceptedMSS(is6, 4001, 1400)
			c.Write(make([]byte, 4000))
			data := w.recv()
			p.ack = p.ack.Add(4000)
			p.send(tcpseg.ACK, "")
			stranger := append([]byte(nil), data[0]...)
			stranger[p.h.Len()+1]++ // its source port
			w.send(tooBig(is6, data[0], 1290))
			w.send(tooBig(is6, stranger, 1290))
			w.silence()
			c.Write(make([]byte, 4000))
			if n := largest(w.recv()); n < 1400 {
				t.Errorf("the largest packet has %d octets after a stale word", n)
			}
		})
	}
}

// Old routers do not tell: then the next smaller of the usual sizes is tried.
// req: PMTU-06
func TestPlateau(t *testing.T) {
	q := ippkt.Quote{Length: 1500}
	for _, want := range []int{1492, 1006, 552} {
		got := nextHop(&ippkt.ICMP{Version: 4}, &q)
		if got != want {
			t.Errorf("from %d octets to %d, want %d", q.Length, got, want)
		}
		q.Length = got
	}
}
