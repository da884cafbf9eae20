package files

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Config says what to serve, and how.
type Config struct {
	// Root is the directory. Nothing outside of it can be reached.
	Root string
	// Header is added to every answer. Fields that the answer itself settles (Content-Type, ETag, ...) are refused.
	Header http.Header
	// SPA answers with the root's index.html, status 200, where there is no such file and the last
	// segment of the path has no extension: the addresses of a single-page application.
	SPA bool
	// CacheSize is how much memory small files may take, in octets. 0 means 16 MiB; negative, none.
	CacheSize int64
}

const defaultCacheSize = 16 << 20

// Handler serves the files of one directory. Its methods may be called from any number of goroutines.
type Handler struct {
	root   *os.Root
	header http.Header
	spa    bool
	cache  *cache
	now    func() time.Time
}

// New opens the directory. The error says why it cannot be opened, or which field of Header is refused.
func New(c Config) (*Handler, error) {
	header, err := checkHeader(c.Header)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return nil, fmt.Errorf("files to serve: %w", err)
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	return &Handler{root: root, header: header, spa: c.SPA, cache: newCache(c.CacheSize), now: time.Now}, nil
}

// Close gives the directory back. Requests after it are answered as if there were no files.
func (h *Handler) Close() error { return h.root.Close() }

// ServeHTTP answers a request for the file that its path names.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for key, values := range h.header {
		w.Header()[key] = values
	}
	if !methodAllowed(w, r) {
		return
	}
	name, slash, ok := localName(r.URL.Path)
	if !ok {
		h.missing(w, r, "")
		return
	}
	info, err := h.root.Stat(name)
	switch {
	case err != nil:
		h.fail(w, r, name, err)
	case info.IsDir() && !slash:
		redirectToSlash(w, r, name)
	case info.IsDir():
		h.serveDir(w, r, name)
	case slash || !info.Mode().IsRegular():
		h.missing(w, r, name)
	default:
		h.serveFile(w, r, name, info)
	}
}

// localName turns the path of a request into a name below the root, and tells whether the path ends in a
// slash. It refuses what begins with a dot, the dot segments included, and what no file can be called.
func localName(p string) (name string, slash, ok bool) {
	if strings.IndexByte(p, 0) >= 0 {
		return "", false, false
	}
	segments := make([]string, 0, 8)
	for s := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(s, ".") {
			return "", false, false
		}
		if s != "" {
			segments = append(segments, s)
		}
	}
	if len(segments) == 0 {
		return ".", true, true
	}
	return strings.Join(segments, "/"), strings.HasSuffix(p, "/"), true
}

const allowedMethods = "GET, HEAD, OPTIONS"

// knownMethods are those that are refused with 405: the client knows from Allow what to do instead.
var knownMethods = []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodConnect, http.MethodTrace}

// methodAllowed answers all methods but GET and HEAD (RFC 9110 §9.1, §9.3.7, §15.5.6).
func methodAllowed(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return true
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allowedMethods)
		w.WriteHeader(http.StatusNoContent)
	case slices.Contains(knownMethods, r.Method):
		w.Header().Set("Allow", allowedMethods)
		http.Error(w, "this address answers "+allowedMethods+" only", http.StatusMethodNotAllowed)
	default:
		http.Error(w, "this server does not know the method", http.StatusNotImplemented)
	}
	return false
}

// redirectToSlash sends the client to the directory's own address, from which relative links work. The
// reference is relative and begins with a dot: it cannot be taken for another host's, whatever the name.
func redirectToSlash(w http.ResponseWriter, r *http.Request, name string) {
	to := "./" + url.PathEscape(path.Base(name)) + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

const indexName = "index.html"

// serveDir answers with the index of a directory, or with its listing.
func (h *Handler) serveDir(w http.ResponseWriter, r *http.Request, name string) {
	index := path.Join(name, indexName)
	if info, err := h.root.Stat(index); err == nil && info.Mode().IsRegular() {
		h.serveFile(w, r, index, info)
		return
	}
	h.serveListing(w, r, name)
}

func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, name string, info os.FileInfo) {
	v := h.choose(name, info, r.Header["Accept-Encoding"])
	b, err := h.load(v.name, v.info)
	if err != nil {
		h.fail(w, r, name, err)
		return
	}
	defer b.close()
	now := h.now()
	head := w.Header()
	if v.varies {
		head["Vary"] = append(slices.Clip(head["Vary"]), "Accept-Encoding")
	}
	rep := representation{body: b, ctype: contentType(name), coding: v.coding, etag: b.id.etag(now), modified: lastModified(b.modified, now)}
	rep.serve(w, r, now)
}

// lastModified is the date to send for a file's time: whole seconds, not in the future (RFC 9110
// §8.8.2.1), and none for times that archives use for "unknown".
func lastModified(mtime, now time.Time) time.Time {
	switch {
	case mtime.Unix() <= 0:
		return time.Time{}
	case mtime.After(now):
		mtime = now
	}
	return mtime.Truncate(time.Second)
}
