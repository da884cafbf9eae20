package main

import (
	"net/http"

	"ustack/cmd/ustack/internal/metrics"
	"ustack/httpserver"
)

// glass is what a server shows of itself under /_/. The site has its endpoints before there is a stack to show.
type glass struct {
	metrics http.Handler
}

// endpoints returns the addresses and what answers there, once the glass is open.
func (g *glass) endpoints() map[string]http.Handler {
	return map[string]http.Handler{
		"/_/metrics": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.metrics.ServeHTTP(w, r) }),
	}
}

// open makes the endpoints answer, for s, which listens and does not serve yet.
func (g *glass) open(s *server) {
	source := metrics.Source{Stack: s.node.stack, Servers: map[string]*httpserver.Server{}}
	for i, h := range s.https {
		if own, ok := h.(*httpserver.Server); ok {
			source.Servers[s.plan.listeners[i].address] = own
		}
	}
	g.metrics = metrics.Handler(source)
}

// close ends what would not end by itself.
func (g *glass) close() {}
