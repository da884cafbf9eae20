package httpserver

import (
	"net/http"
	"time"
)

// A stamp is how answers of one second start: the Date field (RFC 9110, 6.6.1), alone and behind the status line that
// most of them have.
type stamp struct {
	date, ok []byte
}

// now returns this second's stamp. To keep to the second it does not look at the clock, which would cost every answer a
// tenth of its time: a timer takes the stamp away, and who needs the next one makes it. A wall clock that is set anew is
// followed within a second.
func (s *Server) now() *stamp {
	if p := s.stamp.Load(); p != nil {
		return p
	}
	wall := time.Now()
	date := append(wall.UTC().AppendFormat([]byte("Date: "), http.TimeFormat), "\r\n"...)
	p := &stamp{date, append(makeStatusLine(nil, http.StatusOK), date...)}
	s.stamp.Store(p)
	time.AfterFunc(time.Second-time.Duration(wall.Nanosecond()), func() { s.stamp.Store(nil) })
	return p
}

// appendStart writes the status line and the Date field.
func (s *Server) appendStart(b []byte, status int) []byte {
	if status == http.StatusOK {
		return append(b, s.now().ok...)
	}
	return append(appendStatusLine(b, status), s.now().date...)
}
