package traceview

import (
	"fmt"
	"io"
	"time"

	"ustack/cmd/ustack/internal/control"
)

// Text writes an event a line.
type Text struct {
	w       io.Writer
	start   time.Time
	numbers numbers
}

// NewText writes to w.
func NewText(w io.Writer) *Text { return &Text{w: w} }

// marks stand between our end and the peer's: which way a packet went, or what else it is about.
var marks = map[string]string{
	"in": "←", "out": "→", "held": "‖", "ended": "×", "state": "•", "rtt": "↔", "request": "⇐", "interim": "⇒", "response": "⇒", "response-end": "⇒",
}

// Show writes what e is about:
//
//	0.000408 10.90.0.2:80 → 10.90.0.1:49768 [S.] seq 0 ack 1 · opens the connection
//
// Times count from the first event.
func (t *Text) Show(e *control.Event) error {
	if e.Event == control.LostEvent {
		_, err := fmt.Fprintf(t.w, "… %d events lost\n", e.Lost)
		return err
	}
	if t.start.IsZero() {
		t.start = e.Time
	}
	line := fmt.Sprintf("%9.6f ", e.Time.Sub(t.start).Seconds())
	if e.Local.IsValid() {
		line += fmt.Sprintf("%v %s %v ", e.Local, marks[e.Event], e.Remote)
	} else {
		line += marks[e.Event] + " "
	}
	if e.Flags != "" {
		seq, ack := t.numbers.relative(e)
		line += fmt.Sprintf("[%s] %s · ", e.Flags, span(e, seq, ack))
	}
	if e.Event == "ended" {
		t.numbers.forget(e)
	}
	_, err := fmt.Fprintln(t.w, control.Printable(line+e.Comment))
	return err
}

// span is which octets a segment carries, and which it acknowledges.
func span(e *control.Event, seq, ack uint32) string {
	s := fmt.Sprintf("seq %d", seq)
	if e.Payload > 0 {
		s += fmt.Sprintf(":%d", seq+uint32(e.Payload))
	}
	if hasACK(e) {
		s += fmt.Sprintf(" ack %d", ack)
	}
	return s
}
