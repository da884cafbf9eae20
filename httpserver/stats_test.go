package httpserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestStats asks for answers of every kind, and expects all of them to have been counted once.
func TestStats(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{MaxRequests: 20, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			entered <- struct{}{}
			<-leave
		case "/missing":
			http.Error(w, "not here", http.StatusNotFound)
		default:
			io.WriteString(w, "0123456789")
		}
	})}
	go s.Serve(l)
	defer s.Close()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	ask := func(target string) {
		t.Helper()
		io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: h\r\n\r\n")
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
	}
	for range 17 {
		ask("/")
	}
	ask("/missing")
	idle := func(s *Stats) bool { return s.Connections == Connections{Idle: 1} }
	st := awaitStats(t, s, idle)
	if st.Requests != [6]uint64{2: 17, 4: 1} || st.BodyBytes != 17*10+9 || st.HeadBytes < 18*40 || st.Accepted != 1 {
		t.Errorf("after 18 requests: %+v", st)
	}
	timed := uint64(0)
	for _, n := range st.Durations.Counts {
		timed += n
	}
	if timed != 2 || st.Durations.Sum <= 0 || len(st.Durations.Counts) != len(st.Durations.Bounds)+1 {
		t.Errorf("the first and the seventeenth request are timed: %+v", st.Durations)
	}

	io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	<-entered
	awaitStats(t, s, func(s *Stats) bool { return s.Connections == Connections{Active: 1} })
	close(leave)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") // the twentieth is the last
	awaitStats(t, s, func(s *Stats) bool { return s.Connections == Connections{Lingering: 1} })
	c.Close()
	st = awaitStats(t, s, func(s *Stats) bool { return s.Connections == Connections{} })
	if st.Requests != [6]uint64{2: 19, 4: 1} || len(st.Closed) != 1 || st.Closed[ReasonMaxRequests] != 1 {
		t.Errorf("at the end: %+v", st)
	}
}

// awaitStats asks until good is true.
func awaitStats(t *testing.T, s *Server, good func(*Stats) bool) Stats {
	t.Helper()
	var st Stats
	for range 500 {
		if st = s.Stats(); good(&st) {
			return st
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it stays %+v", st)
	return st
}

// TestStatsHijacked: what leaves the server has ended for it.
func TestStatsHijacked(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})}
	near, far := net.Pipe()
	defer far.Close()
	s.once.Do(s.init)
	s.serveConn(t.Context(), near)
	io.WriteString(far, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	st := awaitStats(t, s, func(s *Stats) bool { return s.Requests[0] == 1 })
	if st.Requests != [6]uint64{1} || len(st.Closed) != 1 || st.Closed[ReasonHijacked] != 1 {
		t.Errorf("%+v", st)
	}
}
