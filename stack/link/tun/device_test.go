package tun

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"testing"

	"ustack/stack/internal/nstest"
)

// families gives a test both address families, as far as the system has them.
func families(t *testing.T, run func(t *testing.T, host, peer netip.Addr)) {
	t.Run("ip4", func(t *testing.T) { run(t, host4.Addr(), stack4) })
	t.Run("ip6", func(t *testing.T) {
		if !nstest.HasIPv6() {
			t.Skip("IPv6 is disabled on this system")
		}
		run(t, host6.Addr(), stack6)
	})
}

func modesTest(t *testing.T, run func(t *testing.T, m Mode)) {
	for _, m := range []Mode{On, Off} {
		t.Run("offload="+m.String(), func(t *testing.T) { run(t, m) })
	}
}

// The kernel's UDP sockets exchange datagrams of all sizes with the device.
// req: TUN-01 TUN-02 TUN-03 TUN-04 TUN-R01 P2P-01
func TestDatagrams(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m})
		if d.Virtio() != (m == On) || d.GSO() != (m == On) {
			t.Fatalf("Virtio = %v, GSO = %v, notes %q", d.Virtio(), d.GSO(), d.Notes())
		}
		serve(t, d.Queues()[0])
		families(t, func(t *testing.T, host, peer netip.Addr) {
			c := listenUDP(t, host)
			for _, n := range []int{0, 1, 1000, 1452} {
				sent := bytes.Repeat([]byte{byte(n)}, n)
				if _, err := c.WriteToUDPAddrPort(sent, netip.AddrPortFrom(peer, 7)); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 2000)
				k, from, err := c.ReadFromUDPAddrPort(got)
				if err != nil || !bytes.Equal(got[:k], sent) || from.Addr().Unmap() != peer {
					t.Fatalf("%d octets: got %d from %v, %v", n, k, from, err)
				}
			}
		})
		if s := d.Stats(); s.RxPackets < 4 || s.TxPackets < 4 || s.WriteErrors != 0 || s.QueueDrops != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// The real ping gets its answers.
// req: P2P-01 TUN-02
func TestPing(t *testing.T) {
	nstest.Require(t)
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping on this system")
	}
	modesTest(t, func(t *testing.T, m Mode) {
		serve(t, openDevice(t, Config{Offload: m}).Queues()[0])
		families(t, func(t *testing.T, host, peer netip.Addr) {
			for _, size := range []int{0, 56, 1400} {
				out, err := exec.Command("ping", "-c", "3", "-i", "0.01", "-W", "2", "-s", fmt.Sprint(size), peer.String()).CombinedOutput()
				if err != nil || !bytes.Contains(out, []byte(" 0% packet loss")) {
					t.Errorf("ping -s %d: %v\n%s", size, err, out)
				}
			}
		})
	})
}

// Nothing is left of a device after Close.
func TestCloseRemoves(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		d := openDevice(t, Config{Offload: m, Name: "gone0"})
		done := serve(t, d.Queues()[0])
		if _, err := net.InterfaceByName("gone0"); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
		if ifi, err := net.InterfaceByName("gone0"); err == nil {
			t.Errorf("still there: %+v", ifi)
		}
		if err := d.Queues()[0].Write(linkNone, []byte{0x45}, noPayload); err != net.ErrClosed {
			t.Errorf("Write after Close: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// Both addresses of the smallest prefixes work, whichever is whose.
// req: P2P-09
func TestSmallestPrefixes(t *testing.T) {
	nstest.Require(t)
	for _, c := range []struct{ host, peer string }{
		{"10.93.0.0/31", "10.93.0.1"},
		{"10.93.0.1/31", "10.93.0.0"},
		{"fd93::/127", "fd93::1"},
		{"fd93::1/127", "fd93::"},
	} {
		host, peer := netip.MustParsePrefix(c.host), netip.MustParseAddr(c.peer)
		config := Config{HostAddr: host, Addrs: []netip.Addr{peer}}
		if host.Addr().Is6() {
			if !nstest.HasIPv6() {
				continue
			}
			config.HostAddr, config.HostAddr6 = netip.Prefix{}, host
		}
		d := openDevice(t, config)
		serve(t, d.Queues()[0])
		conn := listenUDP(t, host.Addr())
		if _, err := conn.WriteToUDPAddrPort(nil, netip.AddrPortFrom(peer, 7)); err != nil {
			t.Error(c, err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(c, err)
		}
		d.Close()
	}
}
