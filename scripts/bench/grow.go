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
	"syscall"
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
		srv := &httpserver.Server{Handler: http.HandlerFunc(growHello), IdleTimeout: time.Hour, ReuseRequests: true}
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
	costSlices = 45
	costSlice  = 10_000 // requests or segments
	costBatch  = 10     // under way at a time, at every size the same
)

// growRequests opens the connections, lets each ask once, and then some at random many times.
func growRequests(g *growth, m *meter) error {
	m.zero()
	start := processorTime()
	if err := g.peer.open(0, m.conns, true); err != nil {
		return err
	}
	m.figures["open-ns"] = float64((processorTime() - start).Nanoseconds()) / float64(m.conns)
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

// processorTime is what the process has used so far. With one P at work it is the time that passes,
// less what others on the machine take.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
		start := processorTime()
		for range costSlice / costBatch {
			draw(random, list, m.conns)
			if err := act(list); err != nil {
				return err
			}
		}
		costs = append(costs, float64((processorTime()-start).Nanoseconds())/costSlice)
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
	if err := g.peer.open(0, m.conns, true); err != nil {
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

// warm is how many connections come before the baseline, so that buffers and pools do not count as records.
func (m *meter) warm() int { return min(1000, m.conns/10) }

// growTimeWait has the server close all connections.
func growTimeWait(g *growth, m *meter) error {
	if err := g.peer.batches(0, m.warm(), g.peer.live); err != nil {
		return err
	}
	m.zero()
	if err := g.peer.batches(m.warm(), m.conns, g.peer.live); err != nil {
		return err
	}
	for range 100 {
		if s := g.stack.Stats(); s.TimeWait == m.conns && s.Conns == 0 {
			m.perRecord()
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("not all connections are in TIME-WAIT")
}

// growHalfOpen leaves all handshakes unfinished.
func growHalfOpen(g *growth, m *meter) error {
	if err := g.peer.open(0, m.warm(), false); err != nil {
		return err
	}
	m.zero()
	if err := g.peer.open(m.warm(), m.conns, false); err != nil {
		return err
	}
	if s := g.stack.Stats(); s.HalfOpen != m.conns {
		return fmt.Errorf("%d half-open connections, want %d", s.HalfOpen, m.conns)
	}
	m.perRecord()
	return nil
}

// perRecord keeps the growth since zero for each connection that came after warm others, in octets.
func (m *meter) perRecord() {
	m.figures["record-heap"] = (liveHeap() - m.heap) / float64(m.conns-m.warm())
}

// growthRun is one measurement to make.
type growthRun struct {
	kind string
	n    int
}

// growthPlan lists the measurements: small sizes several times, as the machine's mood changes, a
// million once.
func growthPlan(quick bool) []growthRun {
	var plan []growthRun
	for i := range 3 {
		for _, n := range growthSizes {
			if n < 1_000_000 || i == 0 {
				plan = append(plan, growthRun{"requests", n})
				if !quick {
					plan = append(plan, growthRun{"segments", n})
				}
			}
		}
	}
	return append(plan, growthRun{"timewait", 100_000}, growthRun{"halfopen", 100_000})
}

var growthSizes = []int{10, 1_000, 100_000, 1_000_000}

// runGrowth runs the measurements, each in a process of its own, and keeps what they say.
func runGrowth(ctx context.Context, c *config, t *tools, res *result, p *progress) error {
	plan := growthPlan(c.quick)
	p.plan(len(plan))
	costs := map[growthRun][]float64{}
	for _, g := range plan {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.step("growth: %s, %s connections", g.kind, people(g.n))
		f, err := growOnce(ctx, t, g.kind, g.n)
		if err != nil {
			res.Faults = append(res.Faults, err.Error())
			continue
		}
		costs[g] = append(costs[g], f["cost-ns"])
		res.memory(g, f)
	}
	for _, kind := range []string{"requests", "segments"} {
		res.growthCosts(kind, costs)
	}
	return nil
}

// growthCosts keeps the medians of the costs, and what they are compared with ten connections.
func (res *result) growthCosts(kind string, costs map[growthRun][]float64) {
	one := strings.TrimSuffix(kind, "s")
	base := median(costs[growthRun{kind, growthSizes[0]}])
	for _, n := range growthSizes {
		list := costs[growthRun{kind, n}]
		if len(list) == 0 {
			continue
		}
		res.grew(fmt.Sprintf("cost per %s, %s connections, ns", one, people(n)), median(list))
		if n != growthSizes[0] && base > 0 {
			res.grew(fmt.Sprintf("cost per %s, %s connections, × that of 10", one, people(n)), median(list)/base)
		}
	}
}

// memory keeps what a run says about memory.
func (res *result) memory(g growthRun, f map[string]float64) {
	switch g {
	case growthRun{"requests", 100_000}:
		res.grew(idleBytes, f["idle-rss"])
		res.grew(freshBytes, f["fresh-rss"])
	case growthRun{"requests", 1_000_000}:
		res.grew(millionIdle, f["fresh-rss-total"]/(1<<20))
		res.grew(millionPeak, f["peak-rss-total"]/(1<<20))
	case growthRun{"timewait", 100_000}:
		res.grew(timeWaitBytes, f["record-heap"])
	case growthRun{"halfopen", 100_000}:
		res.grew(halfOpenBytes, f["record-heap"])
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

// growLimit is how long a measurement may take on a machine that has little time for it.
const growLimit = 8 * time.Minute

func growOnce(ctx context.Context, t *tools, kind string, n int) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, growLimit)
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
