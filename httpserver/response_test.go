package httpserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestFraming: the length of every kind of answer is told right, for every kind of request.
func TestFraming(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/small":
			io.WriteString(w, "small")
		case "/big":
			io.WriteString(w, big)
		case "/pieces":
			for range 100 {
				io.WriteString(w, big[:1000])
			}
		case "/declared":
			w.Header().Set("Content-Length", "100000")
			for range 100 {
				io.WriteString(w, big[:1000])
			}
		case "/flushed":
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		case "/204":
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "no"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		case "/205":
			w.WriteHeader(205)
			io.WriteString(w, "no")
		case "/304":
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(304)
			io.WriteString(w, "no")
		case "/empty":
		case "/type":
			w.Header().Set("Content-Type", "text/css")
			io.WriteString(w, "<html>")
		case "/html":
			io.WriteString(w, "<html>")
		}
	}
	tests := []struct {
		path             string
		status           int
		body             string
		length           string // Content-Length in HTTP/1.1; "-": none
		chunked, ctclose bool   // chunked in 1.1, closed for want of a length in 1.0
		ctype            string
	}{
		{"/small", 200, "small", "5", false, false, "text/plain; charset=utf-8"},
		{"/big", 200, big, "-", true, true, "text/plain; charset=utf-8"},
		{"/pieces", 200, big, "-", true, true, "text/plain; charset=utf-8"},
		{"/declared", 200, big, "100000", false, false, "text/plain; charset=utf-8"},
		{"/flushed", 200, "ab", "-", true, true, "text/plain; charset=utf-8"},
		// req: 9110-8.6
		{"/204", 204, "", "-", false, false, ""},
		{"/205", 205, "", "0", false, false, ""},
		{"/304", 304, "", "5", false, false, ""},
		{"/empty", 200, "", "0", false, false, ""},
		{"/type", 200, "<html>", "6", false, false, "text/css"},
		{"/html", 200, "<html>", "6", false, false, "text/html; charset=utf-8"},
	}
	inWorld(t, h, nil, func(w *world) {
		for _, tt := range tests {
			for _, method := range []string{"GET", "HEAD"} {
				raw := w.talk(method + " " + tt.path + " HTTP/1.1\r\nHost: a\r\n\r\n" + get("/small"))
				a := w.answers(raw, method, "GET")[0]
				want := tt.body
				if method == "HEAD" {
					want = "" // req: 9110-9.3.2
				}
				if a.StatusCode != tt.status || a.body != want {
					w.t.Errorf("%s %s: %s, %d bytes", method, tt.path, a.Status, len(a.body))
				}
				if a.Header.Get("Date") == "" { // req: 9110-6.6.1
					w.t.Errorf("%s %s: no Date", method, tt.path)
				}
				length := a.Header.Get("Content-Length")
				if want := strings.Trim(tt.length, "-"); length != want && !(method == "HEAD" && tt.path == "/empty" && length == "") {
					w.t.Errorf("%s %s: Content-Length %q", method, tt.path, length)
				}
				if a.Header.Get("Content-Type") != tt.ctype {
					w.t.Errorf("%s %s: Content-Type %q", method, tt.path, a.Header.Get("Content-Type"))
				}
				if c := strings.Contains(raw, "Transfer-Encoding: chunked"); c != tt.chunked {
					w.t.Errorf("%s %s: chunked %v", method, tt.path, c)
				}
			}
			raw := w.talk("GET " + tt.path + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get("/small"))
			if strings.Contains(raw, "chunked") { // req: 9110-8.6
				w.t.Errorf("%s: chunked in HTTP/1.0", tt.path)
			}
			if tt.ctclose { // req: 9112-C.2.2
				if a := w.answers(raw, "GET")[0]; a.body != tt.body || !a.Close {
					w.t.Errorf("%s in HTTP/1.0: %d bytes, close %v", tt.path, len(a.body), a.Close)
				}
			} else if all := w.answers(raw, "GET", "GET"); all[0].body != tt.body || all[0].Header.Get("Connection") != "keep-alive" {
				w.t.Errorf("%s in HTTP/1.0: %d bytes, %v", tt.path, len(all[0].body), all[0].Header)
			}
		}
	})
}

func TestDeclaredLength(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		n, err := io.WriteString(w, r.URL.Path[1:])
		if len(r.URL.Path)-1 > 5 && (n != 5 || err != http.ErrContentLength) {
			panic(fmt.Sprint(n, err))
		}
	}
	inWorld(t, h, nil, func(w *world) {
		if a := w.answers(w.talk(get("/123456789")+get("/12345")), "GET", "GET"); a[0].body != "12345" || a[1].body != "12345" {
			w.t.Errorf("too much: %q %q", a[0].body, a[1].body)
		}
		raw := w.talk(get("/123") + get("/12345")) // req: 9112-6.3d
		if !strings.HasSuffix(raw, "\r\n\r\n123") || strings.Count(raw, "HTTP/1.1") != 1 {
			w.t.Errorf("too little: %q", raw)
		}
		if log := w.log.String(); !strings.Contains(log, "3 of 5") {
			w.t.Errorf("logged %q", log)
		}
	})
}

func TestExpect(t *testing.T) { // req: 9110-10.1.1a 9110-10.1.1c
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(b), err)
	}
	request := func(path, version, body string) string {
		return "POST " + path + " HTTP/" + version + "\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n" + body
	}
	const go100 = "HTTP/1.1 100 Continue\r\n\r\n"
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, get("/")+request("/", "1.1", ""))
		got := arrived(c)
		if !strings.HasSuffix(got, go100) || w.answers(strings.TrimSuffix(got, go100), "GET")[0].StatusCode != 200 {
			w.t.Errorf("before the body: %q", got)
		}
		io.WriteString(c, "hello"+get("/"))
		if a := w.answers(arrived(c), "POST", "GET")[0]; a.body != "5 <nil>" || a.Close {
			w.t.Errorf("after the body: %q", a.body)
		}
		c.Close()

		if raw := w.talk(request("/", "1.1", "hello")); strings.Contains(raw, " 100 ") {
			w.t.Errorf("100 for a body that was there: %q", raw)
		}
		c, _ = w.l.dial()
		io.WriteString(c, request("/", "1.0", ""))
		if got := arrived(c); got != "" {
			w.t.Errorf("HTTP/1.0: %q", got)
		}
		c.Close()

		c, _ = w.l.dial()
		start := time.Now()
		io.WriteString(c, request("/refuse", "1.1", ""))
		a := w.answers(w.readAll(c), "POST")[0]
		if a.StatusCode != 403 || !a.Close || time.Since(start) != 0 {
			w.t.Errorf("refused: %v, close %v, after %v", a.Status, a.Close, time.Since(start))
		}
		c.Close()
	})
}

func TestInformational(t *testing.T) { // req: 9110-8.6
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.Header().Set("Link", "none")
		io.WriteString(w, "body")
	}
	inWorld(t, h, nil, func(w *world) {
		raw := w.talk(get("/"))
		const early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n"
		if !strings.HasPrefix(raw, early) || !strings.HasSuffix(raw, "\r\n\r\nbody") || strings.Count(raw, "Link: none") != 1 {
			w.t.Errorf("got %q", raw)
		}
		if raw := w.talk("GET / HTTP/1.0\r\n\r\n"); status(raw) != "200" {
			w.t.Errorf("HTTP/1.0: %q", raw)
		}
	})
}

func TestHeaderSnapshot(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "before")
		w.Header()["X-Raw"] = []string{"a\r\nSet-Cookie: b\x00c", "two"}
		w.Header()["Bad Name"] = []string{"x"}
		w.Header()["Bad\r\nName"] = []string{"x"}
		w.WriteHeader(201)
		w.Header().Set("X-A", "after")
		w.Header().Set("X-B", "after")
		w.WriteHeader(202)
		io.WriteString(w, "body")
	}
	inWorld(t, h, nil, func(w *world) {
		a := w.answers(w.talk(get("/")), "GET")[0]
		if a.StatusCode != 201 || a.Header.Get("X-A") != "before" || a.Header.Get("X-B") != "" {
			w.t.Errorf("%s %v", a.Status, a.Header)
		}
		// req: 9112-11.1
		if raw := a.Header["X-Raw"]; len(raw) != 2 || raw[0] != "a  Set-Cookie: b c" || a.Header.Get("Set-Cookie") != "" {
			w.t.Errorf("%q", a.Header)
		}
		if !strings.Contains(w.log.String(), "superfluous") {
			w.t.Error("second WriteHeader was not logged")
		}
	})
}

func TestTrailers(t *testing.T) { // req: 9112-7.1.2
	h := func(w http.ResponseWriter, r *http.Request) {
		announced := fmt.Sprint(r.Trailer)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum, Content-Length")
		fmt.Fprint(w, announced, r.Trailer, r.Header)
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	}
	inWorld(t, h, nil, func(w *world) {
		raw := w.talk("POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-In, Host\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-In: y\r\nHost: b\r\nX-Else: z\r\n\r\n")
		a := w.answers(raw, "POST")[0]
		if a.body != "map[X-In:[]]map[X-Else:[z] X-In:[y]] map[]" {
			w.t.Errorf("in: %s", a.body)
		}
		if got := fmt.Sprint(a.Trailer); got != "map[X-More:[2] X-Sum:[1]]" {
			w.t.Errorf("out: %s", got)
		}
		if raw := w.talk("GET / HTTP/1.0\r\n\r\n"); strings.Contains(raw, "X-Sum") || !strings.Contains(raw, "Content-Length") {
			w.t.Errorf("HTTP/1.0: %q", raw)
		}
	})
}

func TestShared(t *testing.T) {
	data := bytes.Repeat([]byte("shared"), 100_000)
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		switch r.URL.Path {
		case "/shared":
			w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(data)
		case "/from":
			io.Copy(w, bytes.NewBuffer(data)) // a Buffer's WriteTo: one Write
		case "/readfrom":
			io.Copy(w, struct{ io.Reader }{bytes.NewReader(data)})
		case "/chunked":
			w.Header().Del("Content-Length")
			w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(data)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		for _, path := range []string{"/shared", "/from", "/readfrom", "/chunked"} {
			c, server := w.l.dial()
			io.WriteString(c, get(path)+get("/from"))
			all := w.answers(arrived(c), "GET", "GET")
			if all[0].body != string(data) || all[1].body != string(data) {
				w.t.Errorf("%s: %d and %d bytes", path, len(all[0].body), len(all[1].body))
			}
			_, shared, pulled := server.counts()
			if w.l.event && (shared > 0) != (path == "/shared" || path == "/chunked") {
				w.t.Errorf("%s: %d by reference", path, shared)
			}
			if w.l.event && (pulled == 1) != (path == "/readfrom") {
				w.t.Errorf("%s: %d pulled", path, pulled)
			}
			c.Close()
		}
	})
}

func TestHijack(t *testing.T) {
	for _, late := range []bool{false, true} {
		h := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hijack" {
				demo(w, r)
				return
			}
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
				panic(err)
			}
			serve := func() {
				rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
				for range 2 {
					line, _ := rw.ReadString('\n')
					fmt.Fprintf(rw, "you said %s", line)
					rw.Flush()
				}
				nc.Close()
			}
			if late {
				go serve()
			} else {
				serve()
			}
		}
		inWorld(t, h, nil, func(w *world) {
			c, _ := w.l.dial()
			io.WriteString(c, get("/1")+get("/hijack")+"one\n")
			time.Sleep(time.Hour)
			io.WriteString(c, "two\n")
			got := w.readAll(c)
			if !strings.HasSuffix(got, "\r\n\r\nGET /1HTTP/1.1 101 Switching Protocols\r\n\r\nyou said one\nyou said two\n") {
				w.t.Errorf("got %q", got)
			}
			c.Close()
			if n := w.open(); n != 0 {
				w.t.Errorf("%d connections in the books", n)
			}
		})
	}
}

func TestResponseController(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for _, err := range []error{
			rc.EnableFullDuplex(),
			rc.SetReadDeadline(time.Now().Add(time.Second)),
			rc.SetWriteDeadline(time.Now().Add(time.Minute)),
		} {
			if err != nil {
				panic(err)
			}
		}
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
		if err := rc.Flush(); err != nil {
			panic(err)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, post("Content-Length: 5")+"hel")
		start := time.Now()
		a := w.answers(w.readAll(c), "POST")[0]
		if a.body != "true" || time.Since(start) > 3*time.Second {
			w.t.Errorf("%q after %v", a.body, time.Since(start))
		}
		c.Close()

		c, _ = w.l.dial()
		for range 3 { // the deadlines end with the request
			io.WriteString(c, get("/"))
			w.answers(arrived(c), "GET")
			time.Sleep(50 * time.Second)
		}
		c.Close()
	})
}

// TestFlush: what is flushed arrives at once, and what is not when the handler dawdles.
func TestFlush(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		time.Sleep(time.Second)
		w.Write(make([]byte, stageSize+1))
		time.Sleep(time.Second)
		io.WriteString(w, "three")
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/"))
		if got := arrived(c); !strings.HasSuffix(got, "\r\n\r\n3\r\none\r\n") {
			w.t.Errorf("first %q", got)
		}
		time.Sleep(time.Second + 2*flushDelay)
		if got := arrived(c); len(got) != len("2001\r\n\r\n")+stageSize+1 {
			w.t.Errorf("then %d bytes", len(got))
		}
		time.Sleep(time.Second)
		if got := arrived(c); got != "5\r\nthree\r\n0\r\n\r\n" {
			w.t.Errorf("last %q", got)
		}
	})
}

func TestOptions(t *testing.T) { // req: 9112-3.2.4
	inWorld(t, demo, nil, func(w *world) {
		a := w.answers(w.talk("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS")[0]
		if a.StatusCode != 200 || a.Header.Get("Allow") == "" || a.body != "" {
			w.t.Errorf("%s %v", a.Status, a.Header)
		}
	})
	inWorld(t, demo, func(s *Server) { s.DisableGeneralOptionsHandler = true }, func(w *world) {
		if a := w.answers(w.talk("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS")[0]; a.body != "OPTIONS *" {
			w.t.Errorf("got %q", a.body)
		}
	})
}

func TestUpgradeIgnored(t *testing.T) { // req: 9110-7.8
	inWorld(t, demo, nil, func(w *world) {
		raw := w.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n" + get("/2"))
		if all := w.answers(raw, "GET", "GET"); all[0].StatusCode != 200 {
			w.t.Errorf("got %q", raw)
		}
	})
}

// TestAfterReturn: a handler's objects are dead, but harmless, once it has returned.
func TestAfterReturn(t *testing.T) {
	var kept []http.ResponseWriter
	var reqs []*http.Request
	h := func(w http.ResponseWriter, r *http.Request) {
		kept, reqs = append(kept, w), append(reqs, r)
		fmt.Fprint(w, r.URL.Path)
	}
	inWorld(t, h, func(s *Server) { s.ReuseRequests = false }, func(w *world) {
		kept, reqs = nil, nil
		c, _ := w.l.dial()
		defer c.Close()
		for i := range 3 {
			fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: a\r\nX: %d\r\nContent-Length: 1\r\n\r\nx", i, i)
			w.answers(arrived(c), "POST")
		}
		for i, r := range reqs {
			if r.URL.Path != fmt.Sprint("/", i) || r.Header.Get("X") != fmt.Sprint(i) || r.Context().Err() == nil {
				w.t.Errorf("request %d has become %s %v", i, r.URL, r.Header)
			}
			if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
				w.t.Errorf("body: %v", err)
			}
			if _, err := kept[i].Write([]byte("late")); err == nil {
				w.t.Error("late Write was taken")
			}
			kept[i].WriteHeader(500)
			kept[i].(http.Flusher).Flush()
			if _, _, err := kept[i].(http.Hijacker).Hijack(); err == nil {
				w.t.Error("late Hijack was taken")
			}
		}
		if got := arrived(c); got != "" {
			w.t.Errorf("%q was sent late", got)
		}
	})
}

func TestAccessLog(t *testing.T) { // req: HTTP-07
	inWorld(t, demo, nil, func(w *world) {
		w.talk("GET /a?b HTTP/1.1\r\nHost: a\r\nReferer: r\"\r\nUser-Agent: u\r\n\r\nHEAD /slow HTTP/1.1\r\nHost: a\r\n\r\nbad\r\n\r\n")
		e := w.entries()
		if len(e) != 3 {
			w.t.Fatalf("%d entries", len(e))
		}
		if e[0].Conn != e[2].Conn || e[0].Number != 1 || e[1].Number != 2 || e[0].BodyBytes != 6 || e[1].BodyBytes != 0 ||
			e[1].Duration != 100*time.Millisecond || e[2].Status != 400 || e[2].Close != ReasonRefused {
			w.t.Errorf("entries %+v", e)
		}
		const want = `10.90.0.1 - - [01/Jan/2000:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 6 "r\"" "u"`
		e[0].Start = e[0].Start.UTC()
		if got := string(e[0].AppendCombined(nil)); got != want {
			w.t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := string(e[2].AppendCommon(nil)); !strings.Contains(got, `"-" 400`) {
			w.t.Errorf("got %s", got)
		}
	})
}

// TestStage: answers that are made in the same stage leave nothing of themselves there.
func TestStage(t *testing.T) {
	long := strings.Repeat("x", stageRoom)
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{r.URL.RawQuery}
		switch r.URL.Path {
		case "/without":
			delete(w.Header(), "Content-Type")
		case "/more":
			w.Header().Set("X", "y")
		case "/404":
			w.WriteHeader(404)
		case "/chunked":
			defer io.WriteString(w, strings.Repeat("z", stageSize))
		}
		io.WriteString(w, r.URL.RequestURI())
	}
	targets := []string{"/?a", "/?b", "/?b", "/?bc", "/?" + long, "/?a", "/without?a", "/?a", "/more?a", "/?a", "/404?a", "/?a", "/chunked?a",
		"/?a", "/404?a", "/404?a", "/more?a", "/without?", "/?a"}
	var raw string
	var methods []string
	for _, target := range targets {
		raw, methods = raw+get(target), append(methods, "GET")
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		for range 2 {
			time.Sleep(1500 * time.Millisecond)
			now := time.Now().UTC().Format(http.TimeFormat)
			io.WriteString(c, raw)
			for i, a := range w.answers(arrived(c), methods...) {
				path, ctype, _ := strings.Cut(targets[i], "?")
				if path == "/without" {
					ctype = "text/plain; charset=utf-8"
				}
				status := map[string]int{"/404": 404}[path]
				if a.StatusCode != max(status, 200) || a.Header.Get("Content-Type") != ctype || a.Header.Get("Date") != now {
					w.t.Errorf("%.20s: %d %.40q", targets[i], a.StatusCode, a.Header)
				}
				if x := a.Header.Get("X"); x != "" != (path == "/more") || !strings.HasPrefix(a.body, targets[i]) {
					w.t.Errorf("%.20s: X %q, %.40q", targets[i], x, a.body)
				}
			}
		}
	})
}
