package replica_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

// waitMax is how long a test waits for what takes milliseconds.
const waitMax = 60 * time.Second

// noTick sets an interval at which no tick comes in a test.
func noTick(c *replica.Config) { c.Interval = 1000 * time.Hour }

func TestRoundBringsEverything(t *testing.T) {
	for _, versions := range [][2]comntr.Version{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			w := newWorld(t)
			a, b := w.serve("a", versions[0]), w.serve("b", versions[1])
			a.postMany(1000, 50, "comment")
			if _, err := a.store.AddTopic(context.Background(), comntr.NameHash("/r/gifs"), ""); err != nil {
				t.Fatal(err)
			}
			if !b.round(a) {
				t.Errorf("the round left something:\n%s", b.log)
			}
			checkSame(t, a, b)
			if !a.round(b) {
				t.Errorf("the round back left something:\n%s", a.log)
			}
			checkSame(t, a, b)

			// Nothing new: one question and its answer.
			a.cost()
			b.round(a)
			if requests, blocks, _ := a.cost(); requests != 1 || blocks != 0 {
				t.Errorf("a round without news took %d requests and %d blocks", requests, blocks)
			}
			// One new comment costs the nodes above it and itself.
			a.post("/r/7", "one more")
			b.round(a)
			if _, blocks, _ := a.cost(); blocks != 3 {
				t.Errorf("one new comment took %d blocks, want root, topic and leaf", blocks)
			}
			checkSame(t, a, b)
		})
	}
}

// A sharded community, and a sharded topic in the other version.
func TestShardedFolders(t *testing.T) {
	for _, c := range []struct {
		v      comntr.Version
		topics int
	}{{0, 3600}, {1, 1}} {
		w := newWorld(t)
		a, b := w.serve("a", c.v), w.serve("b", 0)
		a.postMany(3600, c.topics, "comment")
		b.postMany(100, 100, "other comments, some in the same topics")
		a.root() // made before it is asked for: a slow machine takes longer than an answer may
		b.root()
		if !b.round(a) || !a.round(b) || !b.round(a) {
			t.Errorf("the rounds left something:\n%s", b.log)
		}
		checkSame(t, a, b)
		a.cost()
		a.post("/r/0", "one more")
		if !b.round(a) {
			t.Errorf("the round left something:\n%s", b.log)
		}
		if _, blocks, _ := a.cost(); blocks > 6 {
			t.Errorf("version %d: one new comment took %d blocks", c.v, blocks)
		}
		checkSame(t, a, b)
	}
}

// looks counts what is looked up in a store one by one.
type looks struct {
	*store.Store
	n atomic.Int64
}

func (l *looks) Has(topic, comment comntr.Hash) (held, settled bool) {
	l.n.Add(1)
	return l.Store.Has(topic, comment)
}

// Of a topic in which one comment is new, the others are not looked up: our own
// folder names them, plain or sharded.
func TestOldCommentsAreNotLookedUp(t *testing.T) {
	for _, n := range []int{100, 4000} {
		w := newWorld(t)
		var l *looks
		a, b := w.serve("a", 0), w.serve("b", 0, func(cfg *replica.Config) {
			l = &looks{Store: cfg.Communities[0].Store.(*store.Store)}
			cfg.Communities[0].Store = l
		})
		a.postMany(n, 1, "comment")
		a.root()
		if !b.round(a) {
			t.Errorf("the round left something:\n%s", b.log)
		}
		b.post("/r/0", "only b has it, so that the folders differ")
		b.root()
		l.n.Store(0)
		a.post("/r/0", "one more")
		if !b.round(a) {
			t.Errorf("the round left something:\n%s", b.log)
		}
		if looked := l.n.Load(); looked > 5 {
			t.Errorf("one new comment among %d: %d were looked up", n, looked)
		}
		if !a.round(b) {
			t.Errorf("the round left something:\n%s", a.log)
		}
		checkSame(t, a, b)
	}
}

// The same node stands in two topics: what is merged in one is not in the other.
func TestIdenticalTopics(t *testing.T) {
	w := newWorld(t)
	a, b := w.serve("a", 0), w.serve("b", 0)
	for _, topic := range []string{"one", "two"} {
		a.post(topic, "Cool!")
		a.post(topic, "That's bs!")
	}
	b.post("one", "Cool!")
	b.post("one", "That's bs!")
	b.root()
	if !b.round(a) {
		t.Error("the round left something")
	}
	checkSame(t, a, b)
	// Now the node of both is merged. A third topic has it too.
	a.post("three", "Cool!")
	a.post("three", "That's bs!")
	if !b.round(a) {
		t.Error("the round left something")
	}
	checkSame(t, a, b)
}

// However the pair is spread, all servers list the same one.
func TestMurmurPair(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.serve("a", 0), w.serve("b", 0), w.serve("c", 1)
	a.post("/r/news", niceLoser)
	b.post("/r/news", niceWinner)
	a.post("/r/news", "another")
	for range 2 {
		for _, pair := range [][2]*server{{a, b}, {b, a}, {c, a}, {c, b}, {a, c}} {
			pair[0].round(pair[1])
		}
	}
	checkSame(t, a, b, c)
	if n := len(a.tree()); n != 3 {
		t.Errorf("the folder lists %d names, want the topic and two comments", n-1)
	}
	if !a.round(b) || !b.round(a) {
		t.Error("rounds do not come to an end")
	}
}

// Random posts at random servers and random rounds between them: in the end
// all have the same.
func TestSimulation(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(seed), 0))
			w := newWorld(t)
			var servers []*server
			for i := range 4 {
				s := w.serve(string(rune('a'+i)), comntr.Version(i%2))
				s.root()
				servers = append(servers, s)
			}
			posted := make(map[string]bool)
			for range 400 {
				s := servers[rnd.IntN(len(servers))]
				switch n := rnd.IntN(10); {
				case n < 6:
					topic := fmt.Sprint("/r/", rnd.IntN(12))
					id := s.post(topic, fmt.Sprint("text ", rnd.IntN(40))) // often the same one
					posted[comntr.NameHash(topic).String()+"/"+id.String()] = true
				case n < 7:
					if _, err := s.store.AddTopic(context.Background(), comntr.NameHash(fmt.Sprint("/empty/", rnd.IntN(5))), ""); err != nil {
						t.Fatal(err)
					}
				default:
					if o := servers[rnd.IntN(len(servers))]; o != s {
						s.round(o)
					}
				}
			}
			for range 2 {
				for i := range servers {
					servers[(i+1)%len(servers)].round(servers[i])
				}
			}
			checkSame(t, servers...)
			tree := servers[0].tree()
			for name := range posted {
				if !tree[name] {
					t.Errorf("%s was lost", name)
				}
			}
		})
	}
}

// Rounds with three servers that have the same, at once: each comment is
// fetched about once.
func TestRoundsShareTheWork(t *testing.T) {
	const n = 2000
	w := newWorld(t)
	a, b, c := w.serve("a", 0), w.serve("b", 0), w.serve("c", 0)
	d := w.serve("d", 0, noTick)
	for _, s := range []*server{a, b, c} {
		s.postMany(n, 100, "comment")
		s.set(func() { s.noEvents = true })
	}
	d.book.know(a, b, c)
	run(t, d)
	until(t, "d has all", func() bool { return d.store.Stats().Comments == n }, d)
	checkSame(t, a, d)
	total := 0
	for _, s := range []*server{a, b, c} {
		_, blocks, _ := s.cost()
		total += blocks
	}
	if total > n*6/5 {
		t.Errorf("%d comments took %d blocks", n, total)
	}
}

// Three servers that know one another, comments at all of them.
func TestConvergence(t *testing.T) {
	w := newWorld(t)
	tick := func(c *replica.Config) { c.Interval = time.Second }
	a, b, c := w.serve("a", 0, tick), w.serve("b", 1, tick), w.serve("c", 0, tick)
	a.book.know(b, c)
	b.book.know(a, c)
	c.book.know(a, b)
	run(t, a, b, c)
	for i, s := range []*server{a, b, c} {
		s.postMany(700, 40, fmt.Sprint("from ", i))
	}
	until(t, "all have all", func() bool {
		return a.store.Stats().Comments == 2100 && b.store.Stats().Comments == 2100 && c.store.Stats().Comments == 2100
	}, a, b, c)
	checkSame(t, a, b, c)
}

// A comment posted at one server is at the others by its events alone.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	a, b := w.serve("a", 0), w.serve("b", 0, noTick)
	b.book.know(a)
	run(t, b)
	// Each is posted when the one before has come, so that the stream is
	// known to be open; rounds are of no help: there is no tick.
	until(t, "the first round", func() bool {
		st := b.replica.Status()
		if len(st) == 1 && st[0].Rounds > 0 {
			return true
		}
		b.post("/wake", fmt.Sprint(time.Now().UnixNano()))
		return false
	}, b)
	a.cost()
	var slowest time.Duration
	for i := range 20 {
		began := time.Now()
		id := a.post("/r/news", fmt.Sprint("comment ", i))
		until(t, "it is at b", func() bool { return b.has("/r/news", id) }, b)
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("the slowest took %v", slowest)
	if slowest > time.Second {
		t.Errorf("a comment took %v", slowest)
	}
	if requests, blocks, _ := a.cost(); requests != 20 || blocks != 0 {
		t.Errorf("20 comments took %d requests and %d blocks", requests, blocks)
	}
}

// Many comments at once come by rounds: cheaper than one request for each.
func TestManyEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1500
		w := newWorld(t)
		a, b := w.serve("a", 0), w.serve("b", 0, noTick)
		b.book.know(a)
		run(t, b)
		time.Sleep(10 * time.Second)
		for i := range 3 {
			a.postMany(n, 20, fmt.Sprint("wave ", i))
			until(t, "all are at b", func() bool { return b.store.Stats().Comments == (i+1)*n }, b)
		}
		checkSame(t, a, b)
		if requests, _, _ := a.cost(); requests > n/2 {
			t.Errorf("%d comments took %d requests", 3*n, requests)
		}
	})
}

// A stream that was down goes on where it was, and one that cannot is made up
// for by a round.
func TestEventsResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.serve("a", 0), w.serve("b", 0, noTick)
		b.book.know(a)
		run(t, b)
		time.Sleep(10 * time.Second)
		first := a.post("/r/news", "first")
		until(t, "the first is at b", func() bool { return b.has("/r/news", first) }, b)

		a.set(func() { a.noEvents = true; a.drop() })
		missed := a.post("/r/news", "while the stream was down")
		time.Sleep(time.Minute)
		if b.has("/r/news", missed) {
			t.Error("it came without a stream or a tick")
		}
		a.set(func() { a.noEvents = false })
		time.Sleep(time.Minute)
		if !b.has("/r/news", missed) {
			t.Error("the stream did not go on where it was")
		}

		a.set(func() { a.noEvents = true; a.drop() })
		missed = a.post("/r/news", "before a reset")
		time.Sleep(time.Minute)
		a.cost()
		a.set(func() { a.noEvents, a.resetEvents = false, true })
		time.Sleep(time.Minute)
		if !b.has("/r/news", missed) {
			t.Error("no round made up for what the stream lost")
		}
		if _, blocks, _ := a.cost(); blocks == 0 {
			t.Error("it did not come by a round")
		}
	})
}

// A server that Peers no longer knows is not asked any more.
func TestServerForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.serve("a", 0), w.serve("b", 0)
		b.book.know(a)
		run(t, b)
		time.Sleep(time.Hour)
		requests, _, _ := a.cost()
		if requests < 45 || requests > 80 {
			t.Errorf("%d requests in an hour, want a round each minute", requests)
		}
		b.book.know()
		time.Sleep(time.Minute)
		a.cost()
		time.Sleep(time.Hour)
		if requests, _, _ := a.cost(); requests != 0 || len(b.replica.Status()) != 0 {
			t.Errorf("%d requests, and this is followed: %v", requests, b.replica.Status())
		}
	})
}

// The servers followed are bounded, and those that a person named come first.
func TestManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.serve("a", 0), w.serve("b", 0)
		id := a.post("/r/news", "Cool!")
		for i := range 200 {
			b.book.servers = append(b.book.servers, discover.Server{Origin: fmt.Sprintf("http://10.0.%d.1:80", i), Key: fmt.Sprintf("%064x", i)})
		}
		named := a.as()
		named.Named = true
		b.book.servers = append(b.book.servers, named)
		run(t, b)
		time.Sleep(time.Minute)
		if !b.has("/r/news", id) {
			t.Error("the server that a person named was not asked")
		}
		if n := len(b.replica.Status()); n != 64 {
			t.Errorf("%d servers are followed, want 64", n)
		}
		reported := make(map[string]int)
		for _, origin := range b.book.failed {
			reported[origin]++
		}
		if len(reported) != 63 {
			t.Errorf("%d servers that do not answer were reported, want 63", len(reported))
		}
	})
}
