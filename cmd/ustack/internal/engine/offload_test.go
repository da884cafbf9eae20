package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"ustack/stack/link"
)

// packet builds a TCP or UDP packet with n octets of payload and returns where its transport
// header begins. A partial one has the pseudo-header sum alone in its checksum field.
func packet(v6 bool, proto tcpip.TransportProtocolNumber, n int, partial bool) (p []byte, start int) {
	transport := header.TCPMinimumSize + 12
	if proto == header.UDPProtocolNumber {
		transport = header.UDPMinimumSize
	}
	start = header.IPv4MinimumSize
	if v6 {
		start = header.IPv6MinimumSize
	}
	p = make([]byte, start+transport+n)
	copy(p[start+transport:], pattern(n, 3))
	if v6 {
		header.IPv6(p).Encode(&header.IPv6Fields{
			PayloadLength: uint16(transport + n), TransportProtocol: proto, HopLimit: 64,
			SrcAddr: tcpip.AddrFromSlice(clientAddrs[1].Addr().AsSlice()), DstAddr: tcpip.AddrFromSlice(serverAddrs[1].Addr().AsSlice()),
		})
	} else {
		ip := header.IPv4(p)
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(p)), ID: 65534, Protocol: uint8(proto), TTL: 64,
			SrcAddr: tcpip.AddrFromSlice(clientAddrs[0].Addr().AsSlice()), DstAddr: tcpip.AddrFromSlice(serverAddrs[0].Addr().AsSlice()),
		})
		ip.SetChecksum(^ip.CalculateChecksum())
	}
	src, dst := addresses(p)
	sum := header.PseudoHeaderChecksum(proto, src, dst, uint16(transport+n))
	field := start + header.TCPChecksumOffset
	if proto == header.UDPProtocolNumber {
		header.UDP(p[start:]).Encode(&header.UDPFields{SrcPort: 5, DstPort: 6, Length: uint16(transport + n)})
		field = start + 6
	} else {
		header.TCP(p[start:]).Encode(&header.TCPFields{
			SrcPort: 5, DstPort: 6, SeqNum: 0xffffff00, AckNum: 7, DataOffset: uint8(transport), WindowSize: 100,
			Flags: header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin,
		})
		copy(p[start+header.TCPMinimumSize:], bytes.Repeat([]byte{header.TCPOptionNOP}, 12))
	}
	if !partial {
		sum = ^checksum.Checksum(p[start:], sum)
	}
	binary.BigEndian.PutUint16(p[field:], sum)
	return p, start
}

func TestVerify(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, proto := range []tcpip.TransportProtocolNumber{header.TCPProtocolNumber, header.UDPProtocolNumber} {
			p, start := packet(v6, proto, 101, false)
			if !verify(p) {
				t.Errorf("v6=%v proto %d: a good packet is refused", v6, proto)
			}
			for i := range p {
				// Not what says which checksums there are, nor what no checksum covers.
				if i == 0 || v6 && i < 8 || !v6 && i == 9 {
					continue
				}
				p[i] ^= 0x10
				if verify(p) {
					t.Errorf("v6=%v proto %d: octet %d of %d wrong, and accepted", v6, proto, i, len(p))
				}
				p[i] ^= 0x10
			}
			// Any cut is refused or passed on, never a panic.
			for n := 1; n < start+8; n++ {
				verify(p[:n])
			}
		}
	}
}

func TestFinishChecksum(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p, start := packet(v6, header.TCPProtocolNumber, 1000, true)
		o := link.Offload{NeedsCsum: true, CsumStart: uint16(start), CsumOffset: header.TCPChecksumOffset}
		if verify(p) {
			t.Errorf("v6=%v: an unfinished checksum is accepted", v6)
		}
		finishChecksum(&o, p)
		if !verify(p) || o.NeedsCsum {
			t.Errorf("v6=%v: the finished checksum is wrong", v6)
		}
	}
	o := link.Offload{NeedsCsum: true, CsumStart: 65000, CsumOffset: 16}
	finishChecksum(&o, make([]byte, 40))
}

// A frame with an unfinished checksum reaches a gVisor that verifies.
func TestUnfinishedChecksumWithoutTrust(t *testing.T) {
	a, b := link.Pair(link.PairConfig{GSO: true})
	closing(t, a)
	closing(t, b)
	b.SetGSO(false) // both ends begin without
	client, server := newGVisor(t, a, clientAddrs), newGVisor(t, b, serverAddrs)
	b.SetGSO(true)
	exchange(t, client, server, "tcp", "10.90.0.2:80", pattern(1<<20, 1), pattern(1<<20, 2))
	if s := a.Stats(); s.TxBytes/s.TxPackets < 1500 {
		t.Error("no super-segments")
	}
}

func TestCut(t *testing.T) {
	const mss = 1400
	for _, v6 := range []bool{false, true} {
		for _, n := range []int{1, mss, mss + 1, 10 * mss, 20*mss + 7} {
			t.Run(fmt.Sprintf("v6=%v/%d", v6, n), func(t *testing.T) {
				p, start := packet(v6, header.TCPProtocolNumber, n, true)
				want := append([]byte(nil), p[start+header.TCPMinimumSize+12:]...)
				o := link.Offload{
					NeedsCsum: true, CsumStart: uint16(start), CsumOffset: header.TCPChecksumOffset,
					GSO: link.GSOTCPv4, GSOSize: mss, HdrLen: uint16(start + header.TCPMinimumSize + 12),
				}
				if n <= mss {
					o.GSO, o.GSOSize, o.HdrLen = link.GSONone, 0, 0
				}
				var got []byte
				segments := 0
				cut(&o, p, func(s []byte) {
					tcp := header.TCP(s[start:])
					if !verify(s) || len(s) > start+32+mss {
						t.Errorf("segment %d of %d octets is not sound", segments, len(s))
					}
					if seq := uint32(0xffffff00 + len(got)); tcp.SequenceNumber() != seq {
						t.Errorf("segment %d begins at %d, want %d", segments, tcp.SequenceNumber(), seq)
					}
					got = append(got, tcp.Payload()...)
					if last := len(got) == n; tcp.Flags().Contains(header.TCPFlagFin) != last || tcp.Flags().Contains(header.TCPFlagPsh) != last {
						t.Errorf("segment %d of %d octets: flags %v", segments, n, tcp.Flags())
					}
					segments++
				})
				if !bytes.Equal(got, want) || segments != (n+mss-1)/mss {
					t.Errorf("%d octets in %d segments", len(got), segments)
				}
			})
		}
	}
}
