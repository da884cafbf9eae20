package site

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net"
	"net/http"

	"ustack/httpserver"
)

// Facts is the answer of /_/wire.
type Facts struct {
	Engine string `json:"engine,omitempty"` // whose TCP this is
	Client string `json:"client"`           // address and port of the other end, as the server sees it
	Server string `json:"server,omitempty"`
	Proto  string `json:"proto"`
	// Connection counts accepted connections from 1; Request counts requests on this connection
	// from 1, this one included. 0: not known.
	Connection uint64 `json:"connection,omitempty"`
	Request    int    `json:"request,omitempty"`
}

// factsOf says what is known of the request's connection.
func (c *Config) factsOf(r *http.Request) Facts {
	f := Facts{Engine: c.Engine, Client: r.RemoteAddr, Proto: r.Proto}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		f.Server = a.String()
	}
	if c, ok := r.Context().Value(httpserver.ConnInfoKey).(httpserver.ConnInfo); ok {
		f.Connection, f.Request = c.ID, c.Requests
	}
	return f
}

func wire(c *Config) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(c.factsOf(r))
	}
}

var (
	//go:embed index.html
	indexHTML     string
	indexTemplate = template.Must(template.New("index").Parse(indexHTML))
)

// indexPage serves the demo site's first page. It brings the facts of the very request that
// fetched it: another request might travel on another connection.
func indexPage(c *Config) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		indexTemplate.Execute(w, struct {
			Builtin bool
			Facts   Facts
		}{c.Builtin, c.factsOf(r)})
	}
}
