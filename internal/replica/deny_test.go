package replica_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
)

// deny puts a deny list into force.
func (s *server) deny(rules string) {
	s.t.Helper()
	list, errs := comntr.ParseDenylist([]byte(rules))
	if len(errs) > 0 {
		s.t.Fatal(errs)
	}
	if err := s.store.SetDenylist(s.t.Context(), list); err != nil {
		s.t.Fatal(err)
	}
}

// What the operator denies is settled: a denied topic is passed over, nothing
// of it is fetched, and all else of a peer's folders is marked as merged. Once
// it is allowed it comes.
func TestDenied(t *testing.T) {
	w, clock, f := newWorld(t), newClock(), &watched{}
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, f.watch)
	a.postMany(60, 20, "comment")
	cool := a.post("/r/3", "Cool!")
	spam := signed(t, "/r/news", clock.now(), "spam") // by the key of the seed of zeros
	a.post("/r/news", spam)
	b.deny(fmt.Sprintf("topic %s\ncomment %s\nkey %s\n", wantedTopic(7), cool, spam[len("Signature: ")+128+len("\nPublic-Key: "):][:64]))
	denied, err := a.folders.Topic(t.Context(), wantedTopic(7))
	if err != nil {
		t.Fatal(err)
	}
	a.set(func() { a.absent[denied] = true; a.absent[a.version.LeafCID([]byte("Cool!"))] = true })
	check := func(comments int) {
		t.Helper()
		if !b.round(a) || !b.folders.Merged(reddit, a.root()) {
			t.Errorf("the root is not merged:\n%s", b.log)
		}
		if n := b.store.Stats().Comments; n != comments {
			t.Errorf("%d comments are there, want %d", n, comments)
		}
	}
	check(57)
	a.post("/r/7", "one more of the denied topic") // another root, and nothing new
	check(57)
	for range 20 {
		clock.pass(time.Minute)
		b.round(a)
	}
	if n := len(f.retained); n > 2 {
		t.Errorf("a root that is not here as a whole was tried to be kept %d times", n)
	}
	b.replica.Want(reddit, wantedTopic(7))
	if n := b.replica.Wanted(reddit); n != 0 {
		t.Error("a denied topic is remembered as wanted")
	}

	a.set(func() { clear(a.absent) })
	b.deny("")
	f.retained = nil
	check(63)
	checkSame(t, a, b)
	if len(f.retained) != 1 {
		t.Errorf("the root was tried to be kept %d times after all was here, want once", len(f.retained))
	}
}

// What an event names and the operator denies is not asked for.
func TestDeniedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.serve("a", 0), w.serve("b", 0, noTick)
		b.deny(fmt.Sprintf("topic %s\n", wantedTopic(7)))
		b.book.know(a)
		stop := runHere(t, b)
		time.Sleep(10 * time.Second)
		a.cost()
		a.post("/r/7", "denied")
		other := a.post("/r/8", "another")
		time.Sleep(10 * time.Second)
		if requests, _, _ := a.cost(); requests != 1 || !b.has("/r/8", other) {
			t.Errorf("%d requests for one comment that is not denied and one that is", requests)
		}
		stop()
	})
}

// A list that loosens has what was left before looked at anew, though its time
// has not come.
func TestLoosened(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	cool := a.post("/r/news", "Cool!")
	a.post("/r/news", "absent")
	a.set(func() { a.absent[a.version.LeafCID([]byte("absent"))] = true })
	b.deny(fmt.Sprintf("comment %s\n", cool))
	b.round(a)
	b.deny("")
	b.round(a)
	if !b.has("/r/news", cool) {
		t.Error("what is allowed again did not come")
	}
}
