package httpserver

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
)

// BenchmarkGet is one request at a time, BenchmarkPipeline a burst of 16, told per request, BenchmarkBrowser a request
// with a browser's fields. The requests are reused unless the name says Fresh, and nobody is told of them unless it says
// Traced.
func BenchmarkGet(b *testing.B)           { benchmarkTurn(b, reuse, wrkGet, 1) }
func BenchmarkGetTraced(b *testing.B)     { benchmarkTurn(b, traced, wrkGet, 1) }
func BenchmarkGetFresh(b *testing.B)      { benchmarkTurn(b, nil, wrkGet, 1) }
func BenchmarkPipeline(b *testing.B)      { benchmarkTurn(b, reuse, pipelined(wrkGet), 16) }
func BenchmarkPipelineFresh(b *testing.B) { benchmarkTurn(b, nil, pipelined(wrkGet), 16) }
func BenchmarkBrowser(b *testing.B)       { benchmarkTurn(b, reuse, browserGet, 1) }
func BenchmarkBrowserFresh(b *testing.B)  { benchmarkTurn(b, nil, browserGet, 1) }

// browserGet is what a browser of 2025 sends.
var browserGet = []byte("GET /_/hello HTTP/1.1\r\nHost: 10.90.0.2\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n" +
	"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
	"Chrome/140.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," +
	"image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9\r\n" +
	"Cookie: a=1; b=2\r\n\r\n")

// hello answers as the cheapest of handlers does: one field of its own and a body that never changes.
func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = plainText
	w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(helloBody)
}

var (
	helloBody = []byte("Hello, World!")
	plainText = []string{"text/plain"}
)

func benchmarkTurn(b *testing.B, tune func(*Server), in []byte, requests int) {
	c := newScripted(b, func(s *Server) {
		s.Handler = http.HandlerFunc(hello)
		if tune != nil {
			tune(s)
		}
	})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.turn(in)
		n += requests
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
}

// A numbered connection has addresses of its own, made anew for each who asks.
type numbered struct {
	scripted
	port uint16
}

func (c *numbered) RemoteAddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 90, 0, 1}), c.port)
}
func (c *numbered) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.RemoteAddrPort()) }
func (c *numbered) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(10, 90, 0, 2), Port: 80} }
func (c *numbered) Write(p []byte) (int, error) {
	return len(p), nil
}

// idleBytes returns what the server holds for each of n connections that have been served a request and wait for the
// next.
func idleBytes(tb testing.TB, n int) float64 {
	s := &Server{Handler: http.HandlerFunc(hello), ReuseRequests: true}
	s.once.Do(s.init)
	defer s.Close()
	conns := make([]numbered, n)
	before := heap()
	for i := range conns {
		c := &conns[i]
		c.port = uint16(i)
		s.serveConn(tb.Context(), c)
		c.turn(wrkGet)
	}
	held := float64(heap()-before) / float64(n)
	runtime.KeepAlive(conns)
	return held
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held for the first one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkIdle is the memory of an idle connection.
func BenchmarkIdle(b *testing.B) {
	var held float64
	for b.Loop() {
		held = idleBytes(b, 100_000)
	}
	b.ReportMetric(held, "bytes/conn")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCold is one request on each of so many connections in turn that none is left in the cache.
func BenchmarkCold(b *testing.B) {
	s := &Server{Handler: http.HandlerFunc(hello), ReuseRequests: true}
	s.once.Do(s.init)
	defer s.Close()
	conns := make([]numbered, 200_000)
	for i := range conns {
		conns[i].port = uint16(i)
		s.serveConn(b.Context(), &conns[i])
		conns[i].turn(wrkGet)
	}
	const stride = 77_773 // has no factor in common with their number
	n := 0
	for b.Loop() {
		conns[n*stride%len(conns)].turn(wrkGet)
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
	b.ReportAllocs()
}

// BenchmarkParse is the parser alone, on the same heads as net/http's.
func BenchmarkParse(b *testing.B) {
	for _, head := range []struct {
		name string
		in   []byte
	}{{"wrk", wrkGet}, {"browser", browserGet}} {
		b.Run(head.name+"/reused", func(b *testing.B) {
			x := &exchange{c: &conn{turn: new(turn)}}
			b.ReportAllocs()
			for b.Loop() {
				x.reset(x.c)
				if err := x.parse(head.in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(head.name+"/fresh", func(b *testing.B) {
			c := &conn{turn: new(turn)}
			b.ReportAllocs()
			for b.Loop() {
				if err := (&exchange{c: c}).parse(head.in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(head.name+"/ReadRequest", func(b *testing.B) {
			in := bytes.NewReader(nil)
			r := bufio.NewReader(in)
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(head.in)
				r.Reset(in)
				if _, err := http.ReadRequest(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
