package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// smallMTU is a link whose own MTU is 1500 and that lets larger packets in.
type smallMTU struct{ *link.Memory }

func (smallMTU) MTU() int { return 1500 }

func newSmallWire(t *testing.T) *wire {
	near, far := link.Pair(link.PairConfig{MTU: 65535})
	return newWireOn(t, smallMTU{near}, far)
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

// cut makes fragments of a packet as a sender with the MTU does.
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

// sendAll sends packets and returns what came back.
func (w *wire) sendAll(packets [][]byte) [][]byte {
	w.t.Helper()
	for _, b := range packets {
		w.send(b)
	}
	return w.recv()
}

// only fails unless these drops, each once, are all there are.
func (w *wire) only(drops ...string) {
	w.t.Helper()
	st := w.s.Stats()
	for _, d := range drops {
		if st.Drops[d] != 1 {
			w.t.Errorf("drops are %v, want one %s", st.Drops, d)
		}
	}
	if len(st.Drops) != len(drops) {
		w.t.Errorf("drops are %v, want %v", st.Drops, drops)
	}
}

// message returns the ICMP message that is all that was sent.
func (w *wire) message(packets [][]byte) (ippkt.Packet, ippkt.ICMP) {
	w.t.Helper()
	if len(packets) != 1 {
		w.t.Fatalf("%d packets were sent, want 1", len(packets))
	}
	p, r := ippkt.Parse(packets[0])
	if r != ippkt.ReasonNone {
		w.t.Fatal(r)
	}
	m, r := ippkt.ParseICMP(&p, false)
	if r != ippkt.ReasonNone {
		w.t.Fatal(r)
	}
	return p, m
}

// A fragment does not vouch for the whole, and no error is about a fragment alone.
// req: RE4-16 RE4-17 I4-13
func TestFragmentsOfDatagram(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newSmallWire(t)
			h := header(is6, 0)
			packet := ippkt.AppendUDP(nil, &h, 4000, 53, random(1, 3000))
			parts := cut(t, packet, 1280, 5)
			for _, b := range parts[:2] {
				w.send(b)
			}
			w.silence()
			w.send(parts[2])
			_, m := w.message(w.recv())
			if m.Kind != ippkt.KindUnreachable {
				t.Fatalf("type %d code %d", m.Type, m.Code)
			}
			if whole := packet[:min(len(m.Body), len(packet))]; is6 && !bytes.Equal(m.Body, whole) || len(m.Body) < 500 {
				t.Error("the quote is not of the datagram")
			}
			w.only("udp-no-port")
			parts[1][len(parts[1])-1] ^= 1
			for _, b := range parts {
				w.sendFrame(link.Offload{DataValid: true}, b)
			}
			w.silence()
			w.only("udp-no-port", "udp-checksum")
		})
	}
}

// A transport header may be cut in two: 8 octets are enough for a first fragment of IPv4.
// req: RE4-13
func TestTinyFirstFragment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		p := w.peer(false, 81, 4000)
		whole := parsed(t, p.packet(tcpseg.SYN, "data")).Payload
		w.send(part(p.h, whole, 8, 16, false))
		w.silence()
		w.send(part(p.h, whole, 0, 8, true))
		if s := w.segment(); s.Flags != tcpseg.RST|tcpseg.ACK {
			t.Errorf("answer is %v, want a RST", s.Flags)
		}
	})
}

// req: TUN-R16
func TestFragmentsWithOffload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := link.Pair(link.PairConfig{GSO: true})
		w := newWireOn(t, near, far)
		parts := cut(t, echo(header(false, 0), 8, string(random(1, 3000))), 1400, 5)
		w.sendFrame(link.Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 2}, parts[0])
		w.sendFrame(link.Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 2, GSO: link.GSOUDP, GSOSize: 500, HdrLen: 28}, parts[1])
		w.send(parts[2])
		w.silence()
		if n := w.drops("ip-offload"); n != 2 {
			t.Errorf("%d dropped, want 2", n)
		}
		if all := w.sendAll(parts[:2]); len(all) == 0 {
			t.Error("the rest made no whole")
		}
	})
}

// Fragments that no reassembly can use. IPv6 says what is wrong with them.
// req: RE4-04 RE4-05 RE4-06 FR6-03 FR6-04 FR6-08
func TestHostileFragments(t *testing.T) {
	data := random(1, 2000)
	frag := func(is6 bool, off, n int, more bool) []byte {
		h := with(header(is6, ippkt.ProtoUDP), func(h *ippkt.Header) { h.FragOffset, h.MoreFragments, h.ID = off, more, 3 })
		return fragmentOf(h, data[:n])
	}
	for _, c := range []struct {
		name, counter string
		packet        []byte
		problem       int    // code of the Parameter Problem, or -1
		pointer       uint32 // in it
	}{
		{"ping of death", "fragment-too-big", frag(false, 65528, 100, false), -1, 0},
		{"ping of death, IPv6", "fragment-too-big", frag(true, 65528, 100, false), 0, 42},
		{"13 octets and more", "fragment-length", frag(false, 64, 13, true), -1, 0},
		{"13 octets and more, IPv6", "fragment-length", frag(true, 64, 13, true), 0, 4},
		{"nothing and more", "fragment-length", frag(false, 64, 0, true), -1, 0},
		{"nothing and no more", "fragment-length", frag(false, 64, 0, false), -1, 0},
		{"nothing and no more, IPv6", "fragment-length", frag(true, 64, 0, false), -1, 0},
		{"half a TCP header, IPv6", "fragment-header-chain", fragmentOf(with(header(true, ippkt.ProtoTCP),
			func(h *ippkt.Header) { h.MoreFragments = true }), data[:16]), 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSmallWire(t)
				w.send(c.packet)
				all := w.recv()
				if c.problem >= 0 {
					_, m := w.message(all)
					if m.Kind != ippkt.KindParamProblem || int(m.Code) != c.problem || m.Pointer() != c.pointer {
						t.Errorf("code %d pointer %d, want %d %d", m.Code, m.Pointer(), c.problem, c.pointer)
					}
				} else if len(all) != 0 {
					t.Errorf("%d packets were sent", len(all))
				}
				w.only(c.counter)
				if w.s.fragments.v4.all.count+w.s.fragments.v6.all.count != 0 {
					t.Error("it is kept")
				}
			})
		})
	}
}

// An atomic fragment is a packet by itself, between fragments with its key too. req: FR6-02
func TestAtomicFragment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		data := random(1, 3000)
		parts := cut(t, echo(header(true, 0), 128, string(data)), 1500, 9)
		w.sendAll(parts[:1])
		small := parsed(t, echo(header(true, 0), 128, "atom"))
		p, m := w.message(w.sendAll([][]byte{fragmentOf(with(header(true, ippkt.ProtoICMPv6), func(h *ippkt.Header) { h.ID = 9 }), small.Payload)}))
		if m.Kind != ippkt.KindEchoReply || string(m.Body) != "atom" || p.FragHeader != 0 {
			t.Errorf("an atomic fragment was answered by %+v in %+v", m, p)
		}
		p, _ = join(t, 1500, w.sendAll(parts[1:]))
		checkReply(t, &p, true, data)
		w.only()
	})
}

// What fragments make may not be a fragment again: or a packet could be made to come round and round.
func TestNestedFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		inner := fragmentOf(with(header(true, 253), func(h *ippkt.Header) { h.ID, h.MoreFragments = 4, true }), random(1, 800))[40:]
		h := with(header(true, ippkt.ProtoFragment), func(h *ippkt.Header) { h.ID = 3 })
		w.send(part(h, inner, 0, 400, true))
		w.send(part(h, inner, 400, 408, false))
		w.silence()
		w.only("fragment-nested")
	})
}

// Time Exceeded goes out when the time is over, with the first fragment as it came, and only then.
// req: RE4-10 RE4-11 RE4-16 FR6-07 I4-11 I4-13 I6-04 I6-06
func TestReassemblyTimeExceeded(t *testing.T) {
	data := random(1, 3000)
	for _, is6 := range []bool{false, true} {
		h := with(header(is6, 253), func(h *ippkt.Header) { h.ID, h.TTL = 4, 9 })
		first, second, last := part(h, data, 0, 1200, true), part(h, data, 1200, 1200, true), part(h, data, 2400, 600, false)
		icmp := with(h, func(h *ippkt.Header) { h.Proto = ippkt.ProtoICMP })
		if is6 {
			icmp.Proto = ippkt.ProtoICMPv6
		}
		options := with(h, func(h *ippkt.Header) { h.Proto = ippkt.ProtoDestinations })
		hidden := append([]byte{icmp.Proto, 0, 1, 4, 0, 0, 0, 0}, make([]byte, 80)...)
		hidden[8] = 1 // Destination Unreachable
		inner := fragmentOf(with(h, func(h *ippkt.Header) { h.FragOffset = 8 }), data[:80])[h.Len():]
		nested := with(h, func(h *ippkt.Header) { h.Proto = ippkt.ProtoFragment })
		ask := append([]byte{echoType(is6)}, make([]byte, 79)...)
		for name, c := range map[string]struct {
			packets [][]byte
			quoted  []byte
		}{
			"first":                    {[][]byte{first, second}, first},
			"first came last":          {[][]byte{last, first}, first},
			"no first":                 {[][]byte{second, last}, nil},
			"contradiction":            {[][]byte{first, first, part(h, data, 8, 8, true)}, nil},
			"of an ICMP error":         {[][]byte{part(icmp, hidden[8:], 0, 40, true)}, nil},
			"of a hidden ICMP error":   {[][]byte{part(options, hidden, 0, 40, true)}, nil},
			"of a nested fragment":     {[][]byte{part(nested, inner, 0, 40, true)}, nil},
			"of a ping":                {[][]byte{part(icmp, ask, 0, 40, true)}, part(icmp, ask, 0, 40, true)},
			"of something with a tail": {[][]byte{append(bytes.Clone(first), "tail"...)}, first},
		} {
			if !is6 && (name == "of a hidden ICMP error" || name == "of a nested fragment") {
				continue
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newSmallWire(t)
					if all := w.sendAll(c.packets); len(all) != 0 {
						t.Fatalf("%d packets before the time", len(all))
					}
					time.Sleep(60*time.Second - time.Millisecond)
					w.silence()
					time.Sleep(2 * time.Millisecond)
					all := w.recv()
					if c.quoted == nil {
						if n := w.drops("reassembly-timeout"); len(all) != 0 || (n == 0) != (name == "contradiction") {
							t.Errorf("%d timed out, sent: %x", n, all)
						}
						return
					}
					p, m := w.message(all)
					limit := 576 - 28
					if is6 {
						limit = 1280 - 48
					}
					if m.Kind != ippkt.KindTimeExceeded || m.Code != 1 || p.Src != h.Dst || p.Dst != h.Src {
						t.Errorf("message %d/%d in %+v", m.Type, m.Code, p)
					}
					if !bytes.Equal(m.Body, c.quoted[:min(limit, len(c.quoted))]) {
						t.Errorf("quote of %d octets is not what came", len(m.Body))
					}
					w.only("reassembly-timeout")
					time.Sleep(time.Hour)
					w.silence()
				})
			})
		}
	}
}

// The timer serves all who wait, in both families, and rests when nobody does. req: RE4-10 FR6-07
func TestReassemblyTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		data := random(1, 800)
		for i := range 10 {
			h := with(header(i%2 == 0, 253), func(h *ippkt.Header) { h.ID = uint32(i) })
			w.send(part(h, data, 0, 400, true))
			if i == 4 {
				w.send(part(h, data, 400, 400, false)) // becomes whole: an unknown protocol
			}
			w.recv()
			time.Sleep(time.Second)
		}
		if !w.s.fragments.armed {
			t.Fatal("no timer")
		}
		time.Sleep(50*time.Second - time.Millisecond)
		for i := range 10 {
			all := w.recv()
			switch {
			case i == 0 && len(all) != 0, i > 0 && i-1 != 4 && len(all) != 1, i-1 == 4 && len(all) != 0:
				t.Errorf("%d messages in second %d", len(all), i)
			}
			time.Sleep(time.Second)
		}
		if n := len(w.recv()); n != 1 || w.s.fragments.armed {
			t.Errorf("%d messages at the end, timer set: %v", n, w.s.fragments.armed)
		}
		w.send(part(header(false, 253), data, 0, 400, true)) // and it can be set again
		synctest.Wait()
		time.Sleep(time.Minute + time.Millisecond)
		if n := len(w.recv()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// Errors about datagrams that time out are limited as all others. req: RE4-11 I4-15 I6-07
func TestTimeExceededLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		data := random(1, 80)
		for i := range 100 {
			w.send(part(with(header(false, 253), func(h *ippkt.Header) { h.ID = uint32(i) }), data, 0, 40, true))
		}
		w.silence()
		time.Sleep(time.Minute + time.Millisecond)
		if n := len(w.recv()); n != errorRateEach {
			t.Errorf("%d messages, want %d", n, errorRateEach)
		}
	})
}

// In a flood of halves everything else goes on: pings, and the fragments of those who send their own.
// req: RE4-12 FR6-10
func TestPingsInFragmentFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWire(t)
		data := random(1, 4000)
		for i := range 20_000 {
			h := with(header(i%2 == 0, 253), func(h *ippkt.Header) { h.ID, h.Src[15] = uint32(i), 200+byte(i%5) })
			w.send(part(h, data, 0, 1400, true))
			if i%500 != 0 {
				if i%100 == 0 {
					w.recv()
				}
				continue
			}
			is6 := i%1000 == 0
			p, _ := join(t, 1500, w.sendAll(cut(t, echo(header(is6, 0), echoType(is6), string(data)), 1500, uint32(i))))
			checkReply(t, &p, is6, data)
		}
		if w.drops("reassembly-evicted") == 0 {
			t.Error("nothing was evicted")
		}
	})
}

// req: V4S-06 V4S-07 FR6-13
func TestFragmentIDs(t *testing.T) {
	var k secrets
	if err := k.init(bytes.NewReader(random(7, 1000))); err != nil {
		t.Fatal(err)
	}
	for _, is6 := range []bool{false, true} {
		var x fragments
		a := header(is6, 1)
		b := with(a, func(h *ippkt.Header) { h.Dst[15]++ })
		seen := [2]map[uint32]bool{make(map[uint32]bool), make(map[uint32]bool)}
		steps, apart := make(map[uint32]int), make(map[uint32]int)
		last := uint32(0)
		for range 10_000 {
			i, j := x.nextID(&k, &a), x.nextID(&k, &b)
			if !is6 && (i > 0xffff || j > 0xffff) {
				t.Fatalf("%#x, %#x", i, j)
			}
			if seen[0][i] || seen[1][j] {
				t.Fatal("an identification came back")
			}
			seen[0][i], seen[1][j] = true, true
			steps[i-last]++ // what who knows the last one would have to guess
			apart[i-j]++    // and who knows another's
			last = i
		}
		for _, m := range []map[uint32]int{steps, apart} {
			for d, n := range m {
				if n > 10 {
					t.Errorf("IPv6 %v: a difference of %#x, %d times", is6, d, n)
				}
			}
		}
	}
	var all [1 << 16]bool
	for n := range uint32(1 << 16) {
		i := permute(k.labelKey, 5, 8, n)
		if i > 0xffff || all[i] {
			t.Fatalf("%#x comes twice", i)
		}
		all[i] = true
	}
}

// A ping in fragments, answered in fragments, allocates nothing.
func TestFragmentAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	near, far := link.Pair(link.PairConfig{QueueLen: 64})
	s := newStack(t, near, addrB4, addrB6)
	far.Close()
	q := newQueue(s, near, near.Queues()[0])
	for _, is6 := range []bool{false, true} {
		frames := make([]*link.Frame, 0, 3)
		for _, b := range cut(t, echo(header(is6, 0), echoType(is6), string(random(1, 4000))), 1500, 1) {
			frames = append(frames, &link.Frame{Packet: b})
		}
		n := testing.AllocsPerRun(400, func() {
			for _, f := range frames {
				q.deliver(f)
			}
		})
		if n > 0 || q.count.own[countEcho].Load() == 0 {
			t.Errorf("IPv6 %v: %.1f allocations a ping, %d pings", is6, n, q.count.own[countEcho].Load())
		}
	}
}
