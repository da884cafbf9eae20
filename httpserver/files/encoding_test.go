package files

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSidecars(t *testing.T) { // req: 9110-12.5
	root := newTree(t, map[string]string{
		"a.js": "plain", "a.js.gz": "GZ", "a.js.br": "BR", "b.js": "plain", "b.js.gz": "GZ", "c.js": "plain", "c.js.gz": "OLD", "d.js": "plain",
	})
	stale := old.AddDate(0, 0, -1)
	os.Chtimes(filepath.Join(root, "c.js.gz"), stale, stale)
	h := newHandler(t, Config{Root: root})
	tags := map[string]string{}
	for _, tt := range []struct{ target, accept, coding, body, vary string }{
		{"/a.js", "-", "", "plain", "Accept-Encoding"},
		{"/a.js", "", "", "plain", "Accept-Encoding"},
		{"/a.js", "gzip, deflate, br", "br", "BR", "Accept-Encoding"},
		{"/a.js", "gzip", "gzip", "GZ", "Accept-Encoding"},
		{"/a.js", "GZIP;q=1.0, br;q=0.9", "gzip", "GZ", "Accept-Encoding"},
		{"/a.js", "x-gzip", "gzip", "GZ", "Accept-Encoding"},
		{"/a.js", "*", "br", "BR", "Accept-Encoding"},
		{"/a.js", "*, br;q=0", "gzip", "GZ", "Accept-Encoding"},
		{"/a.js", "gzip;q=0", "", "plain", "Accept-Encoding"},
		{"/a.js", "gzip;q=0.000, br;q=0", "", "plain", "Accept-Encoding"},
		{"/a.js", "identity, gzip;q=0.5", "", "plain", "Accept-Encoding"},
		{"/a.js", "gzip;q=2, br;q=x", "", "plain", "Accept-Encoding"},
		{"/a.js", "identity;q=0", "", "plain", "Accept-Encoding"},
		{"/b.js", "br, gzip", "gzip", "GZ", "Accept-Encoding"},
		{"/b.js", "br", "", "plain", "Accept-Encoding"},
		{"/c.js", "gzip", "", "plain", ""},
		{"/d.js", "gzip", "", "plain", ""},
	} {
		var fields []string
		if tt.accept != "-" {
			fields = []string{"Accept-Encoding", tt.accept}
		}
		resp, body := ask(t, h, "GET", tt.target, fields...)
		what := tt.target + " " + tt.accept
		expectField(t, what, resp, "Content-Encoding", tt.coding)
		expectField(t, what, resp, "Vary", tt.vary)
		expectField(t, what, resp, "Content-Type", "text/javascript; charset=utf-8")
		if body != tt.body {
			t.Errorf("%s: %q, want %q", what, body, tt.body)
		}
		key := tt.target + tt.coding
		tag := resp.Header.Get("Etag")
		if old, ok := tags[key]; ok && old != tag {
			t.Errorf("%s: tag %s, before %s", what, tag, old)
		}
		tags[key] = tag
	}
	if tags["/a.js"] == tags["/a.jsgzip"] || tags["/a.jsbr"] == tags["/a.jsgzip"] {
		t.Errorf("variants share a tag: %v", tags)
	}
	resp, _ := ask(t, h, "GET", "/a.js", "Accept-Encoding", "gzip", "If-None-Match", tags["/a.jsgzip"]) // req: 9110-13
	expectStatus(t, "304", resp, 304)
	expectField(t, "304", resp, "Vary", "Accept-Encoding")
	resp, body := ask(t, h, "GET", "/a.js", "Accept-Encoding", "gzip", "Range", "bytes=1-")
	expectField(t, "range of a variant", resp, "Content-Range", "bytes 1-1/2")
	expectField(t, "range of a variant", resp, "Content-Encoding", "gzip")
	if body != "Z" {
		t.Errorf("range of a variant: %q", body)
	}
	resp, _ = ask(t, h, "GET", "/a.js.gz")
	expectField(t, "the sidecar itself", resp, "Content-Type", "application/gzip")
	expectField(t, "the sidecar itself", resp, "Content-Encoding", "")
}
