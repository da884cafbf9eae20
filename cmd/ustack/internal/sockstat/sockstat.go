// Package sockstat picks connections and writes them as ss does: what `ustack ss` prints.
package sockstat

import "ustack/cmd/ustack/internal/control"

// stateNames are what ss calls the states of RFC 9293, in its output.
var stateNames = map[string]string{
	"ESTABLISHED": "ESTAB", "SYN-RECEIVED": "SYN-RECV", "CLOSED": "UNCONN",
}

// StateName returns what ss calls the state of c.
func StateName(c *control.Conn) string {
	if name, ok := stateNames[c.State]; ok {
		return name
	}
	return c.State
}
