package explain

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Captured is a packet of a capture, from its IP header on.
type Captured struct {
	At       time.Duration // since the first packet
	Length   int           // octets on the link; Data may hold fewer
	Data     []byte
	Comments []string
}

// Cut says how much of the packet is missing; "" if nothing is.
func (c *Captured) Cut() string {
	if n := c.Length - len(c.Data); n > 0 {
		return fmt.Sprintf(", of which the last %d were not captured", n)
	}
	return ""
}

// The first four octets of capture files, in either order of octets.
const (
	magicNg   = 0x0a0d0d0a
	magicPcap = 0xa1b2c3d4
	magicNano = 0xa1b23c4d
)

// IsCapture reports whether a file that starts so is a capture.
func IsCapture(start []byte) bool {
	if len(start) < 4 {
		return false
	}
	big, little := binary.BigEndian.Uint32(start), binary.LittleEndian.Uint32(start)
	magics := []uint32{magicNg, magicPcap, magicNano}
	return slices.Contains(magics, big) || slices.Contains(magics, little)
}

// Capture calls f with each IP packet of a capture, until it returns an error. Frames that carry none are handed over
// as they are.
func Capture(r *bufio.Reader, f func(*Captured) error) error {
	next, err := reader(r)
	if err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	var start time.Time
	for {
		data, info, link, comments, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the capture: %w", err)
		}
		if start.IsZero() {
			start = info.Timestamp
		}
		skip := frameHeader(link, data)
		c := &Captured{At: info.Timestamp.Sub(start), Length: info.Length - skip, Data: data[skip:], Comments: comments}
		if err := f(c); err != nil {
			return err
		}
	}
}

type nextFunc func() ([]byte, gopacket.CaptureInfo, layers.LinkType, []string, error)

// reader returns what reads the packets of either format.
func reader(r *bufio.Reader) (nextFunc, error) {
	start, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(start) != magicNg {
		p, err := pcapgo.NewReader(r)
		if err != nil {
			return nil, err
		}
		return func() ([]byte, gopacket.CaptureInfo, layers.LinkType, []string, error) {
			data, info, err := p.ReadPacketData()
			return data, info, p.LinkType(), nil, err
		}, nil
	}
	ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, err
	}
	return func() ([]byte, gopacket.CaptureInfo, layers.LinkType, []string, error) {
		data, info, options, err := ng.ReadPacketDataWithOptions()
		link := layers.LinkTypeRaw
		if i, e := ng.Interface(info.InterfaceIndex); e == nil {
			link = i.LinkType
		}
		return data, info, link, options.Comments, err
	}, nil
}

// frameHeader returns how many octets stand before the IP header.
func frameHeader(link layers.LinkType, b []byte) int {
	ethernet := func(at int) int {
		for len(b) >= at+2 && be16(b[at:]) == 0x8100 { // a VLAN tag
			at += 4
		}
		return at + 2
	}
	n := 0
	switch link {
	case layers.LinkTypeEthernet:
		n = ethernet(12)
	case layers.LinkTypeLinuxSLL:
		n = 16
	case layers.LinkTypeLinuxSLL2:
		n = 20
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		n = 4
	}
	return min(n, len(b))
}
