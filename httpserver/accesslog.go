package httpserver

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A CloseReason says why a connection ended.
type CloseReason string

const (
	ReasonNone         CloseReason = ""              // it goes on
	ReasonClientClose  CloseReason = "client-close"  // the request asked for it, or is HTTP/1.0
	ReasonClientFIN    CloseReason = "client-fin"    // the client closed between requests
	ReasonHandlerClose CloseReason = "handler-close" // the handler set Connection: close, or its answer needs it
	ReasonBodyUnread   CloseReason = "body-unread"   // the handler left too much of the request's body
	ReasonMaxRequests  CloseReason = "max-requests"
	ReasonIdle         CloseReason = "idle"
	ReasonCrowded      CloseReason = "crowded" // another connection of the client waits for its place
	ReasonShutdown     CloseReason = "shutdown"
	ReasonServerClosed CloseReason = "server-closed"
	ReasonRefused      CloseReason = "refused" // the request was malformed, too large or too slow
	ReasonPanic        CloseReason = "panic"
	ReasonAbort        CloseReason = "abort" // the handler panicked with http.ErrAbortHandler
	ReasonReset        CloseReason = "reset" // the client reset the connection, or it is dead
	ReasonWriteError   CloseReason = "write-error"
	ReasonStall        CloseReason = "stall" // the client took or sent nothing for StallTimeout
	ReasonHijacked     CloseReason = "hijacked"
)

// An Entry is one line of the access log.
type Entry struct {
	Conn       uint64 // the connection's number, from 1, unique in this Server
	Number     int    // the request's number on its connection, from 1
	Place      int    // the request's place in its burst, from 1: 2 or more means that the client pipelined
	RemoteAddr string
	Method     string // Method, Target and Proto as received; empty if they could not be read
	Target     string
	Proto      string
	Host       string
	Referer    string
	UserAgent  string
	Status     int   // 0 if the handler failed before anything was sent, or hijacked the connection without a status
	HeadBytes  int64 // of the answer
	BodyBytes  int64 // of the answer's content as the handler wrote it, without chunked framing; 0 for HEAD
	Start      time.Time
	Duration   time.Duration // from the parsed head to the complete answer
	Close      CloseReason   // why the connection ends after this answer; empty if it does not
}

// AppendCommon appends the entry in Common Log Format, without a line end.
func (e *Entry) AppendCommon(b []byte) []byte {
	host, _, err := net.SplitHostPort(e.RemoteAddr)
	if err != nil {
		host = e.RemoteAddr
	}
	b = appendOr(b, host)
	b = append(b, " - - ["...)
	b = e.Start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	if e.Method == "" {
		b = append(b, '-')
	} else {
		b = appendEscaped(b, e.Method)
		b = append(b, ' ')
		b = appendEscaped(b, e.Target)
		b = append(b, ' ')
		b = appendEscaped(b, e.Proto)
	}
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(e.commonStatus()), 10)
	b = append(b, ' ')
	if e.BodyBytes == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, e.BodyBytes, 10)
}

// commonStatus returns the status for formats whose readers want one: 101 for a hijacked connection, and for one that ended
// without an answer 444, as nginx does.
func (e *Entry) commonStatus() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Close == ReasonHijacked:
		return http.StatusSwitchingProtocols
	}
	return 444
}

// AppendCombined appends the entry in Combined Log Format: Common with Referer and User-Agent.
func (e *Entry) AppendCombined(b []byte) []byte {
	b = e.AppendCommon(b)
	b = append(b, ` "`...)
	b = appendEscaped(b, orDash(e.Referer))
	b = append(b, `" "`...)
	b = appendEscaped(b, orDash(e.UserAgent))
	return append(b, '"')
}

// AppendJSON appends the entry as a JSON object in one line, without a line end. What is no UTF-8 in it becomes U+FFFD.
func (e *Entry) AppendJSON(b []byte) []byte {
	j, err := json.Marshal(jsonEntry{
		e.Start, e.RemoteAddr, e.Conn, e.Number, e.Place, e.Method, e.Target, e.Proto, e.Host, e.Referer, e.UserAgent,
		e.Status, e.HeadBytes, e.BodyBytes, e.Duration.Microseconds(), e.Close,
	})
	if err != nil { // a year that has five digits
		return append(b, "{}"...)
	}
	return append(b, j...)
}

// A jsonEntry names the fields of an Entry in the log.
type jsonEntry struct {
	Time      time.Time   `json:"time"`
	Remote    string      `json:"remote"`
	Conn      uint64      `json:"conn"`
	Number    int         `json:"number"`
	Place     int         `json:"place"`
	Method    string      `json:"method"`
	Target    string      `json:"target"`
	Proto     string      `json:"proto"`
	Host      string      `json:"host"`
	Referer   string      `json:"referer"`
	UserAgent string      `json:"user_agent"`
	Status    int         `json:"status"`
	HeadBytes int64       `json:"head_bytes"`
	BodyBytes int64       `json:"body_bytes"`
	Duration  int64       `json:"duration_us"`
	Close     CloseReason `json:"close"`
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func appendOr(b []byte, s string) []byte { return append(b, orDash(s)...) }

// appendEscaped keeps what a client sent from forging log lines.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c >= 0x7f:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// log counts x, whose answer is complete, and tells the tracer and the access log about it.
func (c *conn) log(x *exchange) {
	c.count(x)
	c.noteEnd(x)
	if c.srv.AccessLog == nil {
		return
	}
	e := entryPool.Get().(*Entry)
	*e = Entry{
		Conn: c.id, Number: x.number, Place: x.place, RemoteAddr: c.remoteAddr(),
		Method: x.method, Target: x.target, Proto: x.proto, Host: x.host,
		Status: x.w.status, HeadBytes: x.w.headSize, BodyBytes: x.w.written,
		Start: x.start, Duration: time.Since(x.start), Close: c.ending(),
	}
	if x.method == http.MethodHead {
		e.BodyBytes = 0
	}
	if x.header != nil {
		e.Referer, e.UserAgent = x.header.Get("Referer"), x.header.Get("User-Agent")
	}
	c.srv.AccessLog(e)
	entryPool.Put(e)
}

// ending returns why the connection ends, for the log. A connection that is dead carries nothing after an answer, even if
// nobody has tried yet.
func (c *conn) ending() CloseReason {
	switch reason := c.turn.reason; {
	case reason != ReasonNone && reason != ReasonBodyUnread && reason != ReasonWriteError || !c.isDead():
		return reason
	case c.woken.Load() == wakeClose:
		return ReasonServerClosed
	}
	return ReasonReset
}

var entryPool = sync.Pool{New: func() any { return new(Entry) }}

// closeReason tells why the connection ends after x.
func closeReason(x *exchange) CloseReason {
	s := x.c.srv
	switch {
	case x.lastOnly:
		return ReasonClientClose
	case s.MaxRequests > 0 && x.number >= s.MaxRequests:
		return ReasonMaxRequests
	case s.closing.Load():
		return ReasonShutdown
	case x.c.yielding:
		return ReasonCrowded
	case x.c.turn.stall.dead.Load():
		return ReasonStall
	case x.body != nil && x.body.broken():
		return ReasonReset
	case x.body != nil && !x.body.done():
		return ReasonBodyUnread
	}
	return ReasonHandlerClose
}
