package tcpseg

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
	TSVal, TSEcr  uint32
	SACKCount     uint8 // blocks in use in SACK
	SACK          [MaxSACKBlocks]SACKBlock
}

// Blocks returns the SACK blocks in the order they stand on the wire.
func (o *Options) Blocks() []SACKBlock { return o.SACK[:o.SACKCount] }
