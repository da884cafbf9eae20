package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// readerFunc and writerFunc are a reader and a writer of one method.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Sources of every kind, and what is left of the connection after each.
func TestReadFrom(t *testing.T) {
	broken := errors.New("broken source")
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		text := strings.Repeat("all the octets ", 10_000)
		var want strings.Builder
		pull := func(name string, r io.Reader, n int64, wantErr error) {
			t.Helper()
			if got, err := a.ReadFrom(r); got != n || !errors.Is(err, wantErr) {
				t.Errorf("%s: %d, %v; want %d, %v", name, got, err, n, wantErr)
			}
		}
		var got bytes.Buffer
		done := make(chan error, 1)
		go func() { _, err := b.WriteTo(&got); done <- err }()
		for name, r := range map[string]io.Reader{
			"plain":          strings.NewReader(text),
			"half":           iotest.HalfReader(strings.NewReader(text)),
			"octet by octet": iotest.OneByteReader(strings.NewReader(text[:100])),
			"data with EOF":  iotest.DataErrReader(strings.NewReader(text)),
			"empty":          strings.NewReader(""),
		} {
			n := len(text)
			if strings.HasPrefix(name, "octet") {
				n = 100
			} else if name == "empty" {
				n = 0
			}
			pull(name, r, int64(n), nil)
			want.WriteString(text[:n])
		}
		pull("error", io.MultiReader(strings.NewReader("before"), iotest.ErrReader(broken)), 6, broken)
		want.WriteString("before")
		pull("nothing for ever", readerFunc(func([]byte) (int, error) { return 0, nil }), 0, io.ErrNoProgress)
		pull("too much", readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }), 0, errBadRead)
		pull("less than nothing", readerFunc(func(p []byte) (int, error) { return -1, nil }), 0, errBadRead)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of a source was swallowed")
				}
			}()
			a.ReadFrom(readerFunc(func(p []byte) (int, error) { panic("bad source") }))
		}()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			a.ReadFrom(readerFunc(func(p []byte) (int, error) { runtime.Goexit(); return 0, nil }))
		}()
		<-gone
		a.Write([]byte("end"))
		want.WriteString("end")
		a.Close()
		if err := <-done; err != nil || got.String() != want.String() {
			t.Errorf("%d octets arrived, want %d; %v", got.Len(), want.Len(), err)
		}
		b.Close()
	})
}

// A source that is slow, or returns after the connection has ended, harms nothing.
func TestReadFromDuringClose(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		for name, end := range map[string]func(a, b *Conn){
			"Close":      func(a, b *Conn) { a.Close() },
			"Abort":      func(a, b *Conn) { a.Abort() },
			"peer's RST": func(a, b *Conn) { b.Abort() },
		} {
			a, b := h.pair(t)
			enter, leave := make(chan []byte), make(chan struct{})
			res := make(chan error, 1)
			go func() {
				_, err := a.ReadFrom(readerFunc(func(p []byte) (int, error) {
					enter <- p
					<-leave
					return len(p), nil
				}))
				res <- err
			}()
			p := <-enter
			// Data flows both ways while the source is thinking.
			b.Write([]byte("meanwhile"))
			if n, err := a.Read(make([]byte, 100)); n != 9 || err != nil {
				t.Errorf("%s: Read: %d, %v", name, n, err)
			}
			end(a, b)
			synctest.Wait()
			for i := range p { // nobody else has this memory
				p[i] = 0xee
			}
			close(leave)
			if err := <-res; err == nil {
				t.Errorf("%s: ReadFrom has no error", name)
			}
			a.Close()
			b.Close()
		}
		time.Sleep(2 * time.Minute)
		for _, s := range []*Stack{h.a, h.b} {
			if n := s.Stats().MemoryUsed; n != 0 {
				t.Errorf("%d octets of queues are still lent", n)
			}
		}
	})
}

func TestWriteTo(t *testing.T) {
	broken := errors.New("broken sink")
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("0123456789"))
		synctest.Wait()
		push := func(name string, f writerFunc, n int64, wantErr error) {
			t.Helper()
			if got, err := b.WriteTo(f); got != n || !errors.Is(err, wantErr) {
				t.Errorf("%s: %d, %v; want %d, %v", name, got, err, n, wantErr)
			}
		}
		push("error", func(p []byte) (int, error) { return 2, broken }, 2, broken)
		push("short", func(p []byte) (int, error) { return 3, nil }, 3, io.ErrShortWrite)
		push("too much", func(p []byte) (int, error) { return len(p) + 1, nil }, 0, errBadWrite)
		got := make([]byte, 10)
		if n, err := b.Read(got); string(got[:n]) != "56789" || err != nil {
			t.Errorf("what is left is %q, %v", got[:n], err)
		}
		// The view stays while the sink looks at it, whatever becomes of the connection.
		a.Write([]byte("look"))
		synctest.Wait()
		push("closed meanwhile", func(p []byte) (int, error) {
			b.Close()
			a.Close()
			time.Sleep(5 * time.Minute)
			if string(p) != "look" {
				t.Errorf("the view has become %q", p)
			}
			return len(p), nil
		}, 4, net.ErrClosed)
		synctest.Wait()
		for _, s := range []*Stack{h.a, h.b} {
			if n := s.Stats().MemoryUsed; n != 0 {
				t.Errorf("%d octets of queues are still lent", n)
			}
		}
	})
}

// Writes at the same time do not mix, with or without copying.
func TestWritesDoNotMix(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		const size, each, writers = 300_000, 5, 4
		var wg sync.WaitGroup
		for i := range writers {
			msg := bytes.Repeat([]byte{byte('a' + i)}, size)
			wg.Go(func() {
				for k := range each {
					var err error
					switch k % 3 {
					case 0:
						_, err = a.Write(msg)
					case 1:
						_, err = a.WriteShared(msg)
					default:
						_, err = a.ReadFrom(bytes.NewReader(msg))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { wg.Wait(); a.Close() }()
		msg := make([]byte, size)
		for range each * writers {
			if _, err := io.ReadFull(b, msg); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(msg, msg[:1]); n != size {
				t.Fatalf("a message of %q has %d others in it", msg[0], size-n)
			}
		}
		readEOF(t, b)
		b.Close()
	})
}
