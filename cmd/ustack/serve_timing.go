package main

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"ustack/stack"
	"ustack/stack/tcb"
)

type stackConnKey struct{}

// withStackConn adds the connection to the context of its requests, if it is the stack's.
func withStackConn(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*stack.Conn); ok {
		return context.WithValue(ctx, stackConnKey{}, own)
	}
	return ctx
}

// serverTiming adds to each answer what TCP has done for its connection when the answer begins (Server-Timing, W3C). What
// becomes of the answer itself nobody knows then.
func serverTiming(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(stackConnKey{}).(*stack.Conn); ok {
			i := c.Info()
			w.Header()["Server-Timing"] = []string{string(appendTiming(nil, &i))}
		}
		h.ServeHTTP(w, r)
	})
}

// appendTiming appends the metrics: durations in ms where they are times, descriptions where they are not.
func appendTiming(b []byte, s *stack.Info) []byte {
	duration := func(name string, t tcb.Time) {
		b = strconv.AppendFloat(append(append(b, name...), ";dur="...), float64(t/1000)/1000, 'f', -1, 64)
		b = append(b, ", "...)
	}
	count := func(name string, n uint64) {
		b = strconv.AppendUint(append(append(b, name...), `;desc="`...), n, 10)
		b = append(b, `", `...)
	}
	if s.HandshakeRTT > 0 {
		duration("tcp-handshake", s.HandshakeRTT)
	}
	if s.SRTT > 0 {
		duration("tcp-rtt", s.SRTT)
		duration("tcp-rtt-min", s.MinRTT)
		duration("tcp-rto", s.RTO)
	}
	count("tcp-cwnd", uint64(s.Cwnd))
	count("tcp-peer-window", uint64(s.SndWnd))
	duration("tcp-cwnd-limited", s.CwndLimited)
	duration("tcp-peer-window-limited", s.PeerWindowLimited)
	duration("tcp-recovery", s.Recovering)
	count("tcp-sent-again", s.Retransmits)
	count("tcp-timeouts", s.RTOs)
	return append(append(b, "tcp-phase;desc="...), s.Phase.String()...)
}
