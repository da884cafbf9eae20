package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"ustack/stack/link"
)

const cloneDevice = "/dev/net/tun"

// offloads are the sets to ask the kernel for, best first: what it may hand to us unfinished.
// With TSO_ECN it leaves the segmentation of CWR packets to us, too.
var offloads = [...]int{
	unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN,
	unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6,
}

// attachment is what opening the device's descriptors gave.
type attachment struct {
	fds     []int
	name    string
	virtio  bool
	offload int // accepted by TUNSETOFFLOAD
}

func (a *attachment) close() {
	for _, fd := range a.fds {
		unix.Close(fd)
	}
}

// attachVirtio opens n queues with IFF_VNET_HDR and makes sure that the kernel understands the
// headers: some sandboxes have a /dev/net/tun of their own.
func attachVirtio(name string, n int, multi bool) (*attachment, error) {
	a := &attachment{name: name, virtio: true}
	for range n {
		fd, err := unix.Open(cloneDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			a.close()
			return nil, err
		}
		a.fds = append(a.fds, fd)
		if err := a.setVirtio(fd, multi); err != nil {
			a.close()
			return nil, err
		}
	}
	var refused error
	for _, set := range offloads {
		if refused = setOffload(a.fds[0], set); refused == nil {
			a.offload = set
			break
		}
	}
	if a.offload == 0 {
		a.close()
		return nil, noVirtio("the kernel refuses TUNSETOFFLOAD", refused)
	}
	if err := selfTest(a.fds[0]); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *attachment) setVirtio(fd int, multi bool) error {
	ifr, err := unix.NewIfreq(a.name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return os.NewSyscallError("TUNSETIFF", err)
	}
	a.name = ifr.Name()
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return noVirtio("TUNSETVNETHDRSZ", err)
	}
	if size, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETHDRSZ); err != nil || size != vnetLen {
		return noVirtio(fmt.Sprintf("the kernel's virtio header has %d octets", size), err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1); err != nil {
		return noVirtio("TUNSETVNETLE", err)
	}
	return nil
}

func noVirtio(detail string, err error) error {
	return &Error{Kind: ErrNoVirtio, Detail: detail, Err: err, Hint: "Use --offload auto or --offload off."}
}

func setOffload(fd, set int) error {
	return os.NewSyscallError("TUNSETOFFLOAD", unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, set))
}

// selfTest writes a super-segment of each family that the kernel has to take, and one that it
// has to refuse. The device is down, so that a good one ends in EIO after its header was read;
// should it be up, IP drops it: the IPv4 header has a wrong checksum, the IPv6 one no hop left
// and a source that cannot be.
func selfTest(fd int) error {
	for _, v6 := range []bool{false, true} {
		p := probe(v6)
		if err := sysWrite(fd, p); err != nil && err != unix.EIO {
			return noVirtio("self-test: the kernel refused a super-segment", err)
		}
		const badGSO = 0x7f
		p[1] = badGSO
		if err := sysWrite(fd, p); err != unix.EINVAL {
			return noVirtio("self-test: the kernel did not look at the virtio header", err)
		}
	}
	return nil
}

// probe is a TCP super-segment of two segments behind its virtio header.
func probe(v6 bool) []byte {
	const tcp, mss, payload = 20, 100, 150
	ip, o := 20, link.Offload{NeedsCsum: true, GSO: link.GSOTCPv4, GSOSize: mss, CsumOffset: 16}
	if v6 {
		ip, o.GSO = 40, link.GSOTCPv6
	}
	o.CsumStart, o.HdrLen = uint16(ip), uint16(ip+tcp)
	b := make([]byte, vnetLen+ip+tcp+payload)
	p := b[vnetLen:]
	if v6 {
		p[0], p[6] = 6<<4, unix.IPPROTO_TCP
		binary.BigEndian.PutUint16(p[4:], tcp+payload)
		p[8], p[24] = 0xff, 0xff // a multicast source
	} else {
		p[0], p[9] = 4<<4|5, unix.IPPROTO_TCP
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[10], p[11] = 0xde, 0xad // not its checksum
	}
	p[ip+12] = tcp / 4 << 4
	putVnet((*[vnetLen]byte)(b), &o, p[:ip+tcp])
	return b
}

// attachPlain opens n queues through water, whose files are registered with the runtime's
// netpoller: only the bare descriptors are kept.
func attachPlain(name string, n int, multi, persistent bool) (*attachment, error) {
	a := &attachment{name: name}
	for range n {
		fd, err := openWater(&a.name, multi, persistent)
		if err != nil {
			a.close()
			return nil, err
		}
		a.fds = append(a.fds, fd)
	}
	return a, nil
}

func openWater(name *string, multi, persistent bool) (int, error) {
	// water opens without O_CLOEXEC.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dev, err := water.New(water.Config{
		DeviceType: water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name:       *name,
			MultiQueue: multi,
			Persist:    persistent, // water writes it to the device either way
		},
	})
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	*name = dev.Name()
	file, ok := dev.ReadWriteCloser.(syscall.Conn)
	if !ok {
		return 0, errors.New("water: device without a descriptor")
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return 0, err
	}
	return fd, unix.SetNonblock(fd, true)
}

// explainAttach turns the error of an attachment into words.
func explainAttach(name string, err error) error {
	var typed *Error
	if errors.As(err, &typed) {
		return err
	}
	persist := fmt.Sprintf("sudo ip tuntap add %s mode tun user \"$USER\"", name)
	switch {
	case errors.Is(err, unix.EPERM):
		return &Error{Kind: ErrNotPermitted, Detail: "making or opening " + name + " needs CAP_NET_ADMIN", Err: err,
			Hint: hint("Run it as root, or see it in a namespace of its own without root: ustack demo",
				"Or make a device for yourself once: "+persist)}
	case errors.Is(err, unix.EBUSY):
		return &Error{Kind: ErrBusy, Detail: name + " is in use by another program", Err: err,
			Hint: "Choose another name with --tun, or end the other program (is a ustack running?)."}
	case errors.Is(err, unix.EACCES):
		return &Error{Kind: ErrTUNMode, Detail: cloneDevice + modeOf(cloneDevice) + " is closed to this user", Err: err,
			Hint: hint("Run it as root, or open the device to everybody as most systems do: sudo chmod 0666 "+cloneDevice,
				"(whoever opens it can still make devices only with CAP_NET_ADMIN).")}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &Error{Kind: ErrNoTUN, Detail: cloneDevice + " is not there", Err: err,
			Hint: hint("Load the driver: sudo modprobe tun", "In a container: docker run --device "+cloneDevice+" --cap-add NET_ADMIN …")}
	}
	return &Error{Kind: ErrSetup, Detail: "opening " + name, Err: err}
}

func modeOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (mode %04o)", info.Mode().Perm())
}
