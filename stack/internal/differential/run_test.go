package differential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// run is one script at work on one host.
type run struct {
	lab    *lab
	s      *script
	v      variant
	engine string
	pause  time.Duration // the quiet between steps

	port  int
	flow  *flow
	ends  map[string]*end // X and Y
	lines []line
}

// variant says who does what.
type variant struct {
	acts  bool // the host under test is X
	opens bool // it calls
}

func (v variant) v6() bool { return v.acts == v.opens }

func (v variant) String() string {
	words := []string{"reacts", "acts"}
	calls := []string{"is called", "calls"}
	return words[bit(v.acts)] + ", " + calls[bit(v.opens)]
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// line is what is compared.
type line struct{ what, result string }

// end is one application.
type end struct {
	c           conn
	read, wrote int
	behind      sync.WaitGroup // calls in the background
	mu          sync.Mutex
	late        []string // their results
}

// ports are those of runs: each has one of its own, which no host takes for itself.
var ports atomic.Int32

// do runs the script and returns what came of it.
func (r *run) do() []line {
	r.port = 1000 + int(ports.Add(1))
	r.flow = r.lab.wire.watch(r.port)
	r.ends = map[string]*end{"X": {}, "Y": {}}
	err := r.open()
	r.say("open", class(err))
	if err == nil {
		for i, step := range strings.Split(r.s.steps, "; ") {
			r.flow.settle(r.pause)
			r.say(fmt.Sprintf("%d. %s", i+1, step), r.step(step))
		}
		r.flow.settle(r.pause)
	}
	r.leave(err == nil)
	return r.lines
}

func (r *run) say(what, result string) { r.lines = append(r.lines, line{what, result}) }

// leave notes what was sent and what is left, and ends everything.
func (r *run) leave(opened bool) {
	r.flow.mu.Lock()
	for _, who := range []string{"X", "Y"} {
		r.say(who+" sends", r.flow.ways[r.from(who)].describe(r.s))
	}
	r.flow.mu.Unlock()
	if opened {
		state, err := r.lab.far.state(r.v.v6(), r.port)
		if err != nil {
			state = err.Error()
		}
		r.say("the kernel's end", state)
		r.say("the other end", r.flow.probe())
	}
	r.flow.set(func() { r.flow.cut = true })
	for _, e := range r.ends {
		if e.c != nil {
			e.c.abort()
		}
		e.behind.Wait()
	}
}

// tested is the host under test, opener the one that calls and callee the other.
func (r *run) tested() host { return r.lab.hosts[r.engine] }

func (r *run) opener() (h host, name string, callee host, calleeName string) {
	if r.v.opens {
		return r.tested(), r.engine, r.lab.far, far
	}
	return r.lab.far, far, r.tested(), r.engine
}

// open makes the connection.
func (r *run) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	caller, callerName, callee, calleeName := r.opener()
	one, other := "X", "Y"
	if r.v.acts != r.v.opens {
		one, other = "Y", "X"
	}
	switch r.s.open {
	case "lose SYN":
		r.onWire([]string{"lose", one})
	case "lose SYN,ACK":
		r.onWire([]string{"lose", other})
	}
	c, d, err := conn(nil), conn(nil), error(nil)
	switch r.s.open {
	case "closed":
		_, err = caller.dial(ctx, r.v.v6(), 0, calleeName, r.port, r.s.o)
	case "cross":
		c, d, err = r.cross(ctx, caller, callee, callerName, calleeName)
	default:
		c, d, err = r.call(ctx, caller, callee, calleeName)
	}
	r.ends[one].c, r.ends[other].c = c, d
	return err
}

// call lets one host listen and the other dial.
func (r *run) call(ctx context.Context, caller, callee host, name string) (c, d conn, err error) {
	l, err := callee.listen(r.v.v6(), r.port, r.s.o)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	if c, err = caller.dial(ctx, r.v.v6(), 0, name, r.port, r.s.o); err == nil {
		d, err = l.accept()
	}
	return c, d, err
}

// cross lets both dial each other, and their SYNs pass each other on the wire.
func (r *run) cross(ctx context.Context, a, b host, aName, bName string) (c, d conn, err error) {
	r.flow.hold()
	var other error
	var both sync.WaitGroup
	both.Go(func() { c, err = a.dial(ctx, r.v.v6(), r.port, bName, r.port, r.s.o) })
	both.Go(func() { d, other = b.dial(ctx, r.v.v6(), r.port, aName, r.port, r.s.o) })
	for range 1000 {
		r.flow.mu.Lock()
		n := len(r.flow.held)
		r.flow.mu.Unlock()
		if n == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.flow.release(false)
	both.Wait()
	return c, d, errors.Join(err, other)
}

// step does one step and says what came of it.
func (r *run) step(text string) string {
	words := strings.Fields(text)
	if r.onWire(words) {
		return "ok"
	}
	e, n := r.ends[words[0]], 0
	if len(words) > 2 {
		n, _ = strconv.Atoi(words[2])
	}
	e.c.SetDeadline(time.Now().Add(stuck))
	if words[len(words)-1] != "&" {
		return r.perform(e, words[0], words[1], n)
	}
	e.behind.Go(func() {
		result := r.perform(e, words[0], words[1], n)
		e.mu.Lock()
		e.late = append(e.late, words[1]+": "+result)
		e.mu.Unlock()
	})
	return "begun"
}

// onWire does a step that is none of an application.
func (r *run) onWire(words []string) bool {
	f := r.flow
	switch words[0] {
	case "hold":
		f.hold()
	case "release", "reverse":
		f.release(words[0] == "reverse")
	case "cut":
		f.set(func() { f.cut = true })
	case "twice", "once":
		f.set(func() { f.twice = words[0] == "twice" })
	case "again":
		f.again(r.from(words[1]))
	case "lose":
		f.set(func() { f.drop[r.from(words[1])] = true })
	case "wait":
		time.Sleep(retransmission)
	default:
		return false
	}
	return true
}

// from is the direction in which an end sends.
func (r *run) from(who string) direction {
	if (who == "X") == r.v.acts {
		return fromTested
	}
	return fromFar
}

// perform is one call of an application.
func (r *run) perform(e *end, who, what string, n int) string {
	switch what {
	case "write":
		return e.write(who, n)
	case "read":
		return e.take(peer[who], n)
	case "drain":
		return e.drain(peer[who])
	case "shut":
		return class(e.c.CloseWrite())
	case "close":
		return class(e.c.Close())
	case "abort":
		return class(e.c.abort())
	case "join":
		e.behind.Wait()
		slices.Sort(e.late)
		return strings.Join(e.late, "; ")
	case "urgent":
		if err := e.c.urgent(stream(who, e.wrote, n)); err != nil {
			return class(err)
		}
		e.wrote += n
		return "ok"
	}
	return "no such step"
}

var peer = map[string]string{"X": "Y", "Y": "X"}

func (e *end) write(who string, n int) string {
	m, err := e.c.Write(stream(who, e.wrote, n))
	e.wrote += m
	if m > 0 && err != nil {
		return "some, then " + class(err) // how much depends on buffers
	}
	return class(err)
}

// take reads n octets, or without n what there is.
func (e *end) take(from string, n int) string {
	b := make([]byte, max(n, 1<<16))
	var m int
	var err error
	if n == 0 {
		m, err = e.c.Read(b)
	} else {
		m, err = io.ReadFull(e.c, b[:n])
	}
	return e.got(from, b[:m], err)
}

func (e *end) drain(from string) string {
	b, err := io.ReadAll(e.c)
	if err == nil {
		err = io.EOF
	}
	return e.got(from, b, err)
}

// got says what was read, and whether it is what was sent.
func (e *end) got(from string, b []byte, err error) string {
	want := stream(from, e.read, len(b))
	e.read += len(b)
	what := ""
	if len(b) > 0 {
		what = fmt.Sprint(len(b), " octets")
	}
	if string(b) != string(want) {
		what += ", not those that were sent"
	}
	switch {
	case what == "":
		return class(err)
	case err != nil:
		return what + ", " + class(err)
	}
	return what
}

// stream is n octets of what an end sends, from an offset on.
func stream(who string, from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := uint32(from+i) * 2654435761
		b[i] = byte(x>>24) ^ who[0]
	}
	return b
}
