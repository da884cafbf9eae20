package site

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ustack/httpserver"
)

// testSite is the site on the kernel's loopback, served as the command serves it.
type testSite struct {
	URL      string
	Listener net.Listener
}

func newSite(t *testing.T, c Config) *testSite {
	t.Helper()
	h, err := Handler(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httpserver.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return &testSite{URL: "http://" + l.Addr().String(), Listener: l}
}

// do sends a request and returns the response with its whole body.
func do(t *testing.T, method, url string, header http.Header, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	return resp, b
}

func TestStatusAndBody(t *testing.T) {
	s := newSite(t, Config{Builtin: true, Engine: "kernel"})
	tests := []struct {
		method, path string
		code         int
		body         string // part of it; "=x": exactly x
	}{
		{"GET", "/_/hello", 200, "=Hello, World!"},
		{"HEAD", "/_/hello", 200, "="},
		{"POST", "/_/hello", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/_/hello", 204, "="},
		{"GET", "/_/sink", 405, "PUT, POST"},
		{"DELETE", "/", 405, "only"},
		{"GET", "/_/nothing", 404, ""},
		{"GET", "/_/", 404, ""},
		{"GET", "/_/bytes/0", 200, "="},
		{"GET", "/_/bytes/x", 400, "n must be a whole number from 0 to 1099511627776"},
		{"GET", "/_/bytes/-1", 400, "whole number"},
		{"GET", "/_/bytes/+1", 400, "whole number"},
		{"GET", "/_/bytes/1099511627777", 400, "whole number"},
		{"HEAD", "/_/bytes/1099511627776", 200, "="},
		{"GET", "/_/bytes/99999999999999999999999", 400, "whole number"},
		{"PUT", "/_/bytes/1", 405, ""},
		{"GET", "/_/delay/0", 200, "=waited 0 ms\n"},
		{"GET", "/_/delay/60001", 400, "60000"},
		{"GET", "/_/status/200", 200, "=200 OK\n"},
		{"GET", "/_/status/418", 418, "=418 I'm a teapot\n"},
		{"PUT", "/_/status/599", 599, "=599\n"},
		{"GET", "/_/status/204", 204, "="},
		{"GET", "/_/status/304", 304, "="},
		{"GET", "/_/status/199", 400, "200 to 599"},
		{"GET", "/_/status/600", 400, "200 to 599"},
		{"GET", "/_/stream/2", 200, "={\"line\":1,\"of\":2}\n{\"line\":2,\"of\":2}\n"},
		{"GET", "/_/stream/0", 200, "="},
		{"GET", "/_/stream/1000001", 400, "1000000"},
		{"GET", "/_/writes/3", 400, "/_/writes/10x100?gap=50ms"},
		{"GET", "/_/writes/0x1", 400, "number of writes"},
		{"GET", "/_/writes/1x1048577", 400, "octets of a write"},
		{"GET", "/_/writes/1x1?gap=1h", 400, "gap"},
		{"GET", "/_/writes/1x1?gap=fast", 400, "gap"},
		{"GET", "/_/writes/100000x1?gap=1s", 400, "10m"},
		{"GET", "/_/objects/10001", 400, "10000"},
		{"GET", "/_/objects/3/3", 400, "0 to 2"},
		{"GET", "/_/objects/3/0?size=255", 400, "256"},
		{"GET", "/_/objects/3/0?size=16777217", 400, "16777216"},
		{"GET", "/_/objects/3/0?close=2", 400, "close must be a whole number from 0 to 1"},
		{"GET", "/_/objects/3/0?close=yes", 400, "close"},
		{"GET", "/_/objects/3?way=pipelined", 400, "way must be one of serial, parallel, persistent, all"},
		{"GET", "/_/objects/3?way=serial", 200, `data-way="serial"`},
		{"GET", "/_/objects/0", 200, "0 objects"},
		{"GET", "/", 200, "What just happened on the wire"},
		{"HEAD", "/", 200, "="},
		{"GET", "/style.css", 200, "prefers-color-scheme"},
		{"GET", "/wire.js", 200, "use strict"},
		{"GET", "/nothing", 404, ""},
		{"GET", "/../site.go", 307, "/site.go"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			resp, body := do(t, tt.method, s.URL+tt.path, nil, nil)
			if resp.StatusCode != tt.code {
				t.Fatalf("status %d, want %d; body %q", resp.StatusCode, tt.code, body)
			}
			if want, exact := strings.CutPrefix(tt.body, "="); exact && string(body) != want || !strings.Contains(string(body), want) {
				t.Errorf("body %q, want %q", body, tt.body)
			}
			if tt.code == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestBytesHashes(t *testing.T) {
	for n, want := range map[int]string{
		13:       "402387c3198674ec4821c567708bc2a5e99e142b16ca24f3eb40f9c7b5c78ef5",
		1 << 20:  "745a61217910af6538d6c942280e69221b6c78e7cec2f28d9ec70da5b3d59b10",
		64 << 20: "3fecf1d45d19124a5cd961aee00677e65c232181d2034330b8273c47d79029c1",
	} {
		b := make([]byte, n)
		Bytes(0, b)
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("SHA-256 of %d octets: %x", n, sum)
		}
	}
}

func TestBytesRanges(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	const n = 3*Period + 100
	whole := make([]byte, n)
	Bytes(0, whole)
	tests := []struct {
		rng, ifRange string
		from, to     int // of whole; 206 unless all of it
		code         int
	}{
		{"", "", 0, n, 200},
		{"bytes=0-0", "", 0, 1, 206},
		{"bytes=0-", "", 0, n, 206},
		{"bytes=1048570-1048580", "", 1048570, 1048581, 206},
		{"Bytes= 5-9 ", "", 5, 10, 206},
		{fmt.Sprintf("bytes=%d-", n-3), "", n - 3, n, 206},
		{"bytes=100-99999999999999999999999", "", 100, n, 206},
		{"bytes=-10", "", n - 10, n, 206},
		{"bytes=-99999999999", "", 0, n, 206},
		{fmt.Sprintf("bytes=%d-", n), "", 0, 0, 416},
		{"bytes=-0", "", 0, 0, 416},
		{"bytes=7-5", "", 0, n, 200},
		{"bytes=a-b", "", 0, n, 200},
		{"bytes=-", "", 0, n, 200},
		{"bytes=1-2,5-6", "", 0, n, 200},
		{"lines=1-2", "", 0, n, 200},
		{"bytes=1-2", fmt.Sprintf(`"bytes-%d"`, n), 1, 3, 206},
		{"bytes=1-2", `"other"`, 0, n, 200},
	}
	for _, tt := range tests {
		t.Run(tt.rng+tt.ifRange, func(t *testing.T) {
			h := http.Header{}
			if tt.rng != "" {
				h.Set("Range", tt.rng)
			}
			if tt.ifRange != "" {
				h.Set("If-Range", tt.ifRange)
			}
			resp, body := do(t, "GET", fmt.Sprintf("%s/_/bytes/%d", s.URL, n), h, nil)
			if resp.StatusCode != tt.code {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.code)
			}
			want := fmt.Sprintf("bytes %d-%d/%d", tt.from, tt.to-1, n)
			switch tt.code {
			case 416:
				if got := resp.Header.Get("Content-Range"); got != fmt.Sprintf("bytes */%d", n) {
					t.Errorf("Content-Range %q", got)
				}
				return
			case 200:
				want = ""
			}
			if got := resp.Header.Get("Content-Range"); got != want {
				t.Errorf("Content-Range %q, want %q", got, want)
			}
			if !bytes.Equal(body, whole[tt.from:tt.to]) {
				t.Errorf("%d octets differ from the sequence's %d", len(body), tt.to-tt.from)
			}
		})
	}
}

// sharedRecorder counts what was sent by reference.
type sharedRecorder struct {
	httptest.ResponseRecorder
	shared int
}

func (s *sharedRecorder) WriteShared(p []byte) (int, error) {
	s.shared += len(p)
	return len(p), nil
}

func TestBytesByReference(t *testing.T) {
	h, err := Handler(Config{Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &sharedRecorder{ResponseRecorder: *httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest("GET", "/_/bytes/10000000000", nil))
	if w.shared != 10_000_000_000 {
		t.Errorf("%d octets went by reference", w.shared)
	}
}

func TestVerifier(t *testing.T) {
	b := make([]byte, 3*Period)
	Bytes(0, b)
	write := func(b []byte) error {
		v := new(Verifier)
		for len(b) > 0 {
			n := min(len(b), 70_001)
			if _, err := v.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}
	if err := write(b); err != nil {
		t.Error(err)
	}
	for _, i := range []int{0, 1, 70_000, Period - 1, Period, 2*Period + 5} {
		b[i] ^= 1
		if err := write(b); err == nil || !strings.Contains(err.Error(), "octet "+strconv.Itoa(i)+" ") {
			t.Errorf("octet %d wrong: %v", i, err)
		}
		b[i] ^= 1
	}
}

func TestSink(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	const n = 5_000_000
	for _, method := range []string{"PUT", "POST"} {
		for name, body := range map[string]io.Reader{
			"length":  bytes.NewReader(make([]byte, n)),
			"chunked": io.MultiReader(bytes.NewReader(make([]byte, n))),
		} {
			if _, got := do(t, method, s.URL+"/_/sink", nil, body); string(got) != "5000000\n" {
				t.Errorf("%s %s: %q", method, name, got)
			}
		}
	}
}

func TestDelay(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	start := time.Now()
	do(t, "GET", s.URL+"/_/delay/50", nil, nil)
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
}

func TestWrites(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	start := time.Now()
	resp, body := do(t, "GET", s.URL+"/_/writes/5x1000?gap=5ms", nil, nil)
	want := make([]byte, 5000)
	Bytes(0, want)
	if !bytes.Equal(body, want) || resp.ContentLength != 5000 {
		t.Errorf("%d octets, length %d", len(body), resp.ContentLength)
	}
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("answered within %v", d)
	}
}

func TestObjects(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	_, page := do(t, "GET", s.URL+"/_/objects/12?size=300", nil, nil)
	if n := strings.Count(string(page), `<img src="/_/objects/12/`); n != 12 {
		t.Errorf("the page has %d objects", n)
	}
	for _, size := range []int{256, 257, 2000, oneWrite, oneWrite + 1, 1 << 20} {
		for _, of := range []string{"1/0", "10000/9999"} {
			resp, body := do(t, "GET", fmt.Sprintf("%s/_/objects/%s?size=%d", s.URL, of, size), nil, nil)
			if len(body) != size || resp.ContentLength != int64(size) {
				t.Errorf("%s size=%d: %d octets, length %d", of, size, len(body), resp.ContentLength)
			}
			var svg struct {
				XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
			}
			if err := xml.Unmarshal(body, &svg); err != nil {
				t.Errorf("%s size=%d is no picture: %v", of, size, err)
			}
		}
	}
}

// TestObjectsClose expects close=1 to end the connection, and nothing else to.
func TestObjectsClose(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	seen := map[string]bool{}
	for i, query := range []string{"", "?close=0", "?close=1", "?close=1", "?size=300"} {
		resp, _ := do(t, "GET", fmt.Sprintf("%s/_/objects/5/%d%s", s.URL, i, query), nil, nil)
		if last := query == "?close=1"; resp.Close != last {
			t.Errorf("%q: Connection: close is %v", query, resp.Close)
		}
		seen[resp.Header.Get("Wire-Connection")] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("the five objects came over the connections %v, want 3", seen)
	}
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /_/objects/1/0?close=1 HTTP/1.1\r\nHost: h\r\n\r\n")
	if all, err := io.ReadAll(c); err != nil || !bytes.HasSuffix(all, []byte("-->\n")) {
		t.Errorf("%d octets until the end, %v", len(all), err)
	}
}

func TestWire(t *testing.T) {
	s := newSite(t, Config{Builtin: true, Engine: "kernel"})
	var facts [3]Facts
	for i := range facts {
		_, body := do(t, "GET", s.URL+"/_/wire", nil, nil)
		if err := json.Unmarshal(body, &facts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if facts[0].Engine != "kernel" || facts[0].Server != s.Listener.Addr().String() || facts[0].Client == "" {
		t.Errorf("facts %+v", facts[0])
	}
	for i := range facts {
		if facts[i].Request != i+1 || facts[i].Connection != facts[0].Connection || facts[i].Connection == 0 {
			t.Errorf("request %d: %+v", i+1, facts[i])
		}
	}
}

func TestWithoutBuiltin(t *testing.T) {
	s := newSite(t, Config{})
	for _, path := range []string{"/_/hello", "/_/wire", "/_/objects/3"} {
		if resp, _ := do(t, "GET", s.URL+path, nil, nil); resp.StatusCode != 404 {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
	resp, body := do(t, "GET", s.URL+"/", nil, nil)
	if resp.StatusCode != 200 || bytes.Contains(body, []byte("/_/")) {
		t.Errorf("the first page names endpoints that are not there (status %d)", resp.StatusCode)
	}
}

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "secret")
	root := filepath.Join(dir, "root")
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret"), 0o644),
		os.MkdirAll(filepath.Join(root, "sub"), 0o755),
		os.WriteFile(filepath.Join(root, "sub", "a.txt"), []byte("0123456789"), 0o644),
		os.Symlink(outside, filepath.Join(root, "link")),
		os.Symlink("sub/a.txt", filepath.Join(root, "inside")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t, Config{Root: root, Builtin: true})
	for path, want := range map[string]int{
		"/sub/a.txt": 200, "/sub/": 200, "/": 200, "/inside": 200, "/_/hello": 200,
		"/nothing": 404, "/wire.js": 404, "/../secret": 307, "/..%2fsecret": 404, "/sub/%2e%2e/%2e%2e/secret": 404,
	} {
		if resp, body := do(t, "GET", s.URL+path, nil, nil); resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d: %q", path, resp.StatusCode, want, body)
		}
	}
	if resp, body := do(t, "GET", s.URL+"/link", nil, nil); resp.StatusCode < 400 || bytes.Contains(body, []byte("secret")) {
		t.Errorf("a link out of the root: status %d, %q", resp.StatusCode, body)
	}
	if resp, _ := do(t, "POST", s.URL+"/sub/a.txt", nil, nil); resp.StatusCode != 405 {
		t.Errorf("POST to a file: status %d", resp.StatusCode)
	}
	resp, body := do(t, "GET", s.URL+"/sub/a.txt", http.Header{"Range": {"bytes=2-4"}}, nil)
	if resp.StatusCode != 206 || string(body) != "234" {
		t.Errorf("range of a file: status %d, %q", resp.StatusCode, body)
	}
	if _, err := Handler(Config{Root: filepath.Join(dir, "none")}); err == nil {
		t.Error("a root that does not exist: no error")
	}
	if _, err := Handler(Config{Root: outside}); err == nil {
		t.Error("a root that is a file: no error")
	}
}

func TestFilesOptions(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("app"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, Config{Root: root, Builtin: true, SPA: true, Header: http.Header{"Cache-Control": {"max-age=60"}}})
	for path, want := range map[string]string{"/users/17": "app", "/": "app", "/_/hello": "Hello, World!"} {
		resp, body := do(t, "GET", s.URL+path, nil, nil)
		if string(body) != want || (resp.Header.Get("Cache-Control") == "max-age=60") != (want == "app") {
			t.Errorf("%s: %q, %v", path, body, resp.Header)
		}
	}
	if resp, _ := do(t, "GET", s.URL+"/_/nothing", nil, nil); resp.StatusCode != 404 {
		t.Errorf("an endpoint that does not exist: status %d", resp.StatusCode)
	}
	if _, err := Handler(Config{Root: root, Header: http.Header{"Content-Length": {"1"}}}); err == nil {
		t.Error("a header that breaks the framing: no error")
	}
}
