package tcb

import "ustack/tcpseg"

// TCB is one TCP connection (RFC 9293 §3.3.1), pure: no goroutine, lock, clock or socket.
//
// Laws:
//  1. now never goes back.
//  2. After a call that takes now: Output until it returns false, then read Deadline.
//  3. After that Deadline is 0 (never) or in the future.
//  4. Out.Payload is true until the next call.
//  5. No allocation per segment.
//  6. una ≤ nxt; the promised right edge never moves left; every timer is armed exactly when
//     something waits for it.
//  7. A Peek view stays true until Discard.
type TCB struct{}

// Dial opens actively: SYN-SENT. Output has the SYN.
func Dial(now Time, c *Config, d *DialInfo) *TCB { panic("stub") }

// Accept makes a connection of a passive handshake at its third ACK: ESTABLISHED. The segment
// that brought the ACK is then given to Input, which takes its data and FIN.
func Accept(now Time, c *Config, h *Handshake) *TCB { panic("stub") }

// Input takes one segment whose checksum has been verified.
func (t *TCB) Input(now Time, seg *tcpseg.Segment) Result { panic("stub") }

// Output fills o with the next segment to send and returns true, or returns false with o.Held.
func (t *TCB) Output(now Time, o *Out) bool { panic("stub") }

// Expire runs the timers that are due.
func (t *TCB) Expire(now Time) Events { panic("stub") }

// Deadline returns when Expire must be called next; 0: never.
func (t *TCB) Deadline() Time { panic("stub") }

// Write queues p for sending and returns how much of it was taken: less than len(p) when the
// send queue is full (EventWritable follows) or when sending has ended (see WriteErr).
func (t *TCB) Write(now Time, p []byte) int { panic("stub") }

// WriteShared queues p without copying: the caller must never change it. As Write otherwise.
func (t *TCB) WriteShared(now Time, p []byte) int { panic("stub") }

// Reserve returns room for up to n octets at the end of the send queue, in at most two pieces, for a source to
// be read into; nothing may be written before Commit. Empty when the queue is full.
func (t *TCB) Reserve(n int) [2][]byte { panic("stub") }

// Commit queues the first n octets of what Reserve returned; the rest is given back. Between the
// two Input, Output and Expire may be called, but neither Write nor WriteShared.
func (t *TCB) Commit(now Time, n int) { panic("stub") }

// WriteErr returns nil while Write may take data: else ErrWriteClosed after CloseWrite, or the connection's error.
func (t *TCB) WriteErr() error { panic("stub") }

// Writable returns how many octets Write would take now.
func (t *TCB) Writable() int { panic("stub") }

// Peek returns received data in order, in two pieces, without consuming it; there may be more than it shows.
func (t *TCB) Peek() (a, b []byte) { panic("stub") }

// Discard consumes n octets of what Peek showed.
func (t *TCB) Discard(now Time, n int) { panic("stub") }

// Read copies received data to p and consumes it; 0: nothing there (see ReadErr).
func (t *TCB) Read(now Time, p []byte) int { panic("stub") }

// Readable returns how many octets Read could return now.
func (t *TCB) Readable() int { panic("stub") }

// ReadErr says why there is nothing to read: nil (more may come), io.EOF after the peer's FIN, or
// the connection's error. Unread data comes first: ask when Readable is 0.
func (t *TCB) ReadErr() error { panic("stub") }

// CloseWrite ends sending: a FIN follows the queued data (RFC 9293 §3.10.4). Reading goes on.
func (t *TCB) CloseWrite(now Time) { panic("stub") }

// Close ends both directions. Unread data means the peer's data was lost: then a RST is sent (SHLD-3), as
// it is for data that arrives later. Else it is CloseWrite.
func (t *TCB) Close(now Time) Events { panic("stub") }

// Abort ends the connection with a RST (RFC 9293 §3.10.5).
func (t *TCB) Abort(now Time) Events { panic("stub") }

// Set changes the switches that may change on a live connection: Nagle, DelayedACK, ACKEvery,
// NoIdleRestart, RcvBuf, SndBuf, KeepAlive…, UserTimeout, CC.
func (t *TCB) Set(now Time, o *Options) { panic("stub") }

// Options returns the switches in force.
func (t *TCB) Options() Options { panic("stub") }

// SetBudget caps what the receive and send queue may grow to, in octets, when memory is short.
func (t *TCB) SetBudget(rcv, snd int) { panic("stub") }

// State returns the connection state.
func (t *TCB) State() State { panic("stub") }

// Err returns why the connection ended; nil while it lives and after an orderly end.
func (t *TCB) Err() error { panic("stub") }

// Release gives every block back. Call it once the connection is CLOSED, or its TIME-WAIT record
// taken, and nobody reads any more; data still to be read is lost.
func (t *TCB) Release() { panic("stub") }

// Snapshot fills s with the state of the connection.
func (t *TCB) Snapshot(s *Snapshot) { panic("stub") }

// TimeWait returns the compact record that answers for the connection from TIME-WAIT on;
// false in any other state. The TCB may go on serving reads of what has arrived.
func (t *TCB) TimeWait() (TimeWait, bool) { panic("stub") }

// TimeWait is a connection in TIME-WAIT, without buffers.
type TimeWait struct{ deadline Time }

// TimeWaitResult is what a TIME-WAIT record makes of a segment.
type TimeWaitResult struct {
	Reply bool // send the answer that Output gives
	Reuse bool // the segment is a SYN of a new incarnation (RFC 6191): drop the record, treat it as a new SYN with ISS above NextISS
	Drop  Drop
}

// Input takes a segment for a connection in TIME-WAIT.
func (w *TimeWait) Input(now Time, seg *tcpseg.Segment) TimeWaitResult { panic("stub") }

// Output fills o with the ACK that Input asked for.
func (w *TimeWait) Output(now Time, o *Out) { panic("stub") }

// Deadline returns when the record may be forgotten.
func (w *TimeWait) Deadline() Time { return w.deadline }

// NextISS returns the lowest initial sequence number a new incarnation may use.
func (w *TimeWait) NextISS() tcpseg.Seq { panic("stub") }

// HalfOpen is a passive open in SYN-RECEIVED: no buffers, at most 256 octets.
type HalfOpen struct{}

// HalfOpenResult is what a HalfOpen makes of a segment.
type HalfOpenResult uint8

const (
	HalfOpenDrop     HalfOpenResult = iota // refused
	HalfOpenReply                          // Output has something to send (SYN,ACK again, challenge ACK or RST)
	HalfOpenComplete                       // the handshake is complete: Accept(Handshake), then Input this segment
	HalfOpenDead                           // reset: forget it
)

// Passive starts a HalfOpen from a SYN that came to a listener. Output then has the SYN,ACK. Config is what Accept will get.
func Passive(now Time, c *Config, syn *tcpseg.Segment, iss tcpseg.Seq, tsOffset uint32) HalfOpen {
	panic("stub")
}

// Input takes a segment of the flow.
func (h *HalfOpen) Input(now Time, seg *tcpseg.Segment) (HalfOpenResult, Drop) { panic("stub") }

// Output fills o with what is to be sent, once per reason; false: nothing.
func (h *HalfOpen) Output(now Time, o *Out) bool { panic("stub") }

// Expire runs the retransmission timer; false: given up, forget it silently.
func (h *HalfOpen) Expire(now Time) bool { panic("stub") }

// Deadline returns when Expire is due.
func (h *HalfOpen) Deadline() Time { panic("stub") }

// Handshake returns what Accept needs.
func (h *HalfOpen) Handshake() *Handshake { panic("stub") }

// Refuse builds the RST for a segment that belongs to no connection (RFC 9293 §3.10.7.1); false: none may be sent.
func Refuse(seg *tcpseg.Segment, o *Out) bool { panic("stub") }

// Snapshot is the state of a connection at a moment. Octets and nanoseconds.
type Snapshot struct {
	State                                State
	Una, Nxt                             tcpseg.Seq
	SndWnd                               int
	RcvNxt, RcvAdv                       tcpseg.Seq // RcvAdv: the promised right edge
	Cwnd, SSThresh                       int
	InFlight, Sacked, Lost               int // InFlight = Nxt − Una
	SRTT, RTTVar, RTO, MinRTT            Time
	MSS                                  int // payload octets of a full segment as sent now
	SndQueued, RcvQueued, RcvOutOfOrder  int
	SegsIn, SegsOut, BytesIn, BytesOut   uint64
	Retransmits, RTOs, FastRecoveries    uint64
	Phase                                Phase
	Deadline, RexmitAt, PersistAt, AckAt Time // 0: not armed
	SACK, Timestamps                     bool
	SndScale, RcvScale                   uint8
	CC                                   string
}

// Phase is where loss recovery and congestion control stand.
type Phase uint8
