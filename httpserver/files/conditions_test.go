package files

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestConditions asks for a file with every kind of condition. TAG stands for its tag.
func TestConditions(t *testing.T) { // req: 9110-13 and see the table
	h := newHandler(t, Config{Root: newTree(t, map[string]string{"a.txt": "0123456789"})})
	first, _ := ask(t, h, "GET", "/a.txt")
	tag := first.Header.Get("Etag")
	if !strings.HasPrefix(tag, `"`) {
		t.Fatalf("tag %q is not strong", tag)
	}
	const before, after = "Thu, 01 Jan 2026 00:00:00 GMT", "Sat, 03 Jan 2026 00:00:00 GMT"
	for _, tt := range []struct {
		name   string // with the section of RFC 9110
		fields string // name: value, by lines
		want   int
	}{
		{"13.1.1 equal", "If-Match: TAG", 200},
		{"13.1.1 any", "If-Match: *", 200},
		{"13.1.1 other", `If-Match: "x"`, 412},
		{"13.1.1 weak never matches", "If-Match: W/TAG", 412},
		{"13.1.1 list", `If-Match: "x,y" , , TAG`, 200},
		{"13.1.1 over two lines", "If-Match: \"x\"\nIf-Match: TAG", 200},
		{"13.1.1 malformed", "If-Match: x", 412},
		{"13.1.2 equal", "If-None-Match: TAG", 304},
		{"13.1.2 weak matches", "If-None-Match: W/TAG", 304},
		{"13.1.2 lower-case w is malformed", "If-None-Match: w/TAG", 200},
		{"13.1.2 any", "If-None-Match: *", 304},
		{"13.1.2 other", `If-None-Match: "x"`, 200},
		{"13.1.2 list", `If-None-Match: W/"x", TAG`, 304},
		{"13.1.2 over two lines", "If-None-Match: \"x\"\nIf-None-Match: TAG", 304},
		{"13.1.2 missing comma", `If-None-Match: "x" TAG`, 200},
		{"13.1.2 wins over the date", "If-None-Match: \"x\"\nIf-Modified-Since: " + after, 200},
		{"13.1.2 needs no date", "If-None-Match: TAG\nIf-Modified-Since: " + before, 304},
		{"13.1.3 the same", "If-Modified-Since: " + oldDate, 304},
		{"13.1.3 later", "If-Modified-Since: " + after, 304},
		{"13.1.3 earlier", "If-Modified-Since: " + before, 200},
		{"13.1.3 RFC 850", "If-Modified-Since: Friday, 02-Jan-26 03:04:05 GMT", 304},
		{"13.1.3 asctime", "If-Modified-Since: Fri Jan  2 03:04:05 2026", 304},
		{"13.1.3 no date", "If-Modified-Since: yesterday", 200},
		{"13.1.3 two", "If-Modified-Since: " + after + "\nIf-Modified-Since: " + after, 200},
		{"13.1.4 the same", "If-Unmodified-Since: " + oldDate, 200},
		{"13.1.4 earlier", "If-Unmodified-Since: " + before, 412},
		{"13.1.4 no date", "If-Unmodified-Since: x", 200},
		{"13.1.4 ignored beside If-Match", "If-Match: TAG\nIf-Unmodified-Since: " + before, 200},
		{"13.2.2 412 before 304", "If-Match: \"x\"\nIf-None-Match: TAG", 412},
		{"13.2.2 If-Match holds, then 304", "If-Match: TAG\nIf-None-Match: TAG", 304},
		{"13.2.2 304 before the range", "If-None-Match: TAG\nRange: bytes=0-1", 304},
		{"13.2.2 304 before 416", "If-None-Match: TAG\nRange: bytes=99-", 304},
		{"13.2.2 412 before the range", "If-Match: \"x\"\nRange: bytes=0-1", 412},
		{"13.1.5 equal", "Range: bytes=0-1\nIf-Range: TAG", 206},
		{"13.1.5 weak", "Range: bytes=0-1\nIf-Range: W/TAG", 200},
		{"13.1.5 other", "Range: bytes=0-1\nIf-Range: \"x\"", 200},
		{"13.1.5 other, range past the end", "Range: bytes=99-\nIf-Range: \"x\"", 200},
		{"13.1.5 no list", "Range: bytes=0-1\nIf-Range: \"x\", TAG", 200},
		{"13.1.5 date", "Range: bytes=0-1\nIf-Range: " + oldDate, 206},
		{"13.1.5 later date is not this one", "Range: bytes=0-1\nIf-Range: " + after, 200},
		{"13.1.5 nothing without Range", "If-Range: \"x\"", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			for line := range strings.Lines(strings.ReplaceAll(tt.fields, "TAG", tag)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				fields = append(fields, name, value)
			}
			resp, body := ask(t, h, "GET", "/a.txt", fields...)
			expectStatus(t, tt.fields, resp, tt.want)
			if tt.want == 304 { // req: 9110-13
				expectField(t, tt.fields, resp, "Etag", tag)
				if body != "" || resp.Header.Get("Content-Type") != "" {
					t.Errorf("304 with content: %q, %v", body, resp.Header)
				}
			}
		})
	}
}

// TestIfRangeYoung expects a date to be no strong validator within its own second.
func TestIfRangeYoung(t *testing.T) { // req: 9110-13.1.5
	v := validators{etag{opaque: `"a"`}, old.Truncate(time.Second)}
	h := http.Header{"If-Range": {oldDate}}
	if v.rangeHolds(h, old) || !v.rangeHolds(h, old.Add(2*time.Second)) {
		t.Error("the date is strong at once, or never")
	}
}

func FuzzConditions(f *testing.F) { // req: 9110-13
	f.Add(`"a"`, `W/"b", "a"`, oldDate, "", "")
	f.Add(`*`, ``, "", "Friday, 02-Jan-26 03:04:05 GMT", `"a"`)
	f.Fuzz(func(t *testing.T, match, none, since, unmodified, ifRange string) {
		h := http.Header{}
		for name, v := range map[string]string{"If-Match": match, "If-None-Match": none, "If-Modified-Since": since, "If-Unmodified-Since": unmodified, "If-Range": ifRange} {
			if v != "" {
				h[name] = []string{v}
			}
		}
		v := validators{etag{opaque: `"a"`}, old.Truncate(time.Second)}
		weak := v
		weak.etag.weak = true
		switch got := v.evaluate(h); got {
		case 412:
			if match == "" && unmodified == "" {
				t.Errorf("412 for %v", h)
			}
		case 304:
			if none == "" && since == "" {
				t.Errorf("304 for %v", h)
			}
			if none != "" && !strings.Contains(none, `"a"`) && !strings.Contains(none, "*") {
				t.Errorf("304 for another tag: %v", h)
			}
		case 0:
			if none == `"a"` || match != "" && !strings.Contains(match, `"a"`) && strings.Trim(match, " \t") != "*" {
				t.Errorf("200 for %v", h)
			}
		default:
			t.Errorf("status %d for %v", got, h)
		}
		if match != "" && strings.Trim(match, " \t") != "*" && weak.evaluate(h) != 412 {
			t.Errorf("a weak tag matched: %v", h)
		}
		if strings.HasPrefix(ifRange, "W/") && v.rangeHolds(h, old.Add(time.Hour)) {
			t.Errorf("a weak tag selected a range: %v", h)
		}
	})
}
