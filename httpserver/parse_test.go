package httpserver

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// refusals are requests that must not be served, each with its status, below the requirement that they prove. The connection is closed after
// every one.
var refusals = []struct {
	name, raw, status string
}{
	// req: 9112-2.2b
	{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", "400"},
	{"bare LF after field", "GET / HTTP/1.1\r\nHost: a\n\r\n", "400"},
	{"bare LF as last line end", "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n\r\n", "400"},
	// req: 9112-2.2c
	{"bare CR in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400"},
	{"bare CR in target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-2.2d
	{"blank before first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
	// req: 9112-2.2a
	{"five empty lines", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-2.2c
	{"CR before the request", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-2.2e
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"},
	// req: 9112-2.3
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400"},
	{"lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", "400"},
	{"HTTP/0.9", "GET /\r\n\r\n", "400"},
	{"HTTP/1", "GET / HTTP/1\r\nHost: a\r\n\r\n", "400"},
	{"HTTP/1.x", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", "400"},
	{"blank after version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"},
	// req: 9110-6.2
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
	{"HTTP/0.9 named", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505"},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
	// req: 9112-3b
	{"target too long", "GET /" + strings.Repeat("a", maxTarget) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414"},
	{"target too long, unfinished", "GET /" + strings.Repeat("a", maxTarget+100), "414"},
	// req: 9112-3c
	{"method too long", strings.Repeat("A", maxMethod+1) + " / HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
	{"method too long, unfinished", strings.Repeat("A", 10_000), "501"},
	// req: 9112-2.2e
	{"method not a token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-3.2a
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"tab in target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"DEL in target", "GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"NUL in target", "GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"0x80 in target", "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"relative", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-3.2b
	{"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
	{"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", "400"},
	// req: 9112-3.2c
	{"Host a:port", "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n", "400"},
	{"Host a:-1", "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", "400"},
	{"Host a:65536", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400"},
	{"Host [::1", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
	{"Host [::1%eth0]", "GET / HTTP/1.1\r\nHost: [::1%eth0]\r\n\r\n", "400"},
	{"Host [1.2.3.4]", "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n", "400"},
	{"Host user@a", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", "400"},
	{"Host a?b", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", "400"},
	{"Host <a>", "GET / HTTP/1.1\r\nHost: <a>\r\n\r\n", "400"},
	{"Host with blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
	{"Host a,b", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
	{"Host only port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400"},
	{"Host bad escape", "GET / HTTP/1.1\r\nHost: a%g0\r\n\r\n", "400"},
	// req: 9112-3.2.2
	{"https", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"bad Host beside absolute form", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
	{"absolute form without Host", "GET http://a/ HTTP/1.1\r\n\r\n", "400"},
	// req: 9110-4.2.1
	{"no authority", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"port alone", "GET http://:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	{"userinfo", "GET http://u:p@a/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-3.2.4
	{"GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
	// req: 9112-3.2.3
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "501"},
	{"CONNECT, empty port", "CONNECT a: HTTP/1.1\r\nHost: a:\r\n\r\n", "501"},
	// req: 9112-5
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\ngarbage\r\n\r\n", "400"},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400"},
	{"name not a token", "GET / HTTP/1.1\r\nHost: a\r\nX[]: b\r\n\r\n", "400"},
	{"name with 0x85", "GET / HTTP/1.1\r\nHost: a\r\nX\x85: b\r\n\r\n", "400"},
	// req: 9112-5.1
	{"space before colon", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "400"},
	{"tab before colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n", "400"},
	{"space before the colon of Host", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
	{"space before the colon of TE", post("Transfer-Encoding : chunked") + "0\r\n\r\n", "400"},
	// req: 9112-5.2
	{"obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "400"},
	{"obs-fold with tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", "400"},
	{"obs-fold in Transfer-Encoding", post("Transfer-Encoding:\r\n chunked") + "0\r\n\r\n", "400"},
	{"obs-fold of nothing", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n \r\n\r\n", "400"},
	// req: 9110-5.5a
	{"NUL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "400"},
	{"BEL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", "400"},
	{"VT in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n", "400"},
	{"DEL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", "400"},
	{"VT before chunked", post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n", "400"},
	{"CR in Content-Length", post("Content-Length: 5\r5") + "hello", "400"},
	// req: 9110-5.4
	{"header too large", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
	{"header too large, unfinished", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10), "431"},
	{"201 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", "431"},

	// req: 9112-6.3a
	{"CL +5", post("Content-Length: +5") + "hello", "400"},
	{"CL -5", post("Content-Length: -5") + "hello", "400"},
	{"CL 0x5", post("Content-Length: 0x5") + "hello", "400"},
	{"CL 5,5", post("Content-Length: 5, 5") + "hello", "400"},
	{"CL empty", post("Content-Length: ") + "hello", "400"},
	{"CL 2^63", post("Content-Length: 9223372036854775808"), "400"},
	{"CL 2^64+5", post("Content-Length: 18446744073709551621") + "hello", "400"},
	{"CL 5 5", post("Content-Length: 5 5") + "hello", "400"},
	{"CL 5_0", post("Content-Length: 5_0"), "400"},
	{"two CL differ", post("Content-Length: 5\r\nContent-Length: 6") + "hello", "400"},
	// req: 9112-6.3b
	{"two CL equal", post("Content-Length: 5\r\nContent-Length: 5") + "hello", "400"},
	// req: 9112-6.1a
	{"CL and TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n", "400"},
	{"TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5") + "0\r\n\r\n", "400"},
	{"TE that is not known, and CL", post("Transfer-Encoding: xchunked\r\nContent-Length: 5") + "hello", "400"},
	{"TE that is empty, and CL", post("Transfer-Encoding:\r\nContent-Length: 5") + "hello", "400"},
	{"TE and CL with other fields between", post("transfer-encoding: chunked\r\nX: y\r\ncontent-length: 0") + "0\r\n\r\n", "400"},
	// req: 9112-6.1b
	{"TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
	{"TE in 1.0, kept alive", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
	{"TE identity in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", "400"},
	// req: 9112-6.1c
	{"two TE", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") + "0\r\n\r\n", "400"},
	{"chunked twice", post("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n", "400"},
	{"chunked with parameter", post("Transfer-Encoding: chunked;a=b") + "0\r\n\r\n", "400"},
	{"TE empty", post("Transfer-Encoding: ") + "0\r\n\r\n", "400"},
	{"TE list with empty element", post("Transfer-Encoding: chunked,") + "0\r\n\r\n", "400"},
	{"TE quoted", post("Transfer-Encoding: \"chunked\"") + "0\r\n\r\n", "400"},
	{"TE xchunked", post("Transfer-Encoding: xchunked") + "0\r\n\r\n", "400"},
	// req: 9112-6.3c
	{"chunked not last", post("Transfer-Encoding: chunked, gzip") + "0\r\n\r\n", "400"},
	{"gzip alone", post("Transfer-Encoding: gzip") + "0\r\n\r\n", "400"},
	{"identity", post("Transfer-Encoding: identity") + "0\r\n\r\n", "400"},
	{"gzip, chunked", post("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", "501"},
	// req: 9110-10.1.1b
	{"unknown expectation", post("Content-Length: 5\r\nExpect: magic"), "417"},

	// req: 9112-7.1a
	{"no size", chunkedPost("\r\n\r\n"), "400"},
	{"size not hex", chunkedPost("g\r\n\r\n"), "400"},
	{"size 0x5", chunkedPost("0x5\r\nhello\r\n0\r\n\r\n"), "400"},
	{"size +5", chunkedPost("+5\r\nhello\r\n0\r\n\r\n"), "400"},
	{"size -0", chunkedPost("-0\r\n\r\n"), "400"},
	{"size too large", chunkedPost("10000000000000005\r\nhello\r\n0\r\n\r\n"), "400"},
	{"size many zeros", chunkedPost(strings.Repeat("0", 16) + "5\r\nhello\r\n0\r\n\r\n"), "400"},
	// req: 9112-7.1b
	{"bare LF after size", chunkedPost("5\nhello\r\n0\r\n\r\n"), "400"},
	{"bare CR after size", chunkedPost("5\rhello\r\n0\r\n\r\n"), "400"},
	{"bare LF after data", chunkedPost("5\r\nhello\n0\r\n\r\n"), "400"},
	{"no CRLF after data", chunkedPost("5\r\nhelloXX0\r\n\r\n"), "400"},
	{"CR without LF after data", chunkedPost("5\r\nhello\rX0\r\n\r\n"), "400"},
	{"data longer than the size", chunkedPost("4\r\nhello\r\n0\r\n\r\n"), "400"},
	{"garbage for final CRLF", chunkedPost("0\r\nXX"), "400"},
	{"bare LF at the end", chunkedPost("0\r\n\n"), "400"},
	// req: 9112-7.1c
	{"blank after size", chunkedPost("5 \r\nhello\r\n0\r\n\r\n"), "400"},
	{"blank before size", chunkedPost(" 5\r\nhello\r\n0\r\n\r\n"), "400"},
	// req: 9112-7.1.1
	{"extension without name", chunkedPost("5;\r\nhello\r\n0\r\n\r\n"), "400"},
	{"CTL in extension", chunkedPost("5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n"), "400"},
	{"LF in extension", chunkedPost("5;a\nhello\r\n0\r\n\r\n"), "400"},
	{"CRLF in quoted extension", chunkedPost("5;a=\"\r\nhello\r\n0\r\n\r\n"), "400"},
	{"extension too large", chunkedPost("5;a=" + strings.Repeat("b", 300) + "\r\nhello\r\n0\r\n\r\n"), "431"},
	{"extensions too large", chunkedPost(strings.Repeat("1;a="+strings.Repeat("b", 200)+"\r\nh\r\n", 100) + "0\r\n\r\n"), "431"},
	// req: 9112-7.1.2
	{"bare LF in trailer", chunkedPost("0\r\nX: y\n\r\n"), "400"},
	{"framing announced in Trailer", post("Transfer-Encoding: chunked\r\nTrailer: X, content-length") + "0\r\n\r\n", "400"},
	{"folded trailer", chunkedPost("0\r\nX: y\r\n z\r\n\r\n"), "400"},
	{"malformed trailer", chunkedPost("0\r\nX : y\r\n\r\n"), "400"},
	{"trailer without colon", chunkedPost("0\r\nX\r\n\r\n"), "400"},
	{"NUL in trailer", chunkedPost("0\r\nX: a\x00b\r\n\r\n"), "400"},
	{"bare CR in trailer", chunkedPost("0\r\nX: a\rb\r\n\r\n"), "400"},
	{"trailer too large", chunkedPost("0\r\nX: " + strings.Repeat("a", 9<<10) + "\r\n\r\n"), "431"},
	// req: 9112-8
	{"body cut short", post("Content-Length: 10") + "hello", "400"},
	{"chunked body cut short", chunkedPost("5\r\nhel"), "400"},
	{"head cut short", "GET / HTTP/1.1\r\nHost: a\r\n", "400"},
}

func post(fields string) string {
	return "POST /read HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n"
}

func chunkedPost(body string) string { return post("Transfer-Encoding: chunked") + body }

// TestRefusals sends each malformed request behind a good one: the good one is answered first, the bad one is refused
// with a full set of fields, and the connection is closed.
//
// req: 9112-9.3.2c, 9112-9.6b, 9112-2.2e, 9110-6.6.1
func TestRefusals(t *testing.T) {
	for _, split := range []int{0, 1, 37} {
		inWorld(t, demo, nil, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			for _, tt := range refusals {
				raw := w.talk(get("/first") + tt.raw)
				all := w.answers(raw, "GET", "POST")
				if all[0].StatusCode != 200 || all[0].body != "GET /first" {
					w.t.Errorf("%s: first answer %v %q", tt.name, all[0].Status, all[0].body)
				}
				a := all[1]
				if a.Status[:3] != tt.status {
					w.t.Errorf("%s: %s %q, want %s", tt.name, a.Status, a.body, tt.status)
				}
				if !a.Close || a.Header.Get("Date") == "" || a.ContentLength != int64(len(a.body)) || a.Header.Get("Content-Type") == "" {
					w.t.Errorf("%s: incomplete header %v", tt.name, a.Header)
				}
			}
		})
	}
}

// TestRefusedThenNothing: after a refusal nothing more is answered.
func TestRefusedThenNothing(t *testing.T) { // req: 9112-2.2e 9112-6.1a 9112-6.1b 9112-6.3a 9112-6.3c
	inWorld(t, demo, nil, func(w *world) {
		for _, tt := range refusals {
			if !strings.HasSuffix(tt.raw, "\r\n\r\n") {
				continue
			}
			raw := w.talk(tt.raw + get("/smuggled"))
			if strings.Contains(raw, "smuggled") || strings.Count(raw, "HTTP/1.1 ") != 1 {
				w.t.Errorf("%s: %q", tt.name, raw)
			}
		}
	})
}

// accepted are requests that must be served, each with what demo answers.
var accepted = []struct{ name, raw, body string }{
	{"GET with body", "GET /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "5 <nil>"},
	// req: 9112-2.2a
	{"four empty lines", "\r\n\r\n\r\n\r\n" + get("/x"), "GET /x"},
	// req: 9110-6.2
	{"HTTP/1.9", "GET /x HTTP/1.9\r\nHost: a\r\n\r\n", "GET /x"},
	// req: 9112-3a
	{"long target", "GET /" + strings.Repeat("a", 8000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET /" + strings.Repeat("a", 8000)},
	// req: 9112-3c
	{"unknown method", "BREW /x HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /x"},
	// req: 9112-3.2c
	{"empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", "GET /x"},
	{"IPv6 Host", "GET /x HTTP/1.1\r\nHost: [fd90::2]:80\r\n\r\n", "GET /x"},
	{"IPvFuture Host", "GET /x HTTP/1.1\r\nHost: [v1.a:b]\r\n\r\n", "GET /x"},
	{"Host with empty port", "GET /x HTTP/1.1\r\nHost: a:\r\n\r\n", "GET /x"},
	{"escaped Host", "GET /x HTTP/1.1\r\nHost: a%20b\r\n\r\n", "GET /x"},
	// req: 9112-3.2.2
	{"absolute form", "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x"},
	{"absolute form, upper case", "GET HTTP://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x"},
	// req: 9110-5.5b
	{"no blank after colon", "GET /x HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n", "GET /x"},
	{"OWS", "GET /x HTTP/1.1\r\nHost: \t a \t\r\nContent-Length:\t0 \r\n\r\n", "GET /x"},
	// req: 9110-5.5a
	{"obs-text", "GET /x HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n", "GET /x"},
	// req: 9110-5.4
	{"200 fields", "GET /x HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 199) + "\r\n", "GET /x"},
	{"60 KiB of header", "GET /x HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 60<<10) + "\r\n\r\n", "GET /x"},
	// req: 9112-7.1b
	{"Chunked", "POST /read HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "5 <nil>"},
	// req: 9112-7.1a
	{"leading zeros, both cases", chunkedRead("00a\r\n0123456789\r\nA;x\r\n0123456789\r\n000\r\n\r\n"), "20 <nil>"},
	// req: 9112-7.1.1
	{"extensions", chunkedRead("5;a;b=c;d=\"e\\\"f;\" ; g = h\r\nhello\r\n0;z\r\n\r\n"), "5 <nil>"},
	{"BWS before extension", chunkedRead("5 \t;a\r\nhello\r\n0\r\n\r\n"), "5 <nil>"},
	// req: 9112-7.1.2
	{"trailer", chunkedRead("5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"), "5 <nil>"},
	// req: 9110-10.1.1b
	{"expectation in 1.0 ignored", "POST /read HTTP/1.0\r\nExpect: magic\r\nContent-Length: 5\r\n\r\nhello", "5 <nil>"},
}

func TestAccepted(t *testing.T) {
	for _, split := range []int{0, 1, 30} {
		inWorld(t, demo, nil, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			for _, tt := range accepted {
				raw := w.talk(tt.raw)
				method, _, _ := strings.Cut(strings.TrimLeft(tt.raw, "\r\n"), " ")
				a := w.answers(raw, method)[0]
				if a.StatusCode != 200 || a.body != tt.body {
					w.t.Errorf("%s: %s %q, want %q", tt.name, a.Status, a.body, tt.body)
				}
			}
		})
	}
}

func chunkedRead(body string) string {
	return "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

// TestByteByByte feeds good requests one byte at a time.
func TestByteByByte(t *testing.T) {
	raw := "\r\n" + get("/a") + chunkedRead("5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n") + get("/b")
	inWorld(t, demo, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		var got string
		for i := range len(raw) {
			io.WriteString(c, raw[i:i+1])
			got += arrived(c)
		}
		all := w.answers(got, "GET", "POST", "GET")
		if all[0].body != "GET /a" || all[1].body != "5 <nil>" || all[2].body != "GET /b" {
			w.t.Errorf("got %q", got)
		}
	})
}

// TestOriginForm: the short way through parseOrigin makes the URL that net/url makes.
func TestOriginForm(t *testing.T) {
	targets := []string{"/", "//x/y", "/a?", "/a??", "/a?b=c?d", "/a%20b", "/%2f", "/a;b,c", "/a:b@c!", "/~x/-_.", "/?"}
	for c := 0x21; c < 0x7f; c++ {
		if c != '#' {
			targets = append(targets, "/a"+string(rune(c))+"b", "/a?"+string(rune(c)))
		}
	}
	for _, target := range targets {
		want, err := url.ParseRequestURI(target)
		var got url.URL
		perr := parseOrigin(target, &got)
		if (err != nil) != (perr != nil) {
			t.Errorf("%q: %v, net/url %v", target, perr, err)
		} else if err == nil && got != *want {
			t.Errorf("%q: %#v, net/url %#v", target, got, *want)
		}
	}
}

// FuzzRequest: whatever this parser takes, net/http takes, and reads the same in it.
func FuzzRequest(f *testing.F) {
	for _, tt := range refusals {
		f.Add(tt.raw)
	}
	f.Add(get("/a?b"))
	f.Add(chunkedRead("5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n"))
	f.Add("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		n := headEnd([]byte(raw), 0)
		if n == 0 || strings.HasPrefix(raw, "\r\n") {
			return
		}
		x := &exchange{c: &conn{srv: new(Server), turn: new(turn), remote: "192.0.2.1:1"}}
		if x.parse([]byte(raw[:n])) != nil {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", raw, err)
		}
		x.c.src = &bufSource{buf: []byte(raw[n:]), w: len(raw) - n, err: io.EOF}
		x.prepare()
		compareRequests(t, raw, x, want)
	})
}

func compareRequests(t *testing.T, raw string, x *exchange, want *http.Request) {
	got := x.req
	if got.Method != want.Method || got.URL.String() != want.URL.String() || got.Host != want.Host || got.ContentLength != want.ContentLength {
		t.Fatalf("%q: %s %s host %q length %d; net/http: %s %s host %q length %d", raw, got.Method, got.URL, got.Host, got.ContentLength,
			want.Method, want.URL, want.Host, want.ContentLength)
	}
	if want.Close && !got.Close {
		t.Fatalf("%q: net/http closes", raw)
	}
	for key, values := range want.Header {
		if key == "Cache-Control" && want.Header.Get("Pragma") != "" {
			continue // net/http's own addition
		}
		if strings.Join(got.Header[key], "|") != strings.Join(values, "|") {
			t.Fatalf("%q: %s is %q, net/http: %q", raw, key, got.Header[key], values)
		}
	}
	body, err := io.ReadAll(got.Body)
	wantBody, wantErr := io.ReadAll(want.Body)
	if err != nil {
		return
	}
	if wantErr != nil {
		if x.chunked && strings.Contains(wantErr.Error(), "chunk") && strings.Contains(raw, ";") {
			return // blanks before ";", which net/http does not know (9112-7.1.1)
		}
		t.Fatalf("%q: body taken, net/http: %v", raw, wantErr)
	}
	if string(body) != string(wantBody) {
		t.Fatalf("%q: body %q, net/http: %q", raw, body, wantBody)
	}
}

// TestHeadEnd: the end of a head is found wherever the search for it was broken off.
func TestHeadEnd(t *testing.T) {
	const letters = "a\r\n"
	for n := range 6561 { // all strings of 8 letters
		var p []byte
		for m := n; len(p) < 8; m /= 3 {
			p = append(p, letters[m%3])
		}
		want := bytes.Index(p, []byte("\r\n\r\n")) + 4
		if want < 4 {
			want = 0
		}
		for from := range len(p) {
			if want > 0 && from >= want {
				break
			}
			if got := headEnd(p, from); got != want {
				t.Fatalf("%q from %d: %d, want %d", p, from, got, want)
			}
		}
	}
}

// TestRepeatedFields: the values of a field stand together in the order they came, whatever comes between.
func TestRepeatedFields(t *testing.T) {
	raw := "GET / HTTP/1.1\r\nHost: a\r\n"
	want := http.Header{}
	for i := range 90 {
		for _, name := range []string{"Accept", "x-" + string(rune('a'+i%26)), "cookie"} {
			if i%7 > 0 && name == "Accept" {
				continue
			}
			key, value := http.CanonicalHeaderKey(name), strconv.Itoa(i)
			raw += name + ":" + value + "\r\n"
			want[key] = append(want[key], value)
		}
	}
	x := &exchange{c: &conn{srv: new(Server), turn: new(turn)}}
	if err := x.parse([]byte(raw + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(x.header, want) {
		t.Errorf("got %v, want %v", x.header, want)
	}
}

// TestSpanValue: a byte that no value may hold is found wherever it stands, and no other.
func TestSpanValue(t *testing.T) {
	for c := range 256 {
		for n := range 20 {
			for at := range n {
				b := bytes.Repeat([]byte{'~'}, n)
				b[at] = byte(c)
				b[(at+3)%n] = '\t'
				b[(at+5)%n] = 0xff
				if got, want := spanValue(string(b)), span(string(b), charValue); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}
