package pcapng

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Name is what a reader of the capture shall call an address.
type Name struct {
	Addr netip.Addr
	Name string
}

// The block that holds names, and its records: section 4.4 of the pcapng specification. NgWriter does not write it.
const (
	blockNames = 4
	recordEnd  = 0
	recordIPv4 = 1
	recordIPv6 = 2
	maxName    = 255 // as long as a domain name gets
)

// appendNames appends the block with names; nothing if there are none.
func appendNames(b []byte, names []Name) []byte {
	if len(names) == 0 {
		return b
	}
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, blockNames)
	b = le.AppendUint32(b, 0) // the length is known at the end
	for _, n := range names {
		kind, addr := uint16(recordIPv6), n.Addr.AsSlice()
		if n.Addr.Is4() {
			kind = recordIPv4
		}
		size := len(addr) + len(n.Name) + 1
		b = le.AppendUint16(b, kind)
		b = le.AppendUint16(b, uint16(size))
		b = append(append(append(b, addr...), n.Name...), 0)
		b = append(b, make([]byte, -size&3)...)
	}
	b = le.AppendUint32(b, recordEnd)
	length := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], length)
	return le.AppendUint32(b, length)
}

// checkNames refuses what the block cannot hold.
func checkNames(names []Name) error {
	for _, n := range names {
		if !n.Addr.IsValid() || n.Name == "" || len(n.Name) > maxName || strings.ContainsRune(n.Name, 0) {
			return fmt.Errorf("pcapng: %v cannot be called %q", n.Addr, n.Name)
		}
	}
	return nil
}
