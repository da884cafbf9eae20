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
