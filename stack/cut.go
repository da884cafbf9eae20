package stack

import "ustack/tcpseg"

// cut sends the super-segment in sc.out as the packets that a device would make of it (TSO-03 to TSO-11): the
// decisions, and their cost, are those of one segment. It returns the identification of the next packet.
func (q *queue) cut(sc *scratch, key *flowKey, label uint32, id uint16) uint16 {
	o := &sc.out
	rest, left, flags := o.Payload, o.PayloadLen(), o.Flags
	for left > 0 {
		n := min(left, o.GSOSize)
		o.Payload = take(&rest, n)
		if left -= n; left > 0 {
			o.Flags = flags &^ (tcpseg.FIN | tcpseg.PSH)
		} else {
			o.Flags = flags
		}
		id = q.sendPacket(sc, key, label, id)
		o.Seq = o.Seq.Add(n)
		flags &^= tcpseg.CWR
	}
	return id
}

// take removes the first n octets from the front of pieces and returns them.
func take(pieces *[4][]byte, n int) (front [4][]byte) {
	for i := range pieces {
		m := min(n, len(pieces[i]))
		front[i], pieces[i] = pieces[i][:m], pieces[i][m:]
		if n -= m; n == 0 {
			break
		}
	}
	return front
}
