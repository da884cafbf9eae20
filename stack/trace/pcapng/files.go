package pcapng

import (
	"errors"
	"io"
	"sync"
	"time"

	"ustack/stack/link"
)

// Files is a capture that goes on in another file when one has grown to its limit. Each is a capture of its own, whole and
// with all that a reader has to know. Its methods may be called from any goroutine.
type Files struct {
	next    func() (io.WriteCloser, error)
	limit   int64
	options Options

	mu   sync.Mutex
	file io.WriteCloser
	w    *Writer
	err  error // why there is no more file
}

// NewFiles starts a capture in the first file that next makes. limit is in octets; 0: there is one file only.
func NewFiles(next func() (io.WriteCloser, error), limit int64, o Options) (*Files, error) {
	f := &Files{next: next, limit: limit, options: o}
	if err := f.start(); err != nil {
		return nil, err
	}
	return f, nil
}

// start begins a file.
func (f *Files) start() error {
	file, err := f.next()
	if err != nil {
		return err
	}
	w, err := NewWriter(file, f.options)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.w = file, w
	return nil
}

// finish ends a file.
func (f *Files) finish() error { return errors.Join(f.w.Close(), f.file.Close()) }

// Write adds a packet, as [Writer.Write] does: to a new file, if the present one is large enough.
func (f *Files) Write(p *Packet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if f.limit > 0 && f.w.Size() >= f.limit {
		if f.err = f.finish(); f.err == nil {
			f.err = f.start()
		}
		if f.err != nil {
			f.w = nil
			return f.err
		}
	}
	return f.w.Write(p)
}

// Tap writes a packet: it is a link.TapFunc. An error is kept for Close.
func (f *Files) Tap(dir link.Direction, at time.Time, o link.Offload, pieces [][]byte) {
	f.Write(&Packet{Direction: dir, Time: at, Offload: o, Pieces: pieces})
}

// Close writes what is left, closes the file and returns the first error of the capture.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.w == nil {
		return f.err
	}
	return f.finish()
}
