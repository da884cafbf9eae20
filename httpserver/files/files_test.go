package files

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// old is the time of files in tests: long enough ago for strong validators.
var old = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

const oldDate = "Fri, 02 Jan 2026 03:04:05 GMT"

// newTree makes a directory with files; a name that ends in a slash is a directory.
func newTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			os.MkdirAll(p, 0o755)
			continue
		}
		writeFile(t, p, data)
	}
	return root
}

func writeFile(t *testing.T, p, data string) {
	t.Helper()
	if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, old, old); err != nil {
		t.Fatal(err)
	}
}

// newHandler serves root, a minute later: its tags are strong.
func newHandler(t *testing.T, c Config) *Handler {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.now = func() time.Time { return time.Now().Add(time.Minute) }
	return h
}

// ask sends a request without a network; fields are pairs of name and value.
func ask(t *testing.T, h http.Handler, method, target string, fields ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func expectStatus(t *testing.T, what string, resp *http.Response, want int) {
	t.Helper()
	if resp.StatusCode != want {
		t.Errorf("%s: status %d, want %d", what, resp.StatusCode, want)
	}
}

func expectField(t *testing.T, what string, resp *http.Response, name, want string) {
	t.Helper()
	if got := strings.Join(resp.Header.Values(name), " | "); got != want {
		t.Errorf("%s: %s %q, want %q", what, name, got, want)
	}
}

func TestPaths(t *testing.T) { // req: 9110-17
	root := newTree(t, map[string]string{
		"a.txt": "a", "sub/b.txt": "b", "sub/index.html": "<p>", ".hidden": "secret", ".git/config": "secret", "empty/": "",
		"a b&c.html": "odd", "../outside": "",
	})
	outside := filepath.Join(t.TempDir(), "outside")
	writeFile(t, outside, "secret")
	for name, to := range map[string]string{"out": outside, "dots": "../../../../../../etc/passwd", "in": "sub/b.txt", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	h := newHandler(t, Config{Root: root})
	for target, want := range map[string]int{
		"/a.txt": 200, "/sub/b.txt": 200, "/sub/": 200, "/": 200, "/empty/": 200, "/a%20b&c.html": 200, "//a.txt": 200, "/in": 200,
		"/sub": 301, "/empty?x=1": 301, "/a.txt/": 404, "/nothing": 404, "/a.txt/b": 404,
		"/.hidden": 404, "/.git/config": 404, "/.git/": 404, "/../outside": 404, "/sub/../a.txt": 404, "/%2e%2e/outside": 404,
		"/sub%2f..%2f..%2foutside": 404, "/a.txt%00": 404, "/out": 404, "/dots": 404, "/loop": 404,
		"/" + strings.Repeat("x", 5000): 404,
	} {
		resp, body := ask(t, h, "GET", target)
		expectStatus(t, target, resp, want)
		if strings.Contains(body, "secret") || strings.Contains(body, root) || strings.Contains(body, "root:") {
			t.Errorf("%s leaks: %q", target, body)
		}
	}
	resp, _ := ask(t, h, "GET", "/sub?a=1&b=/")
	expectField(t, "redirect", resp, "Location", "./sub/?a=1&b=/")
}

func TestForbidden(t *testing.T) { // req: 9110-17
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	root := newTree(t, map[string]string{"a.txt": "a"})
	os.Chmod(filepath.Join(root, "a.txt"), 0)
	resp, body := ask(t, newHandler(t, Config{Root: root}), "GET", "/a.txt")
	expectStatus(t, "unreadable", resp, 403)
	if strings.Contains(body, "a.txt") {
		t.Errorf("leaks: %q", body)
	}
}

func TestMethods(t *testing.T) { // req: 9110-15.6.2 9110-9.3.2 9110-15.5.6
	h := newHandler(t, Config{Root: newTree(t, map[string]string{"a.txt": "hello"})})
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 204, "POST": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "get": 501, "BREW": 501} {
		resp, body := ask(t, h, method, "/a.txt")
		expectStatus(t, method, resp, want)
		if allow := resp.Header.Get("Allow"); (want == 405 || want == 204) != (allow == "GET, HEAD, OPTIONS") {
			t.Errorf("%s: Allow %q", method, allow)
		}
		if method == "HEAD" && body != "" {
			t.Errorf("HEAD: body %q", body)
		}
	}
	get, _ := ask(t, h, "GET", "/a.txt")
	head, _ := ask(t, h, "HEAD", "/a.txt", "Range", "bytes=0-1") // req: 9110-14.2b
	for _, name := range []string{"Content-Length", "Content-Type", "Etag", "Last-Modified", "Accept-Ranges"} {
		if v := get.Header.Get(name); v == "" || v != head.Header.Get(name) {
			t.Errorf("%s: GET %q, HEAD %q", name, v, head.Header.Get(name))
		}
	}
	expectStatus(t, "HEAD with Range", head, 200)
}

func TestFields(t *testing.T) { // req: 9110-8.3 9110-8.8
	root := newTree(t, map[string]string{"a.html": "<p>", "A.JPG": "x", "x.unknown": "x", "README": "x", "young": "x", "future.txt": "x", "epoch.txt": "x"})
	now := time.Now()
	os.Chtimes(filepath.Join(root, "future.txt"), now, now.Add(time.Hour))
	os.Chtimes(filepath.Join(root, "epoch.txt"), now, time.Unix(0, 0))
	h := newHandler(t, Config{Root: root, Header: http.Header{"cache-control": {"max-age=60"}, "X-Two": {"a", "b"}}})
	for target, want := range map[string]string{"/a.html": "text/html; charset=utf-8", "/A.JPG": "image/jpeg", "/x.unknown": "application/octet-stream", "/README": "text/plain; charset=utf-8"} {
		resp, _ := ask(t, h, "GET", target)
		expectField(t, target, resp, "Content-Type", want)
		expectField(t, target, resp, "Last-Modified", oldDate)
		expectField(t, target, resp, "Cache-Control", "max-age=60")
		expectField(t, target, resp, "X-Two", "a | b")
		expectField(t, target, resp, "X-Content-Type-Options", "nosniff")
	}
	resp, _ := ask(t, h, "GET", "/epoch.txt")
	expectField(t, "epoch", resp, "Last-Modified", "")
	resp, _ = ask(t, h, "GET", "/future.txt")
	if d, err := http.ParseTime(resp.Header.Get("Last-Modified")); err != nil || d.After(h.now()) { // req: 9110-8.8
		t.Errorf("Last-Modified of a file from the future: %v, %v", d, err)
	}
	if tag := resp.Header.Get("Etag"); !strings.HasPrefix(tag, `"`) {
		t.Errorf("tag of a file from the future: %s", tag)
	}
	h.now = time.Now
	writeFile(t, filepath.Join(root, "young"), "y")
	if info, err := os.Stat(filepath.Join(root, "young")); err != nil || !strings.HasPrefix(identOf(info).etag(time.Now()).String(), "W/") {
		t.Error("a file of this moment has a strong tag") // req: 9110-8.8
	}
}

// TestCacheSeesChanges changes a small file in all ways that keep something, and expects the new content and a new tag.
func TestCacheSeesChanges(t *testing.T) {
	root := newTree(t, map[string]string{"a.txt": "one"})
	name := filepath.Join(root, "a.txt")
	h := newHandler(t, Config{Root: root})
	tags := map[string]bool{}
	for i, change := range []func(){
		func() {},
		func() { writeFile(t, name, "two") }, // the same size and date
		func() { writeFile(t, name, "three") },
		func() { writeFile(t, name+".new", "seven"); os.Rename(name+".new", name) },
	} {
		time.Sleep(clockTick)
		change()
		want, _ := os.ReadFile(name)
		for range 2 {
			resp, body := ask(t, h, "GET", "/a.txt")
			if body != string(want) {
				t.Errorf("change %d: %q, want %q", i, body, want)
			}
			tags[resp.Header.Get("Etag")] = true
		}
		if len(tags) != i+1 {
			t.Errorf("change %d: tags %v", i, tags)
		}
		if len(h.cache.entries) != 1 {
			t.Errorf("change %d: %d files in memory", i, len(h.cache.entries))
		}
	}
	os.Remove(name)
	resp, _ := ask(t, h, "GET", "/a.txt")
	expectStatus(t, "removed", resp, 404)
}

func TestCacheBound(t *testing.T) {
	c := newCache(3 * (entryCost + 100))
	for i := range 10 {
		name := string(rune('a' + i))
		c.put(name, &body{id: ident{inode: uint64(i)}, size: 99, data: make([]byte, 99)})
		if c.get("a", ident{}) == nil {
			t.Fatal("the file in use is gone")
		}
	}
	if len(c.entries) != 3 || c.used != 3*(entryCost+100) || c.recent.Len() != 3 {
		t.Errorf("%d entries, %d octets", len(c.entries), c.used)
	}
	if c.get("a", ident{inode: 7}) != nil || len(c.entries) != 2 {
		t.Error("a changed file is still there")
	}
	c.put("big", &body{size: 1 << 20})
	if c.get("big", ident{}) != nil || c.used > c.limit {
		t.Error("a file larger than the cache was kept")
	}
}

func TestMissing(t *testing.T) { // req: 9110-13
	root := newTree(t, map[string]string{"index.html": "app", "404.html": "<p>lost", "a.js": "x"})
	plain := newHandler(t, Config{Root: root})
	for _, target := range []string{"/nothing", "/nothing.js", "/.git/x"} {
		resp, body := ask(t, plain, "GET", target, "If-None-Match", "*", "Range", "bytes=0-1")
		expectStatus(t, target, resp, 404)
		expectField(t, target, resp, "Content-Type", "text/html; charset=utf-8")
		expectField(t, target, resp, "Etag", "")
		if body != "<p>lost" {
			t.Errorf("%s: %q", target, body)
		}
	}
	spa := newHandler(t, Config{Root: root, SPA: true})
	for target, want := range map[string]int{"/users/17": 200, "/users/": 200, "/gone.js": 404, "/.git": 404, "/a.js": 200} {
		resp, body := ask(t, spa, "GET", target)
		expectStatus(t, target, resp, want)
		if (body == "app") != strings.HasPrefix(target, "/users") {
			t.Errorf("%s: %q", target, body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	root := newTree(t, map[string]string{"f": ""})
	for _, c := range []Config{
		{Root: filepath.Join(root, "none")}, {Root: filepath.Join(root, "f")},
		{Root: root, Header: http.Header{"content-length": {"3"}}}, {Root: root, Header: http.Header{"a b": {"3"}}},
		{Root: root, Header: http.Header{"X": {"a\r\nb"}}},
	} {
		if h, err := New(c); err == nil {
			h.Close()
			t.Errorf("%+v was taken", c)
		}
	}
	for _, s := range []string{"", "X", ": v", "X : v", "Étag: v", "Date: now", "x: a\nb"} {
		if n, v, err := ParseField(s); err == nil {
			t.Errorf("%q: %q, %q", s, n, v)
		}
	}
	if n, v, err := ParseField("cache-control:\t max-age=60, public "); n != "Cache-Control" || v != "max-age=60, public" || err != nil {
		t.Errorf("%q, %q, %v", n, v, err)
	}
}

func TestLargeFile(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	h := newHandler(t, Config{Root: newTree(t, map[string]string{"big": string(data)})})
	resp, body := ask(t, h, "GET", "/big")
	if body != string(data) || len(h.cache.entries) != 0 {
		t.Errorf("status %d, %d octets, %d in memory", resp.StatusCode, len(body), len(h.cache.entries))
	}
	resp, body = ask(t, h, "GET", "/big", "Range", "bytes=99990-")
	expectField(t, "end", resp, "Content-Range", "bytes 99990-99999/100000")
	if body != "0123456789" {
		t.Errorf("the end: %q", body)
	}
}
