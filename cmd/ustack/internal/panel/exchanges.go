package panel

import (
	"slices"
	"time"

	"ustack/stack/tcb"
	"ustack/stack/trace"
)

// keptExchanges is how many requests of a connection a recorder keeps, the last ones.
const keptExchanges = 20

// exchange is a request on the connection, and how long its answer took. Times are in ms; those after the first count
// from the request.
type exchange struct {
	Number  int      `json:"number"`
	Method  string   `json:"method,omitempty"`
	Target  string   `json:"target,omitempty"`
	Status  int      `json:"status,omitempty"`
	At      float64  `json:"at_ms"`                    // since the recording began
	Begins  *float64 `json:"first_octet_ms,omitempty"` // of the answer, given to TCP or gathered for it
	Ends    *float64 `json:"end_ms,omitempty"`         // its last octet was
	Arrived *float64 `json:"acknowledged_ms,omitempty"`
	Octets  int64    `json:"octets"` // of the answer, head and all, so far as is known
	Aborted bool     `json:"aborted,omitempty"`
	Close   string   `json:"close,omitempty"` // why the connection ended after it

	asked time.Time
	end   uint32 // where the answer ends in the stream, modulo 2^32
}

// exchanges are the last ones of a connection.
type exchanges struct {
	list []exchange
	una  uint32    // what the peer has of the stream, modulo 2^32
	at   time.Time // since when
}

// add takes an event of the connection; the recording began at since.
func (l *exchanges) add(rec *trace.Record, since time.Time) {
	switch {
	case rec.Kind == trace.Request:
		l.begin(rec, since)
	case rec.Kind == trace.Response || rec.Kind == trace.ResponseEnd:
		l.answer(rec)
	case rec.State != nil:
		l.acknowledge(rec.Time, rec.State.Acked())
	}
}

func (l *exchanges) begin(rec *trace.Record, since time.Time) {
	if len(l.list) == keptExchanges {
		l.list = slices.Delete(l.list, 0, 1)
	}
	x := rec.HTTP
	l.list = append(l.list, exchange{
		Number: x.Number, Method: string(x.Method), Target: string(x.Target),
		At: millis(tcb.Time(rec.Time.Sub(since))), asked: rec.Time,
	})
}

func (l *exchanges) answer(rec *trace.Record) {
	x := rec.HTTP
	i := slices.IndexFunc(l.list, func(e exchange) bool { return e.Number == x.Number })
	if i < 0 {
		return // it is forgotten, or was asked before the recording began
	}
	e := &l.list[i]
	e.Status = x.Status
	if rec.Kind == trace.Response {
		e.Begins = e.since(rec.Time)
		return
	}
	e.Ends, e.Octets, e.Aborted, e.Close, e.end = e.since(rec.Time), x.OutEnd-x.Out, x.Aborted, x.Close, uint32(x.OutEnd)
	e.acknowledge(l.at, l.una) // which may have been told before
}

// acknowledge notes which answers the peer has all of, when it has everything up to una.
func (l *exchanges) acknowledge(at time.Time, una uint32) {
	if una == l.una && !l.at.IsZero() {
		return
	}
	l.una, l.at = una, at
	for i := range l.list {
		l.list[i].acknowledge(at, una)
	}
}

func (e *exchange) acknowledge(at time.Time, una uint32) {
	if e.Ends != nil && e.Arrived == nil && e.Octets > 0 && int32(una-e.end) >= 0 {
		e.Arrived = e.since(at)
	}
}

func (e *exchange) since(at time.Time) *float64 {
	ms := millis(tcb.Time(at.Sub(e.asked)))
	return &ms
}
