package files

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"syscall"
	"time"
)

// smallFile is the size, in octets, up to which a file is read as a whole and may stay in memory.
const smallFile = 64 << 10

// body is the octets of a representation: in memory, or an open file.
type body struct {
	id       ident
	modified time.Time
	size     int64
	data     []byte   // never changes
	file     *os.File // nil: data
}

func (b *body) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// load opens a regular file, or finds it in memory. info is what Stat has told about it.
func (h *Handler) load(name string, info os.FileInfo) (*body, error) {
	if info.Size() <= smallFile {
		if b := h.cache.get(name, identOf(info)); b != nil {
			return b, nil
		}
	}
	// Without waiting: what has become a pipe since must not hold the request up.
	f, err := h.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	b, err := newBody(f)
	if err != nil || b.size > smallFile {
		if err != nil {
			f.Close()
		}
		return b, err
	}
	defer f.Close()
	return h.readSmall(name, b)
}

// newBody describes the open file, which may be another than the one that Stat saw.
func newBody(f *os.File) (*body, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return &body{id: identOf(info), modified: info.ModTime(), size: info.Size(), file: f}, nil
}

// readSmall reads a small file into memory, and keeps it if nobody changed it meanwhile or may have done
// so unseen.
func (h *Handler) readSmall(name string, b *body) (*body, error) {
	data := make([]byte, b.size)
	n, err := io.ReadFull(b.file, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	after, err := b.file.Stat()
	if err != nil {
		return nil, err
	}
	whole := &body{id: b.id, modified: b.modified, size: int64(n), data: data[:n:n]}
	switch {
	case identOf(after) != b.id:
		whole.id.torn = true
	case whole.id.settled(h.now()):
		h.cache.put(name, whole)
	}
	return whole, nil
}

// sharedWriter is a ResponseWriter that sends immutable octets by reference, without copying.
type sharedWriter interface {
	WriteShared(p []byte) (int, error)
}

// send writes the octets of s. A file that has become shorter meanwhile ends early, with an error; the server then
// closes the connection, because less than Content-Length was written.
func (b *body) send(w http.ResponseWriter, s span) error {
	if b.file != nil {
		if _, err := b.file.Seek(s.from, io.SeekStart); err != nil {
			return err
		}
		_, err := io.CopyN(w, b.file, s.len()) // sendfile, where the connection can
		return err
	}
	p := b.data[s.from:s.to]
	if sw, ok := w.(sharedWriter); ok {
		_, err := sw.WriteShared(p)
		return err
	}
	_, err := w.Write(p)
	return err
}
