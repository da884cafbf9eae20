package main

import (
	"sync"
	"time"

	"ustack/httpserver"
	"ustack/stack"
	"ustack/stack/trace"
)

// traceHTTP makes the events of the stack include those of its web servers, as far as they are ours.
func (s *server) traceHTTP() {
	if s.node.hub == nil {
		return
	}
	for _, h := range s.https {
		if own, ok := h.(*httpserver.Server); ok {
			s.node.hub.AddSource(httpTracer(own))
		}
	}
}

// httpTracer is the SetTracer of h for tracers of the stack.
func httpTracer(h *httpserver.Server) func(func(*trace.Event)) {
	return func(f func(*trace.Event)) {
		if f == nil {
			h.SetTracer(nil)
			return
		}
		h.SetTracer(func(e *httpserver.Event) { tellExchange(f, e) })
	}
}

// A retelling is an event of a web server as one of the stack, in the making.
type retelling struct {
	ev   trace.Event
	http trace.Exchange
	text []byte // method and target
}

var retellings = sync.Pool{New: func() any { return new(retelling) }}

var exchangeKinds = [...]trace.Kind{
	httpserver.EventRequest: trace.Request, httpserver.EventInterim: trace.Interim, httpserver.EventResponse: trace.Response,
	httpserver.EventResponseEnd: trace.ResponseEnd,
}

// tellExchange tells f of e, if its connection is the stack's.
func tellExchange(f func(*trace.Event), e *httpserver.Event) {
	c, ok := e.Conn.(*stack.Conn)
	if !ok {
		return
	}
	r := retellings.Get().(*retelling)
	defer retellings.Put(r)
	r.text = append(append(r.text[:0], e.Method...), e.Target...)
	n := len(e.Method)
	r.http = trace.Exchange{
		Number: e.Number, Place: e.Place, Method: r.text[:n:n], Target: r.text[n:],
		In: e.In, InEnd: e.InEnd, Out: e.Out, OutEnd: e.OutEnd, Status: e.Status, Length: e.Length,
		Aborted: e.Aborted, Close: string(e.Close),
	}
	r.ev = trace.Event{
		Kind: exchangeKinds[e.Kind], Time: time.Now(), Local: c.LocalAddrPort(), Remote: c.RemoteAddrPort(), HTTP: &r.http,
	}
	f(&r.ev)
}
