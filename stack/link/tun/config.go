package tun

import (
	"fmt"
	"net/netip"
	"strings"
)

// Mode is what the command's --offload says.
type Mode int

const (
	Auto Mode = iota // super-segments where the kernel takes them, else plain
	On               // super-segments, or an error
	Off              // every packet at most one MTU, with its own checksum
)

var modes = [...]string{Auto: "auto", On: "on", Off: "off"}

// String returns auto, on or off.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modes[m]
}

// ParseMode is the inverse of String.
func ParseMode(s string) (Mode, error) {
	for m, name := range modes {
		if s == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("offload mode %q: want auto, on or off", s)
}

// Config describes the device to open. The zero value is usable: a virtio TUN ustack0 of 1500
// octets without addresses.
type Config struct {
	Name    string // of the interface, at most 15 octets; "" means ustack0
	MTU     int    // octets, 68–65535, with HostAddr6 at least 1280; 0 means 1500, or what an existing device has
	Queues  int    // 1–256; 0 means 1
	Offload Mode

	// HostAddr and HostAddr6 are the kernel's addresses on the link, with the prefix that
	// it routes to us. The zero Prefix leaves the family out.
	HostAddr, HostAddr6 netip.Prefix
	// Addrs are the addresses that the stack will answer to. They are only checked: no
	// other interface may have one of them.
	Addrs []netip.Addr
}

// Limits of a Config.
const (
	maxName   = 15  // IFNAMSIZ - 1
	maxQueues = 256 // MAX_TAP_QUEUES
	minMTU    = 68
	minMTU6   = 1280
	maxMTU    = 65535
)

// check fills in the defaults.
func (c *Config) check() error {
	if c.Name == "" {
		c.Name = "ustack0"
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	switch {
	case len(c.Name) > maxName || strings.ContainsAny(c.Name, "/: \t\n%") || c.Name == "." || c.Name == "..":
		return configError("device name %q: want 1 to %d characters without space, slash, colon or percent sign", c.Name, maxName)
	case c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU):
		return configError("MTU %d: want %d to %d", c.MTU, minMTU, maxMTU)
	case c.MTU != 0 && c.MTU < minMTU6 && c.HostAddr6.IsValid():
		return configError("MTU %d: IPv6 needs at least %d", c.MTU, minMTU6)
	case c.Queues < 1 || c.Queues > maxQueues:
		return configError("%d queues: want 1 to %d", c.Queues, maxQueues)
	case c.Offload < Auto || c.Offload > Off:
		return configError("offload mode %v", c.Offload)
	case c.HostAddr.IsValid() && !c.HostAddr.Addr().Is4():
		return configError("host address %v is not IPv4", c.HostAddr)
	case c.HostAddr6.IsValid() && (!c.HostAddr6.Addr().Is6() || c.HostAddr6.Addr().Is4In6()):
		return configError("host address %v is not IPv6", c.HostAddr6)
	}
	for _, a := range c.Addrs {
		if a == c.HostAddr.Addr() || a == c.HostAddr6.Addr() {
			return configError("%v is given to the host and to the stack", a)
		}
	}
	return nil
}

// prefixes are the addresses to give to the host.
func (c *Config) prefixes() []netip.Prefix {
	var p []netip.Prefix
	if c.HostAddr.IsValid() {
		p = append(p, c.HostAddr)
	}
	if c.HostAddr6.IsValid() {
		p = append(p, c.HostAddr6)
	}
	return p
}
