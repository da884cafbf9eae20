// Package tun opens Linux TUN devices as a link.Link: the fast way with virtio super-segments,
// or plain through github.com/songgao/water. It gives the device its addresses and keeps it
// quiet: no link-local address, no duplicate address detection, no router solicitation.
//
// A device that Open made is gone when the process ends, in whatever way. An existing persistent
// device stays, and Close puts back what Open changed.
//
// A TUN pushes back in neither direction: a write runs the kernel's receive path inside the
// system call and never waits; what the kernel cannot keep for us (txqueuelen packets) it drops,
// which Stats.QueueDrops tells.
package tun

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"ustack/stack/link"
)

// Device is an open TUN device. Its methods may be called from any goroutine.
type Device struct {
	name    string
	index   int
	mtu     int
	virtio  bool
	made    bool // by us: gone with the last descriptor
	offload int  // argument of TUNSETOFFLOAD when on
	notes   []string

	queues []link.Queue
	ends   []*queue // the same queues
	nl     *netlink.Handle
	undo   []func() error
	drops0 uint64 // tx_dropped of an existing device at Open

	mu       sync.Mutex // guards what follows, and TUNSETOFFLOAD
	wanted   bool       // SetGSO
	captured bool       // a packet socket looks on
	closed   bool
	watch    *captureWatch

	gso atomic.Bool // wanted and not captured
}

var _ link.Link = (*Device)(nil)

// Open makes the device, or attaches to an existing one, and brings it up. The error is an
// *Error whose Kind says what is in the way.
func Open(c Config) (*Device, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	nl, err := netlink.NewHandle()
	if err != nil {
		return nil, &Error{Kind: ErrSetup, Detail: "netlink", Err: err}
	}
	d, err := open(&c, nl)
	if err != nil {
		nl.Close()
		return nil, err
	}
	return d, nil
}

func open(c *Config, nl *netlink.Handle) (*Device, error) {
	old, err := existing(nl, c)
	if err != nil {
		return nil, err
	}
	d := &Device{nl: nl, made: old == nil}
	if err := d.conflicts(c); err != nil {
		return nil, err
	}
	if err := d.attach(c, old); err != nil {
		return nil, err
	}
	if err := d.configure(c); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// attach opens the queues, with offloads if that is wanted and possible.
func (d *Device) attach(c *Config, old *netlink.Tuntap) error {
	multi, persistent := c.Queues > 1, false
	if old != nil {
		multi = old.Flags&netlink.TUNTAP_MULTI_QUEUE != 0
		persistent = !old.NonPersist
	}
	var a *attachment
	err := errors.New("not tried")
	if c.Offload != Off {
		a, err = attachVirtio(c.Name, c.Queues, multi)
		if err != nil && !worthPlain(c.Offload, err) {
			return explainAttach(c.Name, err)
		}
		if err != nil {
			d.note("no super-segments (%v): every packet is at most one MTU", err)
		}
	}
	if err != nil {
		if a, err = attachPlain(c.Name, c.Queues, multi, persistent); err != nil {
			return explainAttach(c.Name, err)
		}
	}
	d.name, d.virtio, d.offload, d.wanted = a.name, a.virtio, a.offload, a.virtio
	d.gso.Store(a.virtio)
	for i, fd := range a.fds {
		q, err := newQueue(fd, a.virtio)
		if err != nil {
			(&attachment{fds: a.fds[i+1:]}).close()
			d.Close()
			return &Error{Kind: ErrSetup, Detail: "eventfd", Err: err}
		}
		d.ends = append(d.ends, q)
		d.queues = append(d.queues, q)
	}
	return nil
}

// Name is the interface's name.
func (d *Device) Name() string { return d.name }

// Index is the interface's index.
func (d *Device) Index() int { return d.index }

// Virtio reports whether the device can carry super-segments; GSO, whether it does so now.
func (d *Device) Virtio() bool { return d.virtio }

// Made reports whether Open made the device; false for an existing persistent one.
func (d *Device) Made() bool { return d.made }

// Notes are remarks for the user about how the device was opened, one line each: a fallback, a
// family left out, a setting that was refused.
func (d *Device) Notes() []string { return d.notes }

// Queues returns the queues, as many as Config.Queues said.
func (d *Device) Queues() []link.Queue { return d.queues }

// MTU is the interface's MTU at Open.
func (d *Device) MTU() int { return d.mtu }

// GSO reports whether super-segments and unfinished checksums may be written now.
func (d *Device) GSO() bool { return d.gso.Load() }

// SetGSO switches super-segments, in both directions, while the device is in use; on a plain
// device true gives link.ErrOffload. It stays off while WatchCaptures sees a capture.
func (d *Device) SetGSO(on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if on && !d.virtio {
		return link.ErrOffload
	}
	d.wanted = on
	return d.applyGSO()
}

func (d *Device) setCaptured(yes bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.captured = yes
	return d.applyGSO()
}

// applyGSO tells the kernel. We stop before it does, and start after it.
func (d *Device) applyGSO() error {
	on := d.wanted && !d.captured
	if d.closed || on == d.gso.Load() {
		return nil
	}
	if !on {
		d.gso.Store(false)
		return setOffload(d.ends[0].fd, 0)
	}
	if err := setOffload(d.ends[0].fd, d.offload); err != nil {
		return err
	}
	d.gso.Store(true)
	return nil
}

// Stats returns the counters since Open. QueueDrops is the kernel's tx_dropped.
func (d *Device) Stats() link.Stats {
	var s link.Stats
	for _, q := range d.ends {
		q.addTo(&s)
	}
	if drops, err := d.txDropped(); err == nil {
		s.QueueDrops = drops - d.drops0
	}
	return s
}

func (d *Device) txDropped() (uint64, error) {
	l, err := d.nl.LinkByIndex(d.index)
	if err != nil {
		return 0, err
	}
	if l.Attrs().Statistics == nil {
		return 0, errors.New("no statistics")
	}
	return l.Attrs().Statistics.TxDropped, nil
}

// Close closes the queues. A device that Open made has then disappeared with its addresses and
// routes; an existing one has got back what was changed, as far as the process is still
// permitted to. It must not be called by report of WatchCaptures.
func (d *Device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	watch := d.watch
	d.mu.Unlock()
	if watch != nil {
		watch.stop()
	}
	var errs []error
	if !d.made {
		errs = append(errs, d.restore())
	}
	for _, q := range d.ends {
		errs = append(errs, q.Close())
	}
	if d.made && d.index != 0 {
		d.awaitEnd()
	}
	d.nl.Close()
	return errors.Join(errs...)
}

// awaitEnd waits for a moment until the interface is gone: a system call of a reader or writer
// that was under way may have been the last to hold it.
func (d *Device) awaitEnd() {
	for range 100 {
		if _, err := d.nl.LinkByIndex(d.index); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
