package client

import (
	"net/http"
	"time"
)

// Report is what one Do did.
type Report struct {
	Results     []Result
	Start       time.Time
	Elapsed     time.Duration
	Connections int           // opened
	Handshakes  time.Duration // spent in opening them, one after the other or not
}

// Result is what became of one request. Durations are zero where nothing was measured.
type Result struct {
	URL, Method string
	Status      int    // 0: no response
	Proto       string // of the response
	Bytes       int64  // octets of body, without framing
	// Connection counts the connections of one Do from 1, Request the requests on it from 1.
	Connection, Request int
	Tries               int           // how often it was sent
	Start               time.Duration // of the dial or, without one, the write, after that of Do
	Connect             time.Duration // dialling; 0 on a connection that was open already
	FirstByte           time.Duration // from the request's write to the first octet of the response
	Total               time.Duration // from Start to the last octet
	Err                 error         // why there is no complete response
	Exchange            *Exchange     // with Client.Record, of a request that got a response
}

// Failed reports whether there is no complete response, or one with a status of 400 or above.
func (r *Result) Failed() bool { return r.Err != nil || r.Status >= 400 }

// Exchange is what was said beside the content.
type Exchange struct {
	Request, Response http.Header // of the request with Host
	Status            string      // as "200 OK"
	Server            string      // its address and port
	Sent              int64       // octets of content
}
