package ippkt

import (
	"net/netip"
	"testing"
)

func TestMartians(t *testing.T) {
	// The table of spec §2. req: V4R-06, V6R-04, MUST-46, MUST-63
	for _, tt := range []struct {
		addr      string
		src, dst  bool // may be on the wire
		multicast bool
	}{
		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, false},
		{"127.0.0.1", false, false, false},
		{"127.255.255.255", false, false, false},
		{"224.0.0.1", false, true, true},
		{"239.255.255.250", false, true, true},
		{"240.0.0.1", false, false, false},
		{"255.255.255.254", false, false, false},
		{"255.255.255.255", false, true, false},
		{"1.0.0.0", true, true, false},
		{"10.90.0.1", true, true, false},
		{"126.255.255.255", true, true, false},
		{"128.0.0.1", true, true, false},
		{"169.254.1.1", true, true, false},
		{"192.168.0.255", true, true, false},
		{"223.255.255.255", true, true, false},
		{"::", false, false, false},
		{"::1", false, false, false},
		{"::10.90.0.1", false, false, false},
		{"ff02::1", false, true, true},
		{"fe80::1", true, true, false},
		{"fd90::1", true, true, false},
		{"100::1", true, true, false},
		{"2001:db8::1", true, true, false},
		{"::1:0:0", true, true, false},
	} {
		a := addr(tt.addr)
		if a.ValidRemote() != tt.src || a.ValidDestination() != tt.dst || a.IsMulticast() != tt.multicast {
			t.Errorf("%s: source %v, destination %v, multicast %v", a, a.ValidRemote(), a.ValidDestination(), a.IsMulticast())
		}
		p := Packet{Src: a, Dst: b6}
		if got := p.Martian() == ReasonNone; got != tt.src {
			t.Errorf("%s as source: %v", a, p.Martian())
		}
		p = Packet{Src: b6, Dst: a}
		if got := p.Martian() == ReasonNone; got != tt.dst {
			t.Errorf("%s as destination: %v", a, p.Martian())
		}
	}
}

func TestAddr(t *testing.T) {
	for _, s := range []string{"0.0.0.0", "10.90.0.2", "::", "fd90::2", "::10.1.2.3", "fe80::1"} {
		n := netip.MustParseAddr(s)
		a := FromNetip(n)
		if a.Netip() != n || a.String() != n.String() || a.Is4() != n.Is4() {
			t.Errorf("%s came back as %v (%v)", s, a.Netip(), a)
		}
		if a.IsUnspecified() != n.IsUnspecified() || a.IsLoopback() != n.IsLoopback() || a.IsLinkLocal() != n.IsLinkLocalUnicast() {
			t.Errorf("%s is misjudged", s)
		}
	}
	if From4([4]byte{10, 90, 0, 1}) != a4 || !addr("::ffff:10.90.0.1").Is4() {
		t.Error("the mapped form is IPv4")
	}
}

func TestReasonNames(t *testing.T) {
	seen := map[string]Reason{}
	for r := range Reason(NumReasons) {
		s := r.String()
		if other, dup := seen[s]; dup || s == "" || s == "unknown" {
			t.Errorf("reason %d is called %q, as is %d", r, s, other)
		}
		seen[s] = r
	}
	if Reason(255).String() != "unknown" {
		t.Error("a reason that does not exist has a name")
	}
}
