package sockstat

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// row is a socket as words, in the columns of ss.
type row struct{ state, recvQ, sendQ, local, remote, info string }

var header = row{"State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", ""}

// Write writes a line a socket, in columns that are as wide as they have to be.
func Write(w io.Writer, p *Page, withHeader bool) error {
	rows := p.rows()
	if withHeader {
		rows = append([]row{header}, rows...)
	}
	var width row // of blanks
	for _, r := range rows {
		width.state = blanks(width.state, r.state)
		width.recvQ = blanks(width.recvQ, r.recvQ)
		width.sendQ = blanks(width.sendQ, r.sendQ)
		width.local = blanks(width.local, r.local)
		width.remote = blanks(width.remote, r.remote)
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s %-*s %-*s %*s %*s %s", len(width.state), r.state, len(width.recvQ), r.recvQ,
			len(width.sendQ), r.sendQ, len(width.local), r.local, len(width.remote), r.remote, r.info)
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// blanks returns as many as the longer of both has.
func blanks(a, b string) string {
	if len(a) < len(b) {
		return strings.Repeat(" ", len(b))
	}
	return a
}

func rowOf(c *control.Conn) row {
	return row{
		state: StateName(c.State), recvQ: strconv.Itoa(c.RecvQueue), sendQ: strconv.Itoa(c.SendQueue),
		local: c.Local.String(), remote: c.Remote.String(), info: Info(c),
	}
}

// Info is what ss -i adds: its names where they mean the same, others where they do not.
func Info(c *control.Conn) string {
	var b strings.Builder
	add := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	addIf := func(is bool, format string, args ...any) {
		if is {
			add(format, args...)
		}
	}
	addIf(c.Timestamps, "ts")
	addIf(c.SACK, "sack")
	addIf(c.ECN, "ecn")
	add("%s", c.CC)
	addIf(c.WindowScale, "wscale:%d,%d", c.SendScale, c.RecvScale)
	add("rto:%s", millis(c.RTO))
	addIf(c.SRTT > 0, "rtt:%s/%s", millis(c.SRTT), millis(c.RTTVar))
	add("mss:%d", c.MSS)
	addSegments(add, c)
	addIf(c.BytesSent > 0, "bytes_sent:%d", c.BytesSent)
	addIf(c.BytesReceived > 0, "bytes_received:%d", c.BytesReceived)
	add("supersegs_out:%d supersegs_in:%d", c.SegsOut, c.SegsIn)
	addIf(c.SRTT > 0 && c.Cwnd > 0, "send %s", bitRate(c))
	addIf(c.Unsent > 0, "notsent:%d", c.Unsent)
	addIf(c.MinRTT > 0, "minrtt:%s", millis(c.MinRTT))
	addIf(c.OutOfOrder > 0, "rcv_ooo:%d", c.OutOfOrder)
	add("snd_wnd:%d rcv_wnd:%d", c.PeerWindow, c.RecvWindow)
	add("phase:%s inflight:%d", c.Phase, c.InFlight)
	addIf(c.Lost > 0, "lost_bytes:%d", c.Lost)
	addIf(c.Sacked > 0, "sacked_bytes:%d", c.Sacked)
	addIf(c.Retransmits > 0, "retransmits:%d", c.Retransmits)
	addIf(c.RTOs > 0, "rtos:%d", c.RTOs)
	addIf(c.FastRecoveries > 0, "fast_recoveries:%d", c.FastRecoveries)
	addIf(c.Stalled, "stalled")
	addIf(c.SoftError != "", "error:%q", c.SoftError)
	return b.String()
}

// addSegments adds what ss counts in segments, and the stack in octets.
func addSegments(add func(string, ...any), c *control.Conn) {
	if c.MSS <= 0 {
		return
	}
	add("cwnd:%d", c.Cwnd/c.MSS)
	if c.SSThresh != nil {
		add("ssthresh:%d", *c.SSThresh/c.MSS)
	}
}

// millis writes microseconds in milliseconds, as ss does.
func millis(us int64) string { return strconv.FormatFloat(float64(us)/1000, 'g', 6, 64) }

// bitRate is what a window of cwnd lets out in a round trip, the "send" of ss.
func bitRate(c *control.Conn) string {
	return bits(float64(c.Cwnd) * 8 / (float64(c.SRTT) / 1e6))
}

// bits writes bits per second as ss does.
func bits(rate float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"Tbps", 1e12}, {"Gbps", 1e9}, {"Mbps", 1e6}, {"Kbps", 1e3}} {
		if rate >= unit.size {
			return strconv.FormatFloat(rate/unit.size, 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(rate, 'f', 0, 64) + "bps"
}
