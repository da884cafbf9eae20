package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"ustack/ippkt"
	"ustack/stack/link"
)

// smallMTU is a link whose own MTU is 1500 and that lets larger packets in.
type smallMTU struct{ *link.Memory }

func (smallMTU) MTU() int { return 1500 }

func newSmallWire(t *testing.T) *wire {
	near, far := link.Pair(link.PairConfig{MTU: 65535})
	return &wire{t: t, s: newStack(t, smallMTU{near}, addrB4, addrB6), far: far.Queues()[0], frame: link.NewFrame()}
}

// random returns octets that differ everywhere, the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

// join puts the fragments of one packet together with a buffer and nothing else, and checks each
// of them: size, flags, identification, offsets that leave neither hole nor overlap.
func join(t *testing.T, mtu int, packets [][]byte) (whole ippkt.Packet, id uint32) {
	t.Helper()
	var header, payload []byte
	for i, b := range packets {
		p, r := ippkt.Parse(b)
		last := i == len(packets)-1
		if r != ippkt.ReasonNone || len(b) > mtu || p.DontFragment || p.MoreFragments == last || p.FragOffset != len(payload) {
			t.Fatalf("fragment %d of %d: %d octets of %+v: %v", i, len(packets), len(b), p, r)
		}
		if i == 0 {
			header, id = b[:p.HeaderLen], p.ID
		} else if p.ID != id {
			t.Fatalf("identification %#x, the first one's is %#x", p.ID, id)
		}
		payload = append(payload, p.Payload...)
	}
	p, r := ippkt.Parse(append(ippkt.AppendReassembled(nil, header, len(payload), 0), payload...))
	if r != ippkt.ReasonNone {
		t.Fatalf("fragments make a bad packet: %v", r)
	}
	return p, id
}

// pieces cuts a packet as a sender with the MTU does.
func cut(t testing.TB, packet []byte, mtu int, id uint32) [][]byte {
	var all [][]byte
	err := ippkt.Fragment(nil, packet, mtu, id, func(b []byte) error {
		all = append(all, bytes.Clone(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func echoType(is6 bool) uint8 {
	if is6 {
		return ippkt.ICMP6Echo
	}
	return ippkt.ICMP4Echo
}

// checkReply fails unless p is the reply to an echo request with the data.
func checkReply(t *testing.T, p *ippkt.Packet, is6 bool, data []byte) {
	t.Helper()
	h := header(is6, 0)
	m, r := ippkt.ParseICMP(p, false)
	if r != ippkt.ReasonNone || m.Kind != ippkt.KindEchoReply || m.Arg != 0x12340007 || p.Src != h.Dst || p.Dst != h.Src {
		t.Fatalf("reply %+v, message type %d arg %#x: %v", p, m.Type, m.Arg, r)
	}
	if !bytes.Equal(m.Body, data) {
		t.Fatalf("the reply's %d octets are not the %d of the request", len(m.Body), len(data))
	}
}

// A ping of any size comes back whole, whether it came in fragments or not: in as many packets as
// the MTU makes necessary, without DF, all other replies with it.
// req: I4-03 I4-06 I6-08 RE4-01 RE4-02 V4S-11 FR6-11 P2P-12
func TestEchoFragments(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		h := header(is6, 0)
		fits := 1500 - h.Len() - ippkt.ICMPHeaderLen
		largest := 65535 - ippkt.ICMPHeaderLen
		if !is6 {
			largest -= h.Len()
		}
		for _, size := range []int{0, fits, fits + 1, fits + 8, 4000, 60000, largest} {
			synctest.Test(t, func(t *testing.T) {
				w := newSmallWire(t)
				data := random(uint64(size), size)
				request := echo(h, echoType(is6), string(data))
				for _, mtu := range []int{1280, 1500, 9000, 65535} {
					if len(request) > 65535 && mtu == 65535 {
						continue
					}
					for _, b := range cut(t, request, mtu, 77) {
						w.send(b)
					}
					all := w.recv()
					if size > fits {
						p, _ := join(t, 1500, all)
						checkReply(t, &p, is6, data)
						continue
					}
					if len(all) != 1 {
						t.Fatalf("%d packets, want 1", len(all))
					}
					p, _ := ippkt.Parse(all[0])
					checkReply(t, &p, is6, data)
					if !is6 && !p.DontFragment || p.FragHeader != 0 { // FR6-12
						t.Errorf("reply that fits: %+v", p)
					}
				}
				if st := w.s.Stats(); len(st.Drops) != 0 {
					t.Errorf("drops: %v", st.Drops)
				}
			})
		}
	}
}
