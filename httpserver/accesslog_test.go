package httpserver

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
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
