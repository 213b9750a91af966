package replica_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

// The ids of these two comments have the same 64 bits of murmur3: a folder
// lists only niceWinner, the smaller one.
const niceWinner, niceLoser = "nice 6ec96a27d28a8054", "nice f3fb553438fde6b9"

func TestPairHasOneSlot(t *testing.T) {
	if a, b := id(niceWinner), id(niceLoser); a.Slot() != b.Slot() || a.Compare(b) >= 0 {
		t.Fatalf("%s and %s are not the pair of these tests", a, b)
	}
}

// refusing is a store that refuses some comments because their slot is taken,
// as one does that holds a comment which no test can delete: that takes a
// signed one of a pair, and nobody finds these.
type refusing struct {
	replica.Store
	taken map[comntr.Hash]bool
	asked int // how often one of these was to be added
}

func (s *refusing) watch(cfg *replica.Config) {
	s.Store, cfg.Communities[0].Store = cfg.Communities[0].Store, s
}

func (s *refusing) AddAll(ctx context.Context, docs []*comntr.Document, from string) []store.Result {
	results := make([]store.Result, len(docs))
	var rest []*comntr.Document
	for i, d := range docs {
		if s.taken[d.ID()] {
			s.asked++
			results[i].Err = fmt.Errorf("%w: another has it", store.ErrSlotTaken)
		} else {
			rest = append(rest, d)
		}
	}
	added := s.Store.AddAll(ctx, rest, from)
	for i := range docs {
		if results[i].Err == nil {
			results[i], added = added[0], added[1:]
		}
	}
	return results
}

// A comment whose slot another has is not given up: when the other one is
// deleted it comes, out of the very nodes that were looked at before. Until
// then it is asked for less and less often.
func TestTakenSlotIsNotForGood(t *testing.T) {
	for name, comments := range map[string]int{"plain": 20, "sharded": 3600} {
		t.Run(name, func(t *testing.T) {
			w, clock, st := newWorld(t), newClock(), &refusing{taken: map[comntr.Hash]bool{id(niceLoser): true}}
			a, b := w.serve("a", 0), w.serve("b", 1, clock.set, st.watch)
			a.postMany(comments, 1, "comment")
			loser := a.post("/r/0", niceLoser)
			if b.round(a) {
				t.Error("a round says that it is complete without what was refused")
			}
			if n := b.store.Stats().Comments; n != comments {
				t.Errorf("%d comments came, want %d", n, comments)
			}
			if b.folders.Merged(reddit, a.root()) {
				t.Error("the root is marked merged")
			}
			var pauses []time.Duration
			last := clock.now()
			for range 2000 {
				clock.pass(time.Second)
				before := st.asked
				if b.round(a) {
					t.Fatal("complete")
				}
				if st.asked > before {
					pauses = append(pauses, clock.now().Sub(last))
					last = clock.now()
				}
			}
			if n := len(pauses); n < 3 || n > 12 || !slices.IsSorted(pauses) {
				t.Errorf("in 2,000 s it was asked for after %v", pauses)
			}
			delete(st.taken, loser)
			clock.pass(7 * time.Hour)
			if !b.round(a) || !b.has("/r/0", loser) {
				t.Errorf("it did not come when its slot was free:\n%s", b.log)
			}
			if !b.folders.Merged(reddit, a.root()) {
				t.Error("the root is not marked merged")
			}
			checkSame(t, a, b)
		})
	}
}

// When a peer has what has the slot here, nothing is left: its root is marked
// and kept.
func TestPairsComeToAnEnd(t *testing.T) {
	w, clock, f := newWorld(t), newClock(), &watched{}
	a, b := w.serve("a", 0), w.serve("b", 1, clock.set, f.watch)
	a.postMany(3600, 1, "comment")
	a.post("/r/0", niceLoser)
	b.post("/r/0", niceWinner)
	if b.round(a) || b.folders.Merged(reddit, a.root()) || len(f.retained) > 0 {
		t.Error("the root of a peer that lists the loser is marked merged")
	}
	if n := b.replica.Taken(a.as(), reddit); n != 1 {
		t.Errorf("%d comments are remembered for their slots", n)
	}
	if !a.round(b) {
		t.Error("the round back left something")
	}
	if !b.round(a) || !b.folders.Merged(reddit, a.root()) || len(f.retained) != 1 {
		t.Errorf("the root of a peer that has the same is not marked and kept: %v\n%s", f.retained, b.log)
	}
	if n := b.replica.Taken(a.as(), reddit); n != 0 {
		t.Errorf("%d comments are still remembered for their slots", n)
	}
	checkSame(t, a, b)
}
