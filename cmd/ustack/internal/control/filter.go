package control

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ustack/stack/trace"
)

// Filter picks events of a trace. The zero value takes all.
type Filter struct {
	Kinds    []string     // as in Event.Event; none: every kind
	Peer     netip.Prefix // the remote address; zero: any
	Port     uint16       // of either end; 0: any
	Comments bool         // add to each event a text for people
}

// Kinds are the kinds of events that a filter knows.
var Kinds = trace.Kinds()

// query writes the filter as the parameters of /trace.
func (f *Filter) query() url.Values {
	v := url.Values{}
	if len(f.Kinds) > 0 {
		v.Set("kinds", strings.Join(f.Kinds, ","))
	}
	if f.Peer.IsValid() {
		v.Set("peer", f.Peer.String())
	}
	if f.Port != 0 {
		v.Set("port", strconv.Itoa(int(f.Port)))
	}
	if f.Comments {
		v.Set("comments", "true")
	}
	return v
}

// parseFilter reads the parameters of /trace.
func parseFilter(v url.Values) (f Filter, err error) {
	for name, values := range v {
		if len(values) != 1 {
			return f, fmt.Errorf("%s is given %d times", name, len(values))
		}
		if err := f.set(name, values[0]); err != nil {
			return f, fmt.Errorf("%s=%s: %w", name, values[0], err)
		}
	}
	return f, nil
}

func (f *Filter) set(name, value string) (err error) {
	switch name {
	case "kinds":
		f.Kinds, err = parseKinds(value)
	case "peer":
		f.Peer, err = ParsePeer(value)
	case "port":
		f.Port, err = ParsePort(value)
	case "comments":
		if f.Comments, err = strconv.ParseBool(value); err != nil {
			err = fmt.Errorf("want true or false")
		}
	default:
		err = fmt.Errorf("there are kinds, peer, port and comments")
	}
	return err
}

func parseKinds(s string) ([]string, error) {
	kinds := strings.Split(s, ",")
	for _, k := range kinds {
		if !slices.Contains(Kinds, k) {
			return nil, fmt.Errorf("%q: want some of %s", k, strings.Join(Kinds, ","))
		}
	}
	return kinds, nil
}

// ParsePeer reads an address, or a prefix of addresses.
func ParsePeer(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("want an address, or a prefix as 10.90.0.0/24")
	}
	return p.Masked(), nil
}

// ParsePort reads a port that is not 0.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("want a port from 1 to 65535")
	}
	return uint16(n), nil
}

func (f *Filter) takesKind(k trace.Kind) bool {
	return len(f.Kinds) == 0 || slices.Contains(f.Kinds, k.String())
}

// takes reports whether an event is one of those.
func (f *Filter) takes(e *trace.Event) bool {
	switch {
	case !f.takesKind(e.Kind):
		return false
	case f.Peer.IsValid() && !f.Peer.Contains(e.Remote.Addr()):
		return false
	case f.Port != 0 && e.Local.Port() != f.Port && e.Remote.Port() != f.Port:
		return false
	}
	return true
}
