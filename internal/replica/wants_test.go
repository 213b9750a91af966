package replica_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/replica"
)

func wantedTopic(i int) comntr.Hash { return comntr.NameHash(fmt.Sprint("/r/", i)) }

// What readers asked for comes first: before changes of topics that are here,
// before new topics, and out of a sharded folder as well.
func TestWantedComesFirst(t *testing.T) {
	for name, topics := range map[string]int{"plain": 300, "sharded": 3600} {
		t.Run(name, func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(cfg *replica.Config) { cfg.Budget.Files = 20 })
			for i := range topics / 2 {
				b.post(fmt.Sprint("/r/", i), "b has this topic")
			}
			a.postMany(2*topics, topics, "comment") // two in each
			here, new := wantedTopic(7), wantedTopic(topics-7)
			b.replica.Want(reddit, here)
			b.replica.Want(reddit, new)
			if b.round(a) {
				t.Fatal("the budget had room for all: the test shows nothing")
			}
			for name := range a.tree() {
				if topic := name[:40]; (topic == here.String() || topic == new.String()) && !b.tree()[name] {
					t.Errorf("%s did not come first", name)
				}
			}
		})
	}
}

// A peer that breaks off after a few answers has brought what readers want.
func TestWantedIsNotHeldUp(t *testing.T) {
	w := newWorld(t)
	a, b := w.serve("a", 0), w.serve("b", 0)
	a.postMany(600, 300, "comment")
	for i := range 300 {
		b.post(fmt.Sprint("/r/", i), "b has this topic")
	}
	answers := 0
	w.handle(a.host, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/blocks" {
			if answers++; answers > 3 { // the folder of topics, the topic, its comments
				problem(rw, http.StatusInternalServerError)
				return
			}
		}
		a.ServeHTTP(rw, r)
	}))
	topic := wantedTopic(123)
	b.replica.Want(reddit, topic)
	if _, err := b.replica.Round(t.Context(), a.as(), reddit); err == nil {
		t.Fatal("the round did not break off: the test shows nothing")
	}
	for name := range a.tree() {
		if name[:40] == topic.String() && !b.tree()[name] {
			t.Errorf("%s did not come", name)
		}
	}
}

// A stranger's budget of new topics does not keep away what readers asked for,
// and to fetch that costs little, though its folder has much more.
func TestWantedPassesTheBudget(t *testing.T) {
	const topics = 3600
	w, clock, f := newWorld(t), newClock(), &watched{}
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, f.watch, func(cfg *replica.Config) { cfg.Budget.Topics = 5 })
	a.postMany(topics, topics, "comment")
	b.round(a)
	if n := b.store.Stats().Topics; n != 5 {
		t.Fatalf("%d topics came, want 5", n)
	}
	a.cost()
	for i := 1; i <= 10; i++ {
		topic := wantedTopic(100 * i)
		if _, ok := b.store.TopicSeq(topic); ok {
			continue // one of the five
		}
		b.replica.Want(reddit, topic)
		clock.pass(time.Second)
		f.looks = 0
		b.round(a)
		if f.looks > 20 { // of 2 versions of a few hundred
			t.Errorf("to find topic %d, %d nodes were looked at", i, f.looks)
		}
		if _, ok := b.store.TopicSeq(topic); !ok {
			t.Errorf("topic %d did not come", i)
		}
		if requests, blocks, _ := a.cost(); requests > 3 || blocks > 2 {
			t.Errorf("topic %d took %d requests and %d blocks, want root, topic and comment", i, requests, blocks)
		}
		b.replica.Want(reddit, topic)
		b.round(a)
		if requests, _, _ := a.cost(); requests != 1 {
			t.Errorf("a topic that was asked for before took %d requests", requests)
		}
	}
	// What was left waits for its day, as before.
	clock.pass(23 * time.Hour)
	before := b.store.Stats().Topics
	b.round(a)
	if n := b.store.Stats().Topics; n != before {
		t.Errorf("%d topics more came before their day", n-before)
	}
	clock.pass(2 * time.Hour)
	b.round(a)
	if n := b.store.Stats().Topics - before; n != 5 {
		t.Errorf("%d topics came the next day, want 5", n)
	}
}

// A reader can ask for anything: what is remembered is bounded, and so is what
// a stranger brings beyond its budget for it.
func TestWantsAreBounded(t *testing.T) {
	w, clock := newWorld(t), newClock()
	s := w.serve("s", 0, clock.set, func(cfg *replica.Config) { cfg.Budget.Topics = 5 })
	for i := range 3 * replica.MaxWanted {
		s.replica.Want(reddit, wantedTopic(i))
	}
	s.replica.Want(comntr.NameHash("another community"), wantedTopic(0))
	if n := s.replica.Wanted(reddit); n != replica.MaxWanted {
		t.Errorf("%d topics are remembered, want %d", n, replica.MaxWanted)
	}
	for day := range 2 {
		if n := s.replica.TakeWanted(s.as(), 3*replica.MaxWanted); n != 5+replica.MaxWanted {
			t.Errorf("day %d: a stranger brought %d topics, want %d and what is beyond", day, n, 5)
		}
		clock.pass(25 * time.Hour)
	}
}

// A topic that a reader asks for is fetched at once from a peer that has more
// than is here; others are not asked.
func TestWantedWalksSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, s := w.serve("a", 0), w.serve("b", 0), w.serve("s", 0, noTick, func(cfg *replica.Config) { cfg.Budget.Topics = 5 })
		a.postMany(100, 100, "comment")
		b.post("/r/news", "all that b has")
		s.book.know(a, b)
		stop := runHere(t, s)
		time.Sleep(10 * time.Second)
		if n := s.store.Stats().Topics; n != 6 {
			t.Fatalf("%d topics came, want 6", n)
		}
		a.cost()
		b.cost()
		for i := range 100 {
			s.replica.Want(reddit, wantedTopic(i))
		}
		time.Sleep(2 * time.Second)
		if n := s.store.Stats().Topics; n != 101 {
			t.Errorf("%d topics are there after two seconds, want 101", n)
		}
		for i := range 10_000 { // nobody has these
			s.replica.Want(reddit, wantedTopic(1000+i))
			time.Sleep(time.Millisecond)
		}
		if requests, _, _ := a.cost(); requests > 20 {
			t.Errorf("in 12 s a was asked %d times", requests)
		}
		if requests, _, _ := b.cost(); requests > 0 {
			t.Errorf("b, of which all is here, was asked %d times", requests)
		}
		stop()
	})
}

// What a reader asks for while a round is under way is not forgotten.
func TestWantedDuringARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, s := w.serve("a", 0), w.serve("s", 0, noTick, func(cfg *replica.Config) { cfg.Budget.Topics = 5 })
		a.postMany(100, 100, "comment")
		wanted := false
		w.handle(a.host, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/blocks" && !wanted {
				wanted = true
				for i := range 100 {
					s.replica.Want(reddit, wantedTopic(i))
				}
			}
			a.ServeHTTP(rw, r)
		}))
		s.book.know(a)
		stop := runHere(t, s)
		time.Sleep(10 * time.Second)
		if n := s.store.Stats().Topics; n != 100 {
			t.Errorf("%d topics came, want 100", n)
		}
		stop()
	})
}
