package tun

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"ustack/stack/internal/nstest"
	"ustack/stack/link"
)

func TestMain(m *testing.M) { nstest.Main(m) }

var (
	host4  = netip.MustParsePrefix("10.90.0.1/24")
	stack4 = netip.MustParseAddr("10.90.0.2")
	host6  = netip.MustParsePrefix("fd90::1/64")
	stack6 = netip.MustParseAddr("fd90::2")
)

// open opens a device for the test with the usual addresses, unless c has others.
func openDevice(t testing.TB, c Config) *Device {
	t.Helper()
	nstest.Require(t)
	if !c.HostAddr.IsValid() && !c.HostAddr6.IsValid() {
		c.HostAddr = host4
		c.Addrs = append(c.Addrs, stack4)
		if nstest.HasIPv6() {
			c.HostAddr6 = host6
			c.Addrs = append(c.Addrs, stack6)
		}
	}
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return d
}

// serve answers echo requests and UDP datagrams until the queue is closed: our side of the link
// for tests of the device alone.
func serve(t testing.TB, q link.Queue) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		f := link.NewFrame()
		for {
			ok, err := q.Read(f)
			if err == nil && !ok {
				err = q.Wait()
			}
			if err != nil {
				if err != net.ErrClosed {
					t.Error("reader:", err)
				}
				return
			}
			if ok && answer(f) {
				q.Write(link.Offload{}, f.Packet, [4][]byte{})
			}
		}
	}()
	return done
}

// answer turns a request into its reply, in place, with its checksums made anew.
func answer(f *link.Frame) bool {
	p := f.Packet
	src, dst, proto, at := p[12:16], p[16:20], p[9], 20
	if p[0]>>4 == 6 {
		src, dst, proto, at = p[8:24], p[24:40], p[6], 40
	}
	var a [16]byte
	n := copy(a[:], src)
	copy(src, dst)
	copy(dst, a[:n])
	l4 := p[at:]
	switch {
	case proto == 1 && l4[0] == 8:
		l4[0] = 0
		putSum(l4, 2, 0)
	case proto == 58 && l4[0] == 128:
		l4[0] = 129
		putSum(l4, 2, pseudo(src, dst, proto, len(l4)))
	case proto == 17:
		l4[0], l4[1], l4[2], l4[3] = l4[2], l4[3], l4[0], l4[1]
		putSum(l4, 6, pseudo(src, dst, proto, len(l4)))
	default:
		return false
	}
	return true
}

// sum is the reference of RFC 1071, not folded.
func sum(b []byte) (s uint32) {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func pseudo(src, dst []byte, proto byte, n int) uint32 {
	return sum(src) + sum(dst) + uint32(proto) + uint32(n)
}

func putSum(b []byte, at int, s uint32) {
	b[at], b[at+1] = 0, 0
	binary.BigEndian.PutUint16(b[at:], ^fold(s+sum(b)))
}

// packet4 builds an IPv4 packet with its header checksum.
func packet4(src, dst netip.Addr, proto byte, l4 []byte) []byte {
	p := make([]byte, 20, 20+len(l4))
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(l4)))
	p[6] = 0x40
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	putSum(p[:20], 10, 0)
	return append(p, l4...)
}

func packet6(src, dst netip.Addr, proto byte, l4 []byte) []byte {
	p := make([]byte, 40, 40+len(l4))
	p[0], p[6], p[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(l4)))
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return append(p, l4...)
}

// udp builds a datagram with its checksum.
func udp(src, dst netip.AddrPort, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	b = append(b, data...)
	putSum(b, 6, pseudo(src.Addr().AsSlice(), dst.Addr().AsSlice(), 17, len(b)))
	return b
}

// udpPacket is a whole datagram from the stack's side to the kernel.
func udpPacket(src, dst netip.AddrPort, data []byte) []byte {
	if dst.Addr().Is4() {
		return packet4(src.Addr(), dst.Addr(), 17, udp(src, dst, data))
	}
	return packet6(src.Addr(), dst.Addr(), 17, udp(src, dst, data))
}

func listenUDP(t testing.TB, a netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

func localAddr(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

var (
	linkNone  link.Offload
	noPayload [4][]byte
)
