package tun

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ustack/stack/internal/nstest"
)

// packetSocket opens a capture on the interface, 0 for all, and returns how to end it.
func packetSocket(t testing.TB, proto uint16, index int) func() {
	t.Helper()
	swap := func(v uint16) uint16 { return v<<8 | v>>8 }
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(proto), Ifindex: index})
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { unix.Close(fd) }
}

// A capture on the device or on all devices makes it wire-sized, one elsewhere or of other
// protocols does not; the end of the capture ends that.
func TestWatchCaptures(t *testing.T) {
	d := openDevice(t, Config{Offload: On, HostAddr: host4})
	serve(t, d.Queues()[0])
	changes := make(chan bool, 10)
	if err := d.WatchCaptures(func(captured bool, err error) {
		if err != nil {
			t.Error(err)
		}
		changes <- captured
	}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go traffic(listenUDP(t, host4.Addr()), stop)
	expect := func(what string, captured bool) {
		t.Helper()
		select {
		case got := <-changes:
			if got != captured || d.GSO() == captured {
				t.Errorf("%s: captured = %v, GSO = %v", what, got, d.GSO())
			}
		case <-time.After(2 * time.Second):
			t.Errorf("%s: no change", what)
		}
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	defer packetSocket(t, ethAll, lo.Index)()
	defer packetSocket(t, 0x0806, 0)() // ARP
	for what, index := range map[string]int{"this device": d.Index(), "all devices": 0} {
		start := time.Now()
		end := packetSocket(t, ethAll, index)
		expect(what, true)
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("%s: seen after %v", what, took)
		}
		if err := d.SetGSO(true); err != nil || d.GSO() {
			t.Errorf("SetGSO(true) during a capture: %v, GSO = %v", err, d.GSO())
		}
		end()
		expect(what, false)
	}
	select {
	case c := <-changes:
		t.Errorf("change to %v for no reason", c)
	case <-time.After(2 * captureInterval):
	}
}

func traffic(c *net.UDPConn, stop chan struct{}) {
	c.SetDeadline(time.Time{})
	for {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
			c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
		}
	}
}

// While no packet flows nobody looks.
func TestWatchCapturesSleeps(t *testing.T) {
	d := openDevice(t, Config{Offload: On, HostAddr: host4})
	if err := d.WatchCaptures(nil); err != nil {
		t.Fatal(err)
	}
	defer packetSocket(t, ethAll, 0)()
	time.Sleep(2 * captureInterval)
	if !d.GSO() {
		t.Error("switched without traffic")
	}
}

// watcher opens a device, drops to an ordinary user and then sees a capture come.
var watcher = nstest.Register("watcher", func(args []string) {
	d, err := Open(Config{Name: "watched0", Offload: On, HostAddr: host4})
	seen := make(chan bool, 1)
	if err == nil {
		err = d.WatchCaptures(func(captured bool, err error) { seen <- captured && err == nil })
	}
	if err == nil {
		err = syscall.Setgroups(nil)
	}
	if err == nil {
		err = syscall.Setresgid(65534, 65534, 65534)
	}
	if err == nil {
		err = syscall.Setresuid(65534, 65534, 65534)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	if f, err := os.Open("/proc/1/mem"); err == nil {
		f.Close()
		fmt.Println("still root")
		return
	}
	fmt.Println("ready")
	p := packet4(stack4, host4.Addr(), 253, nil)
	for range 400 {
		select {
		case ok := <-seen:
			_, err := d.txDropped()
			fmt.Println("captured", ok, d.GSO(), err, d.Close())
			return
		case <-time.After(10 * time.Millisecond):
			d.Queues()[0].Write(linkNone, p, noPayload)
		}
	}
	fmt.Println("not seen")
})

// The watch, the switch and the counters outlive the privileges.
func TestWatchCapturesUnprivileged(t *testing.T) {
	nstest.Require(t)
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil || len(strings.Fields(string(m))) < 3 || strings.Fields(string(m))[2] == "1" {
		t.Skip("a user namespace with one user cannot have an ordinary one")
	}
	defer packetSocket(t, ethAll, 0)()
	out, err := nstest.Helper(t, watcher).Output()
	if err != nil || string(out) != "ready\ncaptured true false <nil> <nil>\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCapturing(t *testing.T) {
	const head = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"
	for _, c := range []struct {
		list string
		want bool
	}{
		{"", false},
		{head, false},
		{head + "0000000000000000 3      3    0003   7     1 0      0      12345\n", true},
		{head + "0000000000000000 3      3    0003   0     1 0      0      12345\n", true},
		{head + "0000000000000000 3      2    0800   7     1 0      0      12345\n", true},
		{head + "0000000000000000 3      2    86dd   0     1 0      0      12345\n", true},
		{head + "0000000000000000 3      3    0003   8     1 0      0      12345\n", false},
		{head + "0000000000000000 3      3    0003   7     0 0      0      12345\n", false},
		{head + "0000000000000000 3      3    0000   0     1 0      0      12345\n", false},
		{head + "0000000000000000 3      3    0806   0     1 0      0      12345\n", false},
		{head + "rubbish\n0000000000000000 3 3 zzzz 0 1 0 0 12345\n", false},
		{head + "rubbish\n0000000000000000 3 3 88cc 0 1 0 0 1\n0000000000000000 3 3 0003 7 1 0 0 2\n", true},
	} {
		if got := capturing([]byte(c.list), 7); got != c.want {
			t.Errorf("%q: %v", c.list, got)
		}
	}
}
