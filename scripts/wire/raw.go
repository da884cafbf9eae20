package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// nap sleeps without telling the runtime, which would give the P to another thread and wake that.
func nap(t *unix.Timespec) {
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0)
}

// discardTCP has the kernel throw away up to n octets that a TCP socket holds; MSG_TRUNC spares the copy.
// It returns how many, 0 at the end of the stream, and EAGAIN if there is none.
func discardTCP(fd, n int) (int, error) {
	got, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
