package engine

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"ustack/stack/link"
)

// endpoint is a link as gVisor wants it: a stack.LinkEndpoint and stack.GSOEndpoint. It reads
// from the moment a stack attaches.
type endpoint struct {
	link link.Link
	// trusting: the link may deliver segments whose checksum is unfinished, so gVisor must not
	// verify; verify does it for those that are finished.
	trusting bool
	mtu      atomic.Uint32

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher

	start    sync.Once
	stopping atomic.Bool
	readers  sync.WaitGroup
	// badChecksums counts packets that verify refused.
	badChecksums atomic.Uint64
}

func newEndpoint(l link.Link) *endpoint {
	e := &endpoint{link: l, trusting: l.GSO()}
	e.mtu.Store(uint32(l.MTU()))
	return e
}

func (e *endpoint) MTU() uint32                             { return e.mtu.Load() }
func (e *endpoint) SetMTU(mtu uint32)                       { e.mtu.Store(mtu) }
func (e *endpoint) MaxHeaderLength() uint16                 { return 0 }
func (e *endpoint) LinkAddress() tcpip.LinkAddress          { return "" }
func (e *endpoint) SetLinkAddress(tcpip.LinkAddress)        {}
func (e *endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (e *endpoint) AddHeader(*stack.PacketBuffer)           {}
func (e *endpoint) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (e *endpoint) SetOnCloseAction(func())                 {}
func (e *endpoint) Close()                                  {}
func (e *endpoint) Wait()                                   { e.readers.Wait() }

func (e *endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.trusting {
		return stack.CapabilityRXChecksumOffload
	}
	return 0
}

// GSOMaxSize is the largest super-segment with its headers, in octets: what an IPv4 length holds.
func (e *endpoint) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO is asked by each connection when it begins.
func (e *endpoint) SupportedGSO() stack.SupportedGSO {
	if e.link.GSO() {
		return stack.HostGSOSupported
	}
	return stack.GVisorGSOSupported
}

func (e *endpoint) IsAttached() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.dispatcher != nil
}

func (e *endpoint) Attach(d stack.NetworkDispatcher) {
	e.mu.Lock()
	e.dispatcher = d
	e.mu.Unlock()
	if d == nil {
		return
	}
	e.start.Do(func() {
		for _, q := range e.link.Queues() {
			e.readers.Go(func() { e.read(q) })
		}
	})
}

// stop ends the readers. The link stays open.
func (e *endpoint) stop() {
	e.stopping.Store(true)
	for _, q := range e.link.Queues() {
		q.Wake()
	}
	e.readers.Wait()
}

// read delivers packets until stop or until the queue is closed.
func (e *endpoint) read(q link.Queue) {
	f := link.NewFrame()
	for !e.stopping.Load() {
		ok, err := q.Read(f)
		if err == nil && !ok {
			err = q.Wait()
		}
		if err != nil {
			return
		}
		if ok {
			e.deliver(f)
		}
	}
}

func (e *endpoint) deliver(f *link.Frame) {
	proto, ok := protocolOfPacket(f.Packet)
	if !ok {
		return
	}
	switch {
	case f.NeedsCsum && !e.trusting:
		finishChecksum(&f.Offload, f.Packet)
	case e.trusting && !f.NeedsCsum && !f.DataValid && !verify(f.Packet):
		e.badChecksums.Add(1)
		return
	}
	e.mu.RLock()
	d := e.dispatcher
	e.mu.RUnlock()
	if d == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f.Packet)})
	d.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

func protocolOfPacket(p []byte) (tcpip.NetworkProtocolNumber, bool) {
	if len(p) == 0 {
		return 0, false
	}
	switch p[0] >> 4 {
	case 4:
		return ipv4.ProtocolNumber, true
	case 6:
		return ipv6.ProtocolNumber, true
	}
	return 0, false
}

// WritePackets sends. A packet that the link refuses is a loss: TCP repairs it.
func (e *endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	list := pkts.AsSlice()
	for _, p := range list {
		e.write(p)
	}
	return len(list), nil
}

func (e *endpoint) write(p *stack.PacketBuffer) {
	queues := e.link.Queues()
	q := queues[0]
	if n := uint32(len(queues)); n > 1 {
		q = queues[p.Hash%n]
	}
	o := offloadOf(p)
	hdr, payload := pieces(p.AsSlices())
	if o.NeedsCsum && !e.link.GSO() {
		// Somebody captures, so wire-sized packets are wanted now, but this connection was
		// promised super-segments when it began.
		cut(&o, flatten(hdr, payload), func(segment []byte) {
			q.Write(link.Offload{}, segment, [4][]byte{})
		})
		return
	}
	q.Write(o, hdr, payload)
}

// offloadOf says what gVisor left to the device.
func offloadOf(p *stack.PacketBuffer) link.Offload {
	g := &p.GSOOptions
	if g.Type != stack.GSOTCPv4 && g.Type != stack.GSOTCPv6 || !g.NeedsCsum {
		return link.Offload{}
	}
	network := len(p.NetworkHeader().Slice())
	o := link.Offload{NeedsCsum: true, CsumStart: uint16(network), CsumOffset: g.CsumOffset}
	if p.Data().Size() > int(g.MSS) {
		o.GSO = link.GSOTCPv4
		if g.Type == stack.GSOTCPv6 {
			o.GSO = link.GSOTCPv6
		}
		o.GSOSize = g.MSS
		o.HdrLen = uint16(network + len(p.TransportHeader().Slice()))
	}
	return o
}

// pieces sorts the slices of a packet into a header and at most four pieces of payload.
func pieces(list [][]byte) (hdr []byte, payload [4][]byte) {
	if len(list) == 0 {
		return nil, payload
	}
	n := copy(payload[:], list[1:])
	if rest := list[1+n:]; len(rest) > 0 {
		var joined []byte
		for _, p := range list[len(payload):] {
			joined = append(joined, p...)
		}
		payload[len(payload)-1] = joined
	}
	return list[0], payload
}

func flatten(hdr []byte, payload [4][]byte) []byte {
	b := append([]byte(nil), hdr...)
	for _, p := range payload {
		b = append(b, p...)
	}
	return b
}
