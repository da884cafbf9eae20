package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"ustack/httpserver"
	"ustack/ippkt"
	"ustack/stack"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// Memory and growth are measured on the in-memory link, in a process of its own for each size: the
// stack and its HTTP server at one end, a peer at the other. The kernel could not make that many.

// Figures of the part.
const (
	idleBytes     = "RSS per idle keep-alive connection at 100 k, B"
	freshBytes    = "RSS per connection at 100 k that has not asked yet, B"
	millionIdle   = "RSS with 1 M idle connections, MiB"
	millionPeak   = "peak RSS while each of 1 M answers one request, MiB"
	timeWaitBytes = "heap per TIME-WAIT record at 100 k, index included, B"
	halfOpenBytes = "heap per SYN-RECEIVED record at 100 k, index included, B"
	cost100k      = "cost per request, 100 k connections, × that of 10"
	cost1M        = "cost per request, 1 M connections, × that of 10"
)

const growPort = 80

// growth is a stack with a server on port 80 and the peer.
type growth struct {
	stack *stack.Stack
	near  *link.Memory // the server's end
	peer  *peer
}

var growKinds = map[string]func(*growth, *meter) error{
	"requests": growRequests, "segments": growSegments, "timewait": growTimeWait, "halfopen": growHalfOpen,
}

// grow runs one measurement and prints its figures: `bench grow -kind K -n N`.
func grow(args []string) error {
	flags := flag.NewFlagSet("grow", flag.ContinueOnError)
	kind := flags.String("kind", "requests", "requests, segments, timewait or halfopen")
	n := flags.Int("n", 100_000, "connections")
	profile := flags.String("cpuprofile", "", "write a CPU profile of the repeated part")
	if err := flags.Parse(args); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1) // as `ustack serve` does with one queue
	run := growKinds[*kind]
	if run == nil || *n < 1 {
		return fmt.Errorf("grow: unknown kind %q, or no connections", *kind)
	}
	m := &meter{figures: map[string]float64{}, conns: *n, profile: *profile}
	g, err := newGrowth(*n, *kind == "segments")
	if err != nil {
		return err
	}
	defer g.stack.Close()
	if err := run(g, m); err != nil {
		return fmt.Errorf("%w; the server's counters: %+v", err, g.stack.Stats())
	}
	return json.NewEncoder(os.Stdout).Encode(m.figures)
}

func newGrowth(n int, discard bool) (*growth, error) {
	near, far := link.Pair(link.PairConfig{GSO: true, QueueLen: 4096})
	s, err := stack.New(stack.Config{Links: []link.Link{near}, Addrs: []netip.Prefix{netip.MustParsePrefix(serverAddr + "/8")}})
	if err != nil {
		return nil, err
	}
	ln, err := (&stack.ListenConfig{Stack: s, Backlog: 1 << 20}).Listen(context.Background(), "tcp", serverAddr+":"+strconv.Itoa(growPort))
	if err != nil {
		return nil, err
	}
	if discard {
		ln.OnAccept(discardAll)
	} else {
		srv := &httpserver.Server{Handler: http.HandlerFunc(growHello), IdleTimeout: time.Hour}
		go srv.Serve(ln)
	}
	p, err := newPeer(far.Queues()[0], ippkt.FromNetip(netip.MustParseAddr(serverAddr)), growPort, n)
	return &growth{s, near, p}, err
}

func growHello(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"] = plainText
	h["Content-Length"] = helloLength
	w.Write(helloBody)
}

// discardAll reads a connection without a goroutine.
func discardAll(nc net.Conn) {
	c := nc.(*stack.Conn)
	c.OnReadable(func() {
		for {
			a, b, err := c.Peek()
			if err != nil {
				c.Close()
				return
			}
			if len(a)+len(b) == 0 {
				return
			}
			c.Discard(len(a) + len(b))
		}
	})
}

// meter takes figures.
type meter struct {
	figures map[string]float64
	conns   int
	rss     float64 // baseline, octets
	heap    float64
	profile string
}

// zero takes the baseline.
func (m *meter) zero() { m.rss, m.heap = resident(), liveHeap() }

// perConn keeps the growth since zero, per connection, in octets.
func (m *meter) perConn(name string) {
	heap := liveHeap()
	m.figures[name+"-heap"] = (heap - m.heap) / float64(m.conns)
	m.figures[name+"-rss"] = (resident() - m.rss) / float64(m.conns)
	m.figures[name+"-rss-total"] = resident()
}

func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // the second one frees what pools and finalizers had held
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}

// resident returns what the process holds in memory, in octets.
func resident() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize())
}

// peak returns the most that the process has ever held, in octets.
func peak() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kb, _ := strconv.ParseFloat(strings.TrimSpace(between(b, "VmHWM:", "kB")), 64)
	return kb * 1024
}

var (
	growRequest = []byte("GET /_/hello HTTP/1.1\r\nHost: " + serverAddr + "\r\n\r\n")
	growClosing = []byte("GET /_/hello HTTP/1.1\r\nHost: " + serverAddr + "\r\nConnection: close\r\n\r\n")
)

const (
	costSlices = 15
	costSlice  = 10_000 // requests or segments
	costBatch  = 10     // under way at a time, at every size the same
)

// growRequests opens the connections, lets each ask once, and then some at random many times.
func growRequests(g *growth, m *meter) error {
	m.zero()
	start := time.Now()
	if err := g.peer.open(true); err != nil {
		return err
	}
	m.figures["open-ns"] = float64(time.Since(start).Nanoseconds()) / float64(m.conns)
	if err := g.held(m.conns); err != nil {
		return err
	}
	m.perConn("fresh")
	if err := g.peer.request(growRequest); err != nil {
		return err
	}
	m.figures["peak-rss-total"] = peak()
	if err := g.held(m.conns); err != nil {
		return err
	}
	m.perConn("idle")
	return g.repeat(m, func(list []int) error { return g.peer.ask(growRequest, list) })
}

// held expects that many connections to be there.
func (g *growth) held(n int) error {
	for range 100 {
		if s := g.stack.Stats(); s.Conns == n {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s := g.stack.Stats()
	return fmt.Errorf("%d connections, %d half open, %d in TIME-WAIT: want %d connections", s.Conns, s.HalfOpen, s.TimeWait, n)
}

// repeat measures what one act costs, server and peer together, as the median of slices.
func (g *growth) repeat(m *meter, act func(list []int) error) error {
	stop, err := startProfile(m.profile)
	if err != nil {
		return err
	}
	defer stop()
	random := rand.New(rand.NewPCG(1, uint64(m.conns)))
	list := make([]int, costBatch)
	var costs []float64
	for range costSlices {
		start := time.Now()
		for range costSlice / costBatch {
			draw(random, list, m.conns)
			if err := act(list); err != nil {
				return err
			}
		}
		costs = append(costs, float64(time.Since(start).Nanoseconds())/costSlice)
	}
	m.figures["cost-ns"] = median(costs)
	return nil
}

// draw fills list with connections, none twice: at random, or all of them if there are just enough.
func draw(random *rand.Rand, list []int, conns int) {
	if conns <= len(list) {
		for i := range list {
			list[i] = i % conns
		}
		return
	}
	step := 1 + random.IntN(conns/len(list))
	first := random.IntN(conns)
	for i := range list {
		list[i] = (first + i*step) % conns
	}
}

// growSegments sends small segments that nobody answers but with ACKs.
func growSegments(g *growth, m *meter) error {
	if err := g.peer.open(true); err != nil {
		return err
	}
	if err := g.held(m.conns); err != nil {
		return err
	}
	payload := make([]byte, 100)
	return g.repeat(m, func(list []int) error {
		for _, i := range list {
			if err := g.peer.send(i, tcpseg.ACK, payload); err != nil {
				return err
			}
		}
		return g.swallowed()
	})
}

// swallowed waits until the server has read what was sent.
func (g *growth) swallowed() error {
	for n := 0; g.near.Stats().RxPackets < g.peer.sent; n++ {
		if n > 1_000_000 {
			return errPatience
		}
		runtime.Gosched()
		if err := g.peer.drain(); err != nil {
			return err
		}
	}
	return nil
}

// growTimeWait has the server close all connections.
func growTimeWait(g *growth, m *meter) error {
	m.zero()
	if err := g.peer.batches(g.peer.live); err != nil {
		return err
	}
	for range 100 {
		if s := g.stack.Stats(); s.TimeWait == m.conns && s.Conns == 0 {
			m.perConn("record")
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("not all connections are in TIME-WAIT")
}

// growHalfOpen leaves all handshakes unfinished.
func growHalfOpen(g *growth, m *meter) error {
	m.zero()
	if err := g.peer.open(false); err != nil {
		return err
	}
	if s := g.stack.Stats(); s.HalfOpen != m.conns {
		return fmt.Errorf("%d half-open connections, want %d", s.HalfOpen, m.conns)
	}
	m.perConn("record")
	return nil
}

// runGrowth runs the measurements, each in a process of its own, and keeps what they say.
func runGrowth(ctx context.Context, c *config, t *tools, res *result, p *progress) error {
	repeats := pick(c.quick, 1, 3)
	sizes := []int{10, 1_000, 100_000, 1_000_000}
	p.plan(2*repeats*len(sizes) + 2)
	costs := map[string]map[int][]float64{"requests": {}, "segments": {}}
	for range repeats {
		for _, n := range sizes {
			for _, kind := range []string{"requests", "segments"} {
				p.step("growth: %s over %d connections", kind, n)
				f, err := growOnce(ctx, t, kind, n)
				if err != nil {
					res.Faults = append(res.Faults, err.Error())
					continue
				}
				costs[kind][n] = append(costs[kind][n], f["cost-ns"])
				res.memory(kind, n, f)
			}
		}
	}
	for _, kind := range []string{"requests", "segments"} {
		one := strings.TrimSuffix(kind, "s")
		for _, n := range sizes {
			if len(costs[kind][n]) > 0 {
				res.grew(fmt.Sprintf("cost per %s, %s connections, ns", one, people(n)), median(costs[kind][n]))
			}
		}
		for _, n := range sizes[1:] {
			if base := median(costs[kind][10]); base > 0 && len(costs[kind][n]) > 0 {
				res.grew(fmt.Sprintf("cost per %s, %s connections, × that of 10", one, people(n)), median(costs[kind][n])/base)
			}
		}
	}
	for kind, name := range map[string]string{"timewait": timeWaitBytes, "halfopen": halfOpenBytes} {
		p.step("growth: %s", kind)
		f, err := growOnce(ctx, t, kind, 100_000)
		if err != nil {
			res.Faults = append(res.Faults, err.Error())
			continue
		}
		res.grew(name, f["record-heap"])
	}
	return nil
}

// memory keeps what a run over requests says about memory.
func (res *result) memory(kind string, n int, f map[string]float64) {
	switch {
	case kind == "requests" && n == 100_000:
		res.grew(idleBytes, f["idle-rss"])
		res.grew(freshBytes, f["fresh-rss"])
	case kind == "requests" && n == 1_000_000:
		res.grew(millionIdle, f["idle-rss-total"]/(1<<20))
		res.grew(millionPeak, f["peak-rss-total"]/(1<<20))
	}
}

func people(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%d k", n/1000)
	}
	return strconv.Itoa(n)
}

func growOnce(ctx context.Context, t *tools, kind string, n int) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.self, "grow", "-kind", kind, "-n", strconv.Itoa(n))
	out, err := cmd.Output()
	if err != nil {
		text := ""
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			text = tail(string(exit.Stderr), 1000)
		}
		return nil, fmt.Errorf("growth, %s over %d connections: %w: %s", kind, n, err, text)
	}
	f := map[string]float64{}
	return f, json.Unmarshal(out, &f)
}
