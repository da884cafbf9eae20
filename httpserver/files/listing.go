package files

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxListed is how many names of a directory are looked at.
const maxListed = 10_000

type listed struct {
	name  string
	dir   bool
	size  int64
	mtime time.Time
}

// serveListing answers with the names in a directory. The listing has a tag of its content, so that it can be asked
// for again cheaply.
func (h *Handler) serveListing(w http.ResponseWriter, r *http.Request, name string) {
	list, more, err := h.readDir(name)
	if err != nil {
		h.fail(w, r, name, err)
		return
	}
	key, down := sortKey(r.URL.Query().Get("sort"))
	sortListed(list, key, down)
	page := renderListing(name, list, more, key, down)
	sum := sha256.Sum256(page)
	// Names are other people's words: even if one got past the escaping, it could not run.
	if head := w.Header(); head["Content-Security-Policy"] == nil {
		head["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'"}
	}
	rep := representation{
		body:     &body{data: page, size: int64(len(page))},
		ctype:    "text/html" + utf8Text,
		etag:     etag{opaque: `"` + hex.EncodeToString(sum[:12]) + `"`},
		noRanges: true,
	}
	rep.serve(w, r, h.now())
}

// readDir returns what of a directory is served: no dot files, no links that lead out, no devices.
func (h *Handler) readDir(name string) (list []listed, more bool, err error) {
	f, err := h.root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxListed + 1)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if more = len(names) > maxListed; more {
		names = names[:maxListed]
	}
	for _, n := range names {
		if strings.HasPrefix(n, ".") {
			continue
		}
		info, err := h.root.Stat(path.Join(name, n))
		if err == nil && (info.IsDir() || info.Mode().IsRegular()) {
			list = append(list, listed{n, info.IsDir(), info.Size(), info.ModTime()})
		}
	}
	return list, more, nil
}

// sortKey reads ?sort=: name, size or time, with a minus the other way round. Anything else is by name.
func sortKey(s string) (key string, down bool) {
	key, down = strings.CutPrefix(s, "-")
	if key != "size" && key != "time" && key != "name" {
		return "name", false
	}
	return key, down
}

// sortListed puts directories first, and sorts each of the two groups. Equal ones stay in the order of their names.
func sortListed(list []listed, key string, down bool) {
	slices.SortFunc(list, func(a, b listed) int {
		if a.dir != b.dir {
			if a.dir {
				return -1
			}
			return 1
		}
		c := 0
		switch {
		case key == "name":
			c = strings.Compare(a.name, b.name)
		case key == "time":
			c = a.mtime.Compare(b.mtime)
		case !a.dir:
			c = cmp.Compare(a.size, b.size)
		}
		if down {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.name, b.name))
	})
}

const listingStyle = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}` +
	`table{border-collapse:collapse;width:100%}th{text-align:left}td,th{padding:.15em 1em .15em 0}` +
	`.n{text-align:right;font-variant-numeric:tabular-nums}a{text-decoration:none}a:hover{text-decoration:underline}`

func renderListing(name string, list []listed, more bool, key string, down bool) []byte {
	title := "/"
	if name != "." {
		title += name + "/"
	}
	title = text(title)
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
		title + "</title>\n<style>" + listingStyle + "</style></head>\n<body><h1>" + title + "</h1>\n<table>\n<tr>")
	for _, column := range []struct{ key, class, title string }{{"name", "", "Name"}, {"size", "n", "Size"}, {"time", "n", "Modified (UTC)"}} {
		to := column.key
		if to == key && !down {
			to = "-" + to
		}
		b.WriteString(`<th class="` + column.class + `"><a href="?sort=` + to + `">` + column.title + "</a></th>")
	}
	b.WriteString("</tr>\n")
	if name != "." {
		b.WriteString("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n")
	}
	for _, e := range list {
		renderListed(&b, e)
	}
	b.WriteString("</table>\n")
	if more {
		b.WriteString("<p>There are more than " + strconv.Itoa(maxListed) + " names here; the others are not shown.</p>\n")
	}
	b.WriteString("</body></html>\n")
	return b.Bytes()
}

func renderListed(b *bytes.Buffer, e listed) {
	slash, size := "/", ""
	if !e.dir {
		slash, size = "", strconv.FormatInt(e.size, 10)
	}
	// "./" keeps a name with a colon from being read as a scheme.
	href := "./" + html.EscapeString(url.PathEscape(e.name)) + slash
	b.WriteString(`<tr><td><a href="` + href + `">` + text(e.name) + slash + `</a></td><td class="n">` + size +
		`</td><td class="n">` + e.mtime.UTC().Format(time.DateTime) + "</td></tr>\n")
}

// text makes a name fit for HTML.
func text(name string) string { return html.EscapeString(strings.ToValidUTF8(name, "\uFFFD")) }
