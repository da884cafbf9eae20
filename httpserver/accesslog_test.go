package httpserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAppendJSON: each field of an entry stands in the line, under a name of its own, and nothing that a client sent breaks
// out of it.
func TestAppendJSON(t *testing.T) { // req: HTTP-08
	start := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	e := Entry{1, 2, 3, "10.90.0.1:4", "GET", "/\"}\r\n{\xff", "HTTP/1.1", "a", "r", "u\x00", 200, 5, 6, start, 7 * time.Microsecond, ReasonIdle}
	line := e.AppendJSON([]byte("> "))
	if strings.ContainsAny(string(line), "\r\n\x00") {
		t.Errorf("control characters in %q", line)
	}
	var got map[string]any
	if err := json.Unmarshal(line[2:], &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	want := map[string]any{
		"time": "2026-01-02T03:04:05.000006Z", "remote": "10.90.0.1:4", "conn": 1., "number": 2., "place": 3., "method": "GET",
		"target": "/\"}\r\n{\ufffd", "proto": "HTTP/1.1", "host": "a", "referer": "r", "user_agent": "u\x00", "status": 200.,
		"head_bytes": 5., "body_bytes": 6., "duration_us": 7., "close": "idle",
	}
	if !reflect.DeepEqual(got, want) || len(want) != reflect.TypeFor[Entry]().NumField() {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestLogLines: what stands in the log for a burst, refusals of what could not be parsed included.
func TestLogLines(t *testing.T) { // req: HTTP-07, HTTP-08
	inWorld(t, demo, nil, func(w *world) {
		w.talk(get("/a") + "HEAD /b HTTP/1.1\r\nHost: a\r\nUser-Agent: \xc0\"\r\n\r\n" + "GET /c HTTP/1.0\r\nReferer: r\r\n\r\n")
		got := w.lines()
		for i, want := range []string{
			`"GET /a HTTP/1.1" 200 6 "-" "-"`,
			`"HEAD /b HTTP/1.1" 200 - "-" "\xc0\""`,
			`"GET /c HTTP/1.0" 200 6 "r" "-"`,
		} {
			if want = `10.90.0.1 - - [01/Jan/2000:00:00:00 +0000] ` + want; got[i] != want {
				w.t.Errorf("got  %s\nwant %s", got[i], want)
			}
		}
		e := w.entries()[2]
		e.Start = e.Start.UTC()
		const want = `{"time":"2000-01-01T00:00:00Z","remote":"10.90.0.1:40000","conn":1,"number":3,"place":3,"method":"GET","target":"/c",` +
			`"proto":"HTTP/1.0","host":"","referer":"r","user_agent":"","status":200,"head_bytes":135,"body_bytes":6,"duration_us":0,"close":"client-close"}`
		if got := string(e.AppendJSON(nil)); got != want {
			w.t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// lines returns the log in Combined Log Format.
func (w *world) lines() []string {
	var all []string
	for _, e := range w.entries() {
		e.Start = e.Start.UTC()
		all = append(all, string(e.AppendCombined(nil)))
	}
	return all
}

// TestUnparsedIsLogged: what is refused before its head is complete has a line like any other.
func TestUnparsedIsLogged(t *testing.T) { // req: HTTP-07
	for _, tt := range []struct {
		raw    string
		wait   time.Duration
		status int
	}{
		{"G(T", 0, 400},
		{"GET /a HT", 11 * time.Second, 408},
		{"GET /" + strings.Repeat("a", maxTarget+100), 0, 414},
		{"GET / HTTP/1.1\r\nX: " + strings.Repeat("a", DefaultMaxHeaderBytes), 0, 431},
		{strings.Repeat("A", maxMethod+1), 0, 501},
	} {
		inWorld(t, demo, nil, func(w *world) {
			c, _ := w.l.dial()
			defer c.Close()
			io.WriteString(c, get("/first")+tt.raw)
			time.Sleep(tt.wait)
			synctest.Wait()
			e := w.entries()
			if len(e) != 2 {
				w.t.Fatalf("%d: %d entries", tt.status, len(e))
			}
			place := 2
			if tt.wait > 0 || !w.l.event && len(tt.raw) > sourceSize {
				place = 1 // the burst was over: all that had come was read
			}
			if last := e[1]; last.Status != tt.status || last.Close != ReasonRefused || last.Number != 2 || last.Place != place || last.BodyBytes == 0 {
				w.t.Errorf("%d: %+v", tt.status, last)
			}
			if got, want := w.lines()[1], fmt.Sprintf(`] "-" %d %d "-" "-"`, tt.status, e[1].BodyBytes); !strings.HasSuffix(got, want) {
				w.t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestLastLine: a connection's last line tells why it ended, also if it did not end well.
func TestLastLine(t *testing.T) { // req: HTTP-07
	const put = "PUT %s HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"
	for _, tt := range []struct {
		name, raw     string
		reset         bool // by the client, while the handler runs
		status, lines int
		body          int64
		common        string
		close         CloseReason
	}{
		{"hijacked", get("/hijack"), false, 0, 1, 0, `" 101 -`, ReasonHijacked},
		{"hijacked with a status", get("/switch"), false, 101, 1, 0, `" 101 -`, ReasonHijacked},
		{"aborted before it began", get("/1") + get("/abort"), false, 0, 2, 0, `" 444 -`, ReasonAbort},
		{"aborted in the middle", get("/part"), false, 200, 1, 9, `" 200 9`, ReasonAbort},
		{"gone", get("/exit"), false, 0, 1, 0, `" 444 -`, ReasonPanic},
		{"reset beside the handler", get("/slow"), true, 200, 1, 4, `" 200 4`, ReasonReset},
		{"reset inside the body", fmt.Sprintf(put, "/read"), true, 200, 1, 0, `" 200 `, ReasonReset},
		{"cut short", fmt.Sprintf(put, "/read"), false, 400, 1, 0, `" 400 `, ReasonRefused},
	} {
		inWorld(t, badly, nil, func(w *world) {
			c, server := w.l.dial()
			defer c.Close()
			io.WriteString(c, tt.raw)
			if tt.reset {
				synctest.Wait()
				c.Reset()
			} else {
				c.CloseWrite()
			}
			time.Sleep(time.Hour)
			e := w.entries()
			if len(e) != tt.lines {
				w.t.Fatalf("%s: %d lines", tt.name, len(e))
			}
			last := e[len(e)-1]
			reset := last.Close == tt.close || tt.name == "reset beside the handler" && !w.l.event && last.Close == ReasonNone
			if last.Status != tt.status || !reset || tt.body > 0 && last.BodyBytes != tt.body {
				w.t.Errorf("%s: %+v", tt.name, last)
			}
			if got := string(last.AppendCommon(nil)); !strings.Contains(got, tt.common) {
				w.t.Errorf("%s: %s", tt.name, got)
			}
			if !server.isClosed() {
				w.t.Errorf("%s: open", tt.name)
			}
		})
	}
}

// badly is a handler that does not simply return.
func badly(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/switch", "/hijack":
		if r.URL.Path == "/switch" {
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
		if nc, _, err := w.(http.Hijacker).Hijack(); err == nil {
			nc.Close()
		}
	case "/part", "/abort":
		io.WriteString(w, "something")
		if r.URL.Path == "/part" {
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	case "/exit":
		runtime.Goexit()
	}
	demo(w, r)
}

// TestLineOfClosed: an answer that Server.Close has cut says so, where the connection can tell.
func TestLineOfClosed(t *testing.T) { // req: HTTP-07
	h := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		w.Write(make([]byte, 2*outputSize))
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/"))
		synctest.Wait()
		w.s.Close()
		time.Sleep(time.Hour)
		want := ReasonServerClosed
		if !w.l.event {
			want = ReasonWriteError
		}
		if e := w.entries(); len(e) != 1 || e[0].Close != want {
			w.t.Errorf("entries %+v", e)
		}
	})
}
