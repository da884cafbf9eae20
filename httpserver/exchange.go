package httpserver

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// An exchange is one request and its answer, in one allocation. Handlers may keep the Request and all it refers to,
// unless the server has their promise that they do not ([Server.ReuseRequests]).
type exchange struct {
	c *conn
	head
	framing
	req   http.Request
	url   url.URL
	ctx   requestContext
	body  *body // nil: the request has none
	w     response
	start time.Time     // with an access log
	begun time.Duration // on the server's clock, if it is timed
	text  []byte        // the head, which the Request's strings lie in

	in     int64 // where the head begins in what was received, plus 1; 0: nobody is told of the exchange
	number int   // of the request on its connection, from 1
	place  int   // in its burst, from 1
}

// Beyond these sizes a used exchange is not kept.
const (
	maxReusedText   = 8 << 10
	maxReusedFields = 64
)

// newExchange returns a blank exchange: with ReuseRequests one that was used before, if there is one.
func (c *conn) newExchange() *exchange {
	x := c.turn.spare
	if x == nil {
		return &exchange{c: c}
	}
	c.turn.spare = nil
	x.reset(c)
	return x
}

// recycle takes an exchange whose handler has returned.
func (c *conn) recycle(x *exchange) {
	if c.srv.ReuseRequests && cap(x.text) <= maxReusedText && len(x.header) <= maxReusedFields && len(x.w.hdr) <= maxReusedFields {
		c.turn.spare = x
	}
}

// reset makes x blank, but for the memory of its strings and fields, for use by c.
func (x *exchange) reset(c *conn) {
	if len(x.header) > 0 { // clear takes its time even for an empty map
		clear(x.header)
	}
	if len(x.w.hdr) > 0 {
		clear(x.w.hdr)
	}
	x.c, x.body, x.framing, x.url, x.start = c, nil, framing{}, url.URL{}, time.Time{}
	x.head = head{header: x.header, values: x.values}
	x.ctx, x.in = requestContext{}, 0
	x.w = response{hdr: x.w.hdr}
	// prepare writes the rest, which is req
}

// parse reads the head p, of which it keeps nothing.
func (x *exchange) parse(p []byte) *protocolError {
	x.text = append(x.text[:0], p...)
	if err := x.head.parseHead(x.text); err != nil {
		return err
	}
	t := x.c.turn
	f, err := x.head.check(asString(t.host))
	if err != nil {
		return err
	}
	x.framing = f
	t.remember(x.host)
	authority, err := parseTarget(x.method, x.target, x.plain, &x.url)
	if err != nil {
		return err
	}
	if authority != "" { // RFC 9112, 3.2.2
		x.host = authority
	}
	return nil
}

// prepare fills the Request, the context, the body and the ResponseWriter.
func (x *exchange) prepare() {
	c := x.c
	x.ctx.c, x.ctx.number, x.ctx.parent = c, x.number, c.context()
	x.w.c, x.w.x, x.w.out, x.w.length = c, x, &c.turn.out, -1
	x.w.head = x.method == http.MethodHead
	r := &x.req
	*r = *emptyRequest.WithContext(&x.ctx) // inlined, and so without an allocation
	r.Method, r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor = x.method, &x.url, x.proto, 1, x.minor
	r.Header, r.Host, r.RequestURI, r.RemoteAddr = x.header, x.host, x.target, c.remoteAddr()
	r.ContentLength, r.Close = x.length, x.lastOnly
	r.Body = http.NoBody
	if x.length != 0 {
		b := &body{c: c, x: x, chunked: x.chunked, left: x.length, expect: x.expect}
		b.lender.L = &b.mu
		x.body, r.Body = b, b
	} else {
		x.ctx.bodyDone()
	}
	if x.chunked {
		r.TransferEncoding = []string{"chunked"}
	}
	if announced, ok := r.Header["Trailer"]; ok {
		x.announceTrailer(announced)
	}
}

var emptyRequest = new(http.Request)

// announceTrailer moves the names in Trailer to the Request, as net/http does.
func (x *exchange) announceTrailer(lists []string) {
	if !x.chunked {
		return // it means nothing
	}
	delete(x.req.Header, "Trailer")
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if key := http.CanonicalHeaderKey(trimOWS(name)); isToken(key) && trailerAllowed(key) {
				if x.req.Trailer == nil {
					x.req.Trailer = make(http.Header)
				}
				x.req.Trailer[key] = nil
			}
		}
	}
}

// serve answers the request whose head is p, and with [Server.MaxParallel] others behind it.
func (c *conn) serve(p []byte) {
	x, perr := c.take(p)
	switch {
	case perr != nil:
		c.refuse(x, perr)
	case c.srv.MaxParallel > 1 && x.maySideBySide():
		c.serveBatch(x)
	default:
		c.answer(x)
	}
}

// take makes an exchange of the head p, which it ends the use of.
func (c *conn) take(p []byte) (*exchange, *protocolError) {
	x := c.newExchange()
	perr := x.parse(p)
	c.consumeHead(p)
	c.requests++
	c.turn.burst++
	x.number, x.place = c.requests, c.turn.burst
	c.noteRequest(x, len(p))
	return x, perr
}

// answer serves x alone.
func (c *conn) answer(x *exchange) {
	x.prepare()
	if x.body != nil {
		c.settle()
	}
	if x.place > 1 { // else no answer waits
		c.holdOrFlush(x)
	}
	c.activate()
	c.stamp(x)
	if !c.call(c.handlerOf(x), x) {
		return
	}
	c.conclude(x)
	c.recycle(x)
}

// activate tells that the connection is not idle, unless that is known.
func (c *conn) activate() {
	if !c.active {
		c.active = true
		c.srv.state(c, http.StateActive)
	}
}

func (c *conn) handlerOf(x *exchange) http.Handler {
	if x.target == "*" && !c.srv.DisableGeneralOptionsHandler {
		return generalOptions
	}
	return c.srv.handler()
}

// stamp notes when x began, for the log and the counters.
func (c *conn) stamp(x *exchange) {
	if x.timed() {
		x.begun = c.srv.clock()
	}
	if c.srv.AccessLog != nil {
		x.start = time.Now()
	}
}

// holdOrFlush applies the rule for answers that are ready when the next request is read: they wait for its answer if
// the request is complete, body and all, for flushDelay at most; otherwise they leave now.
func (c *conn) holdOrFlush(x *exchange) {
	if x.body == nil {
		c.turn.out.arm()
		return
	}
	if !x.chunked {
		a, b, _ := c.peek()
		if int64(len(a)+len(b)) >= x.length {
			c.turn.out.arm()
			return
		}
	}
	c.turn.out.flush()
}

// call runs the handler. It returns false if the handler has not simply returned: it hijacked, panicked or left the
// goroutine.
func (c *conn) call(h http.Handler, x *exchange) bool {
	returned := false
	defer func() {
		x.ctx.finish()
		if f := x.req.MultipartForm; f != nil {
			f.RemoveAll() // the files that parsing has made
		}
		if !returned && !x.w.hijacked {
			v := recover()
			c.logPanic(v)
			c.failed(x, v)
		}
	}()
	h.ServeHTTP(&x.w, &x.req)
	returned = true
	return !x.w.hijacked
}

// failed ends the connection after the handler panicked with v, or left the goroutine (v is nil). If nothing of its
// answer has been sent, the answers before it reach the client, and a 500 unless the handler meant to abort; else the
// client gets a reset, so that it cannot take a part for the whole.
func (c *conn) failed(x *exchange, v any) {
	c.turn.kept = true
	x.body.finish()
	x.w.end()
	clean := c.turn.out.retract(&x.w)
	c.turn.reason = ReasonPanic
	if v == http.ErrAbortHandler {
		c.turn.reason = ReasonAbort
	}
	switch {
	case clean && v != nil && v != http.ErrAbortHandler:
		c.writeRefusal(x, refuse(http.StatusInternalServerError, "the handler failed"))
	case clean:
		x.w.status, x.w.headSize, x.w.written = 0, 0, 0
	default:
		c.turn.out.discard() // what has not left stays
	}
	c.log(x)
	if clean {
		c.shut(c.turn.reason)
	} else {
		c.abort()
	}
}

// logPanic logs what foreign code panicked with, if it did.
func (c *conn) logPanic(v any) {
	if v != nil && v != http.ErrAbortHandler {
		stack := make([]byte, 64<<10)
		stack = stack[:runtime.Stack(stack, false)]
		c.srv.logf("httpserver: panic serving %v: %v\n%s", c.nc.RemoteAddr(), v, stack)
	}
}

// conclude completes the answer and decides what becomes of the connection.
func (c *conn) conclude(x *exchange) {
	w := &x.w
	x.body.finish()
	if x.body != nil && !w.committed && (w.status < 400 || w.status >= 500) {
		if flaw := x.body.flaw(); flaw != nil {
			w.end()
			c.refuse(x, flaw)
			return
		}
	}
	w.finish()
	if c.turn.out.failed() {
		c.turn.reason = ReasonWriteError
		if c.turn.stall.dead.Load() {
			c.turn.reason = ReasonStall
		}
		c.log(x)
		c.close(c.turn.reason)
		return
	}
	keep := !w.close
	if keep && x.body != nil && !x.body.done() {
		keep = c.turn.out.flush() == nil && x.body.drain()
	}
	if !keep {
		c.turn.reason = closeReason(x)
	}
	c.log(x)
	if !keep {
		c.shut(c.turn.reason)
	}
}

// refuse answers a request that cannot be served, after everything before it, and ends the connection.
func (c *conn) refuse(x *exchange, err *protocolError) {
	x.w.c, x.w.x = c, x
	c.stamp(x)
	c.turn.reason = ReasonRefused
	c.writeRefusal(x, err)
	c.log(x)
	c.shut(ReasonRefused)
}

// refusePartial refuses a request whose head is not complete. Of what came of it, HEAD matters: its answer has no content.
func (c *conn) refusePartial(err *protocolError) {
	x := &exchange{c: c}
	if c.hasPartial() {
		x.text = c.residue.partial
	}
	if bytes.HasPrefix(x.text, []byte("HEAD ")) {
		x.method = http.MethodHead
	}
	c.requests++
	c.turn.burst++
	x.number, x.place = c.requests, c.turn.burst
	c.noteRequest(x, len(x.text))
	c.refuse(x, err)
}

// writeRefusal writes a complete answer that says what was wrong.
func (c *conn) writeRefusal(x *exchange, err *protocolError) {
	w := &x.w
	w.status, w.close = err.status, true
	text := strconv.Itoa(err.status) + " " + http.StatusText(err.status) + ": " + err.reason + "\n"
	b := c.srv.appendStart(make([]byte, 0, 512), err.status)
	if err.status == http.StatusServiceUnavailable {
		b = append(b, "Retry-After: 1\r\n"...)
	}
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, "\r\nConnection: close\r\n\r\n"...)
	w.headSize, w.length, w.written = int64(len(b)), int64(len(text)), 0
	w.noBody, w.chunked, w.head = false, false, x.method == http.MethodHead
	if !w.head {
		b = append(b, text...)
		w.written = w.length
	}
	c.turn.out.begin(w, b, nil, nil, nil)
}

// generalOptions answers "OPTIONS *" (RFC 9110, 9.3.7).
var generalOptions = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
})

// hijack takes the connection out of the server.
func (c *conn) hijack() (net.Conn, *bufio.ReadWriter, error) {
	var early []byte
	c.settle()
	if b := c.buffer(); b != nil {
		b.unwatch()
		a, _, _ := b.Peek()
		early = bytes.Clone(a)
	} else {
		c.events().SetReader(nil)
	}
	c.turn.kept = true
	c.setPhase(phaseOver)
	c.nc.SetDeadline(time.Time{})
	c.turn.reason = ReasonHijacked
	c.srv.stats.ended(ReasonHijacked)
	c.leave(http.StateHijacked)
	r := bufio.NewReader(c.nc)
	if len(early) > 0 {
		r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), c.nc), max(len(early), sourceSize))
		r.Peek(len(early))
	}
	return c.nc, bufio.NewReadWriter(r, bufio.NewWriter(c.nc)), nil
}
