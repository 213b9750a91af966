package store

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// slotSet tells which slots of topics may have comments: all that have had one,
// and one or two in a hundred of the others. A new comment's slot is free, nearly
// always, and to find that out from the index's tables is a look at the filters of
// each. It is of the committer, and of who opens the store.
//
// It is a Bloom filter in blocks of a cache line, 12 bits a slot, 6 of them set,
// and grows by layers, each as large as all before.
type slotSet struct {
	seed   uint64 // so that nobody can choose comments that meet in it
	layers []slotLayer
}

type slotLayer struct {
	blocks [][8]uint64
	room   int // slots that it still takes
}

const (
	slotBits  = 12
	slotBlock = 512 // bits
	slotMarks = 6
	minSlots  = 1 << 14
)

// newSlotSet has room for as many slots as there are comments, and some more.
func newSlotSet(comments int) *slotSet {
	s := &slotSet{seed: rand.Uint64()}
	s.grow(comments + comments/4)
	return s
}

func (s *slotSet) grow(slots int) {
	slots = max(slots, minSlots)
	s.layers = append(s.layers, slotLayer{make([][8]uint64, (slots*slotBits+slotBlock-1)/slotBlock), slots})
}

func (s *slotSet) add(p slotPlace) {
	h := s.hash(p)
	if s.has(h) {
		return
	}
	last := &s.layers[len(s.layers)-1]
	if last.room == 0 {
		slots := 0
		for _, l := range s.layers {
			slots += len(l.blocks) * slotBlock / slotBits
		}
		s.grow(slots)
		last = &s.layers[len(s.layers)-1]
	}
	last.room--
	block := last.block(h)
	for h, n := mix(h), 0; n < slotMarks; h, n = h>>9, n+1 {
		block[h>>6&7] |= 1 << (h & 63)
	}
}

// mayHave is false only for a slot that no comment has had.
func (s *slotSet) mayHave(p slotPlace) bool { return s.has(s.hash(p)) }

func (s *slotSet) has(h uint64) bool {
	marks := mix(h)
next:
	for i := range s.layers {
		block := s.layers[i].block(h)
		for h, n := marks, 0; n < slotMarks; h, n = h>>9, n+1 {
			if block[h>>6&7]&(1<<(h&63)) == 0 {
				continue next
			}
		}
		return true
	}
	return false
}

func (l *slotLayer) block(h uint64) *[8]uint64 {
	at, _ := bits.Mul64(h, uint64(len(l.blocks)))
	return &l.blocks[at]
}

func (s *slotSet) hash(p slotPlace) uint64 {
	return mix(mix(binary.BigEndian.Uint64(p.topic[:])^s.seed) ^ p.slot)
}

// mix is the finalizer of SplitMix64: each bit of the result hangs on all of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
