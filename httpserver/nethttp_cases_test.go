package httpserver

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stricter are the ways in which this server refuses what net/http serves, each with the cases that show it. They are
// explained, under the same names, in docs/httpserver.md.
var stricter = map[string][]string{
	"A bare LF ends no line":                 {"bare LF", "bare LF after field", "bare LF as last line end", "bare LF at the end", "bare LF in trailer"},
	"HTTP/2's preface is HTTP/2":             {"HTTP/2 preface"},
	"Methods and targets have an end":        {"target too long", "method too long", "method too long, unfinished"},
	"A target is visible ASCII, without `#`": {"0x80 in target", "fragment"},
	"Host is `uri-host [ \":\" port ]`":      {"Host a:port", "Host a:-1", "Host a:65536", "Host [::1", "Host [::1%eth0]", "Host [1.2.3.4]", "Host only port", "Host bad escape"},
	"An absolute target is an http URI":      {"https", "no authority", "port alone", "userinfo"},
	"`*` is for OPTIONS":                     {"GET *"},
	"CONNECT is for proxies":                 {"CONNECT", "CONNECT, empty port"},
	"No line is folded":                      {"obs-fold", "obs-fold with tab", "obs-fold in Transfer-Encoding", "obs-fold of nothing", "folded trailer"},
	"A head has 64 KiB and 200 fields":       {"header too large", "201 fields"},
	"Content-Length comes once":              {"two CL equal"},
	"Content-Length or Transfer-Encoding":    {"CL and TE", "TE and CL", "TE and CL with other fields between"},
	"No Transfer-Encoding in HTTP/1.0":       {"TE in 1.0", "TE in 1.0, kept alive", "TE identity in 1.0"},
	"A chunk's size has nothing behind it":   {"blank after size"},
	"A chunk's extensions have a grammar":    {"extension without name", "CTL in extension", "CRLF in quoted extension"},
	"A chunk's extensions have 256 octets":   {"extension too large"},
	"A trailer field is a field":             {"malformed trailer"},
	"One unknown expectation is enough":      {"two expectations", "empty expectation"},
	"`close` wins over `keep-alive`":         {"1.0 with both options"},
	"What follows a POST is a request":       {"bare LF after POST"},
}

// looser are the ways in which this server serves what net/http refuses. Each is asked for by the standard, or is about
// sizes: none lets the two disagree where a request ends. In the fuzz test, where says which input may show it.
var looser = map[string]struct {
	cases []string
	where func(raw string, mode int) bool
}{
	"Up to four empty lines before a request": {[]string{"four empty lines"}, nil}, // strip takes them away
	"Blanks before a chunk's extension": {[]string{"BWS before extension"}, func(raw string, _ int) bool {
		return blankExtension.MatchString(raw)
	}},
	"An expectation in HTTP/1.0 is ignored": {[]string{"expectation in 1.0 ignored"}, func(raw string, _ int) bool {
		return strings.Contains(raw, "HTTP/1.0") && strings.Contains(strings.ToLower(raw), "expect")
	}},
	"All Connection fields count in HTTP/1.0": {[]string{"1.0 kept alive by a second field"}, func(raw string, _ int) bool {
		return strings.Contains(raw, "HTTP/1.0") && strings.Count(strings.ToLower(raw), "connection:") > 1
	}},
	"A trailer section has 8 KiB": {[]string{"trailer of 6 KiB"}, func(raw string, _ int) bool {
		return len(raw) > 4000
	}},
	"A body that nobody asked to continue is read off": {nil, func(raw string, mode int) bool {
		return mode != readAll && strings.Contains(strings.ToLower(raw), "expect")
	}},
}

var blankExtension = regexp.MustCompile(`[0-9A-Fa-f][ \t]+;`)

// A pair is bytes of a connection, under a name.
type pair struct{ name, raw string }

// handWritten are connections of several requests each, refusals and odd ones in their midst.
func handWritten() []pair {
	var all []pair
	for _, tt := range refusals {
		all = append(all, pair{tt.name, get("/first") + tt.raw + get("/next")})
	}
	for _, tt := range accepted {
		all = append(all, pair{tt.name, get("/first") + tt.raw + get("/next")})
	}
	return append(all, pipelines...)
}

const chunks = "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"

var pipelines = []pair{
	{"bodies in a row", post("Content-Length: 5") + "hello" + chunkedPost(chunks) + get("/x") + post("Content-Length: 0") + chunkedPost(chunks) + get("/y")},
	{"bodies that look like requests", post("Content-Length: 34") + get("/smuggled") + chunkedPost("22\r\n"+get("/smuggled")+"\r\n0\r\n\r\n") + get("/x")},
	{"a length short by one", post("Content-Length: 4") + "hello" + get("/x")},
	{"a length long by one", post("Content-Length: 6") + "hello" + get("/x")},
	{"a chunk short by one", chunkedPost("4\r\nhello\r\n0\r\n\r\n") + get("/x")},
	{"a chunk long by one", chunkedPost("6\r\nhello\r\n0\r\n\r\n") + get("/x")},
	{"trailers", post("Transfer-Encoding: chunked\r\nTrailer: X, Y") + "0\r\nX: y\r\nY: a\r\nY: b\r\n\r\n" + get("/x")},
	{"Trailer without chunks", post("Content-Length: 5\r\nTrailer: X") + "hello" + get("/x")},
	{"trailer of 6 KiB", chunkedPost("0\r\nX: "+strings.Repeat("y", 6<<10)+"\r\n\r\n") + get("/x")},
	{"one-octet chunks", chunkedPost(strings.Repeat("1\r\nx\r\n", 500)+"0\r\n\r\n") + get("/x")},
	{"GET, HEAD and DELETE with bodies", "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + "HEAD /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + "DELETE /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + get("/x")},
	{"close in the middle", get("/a") + "GET /b HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n" + get("/x")},
	{"1.0 in the middle", get("/a") + "GET /b HTTP/1.0\r\n\r\n" + get("/x")},
	{"1.0 kept alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + "POST /b HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello" + get("/x")},
	{"1.0 kept alive by a second field", "GET /a HTTP/1.0\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n" + get("/x")},
	{"1.0 with both options", "GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + get("/x")},
	{"empty line after POST", post("Content-Length: 5") + "hello\r\n" + get("/x")},
	{"bare LF after POST", post("Content-Length: 5") + "hello\n" + get("/x")},
	{"expectation", post("Content-Length: 5\r\nExpect: 100-Continue") + "hello" + get("/x")},
	{"two expectations", post("Content-Length: 5\r\nExpect: 100-continue, magic") + "hello" + get("/x")},
	{"empty expectation", post("Content-Length: 5\r\nExpect:") + "hello" + get("/x")},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + get("/x")},
	{"Upgrade", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + get("/x")},
	{"repeated fields", "GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\nCookie: a\r\nx: 2\r\ncookie: b\r\nPragma: no-cache\r\n\r\n" + get("/x")},
	{"cut in the head", get("/a") + "GET /b HTTP/1.1\r\nHost"},
	{"cut in the body", get("/a") + post("Content-Length: 50") + "hello"},
}

// TestNetHTTPDifferences: on the same bytes this server and net/http read the same requests, but for what is listed.
func TestNetHTTPDifferences(t *testing.T) {
	l := newNetHTTP(t)
	listed := make(map[string]string)
	for _, names := range stricter {
		for _, name := range names {
			listed[name] = "stricter"
		}
	}
	for _, row := range looser {
		for _, name := range row.cases {
			listed[name] = "looser"
		}
	}
	for _, p := range handWritten() {
		for _, split := range []int{0, 1, 7} {
			ours, refused := readOurs(t, p.raw, readAll, split)
			d := compare(readAll, ours, refused, l.read(p.raw, readAll))
			if d.kind != listed[p.name] {
				t.Errorf("%s, in pieces of %d: %q: %s; listed as %q", p.name, split, d.kind, d.detail, listed[p.name])
			}
		}
		delete(listed, p.name)
	}
	for name, kind := range listed {
		t.Errorf("%s is listed as %s, and no case", name, kind)
	}
}

// TestNetHTTPDifferencesTold: the document explains every difference.
func TestNetHTTPDifferencesTold(t *testing.T) {
	doc, err := os.ReadFile("../docs/httpserver.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range stricter {
		names = append(names, name)
	}
	for name := range looser {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.Contains(string(doc), "\n| "+name+" | ") {
			t.Errorf("docs/httpserver.md has no row for %q", name)
		}
	}
}

// strip takes the empty lines before requests out of raw, which only this server takes, as far as it reads raw.
func strip(t *testing.T, raw string) string {
	var b strings.Builder
	end := 0
	all, _ := readOurs(t, raw, readAll, 0)
	for _, r := range all {
		if blank := raw[end:r.start]; strings.Trim(blank, "\r\n") != "" {
			t.Fatalf("%q: skipped %q", raw, blank)
		}
		b.WriteString(raw[r.start:r.end])
		end = r.end
	}
	rest := raw[end:] // in front of what is refused, too
	for strings.HasPrefix(rest, "\r\n") {
		rest = rest[len("\r\n"):]
	}
	return b.String() + rest
}

// FuzzNetHTTP: of any bytes, in any pieces, this server serves no request that net/http refuses, and no other body, and the next
// request begins where it does for net/http, however much of the bodies a handler reads.
func FuzzNetHTTP(f *testing.F) {
	l := newNetHTTP(f)
	for i, p := range handWritten() {
		f.Add(p.raw, uint8(i))
	}
	f.Fuzz(func(t *testing.T, raw string, how uint8) {
		mode, split := int(how%bodyModes), int(how/bodyModes)
		for _, row := range looser {
			if row.where != nil && row.where(raw, mode) {
				return
			}
		}
		raw = strip(t, raw)
		ours, refused := readOurs(t, raw, mode, split)
		theirs := l.read(raw, mode)
		if d := compare(mode, ours, refused, theirs); d.kind == "looser" {
			t.Fatalf("%q, mode %d, in pieces of %d: %s", raw, mode, split, d.detail)
		}
	})
}
