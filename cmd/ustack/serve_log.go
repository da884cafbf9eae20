package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ustack/httpserver"
)

const (
	// logInterval is how long a line of the access log may wait in memory.
	logInterval = 200 * time.Millisecond
	// logBuffer is how many octets of lines may wait; then the next line writes them.
	logBuffer = 64 << 10
)

// logFormats are what --access-log-format knows.
var logFormats = map[string]func(e *httpserver.Entry, line []byte) []byte{
	"common":   (*httpserver.Entry).AppendCommon,
	"combined": (*httpserver.Entry).AppendCombined,
	"json":     (*httpserver.Entry).AppendJSON,
}

func logFormatNames() string { return strings.Join(slices.Sorted(maps.Keys(logFormats)), "|") }

// setAccessLog reads --access-log and --access-log-format.
func (p *plan) setAccessLog(f *serveFlags) error {
	p.accessLog = f.accessLog
	name := f.accessLogFormat
	switch {
	case name == "":
		name = "common"
	case p.accessLog == "":
		return errors.New("--access-log-format: say where the log goes with --access-log FILE|-")
	}
	if p.logFormat = logFormats[name]; p.logFormat == nil {
		return fmt.Errorf("--access-log-format %q: want one of %s", name, logFormatNames())
	}
	return nil
}

// accessLog writes a line per answer. Lines are gathered: a request costs no system call.
type accessLog struct {
	format func(*httpserver.Entry, []byte) []byte

	mu    sync.Mutex
	w     io.Writer
	buf   []byte
	timer *time.Timer
	err   error // of a write; what follows is dropped
}

func newAccessLog(w io.Writer, format func(*httpserver.Entry, []byte) []byte) *accessLog {
	l := &accessLog{w: w, format: format}
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
	l.buf = append(l.format(e, l.buf), '\n')
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
		return newAccessLog(&lockedWriter{c, c.out}, p.logFormat), nil
	}
	f, err := openLogFile(p.accessLog)
	if err != nil {
		return nil, err
	}
	if err := p.user.Chown(f); err != nil {
		f.Close()
		return nil, err
	}
	return newAccessLog(f, p.logFormat), nil
}

func openLogFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
}

// reopen goes on in a new file at path: somebody has renamed the old one. If it cannot, it goes on in the old.
func (l *accessLog) reopen(path string) error {
	f, err := openLogFile(path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
	err = l.err
	if old, ok := l.w.(*os.File); ok {
		err = errors.Join(err, old.Close())
	}
	l.w, l.err = f, nil
	return err
}

// reopenOnSignal makes SIGUSR1 reopen the log of p, until stop is called. SIGHUP keeps its meaning: the terminal is gone.
func (l *accessLog) reopenOnSignal(p *plan, c *console) (stop func()) {
	if l == nil || p.accessLog == "-" {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			if err := l.reopen(p.accessLog); err != nil {
				c.note("access log: %v", err)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
