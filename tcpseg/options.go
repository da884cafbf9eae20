package tcpseg

import "encoding/binary"

// SACKBlock is one block of a SACK option: [Left, Right) has arrived (RFC 2018).
type SACKBlock struct{ Left, Right Seq }

// MaxSACKBlocks is how many SACK blocks fit into the 40 octets of options;
// beside timestamps only three do.
const MaxSACKBlocks = 4

// Options are the TCP options of a segment, by value so that no segment allocates.
// The zero value is "no options". Unknown options are skipped.
type Options struct {
	MSS           uint16 // 0: absent
	HasScale      bool
	Scale         uint8 // window shift count as sent, may exceed 14 (RFC 7323 §2.3)
	SACKPermitted bool
	HasTimestamps bool
	UserTimeout   UserTimeout // 0: absent
	FastOpen      FastOpen    // left out when encoding if the other options leave no room
	TSVal, TSEcr  uint32
	SACKCount     uint8 // blocks in use in SACK
	SACK          [MaxSACKBlocks]SACKBlock
}

// Blocks returns the SACK blocks in the order they stand on the wire.
func (o *Options) Blocks() []SACKBlock { return o.SACK[:o.SACKCount] }

// Option kinds (RFC 9293 §3.2, RFC 7323, RFC 2018) and the lengths of those that have a fixed one.
const (
	optEOL           = 0
	optNOP           = 1
	optMSS           = 2
	optScale         = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optUserTimeout   = 28
	optFastOpen      = 34

	lenMSS           = 4
	lenScale         = 3
	lenSACKPermitted = 2
	lenTimestamps    = 10
	lenUserTimeout   = 4
	lenSACKBlock     = 8

	maxOptionsLen = MaxHeaderLen - MinHeaderLen
)

// alignedTimestamps is how nearly every segment's options begin: NOP NOP kind length.
const alignedTimestamps = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | lenTimestamps

// parse reads the options in b. An option of a known kind with another kind's
// length is skipped as an unknown one would be; a length that is below 2 or
// points past the end leaves no next option to find, so parsing ends.
func (o *Options) parse(b []byte, syn bool) {
	if len(b) == 12 && binary.BigEndian.Uint32(b) == alignedTimestamps {
		o.setTimestamps(b[4:])
		return
	}
	for len(b) > 0 {
		switch b[0] {
		case optEOL:
			return
		case optNOP:
			b = b[1:]
			continue
		}
		if len(b) < 2 {
			return
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return
		}
		o.parseOne(b[0], b[2:n], syn)
		b = b[n:]
	}
}

// parseOne takes one option: its kind and what follows its length.
func (o *Options) parseOne(kind byte, v []byte, syn bool) {
	switch n := len(v) + 2; kind {
	case optMSS:
		if syn && n == lenMSS {
			o.MSS = binary.BigEndian.Uint16(v)
		}
	case optScale:
		if syn && n == lenScale {
			o.HasScale, o.Scale = true, v[0]
		}
	case optSACKPermitted:
		if syn && n == lenSACKPermitted {
			o.SACKPermitted = true
		}
	case optTimestamps:
		if n == lenTimestamps {
			o.setTimestamps(v)
		}
	case optUserTimeout:
		if n == lenUserTimeout {
			o.setUserTimeout(v)
		}
	case optFastOpen:
		if syn {
			o.FastOpen = NewFastOpen(v)
		}
	case optSACK:
		if len(v) > 0 && len(v)%lenSACKBlock == 0 {
			o.setSACK(v)
		}
	}
}

func (o *Options) setTimestamps(v []byte) {
	o.HasTimestamps = true
	o.TSVal = binary.BigEndian.Uint32(v)
	o.TSEcr = binary.BigEndian.Uint32(v[4:])
}

// setSACK takes the blocks in v, of which the 40 octets of options never hold
// more than MaxSACKBlocks. A second SACK option replaces the first, as in Linux.
func (o *Options) setSACK(v []byte) {
	o.SACK = [MaxSACKBlocks]SACKBlock{}
	o.SACKCount = 0
	for ; len(v) > 0; v = v[lenSACKBlock:] {
		o.SACK[o.SACKCount] = SACKBlock{
			Left:  Seq(binary.BigEndian.Uint32(v)),
			Right: Seq(binary.BigEndian.Uint32(v[4:])),
		}
		o.SACKCount++
	}
}

// Len returns the octets the encoded options take, padding included: a multiple of 4, at most 40.
func (o *Options) Len() int {
	n := o.fixedLen()
	if k := o.fitting(n); k > 0 {
		n += 4 + k*lenSACKBlock
	}
	return n
}

// fixedLen is the length of all options but SACK, each padded to 32 bits as appendTo does.
func (o *Options) fixedLen() int {
	n := o.usualLen()
	if f := o.FastOpen.paddedLen(); n+f <= maxOptionsLen {
		n += f
	}
	return n
}

// usualLen is fixedLen without Fast Open.
func (o *Options) usualLen() int {
	n := 0
	if o.MSS != 0 {
		n += 4
	}
	if o.HasTimestamps {
		n += 12
	} else if o.SACKPermitted {
		n += 4
	}
	if o.HasScale {
		n += 4
	}
	if o.UserTimeout != 0 {
		n += 4
	}
	return n
}

// fitting returns how many SACK blocks go beside fixed octets of other options.
func (o *Options) fitting(fixed int) int {
	return min(int(o.SACKCount), MaxSACKBlocks, (maxOptionsLen-fixed-4)/lenSACKBlock)
}

// appendTo appends the options in the order Linux sends them, each aligned with
// NOPs to 32 bits, so that no padding follows and none is ever other than zero (MUST-69).
func (o *Options) appendTo(b []byte) []byte {
	if o.MSS != 0 {
		b = append(b, optMSS, lenMSS)
		b = binary.BigEndian.AppendUint16(b, o.MSS)
	}
	switch {
	case o.SACKPermitted:
		if !o.HasTimestamps {
			b = append(b, optNOP, optNOP)
		}
		b = append(b, optSACKPermitted, lenSACKPermitted)
	case o.HasTimestamps:
		b = append(b, optNOP, optNOP)
	}
	if o.HasTimestamps {
		b = append(b, optTimestamps, lenTimestamps)
		b = binary.BigEndian.AppendUint32(b, o.TSVal)
		b = binary.BigEndian.AppendUint32(b, o.TSEcr)
	}
	if o.HasScale {
		b = append(b, optNOP, optScale, lenScale, o.Scale)
	}
	if o.UserTimeout != 0 {
		b = append(b, optUserTimeout, lenUserTimeout)
		b = binary.BigEndian.AppendUint16(b, uint16(o.UserTimeout))
	}
	if o.FastOpen.Present && o.usualLen()+o.FastOpen.paddedLen() <= maxOptionsLen {
		b = o.FastOpen.appendTo(b)
	}
	return o.appendSACK(b)
}

func (o *Options) appendSACK(b []byte) []byte {
	k := o.fitting(o.fixedLen())
	if k == 0 {
		return b
	}
	b = append(b, optNOP, optNOP, optSACK, byte(2+k*lenSACKBlock))
	for _, s := range o.SACK[:k] {
		b = binary.BigEndian.AppendUint32(b, uint32(s.Left))
		b = binary.BigEndian.AppendUint32(b, uint32(s.Right))
	}
	return b
}
