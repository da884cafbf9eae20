package httpserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A watcher keeps events.
type watcher struct {
	mu  sync.Mutex
	all []Event
}

func (x *watcher) trace(e *Event) {
	kept := *e
	for _, s := range []*string{&kept.Method, &kept.Target, &kept.Proto} {
		*s = strings.Clone(*s)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, kept)
}

// of returns the events of a kind.
func (x *watcher) of(kind EventKind) (list []Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.all {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// A sent is a part of what a client sends: what no request is, a head, and a body.
type sent struct{ before, head, body string }

func plainGet(path string) sent { return sent{head: get(path)} }

// raw returns all of it.
func raw(parts []sent) (all string) {
	for _, p := range parts {
		all += p.before + p.head + p.body
	}
	return all
}

// An extent is where an answer stands in what came back.
type extent struct {
	from, to int64
	status   int
	body     int64
}

// extents finds the final answers to requests of the given methods in what came back, by reading it as a client does.
func extents(t *testing.T, back string, methods []string) (list []extent) {
	t.Helper()
	in := strings.NewReader(back)
	r := bufio.NewReader(in)
	at := func() int64 { return in.Size() - int64(in.Len()) - int64(r.Buffered()) }
	for i := 0; i < len(methods); {
		from := at()
		resp, err := http.ReadResponse(r, &http.Request{Method: methods[i]})
		if err != nil {
			t.Fatalf("answer %d: %v", i+1, err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			t.Fatalf("body %d: %v", i+1, err)
		}
		if resp.StatusCode >= 200 {
			list = append(list, extent{from, at(), resp.StatusCode, n})
			i++
		}
	}
	if rest := int64(len(back)) - at(); rest != 0 {
		t.Fatalf("%d octets behind the answers", rest)
	}
	return list
}

// check holds the events of one connection, of which every request was answered in full, to what went over it.
func (x *watcher) check(t *testing.T, parts []sent, back string) {
	t.Helper()
	var methods []string
	for _, p := range parts {
		method, _, _ := strings.Cut(p.head, " ")
		methods = append(methods, method)
	}
	answers := extents(t, back, methods)
	requests, begins, ends := x.of(EventRequest), x.of(EventResponse), x.of(EventResponseEnd)
	if len(requests) != len(parts) || len(begins) != len(parts) || len(ends) != len(parts) {
		t.Fatalf("%d requests begun, %d answers begun, %d over: want %d", len(requests), len(begins), len(ends), len(parts))
	}
	var in int64
	for i, p := range parts {
		in += int64(len(p.before))
		headEnd := in + int64(len(p.head))
		line := strings.Fields(p.head)
		a := answers[i]
		for _, e := range []Event{requests[i], begins[i], ends[i]} {
			if e.Number != i+1 || e.Method != line[0] || e.Target != line[1] || e.Proto != line[2] || e.In != in || e.ID != 1 || e.Conn == nil {
				t.Errorf("request %d at %d: %+v", i+1, in, e)
			}
		}
		if e := requests[i]; e.InEnd != headEnd {
			t.Errorf("head %d ends at %d: %+v", i+1, headEnd, e)
		}
		if e := begins[i]; e.Out != a.from || e.OutEnd != -1 && e.OutEnd != a.to || e.Status != a.status {
			t.Errorf("answer %d begins at %d and shall end at %d: %+v", i+1, a.from, a.to, e)
		}
		if e := ends[i]; e.Out != a.from || e.OutEnd != a.to || e.Status != a.status || e.Aborted || e.Length != a.body || e.InEnd != headEnd+int64(len(p.body)) {
			t.Errorf("answer %d from %d to %d, content of %d, request to %d: %+v", i+1, a.from, a.to, a.body, headEnd+int64(len(p.body)), e)
		}
		in = headEnd + int64(len(p.body))
	}
}

const big = 200_000

// ways answers by all ways that octets have to a connection.
func ways(w http.ResponseWriter, r *http.Request) {
	declare := func() { w.Header().Set("Content-Length", fmt.Sprint(big)) }
	body := make([]byte, big)
	switch r.URL.Path {
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/nothing":
	case "/unmodified":
		w.WriteHeader(http.StatusNotModified)
	case "/declared":
		declare()
		w.Write(body)
	case "/shared":
		declare()
		w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(body)
	case "/chunks":
		for range 5 {
			w.Write(body[:9000])
			w.(http.Flusher).Flush()
		}
		w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(body)
	case "/pull":
		declare()
		io.Copy(w, io.LimitReader(bytes.NewReader(body), big))
	case "/file":
		declare()
		f, err := os.CreateTemp("", "")
		if err != nil {
			panic(err)
		}
		defer os.Remove(f.Name())
		defer f.Close()
		f.Write(body)
		f.Seek(0, io.SeekStart)
		io.Copy(w, f)
	case "/hints":
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "hints")
	case "/trailer":
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "1")
	default:
		demo(w, r)
	}
}

// TestTracerOffsets: what is told of requests and answers is what a reader of the streams finds by itself, however the
// octets come and go.
func TestTracerOffsets(t *testing.T) {
	post := func(path, body string) sent {
		return sent{head: fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", path, len(body)), body: body}
	}
	chunked := func(path, body string) sent {
		return sent{head: "PUT " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body: body}
	}
	head := func(path string) sent { return sent{head: "HEAD " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"} }
	blank := func(s sent) sent { s.before = "\r\n\r\n"; return s }
	last := sent{head: "GET /last HTTP/1.0\r\n\r\n"}
	cases := map[string][]sent{
		"one":       {plainGet("/")},
		"pipelined": {plainGet("/a"), blank(plainGet("/b")), plainGet("/c"), plainGet("/slow"), blank(last)},
		"bodies": {post("/read", "0123456789"), plainGet("/"), post("/", strings.Repeat("unread", 9000)), chunked("/read", "3\r\nabc\r\n0\r\n\r\n"),
			chunked("/echo", "3;x=y\r\nabc\r\n1f\r\n0123456789012345678901234567890\r\n0\r\nX-T: 1\r\n\r\n"), plainGet("/")},
		"ways": {plainGet("/declared"), plainGet("/shared"), plainGet("/chunks"), plainGet("/pull"), plainGet("/file"), plainGet("/big"),
			plainGet("/hints"), chunked("/trailer", "3\r\nabc\r\n0\r\n\r\n")},
		"no content": {head("/big"), plainGet("/none"), head("/declared"), plainGet("/unmodified"), head("/none"), plainGet("/nothing"), head("/nothing"),
			{head: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"}},
		"1.0, to the end of the connection": {plainGet("/a"), {head: "GET /chunks HTTP/1.0\r\n\r\n"}},
		"1.0, kept":                         {{head: "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}, last},
	}
	for name, parts := range cases {
		for _, parallel := range []int{1, 3} {
			for _, piece := range []int{1, 7, 1 << 20} {
				t.Run(fmt.Sprintf("%s/parallel %d/pieces of %d", name, parallel, piece), func(t *testing.T) {
					var x *watcher
					tune := func(s *Server) {
						x = new(watcher)
						s.MaxParallel = parallel
						s.SetTracer(x.trace)
					}
					inWorld(t, ways, tune, func(w *world) {
						c, _ := w.l.dial()
						defer c.Close()
						all := raw(parts)
						for len(all) > 0 {
							n := min(piece, len(all))
							io.WriteString(c, all[:n])
							all = all[n:]
							if piece < 9 && len(all) < 900 { // else the server sees larger ones in between
								synctest.Wait()
							}
						}
						c.CloseWrite()
						x.check(w.t, parts, w.readAll(c))
					})
				})
			}
		}
	}
}

// TestTracerContinue: an answer begins behind 100 Continue, of which is told by itself.
func TestTracerContinue(t *testing.T) {
	parts := []sent{plainGet("/"), {head: "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", body: "abc"}, plainGet("/")}
	var x *watcher
	tune := func(s *Server) { x = new(watcher); s.SetTracer(x.trace) }
	inWorld(t, ways, tune, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, raw(parts[:1])+parts[1].head)
		back := arrived(c)
		if !strings.HasSuffix(back, "HTTP/1.1 100 Continue\r\n\r\n") {
			t.Fatalf("%q", back)
		}
		io.WriteString(c, parts[1].body+raw(parts[2:]))
		c.CloseWrite()
		x.check(w.t, parts, back+w.readAll(c))
		if from := x.of(EventResponse)[1].Out; from != int64(len(back)) {
			t.Errorf("the answer begins at %d, want %d", from, len(back))
		}
		size := int64(len("HTTP/1.1 100 Continue\r\n\r\n"))
		if list := x.of(EventInterim); len(list) != 1 || list[0].Number != 2 || list[0].Status != 100 ||
			list[0].Out != int64(len(back))-size || list[0].OutEnd != int64(len(back)) {
			t.Errorf("100 Continue from %d to %d: %+v", int64(len(back))-size, len(back), list)
		}
	})
}

// TestTracerEarlyHints: the informational answers that a handler sends are told where they stand, also where answers
// wait before them and handlers run at once.
func TestTracerEarlyHints(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		}
		io.WriteString(w, "done")
	}
	for parallel := range 2 {
		var x *watcher
		tune := func(s *Server) { x = new(watcher); s.MaxParallel = 1 + 3*parallel; s.SetTracer(x.trace) }
		inWorld(t, handler, tune, func(w *world) {
			c, _ := w.l.dial()
			defer c.Close()
			io.WriteString(c, get("/")+get("/hints")+get("/"))
			c.CloseWrite()
			back := w.readAll(c)
			first := int64(strings.Index(back, hints))
			second := first + int64(len(hints))
			list := x.of(EventInterim)
			if first <= 0 || !strings.HasPrefix(back[second:], hints) || len(list) != 2 {
				t.Fatalf("%q: %+v", back, list)
			}
			for i, from := range []int64{first, second} {
				if e := list[i]; e.Number != 2 || e.Status != http.StatusEarlyHints || e.Out != from || e.OutEnd != from+int64(len(hints)) {
					t.Errorf("hints at %d: %+v", from, e)
				}
			}
			if final := x.of(EventResponse); len(final) != 3 || final[1].Out != second+int64(len(hints)) {
				t.Errorf("%+v", final)
			}
		})
	}
}

// TestTracerLate: whoever begins to listen in the middle of a connection is told of what begins then, at the right place,
// and whoever ends it of nothing more.
func TestTracerLate(t *testing.T) {
	inWorld(t, ways, nil, func(w *world) {
		x := new(watcher)
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, "\r\n"+get("/chunks"))
		before := arrived(c)
		io.WriteString(c, get("/slow")+get("/slow")+get("/a"))
		time.Sleep(150 * time.Millisecond) // the second is under way
		w.s.SetTracer(x.trace)
		synctest.Wait()
		before += arrived(c)
		time.Sleep(time.Second)
		before += arrived(c)
		in := int64(len("\r\n" + get("/chunks") + get("/slow") + get("/slow")))
		list := x.of(EventRequest)
		if len(list) != 1 || list[0].Number != 4 || list[0].In != in || list[0].Place != 3 {
			t.Fatalf("want one request at %d: %+v", in, list)
		}
		end := x.of(EventResponseEnd)
		answer := before[strings.LastIndex(before, "HTTP/1.1"):]
		if len(end) != 1 || end[0].Out != int64(len(before)-len(answer)) || end[0].OutEnd != int64(len(before)) {
			t.Fatalf("the answer ends at %d: %+v", len(before), end)
		}
		io.WriteString(c, get("/slow"))
		synctest.Wait()
		w.s.SetTracer(nil)
		time.Sleep(time.Second)
		if n, m := len(x.of(EventRequest)), len(x.of(EventResponseEnd)); n != 2 || m != 1 {
			t.Errorf("%d requests, %d ends: want 2 and 1", n, m)
		}
	})
}

// TestTracerHijack: the last that is told is where the connection has been handed over.
func TestTracerHijack(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hijack" {
			demo(w, r)
			return
		}
		io.Copy(io.Discard, r.Body)
		if r.Method == "PUT" {
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer nc.Close()
			line, _ := rw.ReadString('\n')
			rw.WriteString(line)
			rw.Flush()
		}()
	}
	for _, method := range []string{"POST", "PUT"} {
		t.Run(method, func(t *testing.T) {
			var x *watcher
			tune := func(s *Server) { x = new(watcher); s.SetTracer(x.trace) }
			inWorld(t, handler, tune, func(w *world) {
				first := get("/a")
				request := method + " /hijack HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
				back := w.talk(first + request + "line\n")
				own, ok := strings.CutSuffix(back, "line\n")
				if !ok {
					t.Fatalf("%q", back)
				}
				ends := x.of(EventResponseEnd)
				if len(ends) != 2 {
					t.Fatalf("%+v", ends)
				}
				from := x.of(EventResponseEnd)[0].OutEnd
				if e := ends[1]; e.Close != ReasonHijacked || e.Aborted || e.Out != from || e.OutEnd != int64(len(own)) || e.InEnd != int64(len(first+request)) {
					t.Errorf("handed over at %d and %d: %+v", len(first+request), len(own), e)
				}
			})
		})
	}
}

// TestTracerFailures: an answer that is not whole says so, one that is taken back is told again, and a refusal is an
// answer too.
func TestTracerFailures(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			w.Write(make([]byte, 9000))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/begun":
			w.Header().Set("Content-Length", "50")
			io.WriteString(w, "begun")
			panic("boom")
		case "/whole":
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "whole")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/half":
			w.Header().Set("Content-Length", "40000")
			w.Write(make([]byte, 20_000))
			w.Write(make([]byte, 20_000))
			panic(http.ErrAbortHandler)
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "50")
			io.WriteString(w, "short")
		default:
			demo(w, r)
		}
	}
	put := "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, raw string
		status    int
		aborted   bool
		why       CloseReason
		begins    int // answers that were begun to this request
	}{
		{"panic", get("/panic"), 500, false, ReasonPanic, 1},
		{"panic behind what is taken back", get("/begun"), 500, false, ReasonPanic, 2},
		{"panic behind what was sent", get("/late"), 200, true, ReasonAbort, 1},
		{"panic behind the answer", get("/whole"), 200, true, ReasonAbort, 1},
		{"panic with a part in the buffer", get("/half"), 200, true, ReasonAbort, 1},
		{"abort", get("/abort"), 0, true, ReasonAbort, 0},
		{"too short", get("/short"), 200, true, ReasonHandlerClose, 1},
		{"malformed", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, false, ReasonRefused, 1},
		{"malformed at once", "GET /\x00", 400, false, ReasonRefused, 1},
		{"malformed HEAD", "HEAD / HTTP/1.1\r\n\r\n", 400, false, ReasonRefused, 1},
		{"malformed body", put + "x", 400, false, ReasonRefused, 1},
		{"cut short", "GET / HT", 400, false, ReasonRefused, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var x *watcher
			tune := func(s *Server) { x = new(watcher); s.SetTracer(x.trace) }
			inWorld(t, handler, tune, func(w *world) {
				c, s := w.l.dial()
				defer c.Close()
				io.WriteString(c, get("/a")+tt.raw)
				c.CloseWrite()
				io.ReadAll(c) // some end in a reset
				synctest.Wait()
				_, written := s.Octets()
				ends := x.of(EventResponseEnd)
				if len(ends) != 2 {
					t.Fatalf("%+v", ends)
				}
				from, e := ends[0].OutEnd, ends[1]
				if e.Status != tt.status || e.Aborted != tt.aborted || e.Close != tt.why || e.Out != from || e.In != int64(len(get("/a"))) {
					t.Errorf("%+v", e)
				}
				if e.OutEnd != written {
					t.Errorf("ends at %d of %d", e.OutEnd, written)
				}
				begins := x.of(EventResponse)
				if len(begins) != 1+tt.begins {
					t.Fatalf("%d answers begun: want %d", len(begins)-1, tt.begins)
				}
				if b := begins[len(begins)-1]; tt.begins > 0 && (b.Out != from || b.Status != tt.status || !e.Aborted && b.OutEnd != e.OutEnd) {
					t.Errorf("begun as %+v", b)
				}
			})
		})
	}
}

// TestTracerBroken: of an answer to a client that has gone, what the connection has taken counts.
func TestTracerBroken(t *testing.T) {
	var x *watcher
	tune := func(s *Server) { x = new(watcher); s.SetTracer(x.trace) }
	inWorld(t, ways, tune, func(w *world) {
		for _, path := range []string{"/declared", "/shared", "/chunks", "/pull"} {
			c, s := w.l.dial()
			c.limit = 50_000
			io.WriteString(c, get(path))
			synctest.Wait()
			c.Reset()
			synctest.Wait()
			ends := x.of(EventResponseEnd)
			if len(ends) == 0 {
				t.Fatalf("%s: no end", path)
			}
			e := ends[len(ends)-1]
			if _, written := s.Octets(); !e.Aborted || e.Out != 0 || e.OutEnd != written || e.Target != path || e.Close == ReasonNone {
				t.Errorf("%s: %d octets were written: %+v", path, written, e)
			}
		}
	})
}

// TestTracerTimeout: a head that does not come to its end is told from its first octet.
func TestTracerTimeout(t *testing.T) {
	var x *watcher
	tune := func(s *Server) { x = new(watcher); s.SetTracer(x.trace) }
	inWorld(t, ways, tune, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/a")+"\r\nGET /b HTTP/1.1\r\n")
		time.Sleep(time.Minute)
		back := w.readAll(c)
		in := int64(len(get("/a")) + 2)
		r, e := x.of(EventRequest), x.of(EventResponseEnd)
		if len(r) != 2 || r[1].In != in || r[1].InEnd != in+int64(len("GET /b HTTP/1.1\r\n")) || r[1].Method != "" {
			t.Errorf("want a request at %d: %+v", in, r)
		}
		if len(e) != 2 || e[1].Status != 408 || e[1].OutEnd != int64(len(back)) || e[1].Close != ReasonRefused {
			t.Errorf("%+v", e)
		}
	})
}
