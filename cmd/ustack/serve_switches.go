package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ustack/httpserver"
	"ustack/stack"
	"ustack/stack/cc"
	"ustack/stack/tcb"

	"github.com/spf13/pflag"
)

// switches are the settings that hold for the whole server and that one listener may change.
type switches struct {
	tcp          tcb.Options
	idleTimeout  time.Duration // of an HTTP connection between requests
	synCookies   stack.SynCookies
	fastOpen     bool
	serverTiming bool
	h2c          bool
	maxRequests  int // of an HTTP connection; 0: no limit
	maxPerClient int // HTTP connections of one client that are served at once; 0: no limit
	minRate      int // octets a second that an HTTP client must move while the server waits for it; 0: no minimum
	maxParallel  int // pipelined safe requests of an HTTP connection that are served at once
	closeMode    httpserver.CloseMode
}

// defaultSwitches are the house's defaults: those of tcb.Options, and HTTP's.
func defaultSwitches() switches { return switches{idleTimeout: time.Minute} }

// switchDef is one switch by name: a flag of serve, and a key behind a listener's question mark.
type switchDef struct {
	name, values, initial, usage string
	set                          func(*switches, string) error
}

// What some switches may be set to.
var (
	setNagle = choiceSwitch("off, minshall or classic",
		map[string]tcb.Nagle{"off": tcb.NagleOff, "minshall": tcb.NagleMinshall, "classic": tcb.NagleClassic},
		func(s *switches) *tcb.Nagle { return &s.tcp.Nagle })
	setResetInput = choiceSwitch("keep or discard", map[string]bool{"keep": false, "discard": true},
		func(s *switches) *bool { return &s.tcp.ResetInputDiscard })
	setSynCookies = choiceSwitch("auto, always or off",
		map[string]stack.SynCookies{"auto": stack.SynCookiesAuto, "always": stack.SynCookiesAlways, "off": stack.SynCookiesOff},
		func(s *switches) *stack.SynCookies { return &s.synCookies })
	setClose = choiceSwitch("half, full or abort",
		map[string]httpserver.CloseMode{"half": httpserver.CloseHalf, "full": httpserver.CloseFull, "abort": httpserver.CloseAbort},
		func(s *switches) *httpserver.CloseMode { return &s.closeMode })
	setHTTP = choiceSwitch("1.1 or h2c", map[string]bool{"1.1": false, "h2c": true}, func(s *switches) *bool { return &s.h2c })
)

// tcpSwitches are those of TCP; serve's switchDefs has those of HTTP as well.
var tcpSwitches = []switchDef{
	{"nagle", "off|minshall|classic", "off", "hold small segments back while data is in flight", setNagle},
	{"delayed-ack", "off|DUR", "40ms", "how long an ACK may wait for data to ride on", setDelayedACK},
	{"ack-every", "N", "2", "full-sized segments that one ACK may answer", intSwitch(1, 64, func(s *switches) *int { return &s.tcp.ACKEvery })},
	{"quick-ack", "on|off", "on", "acknowledge the first full-sized segments one by one", offSwitch(func(s *switches) *bool { return &s.tcp.NoQuickACK })},
	{"initial-window", "N", "10", "segments sent before the first ACK", intSwitch(1, 1000, func(s *switches) *int { return &s.tcp.InitialWindow })},
	{"idle-restart", "on|off", "on", "slow start again after a silence", offSwitch(func(s *switches) *bool { return &s.tcp.NoIdleRestart })},
	{"cc", strings.Join(cc.Names(), "|"), "cubic", "congestion control", setCC},
	{"hystart", "on|off", "on", "CUBIC ends slow start when the round-trip time grows", offSwitch(func(s *switches) *bool { return &s.tcp.NoHyStart })},
	{"rack", "on|off", "on", "find losses by time, and probe for lost tails", offSwitch(func(s *switches) *bool { return &s.tcp.NoRACK })},
	{"prr", "on|off", "on", "spread the reduction of a fast recovery over a round trip", offSwitch(func(s *switches) *bool { return &s.tcp.NoPRR })},
	{"pacing", "on|off", "off", "spread what the congestion window lets out over the round trip", onSwitch(func(s *switches) *bool { return &s.tcp.Pacing })},
	{"ecn", "on|off", "off", "explicit congestion notification", onSwitch(func(s *switches) *bool { return &s.tcp.ECN })},
	{"sack", "on|off", "on", "selective acknowledgement", offSwitch(func(s *switches) *bool { return &s.tcp.NoSACK })},
	{"timestamps", "on|off", "on", "the timestamps option", offSwitch(func(s *switches) *bool { return &s.tcp.NoTimestamps })},
	{"window-scale", "on|off", "on", "windows beyond 64 KiB", offSwitch(func(s *switches) *bool { return &s.tcp.NoWindowScale })},
	{"mtu-probe", "on|off", "on", "on a narrow path, try larger segments with data now and then", offSwitch(func(s *switches) *bool { return &s.tcp.NoMTUProbe })},
	{"mss", "N", "", "largest segment in octets of payload [what the link takes]", intSwitch(48, 65495, func(s *switches) *int { return &s.tcp.MSS })},
	{"rcvbuf", "SIZE|auto", "auto", "receive buffer", sizeSwitch(func(s *switches) *int { return &s.tcp.RcvBuf })},
	{"sndbuf", "SIZE|auto", "auto", "send buffer", sizeSwitch(func(s *switches) *int { return &s.tcp.SndBuf })},
	{"msl", "DUR", "30s", "maximum segment lifetime; TIME-WAIT lasts two", durSwitch(time.Millisecond, 10*time.Minute, func(s *switches) *time.Duration { return &s.tcp.MSL })},
	{"time-wait-reuse", "on|off", "on", "a new connection may take over a port pair in TIME-WAIT", offSwitch(func(s *switches) *bool { return &s.tcp.NoTimeWaitReuse })},
	{"user-timeout-option", "on|off", "off", "tell the peer how long unacknowledged data is kept, and heed its wish", onSwitch(func(s *switches) *bool { return &s.tcp.UserTimeoutOption })},
	{"reset-input", "keep|discard", "keep", "what becomes of unread input when a RST arrives", setResetInput},
}

var switchDefs = slices.Concat(tcpSwitches, []switchDef{
	{"syn-cookies", "auto|always|off", "auto", "answer SYNs without a record: when the backlog is full, every time, never", setSynCookies},
	{"fast-open", "on|off", "off", "clients that were here before may send their request with the SYN", onSwitch(func(s *switches) *bool { return &s.fastOpen })},
	{"http", "1.1|h2c", "1.1", "h2c: HTTP/2 in clear text, and 1.1 beside it, by net/http; without close and the limits of requests and clients", setHTTP},
	{"close", "half|full|abort", "half", "how an HTTP connection is ended: half waits for the client's FIN", setClose},
	{"server-timing", "on|off", "off", "tell in each answer what TCP has done for its connection so far (Server-Timing)", onSwitch(func(s *switches) *bool { return &s.serverTiming })},
	{"idle-timeout", "DUR", "1m0s", "how long a persistent HTTP connection may be silent", durSwitch(time.Millisecond, 24*time.Hour, func(s *switches) *time.Duration { return &s.idleTimeout })},
	{"max-conns-per-client", "N", "0", "HTTP connections of one client that are served at once; others wait, then 503; 0: any number", intSwitch(0, math.MaxInt32, func(s *switches) *int { return &s.maxPerClient })},
	{"max-parallel", "N", "1", "pipelined GETs and other safe requests of a connection that are served at once", intSwitch(1, 1024, func(s *switches) *int { return &s.maxParallel })},
	{"min-rate", "N", "0", "octets a second that an HTTP client must send of a body and take of an answer, after the first 10 s; 0: none", intSwitch(0, math.MaxInt32, func(s *switches) *int { return &s.minRate })},
	{"max-requests", "N", "0", "requests on one HTTP connection; 0: any number", intSwitch(0, math.MaxInt32, func(s *switches) *int { return &s.maxRequests })},
})

// switchFlag makes a flag of a switch.
type switchFlag struct {
	def  switchDef
	into *switches
	text string
}

func (f *switchFlag) String() string { return f.text }
func (f *switchFlag) Type() string   { return f.def.values }
func (f *switchFlag) Set(s string) error {
	f.text = s
	return f.def.set(f.into, s)
}

func (s *switches) addFlags(flags *pflag.FlagSet, defs []switchDef) {
	for _, d := range defs {
		flags.Var(&switchFlag{def: d, into: s, text: d.initial}, d.name, d.usage)
	}
}

// listener is one --listen: where, and with which switches.
type listener struct {
	address string // host:port, host may be empty
	port    uint16
	switches
}

// parseListener reads "[HOST]:PORT[?switch=value&…]"; switches that are not named stay as in base.
func parseListener(s string, base switches) (listener, error) {
	l := listener{switches: base}
	address, query, _ := strings.Cut(s, "?")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return l, fmt.Errorf("--listen %q: want [HOST]:PORT, as :80 or 10.90.0.2:80 or [fd90::2]:80", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return l, fmt.Errorf("--listen %q: port %q: want 1 to 65535", s, port)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return l, fmt.Errorf("--listen %q: host %q: want an IP address or nothing", s, host)
		}
	}
	l.address, l.port = address, uint16(n)
	values, err := url.ParseQuery(query)
	if err != nil {
		return l, fmt.Errorf("--listen %q: %w", s, err)
	}
	for name, v := range values {
		i := slices.IndexFunc(switchDefs, func(d switchDef) bool { return d.name == name })
		if i < 0 {
			return l, fmt.Errorf("--listen %q: no switch %q; there are %s", s, name, switchNames())
		}
		if len(v) != 1 {
			return l, fmt.Errorf("--listen %q: %s is set %d times", s, name, len(v))
		}
		if err := switchDefs[i].set(&l.switches, v[0]); err != nil {
			return l, fmt.Errorf("--listen %q: %s=%s: %w", s, name, v[0], err)
		}
	}
	if err := l.fit(); err != nil {
		return l, fmt.Errorf("--listen %q: %w", s, err)
	}
	return l, nil
}

// fit refuses switches that do not go together.
func (s *switches) fit() error {
	limits := s.maxRequests != 0 || s.maxPerClient != 0 || s.maxParallel > 1 || s.minRate != 0
	if s.h2c && (limits || s.closeMode != httpserver.CloseHalf) {
		return errors.New("http=h2c is served by net/http, which has none of close, max-conns-per-client, max-parallel, max-requests and min-rate: set them for the other listeners")
	}
	return nil
}

func switchNames() string {
	names := make([]string, len(switchDefs))
	for i, d := range switchDefs {
		names[i] = d.name
	}
	return strings.Join(names, ", ")
}

// maxDelayedACK is the limit of RFC 9293 §3.8.6.3.
const maxDelayedACK = 500 * time.Millisecond

func setDelayedACK(s *switches, v string) error {
	if v == "off" {
		s.tcp.DelayedACK = -1
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d > maxDelayedACK {
		return errors.New("want off or a duration up to 500ms, as 40ms")
	}
	s.tcp.DelayedACK = d
	return nil
}

func setCC(s *switches, v string) error {
	c, ok := cc.ByName(v)
	if !ok {
		return fmt.Errorf("want one of %s", strings.Join(cc.Names(), ", "))
	}
	s.tcp.CC = c
	return nil
}

// choiceSwitch takes one of the words in values; want names them.
func choiceSwitch[T any](want string, values map[string]T, field func(*switches) *T) func(*switches, string) error {
	return func(s *switches, v string) error {
		choice, ok := values[v]
		if !ok {
			return errors.New("want " + want)
		}
		*field(s) = choice
		return nil
	}
}

// onSwitch sets a field that is true for on, offSwitch one that is true for off.
func onSwitch(field func(*switches) *bool) func(*switches, string) error {
	return choiceSwitch("on or off", map[string]bool{"on": true, "off": false}, field)
}
func offSwitch(field func(*switches) *bool) func(*switches, string) error {
	return choiceSwitch("on or off", map[string]bool{"on": false, "off": true}, field)
}

func intSwitch(lo, hi int, field func(*switches) *int) func(*switches, string) error {
	return func(s *switches, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < lo || n > hi {
			return fmt.Errorf("want a number from %d to %d", lo, hi)
		}
		*field(s) = n
		return nil
	}
}

func durSwitch(lo, hi time.Duration, field func(*switches) *time.Duration) func(*switches, string) error {
	return func(s *switches, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < lo || d > hi {
			return fmt.Errorf("want a duration from %v to %v", lo, hi)
		}
		*field(s) = d
		return nil
	}
}

// Limits of a fixed buffer: below two segments a window closes for good reason only, and RFC 7323
// has no name for windows above 1 GiB.
const (
	minBuffer = 2 << 10
	maxBuffer = 1 << 30
)

func sizeSwitch(field func(*switches) *int) func(*switches, string) error {
	return func(s *switches, v string) error {
		if v == "auto" {
			*field(s) = 0
			return nil
		}
		n, err := parseSize(v)
		if err != nil || n < minBuffer || n > maxBuffer {
			return errors.New("want auto or a size from 2k to 1g, as 256k")
		}
		*field(s) = int(n)
		return nil
	}
}

// parseSize reads octets, with a binary suffix k, m or g if there is one.
func parseSize(v string) (int64, error) {
	shift := 0
	if n := len(v); n > 0 {
		switch v[n-1] {
		case 'k', 'K':
			shift = 10
		case 'm', 'M':
			shift = 20
		case 'g', 'G':
			shift = 30
		}
		if shift > 0 {
			v = v[:n-1]
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > math.MaxInt64>>shift {
		return 0, strconv.ErrRange
	}
	return n << shift, nil
}

// portRange is --ephemeral-ports: where dialled connections get their local ports.
type portRange struct{ lo, hi uint16 }

func (p *portRange) String() string {
	if *p == (portRange{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", p.lo, p.hi)
}
func (p *portRange) Type() string { return "LO-HI" }
func (p *portRange) Set(s string) error {
	lo, hi, ok := strings.Cut(s, "-")
	l, err1 := strconv.ParseUint(lo, 10, 16)
	h, err2 := strconv.ParseUint(hi, 10, 16)
	if !ok || err1 != nil || err2 != nil || l == 0 || l > h {
		return errors.New("want LO-HI, as 32768-60999")
	}
	p.lo, p.hi = uint16(l), uint16(h)
	return nil
}
