package tun

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// captureInterval is how often the list of packet sockets is looked at, while packets flow.
const captureInterval = 200 * time.Millisecond

// packetSockets lists the packet sockets of a network namespace: the one of the thread that
// opens it, for good. A descriptor that was opened early stays readable for a process that has
// dropped its privileges.
const packetSockets = "/proc/thread-self/net/packet"

// captureWatch looks for captures on one device.
type captureWatch struct {
	file *os.File
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// WatchCaptures makes the device wire-sized while somebody captures: as long as a packet socket
// takes all protocols, or IP, from this device or from all devices of the network namespace,
// super-segments are off in both directions. report, which may be nil, is told about each change
// on the watching goroutine; err is what the kernel said to the switch. Call it once, before
// privileges are dropped; Close ends it. On a plain device it does nothing.
func (d *Device) WatchCaptures(report func(captured bool, err error)) error {
	if !d.virtio {
		return nil
	}
	file, err := os.Open(packetSockets)
	if err != nil {
		return &Error{Kind: ErrSetup, Detail: "watching for captures", Err: err}
	}
	w := &captureWatch{file: file, quit: make(chan struct{})}
	d.mu.Lock()
	if d.closed || d.watch != nil {
		d.mu.Unlock()
		return file.Close()
	}
	d.watch = w
	d.mu.Unlock()
	w.done.Go(func() { d.watchCaptures(w, report) })
	return nil
}

func (w *captureWatch) stop() {
	w.once.Do(func() { close(w.quit) })
	w.done.Wait()
	w.file.Close()
}

func (d *Device) watchCaptures(w *captureWatch, report func(bool, error)) {
	tick := time.NewTicker(captureInterval)
	defer tick.Stop()
	buf := make([]byte, 16<<10)
	seen, captured := uint64(0), false
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		packets := d.packets()
		if packets == seen {
			continue
		}
		seen = packets
		now, ok := w.look(&buf, d.index)
		if !ok || now == captured {
			continue
		}
		captured = now
		err := d.setCaptured(captured)
		if report != nil {
			report(captured, err)
		}
	}
}

// packets counts what went through, both ways.
func (d *Device) packets() uint64 {
	var n uint64
	for _, q := range d.ends {
		n += q.rxPackets.Load() + q.txPackets.Load()
	}
	return n
}

// look reads the list afresh, growing buf to what it needs.
func (w *captureWatch) look(buf *[]byte, index int) (captured, ok bool) {
	for n := 0; ; {
		m, err := w.file.ReadAt((*buf)[n:], int64(n))
		n += m
		switch err {
		case io.EOF:
			return capturing((*buf)[:n], index), true
		case nil:
			*buf = append(*buf, make([]byte, len(*buf))...)
		default:
			return false, false
		}
	}
}

// capturing reads a /proc/net/packet. Its columns are: sk RefCnt Type Proto Iface R Rmem User
// Inode; Proto in hexadecimal, 0 for a socket that receives nothing; Iface 0 for all devices.
func capturing(list []byte, index int) bool {
	_, rows, _ := bytes.Cut(list, []byte("\n"))
	for row := range bytes.Lines(rows) {
		f := bytes.Fields(row)
		if len(f) < 6 || string(f[5]) != "1" {
			continue
		}
		proto, err := strconv.ParseUint(string(f[3]), 16, 16)
		iface, err2 := strconv.Atoi(string(f[4]))
		if err != nil || err2 != nil || iface != 0 && iface != index {
			continue
		}
		switch proto {
		case ethAll, ethIP, ethIPv6:
			return true
		}
	}
	return false
}

// Protocols of a packet socket that sees our packets (linux/if_ether.h).
const (
	ethAll  = 0x0003
	ethIP   = 0x0800
	ethIPv6 = 0x86dd
)
