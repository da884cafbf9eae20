// Package sockstat picks connections, listeners and what is left of connections, and writes them as ss does: what
// `ustack ss` prints.
package sockstat

// stateNames are what ss calls the states of RFC 9293, in its output.
var stateNames = map[string]string{
	"ESTABLISHED": "ESTAB", "SYN-RECEIVED": "SYN-RECV", "CLOSED": "UNCONN",
}

// StateName returns what ss calls a state.
func StateName(state string) string {
	if name, ok := stateNames[state]; ok {
		return name
	}
	return state
}
