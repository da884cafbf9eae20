package traceview

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ustack/cmd/ustack/internal/control"
)

// Mermaid writes one connection, the first that it is shown, as a sequence diagram in the language of Mermaid.
type Mermaid struct {
	w       io.Writer
	err     error
	begun   bool
	flow    flow
	start   time.Time
	numbers numbers
	held    string
	over    bool
}

// NewMermaid writes to w.
func NewMermaid(w io.Writer) *Mermaid { return &Mermaid{w: w} }

// Over reports whether the connection has ended: nothing more comes.
func (m *Mermaid) Over() bool { return m.over }

// Show draws e, if it is about the connection. It reports whether it is.
func (m *Mermaid) Show(e *control.Event) (bool, error) {
	switch {
	case m.over:
	case e.Event == control.LostEvent:
		if m.begun {
			m.note("L,R", fmt.Sprintf("… %d events lost", e.Lost))
		}
	case !e.Local.IsValid() || m.begun && flowOf(e) != m.flow:
	default:
		m.begin(e)
		m.draw(e)
		return true, m.err
	}
	return false, m.err
}

// begin writes the head of the diagram, once.
func (m *Mermaid) begin(e *control.Event) {
	if m.begun {
		return
	}
	m.begun, m.flow, m.start = true, flowOf(e), e.Time
	m.printf("sequenceDiagram\n")
	m.printf("    participant R as %v\n", e.Remote)
	m.printf("    participant L as ustack %v\n", e.Local)
	if e.State != "" && e.Event != "state" { // which was told before anybody drew
		m.note("L", e.State)
	}
}

func (m *Mermaid) draw(e *control.Event) {
	switch e.Event {
	case "in":
		m.arrow(e, "R", "L")
	case "out":
		m.arrow(e, "L", "R")
	case "held":
		m.pause(e)
	case "state", "rtt", "request", "interim", "response", "response-end":
		m.note("L", what(e))
	case "ended":
		m.note("L", what(e))
		m.over = true
	}
}

// arrow draws a segment; one that is refused ends in a cross.
func (m *Mermaid) arrow(e *control.Event, from, to string) {
	m.held = ""
	head := "->>"
	if e.Drop != "" {
		head = "-x"
	}
	seq, ack := m.numbers.relative(e)
	text := fmt.Sprintf("%s %s, %s", e.Time.Sub(m.start).Round(time.Microsecond), what(e), span(e, seq, ack))
	if e.Event == "out" && e.Payload > 0 && e.State != "" {
		text += fmt.Sprintf(", cwnd %d", e.Cwnd)
	}
	m.printf("    %s%s%s: %s\n", from, head, to, plain(text))
}

// pause notes what the sender waits for, once in a row. That there is nothing to send is no news in a diagram.
func (m *Mermaid) pause(e *control.Event) {
	if e.Held != "idle" && e.Held != m.held {
		m.note("L", what(e))
	}
	m.held = e.Held
}

// Cut notes that the diagram stops before the connection has ended.
func (m *Mermaid) Cut(why string) error {
	if m.begun && !m.over {
		m.note("L,R", why)
	}
	return m.err
}

func (m *Mermaid) note(over, text string) { m.printf("    Note over %s: %s\n", over, plain(text)) }

func (m *Mermaid) printf(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

// what is the comment of an event without the state of the connection.
func what(e *control.Event) string {
	text, _, _ := strings.Cut(e.Comment, " · ")
	return text
}

// plain takes out what means something in Mermaid.
func plain(s string) string {
	return strings.NewReplacer(";", ",", "#", "", "%%", "%", "\n", " ").Replace(control.Printable(s))
}
