package tcb

import (
	"testing"
	"unsafe"
)

// A stack that holds a million connections counts every octet of one.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(TCB{}); n > 832 {
		t.Errorf("a TCB takes %d octets", n)
	}
}
