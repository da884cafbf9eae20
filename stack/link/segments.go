package link

import "encoding/binary"

// maxCountedFlows bounds the memory of exact faults; beyond it the oldest flow is forgotten.
const maxCountedFlows = 1 << 16

// flowKey is one direction of a TCP connection.
type flowKey struct {
	addrs [32]byte
	ports [4]byte
}

type flowCount struct {
	isn        uint32
	data, syns int
}

// segmentCounts counts the data segments and the SYNs of each connection.
type segmentCounts struct {
	flows map[flowKey]flowCount
	order []flowKey // ring, oldest at next once it is full
	next  int
}

func newSegmentCounts() segmentCounts {
	return segmentCounts{flows: make(map[flowKey]flowCount)}
}

// count returns which data segment, or which SYN, of its connection the packet is, from 1; 0 if
// it is none. A SYN with another sequence number starts a new connection.
func (c *segmentCounts) count(b []byte) (data, syn int) {
	addrs, proto, at := transport(b)
	if proto != protoTCP || len(b) < at+20 {
		return 0, 0
	}
	var key flowKey
	copy(key.addrs[:], addrs)
	copy(key.ports[:], b[at:])
	flow, known := c.flows[key]
	const flagsAt, flagSYN = 13, 2
	isSYN, seq := b[at+flagsAt]&flagSYN != 0, binary.BigEndian.Uint32(b[at+4:])
	_, n := tcpData(b)
	switch {
	case isSYN:
		if seq != flow.isn {
			flow = flowCount{isn: seq}
		}
		flow.syns++
		syn = flow.syns
	case n > 0:
		flow.data++
		data = flow.data
	default:
		return 0, 0
	}
	if !known {
		c.remember(key)
	}
	c.flows[key] = flow
	return data, syn
}

func (c *segmentCounts) remember(key flowKey) {
	if len(c.order) < maxCountedFlows {
		c.order = append(c.order, key)
		return
	}
	delete(c.flows, c.order[c.next])
	c.order[c.next] = key
	c.next = (c.next + 1) % maxCountedFlows
}

// tcpData finds the payload of a TCP packet; n is 0 if there is none.
func tcpData(b []byte) (start, n int) {
	_, proto, at := transport(b)
	if proto != protoTCP || len(b) < at+20 {
		return 0, 0
	}
	end := len(b)
	if b[0]>>4 == 4 {
		end = min(end, int(binary.BigEndian.Uint16(b[2:])))
	} else {
		end = min(end, at+int(binary.BigEndian.Uint16(b[4:])))
	}
	start = at + int(b[at+12]>>4)*4
	return start, max(0, end-start)
}
