package trace

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestExchangeTexts: what people and programs read of an exchange.
func TestExchangeTexts(t *testing.T) {
	x := Exchange{Number: 3, Place: 2, Method: []byte("GET"), Target: []byte("/bytes/9"), In: 512, InEnd: 600, Out: 1024, OutEnd: 2000, Status: 200, Length: 900}
	with := func(f func(*Exchange)) *Exchange {
		y := x
		f(&y)
		return &y
	}
	for _, tt := range []struct {
		kind          Kind
		x             *Exchange
		comment, json string
	}{
		{Request, &x, "request 3: GET /bytes/9, at octet 512 of what came",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"length":900`},
		{Request, &Exchange{Number: 1, Place: 1, InEnd: 7, Length: -1}, "request 1: (not readable), at octet 0 of what came",
			`"number":1,"place":1,"in":0,"in_end":7`},
		{Interim, with(func(x *Exchange) { x.Status, x.OutEnd, x.Length = 100, 1049, -1 }), "interim answer 3: 100 GET /bytes/9, at octet 1024 of what was sent",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"out_end":1049,"status":100`},
		{Response, &x, "answer 3 begins: 200 GET /bytes/9, at octet 1024 of what was sent",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"out_end":2000,"status":200,"length":900`},
		{Response, with(func(x *Exchange) { x.OutEnd, x.Length = -1, -1 }), "answer 3 begins: 200 GET /bytes/9, at octet 1024 of what was sent",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"status":200`},
		{ResponseEnd, with(func(x *Exchange) { x.Close = "idle" }), "answer 3 ends: 200 GET /bytes/9, 976 octets, to octet 2000 of what was sent; the connection ends: idle",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"out_end":2000,"status":200,"length":900,"close":"idle"`},
		{ResponseEnd, with(func(x *Exchange) { x.Close, x.Aborted, x.Status, x.OutEnd, x.Length = "abort", true, 0, x.Out, 0 }),
			"answer 3 breaks off: none GET /bytes/9, 0 octets, to octet 1024 of what was sent; the connection ends: abort",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"out_end":1024,"length":0,"aborted":true,"close":"abort"`},
		{ResponseEnd, with(func(x *Exchange) { x.Close = "hijacked" }),
			"answer 3 ends: 200 GET /bytes/9, 976 octets, to octet 2000 of what was sent; the rest of the connection is no HTTP",
			`"number":3,"place":2,"method":"GET","target":"/bytes/9","in":512,"in_end":600,"out":1024,"out_end":2000,"status":200,"length":900,"close":"hijacked"`},
	} {
		e := Event{Kind: tt.kind, Time: time.Unix(0, 0), HTTP: tt.x}
		if got := string(AppendComment(nil, &e)); got != tt.comment {
			t.Errorf("%q, want %q", got, tt.comment)
		}
		if got, want := string(AppendJSON(nil, &e)), `{"event":"`+tt.kind.String()+`","time":"1970-01-01T00:00:00Z",`+tt.json+"}"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestExchangeOctets: whatever octets a target has, JSON stays JSON, and a line a line.
func TestExchangeOctets(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, target := range []string{string(all), `/"\`, "/\xff\xfe", "/" + strings.Repeat("ü", 200), "/\u2028 · x", "\x1b[2J", ""} {
		e := Event{Kind: Request, HTTP: &Exchange{Method: []byte("G\"T"), Target: []byte(target)}}
		var back struct{ Method, Target string }
		want := string([]rune(target)) // what is no UTF-8 becomes U+FFFD
		if err := json.Unmarshal(AppendJSON(nil, &e), &back); err != nil || back.Method != `G"T` || back.Target != want {
			t.Errorf("%q: %v, %+v", target, err, back)
		}
		line := string(AppendComment(nil, &e))
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(line) > 500 {
			t.Errorf("%q: %q", target, line)
		}
	}
}

// TestRingExchange: a record has texts of its own, of a bounded length, and costs no allocation.
func TestRingExchange(t *testing.T) {
	r := NewRing(4, 0)
	text := []byte("GET/a")
	long := []byte("/" + strings.Repeat("x", 16<<10))
	method := []byte(strings.Repeat("M", 100))
	show := func(m, target []byte) {
		r.Trace(&Event{Kind: Request, HTTP: &Exchange{Number: 7, Method: m, Target: target, Out: 9}})
	}
	show(text[:3], text[3:])
	show(method, long)
	clear(text)
	var rec, other Record
	r.Next(&rec)
	r.Next(&other)
	if x := rec.HTTP; string(x.Method) != "GET" || string(x.Target) != "/a" || x.Number != 7 || x.Out != 9 || rec.Pieces != nil {
		t.Errorf("%+v", x)
	}
	if x := other.HTTP; len(x.Method)+len(x.Target) != maxExchangeText || !strings.HasSuffix(string(x.Target), "x…") {
		t.Errorf("%d and %d octets are kept: %q", len(x.Method), len(x.Target), x.Target)
	}
	r.Trace(&Event{Kind: Held})
	if r.Next(&other); other.HTTP != nil {
		t.Error("what is no exchange has one")
	}
	e := Event{Kind: Response, HTTP: &Exchange{Method: method, Target: long}}
	if n := testing.AllocsPerRun(100, func() { r.Trace(&e); r.Next(&rec) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHubSources: what serves on the stack has a tracer when the stack has one, also when it comes later.
func TestHubSources(t *testing.T) {
	var tracers [3]func(*Event)
	set := func(i int) func(func(*Event)) { return func(f func(*Event)) { tracers[i] = f } }
	h := NewHub(set(0))
	h.AddSource(set(1))
	r := NewRing(9, 0)
	h.Add(r)
	h.AddSource(set(2))
	for i, f := range tracers {
		if f == nil {
			t.Fatalf("source %d has no tracer", i)
		}
		f(new(Event))
	}
	if r.n != 3 {
		t.Errorf("%d events", r.n)
	}
	h.Remove(r)
	for i, f := range tracers {
		if f != nil {
			t.Errorf("source %d keeps its tracer", i)
		}
	}
}
