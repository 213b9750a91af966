package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/comntr/comntr"
)

// What was added is always found, however much more than was foreseen; of the rest
// no more than one in fifty.
func TestSlotSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type place struct {
		topic comntr.Hash
		slot  uint64
	}
	some := func(topics int) place {
		var p place
		binary.BigEndian.PutUint64(p.topic[:], mix(uint64(random.IntN(topics))))
		p.slot = random.Uint64()
		return p
	}
	for _, c := range []struct{ foreseen, added, layers int }{
		{0, 0, 1},
		{0, minSlots, 1},
		{0, 10 * minSlots, 5},
		{100_000, 125_000, 1},
		{100_000, 400_000, 3},
	} {
		s := newSlotSet(c.foreseen)
		added := make([]place, c.added)
		for i := range added {
			added[i] = some(250)
			s.add(added[i].topic, added[i].slot)
		}
		for range 2 { // again: nothing grows by it
			for _, p := range added {
				if !s.mayHave(p.topic, p.slot) {
					t.Fatalf("%+v: a slot that was added is not there", c)
				}
				s.add(p.topic, p.slot)
			}
		}
		if len(s.layers) > c.layers {
			t.Errorf("%+v: %d layers", c, len(s.layers))
		}
		wrong := 0
		const asked = 100_000
		for range asked {
			if p := some(500); s.mayHave(p.topic, p.slot) {
				wrong++
			}
		}
		if wrong > asked/50 {
			t.Errorf("%+v: of %d others %d are said to be there", c, asked, wrong)
		}
		t.Logf("%+v: %d layers, of %d others %d", c, len(s.layers), asked, wrong)
	}
}

// A slot is another one in another topic.
func TestSlotSetTopics(t *testing.T) {
	s := newSlotSet(0)
	s.add(comntr.NameHash("a"), 1)
	if !s.mayHave(comntr.NameHash("a"), 1) || s.mayHave(comntr.NameHash("b"), 1) || s.mayHave(comntr.NameHash("a"), 2) {
		t.Error("one slot of one topic was added, and another is there")
	}
}

func BenchmarkSlotSet(b *testing.B) {
	s := newSlotSet(1_000_000)
	topics := make([]comntr.Hash, 250)
	for i := range topics {
		binary.BigEndian.PutUint64(topics[i][:], mix(uint64(i)))
	}
	for i := range uint64(b.N) {
		if !s.mayHave(topics[i%250], mix(i)) {
			s.add(topics[i%250], mix(i))
		}
	}
}
