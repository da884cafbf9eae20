package sockstat

import (
	"net/netip"
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

func TestFilter(t *testing.T) {
	for filter, want := range map[string]string{
		"":                    "abcd",
		"state established":   "ac",
		"state all":           "abcd",
		"state synchronized":  "abc",
		"exclude established": "bd",
		"state connected excl syn-sent state fin-wait-2": "abc",
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
		keep, err := Parse(strings.Fields(filter))
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		// As one argument it means the same.
		keepToo, err := Parse([]string{filter})
		if err != nil {
			t.Errorf("%q: %v", filter, err)
			continue
		}
		got := ""
		for _, name := range []string{"a", "b", "c", "d"} {
			c := some[name]
			if keep(&c) {
				got += name
			}
			if keep(&c) != keepToo(&c) {
				t.Errorf("%q: one argument or several make a difference for %s", filter, name)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for filter, want := range map[string]string{
		"state":                 "of what? want established",
		"state open":            `no state "open"`,
		"state time-wait":       "ss -s` counts them",
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
		if _, err := Parse(strings.Fields(filter)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filter, err, want)
		}
	}
}

// FuzzParse: any words are a filter, or an error.
func FuzzParse(f *testing.F) {
	f.Add("state established ( sport = :80 or not dst 10.0.0.0/8 )")
	f.Add("!(((")
	f.Fuzz(func(t *testing.T, s string) {
		keep, err := Parse([]string{s})
		if (keep == nil) == (err == nil) {
			t.Fatalf("%q: a filter and an error, or neither: %v", s, err)
		}
		if err == nil {
			c := some["a"]
			keep(&c)
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
	return c
}

func TestInfo(t *testing.T) {
	c := busy()
	want := `ts sack ecn cubic wscale:10,7 rto:212.345 rtt:12.345/0.5 mss:1448 cwnd:10 ssthresh:20 bytes_sent:1000000 bytes_received:87 ` +
		`supersegs_out:90 supersegs_in:60 send 9.7Mbps notsent:500 minrtt:10 rcv_ooo:3 snd_wnd:64128 rcv_wnd:65536 phase:fast-recovery ` +
		`inflight:9000 lost_bytes:2896 sacked_bytes:1448 retransmits:4 rtos:1 fast_recoveries:2 stalled error:"no route to host"`
	if got := Info(&c); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	// What is not known is not there.
	blank := some["d"]
	blank.CC, blank.RTO, blank.Phase = "reno", 1_000_000, "slow-start"
	if got, want := Info(&blank), "reno rto:1000 mss:0 supersegs_out:0 supersegs_in:0 snd_wnd:0 rcv_wnd:0 phase:slow-start inflight:0"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWrite(t *testing.T) {
	c := busy()
	list := []control.Conn{c, some["c"], some["b"]}
	var b strings.Builder
	if err := Write(&b, list, true); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	want := []string{
		"State      Recv-Q Send-Q Local Address:Port Peer Address:Port",
		"ESTAB      7      9500         10.90.0.2:80   10.90.0.1:40000 ts sack",
		"ESTAB      0      0            [fd90::2]:80   [fd90::1]:50000",
		"FIN-WAIT-2 0      0            10.90.0.2:81     10.90.0.7:443",
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
	if err := Write(&b, nil, false); err != nil || b.Len() > 0 {
		t.Errorf("nothing is %q, %v", b.String(), err)
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
		Conns: 3, HalfOpen: 1, TimeWait: 2, MemoryUsed: 100, MemoryBudget: 1000,
		Counters: map[string]uint64{"packets-in": 12},
		Drops:    map[string]uint64{"tcp-paws": 4, "listen-backlog-full": 5},
		Links:    []control.Link{{RxPackets: 12, RxBytes: 1200, TxPackets: 7, TxBytes: 700, QueueDrops: 2, WriteErrors: 1}},
	})
	want := "TCP: connections 3, half-open 1, TIME-WAIT 2; queues hold 100 of 1000 octets\n" +
		"link 0: in 12 packets, 1200 octets, out 7 packets, 700 octets; lost 2 in the queue, 1 on writing\n" +
		"counters:\n            12  packets-in\n" +
		"drops:\n             5  listen-backlog-full\n             4  tcp-paws (RFC 7323 §5)\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}
