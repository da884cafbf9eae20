package tcb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"ustack/tcpseg"
)

// pktRun is a script that runs: one connection, or what stands for it, in virtual time.
type pktRun struct {
	v      pktVariant
	cfg    Config
	tcb    *TCB
	half   *HalfOpen
	closed bool   // nobody listens either
	cookie []byte // of Fast Open
	now    Time
	out    Out
	sent   []pktSent // not yet expected
	log    []string
	ev     Events
	drop   Drop
	err    error
}

// pktSent is a segment that was sent.
type pktSent struct {
	at  Time
	out Out
}

const (
	pktStart = Time(1000 * time.Second) // the scripts' time 0
	pktLog   = 15                       // events shown with a failure
)

func newPktRun(v pktVariant) *pktRun { return &pktRun{v: v, now: pktStart, cfg: v.config(Options{})} }

// runScript returns what goes otherwise than the script has it.
func runScript(s *pktScript, v pktVariant) error {
	r, last := newPktRun(v), pktStart
	for _, l := range s.lines {
		if l.set && l.op == "only" {
			if (l.args[0] == "v6") != v.v6 {
				return nil
			}
			continue
		}
		err := r.step(&l, &last)
		if err == nil {
			err = r.err
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %s\n%w\n%s", s.file, l.number, l.text, err, r.events())
		}
	}
	if len(r.sent) > 0 {
		return fmt.Errorf("%s: %q ends, and yet there is %s\n%s", s.file, s.name, r.v.format(&r.sent[0].out, nil), r.events())
	}
	return nil
}

// events are the last ones, for a message.
func (r *pktRun) events() string {
	log := r.log[max(len(r.log)-pktLog, 0):]
	return "last events:\n    " + strings.Join(log, "\n    ")
}

func (r *pktRun) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf("%9.6f ", float64(r.now-pktStart)/1e9)+fmt.Sprintf(format, args...))
}

func (r *pktRun) step(l *pktLine, last *Time) error {
	if l.set {
		return r.setup(l)
	}
	at := pktStart + l.at
	if l.rel {
		at = *last + l.at
	}
	if at < r.now {
		return fmt.Errorf("time goes back to %v", at-pktStart)
	}
	*last = at
	r.advance(at)
	if l.op == ">" {
		return r.expect(l, at)
	}
	if len(r.sent) > 0 && !pktLooks[l.op] {
		return fmt.Errorf("before that, at %.6f, there is %s", float64(r.sent[0].at-pktStart)/1e9, r.v.format(&r.sent[0].out, nil))
	}
	return r.act(l)
}

// pktLooks are the words that change nothing but what is expected: they may stand among the segments of a moment.
var pktLooks = map[string]bool{"quiet": true, "check": true, "state": true, "drop": true, "event": true, "no-event": true,
	"error": true, "readable": true, "urgent": true}

// advance moves the clock and runs every timer at its moment.
func (r *pktRun) advance(to Time) {
	for {
		d := r.deadline()
		if d == 0 || d > to {
			break
		}
		r.now = d
		if r.tcb != nil {
			r.ev |= r.tcb.Expire(r.now)
		} else if !r.half.Expire(r.now) {
			r.half = nil
		}
		r.flush()
	}
	r.now = to
}

func (r *pktRun) deadline() Time {
	switch {
	case r.tcb != nil:
		return r.tcb.Deadline()
	case r.half != nil:
		return r.half.Deadline()
	}
	return 0
}

// flush collects what is to be sent.
func (r *pktRun) flush() {
	for range 1000 {
		limit := r.out.Limit
		switch {
		case r.tcb != nil && r.tcb.Output(r.now, &r.out):
		case r.tcb == nil && r.half != nil && r.half.Output(r.now, &r.out):
		default:
			return
		}
		r.out.Limit = limit
		r.record()
	}
	r.err = errors.New("Output does not end")
}

// record notes what is in r.out, and whether its octets are the right ones.
func (r *pktRun) record() {
	s := pktSent{r.now, r.out}
	r.note("> %s [%v]", r.v.format(&s.out, nil), r.out.Cause)
	var text []byte
	for _, p := range r.out.Payload {
		text = append(text, p...)
	}
	from := r.out.Seq.Sub(r.v.iss)
	if r.out.Flags.Has(tcpseg.SYN) {
		from++
	}
	if !bytes.Equal(text, pattern(from, len(text))) {
		r.err = errors.New("wrong octets are sent")
	}
	r.sent = append(r.sent, s)
}

// expect compares the next segment with a line.
func (r *pktRun) expect(l *pktLine, at Time) error {
	want := strings.Join(l.args, " ")
	if len(r.sent) == 0 {
		return fmt.Errorf("want %s\ngot  nothing", want)
	}
	s := r.sent[0]
	r.sent = r.sent[1:]
	if got := r.v.format(&s.out, l.args); got != want {
		return fmt.Errorf("want %s\ngot  %s", want, got)
	}
	if s.at != at {
		return fmt.Errorf("want it at %.6f\ngot  it at %.6f", float64(at-pktStart)/1e9, float64(s.at-pktStart)/1e9)
	}
	return nil
}

// pktOptions are the words of an options line without a value.
var pktOptions = map[string]func(*Options){
	"nosack": func(o *Options) { o.NoSACK = true }, "nots": func(o *Options) { o.NoTimestamps = true },
	"nowscale": func(o *Options) { o.NoWindowScale = true }, "notlp": func(o *Options) { o.NoTLP = true },
	"noquick": func(o *Options) { o.NoQuickACK = true }, "pacing": func(o *Options) { o.Pacing = true },
	"norack": func(o *Options) { o.NoRACK = true }, "noprr": func(o *Options) { o.NoPRR = true },
	"ecn": func(o *Options) { o.ECN = true }, "uto": func(o *Options) { o.UserTimeoutOption = true }, "keepalive": func(o *Options) { o.KeepAlive = true },
	"nagle": func(o *Options) { o.Nagle = NagleClassic }, "minshall": func(o *Options) { o.Nagle = NagleMinshall },
	"nonagle": func(o *Options) { o.Nagle = NagleOff }, "noidlerestart": func(o *Options) { o.NoIdleRestart = true },
	"noreuse": func(o *Options) { o.NoTimeWaitReuse = true }, "discard": func(o *Options) { o.ResetInputDiscard = true },
}

// setOptions reads "word" and "field=value"; the fields are those of Options in any case.
func setOptions(o *Options, args []string) error {
	for _, a := range args {
		name, value, found := strings.Cut(a, "=")
		if f := pktOptions[name]; f != nil && !found {
			f(o)
			continue
		}
		field := reflect.ValueOf(o).Elem().FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !field.IsValid() || !found {
			return fmt.Errorf("no option %q", a)
		}
		if field.Type() == reflect.TypeFor[time.Duration]() {
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			field.SetInt(int64(d))
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		switch {
		case field.CanInt():
			field.SetInt(int64(n))
		case field.CanUint():
			field.SetUint(uint64(n))
		default:
			return fmt.Errorf("option %q takes no number", name)
		}
	}
	return nil
}

func (r *pktRun) setup(l *pktLine) (err error) {
	switch l.op {
	case "options":
		return setOptions(&r.cfg.Options, l.args)
	case "limit":
		r.out.Limit, err = strconv.Atoi(l.args[0])
	case "closed":
		r.closed = true
	case "fastopen":
		r.cookie, err = hex.DecodeString(l.args[0])
	case "established":
		h := Handshake{ISS: r.v.iss, IRS: r.v.irs, PeerWindow: 65535, RTT: 10 * ms}
		seg, err := r.v.parseWords(l.args)
		if err != nil {
			return err
		}
		if h.Peer = seg.Options; h.Peer.MSS == 0 {
			h.Peer.MSS = 1000
		}
		if slices.Contains(l.args, "win") {
			h.PeerWindow = seg.Window
		}
		h.TSRecent, h.ECN = seg.Options.TSVal, r.cfg.ECN
		r.tcb = Accept(r.now, &r.cfg, nil, &h)
		r.flush()
	}
	return err
}

// input gives a segment to what is there for it.
func (r *pktRun) input(args []string) error {
	seg, err := r.v.parseSegment(args)
	if err != nil {
		return err
	}
	r.note("< %s", strings.Join(args, " "))
	r.drop = DropNone
	switch {
	case r.tcb != nil:
		res := r.tcb.Input(r.now, &seg)
		r.ev, r.drop = r.ev|res.Events, res.Drop
	case r.half != nil:
		r.inputHalf(&seg)
	case r.closed || seg.Flags&(tcpseg.SYN|tcpseg.ACK|tcpseg.RST) != tcpseg.SYN:
		if (r.closed || seg.Flags.Has(tcpseg.ACK)) && Refuse(&seg, &r.out) { // else LISTEN drops it
			if r.out.Flags.Has(tcpseg.ACK) {
				r.out.Seq += r.v.iss // it is 0, and is to be written so
			}
			r.record()
		}
		return nil
	default:
		r.listen(&seg)
	}
	r.flush()
	return nil
}

// listen takes a SYN.
func (r *pktRun) listen(syn *tcpseg.Segment) {
	half := Passive(r.now, &r.cfg, syn, r.v.iss, 0)
	if f := syn.Options.FastOpen; r.cookie == nil || !f.Present || !bytes.Equal(f.Cookie(), r.cookie) {
		r.half = &half
		return
	}
	h := half.Handshake()
	r.tcb = new(TCB)
	r.ev |= r.tcb.AcceptFast(r.now, &r.cfg, nil, &h, syn)
}

// connect opens actively. Args may be fastopen, with a cookie or without, and how much is written before the SYN goes.
func (r *pktRun) connect(args []string) error {
	d := DialInfo{ISS: r.v.iss}
	if len(args) > 0 && args[0] == "fastopen" {
		var cookie []byte
		if len(args) > 1 {
			cookie, _ = hex.DecodeString(args[1])
		}
		d.FastOpen, d.PeerMSS = tcpseg.NewFastOpen(cookie), 1000
	}
	r.tcb = Dial(r.now, &r.cfg, nil, &d)
	defer r.flush()
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		r.tcb.Write(r.now, pattern(1, n))
	}
	return nil
}

func (r *pktRun) inputHalf(seg *tcpseg.Segment) {
	res, drop := r.half.Input(r.now, seg)
	r.drop = drop
	switch res {
	case HalfOpenDead:
		r.half = nil
	case HalfOpenComplete:
		h := r.half.Handshake()
		r.half, r.tcb = nil, Accept(r.now, &r.cfg, nil, &h)
		in := r.tcb.Input(r.now, seg)
		r.ev, r.drop = r.ev|in.Events, in.Drop
	}
}

// act does what a line without a segment to expect says.
func (r *pktRun) act(l *pktLine) error {
	switch l.op {
	case "<":
		return r.input(l.args)
	case "quiet":
		r.sent = nil
		return nil
	case "connect":
		return r.connect(l.args)
	case "drop":
		return same(l.args[0], r.drop.String())
	case "state":
		return same(l.args[0], r.state())
	}
	if r.tcb == nil {
		return errors.New("there is no connection")
	}
	defer r.flush()
	return r.call(l)
}

func (r *pktRun) state() string {
	switch {
	case r.tcb != nil:
		return r.tcb.State().String()
	case r.half != nil:
		return SynReceived.String()
	case r.closed:
		return Closed.String()
	}
	return "LISTEN"
}

func same[T comparable](want, got T) error {
	if want != got {
		return fmt.Errorf("want %v\ngot  %v", want, got)
	}
	return nil
}

// pktErrors are the names of errors.
var pktErrors = map[string]error{"none": nil, "reset": ErrReset, "refused": ErrRefused, "timeout": ErrTimeout,
	"aborted": ErrAborted, "closed": ErrClosed, "write-closed": ErrWriteClosed, "eof": io.EOF}

var pktEvents = map[string]Events{"connected": EventConnected, "readable": EventReadable, "writable": EventWritable,
	"acked": EventAcked, "time-wait": EventTimeWait, "closed": EventClosed, "urgent": EventUrgent, "stalled": EventStalled}

// call is a call of the user, or a look at the connection.
func (r *pktRun) call(l *pktLine) error {
	n := 0
	if len(l.args) > 0 {
		n, _ = strconv.Atoi(l.args[0])
	}
	switch c := r.tcb; l.op {
	case "write":
		p := pattern(c.snd.queue.end().Sub(r.v.iss), n)
		return same(n, c.Write(r.now, p))
	case "urge":
		c.Urge(n)
	case "read":
		return r.read(n)
	case "readable":
		return same(n, c.Readable())
	case "urgent":
		return same(n, c.Urgent())
	case "shutdown":
		c.CloseWrite(r.now)
	case "close":
		r.ev |= c.Close(r.now)
	case "abort":
		r.ev |= c.Abort(r.now)
	case "set":
		o := c.Options()
		if err := setOptions(&o, l.args); err != nil {
			return err
		}
		c.Set(r.now, &o)
	case "error", "read-error", "write-error":
		got := map[string]func() error{"error": c.Err, "read-error": c.ReadErr, "write-error": c.WriteErr}[l.op]()
		return same(pktErrors[l.args[0]], got)
	case "event", "no-event":
		got := r.ev&pktEvents[l.args[0]] != 0
		r.ev &^= pktEvents[l.args[0]]
		return same(l.op == "event", got)
	case "check":
		return r.check(l.args)
	default:
		return fmt.Errorf("%q is nothing that can happen", l.op)
	}
	return nil
}

func (r *pktRun) read(n int) error {
	off := r.tcb.readSeq().Sub(r.v.irs)
	p := make([]byte, n)
	if got := r.tcb.Read(r.now, p); got != n {
		return fmt.Errorf("want %d octets\ngot  %d", n, got)
	}
	if !bytes.Equal(p, pattern(off, n)) {
		return errors.New("wrong octets are read")
	}
	return nil
}

// check compares fields of the Snapshot or the Account: times as 10ms, sequence numbers relative, the rest as it is printed.
func (r *pktRun) check(args []string) error {
	var s struct {
		Snapshot
		Account
	}
	r.tcb.Snapshot(&s.Snapshot)
	r.tcb.Account(r.now, &s.Account)
	for _, a := range args {
		name, want, _ := strings.Cut(a, "=")
		field := reflect.ValueOf(s).FieldByNameFunc(func(f string) bool { return strings.EqualFold(f, name) })
		if !field.IsValid() {
			return fmt.Errorf("no field %q", name)
		}
		got := fmt.Sprint(field.Interface())
		switch v := field.Interface().(type) {
		case Time:
			got = time.Duration(v).String()
		case tcpseg.Seq:
			base := r.v.iss
			if strings.HasPrefix(strings.ToLower(name), "rcv") {
				base = r.v.irs
			}
			got = strconv.Itoa(v.Sub(base))
		}
		if got != want {
			return fmt.Errorf("want %s=%s\ngot  %s=%s", name, want, name, got)
		}
	}
	return nil
}
