package pcapng

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"ustack/stack/link"
)

// tap writes a packet without a comment.
func tap(w *Writer, dir link.Direction, at time.Time, o link.Offload, pieces [][]byte) {
	w.Write(&Packet{Direction: dir, Time: at, Offload: o, Pieces: pieces})
}

// memoryFile is a file that knows whether it was closed.
type memoryFile struct {
	bytes.Buffer
	closed bool
}

func (m *memoryFile) Close() error { m.closed = true; return nil }

// TestFiles: every file is a capture of its own that ends at the first packet beyond the limit, and no packet is missing.
func TestFiles(t *testing.T) {
	const limit, count = 10_000, 60
	var files []*memoryFile
	next := func() (io.WriteCloser, error) {
		for _, f := range files {
			if !f.closed {
				t.Error("a file is still open when the next begins")
			}
		}
		files = append(files, new(memoryFile))
		return files[len(files)-1], nil
	}
	f, err := NewFiles(next, limit, Options{Interface: "x", Names: []Name{{netip.MustParseAddr("10.90.0.2"), "ustack"}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if err := f.Write(&Packet{Time: time.Unix(int64(i), 0), Pieces: [][]byte{make([]byte, 1000)}, Refused: i%2 == 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 || len(files) > 7 {
		t.Errorf("%d files", len(files))
	}
	n := 0
	for i, file := range files {
		if size := file.Len(); size > limit+1100 || size < limit && i < len(files)-1 || !file.closed {
			t.Errorf("file %d has %d octets; closed: %v", i, size, file.closed)
		}
		if !bytes.Contains(file.Bytes(), []byte("ustack\x00")) {
			t.Errorf("file %d has no names", i)
		}
		for _, p := range readAll(t, file) {
			if !p.at.Equal(time.Unix(int64(n), 0)) || p.refused != (n%2 == 1) {
				t.Errorf("packet %d: %+v", n, p)
			}
			n++
		}
	}
	if n != count {
		t.Errorf("%d packets of %d", n, count)
	}
}

// TestFilesEnd: when there is no further file, Write and Close say why, and what was written before is whole.
func TestFilesEnd(t *testing.T) {
	full := errors.New("no more files")
	first := new(memoryFile)
	next := func() (io.WriteCloser, error) {
		if first.Len() > 0 {
			return nil, full
		}
		return first, nil
	}
	f, err := NewFiles(next, 1000, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		want := error(nil)
		if i > 0 {
			want = full
		}
		if err := f.Write(&Packet{Pieces: [][]byte{make([]byte, 1500)}}); err != want {
			t.Errorf("packet %d: %v", i, err)
		}
	}
	if err := f.Close(); err != full {
		t.Errorf("Close: %v", err)
	}
	if list := readAll(t, first); len(list) != 1 || !first.closed {
		t.Errorf("%d packets, closed: %v", len(list), first.closed)
	}
	if _, err := NewFiles(func() (io.WriteCloser, error) { return nil, full }, 0, Options{}); err != full {
		t.Errorf("NewFiles: %v", err)
	}
	bad := new(memoryFile)
	if _, err := NewFiles(func() (io.WriteCloser, error) { return bad, nil }, 0, Options{SnapLen: -1}); err == nil || !bad.closed {
		t.Errorf("NewFiles: %v, closed: %v", err, bad.closed)
	}
}
