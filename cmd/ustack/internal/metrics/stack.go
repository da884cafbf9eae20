package metrics

import (
	"strconv"

	"ustack/stack"
	"ustack/stack/tcb"

	"github.com/prometheus/client_golang/prometheus"
)

// What a stack counts. The values of the labels are the names in stack.Stats.
var (
	packetsReceived = counterOf("ustack_packets_received_total", "IP packets that the stack has taken from its links; a super-segment is one.")
	drops           = counterOf("ustack_drops_total", "Packets and segments that were refused in whole or in part.", "reason")
	events          = counterOf("ustack_events_total", "What else has happened: fragments, SYN cookies, messages of ICMP.", "event")
	segmentsIn      = counterOf("ustack_tcp_segments_received_total", "TCP segments received; a super-segment is one.")
	segmentsOut     = counterOf("ustack_tcp_segments_sent_total", "TCP segments sent, by why; a super-segment that the device cuts is one.", "cause")
	retransmissions = counterOf("ustack_tcp_retransmissions_total", "TCP segments sent again, for whatever cause; a super-segment that the device cuts is one.")
	connections     = gaugeOf("ustack_tcp_connections", "TCP connections, half-open ones and those in TIME-WAIT included.", "state")
	memoryUsed      = gaugeOf("ustack_memory_used_bytes", "Octets in the queues of all connections.")
	memoryBudget    = gaugeOf("ustack_memory_budget_bytes", "Octets that the queues of all connections may hold.")

	linkReceivedPackets = counterOf("ustack_link_received_packets_total", "Packets read from a link.", "link")
	linkReceivedBytes   = counterOf("ustack_link_received_bytes_total", "Octets read from a link.", "link")
	linkSentPackets     = counterOf("ustack_link_sent_packets_total", "Packets written to a link.", "link")
	linkSentBytes       = counterOf("ustack_link_sent_bytes_total", "Octets written to a link.", "link")
	linkWriteErrors     = counterOf("ustack_link_write_errors_total", "Packets that a link refused to take.", "link")
	linkQueueDrops      = counterOf("ustack_link_queue_drops_total", "Packets that were lost on their way to us because the queue of the link was full.", "link")
)

// stackCollector collects what a stack counts.
type stackCollector struct{ stack *stack.Stack }

// Describe describes each metric.
func (c stackCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range []metric{
		packetsReceived, drops, events, segmentsIn, segmentsOut, retransmissions, connections, memoryUsed, memoryBudget,
		linkReceivedPackets, linkReceivedBytes, linkSentPackets, linkSentBytes, linkWriteErrors, linkQueueDrops,
	} {
		ch <- m.desc
	}
}

// ownMetric are the counters of Stats.Counters that have a metric of their own; the rest are events.
var ownMetric = map[string]metric{"packets-in": packetsReceived, "tcp-segments-in": segmentsIn}

// summed is a counter that another metric adds up to.
const summed = "tcp-segments-out"

// Collect looks at the stack.
func (c stackCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.stack.Stats()
	drops.sendAll(ch, st.Drops)
	segmentsOut.sendAll(ch, st.Sent)
	retransmissions.send(ch, float64(st.Resent()))
	for name, m := range ownMetric {
		m.send(ch, float64(st.Counters[name]))
	}
	for name, n := range st.Counters {
		if _, own := ownMetric[name]; !own && name != summed {
			events.send(ch, float64(n), name)
		}
	}
	c.collectConnections(ch, &st)
	memoryUsed.send(ch, float64(st.MemoryUsed))
	memoryBudget.send(ch, float64(st.MemoryBudget))
	for i, l := range st.Links {
		link := strconv.Itoa(i)
		linkReceivedPackets.send(ch, float64(l.RxPackets), link)
		linkReceivedBytes.send(ch, float64(l.RxBytes), link)
		linkSentPackets.send(ch, float64(l.TxPackets), link)
		linkSentBytes.send(ch, float64(l.TxBytes), link)
		linkWriteErrors.send(ch, float64(l.WriteErrors), link)
		linkQueueDrops.send(ch, float64(l.QueueDrops), link)
	}
}

// collectConnections counts the connections of each state. A passive SYN-RECEIVED and TIME-WAIT are records, not
// connections: the stack counts them.
func (c stackCollector) collectConnections(ch chan<- prometheus.Metric, st *stack.Stats) {
	var inState [tcb.TimeWaiting + 1]int
	for _, conn := range c.stack.Conns() {
		inState[conn.Info().State]++
	}
	inState[tcb.SynReceived] += st.HalfOpen
	inState[tcb.TimeWaiting] += st.TimeWait
	for state, n := range inState {
		if s := tcb.State(state); s != tcb.Closed {
			connections.send(ch, float64(n), s.String())
		}
	}
}
