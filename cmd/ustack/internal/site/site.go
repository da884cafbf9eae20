// Package site is what `ustack serve` serves: files or the embedded demo site at the root, and
// the built-in endpoints under /_/. It knows no stack: the same handler runs on every engine.
//
// The endpoints, each with its methods (HEAD goes wherever GET goes):
//
//	GET      /_/hello                     "Hello, World!", 13 octets of text/plain
//	GET      /_/bytes/{n}                 the first n octets of the fixed sequence (see [Bytes]); ranges work
//	PUT POST /_/sink                      reads the whole body, answers how many octets it had
//	any      /_/echo                      the request as it came in: request line, headers, empty line, body
//	GET      /_/delay/{ms}                answers after ms milliseconds
//	any      /_/status/{code}             answers with that status, 200 to 599
//	GET      /_/stream/{n}                n lines, each flushed: a chunk of its own
//	GET      /_/objects/{n}?size=&way=    a page of n objects and their waterfall; way makes it load them again at
//	                                      once: serial, parallel, persistent, or all three in turn
//	GET      /_/objects/{n}/{i}?size=&close=
//	                                      one of its tiles: an SVG picture of exactly size octets; close=1 ends the
//	                                      connection; Wire-Connection is the connection's number in /_/wire
//	GET      /_/writes/{k}x{n}?gap=DUR    k flushed writes of n octets, gap apart
//	GET      /_/wire                      JSON: what the server knows of the request's connection
//
// and those of Config.More.
package site

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"ustack/httpserver/files"
)

//go:embed assets
var assets embed.FS

// Config says what the site consists of. The zero value is the demo site without endpoints.
type Config struct {
	// Root is the directory of files to serve; "" is the embedded demo site. Nothing outside of
	// it can be reached, neither by dots nor by symbolic links.
	Root string
	// Header is added to every answer from Root, and SPA makes its index.html stand in for what is
	// not there; see [files.Config].
	Header http.Header
	SPA    bool
	// Builtin adds the endpoints under /_/.
	Builtin bool
	// More are further endpoints under /_/ by their patterns: what knows the stack stands elsewhere.
	More map[string]http.Handler
	// Engine names the TCP underneath, for /_/wire.
	Engine string
}

// Handler returns the site. The error says why Root cannot be opened.
func Handler(c Config) (http.Handler, error) {
	mux := http.NewServeMux()
	if err := registerFiles(mux, &c); err != nil {
		return nil, err
	}
	if !c.Builtin {
		return mux, nil
	}
	register(mux, &c)
	return helloFirst(mux), nil
}

const helloPath = "/_/hello"

// helloFirst answers what measures the server before the mux is asked, whose search would cost more than the answer.
func helloFirst(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == helloPath && r.Method == http.MethodGet {
			hello(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func register(mux *http.ServeMux, c *Config) {
	handle := func(pattern string, h http.HandlerFunc, methods ...string) {
		mux.Handle(pattern, allow(noStore(h), methods...))
	}
	handle("/_/", http.NotFound, anyMethod)
	mux.Handle(helloPath, allow(http.HandlerFunc(hello), http.MethodGet))
	handle("/_/bytes/{n}", bytesN, http.MethodGet)
	handle("/_/sink", sink, http.MethodPut, http.MethodPost)
	handle("/_/echo", echo, anyMethod)
	handle("/_/delay/{ms}", delay, http.MethodGet)
	handle("/_/status/{code}", status, anyMethod)
	handle("/_/stream/{n}", stream, http.MethodGet)
	handle("/_/objects/{n}", objectsPage, http.MethodGet)
	handle("/_/objects/{n}/{i}", object, http.MethodGet)
	handle("/_/writes/{spec}", writes, http.MethodGet)
	handle("/_/wire", wire(c), http.MethodGet)
	for pattern, h := range c.More {
		handle(pattern, h.ServeHTTP, http.MethodGet)
	}
}

func registerFiles(mux *http.ServeMux, c *Config) error {
	if c.Root != "" {
		root, err := files.New(files.Config{Root: c.Root, Header: c.Header, SPA: c.SPA})
		if err != nil {
			return err
		}
		mux.Handle("/", root)
		return nil
	}
	demo, err := fs.Sub(assets, "assets")
	if err != nil {
		return err
	}
	// Nothing is cached, so that a reload shows the whole exchange on the wire again.
	mux.Handle("/", allow(noStore(http.FileServerFS(demo).ServeHTTP), http.MethodGet))
	mux.Handle("/{$}", allow(noStore(indexPage(c)), http.MethodGet))
	return nil
}

const anyMethod = "*"

// allow answers 405 with Allow to other methods than these (RFC 9110 §15.5.6); GET brings HEAD along.
func allow(h http.Handler, methods ...string) http.Handler {
	var list []string
	for _, m := range methods {
		if m == anyMethod {
			return h
		}
		list = append(list, m)
		if m == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	value := strings.Join(append(list, http.MethodOptions), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range list {
			if r.Method == m {
				h.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("Allow", value)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(w, "this address answers "+value+" only", http.StatusMethodNotAllowed)
	})
}

var noStoreValue = []string{"no-store"}

func noStore(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Cache-Control"] = noStoreValue
		h(w, r)
	}
}

// number reads a decimal number from lo to hi from the path or the query. If it is none, the 400
// has been sent and ok is false.
func number(w http.ResponseWriter, what, s string, lo, hi int64) (n int64, ok bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi || s[0] == '+' || s[0] == '-' {
		badRequest(w, "%s must be a whole number from %d to %d, not %q", what, lo, hi, s)
		return 0, false
	}
	return n, true
}

func badRequest(w http.ResponseWriter, format string, args ...any) {
	http.Error(w, fmt.Sprintf(format, args...), http.StatusBadRequest)
}

// sharedWriter is a ResponseWriter that sends immutable octets by reference, without copying.
type sharedWriter interface {
	WriteShared(p []byte) (int, error)
}

// writeShared writes p, which never changes, by reference where w can.
func writeShared(w http.ResponseWriter, p []byte) (int, error) {
	if s, ok := w.(sharedWriter); ok {
		return s.WriteShared(p)
	}
	return w.Write(p)
}
