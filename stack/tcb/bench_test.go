package tcb

import (
	"testing"

	"ustack/tcpseg"
)

// BenchmarkExchange is a request and its answer: a small segment in, a small segment out, its ACK with
// the next request.
func BenchmarkExchange(b *testing.B) {
	t := Accept(1, &Config{LinkMSS: 1460}, &freeList{}, &Handshake{
		Peer: tcpseg.Options{MSS: 1460, SACKPermitted: true, HasTimestamps: true, HasScale: true, Scale: 7}, PeerWindow: 65535, RTT: ms})
	seg := tcpseg.Segment{Header: tcpseg.Header{Flags: tcpseg.ACK | tcpseg.PSH, Window: 500}, Payload: make([]byte, 80)}
	answer := make([]byte, 140)
	var o Out
	now := Time(1)
	b.ReportAllocs()
	for b.Loop() {
		now += ms / 100
		seg.Seq, seg.Ack = t.rcv.nxt, t.snd.nxt
		seg.Options = tcpseg.Options{HasTimestamps: true, TSVal: tsClock(now)}
		t.Input(now, &seg)
		t.Peek()
		t.Discard(now, 80)
		t.Write(now, answer)
		for t.Output(now, &o) {
		}
	}
}

// BenchmarkBulk sends super-segments of 64 KB, each acknowledged by one ACK.
func BenchmarkBulk(b *testing.B) {
	t := Accept(1, &Config{LinkMSS: 1460}, &freeList{}, &Handshake{
		Peer: tcpseg.Options{MSS: 1460, SACKPermitted: true, HasTimestamps: true, HasScale: true, Scale: 10}, PeerWindow: 65535, RTT: ms})
	ack := tcpseg.Segment{Header: tcpseg.Header{Flags: tcpseg.ACK, Window: 4000}}
	data := make([]byte, 64<<10)
	o := Out{Limit: 65000}
	now := Time(1)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		now += ms / 100
		t.WriteShared(now, data)
		for t.Output(now, &o) {
		}
		ack.Seq, ack.Ack = t.rcv.nxt, t.snd.nxt
		ack.Options = tcpseg.Options{HasTimestamps: true, TSVal: tsClock(now)}
		t.Input(now, &ack)
	}
}
