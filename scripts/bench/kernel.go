package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// The kernel's TCP behind the two servers a Go programmer would choose, with the endpoints that the
// clients ask for: what `ustack serve` calls /_/hello, /_/bytes/{n}, /_/sink and /_/delay/{ms}.

var (
	kernelBlock = make([]byte, 1<<20)
	helloBody   = []byte("Hello, World!")
	helloLength = []string{"13"}
	plainText   = []string{"text/plain"}
)

// serveNetHTTP serves with net/http until ctx is done.
func serveNetHTTP(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/_/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = plainText
		w.Header()["Content-Length"] = helloLength
		w.Write(helloBody)
	})
	mux.HandleFunc("GET /_/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 {
			http.Error(w, "how many octets?", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		for n > 0 {
			k, err := w.Write(kernelBlock[:min(n, int64(len(kernelBlock)))])
			if err != nil {
				return
			}
			n -= int64(k)
		}
	})
	mux.HandleFunc("/_/sink", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.CopyBuffer(writeOnly{}, r.Body, make([]byte, 64<<10))
		io.WriteString(w, strconv.FormatInt(n, 10)+"\n")
	})
	mux.HandleFunc("/_/delay/{ms}", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.PathValue("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		io.WriteString(w, "waited\n")
	})
	srv := &http.Server{Handler: mux}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// writeOnly forgets what it is given; io.Discard would choose a buffer of its own.
type writeOnly struct{}

func (writeOnly) Write(p []byte) (int, error) { return len(p), nil }

// serveFastHTTP serves with fasthttp until ctx is done.
func serveFastHTTP(ctx context.Context, ln net.Listener) error {
	srv := &fasthttp.Server{
		Handler:               fastHandler,
		StreamRequestBody:     true, // else an upload would have to fit into memory
		NoDefaultServerHeader: true,
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	if err := srv.Serve(ln); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func fastHandler(c *fasthttp.RequestCtx) {
	path := string(c.Path())
	switch {
	case path == "/_/hello":
		c.Response.Header.SetContentType("text/plain")
		c.Response.SetBodyRaw(helloBody)
	case strings.HasPrefix(path, "/_/bytes/"):
		n, err := strconv.Atoi(path[len("/_/bytes/"):])
		if err != nil || n < 0 {
			c.Error("how many octets?", fasthttp.StatusBadRequest)
			return
		}
		c.Response.Header.SetContentType("application/octet-stream")
		c.SetBodyStream(&blocks{left: n}, n)
	case path == "/_/sink":
		n, _ := io.CopyBuffer(writeOnly{}, c.RequestBodyStream(), make([]byte, 64<<10))
		c.SetBodyString(strconv.FormatInt(n, 10) + "\n")
	case strings.HasPrefix(path, "/_/delay/"):
		ms, _ := strconv.Atoi(path[len("/_/delay/"):])
		time.Sleep(time.Duration(ms) * time.Millisecond)
		c.SetBodyString("waited\n")
	default:
		c.NotFound()
	}
}

// blocks is a body of zeros. WriteTo lets it go out in large writes.
type blocks struct{ left int }

func (b *blocks) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, kernelBlock[:min(b.left, len(kernelBlock))])
	b.left -= n
	return n, nil
}

func (b *blocks) WriteTo(w io.Writer) (total int64, err error) {
	for b.left > 0 {
		n, err := w.Write(kernelBlock[:min(b.left, len(kernelBlock))])
		b.left -= n
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
