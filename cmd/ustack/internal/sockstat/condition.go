package sockstat

import (
	"fmt"
	"net/netip"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// comparisons are the operators of conditions; an operand on the left is less, equal or more than the one on the right.
var comparisons = map[string]func(order int) bool{
	"=": isEqual, "==": isEqual, "eq": isEqual,
	"!=": isOther, "ne": isOther, "neq": isOther,
	"<": func(o int) bool { return o < 0 }, "lt": func(o int) bool { return o < 0 },
	">": func(o int) bool { return o > 0 }, "gt": func(o int) bool { return o > 0 },
	"<=": isAtMost, "le": isAtMost, "leq": isAtMost,
	">=": isAtLeast, "ge": isAtLeast, "geq": isAtLeast,
}

func isEqual(o int) bool   { return o == 0 }
func isOther(o int) bool   { return o != 0 }
func isAtMost(o int) bool  { return o <= 0 }
func isAtLeast(o int) bool { return o >= 0 }

// condition is dst, src, dport or sport, a comparison, and what to compare with.
func (p *parser) condition() (predicate, error) {
	word := p.next()
	end := endOf(word)
	if end == nil {
		return nil, fmt.Errorf("filter: %q: want src, dst, sport or dport, as in `dport = :80` or `dst 10.90.0.1`", word)
	}
	holds, sign := isEqual, "="
	if f, ok := comparisons[p.peek()]; ok {
		holds, sign = f, p.next()
	}
	if p.done() {
		return nil, fmt.Errorf("filter: %s %s what?", word, sign)
	}
	value := p.next()
	if word == "sport" || word == "dport" {
		return portCondition(word, value, end, holds)
	}
	return hostCondition(word, value, sign, end)
}

// endOf returns the end of a socket that a condition is about: nil if word begins none.
func endOf(word string) func(*Socket) netip.AddrPort {
	switch word {
	case "src", "sport":
		return func(s *Socket) netip.AddrPort { return s.Local }
	case "dst", "dport":
		return func(s *Socket) netip.AddrPort { return s.Remote }
	}
	return nil
}

func portCondition(word, value string, end func(*Socket) netip.AddrPort, holds func(int) bool) (predicate, error) {
	port, err := control.ParsePort(strings.TrimPrefix(value, ":"))
	if err != nil {
		return nil, fmt.Errorf("filter: %s %q: %w", word, value, err)
	}
	return func(s *Socket) bool { return holds(int(end(s).Port()) - int(port)) }, nil
}

func hostCondition(word, value, sign string, end func(*Socket) netip.AddrPort) (predicate, error) {
	h, err := parseHost(value)
	if err != nil {
		return nil, fmt.Errorf("filter: %s %q: %w", word, value, err)
	}
	equal, other := comparisons[sign](0), comparisons[sign](1)
	if equal == other || comparisons[sign](-1) != other {
		return nil, fmt.Errorf("filter: %s %s: an address is equal (=) or not (!=)", word, sign)
	}
	return func(s *Socket) bool { return h.matches(end(s)) == equal }, nil
}

// host is a prefix of addresses, a port, or both.
type host struct {
	prefix netip.Prefix // zero: any
	port   uint16       // 0: any
}

func (h host) matches(a netip.AddrPort) bool {
	return (!h.prefix.IsValid() || h.prefix.Contains(a.Addr())) && (h.port == 0 || h.port == a.Port())
}

// parseHost reads ADDRESS, ADDRESS/BITS, with or without :PORT behind, [ADDRESS]:PORT, or :PORT; * is any.
func parseHost(s string) (h host, err error) {
	address, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && (strings.Count(s, ":") == 1 || i > 0 && strings.Contains(s[:i], "]")) {
		address, port = s[:i], s[i+1:]
	}
	address = strings.NewReplacer("[", "", "]", "").Replace(address)
	if address != "" && address != "*" {
		if h.prefix, err = control.ParsePeer(address); err != nil {
			return h, err
		}
	}
	if port != "" && port != "*" {
		h.port, err = control.ParsePort(port)
	}
	return h, err
}
