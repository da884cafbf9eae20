package link

import (
	"sync"
	"time"
)

// Direction of a packet, as seen from the stack.
type Direction uint8

const (
	In  Direction = iota // read from the link
	Out                  // written to it
)

// String returns in or out.
func (d Direction) String() string {
	if d == In {
		return "in"
	}
	return "out"
}

// TapFunc is shown a packet, in pieces, at the time at which it was read or is about to be
// written. It runs on the goroutine that reads or writes, several at once, and keeps nothing of
// the pieces.
type TapFunc func(dir Direction, at time.Time, o Offload, packet [][]byte)

// Tapped is a link whose packets are shown to a function; see Tap.
type Tapped struct {
	Link
	queues []Queue
}

// Tap returns l with every packet shown to see: one that comes in when it was read, one that
// goes out before it is written, whether or not the link takes it.
func Tap(l Link, see TapFunc) *Tapped {
	t := &Tapped{Link: l}
	for _, q := range l.Queues() {
		t.queues = append(t.queues, &tappedQueue{Queue: q, see: see})
	}
	return t
}

// Queues returns the tapped queues.
func (t *Tapped) Queues() []Queue { return t.queues }

// Unwrap returns the link that is tapped.
func (t *Tapped) Unwrap() Link { return t.Link }

type tappedQueue struct {
	Queue
	see TapFunc
	in  [1][]byte // of the reader
}

func (q *tappedQueue) Read(f *Frame) (bool, error) {
	ok, err := q.Queue.Read(f)
	if ok {
		q.in[0] = f.Packet
		q.see(In, time.Now(), f.Offload, q.in[:])
	}
	return ok, err
}

// pieces lends Write the list that it passes on.
var pieces = sync.Pool{New: func() any { return new([5][]byte) }}

func (q *tappedQueue) Write(o Offload, hdr []byte, payload [4][]byte) error {
	p := pieces.Get().(*[5][]byte)
	list := append(p[:0], hdr)
	for _, b := range payload {
		if len(b) > 0 {
			list = append(list, b)
		}
	}
	q.see(Out, time.Now(), o, list)
	clear(p[:])
	pieces.Put(p)
	return q.Queue.Write(o, hdr, payload)
}
