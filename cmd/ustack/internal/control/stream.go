package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Event is a line of a trace: see docs/trace.md, and docs/control.md for what is added here.
type Event struct {
	Event   string         `json:"event"`
	Time    time.Time      `json:"time"`
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	Flags   string         `json:"flags"`
	Seq     uint32         `json:"seq"`
	Ack     uint32         `json:"ack"`
	Window  int            `json:"window"`
	Payload int            `json:"payload"`
	Cause   string         `json:"cause"`
	Held    string         `json:"held"`
	Drop    string         `json:"drop"`
	Error   string         `json:"error"`
	State   string         `json:"state"`
	Phase   string         `json:"phase"`
	Cwnd    int            `json:"cwnd"`

	Comment string `json:"comment"`
	Lost    uint64 `json:"lost"` // of event "lost": how many are missing here
}

// LostEvent is the kind of the line that stands for events that are missing.
const LostEvent = "lost"

// Stream is a trace as it comes.
type Stream struct {
	ctx  context.Context
	body io.ReadCloser
	r    *bufio.Reader
}

// Trace begins a trace. It ends with ctx, with Close, or with the server.
func (c *Client) Trace(ctx context.Context, f *Filter) (*Stream, error) {
	body, err := c.get(ctx, "/trace", f.query())
	if err != nil {
		return nil, err
	}
	return &Stream{ctx: ctx, body: body, r: bufio.NewReaderSize(body, 64<<10)}, nil
}

// Next waits for a line and returns it as it came, and what it says. The octets are good until the next call. The error is
// that of the context once it is done, and ErrEnded when the server has gone.
func (s *Stream) Next() ([]byte, Event, error) {
	var e Event
	line, err := s.r.ReadSlice('\n')
	switch {
	case s.ctx.Err() != nil:
		return nil, e, context.Cause(s.ctx)
	case err == bufio.ErrBufferFull:
		return nil, e, fmt.Errorf("a line of the trace has more than %d octets", s.r.Size())
	case err != nil:
		return nil, e, ErrEnded
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, e, fmt.Errorf("a line of the trace is no event: %w", err)
	}
	return line, e, nil
}

// Buffered reports whether Next has a line, or part of one, without waiting.
func (s *Stream) Buffered() bool { return s.r.Buffered() > 0 }

// Close ends the trace.
func (s *Stream) Close() error { return s.body.Close() }
