package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ustack/ippkt"
	"ustack/stack/tcb"
)

// modelSpace is how many octets the datagrams of the model may have.
const modelSpace = 65535

// model says what has to become of fragments with an array of octets, and no structure at all.
type model struct {
	octets    [modelSpace]byte
	have      [modelSpace]bool
	fragments []modelFragment
	deadline  tcb.Time
	discarded bool
}

type modelFragment struct {
	from, to int
	more     bool
}

// in returns what is to become of a fragment, countFragmentOverlap for any contradiction, and the
// payload if it is whole now.
func (m *model) in(f modelFragment, payload []byte) (counter, []byte) {
	if m.discarded {
		return countFragmentLate, nil
	}
	verdict := m.judge(f, payload)
	if verdict != countFragments {
		m.discarded = verdict == countFragmentOverlap
		return verdict, nil
	}
	m.fragments = append(m.fragments, f)
	copy(m.octets[f.from:], payload)
	for i := f.from; i < f.to; i++ {
		m.have[i] = true
	}
	end := -1
	for _, g := range m.fragments {
		if !g.more {
			end = g.to
		}
	}
	for i := range max(end, 0) {
		if !m.have[i] {
			return verdict, nil
		}
	}
	if end < 0 {
		return verdict, nil
	}
	return verdict, m.octets[:end]
}

func (m *model) judge(f modelFragment, payload []byte) counter {
	held := false
	for i := f.from; i < f.to; i++ {
		held = held || m.have[i]
	}
	for _, g := range m.fragments {
		if g == f && bytes.Equal(m.octets[f.from:f.to], payload) {
			return countFragmentCopy
		}
		last, other := f, g
		if f.more {
			last, other = g, f
		}
		if !last.more && (other.to > last.to || !other.more && other.to != last.to || other.more && other.to >= last.to) {
			held = true
		}
	}
	if held || len(m.fragments) == reassemblyFragments {
		return countFragmentOverlap
	}
	return countFragments
}

var modelData = [2][]byte{random(1, modelSpace), random(2, modelSpace)}

// compare drives reassembler and model with the fragments that ops describes, five octets each:
// key and flags, offset, length, time to pass.
func compare(t testing.TB, is6 bool, ops []byte) (wholes, discards int) {
	b := newBench(t)
	models := make(map[uint32]*model)
	for ; len(ops) >= 5; ops = ops[5:] {
		b.pass(tcb.Time(ops[4]) * second / 16)
		for id, m := range models {
			if m.deadline <= b.now {
				delete(models, id)
			}
		}
		id, more := uint32(ops[0]&3), ops[0]&4 != 0
		from, n := int(ops[1])*8, int(ops[2])
		if ops[0]&8 == 0 {
			from &= 0x3f // small datagrams meet more often
			n &= 0x1f
		}
		if n = max(n, 1); more {
			n = (n + 7) &^ 7
		}
		if from == 0 && !more {
			continue // an atomic fragment does not come here
		}
		source := modelData[0]
		if ops[0]&0xf0 == 0xf0 {
			source = modelData[1]
		}
		h := with(header(is6, 253), func(h *ippkt.Header) { h.ID = id })
		m := models[id]
		if m == nil {
			m = &model{deadline: b.now + reassemblyTime}
			models[id] = m
		}
		want, payload := m.in(modelFragment{from, from + n, more}, source[from:from+n])
		packet, got := b.in(part(h, source, from, n, more))
		if got == countFragmentEnd || got == countFragmentMany {
			got = countFragmentOverlap
		}
		if payload != nil {
			want = countReassembled
			wholes++
			delete(models, id)
		}
		if got != want {
			t.Fatalf("fragment %d+%d of %d: %s, want %s", from, n, id, counterNames[got], counterNames[want])
		}
		if packet != nil {
			if p := parsed(t, packet); !bytes.Equal(p.Payload, payload) {
				t.Fatalf("datagram %d: %d octets, want these %d", id, len(p.Payload), len(payload))
			}
		}
		if got == countFragmentOverlap {
			discards++
		}
	}
	if len(models) != b.r.all.count {
		t.Fatalf("%d datagrams are pending, want %d", b.r.all.count, len(models))
	}
	return wholes, discards
}

// req: RE4-03 RE4-07 RE4-08 RE4-09 RE4-10 FR6-01 FR6-05 FR6-06
func TestReassemblyModel(t *testing.T) {
	sequences := 3000
	if testing.Short() {
		sequences = 300
	}
	wholes, discards := 0, 0
	for seed := range sequences {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		ops := make([]byte, 5*(5+r.IntN(40)))
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		for i := 0; i < len(ops); i += 5 {
			ops[i+4] &= 7
			if seed%2 == 0 { // no wrong octets and a grid: many become whole
				ops[i] &= 7
				ops[i+1] &= 3
				ops[i+2] = 8
				if ops[i+1] < 3 {
					ops[i] |= 4
				} else {
					ops[i] &^= 4
				}
			}
		}
		n, d := compare(t, seed%4 < 2, ops)
		wholes, discards = wholes+n, discards+d
	}
	if wholes < sequences/2 || discards < sequences {
		t.Errorf("%d datagrams became whole and %d were discarded in %d sequences: the test tests little", wholes, discards, sequences)
	}
}

// req: RE4-03 RE4-07 RE4-08 RE4-09 RE4-12 FR6-05
func FuzzReassembly(f *testing.F) {
	f.Add(false, []byte{4, 0, 8, 0, 0, 0, 1, 8, 0, 0})
	f.Add(true, []byte{4, 0, 8, 0, 0, 4, 0, 16, 0, 200, 0, 1, 8, 0, 0})
	f.Add(true, []byte{0xf4, 0, 8, 0, 0, 4, 0, 8, 0, 0, 12, 255, 255, 0, 255})
	f.Fuzz(func(t *testing.T, is6 bool, ops []byte) {
		if len(ops) > 1000 {
			return
		}
		compare(t, is6, ops)
	})
}

// Every permutation of the fragments of a real cut, whole or with one of them twice, gives the
// packet back; that is the path of Fragment and the reassembler together. req: RE4-03 FR6-11 V4S-11
func TestReassemblyOfFragment(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		is6 := r.IntN(2) == 0
		mtu := 1280 + r.IntN(3000)
		data := random(r.Uint64(), mtu+r.IntN(60000-mtu))
		request := echo(header(is6, 0), echoType(is6), string(data))
		parts := cut(t, request, mtu, r.Uint32())
		order := r.Perm(len(parts))
		order = append(order[:len(order)-1], order[r.IntN(len(order)-1)], order[len(order)-1])
		b := newBench(t)
		for i, k := range order {
			switch whole, verdict := b.in(parts[k]); {
			case i < len(order)-2 && verdict != countFragments, i == len(order)-2 && verdict != countFragmentCopy:
				t.Fatalf("fragment %d: %s", i, counterNames[verdict])
			case i == len(order)-1:
				if p := parsed(t, whole); !bytes.Equal(p.Payload, parsed(t, request).Payload) {
					t.Fatal("other octets came out")
				}
			}
		}
		b.empty()
	}
}
