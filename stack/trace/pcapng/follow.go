package pcapng

import (
	"runtime"
	"strconv"

	"ustack/stack/link"
	"ustack/stack/trace"
)

// A turn of Follow takes about 3 ms, and less than the 10 ms after which Go would end it: that is what writing so many octets
// takes, with what each packet costs beside its own.
const (
	turnCost   = 2 << 20
	packetCost = 1000
)

// Follow gives write the packets that r keeps, each with a comment, until r is closed and empty. An error is for Close to
// tell. Where r keeps what a web server tells as well, the packets name the answers that begin and end in them.
func Follow(r *trace.Ring, write func(*Packet) error) {
	var rec trace.Record
	var joiner trace.Joiner
	var names trace.Names
	var lost uint64 // events: not all of them were packets
	done := 0
	for r.Next(&rec) {
		lost += rec.Lost
		joiner.Add(&rec.Event)
		if rec.Pieces == nil {
			continue
		}
		rec.Lost, lost = lost, 0
		joiner.Find(&names, &rec.Event)
		p := PacketOf(&rec)
		p.Names = &names
		write(&p)
		if done += p.Len + packetCost; done > turnCost {
			done = 0
			runtime.Gosched() // a stack with one P shall not wait for the rest
		}
	}
}

// PacketOf returns the packet that a record is about, with what there is to say of it as its comment, and of what is
// missing before it as another. It shares the record's octets.
func PacketOf(rec *trace.Record) Packet {
	p := Packet{Time: rec.Time, Offload: rec.Offload, Pieces: rec.Pieces, Len: rec.Len, Refused: rec.Drop != ""}
	if rec.Kind == trace.PacketOut {
		p.Direction = link.Out
	}
	if rec.Lost > 0 {
		p.Comments = append(p.Comments, strconv.FormatUint(rec.Lost, 10)+" events before this packet are missing: they came too fast")
	}
	p.Comments = append(p.Comments, string(trace.AppendComment(nil, &rec.Event)))
	return p
}
