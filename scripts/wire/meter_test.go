package main

import (
	"testing"

	"ustack/tcpseg"
)

func TestMeter(t *testing.T) {
	const iss = tcpseg.Seq(0xffffff00) // numbers wrap on the way
	tests := []struct {
		name        string
		from, n     int // of a segment, from the first octet of data
		sent, again int64
	}{
		{"in order", 0, 1000, 1000, 0},
		{"an ACK without data", 1000, 0, 1000, 0},
		{"on", 1000, 1000, 2000, 0},
		{"a gap: lost before the relay", 3000, 1000, 3000, 0},
		{"all of it again", 1000, 1000, 4000, 1000},
		{"half of it again", 3500, 1000, 5000, 1500},
		{"the gap, which counts as again: the relay cannot know", 2000, 1000, 6000, 2500},
		{"on after all", 4500, 500, 6500, 2500},
	}
	var m meter
	m.see(&tcpseg.Segment{Header: tcpseg.Header{Seq: iss, Flags: tcpseg.SYN}})
	for _, tt := range tests {
		m.see(&tcpseg.Segment{Header: tcpseg.Header{Seq: iss.Add(1 + tt.from), Flags: tcpseg.ACK}, Payload: make([]byte, tt.n)})
		if m.sent.Load() != tt.sent || m.again.Load() != tt.again {
			t.Errorf("%s: sent %d, again %d, want %d, %d", tt.name, m.sent.Load(), m.again.Load(), tt.sent, tt.again)
		}
	}
	if m.start().IsZero() {
		t.Error("no time of the first segment")
	}
}

// A SYN that is sent again is no data.
func TestMeterSYN(t *testing.T) {
	var m meter
	for range 2 {
		m.see(&tcpseg.Segment{Header: tcpseg.Header{Seq: 7, Flags: tcpseg.SYN}})
	}
	m.see(&tcpseg.Segment{Header: tcpseg.Header{Seq: 8, Flags: tcpseg.ACK}, Payload: make([]byte, 10)})
	if m.sent.Load() != 10 || m.again.Load() != 0 {
		t.Errorf("sent %d, again %d, want 10, 0", m.sent.Load(), m.again.Load())
	}
}
