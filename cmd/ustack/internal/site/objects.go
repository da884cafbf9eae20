package site

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ustack/httpserver"
)

// Limits of /_/objects.
const (
	maxObjects        = 10_000
	minObjectSize     = 256 // octets: the picture itself takes less
	maxObjectSize     = 16 << 20
	defaultObjectSize = 2000 // octets of a tile when size is not given
)

var (
	//go:embed objects.html
	objectsHTML string
	//go:embed assets/style.css
	styleCSS string
	//go:embed objects.js
	objectsJS string

	objectsTemplate = template.Must(template.New("objects").Parse(objectsHTML))
)

// loadingWays are the values of way: those that the page's script loads the objects in, and all of them in turn.
var loadingWays = []string{"serial", "parallel", "persistent", "all"}

// objectsPage serves /_/objects/{n}: one document, so that a capture shows it and n objects and
// nothing else.
func objectsPage(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, "n", r.PathValue("n"), 0, maxObjects)
	if !ok {
		return
	}
	size, ok := sizeOf(w, r)
	if !ok {
		return
	}
	way := r.FormValue("way")
	if way != "" && !slices.Contains(loadingWays, way) {
		badRequest(w, "way must be one of %s, not %q", strings.Join(loadingWays, ", "), way)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	objectsTemplate.Execute(w, struct {
		N, Size int64
		Way     string
		Numbers []struct{}
		CSS     template.CSS
		JS      template.JS
	}{n, size, way, make([]struct{}, n), template.CSS(styleCSS), template.JS(objectsJS)})
}

func sizeOf(w http.ResponseWriter, r *http.Request) (int64, bool) {
	s := r.FormValue("size")
	if s == "" {
		return defaultObjectSize, true
	}
	return number(w, "size", s, minObjectSize, maxObjectSize)
}

// closeOf reads close: whether the answer is to be the last on its connection.
func closeOf(w http.ResponseWriter, r *http.Request) (last, ok bool) {
	s := r.FormValue("close")
	if s == "" {
		return false, true
	}
	n, ok := number(w, "close", s, 0, 1)
	return n == 1, ok
}

// padding fills tiles up to their size. It never changes.
var padding = makePadding()

func makePadding() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = "................................................................\n"[i%65]
	}
	return b
}

const (
	padOpen, padClose = "<!--", "-->\n"
	oneWrite          = 8 << 10 // tiles up to this size are put together first
)

// object serves one tile: an SVG picture, made up to size octets by a comment.
func object(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, "n", r.PathValue("n"), 1, maxObjects)
	if !ok {
		return
	}
	i, ok := number(w, "the object's number", r.PathValue("i"), 0, n-1)
	if !ok {
		return
	}
	size, ok := sizeOf(w, r)
	if !ok {
		return
	}
	last, ok := closeOf(w, r)
	if !ok {
		return
	}
	h := w.Header()
	if last {
		h.Set("Connection", "close")
	}
	// A script cannot see which connection its answer came on, and timings of a fast link do not tell.
	if c, ok := r.Context().Value(httpserver.ConnInfoKey).(httpserver.ConnInfo); ok {
		h.Set("Wire-Connection", strconv.FormatUint(c.ID, 10))
	}
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method == http.MethodHead {
		return
	}
	head := append(make([]byte, 0, min(size, oneWrite)), tile(i, n)...)
	head = append(head, padOpen...)
	pad := size - int64(len(head)+len(padClose))
	if size <= oneWrite {
		head = append(append(head, padding[:pad]...), padClose...)
		w.Write(head)
		return
	}
	w.Write(head)
	for pad > 0 {
		k, err := writeShared(w, padding[:min(pad, int64(len(padding)))])
		if err != nil {
			return
		}
		pad -= int64(k)
	}
	w.Write([]byte(padClose))
}

// tile draws object i of n: its number on a colour that walks round the colour circle.
func tile(i, n int64) string {
	hue := strconv.FormatInt(i*360/n, 10)
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">` +
		`<path fill="oklch(.56 .13 ` + hue + `)" d="M0 0h64v64H0z"/>` +
		`<text x="32" y="37" fill="#fff" font-family="sans-serif" text-anchor="middle">` + strconv.FormatInt(i, 10) + `</text></svg>`
}
