package ippkt

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

func addr(s string) Addr { return FromNetip(netip.MustParseAddr(s)) }

var (
	a4, b4 = addr("10.90.0.1"), addr("10.90.0.2")
	a6, b6 = addr("fd90::1"), addr("fd90::2")
)

// unhex decodes hex digits written with blanks.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packet4 builds an IPv4 packet with options, padded to 32 bits, before its payload.
func packet4(h Header, options, payload []byte) []byte {
	if h.Src == (Addr{}) {
		h.Src, h.Dst = a4, b4
	}
	b := h.AppendTo(nil, len(options)+len(payload))
	for b = append(b, options...); len(b)%4 != 0; {
		b = append(b, 0)
	}
	b[0] = 0x40 | byte(len(b)/4)
	n := len(b)
	b = append(b, payload...)
	setLength(b, 4, len(b))
	setChecksum4(b[:n])
	return b
}

// packet6 builds an IPv6 packet; ext is what follows the fixed header.
func packet6(proto uint8, ext []byte) []byte {
	h := Header{Src: a6, Dst: b6, Proto: proto, TTL: 64}
	return append(h.AppendTo(nil, len(ext)), ext...)
}

// mustParse parses what must be acceptable.
func mustParse(t testing.TB, b []byte) Packet {
	t.Helper()
	p, r := Parse(b)
	if r != ReasonNone {
		t.Fatalf("% x\nrefused: %v", b, r)
	}
	return p
}

// pattern returns n octets that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
