package differential

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// wire carries packets between the far end and the hosts under test, and shows each to the run it belongs to.
type wire struct {
	far   link.Queue
	hosts map[netip.Addr]func([]byte) // how a host gets a packet

	mu    sync.Mutex
	flows map[uint16]*flow // by the port of a run, which one end of its connection has
}

// lab is everything that the runs need.
type lab struct {
	wire  *wire
	far   *kernel
	hosts map[string]host
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{far: &kernel{far, here}, hosts: map[string]host{}}
	w := &wire{hosts: map[netip.Addr]func([]byte){}, flows: map[uint16]*flow{}}
	l.wire = w

	ustack, end := newOurs(t)
	l.hosts["ustack"] = ustack
	w.attach(t, "ustack", end)

	g := newGVisor(t)
	l.hosts["gVisor"] = g
	w.route("gVisor", g.in)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go g.out(ctx, w.toFar)

	k := &kernel{"kernel", elsewhere(t)}
	l.hosts["kernel"] = k
	w.attach(t, "kernel", k.device(t))

	device := l.far.device(t)
	w.far = device.Queues()[0]
	go pump(w.far, w.toHost)
	return l
}

// route says how a host gets its packets.
func (w *wire) route(name string, in func([]byte)) {
	for _, v6 := range []bool{false, true} {
		w.hosts[netip.MustParseAddr(address(name, v6))] = in
	}
}

// attach joins a host that is at the other end of a link.
func (w *wire) attach(t *testing.T, name string, l link.Link) {
	q := l.Queues()[0]
	w.route(name, func(p []byte) { put(q, p) })
	t.Cleanup(func() { l.Close() })
	go pump(q, w.toFar)
}

// put writes a packet; one that is refused is lost, as on any wire.
func put(q link.Queue, packet []byte) { q.Write(link.Offload{}, packet, [4][]byte{}) }

// pump hands every packet that comes from q to f, until q is closed.
func pump(q link.Queue, f func([]byte)) {
	for frame := link.NewFrame(); ; {
		ok, err := q.Read(frame)
		if err == nil && !ok {
			err = q.Wait()
		}
		if err != nil {
			return
		}
		if ok {
			f(append([]byte(nil), frame.Packet...))
		}
	}
}

func (w *wire) toFar(packet []byte)  { w.pass(packet, fromTested) }
func (w *wire) toHost(packet []byte) { w.pass(packet, fromFar) }

// pass shows a packet to its run, which may keep it, and lets it through.
func (w *wire) pass(packet []byte, from direction) {
	p, reason := ippkt.Parse(packet)
	if reason != ippkt.ReasonNone || p.Proto != ippkt.ProtoTCP {
		return // router solicitations and the like
	}
	seg, err := tcpseg.Parse(p.Payload)
	if err != nil {
		return
	}
	w.mu.Lock()
	f := w.flows[seg.SrcPort]
	if f == nil {
		f = w.flows[seg.DstPort]
	}
	w.mu.Unlock()
	if f == nil {
		return
	}
	for range f.see(packet, &p, &seg, from) {
		w.deliver(packet, from)
	}
}

// deliver brings a packet to where it goes.
func (w *wire) deliver(packet []byte, from direction) {
	if from == fromTested {
		put(w.far, packet)
		return
	}
	p, _ := ippkt.Parse(packet)
	if in := w.hosts[p.Dst.Netip()]; in != nil {
		in(packet)
	}
}

// flow is the connection of one run on the wire.
type flow struct {
	w *wire

	mu      sync.Mutex
	last    time.Time
	ways    [2]way
	reply   *tcpseg.Segment // to a probe
	probing bool
	cut     bool
	twice   bool
	drop    [2]bool // the next packet from there
	newest  [2][]byte
	holding bool
	held    []heldPacket
}

type heldPacket struct {
	packet []byte
	from   direction
}

// watch begins a flow.
func (w *wire) watch(port int) *flow {
	f := &flow{w: w, last: time.Now()}
	w.mu.Lock()
	w.flows[uint16(port)] = f
	w.mu.Unlock()
	return f
}

// see notes a packet and says how often it goes on.
func (f *flow) see(packet []byte, p *ippkt.Packet, seg *tcpseg.Segment, from direction) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.probing {
		if from == fromTested && f.reply == nil {
			f.reply = &tcpseg.Segment{Header: seg.Header}
		}
		return 0
	}
	f.last = time.Now()
	f.ways[from].note(p, seg)
	f.newest[from] = packet
	switch {
	case f.cut:
		return 0
	case f.drop[from]:
		f.drop[from] = false
		return 0
	case f.holding:
		f.held = append(f.held, heldPacket{packet, from})
		return 0
	case f.twice:
		return 2
	}
	return 1
}

// set changes what happens to packets.
func (f *flow) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// hold keeps everything from now on, until release.
func (f *flow) hold() { f.set(func() { f.holding = true }) }

// release lets everything through that was held, in order or the last first. What comes meanwhile comes after it.
func (f *flow) release(lastFirst bool) {
	for {
		f.mu.Lock()
		held := f.held
		f.held, f.holding = nil, len(held) > 0
		f.mu.Unlock()
		if len(held) == 0 {
			return
		}
		if lastFirst {
			slices.Reverse(held)
		}
		for _, h := range held {
			f.w.deliver(h.packet, h.from)
		}
		time.Sleep(hop) // until those have been taken: the answers to them come after all of them
		lastFirst = false
	}
}

// again delivers the last packet from a side once more.
func (f *flow) again(from direction) {
	f.mu.Lock()
	packet := f.newest[from]
	f.mu.Unlock()
	f.w.deliver(packet, from)
}

// settle waits until nothing has passed for so long, within reason: some connections never keep quiet.
func (f *flow) settle(long time.Duration) {
	begun := time.Now()
	for {
		f.mu.Lock()
		idle := time.Since(f.last)
		f.mu.Unlock()
		since := time.Since(begun)
		if since >= long && idle >= long || since > unquiet+long {
			return
		}
		time.Sleep(max(long-min(idle, since), time.Millisecond))
	}
}

// probe asks the host under test whether it still knows the connection: a segment from before its window is acknowledged in every
// synchronized state and in TIME-WAIT, and reset where there is nothing. The far end takes no notice.
func (f *flow) probe() string {
	f.mu.Lock()
	way := &f.ways[fromFar]
	f.probing = true
	packet := way.keepAlive(f.ways[fromTested].next)
	f.mu.Unlock()
	if packet == nil {
		return "nothing was ever sent"
	}
	f.w.deliver(packet, fromFar)
	for end := time.Now().Add(probeTime); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		reply := f.reply
		f.mu.Unlock()
		switch {
		case reply == nil:
		case reply.Flags.Has(tcpseg.RST):
			return "gone"
		default:
			return "answers"
		}
	}
	return "silent"
}
