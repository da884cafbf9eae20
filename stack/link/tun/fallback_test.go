package tun

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"ustack/stack/internal/nstest"
)

// refuser opens a device under a kernel that answers EINVAL to one ioctl, as sandboxes with a
// /dev/net/tun of their own do. Its arguments are the ioctl and the offload mode.
var refuser = nstest.Register("refuser", func(args []string) {
	var request uint32
	fmt.Sscan(args[0], &request)
	if err := refuseIoctl(request); err != nil {
		fmt.Println("seccomp:", err)
		return
	}
	mode, _ := ParseMode(args[1])
	d, err := Open(Config{Offload: mode, HostAddr: host4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	err = d.Queues()[0].Write(linkNone, packet4(stack4, host4.Addr(), 253, nil), noPayload)
	fmt.Println("open", d.Virtio(), d.GSO(), err, d.Notes())
})

// refuseIoctl installs a seccomp filter for the process.
func refuseIoctl(request uint32) error {
	const nr, arg1 = 0, 24 // offsets in struct seccomp_data; the low half of a little-endian arg1
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IOCTL, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: arg1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: request, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Where the kernel has no super-segments, auto falls back to a plain device and says why; on
// says that it cannot.
// req: TUN-03 TUN-04
func TestFallback(t *testing.T) {
	nstest.Require(t)
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the filter is for little-endian machines")
	}
	for request, name := range map[uint32]string{
		unix.TUNSETOFFLOAD:   "TUNSETOFFLOAD",
		unix.TUNSETVNETHDRSZ: "TUNSETVNETHDRSZ",
		unix.TUNSETVNETLE:    "TUNSETVNETLE",
	} {
		run := func(m Mode) string {
			out, err := nstest.Helper(t, refuser, fmt.Sprint(request), m.String()).Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if out := run(Auto); !strings.HasPrefix(out, "open false false <nil> [no super-segments (") || !strings.Contains(out, name) {
			t.Errorf("%s, auto: %s", name, out)
		}
		if out := run(On); !strings.HasPrefix(out, ErrNoVirtio.Error()) || !strings.Contains(out, name) {
			t.Errorf("%s, on: %s", name, out)
		}
		if out := run(Off); !strings.HasPrefix(out, "open false false <nil> []") {
			t.Errorf("%s, off: %s", name, out)
		}
	}
}
