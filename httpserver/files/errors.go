package files

import (
	"errors"
	"io/fs"
	"net/http"
	"path"
	"syscall"
)

// fail answers for a file that could not be opened. The text names no path and no cause: what lies
// where is the server's own affair. A name that leads out of the root is not there.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, name string, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		refuse(w, http.StatusForbidden)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		refuse(w, http.StatusServiceUnavailable)
	case errors.Is(err, syscall.EIO):
		refuse(w, http.StatusInternalServerError)
	default:
		h.missing(w, r, name)
	}
}

const missingName = "404.html"

// missing answers for what is not there: with the application's page, with the site's own page, or with plain 404.
// name is "" where a name was refused.
func (h *Handler) missing(w http.ResponseWriter, r *http.Request, name string) {
	if h.spa && name != "" && path.Ext(name) == "" {
		if info, err := h.root.Stat(indexName); err == nil && info.Mode().IsRegular() {
			h.serveFile(w, r, indexName, info)
			return
		}
	}
	info, err := h.root.Stat(missingName)
	if err != nil || !info.Mode().IsRegular() {
		refuse(w, http.StatusNotFound)
		return
	}
	b, err := h.load(missingName, info)
	if err != nil {
		refuse(w, http.StatusNotFound)
		return
	}
	defer b.close()
	// No validators, no conditions, no ranges: they are for answers that succeed (RFC 9110 §13.2.1).
	rep := representation{body: b, ctype: contentType(missingName)}
	rep.sendWhole(w, r, http.StatusNotFound)
}

func refuse(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
