package httpserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEmptyBodies: a body of no octets, however it is framed, is one that has ended.
func TestEmptyBodies(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		n, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, r.ContentLength, " ", n, " ", err, " ", r.Body.Close())
		w.Write(nil)
	}
	inWorld(t, h, nil, func(w *world) {
		raw := w.talk(get("/") + post("Content-Length: 0") + chunkedPost("0\r\n\r\n") + "POST / HTTP/1.1\r\nHost: a\r\n\r\n")
		all := w.answers(raw, "GET", "POST", "POST", "POST")
		for i, want := range []string{"0 0 EOF <nil>", "0 0 EOF <nil>", "-1 0 EOF <nil>", "0 0 EOF <nil>"} {
			if all[i].body != want {
				w.t.Errorf("request %d: %q, want %q", i+1, all[i].body, want)
			}
		}
	})
}

// TestBodyClosedByHandler: closing a body waits for nothing, ends the handler's reading, and leaves the rest to the rule
// for unread bodies.
func TestBodyClosedByHandler(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		if r.URL.Path == "/nil" {
			r.Body = nil // net/http allows it
			return
		}
		start := time.Now()
		err1 := body.Close()
		_, err2 := body.Read(make([]byte, 1))
		fmt.Fprint(w, err1, " ", err2 == http.ErrBodyReadAfterClose, " ", time.Since(start))
	}
	const small, large = 20 << 10, 1 << 20
	chunked := func(n int) string {
		return chunkedRead(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n)))
	}
	sized := func(n int) string {
		return post(fmt.Sprint("Content-Length: ", n)) + strings.Repeat("x", n)
	}
	closing := func(raw string) string {
		return strings.Replace(raw, "Host: a\r\n", "Host: a\r\nConnection: close\r\n", 1)
	}
	inWorld(t, h, nil, func(w *world) {
		for i, tt := range []struct {
			raw  string
			next bool
		}{
			{sized(small), true}, {chunked(small), w.l.event} /* else its end is not received yet */, {closing(sized(small)), false}, {closing(chunked(small)), false},
			{sized(large), false}, {chunked(large), false}, {closing(sized(large)), false}, {closing(chunked(large)), false},
			{strings.Replace(sized(small), "/read", "/nil", 1), true},
		} {
			raw := w.talk(tt.raw + get("/nil"))
			methods := []string{"POST", "GET"}
			if !tt.next {
				methods = methods[:1]
			}
			all := w.answers(raw, methods...)
			if b := all[0].body; b != "<nil> true 0s" && b != "" || all[0].Close == tt.next {
				w.t.Errorf("case %d: %q, close %v", i, b, all[0].Close)
			}
		}
		c, _ := w.l.dial()
		io.WriteString(c, post("Content-Length: 1000")) // and nothing of it
		if a := w.answers(arrived(c), "POST")[0]; a.body != "<nil> true 0s" {
			w.t.Errorf("nothing sent: %q", a.body)
		}
		c.Close()
	})
}

// TestExpectThere: of a body that was sent without waiting for 100 Continue the server knows where it ends, whether or
// not the handler reads it.
func TestExpectThere(t *testing.T) { // req: 9110-10.1.1a
	put := func(path, fields string) string {
		return "PUT " + path + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n" + fields + "\r\nhello"
	}
	inWorld(t, demo, nil, func(w *world) {
		raw := w.talk(put("/x", "") + put("/read", "") + put("/x", "") + put("/read", "Connection: close\r\n"))
		all := w.answers(raw, "PUT", "PUT", "PUT", "PUT")
		for i, want := range []string{"PUT /x", "5 <nil>", "PUT /x", "5 <nil>"} {
			if all[i].body != want || all[i].Close != (i == 3) {
				w.t.Errorf("request %d: %q, close %v", i+1, all[i].body, all[i].Close)
			}
		}
	})
}

// TestExpectReadLate: who reads a body after its handler has returned gets an error, and the client no 100 Continue.
func TestExpectReadLate(t *testing.T) { // req: 9110-10.1.1a
	var kept io.ReadCloser
	h := func(w http.ResponseWriter, r *http.Request) {
		kept = r.Body
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		for _, path := range []string{"/", "/abort"} {
			c, _ := w.l.dial()
			io.WriteString(c, "PUT "+path+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			got := w.readAll(c)
			n, err := kept.Read(make([]byte, 5))
			if n != 0 || err != http.ErrBodyReadAfterClose || strings.Contains(got+arrived(c), " 100 ") {
				w.t.Errorf("%s: read %d, %v; %q", path, n, err, got)
			}
			c.Close()
		}
	})
}

// TestPanicNil: a panic with nil is one.
func TestPanicNil(t *testing.T) {
	inWorld(t, func(http.ResponseWriter, *http.Request) { panic(nil) }, nil, func(w *world) {
		if got := w.talk(get("/")); status(got) != "500" || !strings.Contains(w.log.String(), "panic serving 10.90.0.1") {
			w.t.Errorf("%q, logged %q", got, w.log.String())
		}
	})
}

// TestMultipartCleanup: the files that ParseMultipartForm makes go with the request, however its handler ends.
func TestMultipartCleanup(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	h := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			panic(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		fmt.Fprint(w, len(files))
		if r.URL.Path == "/panic" {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	f, err := m.CreateFormFile("f", "name")
	if err != nil {
		t.Fatal(err)
	}
	f.Write(make([]byte, 20<<20))
	m.Close()
	inWorld(t, h, nil, func(w *world) {
		for _, path := range []string{"/", "/panic"} {
			c, _ := w.l.dial()
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, m.FormDataContentType(), form.Len())
			c.Write(form.Bytes())
			if got := arrived(c); path == "/" && w.answers(got, "POST")[0].body != "1" {
				w.t.Errorf("%s: %q", path, got)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
				w.t.Errorf("%s: %q are left", path, files)
			}
			c.Close()
		}
	})
}

// TestHandlersOfNetHTTP: net/http's own handlers run on this server.
func TestHandlersOfNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dir/", demo)
	mux.HandleFunc("b/dir/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "host b") })
	mux.Handle("/strip/", http.StripPrefix("/strip", http.HandlerFunc(demo)))
	mux.Handle("/old", http.RedirectHandler("/new?x=y", http.StatusFound))
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1")
		http.Error(w, "sorry", http.StatusTeapot)
	})
	mux.Handle("/late", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		if _, err := io.WriteString(w, "x"); err != http.ErrHandlerTimeout {
			panic(err)
		}
	}), time.Second, "too late"))
	mux.Handle("/in-time", http.TimeoutHandler(http.HandlerFunc(demo), time.Second, "too late"))
	mux.Handle("/panic", http.TimeoutHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("inside") }), time.Second, ""))
	mux.Handle("/max", http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var tooLarge *http.MaxBytesError
		fmt.Fprint(w, len(b), errors.As(err, &tooLarge))
	}), 3))
	mux.Handle("/query", http.AllowQuerySemicolons(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.FormValue("b"))
	})))
	inWorld(t, mux.ServeHTTP, nil, func(w *world) {
		for _, tt := range []struct{ raw, status, body, field, value string }{
			{get("/dir/x"), "200", "GET /dir/x", "", ""},
			{get("/dir"), "307", "", "Location", "/dir/"},
			{get("/dir/../dir/y"), "307", "", "Location", "/dir/y"},
			{"GET /dir/x HTTP/1.1\r\nHost: b:80\r\n\r\n", "200", "host b", "", ""},
			{"PUT /dir/x HTTP/1.1\r\nHost: a\r\n\r\n", "405", "", "Allow", "GET, HEAD"},
			{get("/strip/z"), "200", "GET /z", "", ""},
			{get("/old"), "302", "", "Location", "/new?x=y"},
			{get("/error"), "418", "sorry\n", "X-Content-Type-Options", "nosniff"},
			{get("/late"), "503", "too late", "", ""},
			{get("/in-time"), "200", "GET /in-time", "", ""},
			{get("/panic"), "500", "", "", ""},
			{strings.Replace(post("Content-Length: 3"), "/read", "/max", 1) + "abc", "200", "3 false", "", ""},
			{strings.Replace(post("Content-Length: 5"), "/read", "/max", 1) + "hello", "200", "3 true", "", ""},
			{get("/query?a=1;b=2"), "200", "2", "", ""},
		} {
			a := w.answers(w.talk(tt.raw), "GET")[0]
			if a.Status[:3] != tt.status || tt.body != "" && a.body != tt.body || tt.field != "" && a.Header.Get(tt.field) != tt.value {
				w.t.Errorf("%q: %s %q %v", tt.raw, a.Status, a.body, a.Header)
			}
		}
	})
}

// TestReverseProxy: a body passes through net/http's proxy on this server to another of this kind and back, over the
// kernel's TCP, whoever gives up first.
func TestReverseProxy(t *testing.T) {
	back := serveKernel(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(413) // without reading
			return
		}
		io.Copy(w, r.Body)
	})})
	front := serveKernel(t, &Server{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: back})})
	body := strings.Repeat("0123456789", 100_000)
	for range 20 {
		for path, want := range map[string]string{"/": body, "/refuse": ""} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			req, err := http.NewRequestWithContext(ctx, "POST", "http://"+front+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			cancel()
			// A proxy whose back end hangs up before the body is sent may see that first.
			if bad := path == "/refuse" && resp.StatusCode == 502; !bad && (err != nil || string(got) != want) {
				t.Fatalf("%s: %s, %d octets, %v", path, resp.Status, len(got), err)
			}
		}
	}
}

// TestFullDuplex: a handler that says so answers each octet of a body as it comes, or reads it behind its answer.
func TestFullDuplex(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			panic(err)
		}
		w.WriteHeader(200)
		rc.Flush()
		if r.Close {
			w.Write(make([]byte, 100_000))
			b, err := io.ReadAll(r.Body)
			fmt.Fprint(w, len(b), err)
			return
		}
		for b := make([]byte, 1); ; {
			if n, err := r.Body.Read(b); n != 1 || err != nil {
				return
			}
			w.Write(b)
			rc.Flush()
		}
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, chunkedRead(""))
		got := arrived(c)
		for i := range 10 {
			fmt.Fprintf(c, "1\r\n%d\r\n", i)
			part := arrived(c)
			if want := fmt.Sprintf("1\r\n%d\r\n", i); part != want {
				w.t.Errorf("octet %d: %q", i, part)
			}
			got += part
		}
		io.WriteString(c, "0\r\n\r\n"+get("/"))
		if all := w.answers(got+arrived(c), "POST", "GET"); all[0].body != "0123456789" {
			w.t.Errorf("in all: %q", all[0].body)
		}
		c.Close()
		if got := w.talk(post("Content-Length: 5\r\nConnection: close") + "hello"); !strings.Contains(got, "5 <nil>") {
			w.t.Errorf("behind the answer: %q", got[max(0, len(got)-100):])
		}
	})
}

// TestFlawSticks: the data before a flaw is read, and every read after it fails.
func TestFlawSticks(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		for range 3 {
			n, again := r.Body.Read(make([]byte, 5))
			if n != 0 || again == nil || again == io.EOF || err == nil || string(b) != "hello" {
				panic(fmt.Sprint(b, err, n, again))
			}
		}
		if r.Header.Get("X") != "" {
			w.(http.Flusher).Flush()
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	inWorld(t, h, nil, func(w *world) {
		for _, raw := range []string{
			chunkedPost("5\r\nhello\r\n0\r\nX : y\r\n\r\n"), chunkedPost("5\r\nhello\r\n0\r\nno field\r\n\r\n"),
			chunkedPost("5\r\nhello\r\ng\r\n"), chunkedPost("5\r\nhello\n0\r\n\r\n"), chunkedPost("5\r\nhello"), post("Content-Length: 6") + "hello",
		} {
			raw = strings.Replace(raw, "Host: a\r\n", "Host: a\r\nX: flush\r\n", 1)
			if got := w.talk(raw); status(got) != "200" || strings.Count(got, "HTTP/1.1 ") != 1 {
				w.t.Errorf("%q, flushed: %q", raw, got)
			}
			raw = strings.Replace(raw, "X: flush\r\n", "", 1)
			if got := w.talk(raw); status(got) != "422" || strings.Contains(w.log.String(), "panic") {
				w.t.Errorf("%q: %q, %s", raw, got, w.log.String())
			}
		}
	})
}
