package main

import (
	"io"
	"os"
	"sync"
	"time"

	"ustack/httpserver"
)

const (
	// logInterval is how long a line of the access log may wait in memory.
	logInterval = 200 * time.Millisecond
	// logBuffer is how many octets of lines may wait; then the next line writes them.
	logBuffer = 64 << 10
)

// accessLog writes a line per answer in Common Log Format. Lines are gathered: a request costs no
// system call.
type accessLog struct {
	mu    sync.Mutex
	w     io.Writer
	buf   []byte
	timer *time.Timer
	err   error // of a write; what follows is dropped
}

func newAccessLog(w io.Writer) *accessLog {
	l := &accessLog{w: w}
	l.timer = time.AfterFunc(logInterval, l.flush)
	l.timer.Stop()
	return l
}

// add is an httpserver.Server's AccessLog.
func (l *accessLog) add(e *httpserver.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) == 0 {
		l.timer.Reset(logInterval)
	}
	l.buf = append(e.AppendCommon(l.buf), '\n')
	if len(l.buf) >= logBuffer {
		l.write()
	}
}

func (l *accessLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

func (l *accessLog) write() {
	if len(l.buf) > 0 && l.err == nil {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
}

// close writes what is left and returns what went wrong since the start.
func (l *accessLog) close() error {
	l.timer.Stop()
	l.flush()
	err := l.err
	if f, ok := l.w.(*os.File); ok && f != os.Stdout {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}

// openAccessLog opens the log of p: nil if there is none.
func openAccessLog(p *plan, c *console) (*accessLog, error) {
	switch p.accessLog {
	case "":
		return nil, nil
	case "-":
		return newAccessLog(&lockedWriter{c, c.out}), nil
	}
	f, err := os.OpenFile(p.accessLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := p.user.Chown(f); err != nil {
		f.Close()
		return nil, err
	}
	return newAccessLog(f), nil
}
