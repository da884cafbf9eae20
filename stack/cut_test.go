package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// What the stack cuts itself is, octet for octet, what a segmenter makes of the super-segment that a
// device would have been given, wherever the pieces of the payload meet.
// req: TSO-03 TSO-05 TSO-06 TSO-07 TSO-08 TSO-11
func TestCutAsSegmenter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 11))
	for _, is6 := range []bool{false, true} {
		for _, sizes := range [][4]int{
			{0, 4000, 0, 0}, {1428, 1428}, {1, 1427, 1, 1428}, {1428, 0, 0, 1}, {30000, 16384, 19000, 1}, {700, 700, 700, 700},
		} {
			synctest.Test(t, func(t *testing.T) {
				near, far := link.Pair(link.PairConfig{GSO: true})
				w := newWireOn(t, near, far)
				key := flowKey{local: us4, remote: them4, lport: 80, rport: 4000}
				if is6 {
					key.local, key.remote = us6, them6
				}
				sc := newScratch()
				fill := func() {
					sc.out.Header = tcpseg.Header{
						Seq: 0xffff_f000, Ack: 77, Window: 502, // SEQ wraps
						Flags:   tcpseg.ACK | tcpseg.PSH | tcpseg.FIN | tcpseg.CWR,
						Options: tcpseg.Options{HasTimestamps: true, TSVal: 5, TSEcr: 6},
					}
					sc.out.GSOSize = 1428
				}
				var payload [4][]byte
				for i, n := range sizes {
					payload[i] = make([]byte, n)
					for j := range payload[i] {
						payload[i][j] = byte(rng.Uint32())
					}
				}
				q := w.s.queues[0]
				const label, id = 0x12345, 0xfffe // the identification wraps too

				fill()
				sc.gso, sc.out.Payload = true, payload
				wantID := q.send(sc, &key, label, id)
				super := w.frames()
				if len(super) != 1 || super[0].GSO == link.GSONone {
					t.Fatalf("%v: %d frames for a super-segment", sizes, len(super))
				}
				var want [][]byte
				ippkt.SegmentTCP(nil, super[0].Packet, 1428, func(b []byte) error {
					want = append(want, bytes.Clone(b))
					return nil
				})

				fill()
				sc.gso, sc.out.Payload = false, payload
				gotID := q.send(sc, &key, label, id)
				got := w.frames()
				if len(got) != len(want) || gotID != wantID {
					t.Fatalf("%v: %d packets and next ID %d, want %d and %d", sizes, len(got), gotID, len(want), wantID)
				}
				for i, f := range got {
					if f.Offload != (link.Offload{}) || !bytes.Equal(f.Packet, want[i]) {
						t.Errorf("%v, packet %d: %+v\n%x\nwant\n%x", sizes, i, f.Offload, f.Packet, want[i])
					}
				}
			})
		}
	}
}
