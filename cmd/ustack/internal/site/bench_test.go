package site

import (
	"net/http"
	"testing"
)

// nullWriter takes an answer and forgets it.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header               { return w.h }
func (w *nullWriter) WriteHeader(int)                   {}
func (w *nullWriter) Write(p []byte) (int, error)       { return len(p), nil }
func (w *nullWriter) WriteShared(p []byte) (int, error) { return len(p), nil }

// BenchmarkHello is what the site adds to a request that is otherwise all stack.
func BenchmarkHello(b *testing.B) {
	h, err := Handler(Config{Builtin: true})
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequest("GET", "http://h/_/hello", nil)
	if err != nil {
		b.Fatal(err)
	}
	w := &nullWriter{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
