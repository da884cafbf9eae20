package netsim

import "fmt"

// Mbit is a rate of a megabit per second, in octets per second.
const Mbit = 125_000

// Bottleneck is a line of limited rate behind a queue that drops what finds no room. All wires that
// go Through the same one compete for both. It belongs to one Sim.
type Bottleneck struct {
	Rate  int // octets per second, IP headers included
	Queue int // octets that may wait for the line [64 KiB]; a packet always fits into an empty queue
	Mark  int // octets waiting from which on packets that allow it are marked, not dropped (RFC 3168); 0: never

	freeAt          Time // when everything queued has been sent
	passed, dropped int64
}

// Passed returns the octets that were taken in, IP headers included.
func (b *Bottleneck) Passed() int64 { return b.passed }

// Dropped returns the octets that found no room.
func (b *Bottleneck) Dropped() int64 { return b.dropped }

// admit queues n octets and returns when the last of them has left; false: there is no room.
func (b *Bottleneck) admit(now Time, n int) (Time, bool) {
	limit := b.Queue
	if limit == 0 {
		limit = 64 << 10
	}
	b.freeAt = max(b.freeAt, now)
	if waiting := b.waiting(now); waiting+n > limit && waiting > 0 {
		b.dropped += int64(n)
		return 0, false
	}
	b.passed += int64(n)
	b.freeAt += Time(n) * Second / Time(b.Rate)
	return b.freeAt, true
}

// waiting returns how many octets wait for the line.
func (b *Bottleneck) waiting(now Time) int { return int(b.freeAt-now) * b.Rate / int(Second) }

// marks reports whether so many octets wait that a packet is to be marked.
func (b *Bottleneck) marks(now Time) bool { return b.Mark > 0 && b.waiting(now) > b.Mark }

// Dumbbell is pairs of hosts whose data shares one bottleneck:
//
//	senders[0] ──┐                     ┌── receivers[0]
//	senders[1] ──┼── queue ── line ────┼── receivers[1]
//	senders[2] ──┘                     └── receivers[2]
//
// What the receivers send goes back beside it, at any rate.
type Dumbbell struct {
	Senders, Receivers []*Host
	Neck               *Bottleneck
	flows              []uint16 // opened by each pair
}

// Dumbbell joins a pair of hosts for each access wire. Packets to the receiver pass the bottleneck
// and have all that the wire does to them; packets to the sender have its Delay and Jitter only. So
// the round trip takes twice the Delay, and what the queue adds.
func (s *Sim) Dumbbell(neck Bottleneck, access ...Wire) *Dumbbell {
	d := &Dumbbell{Neck: &neck, flows: make([]uint16, len(access))}
	for i, w := range access {
		from := s.AddHost(fmt.Sprintf("s%d", i), HostConfig{})
		to := s.AddHost(fmt.Sprintf("r%d", i), HostConfig{})
		w.Through = d.Neck
		s.ConnectOneWay(from, to, w)
		s.ConnectOneWay(to, from, Wire{Delay: w.Delay, Jitter: w.Jitter})
		d.Senders, d.Receivers = append(d.Senders, from), append(d.Receivers, to)
	}
	return d
}

// Flow opens another connection from sender i to its receiver now and runs the endpoint's script on
// it; the receiver has the same switches, and reads to the end.
func (d *Dumbbell) Flow(i int, e Endpoint) *Conn {
	back := e
	back.Script = Script{ReadChunk: e.Script.ReadChunk, Whole: e.Script.Whole}
	d.flows[i]++
	local, remote := 4000+d.flows[i], 80+d.flows[i]
	d.Receivers[i].Listen(remote, back)
	return d.Senders[i].Dial(d.Receivers[i], local, remote, e)
}
