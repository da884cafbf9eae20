package tun

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"ustack/stack/link"
)

// receive waits up to five seconds for a packet that match accepts and returns a copy.
func receive(t testing.TB, q link.Queue, match func(*link.Frame) bool) *link.Frame {
	t.Helper()
	f := link.NewFrame()
	late := time.AfterFunc(5*time.Second, q.Wake)
	defer late.Stop()
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		ok, err := q.Read(f)
		switch {
		case err != nil:
			t.Fatal(err)
		case !ok:
			if err := q.Wait(); err != nil {
				t.Fatal(err)
			}
		case match(f):
			return f
		}
	}
	t.Fatal("no such packet within 5 s")
	return nil
}

// superUDP is a UDP super-datagram from the stack to the kernel, with its checksum unfinished.
func superUDP(src, dst netip.AddrPort, data []byte, size int) ([]byte, link.Offload) {
	p := udpPacket(src, dst, data)
	at := len(p) - len(data) - 8
	addrs, o := p[12:20], link.Offload{NeedsCsum: true, CsumStart: uint16(at), CsumOffset: 6, HdrLen: uint16(at + 8)}
	if at == 40 {
		addrs = p[8:40]
	}
	o.GSO, o.GSOSize = link.GSOUDP, uint16(size)
	binary.BigEndian.PutUint16(p[at+6:], fold(sum(addrs)+17+uint32(len(p)-at)))
	return p, o
}

// writeRaw is Write without the checks of our own.
func writeRaw(q *queue, o link.Offload, p []byte) error {
	b := make([]byte, vnetLen, vnetLen+len(p))
	putVnet((*[vnetLen]byte)(b), &o, p)
	return sysWrite(q.fd, append(b, p...))
}

// What the kernel refuses, it refuses with EINVAL, and the next good write works.
// req: VW-01 VW-02 VW-03 VW-04 VW-05 VW-06 VW-07 TUN-08 TUN-13 TSO-02
func TestRefusedHeaders(t *testing.T) {
	d := openDevice(t, Config{Offload: On})
	q := d.ends[0]
	c := listenUDP(t, host4.Addr())
	src, dst := netip.AddrPortFrom(stack4, 9), localAddr(c)

	good, partial := superUDP(src, dst, []byte("partial"), 0)
	partial.GSO, partial.GSOSize = link.GSONone, 0
	seg := packet4(stack4, host4.Addr(), 6, append([]byte{0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 9, 0, 0, 0, 0}, make([]byte, 300)...))
	super := link.Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16, HdrLen: 40, GSO: link.GSOTCPv4, GSOSize: 100}
	big, uso := superUDP(src, dst, make([]byte, 300), 100)
	many, usoMany := superUDP(src, dst, make([]byte, 20000), 100)

	with := func(o link.Offload, change func(*link.Offload)) link.Offload { change(&o); return o }
	for _, x := range []struct {
		name   string
		o      link.Offload
		packet []byte
	}{
		{"VW-02 hdr_len beyond the packet", with(super, func(o *link.Offload) { o.HdrLen = 400 }), seg},
		{"VW-02 checksum beyond the packet", with(partial, func(o *link.Offload) { o.CsumStart = uint16(len(good)) - 6 }), good},
		{"VW-03 unknown gso_type", with(super, func(o *link.Offload) { o.GSO = 9 }), seg},
		{"VW-03 gso_size 0", with(super, func(o *link.Offload) { o.GSOSize = 0 }), seg},
		{"VW-03 gso_size 0xffff", with(super, func(o *link.Offload) { o.GSOSize = 0xffff }), seg},
		{"VW-04 csum_start in the IP header", with(partial, func(o *link.Offload) { o.CsumStart = 10 }), good},
		{"VW-04 TCP super-segment with csum_offset of UDP", with(super, func(o *link.Offload) { o.CsumOffset = 6 }), seg},
		{"VW-04 TCPv6 in IPv4", with(super, func(o *link.Offload) { o.GSO = link.GSOTCPv6 }), seg},
		{"VW-05 UDP_L4 without NEEDS_CSUM", with(uso, func(o *link.Offload) { o.NeedsCsum = false }), big},
		{"VW-05 UDP_L4 with csum_offset of TCP", with(uso, func(o *link.Offload) { o.CsumOffset = 16 }), big},
		{"VW-05 200 datagrams", usoMany, many},
		{"TUN-08 version 5", link.Offload{}, append([]byte{0x55}, good[1:]...)},
		{"TUN-08 version 0", link.Offload{}, make([]byte, 60)},
	} {
		if err := writeRaw(q, x.o, x.packet); err != syscall.EINVAL {
			t.Errorf("%s: %v, want EINVAL", x.name, err)
		}
		if err := q.Write(partial, good, noPayload); err != nil {
			t.Fatalf("%s: the next good write: %v", x.name, err)
		}
		var b [100]byte
		if n, err := c.Read(b[:]); err != nil || string(b[:n]) != "partial" {
			t.Fatalf("%s: the next good packet: %q, %v", x.name, b[:n], err)
		}
	}
	if err := sysWrite(q.fd, make([]byte, vnetLen-1)); err != syscall.EINVAL {
		t.Errorf("VW-01 a write shorter than the header: %v", err)
	}
	raw := make([]byte, vnetLen, 400)
	putVnet((*[vnetLen]byte)(raw), &uso, big)
	raw[1] |= vnetGSOECN
	if err := sysWrite(q.fd, append(raw, big...)); err != syscall.EINVAL {
		t.Errorf("VW-05 UDP_L4 with the ECN bit: %v", err)
	}
	// The kernel counts on the header's word here; we do not pass it on.
	before := q.writeErrors.Load()
	if err := q.Write(with(super, func(o *link.Offload) { o.NeedsCsum = false }), seg, noPayload); err != link.ErrOffload {
		t.Errorf("VW-06 a super-segment without NEEDS_CSUM: %v", err)
	}
	if err := q.Write(with(super, func(o *link.Offload) { o.GSO = 9 }), seg, noPayload); err != syscall.EINVAL {
		t.Errorf("VW-03 through Write: %v", err)
	}
	if n := q.writeErrors.Load() - before; n != 2 {
		t.Errorf("%d write errors counted, want 2", n)
	}
	wrongSum := slices.Clone(good)
	wrongSum[10]++
	if err := q.Write(partial, wrongSum, noPayload); err != nil {
		t.Errorf("TSO-02 a wrong IP checksum is dropped later: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(make([]byte, 9)); err == nil {
		t.Errorf("TSO-02 %d octets behind a wrong IP checksum", n)
	}
}

// A UDP super-datagram arrives as its datagrams, the last one shorter.
// req: TUN-05
func TestWriteSuperDatagram(t *testing.T) {
	d := openDevice(t, Config{Offload: On})
	families(t, func(t *testing.T, host, peer netip.Addr) {
		c := listenUDP(t, host)
		data := make([]byte, 30_500)
		for i := range data {
			data[i] = byte(i / 1000)
		}
		p, o := superUDP(netip.AddrPortFrom(peer, 9), localAddr(c), data, 1000)
		n := int(o.HdrLen)
		// More than copyLimit, so that it goes through writev.
		err := d.Queues()[0].Write(o, p[:n], [4][]byte{p[n : n+1], nil, p[n+1 : 20000], p[20000:]})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 31 {
			b := make([]byte, 2000)
			n, err := c.Read(b)
			if want := data[i*1000 : min(len(data), i*1000+1000)]; err != nil || !bytes.Equal(b[:n], want) {
				t.Fatalf("datagram %d: %d octets, %v", i, n, err)
			}
		}
	})
}

// One write is one packet and one read is one packet, up to the largest there is.
// req: TUN-05 TUN-06 TUN-R11
func TestLargestPackets(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m, MTU: 65535})
		q := d.Queues()[0]
		families(t, func(t *testing.T, host, peer netip.Addr) {
			c := listenUDP(t, host)
			c.SetReadBuffer(1 << 20)
			data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
			data = data[:65535-28]
			if host.Is6() {
				data = data[:65535-48]
			}
			p := udpPacket(netip.AddrPortFrom(peer, 9), localAddr(c), data)
			if err := q.Write(linkNone, p[:20], [4][]byte{p[20:50], p[50:1000], p[1000:60000], p[60000:]}); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 70000)
			if n, err := c.Read(got); err != nil || !bytes.Equal(got[:n], data) {
				t.Fatalf("to the kernel: %d octets, %v", n, err)
			}
			if _, err := c.WriteToUDPAddrPort(data, netip.AddrPortFrom(peer, 7)); err != nil {
				t.Fatal(err)
			}
			f := receive(t, q, func(f *link.Frame) bool { return len(f.Packet) > 1000 })
			if len(f.Packet) != len(p) || !bytes.Equal(f.Packet[len(p)-len(data):], data) {
				t.Errorf("from the kernel: %d octets, want %d", len(f.Packet), len(p))
			}
		})
	})
}

// We keep to the MTU; the kernel would not make us, and takes more from others.
// req: TUN-11 P2P-12
func TestMTUDiscipline(t *testing.T) {
	d := openDevice(t, Config{})
	q := d.ends[0]
	c := listenUDP(t, host4.Addr())
	p := udpPacket(netip.AddrPortFrom(stack4, 9), localAddr(c), make([]byte, 2000))
	if err := q.Write(linkNone, p, noPayload); err != link.ErrPacketSize {
		t.Errorf("over the MTU: %v", err)
	}
	if err := sysWrite(q.fd, append(make([]byte, vnetLen), p...)); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 3000)); n != 2000 || err != nil {
		t.Errorf("the kernel took %d of 2000 octets, %v", n, err)
	}
}

// While the interface is down writes fail with EIO, counted, and after it is up again packets
// flow both ways.
// req: P2P-11 TUN-07 TUN-11 TUN-13
func TestDownAndUp(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m, HostAddr: host4})
		done := serve(t, d.Queues()[0])
		l, err := d.nl.LinkByIndex(d.index)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.nl.LinkSetDown(l); err != nil {
			t.Fatal(err)
		}
		p := udpPacket(netip.AddrPortFrom(stack4, 9), netip.AddrPortFrom(host4.Addr(), 9), nil)
		if err := d.Queues()[0].Write(linkNone, p, noPayload); err != syscall.EIO {
			t.Errorf("Write while down: %v", err)
		}
		if n := d.Stats().WriteErrors; n != 1 {
			t.Errorf("WriteErrors = %d", n)
		}
		if err := d.nl.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		c := listenUDP(t, host4.Addr())
		if _, err := c.WriteToUDPAddrPort([]byte("again"), netip.AddrPortFrom(stack4, 7)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "again" {
			t.Errorf("after up: %q, %v", b[:n], err)
		}
		d.Close()
		<-done
	})
}

// sink is the receiving side of one TCP connection: it accepts and acknowledges everything.
type sink struct {
	t     testing.TB
	q     link.Queue
	seen  func(f *link.Frame, data int) // called for every segment with data
	got   int
	peers map[uint16]uint32 // next sequence number by the client's port
}

// input answers one segment.
func (s *sink) input(f *link.Frame) {
	p := f.Packet
	at, src, dst, end := 20, p[12:16], p[16:20], 0
	if p[0]>>4 == 6 {
		at, src, dst = 40, p[8:24], p[24:40]
		end = 40 + int(binary.BigEndian.Uint16(p[4:]))
	} else {
		end = int(binary.BigEndian.Uint16(p[2:]))
	}
	if end != len(p) {
		s.t.Errorf("IP length %d of a packet of %d octets", end, len(p))
	}
	h := p[at:]
	data := len(h) - int(h[12]>>4)*4
	seq, port := binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint16(h)
	flags, options := byte(0x10), []byte(nil)
	const fin, syn, rst = 1, 2, 4
	switch {
	case h[13]&rst != 0:
		return
	case h[13]&syn != 0:
		s.peers[port] = seq + 1
		flags, options = 0x12, []byte{2, 4, 1460 >> 8, 1460 & 0xff, 1, 3, 3, 7}
	default:
		if data > 0 {
			s.seen(f, data)
		}
		if seq != s.peers[port] {
			return
		}
		s.got += data
		s.peers[port] += uint32(data) + uint32(h[13]&fin)
	}
	r := make([]byte, 20, 28)
	copy(r, h[2:4])
	copy(r[2:], h[:2])
	ours := uint32(777)
	if flags == 0x10 {
		ours++
	}
	binary.BigEndian.PutUint32(r[4:], ours)
	binary.BigEndian.PutUint32(r[8:], s.peers[port])
	r = append(r, options...)
	r[12], r[13] = byte(len(r)/4)<<4, flags
	binary.BigEndian.PutUint16(r[14:], 0xffff)
	putSum(r, 16, pseudo(dst, src, 6, len(r)))
	from, _ := netip.AddrFromSlice(dst)
	to, _ := netip.AddrFromSlice(src)
	if at == 20 {
		s.q.Write(linkNone, packet4(from, to, 6, r), noPayload)
	} else {
		s.q.Write(linkNone, packet6(from, to, 6, r), noPayload)
	}
}

// upload dials the sink and writes n octets, which seen is shown the segments of.
func upload(t *testing.T, q link.Queue, peer netip.Addr, n int, seen func(f *link.Frame, data int)) {
	t.Helper()
	s := &sink{t: t, q: q, seen: seen, peers: map[uint16]uint32{}}
	sent := make(chan error, 1)
	go func() {
		defer q.Wake()
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(peer, 80).String(), 5*time.Second)
		if err == nil {
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.CopyN(c, zeros{}, int64(n))
		}
		sent <- err
	}()
	f := link.NewFrame()
	for s.got < n {
		select {
		case err := <-sent:
			if sent <- err; err != nil {
				t.Fatal(err)
			}
		default:
		}
		ok, err := q.Read(f)
		if err == nil && !ok {
			err = q.Wait()
		}
		if err != nil {
			t.Fatal(err)
		}
		if ok && (f.Packet[0]>>4 == 4 && f.Packet[9] == 6 || f.Packet[0]>>4 == 6 && f.Packet[6] == 6) {
			s.input(f)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// checkWire verifies that a segment fits the MTU and has a true checksum.
func checkWire(t testing.TB, f *link.Frame) {
	t.Helper()
	p, at, addrs := f.Packet, 20, f.Packet[12:]
	addrs = addrs[:8]
	if p[0]>>4 == 6 {
		at, addrs = 40, p[8:40]
	}
	if f.NeedsCsum || f.GSO != link.GSONone || len(p) > 1500 {
		t.Errorf("not wire-sized: %+v, %d octets", f.Offload, len(p))
	}
	if got := fold(sum(addrs) + 6 + uint32(len(p)-at) + sum(p[at:])); got != 0xffff {
		t.Errorf("checksum adds up to %#x", got)
	}
}

// With offloads the kernel's TCP hands over super-segments with unfinished checksums, without
// them segments of wire size with true ones; SetGSO changes that in mid-connection.
// req: TUN-06 TUN-R01 TUN-R07 TUN-R11 TUN-10
func TestReadSuperSegments(t *testing.T) {
	d := openDevice(t, Config{Offload: On})
	q := d.Queues()[0]
	families(t, func(t *testing.T, host, peer netip.Addr) {
		largest, partials := 0, 0
		kind := link.GSOTCPv4
		if host.Is6() {
			kind = link.GSOTCPv6
		}
		upload(t, q, peer, 4<<20, func(f *link.Frame, data int) {
			if data > 1460 {
				largest = max(largest, data)
				if f.GSO != kind || f.GSOSize == 0 || f.GSOSize > 1460 || !f.NeedsCsum {
					t.Errorf("super-segment of %d octets with %+v", data, f.Offload)
				}
			}
			if f.NeedsCsum {
				partials++
				if at := len(f.Packet) - data - int(f.Packet[int(f.CsumStart)+12]>>4)*4; int(f.CsumStart) != at || f.CsumOffset != 16 {
					t.Errorf("checksum of TCP at %d: %+v", at, f.Offload)
				}
			}
		})
		if largest < 10000 || partials == 0 {
			t.Errorf("largest super-segment %d octets, %d unfinished checksums", largest, partials)
		}
		if err := d.SetGSO(false); err != nil || d.GSO() {
			t.Fatal(err, d.GSO())
		}
		upload(t, q, peer, 1<<20, func(f *link.Frame, data int) { checkWire(t, f) })
		if err := d.SetGSO(true); err != nil || !d.GSO() {
			t.Fatal(err, d.GSO())
		}
		largest = 0
		upload(t, q, peer, 4<<20, func(f *link.Frame, data int) { largest = max(largest, data) })
		if largest < 10000 {
			t.Errorf("on again: largest super-segment %d octets", largest)
		}
	})
}

// A switch in mid-download takes effect on the very connection.
func TestSetGSOLive(t *testing.T) {
	d := openDevice(t, Config{Offload: On})
	total, switched, supers := 0, false, 0
	upload(t, d.Queues()[0], stack4, 8<<20, func(f *link.Frame, data int) {
		total += data
		if total > 4<<20 && !switched {
			switched = true
			if err := d.SetGSO(false); err != nil {
				t.Error(err)
			}
			return
		}
		// What stood in the device's queue may still come; it holds a few packets here.
		if switched && total > 6<<20 {
			checkWire(t, f)
		}
		if !switched && data > 1460 {
			supers++
		}
	})
	if supers == 0 {
		t.Error("no super-segment before the switch")
	}
}

func TestPlainHasNoGSO(t *testing.T) {
	d := openDevice(t, Config{Offload: Off})
	if err := d.SetGSO(true); err != link.ErrOffload || d.GSO() {
		t.Errorf("SetGSO(true) = %v, GSO = %v", err, d.GSO())
	}
	if err := d.SetGSO(false); err != nil {
		t.Error(err)
	}
	p := packet4(stack4, host4.Addr(), 17, make([]byte, 8))
	for _, o := range []link.Offload{{NeedsCsum: true, CsumStart: 20, CsumOffset: 6}, {GSO: link.GSOTCPv4, GSOSize: 100}} {
		if err := d.Queues()[0].Write(o, p, noPayload); err != link.ErrOffload {
			t.Errorf("%+v: %v", o, err)
		}
	}
	upload(t, d.Queues()[0], stack4, 1<<20, func(f *link.Frame, data int) { checkWire(t, f) })
}

// A super-segment goes through the kernel's forwarding to a device without offloads, which
// shows each segment as it would be on a wire. Local delivery hides all of this.
// req: TSO-03 TSO-05 TSO-06 TSO-07 TSO-08
func TestForwardPath(t *testing.T) {
	d := openDevice(t, Config{Offload: On})
	far4, far6 := netip.MustParsePrefix("10.91.0.1/24"), netip.MustParsePrefix("fd91::1/64")
	far := openDevice(t, Config{Offload: Off, Name: "far0", HostAddr: far4, HostAddr6: far6})
	for _, name := range []string{"ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"} {
		setSysctl(t, name, "1")
	}
	families(t, func(t *testing.T, host, peer netip.Addr) {
		dst := netip.MustParseAddr("10.91.0.2")
		if host.Is6() {
			dst = netip.MustParseAddr("fd91::2")
		}
		const mss, payload = 1000, 4500
		const fin, psh, ack, cwr = 1, 8, 16, 128
		tcp := make([]byte, 32, 32+payload)
		binary.BigEndian.PutUint16(tcp, 80)
		binary.BigEndian.PutUint16(tcp[2:], 5555)
		binary.BigEndian.PutUint32(tcp[4:], 0xfffffe00) // wraps inside
		tcp[12], tcp[13] = 8<<4, ack|psh|fin|cwr
		copy(tcp[20:], []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}) // timestamps
		for i := range payload {
			tcp = append(tcp, byte(i*7))
		}
		var p []byte
		o := link.Offload{NeedsCsum: true, CsumOffset: 16, GSOSize: mss}
		binary.BigEndian.PutUint16(tcp[16:], fold(pseudo(peer.AsSlice(), dst.AsSlice(), 6, len(tcp))))
		if host.Is4() {
			p, o.CsumStart, o.GSO = packet4(peer, dst, 6, tcp), 20, link.GSOTCPv4
		} else {
			p, o.CsumStart, o.GSO = packet6(peer, dst, 6, tcp), 40, link.GSOTCPv6
		}
		o.HdrLen = o.CsumStart + 32
		if err := d.Queues()[0].Write(o, p[:o.HdrLen], [4][]byte{p[o.HdrLen:]}); err != nil {
			t.Fatal(err)
		}
		id := -1
		for i := range 5 {
			f := receive(t, far.Queues()[0], func(f *link.Frame) bool { return len(f.Packet) > 500 })
			checkWire(t, f)
			h := f.Packet[o.CsumStart:]
			wantFlags := byte(ack)
			switch i {
			case 0:
				wantFlags |= cwr
			case 4:
				wantFlags |= psh | fin
			}
			seq := uint32(0xfffffe00)
			if got := binary.BigEndian.Uint32(h[4:]); got != seq+uint32(i)*mss || h[13] != wantFlags {
				t.Errorf("segment %d: SEQ %#x, flags %#x", i, got, h[13])
			}
			if want := tcp[32+i*mss : min(len(tcp), 32+i*mss+mss)]; !bytes.Equal(h[32:], want) || !bytes.Equal(h[20:32], tcp[20:32]) {
				t.Errorf("segment %d: payload or options differ", i)
			}
			if host.Is4() {
				n := int(binary.BigEndian.Uint16(f.Packet[4:]))
				if id >= 0 && n != id+1 || f.Packet[6] != 0x40 {
					t.Errorf("segment %d: ID %d after %d, flags %#x", i, n, id, f.Packet[6])
				}
				id = n
			}
		}
	})
}

// setSysctl sets a value below /proc/sys/net for the test.
func setSysctl(t testing.TB, name, value string) {
	t.Helper()
	path := "/proc/sys/net/" + name
	old, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(value), 0)
	}
	if err != nil {
		t.Skipf("setting %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, old, 0); err != nil {
			t.Error(err)
		}
	})
}
