// Package httpserver serves an [http.Handler] over any [net.Listener] in HTTP/1.1 (RFC 9110, RFC 9112).
//
// The server has a parser of its own: it refuses whatever could be read in two ways (a bare line feed, Content-Length
// beside Transfer-Encoding, a folded line, a weak Host) instead of repairing it, and it knows which request is complete
// in the buffer, which the rule for flushing pipelined answers needs. Everything else is mirrored from net/http: the
// names of [Server]'s fields, [http.Request], [http.ResponseWriter] and its optional methods.
//
// # Two ways to serve a connection
//
// A connection that tells when it is readable (methods SetReader, Peek, Discard and Done, found by type assertion) is
// served by its own workers: requests are parsed in place, answers of one burst leave in one Write, and between requests
// it owns no goroutine, no buffer and no timer, and costs the server 200 bytes. RemoteAddrPort, if it has that too, tells
// the client's address without an allocation. Any other net.Conn gets a goroutine. The protocol engine is the same.
//
// # What is reused
//
// Nothing that a handler can reach: the Request, its Header, its strings, its context and the response's Header are
// fresh for each request and may be kept. Pooled are only the buffers that bytes pass through. The ResponseWriter and
// the request's Body answer with errors once the handler has returned.
//
// With [Server.ReuseRequests] the handler promises to keep nothing. All of that is then used again, but for the Body: a
// simple request costs no allocation.
//
// # When an answer is sent
//
// The answers of a burst are gathered and leave in one Write when no further complete request is received, 32 KiB are
// full, a handler calls Flush or is about to wait for its request's body, or 1 ms after the next handler was called. A
// part of an answer waits 1 ms at most as well; a complete one, small or of declared length, until its handler returns.
//
// # Closing
//
// The server never closes a connection with input unread, for the reset would destroy the answer on its way
// (RFC 9112, 9.6): it half-closes its output, discards what still comes, within bounds, and then closes. A client's FIN
// does not cancel [http.Request.Context], since a half-closed client still wants its answer; a reset does.
package httpserver
