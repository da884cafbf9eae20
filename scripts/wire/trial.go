package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
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
	Flows []reading     `json:"flows"` // in the order of Senders
	Gap   time.Duration `json:"gap"`   // the longest time in which the relay was kept from its work
	Err   string        `json:"err,omitempty"`
}

// reading is what was seen of one flow between Warm and Length.
type reading struct {
	Sender    string    `json:"sender"`
	Goodput   float64   `json:"goodput"`   // Mbit/s that the receiver read
	Delivered int64     `json:"delivered"` // octets that the receiver read
	Sent      int64     `json:"sent"`      // octets of payload that came to the relay
	Again     int64     `json:"again"`     // those of them that had come before
	Second    []float64 `json:"second"`    // goodput of each second from the beginning
	Detail    string    `json:"detail"`    // what the sender knew at the end
}

// rexmit is the retransmission ratio in percent.
func (r *reading) rexmit() float64 {
	if r.Delivered == 0 {
		return 0
	}
	return 100 * float64(r.Again) / float64(r.Delivered)
}

// run does the trial. It takes a little more than Length.
func (t trial) run(ctx context.Context, m *metronome) outcome {
	o := outcome{trial: t}
	ctx, cancel := context.WithTimeout(ctx, t.Length+20*time.Second)
	defer cancel()
	start := time.Now()
	flows, err := t.measure(ctx)
	if err == nil {
		err = ctx.Err()
	}
	o.Flows, o.Gap = flows, m.worst(start)
	if err != nil {
		o.Err = err.Error()
	}
	return o
}

// measure builds the wire, lets the senders send and reads the counters.
func (t trial) measure(ctx context.Context) (flows []reading, err error) {
	w, err := newWire(t.Cell, t.Seed)
	if err != nil {
		return nil, err
	}
	defer w.close()
	ln, err := w.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("the receiver: %w", err)
	}
	r := newReceiver(ln)
	defer r.close()
	pumps := make([]*pump, len(t.Senders))
	for _, i := range t.order() {
		s, err := senders[t.Senders[i]](w)
		if err != nil {
			return nil, err
		}
		defer s.close()
		if pumps[i], err = t.begin(ctx, s, r); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Senders[i], err)
		}
		defer pumps[i].stop()
	}
	if flows, err = t.watch(ctx, pumps); err != nil {
		return nil, err
	}
	for i, p := range pumps {
		flows[i].Detail = p.sender.detail(p.conn)
	}
	return flows, w.check()
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
	sender *sender
	conn   net.Conn
	flow   *flow
	done   chan struct{}
}

// begin connects a sender and has it send. With company it waits for up to two round trips before,
// as the seed says, so that flows do not begin in step.
func (t trial) begin(ctx context.Context, s *sender, r *receiver) (*pump, error) {
	if len(t.Senders) > 1 {
		luck := rand.New(rand.NewPCG(uint64(t.Seed), uint64(s.port.addr.Addr().As4()[3])))
		wait(ctx, time.Duration(luck.Int64N(2*int64(t.Cell.RTT))))
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	p := &pump{sender: s, conn: c, done: make(chan struct{})}
	go p.send()
	if err := p.find(ctx, r, s.port.addr.Addr()); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// find waits for the other end.
func (p *pump) find(ctx context.Context, r *receiver, from netip.Addr) error {
	select {
	case p.flow = <-r.flows:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.flow.from != from {
		return fmt.Errorf("a connection from %v, want one from %v", p.flow.from, from)
	}
	return nil
}

// send writes as fast as the sender takes it.
func (p *pump) send() {
	defer close(p.done)
	buf := make([]byte, 64<<10)
	for {
		if _, err := p.conn.Write(buf); err != nil {
			return
		}
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
	return counters{p.flow.got.Load(), m.sent.Load(), m.again.Load()}
}

// watch reads the counters every second until Length is over, from when the last sender has begun.
func (t trial) watch(ctx context.Context, pumps []*pump) ([]reading, error) {
	start := pumps[t.order()[len(pumps)-1]].flow.began
	from := start
	flows := make([]reading, len(pumps))
	first := make([]counters, len(pumps)) // where the measurement begins
	last := make([]counters, len(pumps))
	for at := time.Second; at <= t.Length; at += time.Second {
		wait(ctx, time.Until(start.Add(at)))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the measurement was cut short: %w", ctx.Err())
		}
		for i, p := range pumps {
			now := p.counters()
			flows[i].Second = append(flows[i].Second, mbits(now.got-last[i].got, time.Second))
			last[i] = now
		}
		if at == t.Warm {
			from = time.Now()
			copy(first, last)
		}
	}
	took := time.Since(from)
	for i := range flows {
		f, a, b := &flows[i], first[i], last[i]
		f.Sender = t.Senders[i]
		f.Delivered, f.Sent, f.Again = b.got-a.got, b.sent-a.sent, b.again-a.again
		f.Goodput = mbits(f.Delivered, took)
	}
	return flows, nil
}

func mbits(octets int64, d time.Duration) float64 { return float64(octets) * 8 / 1e6 / d.Seconds() }
