package sockstat

import (
	"fmt"
	"strconv"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// Info is what ss -i adds: its names where they mean the same, others where they do not. What is not known, or never
// happened, is not there.
func Info(c *control.Conn) string {
	var w words
	w.handshake(c)
	w.times(c)
	w.sizes(c)
	w.octets(c)
	w.rates(c)
	w.waits(c)
	w.receiver(c)
	w.recovery(c)
	return w.b.String()
}

// words gathers them.
type words struct{ b strings.Builder }

func (w *words) add(format string, args ...any) {
	if w.b.Len() > 0 {
		w.b.WriteByte(' ')
	}
	fmt.Fprintf(&w.b, format, args...)
}

func (w *words) addIf(is bool, format string, args ...any) {
	if is {
		w.add(format, args...)
	}
}

// count adds a number that is not 0.
func (w *words) count(name string, n uint64) { w.addIf(n > 0, "%s:%d", name, n) }

func (w *words) handshake(c *control.Conn) {
	w.addIf(c.Timestamps, "ts")
	w.addIf(c.SACK, "sack")
	w.addIf(c.ECN, "ecn")
	w.addIf(c.FastOpen, "fastopen")
	w.add("%s", c.CC)
	w.addIf(c.WindowScale, "wscale:%d,%d", c.SendScale, c.RecvScale)
}

func (w *words) times(c *control.Conn) {
	w.add("rto:%s", millis(c.RTO))
	w.addIf(c.Backoff > 0, "backoff:%d", c.Backoff)
	w.addIf(c.SRTT > 0, "rtt:%s/%s", millis(c.SRTT), millis(c.RTTVar))
	w.addIf(c.DelayedACK > 0, "ato:%s", millis(c.DelayedACK))
}

// sizes are those of segments, and of what ss counts in segments, and the stack in octets.
func (w *words) sizes(c *control.Conn) {
	w.add("mss:%d", c.MSS)
	w.addIf(c.PathMTU > 0, "pmtu:%d", c.PathMTU)
	w.addIf(c.ReceivedMSS > 0, "rcvmss:%d", c.ReceivedMSS)
	if c.MSS <= 0 {
		return
	}
	w.add("cwnd:%d", c.Cwnd/c.MSS)
	if c.SSThresh != nil {
		w.add("ssthresh:%d", *c.SSThresh/c.MSS)
	}
}

func (w *words) octets(c *control.Conn) {
	w.count("bytes_sent", c.BytesSent)
	w.count("bytes_retrans", c.BytesRetransmitted)
	w.count("bytes_acked", c.BytesAcked)
	w.count("bytes_received", c.BytesReceived)
	w.add("supersegs_out:%d supersegs_in:%d", c.SegsOut, c.SegsIn)
	w.add("data_supersegs_out:%d data_supersegs_in:%d", c.DataSegsOut, c.DataSegsIn)
}

func (w *words) rates(c *control.Conn) {
	w.addIf(c.SRTT > 0 && c.Cwnd > 0, "send %s", bits(float64(c.Cwnd)*8/(float64(c.SRTT)/1e6)))
	w.since("lastsnd", c.SinceDataSent)
	w.since("lastrcv", c.SinceDataReceived)
	w.since("lastack", c.SinceReceived)
	w.addIf(c.PacingRate > 0, "pacing_rate %s", bits(float64(c.PacingRate)*8))
	w.addIf(c.DeliveryRate > 0, "delivery_rate %s", bits(float64(c.DeliveryRate)*8))
}

// since adds how long something is ago, in ms, if it ever was.
func (w *words) since(name string, us int64) { w.addIf(us >= 0, "%s:%d", name, us/1000) }

// waits are how long there was something to send, and for how long, and which part of that, sending waited for what.
func (w *words) waits(c *control.Conn) {
	w.addIf(c.Busy > 0, "busy:%dms", c.Busy/1000)
	for _, l := range []struct {
		name string
		us   int64
	}{
		{"rwnd_limited", c.PeerWindowLimited}, {"sndbuf_limited", c.SendBufferLimited}, {"cwnd_limited", c.CwndLimited},
		{"nagle_limited", c.NagleLimited}, {"pacing_limited", c.PacingLimited}, {"recovering", c.Recovering},
	} {
		w.addIf(l.us > 0, "%s:%dms(%.1f%%)", l.name, l.us/1000, 100*float64(l.us)/float64(max(c.Busy, 1)))
	}
	w.addIf(c.Unsent > 0, "notsent:%d", c.Unsent)
}

func (w *words) receiver(c *control.Conn) {
	w.addIf(c.ReceiveRTT > 0, "rcv_rtt:%s", millis(c.ReceiveRTT))
	w.addIf(c.ReceiveSpace > 0, "rcv_ssthresh:%d", c.ReceiveSpace)
	w.addIf(c.MinRTT > 0, "minrtt:%s", millis(c.MinRTT))
	w.addIf(c.HandshakeRTT > 0, "handshake_rtt:%s", millis(c.HandshakeRTT))
	w.count("rcv_ooopack", c.SegsOutOfOrder)
	w.addIf(c.OutOfOrder > 0, "rcv_ooo:%d", c.OutOfOrder)
	w.add("snd_wnd:%d rcv_wnd:%d", c.PeerWindow, c.RecvWindow)
}

func (w *words) recovery(c *control.Conn) {
	w.add("phase:%s inflight:%d", c.Phase, c.InFlight)
	w.addIf(c.Lost > 0, "lost_bytes:%d", c.Lost)
	w.addIf(c.Sacked > 0, "sacked_bytes:%d", c.Sacked)
	w.addIf(c.RetransmittedInFlight > 0, "retrans_bytes:%d", c.RetransmittedInFlight)
	w.count("retransmits", c.Retransmits)
	w.count("rtos", c.RTOs)
	w.count("fast_recoveries", c.FastRecoveries)
	w.count("undone", c.Undone)
	w.count("dsack_dups", c.DSACKs)
	w.count("reord_seen", c.Reorderings)
	w.count("ecn_echoes", c.CongestionEchoes)
	w.count("syn_timeouts", uint64(c.SynTimeouts))
	w.count("window_probes", uint64(c.WindowProbes))
	w.count("keepalive_probes", uint64(c.KeepAliveProbes))
	w.addIf(c.Stalled, "stalled")
	w.addIf(c.SoftError != "", "error:%q", c.SoftError)
}

// millis writes microseconds in milliseconds, as ss does.
func millis(us int64) string { return strconv.FormatFloat(float64(us)/1000, 'g', 6, 64) }

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
