package files

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var hrefs = regexp.MustCompile(`<td><a href="([^"]*)">`)

func names(page string) string {
	var all []string
	for _, m := range hrefs.FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

func TestListing(t *testing.T) {
	root := newTree(t, map[string]string{"d/b.txt": "333", "d/a.txt": "22", "d/c.txt": "1", "d/z/": "", "d/y/": "", "d/.hidden": "", "d/.git/x": ""})
	now := old.AddDate(0, 0, 1)
	os.Chtimes(filepath.Join(root, "d/a.txt"), now, now)
	os.Symlink("/etc/passwd", filepath.Join(root, "d/out"))
	h := newHandler(t, Config{Root: root})
	for query, want := range map[string]string{
		"":            "../ ./y/ ./z/ ./a.txt ./b.txt ./c.txt",
		"?sort=name":  "../ ./y/ ./z/ ./a.txt ./b.txt ./c.txt",
		"?sort=-name": "../ ./z/ ./y/ ./c.txt ./b.txt ./a.txt",
		"?sort=size":  "../ ./y/ ./z/ ./c.txt ./a.txt ./b.txt",
		"?sort=-size": "../ ./y/ ./z/ ./b.txt ./a.txt ./c.txt",
		"?sort=junk":  "../ ./y/ ./z/ ./a.txt ./b.txt ./c.txt",
	} {
		resp, body := ask(t, h, "GET", "/d/"+query)
		expectStatus(t, query, resp, 200)
		if got := names(body); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	_, body := ask(t, h, "GET", "/d/?sort=-time")
	if got := names(body); !strings.HasSuffix(got, "./a.txt ./b.txt ./c.txt") {
		t.Errorf("by time, newest first: %s", got)
	}
	_, body = ask(t, h, "GET", "/")
	if got := names(body); got != "./d/" {
		t.Errorf("root: %s", got)
	}
	resp, _ := ask(t, h, "GET", "/d/")
	again, _ := ask(t, h, "GET", "/d/", "If-None-Match", resp.Header.Get("Etag"))
	expectStatus(t, "again", again, 304)
	head, body := ask(t, h, "HEAD", "/d/")
	if body != "" || head.Header.Get("Content-Length") != resp.Header.Get("Content-Length") {
		t.Errorf("HEAD: %q, %v", body, head.Header)
	}
	ranged, _ := ask(t, h, "GET", "/d/", "Range", "bytes=0-1")
	expectStatus(t, "range of a listing", ranged, 200)
}

// TestListingEscapes lists names that would be markup, schemes, queries or other paths if they were not escaped.
func TestListingEscapes(t *testing.T) { // req: 9110-17
	odd := []string{`<script>alert(1)`, `"onmouseover='x`, "javascript:alert(1)", "a?b#c", "100%", "a&amp;b", "\xff\xfe", "new\nline"}
	files := map[string]string{}
	for _, n := range odd {
		files["<b>/"+strings.ReplaceAll(n, "/", "")] = "odd"
	}
	h := newHandler(t, Config{Root: newTree(t, files)})
	resp, page := ask(t, h, "GET", "/%3Cb%3E/")
	expectStatus(t, "listing", resp, 200)
	for _, bad := range []string{"<script", "<b>", `"on`, `href="javascript`, "\xff", "a&amp;b<"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	links := hrefs.FindAllStringSubmatch(page, -1)
	if len(links) != len(odd)+1 {
		t.Fatalf("%d links for %d names", len(links), len(odd))
	}
	for _, m := range links[1:] {
		target := "/%3Cb%3E/" + strings.TrimPrefix(strings.ReplaceAll(m[1], "&amp;", "&"), "./")
		if resp, body := ask(t, h, "GET", target); resp.StatusCode != 200 || body != "odd" {
			t.Errorf("%s: %d, %q", target, resp.StatusCode, body)
		}
	}
}
