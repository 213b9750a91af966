package replica_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/comntr/comntr/internal/replica"
)

// refused are those of counters that are not 0.
func refused(c replica.Counters) map[string]uint64 {
	out := map[string]uint64{}
	for _, r := range c.Refused {
		if r.Count > 0 {
			out[r.Reason] = r.Count
		}
	}
	return out
}

// TestCounters: what rounds bring and what is not taken of it, by reason.
func TestCounters(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(c *replica.Config) { c.Budget.Files = 14 })
	a.postMany(10, 2, "comment")
	if !b.round(a) {
		t.Fatal("not merged")
	}
	c := b.replica.Counters()
	if c.Rounds != 1 || c.FailedRounds != 0 || c.RoundTime.Count() != 1 || c.RoundTime.Sum <= 0 || c.Leaves != 10 || c.Created != 10 || c.Nodes != 3 || c.Bytes < 10*10 || len(refused(c)) != 0 {
		t.Errorf("%+v", c)
	}
	if c.Following != 1 || c.Merged != 1 || c.Missing != 0 || c.LeftAlone != 0 || c.Events != 0 {
		t.Errorf("%+v", c)
	}
	bytes := c.Bytes

	// Refused by the store: another has the slot, and the operator denies the key.
	b.post("/r/0", niceWinner)
	a.post("/r/0", niceLoser)
	spam := signed(t, "/r/0", clock.now(), "spam")
	a.post("/r/0", spam)
	b.deny(fmt.Sprintf("key %s\n", spam[len("Signature: ")+128+len("\nPublic-Key: "):][:64]))
	clock.pass(time.Minute)
	if b.round(a) {
		t.Error("merged without the one of the slot")
	}
	c = b.replica.Counters()
	if got, want := fmt.Sprint(refused(c)), "map[denied:1 slot-taken:1]"; got != want || c.Leaves != 12 || c.Created != 10 || c.Bytes <= bytes || c.Merged != 0 {
		t.Errorf("%s, want %s: %+v", got, want, c)
	}

	// The budget: one more of the day's 14, of which the one of the slot took two.
	for i := range 3 {
		a.post("/r/1", fmt.Sprint("more ", i))
	}
	clock.pass(time.Minute)
	b.round(a)
	c = b.replica.Counters()
	if n := refused(c)["budget"]; n != 2 || c.Created != 11 {
		t.Errorf("%d refused by the budget: %+v", n, c)
	}

	// What a server names and does not give, then no answer at all.
	a.post("/r/2", "not given")
	a.set(func() { a.absent[a.version.LeafCID([]byte("not given"))] = true })
	clock.pass(25 * time.Hour)
	b.round(a)
	if c = b.replica.Counters(); c.Missing != 1 || c.Rounds != 4 {
		t.Errorf("%+v", c)
	}
	gone := a.as()
	gone.Origin = "http://nobody.test:80"
	if _, err := b.replica.Round(t.Context(), gone, reddit); err == nil {
		t.Error("a round with nobody")
	}
	if c = b.replica.Counters(); c.FailedRounds != 1 || c.RoundTime.Count() != 5 {
		t.Errorf("%+v", c)
	}
}
