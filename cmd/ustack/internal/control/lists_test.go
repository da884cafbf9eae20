package control

import (
	"iter"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ustack/stack"
)

// TestLists asks a stack for its listener, for a connection that is being made, and for one that is over.
func TestLists(t *testing.T) {
	r := newRoom(t)
	if l, err := r.client.HalfOpens(t.Context()); err != nil || l.HalfOpen == nil || len(l.HalfOpen) != 0 || l.Time.IsZero() {
		t.Errorf("nothing is half open: %+v, %v", l, err)
	}
	want := Listener{Local: netip.MustParseAddrPort("[::]:80"), BothFamilies: true, Backlog: r.stack.Listeners()[0].Backlog, SynCookies: "auto"}
	if l, err := r.client.Listeners(t.Context()); err != nil || len(l.Listeners) != 1 || l.Listeners[0] != want {
		t.Errorf("%+v, %v, want %+v", l, err, want)
	}
	if st, err := r.client.Stats(t.Context()); err != nil || st.Listeners != 1 || st.Waiting != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	remote := r.near.(*stack.Conn).RemoteAddrPort()
	r.near.Close() // who closes first waits
	r.far.Close()
	var w TimeWaits
	for range 500 {
		var err error
		if w, err = r.client.TimeWaits(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.TimeWait) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(w.TimeWait) != 1 || w.TimeWait[0].Local != netip.MustParseAddrPort("192.0.2.1:80") || w.TimeWait[0].Remote != remote ||
		w.TimeWait[0].Remaining < 50_000_000 || w.TimeWait[0].Remaining > 60_000_000 {
		t.Errorf("%+v: want one from %v for a minute", w, remote)
	}
}

// many is a source with long lists.
type many struct{ *stack.Stack }

func (many) HalfOpens() iter.Seq[stack.HalfOpenInfo] {
	return func(yield func(stack.HalfOpenInfo) bool) {
		for i := range 70_000 {
			local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i >> 16)}), uint16(i))
			if !yield(stack.HalfOpenInfo{Local: local, Remote: netip.MustParseAddrPort("[fd90::1]:1"), Resent: i, Remaining: time.Duration(i) * time.Millisecond}) {
				return
			}
		}
	}
}

// TestLongList: a list of seventy thousand comes whole.
func TestLongList(t *testing.T) {
	r := newRoom(t)
	r.serve(t, NewServer(Config{Engine: "ustack", Device: "test0", Source: many{r.stack}}))
	l, err := r.client.HalfOpens(t.Context())
	if err != nil || len(l.HalfOpen) != 70_000 {
		t.Fatalf("%d, %v", len(l.HalfOpen), err)
	}
	for i, h := range l.HalfOpen {
		if h.Resent != i || h.Local.Port() != uint16(i) || h.Remaining != int64(i)*1000 || h.Remote.Addr() != netip.MustParseAddr("fd90::1") {
			t.Fatalf("%d: %+v", i, h)
		}
	}
}

// TestListsElsewhere: an engine that tells nothing of its connections says so here too.
func TestListsElsewhere(t *testing.T) {
	r := newRoom(t)
	r.serve(t, NewServer(Config{Engine: "gvisor", Device: "test0"}))
	_, errs := r.client.Listeners(t.Context())
	_, half := r.client.HalfOpens(t.Context())
	_, waits := r.client.TimeWaits(t.Context())
	for _, err := range []error{errs, half, waits} {
		if err == nil || !strings.Contains(err.Error(), "engine gvisor") {
			t.Error(err)
		}
	}
}
