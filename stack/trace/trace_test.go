package trace

import (
	"testing"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// TestTexts: there is a text for everything that can be told.
func TestTexts(t *testing.T) {
	for c := tcb.CauseSYN; c <= tcb.CauseReset; c++ {
		if causeTexts[c] == "" {
			t.Errorf("no text for cause %v", c)
		}
	}
	for h := tcb.HeldIdle; h <= tcb.HeldMTUProbe; h++ {
		if heldTexts[h] == "" {
			t.Errorf("no text for %v", h)
		}
	}
	for p := tcb.SlowStart; p <= tcb.LossRecovery; p++ {
		if phaseTexts[p] == "" {
			t.Errorf("no text for phase %v", p)
		}
	}
}

// TestReceived: what a segment of the peer brings, and what is acknowledged by one.
func TestReceived(t *testing.T) {
	sack := func(left, right tcpseg.Seq) tcpseg.Options {
		return tcpseg.Options{SACKCount: 1, SACK: [4]tcpseg.SACKBlock{{Left: left, Right: right}}}
	}
	for _, tt := range []struct {
		e    Event
		want string
	}{
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK}}, "ACK"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK}, Acks: 2896}, "ACK · acknowledges 2896 octets"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK, Ack: 1000, Options: sack(2000, 3000)}}, "ACK with SACK"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK, Ack: 1000, Options: tcpseg.Options{SACKCount: 2, SACK: [4]tcpseg.SACKBlock{{Left: 2100, Right: 2200}, {Left: 2000, Right: 3000}}}}},
			"ACK with D-SACK: that had come before"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK, Ack: 5, Options: sack(0xffffff00, 5)}, Acks: 9}, "ACK with D-SACK: that had come before · acknowledges 9 octets"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK}, Payload: 10, Acks: 20}, "data · carries the ACK of 20 octets"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK | tcpseg.FIN}, Payload: 10}, "no more data"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK}, Drop: "tcp-paws", Acks: 0}, "refused: tcp-paws (RFC 7323 §5)"},
		{Event{Segment: &tcpseg.Header{Flags: tcpseg.ACK}, Acks: 1}, "ACK · acknowledges 1 octet"},
		{Event{Kind: PacketOut, Segment: &tcpseg.Header{Flags: tcpseg.ACK}, Cause: tcb.CauseDelayedACK, Acks: 100}, "delayed ACK · acknowledges 100 octets"},
	} {
		if got := string(AppendComment(nil, &tt.e)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestMillis: three digits that count.
func TestMillis(t *testing.T) {
	for ns, want := range map[tcb.Time]string{50_000: " x 0.05 ms", 1_234_567: " x 1.23 ms", 12_345_678: " x 12.3 ms", 212_400_000: " x 212 ms"} {
		if got := string(appendMillis(nil, " x ", ns)); got != want {
			t.Errorf("%d ns: %q, want %q", ns, got, want)
		}
	}
}
