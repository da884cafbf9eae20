package files

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) { // req: 9110-14.1.2 9110-14.2a
	for _, tt := range []struct {
		field string
		size  int64
		want  string
	}{
		{"bytes=0-4", 10, "0-5"},
		{"bytes=9-9", 10, "9-10"},
		{"bytes=5-", 10, "5-10"},
		{"bytes=-3", 10, "7-10"},
		{"bytes=-30", 10, "0-10"},
		{"bytes=5-99", 10, "5-10"},
		{"bytes=5-99999999999999999999999999", 10, "5-10"}, // over 2^64: clamped
		{"bytes=99999999999999999999999999-999999999999999999999999999", 10, "416"},
		{"BYTES=0-0", 10, "0-1"},
		{"bytes= 0-0 ", 10, "0-1"},
		{"bytes=000-0001", 10, "0-2"},
		{"bytes=0-0,-1", 10, "0-1 9-10"},
		{"bytes=-1, 0-0", 10, "9-10 0-1"},
		{"bytes=,0-0,,", 10, "0-1"},
		{"bytes=0-1,99-", 10, "0-2"},
		{"bytes=10-", 10, "416"},
		{"bytes=-0", 10, "416"},
		{"bytes=10-,-0", 10, "416"},
		{"bytes=0-", 0, "416"},
		{"bytes=-0", 0, "416"},
		{"bytes=-5", 0, "whole"}, // satisfiable, but inexpressible
		{"bytes=0-3,2-5", 10, "0-6"},
		{"bytes=0-1,2-3", 10, "0-4"},
		{"bytes=8-9,0-1,1-2", 10, "8-10 0-3"},
		{"bytes=0-1,4-5,2-3", 10, "0-6"},
		{"bytes=0-,0-", 10, "whole"},
		{"bytes=0-5,5-9,9-9", 10, "whole"},
		{"bytes=" + strings.Repeat("0-0,", 16), 100, "0-1"},
		{"bytes=" + strings.Repeat("0-0,", 17), 100, "whole"},
		{"bytes=" + strings.Repeat("0-,", 16), 1<<63 - 1, "whole"},
		{"bytes=4-3", 10, "whole"},
		{"bytes=999999999999999999999-999999999999999999998", 10, "whole"},
		{"bytes=+0-5", 10, "whole"},
		{"bytes=0-+5", 10, "whole"},
		{"bytes=0--5", 10, "whole"},
		{"bytes=-", 10, "whole"},
		{"bytes=--1", 10, "whole"},
		{"bytes=", 10, "whole"},
		{"bytes=,", 10, "whole"},
		{"bytes=0 - 1", 10, "whole"},
		{"bytes=0x1-", 10, "whole"},
		{"bytes=0-1;2-3", 10, "whole"},
		{"bytes=0-1,x", 10, "whole"},
		{"bytes 0-1", 10, "whole"},
		{"items=0-1", 10, "whole"},
		{"", 10, "whole"},
	} {
		spans, what := parseRange([]string{tt.field}, tt.size)
		if got := show(spans, what); got != tt.want {
			t.Errorf("%s of %d: %s, want %s", tt.field, tt.size, got, tt.want)
		}
	}
	if _, what := parseRange([]string{"bytes=0-1", "bytes=2-3"}, 10); what != whole {
		t.Error("two Range fields were taken for one")
	}
}

func show(spans []span, what verdict) string {
	switch what {
	case whole:
		return "whole"
	case unsatisfiable:
		return "416"
	}
	var s []string
	for _, p := range spans {
		s = append(s, fmt.Sprintf("%d-%d", p.from, p.to))
	}
	return strings.Join(s, " ")
}

func FuzzRange(f *testing.F) { // req: 9110-14.1.2
	for _, s := range []string{"bytes=0-1", "bytes=-5,3-", "bytes=1-2,2-3,9-", "bytes=-0", "x=1-2", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			size = ^size
		}
		spans, what := parseRange([]string{field}, size)
		if (what == partial) != (len(spans) > 0) || len(spans) > maxRanges {
			t.Fatalf("%q of %d: verdict %d, spans %v", field, size, what, spans)
		}
		total := int64(0)
		for i, s := range spans {
			if s.from < 0 || s.from >= s.to || s.to > size || s.len() > size-total {
				t.Fatalf("%q of %d: %v", field, size, spans)
			}
			total += s.len()
			for _, o := range spans[:i] {
				if s.from <= o.to && o.from <= s.to {
					t.Fatalf("%q of %d: %v and %v should be one", field, size, s, o)
				}
			}
		}
		if len(spans) == 0 {
			return
		}
		// What was understood, written down, is understood the same.
		var b strings.Builder
		for i, s := range spans {
			b.WriteString(strings.Repeat(",", min(i, 1)) + strconv.FormatInt(s.from, 10) + "-" + strconv.FormatInt(s.to-1, 10))
		}
		again, what := parseRange([]string{"bytes=" + b.String()}, size)
		if show(again, what) != show(spans, partial) {
			t.Fatalf("%q of %d: %v, and again %v", field, size, spans, again)
		}
	})
}

func TestRangeAnswers(t *testing.T) { // req: 9110-14.2a
	h := newHandler(t, Config{Root: newTree(t, map[string]string{"a.txt": "0123456789", "none.txt": ""})})
	resp, body := ask(t, h, "GET", "/a.txt", "Range", "bytes=2-4")
	expectStatus(t, "one", resp, 206)
	expectField(t, "one", resp, "Content-Range", "bytes 2-4/10")
	expectField(t, "one", resp, "Content-Length", "3")
	expectField(t, "one", resp, "Content-Type", "text/plain; charset=utf-8")
	if body != "234" || resp.Header.Get("Etag") == "" || resp.Header.Get("Last-Modified") == "" {
		t.Errorf("%q, %v", body, resp.Header)
	}
	resp, _ = ask(t, h, "GET", "/a.txt", "Range", "bytes=10-")
	expectStatus(t, "past the end", resp, 416)
	expectField(t, "past the end", resp, "Content-Range", "bytes */10")
	resp, _ = ask(t, h, "GET", "/none.txt", "Range", "bytes=0-")
	expectField(t, "of nothing", resp, "Content-Range", "bytes */0")
	resp, body = ask(t, h, "GET", "/a.txt", "Range", "lines=1-2")
	expectStatus(t, "other unit", resp, 200)
	expectField(t, "other unit", resp, "Accept-Ranges", "bytes") // req: 9110-14.2b
	if body != "0123456789" {
		t.Errorf("other unit: %q", body)
	}
}

func TestMultipart(t *testing.T) { // req: 9110-14.2a
	big := strings.Repeat("0123456789", 10_000)
	h := newHandler(t, Config{Root: newTree(t, map[string]string{"a.txt": "0123456789", "big.txt": big})})
	for target, data := range map[string]string{"/a.txt": "0123456789", "/big.txt": big} {
		resp, body := ask(t, h, "GET", target, "Range", "bytes=-2,0-1,4-5")
		expectStatus(t, target, resp, 206)
		expectField(t, target, resp, "Content-Range", "")
		expectField(t, target, resp, "Content-Length", strconv.Itoa(len(body)))
		kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/byteranges" {
			t.Fatalf("%s, %v", kind, err)
		}
		r := multipart.NewReader(strings.NewReader(body), params["boundary"])
		n := len(data)
		for _, from := range []int{n - 2, 0, 4} {
			part, err := r.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(part)
			want := fmt.Sprintf("bytes %d-%d/%d", from, from+1, n)
			if err != nil || string(got) != data[from:from+2] || part.Header.Get("Content-Range") != want || part.Header.Get("Content-Type") == "" {
				t.Errorf("part %v: %q, %v", part.Header, got, err)
			}
		}
		if _, err := r.NextPart(); err != io.EOF {
			t.Errorf("after the last part: %v", err)
		}
	}
}
