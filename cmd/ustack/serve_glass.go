package main

import (
	"maps"
	"net/http"

	"ustack/cmd/ustack/internal/metrics"
	"ustack/cmd/ustack/internal/panel"
	"ustack/httpserver"
)

// glass is what a server shows of itself under /_/. The site has its endpoints before there is a stack to show.
type glass struct {
	metrics http.Handler
	panel   *panel.Panel // nil: the engine is not ours
}

// endpoints returns the addresses and what answers there, once the glass is open.
func (g *glass) endpoints() map[string]http.Handler {
	all := map[string]http.Handler{
		"/_/metrics": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.metrics.ServeHTTP(w, r) }),
	}
	maps.Copy(all, panel.Endpoints(func() *panel.Panel { return g.panel }))
	return all
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
	if s.node.stack != nil {
		g.panel = panel.New(s.node.stack, s.node.hub)
	}
}

// close ends the streams of the panel, which would not end by themselves.
func (g *glass) close() {
	if g.panel != nil {
		g.panel.Close()
	}
}
