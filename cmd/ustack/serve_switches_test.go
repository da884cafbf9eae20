package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"ustack/httpserver"
	"ustack/stack/tcb"

	"github.com/spf13/pflag"
)

func TestSwitchFlags(t *testing.T) {
	s := defaultSwitches()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.addFlags(flags, switchDefs)
	err := flags.Parse(strings.Fields(`--nagle classic --delayed-ack=200ms --ack-every 4 --initial-window 3 --idle-restart off
		--cc reno --sack off --timestamps=off --window-scale off --mss 1000 --rcvbuf 256k --sndbuf 1m --msl 1s
		--time-wait-reuse off --reset-input discard --idle-timeout 5s --max-requests 100 --close abort --http h2c`))
	if err != nil {
		t.Fatal(err)
	}
	if s.tcp.CC == nil {
		t.Error("no congestion control")
	}
	s.tcp.CC = nil // functions do not compare
	want := tcb.Options{
		Nagle: tcb.NagleClassic, DelayedACK: 200 * time.Millisecond, ACKEvery: 4, InitialWindow: 3, NoIdleRestart: true,
		NoSACK: true, NoTimestamps: true, NoWindowScale: true, MSS: 1000, RcvBuf: 256 << 10, SndBuf: 1 << 20, MSL: time.Second,
		NoTimeWaitReuse: true, ResetInputDiscard: true,
	}
	if !reflect.DeepEqual(s.tcp, want) {
		t.Errorf("got %+v\nwant %+v", s.tcp, want)
	}
	if s.idleTimeout != 5*time.Second || s.maxRequests != 100 || s.closeMode != httpserver.CloseAbort || !s.h2c {
		t.Errorf("idle-timeout %v, max-requests %d, close %v, h2c %v", s.idleTimeout, s.maxRequests, s.closeMode, s.h2c)
	}
}

// TestSwitchDefaults sets every switch to the default it shows and expects that to change nothing.
func TestSwitchDefaults(t *testing.T) {
	for _, d := range switchDefs {
		if d.initial == "" {
			continue
		}
		s := defaultSwitches()
		if err := d.set(&s, d.initial); err != nil {
			t.Errorf("%s: its default %q: %v", d.name, d.initial, err)
		}
	}
}

func TestParseListener(t *testing.T) {
	base := defaultSwitches()
	base.tcp.ACKEvery = 3
	l, err := parseListener(":81?nagle=classic&delayed-ack=200ms", base)
	if err != nil {
		t.Fatal(err)
	}
	if l.address != ":81" || l.port != 81 || l.tcp.Nagle != tcb.NagleClassic || l.tcp.DelayedACK != 200*time.Millisecond || l.tcp.ACKEvery != 3 {
		t.Errorf("got %+v", l)
	}
	if base.tcp.Nagle != tcb.NagleOff {
		t.Error("the listener changed the global switches")
	}
	if l, err := parseListener("[fd90::2]:8080", base); err != nil || l.address != "[fd90::2]:8080" || l.port != 8080 {
		t.Errorf("got %+v, %v", l, err)
	}
}

// A listener may have HTTP/2 where all others have a limit that net/http does not know, if it says so.
func TestHTTP2BesideLimits(t *testing.T) {
	base := defaultSwitches()
	base.maxRequests = 100
	if _, err := parseListener(":82?http=h2c", base); err == nil || !strings.Contains(err.Error(), "max-requests") {
		t.Errorf("with a limit for all listeners: %v", err)
	}
	if l, err := parseListener(":82?http=h2c&max-requests=0", base); err != nil || !l.h2c {
		t.Errorf("without the limit: %+v, %v", l, err)
	}
}

func TestBadSwitches(t *testing.T) {
	for _, s := range []string{
		"", "80", ":", ":0", ":65536", ":x", "host:80", ":80?x=1", ":80?nagle=on", ":80?nagle=off&nagle=off", ":80?nagle", ":80?%zz",
		":80?delayed-ack=0", ":80?delayed-ack=501ms", ":80?delayed-ack=-1ms", ":80?ack-every=0", ":80?initial-window=0", ":80?sack=1",
		":80?mss=47", ":80?mss=65496", ":80?rcvbuf=1k", ":80?rcvbuf=2g", ":80?sndbuf=-1", ":80?sndbuf=9999999999g", ":80?msl=0s",
		":80?cc=bbr", ":80?reset-input=no", ":80?idle-timeout=0s", ":80?max-requests=-1", ":80?close=no",
		":80?http=2", ":80?http=h2c&max-requests=5", ":80?http=h2c&close=abort",
		":80?http=h2c&max-parallel=2", ":80?http=h2c&max-conns-per-client=9", ":80?http=h2c&min-rate=9",
	} {
		if l, err := parseListener(s, defaultSwitches()); err == nil {
			t.Errorf("%q: got %+v", s, l)
		}
	}
}

func TestPortRange(t *testing.T) {
	var p portRange
	if err := p.Set("32768-60999"); err != nil || p != (portRange{32768, 60999}) || p.String() != "32768-60999" {
		t.Errorf("got %v, %v", p, err)
	}
	for _, s := range []string{"", "1", "2-1", "0-9", "1-65536", "a-b", "1-2-3"} {
		if err := new(portRange).Set(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "4k": 4096, "1M": 1 << 20, "2g": 2 << 30} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "k", "1t", "-1", "1.5k", "9007199254740993g"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}
