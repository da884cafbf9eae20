package sockstat

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ustack/cmd/ustack/internal/control"
)

func conn(local, remote, state string) control.Conn {
	return control.Conn{Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), State: state}
}

// some are connections to pick from, by a letter each.
var some = map[string]control.Conn{
	"a": conn("10.90.0.2:80", "10.90.0.1:40000", "ESTABLISHED"),
	"b": conn("10.90.0.2:81", "10.90.0.7:443", "FIN-WAIT-2"),
	"c": conn("[fd90::2]:80", "[fd90::1]:50000", "ESTABLISHED"),
	"d": conn("10.90.0.2:5000", "192.0.2.9:80", "SYN-SENT"),
}

// sockets are those connections, and what else there is.
func sockets() map[string]Socket {
	all := map[string]Socket{
		"l": {State: "LISTEN", Local: netip.MustParseAddrPort("[::]:80"), BothFamilies: true},
		"m": {State: "LISTEN", Local: netip.MustParseAddrPort("10.90.0.2:81")},
		"h": {State: "SYN-RECEIVED", Local: netip.MustParseAddrPort("10.90.0.2:80"), Remote: netip.MustParseAddrPort("10.90.0.1:7")},
		"w": {State: "TIME-WAIT", Local: netip.MustParseAddrPort("[fd90::2]:80"), Remote: netip.MustParseAddrPort("[fd90::1]:7")},
	}
	for name, c := range some {
		all[name] = Socket{State: c.State, Local: c.Local, Remote: c.Remote}
	}
	return all
}

// picked returns the letters of the sockets that f takes.
func picked(f *Filter) string {
	all, got := sockets(), ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s := all[name]; f.takes(&s) {
			got += name
		}
	}
	return got
}

func TestFilter(t *testing.T) {
	for filter, want := range map[string]string{
		"":                                  "abcd",
		"state established":                 "ac",
		"state all":                         "abcdhlmw",
		"state synchronized":                "abchw",
		"state connected":                   "abcdhw",
		"state time-wait":                   "w",
		"state syn-recv":                    "h",
		"state listening":                   "lm",
		"state listen src :80":              "l",
		"state bucket":                      "hw",
		"state big":                         "abcdlm",
		"exclude established":               "bdhlmw",
		"exclude bucket exclude listening":  "abcd",
		"state listening not dst 10.90.0.1": "lm",
		"state listening dst 10.90.0.1":     "",
		"state connected excl syn-sent state fin-wait-2": "abchw",
		"dport = :80":                     "d",
		"dport = 80":                      "d",
		"dport :80":                       "d",
		"sport eq :80":                    "ac",
		"sport != :80":                    "bd",
		"sport>=81":                       "bd",
		"dport < :1024":                   "bd",
		"dport gt 40000":                  "c",
		"dport le 443 and dport ge 80":    "bd",
		"dst 10.90.0.1":                   "a",
		"dst = 10.90.0.0/24":              "ab",
		"dst != 10.90.0.0/24":             "cd",
		"dst 10.90.0.7:443":               "b",
		"dst 10.90.0.7:444":               "",
		"src fd90::2":                     "c",
		"src [fd90::2]:80":                "c",
		"dst [fd90::1]":                   "c",
		"dst fd90::/64":                   "c",
		"src :80":                         "ac",
		"src *:81":                        "b",
		"dst *":                           "abcd",
		"not sport = :80":                 "bd",
		"!sport=80 && ! ( dport == 443 )": "d",
		"sport = :81 or dport = :80":      "bd",
		"sport = :80 dst fd90::1":         "c",
		"( sport = :80 or sport = :81 ) and dst 10.90.0.0/24": "ab",
		"sport = :80 | dport = :80 & dst 192.0.2.9":           "acd",
		"state established ( dport = :40000 )":                "a",
	} {
		keep, err := Parse(strings.Fields(filter), Connections)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		// As one argument it means the same.
		keepToo, err := Parse([]string{filter}, Connections)
		if err != nil {
			t.Errorf("%q: %v", filter, err)
			continue
		}
		if got, too := picked(keep), picked(keepToo); got != want || too != want {
			t.Errorf("%s: %q, as one argument %q, want %q", filter, got, too, want)
		}
	}
}

// TestUsual: what a filter takes that names no state, of both IP versions or one.
func TestUsual(t *testing.T) {
	for _, c := range []struct {
		usual         States
		both, v4, v6  string
		filter, named string
	}{
		{Connections, "abcd", "abd", "c", "state time-wait", "w"},
		{Listening, "lm", "lm", "l", "state established", "ac"},
		{All, "abcdhlmw", "abdhlm", "clw", "state syn-sent", "d"},
	} {
		f, err := Parse(nil, c.usual)
		if err != nil {
			t.Fatal(err)
		}
		v4, v6 := f.And(func(s *Socket) bool { return s.IsOf(true) }), f.And(func(s *Socket) bool { return s.IsOf(false) })
		if a, b, d := picked(f), picked(v4), picked(v6); a != c.both || b != c.v4 || d != c.v6 {
			t.Errorf("%q, of IPv4 %q, of IPv6 %q; want %q, %q, %q", a, b, d, c.both, c.v4, c.v6)
		}
		named, err := Parse([]string{c.filter}, c.usual)
		if err != nil || picked(named) != c.named {
			t.Errorf("%s: %q, %v", c.filter, picked(named), err)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for filter, want := range map[string]string{
		"state":                 "of what? want established",
		"state open":            `no state "open"`,
		"port 80":               `"port": want src, dst`,
		"dport":                 "dport = what?",
		"dport =":               "dport = what?",
		"dport = :0":            "want a port",
		"dport = :http":         "want a port",
		"dst 10.90.0":           "want an address",
		"dst 10.90.0.1:70000":   "want a port",
		"dst < 10.90.0.1":       "equal (=) or not",
		"( dport = :80":         "a ) is missing",
		"dport = :80 )":         `")" is one too many`,
		"dport = :80 or":        "ends too early",
		"not":                   "ends too early",
		"dport = :80 and":       "ends too early",
		"dst fe80::1%eth0":      "want an address",
		"established":           `"established": want src, dst`,
		"sport = :80 state all": `"state": want src, dst`,
	} {
		if _, err := Parse(strings.Fields(filter), All); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filter, err, want)
		}
	}
}

// FuzzParse: any words are a filter, or an error.
func FuzzParse(f *testing.F) {
	f.Add("state established ( sport = :80 or not dst 10.0.0.0/8 )")
	f.Add("!(((")
	f.Fuzz(func(t *testing.T, s string) {
		keep, err := Parse([]string{s}, All)
		if (keep == nil) == (err == nil) {
			t.Fatalf("%q: a filter and an error, or neither: %v", s, err)
		}
		if err == nil {
			picked(keep)
		}
	})
}

// busy is a connection with everything.
func busy() control.Conn {
	c := conn("10.90.0.2:80", "10.90.0.1:40000", "ESTABLISHED")
	threshold := 30_000
	c.Phase, c.CC = "fast-recovery", "cubic"
	c.Cwnd, c.SSThresh, c.MSS, c.InFlight, c.Sacked, c.Lost = 15_000, &threshold, 1448, 9000, 1448, 2896
	c.PeerWindow, c.Unsent, c.SendQueue, c.RecvQueue, c.OutOfOrder, c.RecvWindow = 64_128, 500, 9500, 7, 3, 65_536
	c.SRTT, c.RTTVar, c.MinRTT, c.RTO = 12_345, 500, 10_000, 212_345
	c.BytesSent, c.BytesReceived, c.SegsOut, c.SegsIn, c.Retransmits, c.RTOs, c.FastRecoveries = 1_000_000, 87, 90, 60, 4, 1, 2
	c.SACK, c.Timestamps, c.ECN, c.WindowScale, c.SendScale, c.RecvScale = true, true, true, true, 10, 7
	c.Stalled, c.SoftError = true, "no route to host"
	c.Account = control.Account{
		HandshakeRTT: 11_000, PathMTU: 1500, BytesAcked: 985_000, BytesRetransmitted: 5792, RetransmittedInFlight: 4344, DataSegsOut: 80, DataSegsIn: 1, SynTimeouts: 1, Backoff: 2, Undone: 3, DSACKs: 4,
		Reorderings: 5, SegsOutOfOrder: 6, CongestionEchoes: 7, SinceDataSent: 8999, SinceDataReceived: 1_000_000, SinceReceived: -1,
		DeliveryRate: 1_250_000, PacingRate: 2_000_000, Busy: 2_000_000, Recovering: 100_000, CwndLimited: 1_500_000, PeerWindowLimited: 250_000,
		SendBufferLimited: 1000, NagleLimited: 2000, PacingLimited: 3000, AdvertisedMSS: 1460, ReceivedMSS: 1448, DelayedACK: 40_000,
		ReceiveRTT: 12_500, ReceiveSpace: 1 << 20, WindowProbes: 8, KeepAliveProbes: 9, FastOpen: true,
	}
	return c
}

func TestInfo(t *testing.T) {
	c := busy()
	want := `ts sack ecn fastopen cubic wscale:10,7 rto:212.345 backoff:2 rtt:12.345/0.5 ato:40 mss:1448 pmtu:1500 rcvmss:1448 cwnd:10 ` +
		`ssthresh:20 bytes_sent:1000000 bytes_retrans:5792 bytes_acked:985000 bytes_received:87 supersegs_out:90 supersegs_in:60 data_supersegs_out:80 data_supersegs_in:1 send 9.7Mbps ` +
		`lastsnd:8 lastrcv:1000 pacing_rate 16.0Mbps delivery_rate 10.0Mbps busy:2000ms rwnd_limited:250ms(12.5%) sndbuf_limited:1ms(0.1%) ` +
		`cwnd_limited:1500ms(75.0%) nagle_limited:2ms(0.1%) pacing_limited:3ms(0.1%) recovering:100ms(5.0%) notsent:500 rcv_rtt:12.5 ` +
		`rcv_ssthresh:1048576 minrtt:10 handshake_rtt:11 rcv_ooopack:6 rcv_ooo:3 snd_wnd:64128 rcv_wnd:65536 phase:fast-recovery inflight:9000 ` +
		`lost_bytes:2896 sacked_bytes:1448 retrans_bytes:4344 retransmits:4 rtos:1 fast_recoveries:2 undone:3 dsack_dups:4 reord_seen:5 ecn_echoes:7 syn_timeouts:1 ` +
		`window_probes:8 keepalive_probes:9 stalled error:"no route to host"`
	if got := Info(&c); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	// What is not known is not there.
	blank := some["d"]
	blank.CC, blank.RTO, blank.Phase = "reno", 1_000_000, "slow-start"
	blank.SinceDataSent, blank.SinceDataReceived, blank.SinceReceived, blank.DelayedACK = -1, -1, -1, -1
	if got, want := Info(&blank), "reno rto:1000 mss:0 supersegs_out:0 supersegs_in:0 data_supersegs_out:0 data_supersegs_in:0 snd_wnd:0 rcv_wnd:0 phase:slow-start inflight:0"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWrite(t *testing.T) {
	c := busy()
	page := Page{
		Listeners: []control.Listener{
			{Local: netip.MustParseAddrPort("[::]:80"), BothFamilies: true, Waiting: 3, HalfOpen: 2, Backlog: 128, SynCookies: "auto"},
			{Local: netip.MustParseAddrPort("[fd90::2]:81"), Backlog: 1, SynCookies: "off"},
			{Local: netip.MustParseAddrPort("0.0.0.0:82"), Backlog: 1, SynCookies: "off"},
		},
		HalfOpen: []control.HalfOpen{{Local: netip.MustParseAddrPort("10.90.0.2:80"), Remote: netip.MustParseAddrPort("10.90.0.1:7"), Resent: 2, Remaining: 1_540_000}},
		Conns:    []control.Conn{c, some["c"], some["b"]},
		TimeWait: []control.TimeWait{{Local: netip.MustParseAddrPort("10.90.0.2:80"), Remote: netip.MustParseAddrPort("10.90.0.1:9"), Remaining: 59_999_999}},
	}
	var b strings.Builder
	if err := Write(&b, &page, true); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	want := []string{
		"State      Recv-Q Send-Q Local Address:Port Peer Address:Port",
		"LISTEN     3      128                  *:80               *:* half_open:2 syncookies:auto",
		"LISTEN     0      1            [fd90::2]:81            [::]:* syncookies:off",
		"LISTEN     0      1              0.0.0.0:82         0.0.0.0:* syncookies:off",
		"SYN-RECV   0      0            10.90.0.2:80       10.90.0.1:7 timer:(on,1.5sec,2)",
		"ESTAB      7      9500         10.90.0.2:80   10.90.0.1:40000 ts sack ecn fastopen cubic",
		"ESTAB      0      0            [fd90::2]:80   [fd90::1]:50000",
		"FIN-WAIT-2 0      0            10.90.0.2:81     10.90.0.7:443",
		"TIME-WAIT  0      0            10.90.0.2:80       10.90.0.1:9 timer:(timewait,59sec,0)",
	}
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("%q\nwant\n%q", lines[i], want[i])
		}
	}
	b.Reset()
	if err := Write(&b, &Page{}, false); err != nil || b.Len() > 0 {
		t.Errorf("nothing is %q, %v", b.String(), err)
	}
}

func TestRemaining(t *testing.T) {
	for us, want := range map[int64]string{0: "0ms", 999_999: "999ms", 1_000_000: "1sec", 9_960_000: "9.9sec", 10_000_000: "10sec", 59_999_999: "59sec",
		60_000_000: "1min", 3_599_000_000: "59min59sec"} {
		if got := remaining(us); got != want {
			t.Errorf("%d: %s, want %s", us, got, want)
		}
	}
}

// asked is a server that remembers what it was asked for.
type asked struct{ log []string }

func (a *asked) Listeners(context.Context) (l control.Listeners, err error) {
	a.log = append(a.log, "listeners")
	return control.Listeners{Listeners: []control.Listener{{Local: netip.MustParseAddrPort("10.90.0.2:80")}}}, nil
}

func (a *asked) HalfOpens(context.Context) (control.HalfOpens, error) {
	a.log = append(a.log, "half-open")
	return control.HalfOpens{HalfOpen: []control.HalfOpen{{}}}, nil
}

func (a *asked) Conns(context.Context) (control.Conns, error) {
	a.log = append(a.log, "conns")
	return control.Conns{Conns: []control.Conn{some["c"], some["d"], some["a"], some["b"]}}, nil
}

func (a *asked) TimeWaits(context.Context) (control.TimeWaits, error) {
	a.log = append(a.log, "time-wait")
	return control.TimeWaits{}, errors.New("no")
}

// TestLook: a server is asked for what a filter may take only, and that is put in order.
func TestLook(t *testing.T) {
	for filter, want := range map[string]string{
		"": "conns", "state listening": "listeners", "state syn-recv": "half-open conns", "state fin-wait-2": "conns", "state closed": "",
		"state all": "listeners half-open conns time-wait", "exclude time-wait": "listeners half-open conns",
	} {
		f, err := Parse([]string{filter}, Connections)
		if err != nil {
			t.Fatal(err)
		}
		a := asked{}
		p, err := Look(t.Context(), &a, f)
		if got := strings.Join(a.log, " "); got != want || (err != nil) != strings.Contains(want, "time-wait") {
			t.Errorf("%q asks for %q, want %q; %v", filter, got, want, err)
		}
		if filter == "" && (p.Listeners != nil || len(p.Conns) != 4 || p.Conns[0] != some["a"] || p.Conns[1] != some["b"] || p.Conns[2] != some["d"] || p.Conns[3] != some["c"]) {
			t.Errorf("%+v", p)
		}
	}
}

func TestBits(t *testing.T) {
	for rate, want := range map[float64]string{0: "0bps", 999: "999bps", 1500: "1.5Kbps", 2e6: "2.0Mbps", 3.25e9: "3.2Gbps", 4e12: "4.0Tbps"} {
		if got := bits(rate); got != want {
			t.Errorf("%v: %s, want %s", rate, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	var b strings.Builder
	err := WriteSummary(&b, &control.Stats{
		Conns: 3, HalfOpen: 1, TimeWait: 2, Listeners: 4, Waiting: 5, MemoryUsed: 100, MemoryBudget: 1000,
		Counters: map[string]uint64{"packets-in": 12},
		Drops:    map[string]uint64{"tcp-paws": 4, "listen-backlog-full": 5},
		Links:    []control.Link{{RxPackets: 12, RxBytes: 1200, TxPackets: 7, TxBytes: 700, QueueDrops: 2, WriteErrors: 1}},
	})
	want := "TCP: connections 3, half-open 1, TIME-WAIT 2; listeners 4, to accept 5; queues hold 100 of 1000 octets\n" +
		"link 0: in 12 packets, 1200 octets, out 7 packets, 700 octets; lost 2 in the queue, 1 on writing\n" +
		"counters:\n            12  packets-in\n" +
		"drops:\n             5  listen-backlog-full\n             4  tcp-paws (RFC 7323 §5)\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}
