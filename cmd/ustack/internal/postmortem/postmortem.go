// Package postmortem keeps the last packets of each connection, and writes them to a file of their own when a connection
// dies: by a reset, a time-out, or because an end has given up.
package postmortem

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ustack/cmd/ustack/internal/latest"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
)

const (
	// MaxPackets is the most that may be kept of one connection.
	MaxPackets = 4096
	// keptPackets is how many are kept of all: so many connections, divided by how many each may have.
	keptPackets = 64 << 10
	// maxFiles is where the writing ends.
	maxFiles = 1000
)

// Config of a Keeper.
type Config struct {
	Packets int                                       // of each connection, 1 to MaxPackets
	Options pcapng.Options                            // of each file; the comment is the Keeper's
	Create  func(name string) (io.WriteCloser, error) // makes a file
	Note    func(format string, args ...any)          // tells people what they should know
}

// Keeper keeps packets of the connections that have been busy last. Its memory is bounded.
type Keeper struct {
	config Config
	flows  map[key]*list.Element // of *flow
	recent *list.List            // the flow with the latest packet first
	spare  []*flow
	limit  int    // flows
	lost   uint64 // events, so far
	files  int
	failed bool
	joiner trace.Joiner
}

// key is a connection.
type key struct{ local, remote netip.AddrPort }

// flow is what is kept of a connection.
type flow struct {
	key
	packets latest.List[*packet]
	lost    uint64 // Keeper.lost at the last one
}

// packet is a record with octets of its own.
type packet struct {
	trace.Record
	octets []byte
	names  trace.Names
}

// New makes a Keeper.
func New(c Config) *Keeper {
	return &Keeper{config: c, flows: make(map[key]*list.Element), recent: list.New(), limit: keptPackets / c.Packets}
}

// Follow keeps what comes through r, until it is closed and empty.
func (k *Keeper) Follow(r *trace.Ring) {
	var rec trace.Record
	for r.Next(&rec) {
		k.add(&rec)
	}
}

func (k *Keeper) add(rec *trace.Record) {
	k.lost += rec.Lost
	name := key{rec.Local, rec.Remote}
	if rec.Kind == trace.Ended { // it names answers that the joiner is about to forget
		k.end(name, rec)
	}
	k.joiner.Add(&rec.Event)
	if rec.Pieces != nil && rec.Local.IsValid() {
		k.flow(name).add(rec, k)
	}
}

// flow returns the flow of that name as the most recent one. Where there are too many the one that has been quiet for the
// longest goes.
func (k *Keeper) flow(name key) *flow {
	if e := k.flows[name]; e != nil {
		k.recent.MoveToFront(e)
		return e.Value.(*flow)
	}
	if k.recent.Len() >= k.limit {
		k.forget(k.recent.Back())
	}
	var f *flow
	if n := len(k.spare); n > 0 {
		f, k.spare = k.spare[n-1], k.spare[:n-1]
	} else {
		f = &flow{packets: latest.New[*packet](k.config.Packets)}
	}
	f.key, f.lost = name, k.lost
	k.flows[name] = k.recent.PushFront(f)
	return f
}

// forget gives the memory of a flow to the next.
func (k *Keeper) forget(e *list.Element) {
	f := k.recent.Remove(e).(*flow)
	delete(k.flows, f.key)
	f.packets.Clear()
	k.spare = append(k.spare, f)
}

// add keeps a packet, in the place of the oldest if there are enough.
func (f *flow) add(rec *trace.Record, k *Keeper) {
	place := f.packets.Place()
	if *place == nil {
		*place = new(packet)
	}
	p := *place
	p.Set(rec)
	p.octets = append(p.octets[:0], rec.Pieces[0]...)
	p.Pieces[0] = p.octets
	p.Lost, f.lost = k.lost-f.lost, k.lost
	k.joiner.Find(&p.names, &rec.Event)
}

// deaths are the ends that are worth a file, and what they are called in its name.
var deaths = []struct {
	err  error
	name string
}{{tcb.ErrReset, "reset"}, {tcb.ErrRefused, "refused"}, {tcb.ErrTimeout, "timeout"}, {tcb.ErrAborted, "aborted"}}

// end writes what is kept of a connection, if it did not end in order, and forgets it.
func (k *Keeper) end(name key, rec *trace.Record) {
	e := k.flows[name]
	if e == nil {
		return
	}
	for _, d := range deaths {
		if errors.Is(rec.Err, d.err) {
			k.bury(e.Value.(*flow), d.name, rec)
			break
		}
	}
	k.forget(e)
}

// bury writes a file, unless there are enough.
func (k *Keeper) bury(f *flow, why string, rec *trace.Record) {
	switch {
	case k.failed:
		return
	case k.files == maxFiles:
		k.failed = true
		k.config.Note("%d connections have died and are in files: no more are written", maxFiles)
		return
	}
	k.files++
	if err := k.write(f, fileName(f.key, why, rec.Time), rec); err != nil {
		k.failed = true
		k.config.Note("the packets of a connection that died cannot be written, nor those of the next: %v", err)
	}
}

func (k *Keeper) write(f *flow, name string, rec *trace.Record) error {
	file, err := k.config.Create(name)
	if err != nil {
		return err
	}
	o := k.config.Options
	o.Comment = k.epitaph(f, rec)
	w, err := pcapng.NewWriter(file, o)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	for kept := range f.packets.All() {
		p := pcapng.PacketOf(&(*kept).Record)
		p.Names = &(*kept).names
		w.Write(&p) // Close returns the first error
	}
	return errors.Join(w.Close(), file.Close())
}

// epitaph says of whom a file is, and why, and which answers the peer has not had whole.
func (k *Keeper) epitaph(f *flow, rec *trace.Record) string {
	s := fmt.Sprintf("%v to %v: %s", f.remote, f.local, trace.AppendComment(nil, &rec.Event))
	if open := k.joiner.AppendOpen(nil, &rec.Event); len(open) > 0 {
		s += "; not acknowledged: " + string(open)
	}
	if n := f.packets.Forgotten(); n > 0 {
		s += "; " + strconv.FormatUint(n, 10) + " packets before these are forgotten"
	}
	return s
}

// fileName names a file by the ends of the connection, the peer first, what became of it, and when. Colons are for drives
// and hosts elsewhere: those of IPv6 become underscores.
func fileName(f key, why string, at time.Time) string {
	name := fmt.Sprintf("%v-%d-%v-%d-%s-%s.pcapng", f.remote.Addr(), f.remote.Port(), f.local.Addr(), f.local.Port(), why,
		at.UTC().Format("20060102T150405.000000Z"))
	return strings.ReplaceAll(name, ":", "_")
}
