package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"ustack/stack/trace"
)

// Config is what a Server tells, and of whom.
type Config struct {
	Engine, Device string
	Source         Source     // nil: the engine tells nothing of its connections
	Hub            *trace.Hub // where events come from, if there is a Source
	ErrorLog       *log.Logger
}

// Server answers what is asked through a Socket.
type Server struct {
	cfg  Config
	http http.Server
	// closing is done when streams are to end.
	closing context.Context
	close   context.CancelFunc
}

// NewServer makes a server. It answers nobody before Serve.
func NewServer(c Config) *Server {
	s := &Server{cfg: c}
	s.closing, s.close = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.about)
	mux.HandleFunc("GET /conns", s.asked(func() any { return snapshot(c.Source) }))
	mux.HandleFunc("GET /listeners", s.asked(func() any { return listenersOf(c.Source) }))
	mux.HandleFunc("GET /half-open", s.halfOpens)
	mux.HandleFunc("GET /time-wait", s.timeWaits)
	mux.HandleFunc("GET /stats", s.asked(func() any { return statsOf(c.Source) }))
	mux.HandleFunc("GET /trace", s.trace)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there are GET /, /conns, /listeners, /half-open, /time-wait, /stats and /trace")
	})
	s.http = http.Server{
		Handler:           versioned(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          c.ErrorLog,
	}
	return s
}

// Serve answers until Close, or until l is closed.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// closeTime is how long Close waits for answers under way.
const closeTime = time.Second

// Close ends the streams, each with its last event, and then the server.
func (s *Server) Close() error {
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close() // who reads so slowly has to do without the end
	}
	return nil
}

// versioned says in every answer which protocol this is.
func versioned(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, Version)
		h.ServeHTTP(w, r)
	})
}

func (s *Server) about(w http.ResponseWriter, _ *http.Request) {
	answer(w, About{Version: Version, Engine: s.cfg.Engine, Device: s.cfg.Device, PID: os.Getpid()})
}

// asked answers with what ask returns, if the engine can be asked.
func (s *Server) asked(ask func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if s.silent(w) {
			return
		}
		answer(w, ask())
	}
}

// silent refuses a request about an engine that tells nothing.
func (s *Server) silent(w http.ResponseWriter) bool {
	if s.cfg.Source != nil {
		return false
	}
	hint := ""
	if s.cfg.Engine == "kernel" {
		hint = "; the system's own `ss -tinO` shows them"
	}
	refuse(w, http.StatusNotImplemented, fmt.Sprintf("the server runs on engine %s, which does not tell of its connections%s", s.cfg.Engine, hint))
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who has gone needs no answer
}

// problem is the content of an answer that refuses.
type problem struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem{why})
}
