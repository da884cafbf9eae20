package stack

import (
	"encoding/binary"
	"io"
	"math/bits"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// secrets are the keys of everything an attacker must not be able to guess. They are drawn once
// (RFC 6528 §3: a change would break the order of sequence numbers).
type secrets struct {
	isnKey, labelKey, portKey, cellKey, cookieKey, fastKey sipKey
	seed                                                   uint64
}

func (k *secrets) init(r io.Reader) error {
	var b [104]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	for i, p := range []*sipKey{&k.isnKey, &k.labelKey, &k.portKey, &k.cellKey, &k.cookieKey, &k.fastKey} {
		p[0] = binary.LittleEndian.Uint64(b[16*i:])
		p[1] = binary.LittleEndian.Uint64(b[16*i+8:])
	}
	k.seed = binary.LittleEndian.Uint64(b[96:])
	return nil
}

// random returns a number that does not repeat between boots; the same one each time.
func (k *secrets) random() uint64 { return k.seed }

// isnTick is the period of the ISN clock (RFC 9293 §3.4.1, MUST-8).
const isnTick = 4000 // ns

// isn returns the initial sequence number of a connection that begins now: M + F(flow, secret)
// (RFC 6528 §3), and the offset of its timestamp clock, which is the flow's own for good
// (RFC 7323 §5.4, and RFC 6191 wants it steady over incarnations).
func (k *secrets) isn(key *flowKey, now tcb.Time) (tcpseg.Seq, uint32) {
	h := k.isnKey.flow(key)
	return tcpseg.Seq(uint32(h) + uint32(now/isnTick)), uint32(h >> 32)
}

// label returns random bits of a flow that show nothing of its ISN.
func (k *secrets) label(key *flowKey) uint64 { return k.labelKey.flow(key) }

// sipKey is a key of SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF).
type sipKey [2]uint64

// flow hashes all 36 octets of a key.
func (k sipKey) flow(key *flowKey) uint64 {
	var b [36]byte
	copy(b[:], key.local[:])
	copy(b[16:], key.remote[:])
	binary.BigEndian.PutUint16(b[32:], key.lport)
	binary.BigEndian.PutUint16(b[34:], key.rport)
	return k.sum(b[:])
}

func (k sipKey) sum(b []byte) uint64 {
	s := sipState{
		k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d,
		k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573,
	}
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		s.word(binary.LittleEndian.Uint64(b))
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	s.word(last)
	s[2] ^= 0xff
	for range 4 {
		s.round()
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

type sipState [4]uint64

func (s *sipState) word(m uint64) {
	s[3] ^= m
	s.round()
	s.round()
	s[0] ^= m
}

func (s *sipState) round() {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}
