package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// cell is a bottleneck.
type cell struct {
	Rate int64         `json:"rate"` // bits per second
	RTT  time.Duration `json:"rtt"`
	Loss float64       `json:"loss"` // percent of packets to the receiver, at random
}

// bdp is the bandwidth-delay product in octets, which is also the length of the queue.
func (c cell) bdp() int { return int(float64(c.Rate) / 8 * c.RTT.Seconds()) }

func (c cell) String() string {
	return fmt.Sprintf("%d Mbit/s, %v, %g %% loss", c.Rate/1e6, c.RTT, c.Loss)
}

// trial is one measurement: senders that send at the same time through one bottleneck.
type trial struct {
	Cell    cell          `json:"cell"`
	Senders []string      `json:"senders"`
	Seed    int           `json:"seed"`
	Length  time.Duration `json:"length"`
	Warm    time.Duration `json:"warm"` // the part of Length, at the beginning, that does not count
}

func (t trial) String() string { return fmt.Sprintf("%v, seed %d, %v", t.Cell, t.Seed, t.Senders) }

// outcome is what a trial gave.
type outcome struct {
	trial
	Flows []reading `json:"flows"` // in the order of Senders
	// Lost and Overflow are the packets to the receiver that were lost since the beginning: at random, and for
	// want of a place in the queue.
	Lost     uint64        `json:"lost"`
	Overflow uint64        `json:"overflow"`
	Gap      time.Duration `json:"gap"` // the longest time in which the relay was kept from its work
	Err      string        `json:"err,omitempty"`
}

// reading is what was seen of one flow between Warm and Length.
type reading struct {
	Sender    string    `json:"sender"`
	Goodput   float64   `json:"goodput"`   // Mbit/s
	Delivered int64     `json:"delivered"` // octets that the receiver got in order
	Sent      int64     `json:"sent"`      // octets of payload that came to the relay
	Again     int64     `json:"again"`     // those of them that had come before
	Second    []float64 `json:"second"`    // goodput of each second from the beginning
	Repeated  []int64   `json:"repeated"`  // octets that came again in each second
	Detail    string    `json:"detail"`    // what the sender knew at the end
}

// rexmit is the retransmission ratio in percent.
func (r *reading) rexmit() float64 {
	if r.Delivered == 0 {
		return 0
	}
	return 100 * float64(r.Again) / float64(r.Delivered)
}

// rig is a trial that is set up.
type rig struct {
	trial
	wire     *wire
	receiver *receiver
	senders  []*sender // in the order of Senders
	pumps    []*pump
}

// build sets a trial up. Namespaces and devices take long system calls: this is not the time to measure.
func (t trial) build(ctx context.Context, m *metronome) (r *rig, err error) {
	r = &rig{trial: t}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.wire, err = newWire(t.Cell, t.Seed, m); err != nil {
		return nil, err
	}
	ln, err := r.wire.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("the receiver: %w", err)
	}
	r.receiver = newReceiver(ln)
	for _, name := range t.Senders {
		s, err := senders[name](r.wire)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.senders = append(r.senders, s)
	}
	return r, nil
}

func (r *rig) close() {
	for _, p := range r.pumps {
		p.stop()
	}
	for _, s := range r.senders {
		s.close()
	}
	if r.receiver != nil {
		r.receiver.close()
	}
	if r.wire != nil {
		r.wire.close()
	}
}

// run does the trial. It takes a little more than Length.
func (r *rig) run(ctx context.Context) outcome {
	o := outcome{trial: r.trial}
	ctx, cancel := context.WithTimeout(ctx, r.Length+20*time.Second)
	defer cancel()
	start := time.Now()
	flows, err := r.measure(ctx)
	o.Flows, o.Gap = flows, r.wire.metronome.worst(start)
	_, faults := r.wire.far.Faults()
	o.Lost, o.Overflow = faults.Lost, faults.Overflow
	if err != nil {
		o.Err = err.Error()
	}
	return o
}

// measure has the senders send and reads the counters.
func (r *rig) measure(ctx context.Context) ([]reading, error) {
	r.pumps = make([]*pump, 0, len(r.senders))
	for _, i := range r.order() {
		p, err := r.begin(ctx, r.senders[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Senders[i], err)
		}
		p.place = i
		r.pumps = append(r.pumps, p)
	}
	flows, err := r.watch(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range r.pumps {
		flows[p.place].Detail = p.sender.detail(p.conn)
	}
	return flows, r.wire.check()
}

// order is in which order the senders begin: with every seed another one is the first.
func (t trial) order() []int {
	n := len(t.Senders)
	order := make([]int, n)
	for i := range order {
		order[i] = (i + t.Seed) % n
	}
	return order
}

// pump is a flow from end to end.
type pump struct {
	place  int // in Senders
	sender *sender
	conn   net.Conn
	flow   *flow
	done   chan struct{}
}

// begin connects a sender and has it send. With company it waits for up to two round trips before,
// as the seed says, so that flows do not begin in step.
func (r *rig) begin(ctx context.Context, s *sender) (*pump, error) {
	if len(r.Senders) > 1 {
		luck := rand.New(rand.NewPCG(uint64(r.Seed), uint64(s.port.addr.Addr().As4()[3])))
		wait(ctx, time.Duration(luck.Int64N(2*int64(r.Cell.RTT))))
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	p := &pump{sender: s, conn: c, done: make(chan struct{})}
	go p.send(r.wire.metronome)
	if err := p.find(ctx, r.receiver); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// find waits for the other end.
func (p *pump) find(ctx context.Context, r *receiver) error {
	select {
	case p.flow = <-r.flows:
	case <-ctx.Done():
		return ctx.Err()
	}
	if want := p.sender.port.addr.Addr(); p.flow.from != want {
		return fmt.Errorf("a connection from %v, want one from %v", p.flow.from, want)
	}
	return nil
}

// send writes as fast as the sender takes it, a block on every beat at most: to fill a large buffer at
// once would keep the relay from its work for milliseconds.
func (p *pump) send(m *metronome) {
	defer close(p.done)
	buf := make([]byte, 64<<10)
	for {
		if _, err := p.conn.Write(buf); err != nil {
			return
		}
		m.wait()
	}
}

// stop ends the flow without delivering what is queued.
func (p *pump) stop() {
	if c, ok := p.conn.(interface{ SetLinger(int) error }); ok {
		c.SetLinger(0)
	}
	if p.flow != nil {
		p.flow.conn.Close()
	}
	p.conn.Close()
	<-p.done
}

// counters are those of a flow at a moment.
type counters struct{ got, sent, again int64 }

func (p *pump) counters() counters {
	m := &p.sender.port.meter
	return counters{p.flow.got(), m.sent.Load(), m.again.Load()}
}

// watch reads the counters every second until Length is over, counted from the SYN of the last sender.
func (r *rig) watch(ctx context.Context) ([]reading, error) {
	start := r.pumps[len(r.pumps)-1].sender.port.meter.start()
	from := start
	flows := make([]reading, len(r.pumps))
	first := make([]counters, len(r.pumps)) // where the measurement begins
	last := make([]counters, len(r.pumps))
	for at := time.Second; at <= r.Length; at += time.Second {
		wait(ctx, time.Until(start.Add(at)))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the measurement was cut short: %w", ctx.Err())
		}
		for i, p := range r.pumps {
			now := p.counters()
			flows[p.place].Second = append(flows[p.place].Second, mbits(now.got-last[i].got, time.Second))
			flows[p.place].Repeated = append(flows[p.place].Repeated, now.again-last[i].again)
			last[i] = now
		}
		if at == r.Warm {
			from = time.Now()
			copy(first, last)
		}
	}
	took := time.Since(from)
	for i, p := range r.pumps {
		f, a, b := &flows[p.place], first[i], last[i]
		f.Sender = r.Senders[p.place]
		f.Delivered, f.Sent, f.Again = b.got-a.got, b.sent-a.sent, b.again-a.again
		f.Goodput = mbits(f.Delivered, took)
	}
	return flows, nil
}

func mbits(octets int64, d time.Duration) float64 { return float64(octets) * 8 / 1e6 / d.Seconds() }
