package stack

import (
	"testing"
	"unsafe"
)

// A Conn with its TCB fits into the allocator's class of 1,024 octets, less the 8 of its header.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 1016 {
		t.Errorf("a Conn takes %d octets", n)
	}
}
