package replica_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The ids of these two comments have the same 64 bits of murmur3: a folder
// lists only niceWinner, the smaller one.
const niceWinner, niceLoser = "nice 6ec96a27d28a8054", "nice f3fb553438fde6b9"

func TestPairHasOneSlot(t *testing.T) {
	if a, b := id(niceWinner), id(niceLoser); a.Slot() != b.Slot() || a.Compare(b) >= 0 {
		t.Fatalf("%s and %s are not the pair of these tests", a, b)
	}
}

// A comment whose slot another has is not given up: when the other one goes it
// comes, out of the very nodes that were looked at before. Until then it is
// asked for less and less often. (No test can have an author delete one of the
// pair: nobody finds a pair that is signed. The operator denies it instead.)
func TestTakenSlotIsNotForGood(t *testing.T) {
	for name, comments := range map[string]int{"plain": 20, "sharded": 3600} {
		t.Run(name, func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 1, clock.set)
			a.postMany(comments, 1, "comment")
			loser := a.post("/r/0", niceLoser)
			winner := b.post("/r/0", niceWinner)
			if b.round(a) {
				t.Error("a round says that it is complete without what was refused")
			}
			if n := b.store.Stats().Comments; n != comments+1 {
				t.Errorf("%d comments are there, want %d", n, comments+1)
			}
			if b.folders.Merged(reddit, a.root()) {
				t.Error("the root is marked merged")
			}
			var pauses []time.Duration
			last := clock.now()
			a.cost()
			for range 2000 {
				clock.pass(time.Second)
				if b.round(a) {
					t.Fatal("complete")
				}
				if _, blocks, _ := a.cost(); blocks == 1 {
					pauses = append(pauses, clock.now().Sub(last))
					last = clock.now()
				} else if blocks > 1 {
					t.Fatalf("%d blocks were fetched again", blocks)
				}
			}
			if n := len(pauses); n < 3 || n > 12 || !slices.IsSorted(pauses) {
				t.Errorf("in 2,000 s it was asked for after %v", pauses)
			}
			b.deny(fmt.Sprintf("comment %s\n", winner))
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
