package tun

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ustack/stack/internal/nstest"
	"ustack/stack/link"
)

// A reader that waits is woken by a packet, by Wake and by Close; closing the descriptor alone
// would not wake it. A Wake with nobody waiting ends the next Wait.
// req: TUN-14
func TestWaitWakeClose(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m, HostAddr: host4})
		q := d.Queues()[0]
		waited := make(chan error)
		wait := func() { waited <- q.Wait() }
		expect := func(what string, want error) {
			t.Helper()
			select {
			case err := <-waited:
				if err != want {
					t.Fatalf("%s: Wait = %v, want %v", what, err, want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal(what, "does not end Wait")
			}
		}
		blocked := func() {
			t.Helper()
			select {
			case err := <-waited:
				t.Fatal("Wait returns for no reason:", err)
			case <-time.After(30 * time.Millisecond):
			}
		}
		go wait()
		blocked()
		q.Wake()
		expect("Wake", nil)

		q.Wake()
		go wait()
		expect("an earlier Wake", nil)

		go wait()
		blocked()
		c := listenUDP(t, host4.Addr())
		c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
		expect("a packet", nil)
		receive(t, q, func(*link.Frame) bool { return true })

		go wait()
		blocked()
		d.Close()
		expect("Close", net.ErrClosed)
		if _, err := q.Read(link.NewFrame()); err != net.ErrClosed {
			t.Errorf("Read = %v", err)
		}
		if err := q.Wait(); err != net.ErrClosed {
			t.Errorf("Wait = %v", err)
		}
	})
}

// Close with writers and a reader at work: no packet ends up in another file, nothing hangs.
func TestCloseUnderLoad(t *testing.T) {
	for i := range 20 {
		d := openDevice(t, Config{Name: fmt.Sprint("load", i), HostAddr: host4})
		q := d.Queues()[0]
		done := serve(t, q)
		p := udpPacket(netip.AddrPortFrom(stack4, 9), netip.AddrPortFrom(host4.Addr(), 9), []byte("x"))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for q.Write(linkNone, p, noPayload) != net.ErrClosed {
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		d.Close()
		wg.Wait()
		<-done
		if _, err := net.InterfaceByName(d.Name()); err == nil {
			t.Fatal("the device is still there")
		}
	}
}

// The descriptors of closed queues are given back.
func TestDescriptorsAreGivenBack(t *testing.T) {
	nstest.Require(t)
	count := func() int {
		runtime.GC()
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	before := count()
	for range 20 {
		d, err := Open(Config{HostAddr: host4})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	after := 0
	for range 100 {
		if after = count(); after <= before+2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors open before, %d after", before, after)
}

// Every queue of several delivers, and a flow keeps to the queue that answers it.
// req: TUN-01
func TestSeveralQueues(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		const queues = 3
		d := openDevice(t, Config{Offload: m, Queues: queues, HostAddr: host4})
		if len(d.Queues()) != queues {
			t.Fatalf("%d queues", len(d.Queues()))
		}
		for _, q := range d.Queues() {
			serve(t, q)
		}
		for i := range 60 {
			c := listenUDP(t, host4.Addr())
			for j := range 3 {
				sent := []byte{byte(i), byte(j)}
				if _, err := c.WriteToUDPAddrPort(sent, netip.AddrPortFrom(stack4, 7)); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 10)
				if n, err := c.Read(b); err != nil || !bytes.Equal(b[:n], sent) {
					t.Fatalf("flow %d: %x, %v", i, b[:n], err)
				}
			}
		}
		for i, q := range d.ends {
			if n := q.rxPackets.Load(); n < 20 {
				t.Errorf("queue %d read %d of 180 packets", i, n)
			}
		}
	})
}

// What the kernel cannot keep for us it drops and counts, and the device goes on.
// req: TUN-09 TUN-12
func TestQueueOverflow(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m, HostAddr: host4})
		l, err := d.nl.LinkByIndex(d.index)
		if err != nil || l.Attrs().TxQLen != txQueueLen {
			t.Fatalf("txqueuelen %d, %v", l.Attrs().TxQLen, err)
		}
		c := listenUDP(t, host4.Addr())
		const surplus = 500
		for range txQueueLen + surplus {
			c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
		}
		f, n := link.NewFrame(), 0
		for ok := true; ok; n++ {
			if ok, err = d.Queues()[0].Read(f); err != nil {
				t.Fatal(err)
			}
		}
		n--
		drops := d.Stats().QueueDrops
		if drops == 0 || int(drops)+n != txQueueLen+surplus {
			t.Errorf("read %d, dropped %d of %d", n, drops, txQueueLen+surplus)
		}
		c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
		receive(t, d.Queues()[0], func(*link.Frame) bool { return true })
	})
}

// Nothing is allocated per packet, small or large, copied or gathered.
func TestQueueDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	d := openDevice(t, Config{HostAddr: host4})
	q, f := d.Queues()[0], link.NewFrame()
	c := listenUDP(t, host4.Addr())
	dst := netip.AddrPortFrom(stack4, 7)
	small := udpPacket(netip.AddrPortFrom(stack4, 9), netip.AddrPortFrom(host4.Addr(), 9), make([]byte, 500))
	super, o := superUDP(netip.AddrPortFrom(stack4, 9), netip.AddrPortFrom(host4.Addr(), 9), make([]byte, 30000), 1000)
	n := testing.AllocsPerRun(200, func() {
		if q.Write(linkNone, small[:28], [4][]byte{small[28:]}) != nil || q.Write(o, super[:28], [4][]byte{super[28:]}) != nil {
			t.Error("Write failed")
		}
		c.WriteToUDPAddrPort(nil, dst)
		for {
			ok, _ := q.Read(f)
			if ok {
				break
			}
			q.Wait()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// pinger makes as many round trips as its argument says through a blocking socket, in a process
// of its own as real clients are.
var pinger = nstest.Register("pinger", func(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: 7, Addr: stack4.As4()})
	}
	if err != nil {
		panic(err)
	}
	b := make([]byte, 100)
	for range n {
		if _, err := unix.Write(fd, b[:50]); err != nil {
			panic(err)
		}
		if _, err := unix.Read(fd, b); err != nil {
			panic(err)
		}
	}
})

// BenchmarkEcho measures the round trip from a kernel socket through the device and back.
func BenchmarkEcho(b *testing.B) {
	for _, m := range []Mode{On, Off} {
		b.Run(m.String(), func(b *testing.B) {
			d := openDevice(b, Config{Offload: m, HostAddr: host4})
			serve(b, d.Queues()[0])
			cmd := nstest.Helper(b, pinger, strconv.Itoa(b.N))
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkWrite sends to a port where nobody listens, in packets and in super-datagrams.
func BenchmarkWrite(b *testing.B) {
	d := openDevice(b, Config{HostAddr: host4})
	q := d.Queues()[0]
	setSysctl(b, "ipv4/icmp_ratelimit", "100000")
	src, dst := netip.AddrPortFrom(stack4, 9), netip.AddrPortFrom(netip.MustParseAddr("10.90.0.77"), 9)
	for _, size := range []int{50, 1400, 8000, 60000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p, o := superUDP(src, dst, make([]byte, size), 1400)
			if size <= 1400 {
				o.GSO, o.GSOSize = link.GSONone, 0
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Write(o, p[:28], [4][]byte{p[28:]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
