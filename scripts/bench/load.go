package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The open-loop client: each request has a time at which it is due, whatever became of those before
// it, and its latency counts from then. A client that waits for answers before it asks again, as wrk
// does, leaves out the requests that a slow moment would have hit.

// loadConn is one connection. Requests that are due while one is under way wait in line.
type loadConn struct {
	fd      int
	sent    []time.Duration // when they were due: requests under way or in line, oldest first
	flying  bool
	partial []byte
}

type loader struct {
	epoll   int
	target  unix.SockaddrInet4
	conns   []loadConn
	byFD    map[int32]int
	request []byte
	buf     []byte
	start   time.Time
	samples []time.Duration
	sent    int
}

// load runs the client: `bench load -rate R -conns N -for D`.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	rate := flags.Float64("rate", 10_000, "requests a second, over all connections")
	conns := flags.Int("conns", 16, "connections")
	length := flags.Duration("for", 2*time.Second, "how long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rate <= 0 || *conns <= 0 || *length <= 0 {
		return fmt.Errorf("rate, connections and time must be positive")
	}
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // else the kernel rounds our waits to 50 µs
	l := newLoader(unix.SockaddrInet4{Port: 80, Addr: [4]byte{10, 90, 0, 2}})
	if err := l.connect(*conns); err != nil {
		return err
	}
	if err := l.run(*rate, *length); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l.report(*rate))
}

func newLoader(target unix.SockaddrInet4) *loader {
	return &loader{target: target, buf: make([]byte, 64<<10), byFD: map[int32]int{},
		request: []byte("GET /_/hello HTTP/1.1\r\nHost: " + serverAddr + "\r\n\r\n")}
}

func (l *loader) connect(n int) (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	l.conns = make([]loadConn, n)
	for i := range l.conns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &l.target); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetNonblock(fd, true)
		l.conns[i].fd = fd
		l.byFD[int32(fd)] = i
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	return nil
}

// grace is how long late answers are waited for at the end.
const grace = time.Second

// run keeps to the schedule: request k is due at k / rate on connection k mod n.
func (l *loader) run(rate float64, length time.Duration) error {
	gap := float64(time.Second) / rate
	total := int(rate * length.Seconds())
	l.samples = make([]time.Duration, 0, total)
	l.start = time.Now()
	events := make([]unix.EpollEvent, 256)
	for k := 0; k < total || l.open(); {
		now := time.Since(l.start)
		if now > length+grace {
			break
		}
		for ; k < total && time.Duration(float64(k)*gap) <= now; k++ {
			if err := l.ask(k%len(l.conns), time.Duration(float64(k)*gap)); err != nil {
				return err
			}
		}
		next := length + grace
		if k < total {
			next = time.Duration(float64(k) * gap)
		}
		n, err := epollWait(l.epoll, events, next-time.Since(l.start))
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := l.answer(l.byFD[e.Fd]); err != nil {
				return err
			}
		}
	}
	return nil
}

// open reports whether an answer is outstanding.
func (l *loader) open() bool { return len(l.samples) < l.sent }

func (l *loader) ask(i int, due time.Duration) error {
	c := &l.conns[i]
	c.sent = append(c.sent, due)
	l.sent++
	if c.flying {
		return nil
	}
	return l.send(c)
}

func (l *loader) send(c *loadConn) error {
	c.flying = true
	if _, err := unix.Write(c.fd, l.request); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// answer reads what has come. The one answer under way is whole when it ends with the body.
func (l *loader) answer(i int) error {
	c := &l.conns[i]
	n, err := unix.Read(c.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return fmt.Errorf("the server closed a connection")
	}
	whole := l.buf[:n]
	if len(c.partial) > 0 {
		c.partial = append(c.partial, whole...)
		whole = c.partial
	}
	if !c.flying || !bytes.HasSuffix(whole, helloBody) {
		c.partial = append(c.partial[:0], whole...)
		return nil
	}
	if !bytes.HasPrefix(whole, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the server said %q", whole)
	}
	c.partial = c.partial[:0]
	l.samples = append(l.samples, time.Since(l.start)-c.sent[0])
	c.sent = append(c.sent[:0], c.sent[1:]...)
	c.flying = false
	if len(c.sent) > 0 {
		return l.send(c)
	}
	return nil
}

// epollWait is epoll_pwait2(2), which counts in nanoseconds.
func epollWait(epoll int, events []unix.EpollEvent, d time.Duration) (int, error) {
	ts := unix.NsecToTimespec(max(0, d.Nanoseconds()))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("epoll_pwait2: %w", errno)
	}
	return int(n), nil
}

func (l *loader) report(rate float64) latencies {
	slices.Sort(l.samples)
	at := func(q float64) float64 { return micros(quantile(l.samples, q)) }
	return latencies{Sent: l.sent, Answered: len(l.samples), Rate: rate, P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// quantile returns the smallest of the sorted values that at least the share q does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
