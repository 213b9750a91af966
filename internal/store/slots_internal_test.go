package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// What was added is always found, however much more than was foreseen; of the rest
// no more than one in fifty.
func TestSlotSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(topics int) (p slotPlace) {
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
		added := make([]slotPlace, c.added)
		for i := range added {
			added[i] = some(250)
			s.add(added[i])
		}
		for range 2 { // again: nothing grows by it
			for _, p := range added {
				if !s.mayHave(p) {
					t.Fatalf("%+v: a slot that was added is not there", c)
				}
				s.add(p)
			}
		}
		if len(s.layers) > c.layers {
			t.Errorf("%+v: %d layers", c, len(s.layers))
		}
		wrong := 0
		const asked = 100_000
		for range asked {
			if p := some(500); s.mayHave(p) {
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
	a, b := comntr.NameHash("a"), comntr.NameHash("b")
	s.add(slotPlace{a, 1})
	if !s.mayHave(slotPlace{a, 1}) || s.mayHave(slotPlace{b, 1}) || s.mayHave(slotPlace{a, 2}) {
		t.Error("one slot of one topic was added, and another is there")
	}
}

// What a damaged index says that it has is not made room for: it is found out.
func TestSlotSetOfADamagedIndex(t *testing.T) {
	for _, files := range []int{-1, -1 << 62, 1 << 40, 1 << 62} {
		dir := t.TempDir()
		s, err := Open(dir, comntr.NameHash("reddit"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := comntr.ParseDocument(comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("news")}, []byte("Cool!"))
		if err != nil {
			t.Fatal(err)
		}
		if r := s.AddAll(t.Context(), []*comntr.Document{doc}, ""); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		damaged := *s.topics[doc.Place().Topic]
		damaged.files = files
		if err := s.db.Set(topicKey(keyTopic, damaged.hash), damaged.encode(), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(dir, comntr.NameHash("reddit"), Options{}); err != nil {
			t.Fatalf("%d files: %v", files, err)
		}
		if held, _ := s.Has(doc.Place().Topic, doc.ID()); !held {
			t.Errorf("%d files: the comment is gone", files)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkSlotSet(b *testing.B) {
	s := newSlotSet(1_000_000)
	topics := make([]comntr.Hash, 250)
	for i := range topics {
		binary.BigEndian.PutUint64(topics[i][:], mix(uint64(i)))
	}
	for i := range uint64(b.N) {
		if p := (slotPlace{topics[i%250], mix(i)}); !s.mayHave(p) {
			s.add(p)
		}
	}
}
