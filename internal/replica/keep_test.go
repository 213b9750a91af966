package replica_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
)

// clock is a time that a test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }
func (c *clock) set(cfg *replica.Config) {
	cfg.Now = c.now
}

// A budget delays: what it leaves comes the next day. Topics known here come
// before new ones, and a peer that a person named has no budget.
func TestBudget(t *testing.T) {
	const topics, each = 20, 10
	for _, c := range []struct {
		name   string
		budget replica.Budget
		days   int // that it takes
	}{
		{"files", replica.Budget{Files: 50}, 4},
		{"topics", replica.Budget{Topics: 5}, 4},
		{"bytes", replica.Budget{Bytes: 20 * 55}, 4},
		{"none", replica.Budget{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(cfg *replica.Config) { cfg.Budget = c.budget })
			a.postMany(topics*each, topics, "comment")
			b.post("/r/3", "b has this topic")
			for day := 1; ; day++ {
				merged := b.round(a)
				a.cost()
				again := b.round(a)
				if requests, _, _ := a.cost(); again != merged || requests > 1 {
					t.Errorf("day %d: a second round took %d requests", day, requests)
				}
				if day == 1 {
					for name := range a.tree() {
						if topic := comntr.NameHash("/r/3").String(); name[:40] == topic && !b.tree()[name] {
							t.Errorf("the known topic did not come first: %s", name)
						}
					}
				}
				if merged {
					if day < c.days || day > c.days+2 {
						t.Errorf("it took %d days, want %d", day, c.days)
					}
					break
				}
				if day > 30 {
					t.Fatalf("after %d days %d comments are there", day, b.store.Stats().Comments)
				}
				if n := b.store.Stats().Comments - 1; c.budget.Files > 0 && n > day*c.budget.Files {
					t.Errorf("%d comments came in %d days", n, day)
				}
				clock.pass(24*time.Hour + time.Second)
			}
			a.round(b)
			checkSame(t, a, b)

			// The one that a person named.
			d := w.serve("d", 0, clock.set, func(cfg *replica.Config) { cfg.Budget = c.budget })
			named := a.as()
			named.Named = true
			if merged, err := d.replica.Round(context.Background(), named, reddit); err != nil || !merged {
				t.Errorf("a round with a named server: %v, %v", merged, err)
			}
			checkSame(t, a, d)
		})
	}
}

func TestBudgetAddress(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"http://8.8.8.8:4080", "http://8.8.8.8:80"},
		{"http://[2a00:1450:4001:81b::1]:4080", "http://[2a00:1450:4001:81b:ffff::2]:80"},
		{"http://comntr.io:4080", "http://comntr.io:80"},
	} {
		if x, y := replica.BudgetAddress(c.a), replica.BudgetAddress(c.b); x != y {
			t.Errorf("%s has the budget of %s, %s that of %s", c.a, x, c.b, y)
		}
	}
	for _, c := range []struct{ a, b string }{
		{"http://127.0.0.1:4080", "http://127.0.0.1:80"},
		{"http://8.8.8.8:4080", "http://8.8.4.4:4080"},
		{"http://[2a00:1450:4001:81b::1]:4080", "http://[2a00:1450:4001:81c::1]:4080"},
	} {
		if x, y := replica.BudgetAddress(c.a), replica.BudgetAddress(c.b); x == y {
			t.Errorf("%s and %s share the budget of %s", c.a, c.b, x)
		}
	}
}

// Servers at one address share a budget, whatever their keys are.
func TestBudgetIsOfTheAddress(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(cfg *replica.Config) { cfg.Budget.Files = 30 })
	a.postMany(300, 1, "comment")
	for i := range 4 {
		s := a.as()
		s.Key = fmt.Sprintf("%064x", i)
		if _, err := b.replica.Round(context.Background(), s, reddit); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.store.Stats().Comments; n != 30 {
		t.Errorf("four keys brought %d comments, want 30", n)
	}
}

// A block that was not had is asked for again, less and less often, and
// everything else goes on meanwhile.
func TestAbsentBlocks(t *testing.T) {
	for _, what := range []string{"a comment", "a node"} {
		t.Run(what, func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
			a.postMany(100, 10, "comment")
			missing := a.version.LeafCID([]byte("comment 42"))
			if what == "a node" {
				var err error
				if missing, err = a.folders.Topic(context.Background(), comntr.NameHash("/r/2")); err != nil {
					t.Fatal(err)
				}
			}
			a.set(func() { a.absent[missing] = true })
			if b.round(a) {
				t.Error("a round that lacks something says it is complete")
			}
			want := 99
			if what == "a node" {
				want = 90
			}
			if n := b.store.Stats().Comments; n != want {
				t.Errorf("%d comments came, want %d", n, want)
			}
			if b.folders.Merged(reddit, a.root()) {
				t.Error("the root is marked merged")
			}
			if n := b.replica.Retries(a.as(), reddit); n != 1 {
				t.Errorf("%d blocks are remembered", n)
			}
			// Until its time nothing is asked for but the root; the times grow.
			asked, last := 0, clock.now()
			var pauses []time.Duration
			a.cost()
			for range 2000 {
				clock.pass(time.Second)
				b.round(a)
				if requests, blocks, _ := a.cost(); requests > 1 {
					asked++
					pauses = append(pauses, clock.now().Sub(last))
					last = clock.now()
					if blocks > 0 {
						t.Errorf("%d other blocks were fetched anew", blocks)
					}
				}
			}
			if asked < 3 || asked > 12 || pauses[asked-1] < 4*pauses[0] {
				t.Errorf("in 2,000 s it was asked for %d times, after %v", asked, pauses)
			}
			// Another comment is not held up by it.
			id := a.post("/r/news", "news")
			b.round(a)
			if !b.has("/r/news", id) {
				t.Error("a new comment did not come")
			}
			a.set(func() { clear(a.absent) })
			clock.pass(7 * time.Hour)
			if !b.round(a) {
				t.Error("the round left something")
			}
			checkSame(t, a, b)
			if n := b.replica.Retries(a.as(), reddit); n != 0 {
				t.Errorf("%d blocks are still remembered", n)
			}
		})
	}
}

func TestRetriesAreBounded(t *testing.T) {
	now := time.Now()
	if n := replica.RemembersOf(100, now); n != 100 {
		t.Errorf("of 100 blocks %d are remembered", n)
	}
	if n := replica.RemembersOf(2*replica.MaxRetries, now); n != replica.MaxRetries {
		t.Errorf("%d blocks are remembered, want at most %d", n, replica.MaxRetries)
	}
}

// What another peer brought needs no retry.
func TestAbsentHereThereElsewhere(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b, c := w.serve("a", 0), w.serve("b", 0), w.serve("c", 0, clock.set)
	a.postMany(50, 5, "comment")
	b.round(a)
	a.set(func() { a.absent[a.version.LeafCID([]byte("comment 7"))] = true })
	if c.round(a) {
		t.Error("complete without a comment")
	}
	if !c.round(b) {
		t.Error("the round with the other left something")
	}
	checkSame(t, a, b, c)
	if !c.round(a) {
		t.Error("the same root is not complete now")
	}
}

// Comments dated ahead are left until their time has come.
func TestPremature(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	a.post("/r/news", "before")
	a.post("/r/news", signed(t, "/r/news", clock.now().Add(30*time.Minute), "from the future"))
	if b.round(a) {
		t.Error("complete without the comment dated ahead")
	}
	if n := b.store.Stats().Comments; n != 1 {
		t.Errorf("%d comments came, want 1", n)
	}
	clock.pass(19 * time.Minute)
	b.round(a)
	if n := b.store.Stats().Comments; n != 1 {
		t.Errorf("%d comments came a minute too early, want 1", n)
	}
	clock.pass(2 * time.Minute)
	if !b.round(a) {
		t.Error("the round left something")
	}
	checkSame(t, a, b)
}

// Files that no server takes are passed over, once.
func TestInvalidIsSettled(t *testing.T) {
	w := newWorld(t)
	l := w.lie()
	bad := "Signature: nonsense\n"
	l.root = l.inTopic(map[comntr.Hash]cid.Cid{id(bad): l.comment(bad), id("good"): l.comment("good")}).String()
	s := w.serve("s", 0)
	for range 2 {
		if merged, err := s.replica.Round(context.Background(), l.as(), reddit); err != nil || !merged {
			t.Fatalf("merged %v, err %v", merged, err)
		}
	}
	if n := s.store.Stats().Comments; n != 1 {
		t.Errorf("%d comments came, want 1", n)
	}
	if _, sent, _ := l.cost(); sent != 4 {
		t.Errorf("%d blocks were fetched, want 4", sent)
	}
}

// When marks are cleared, all is looked at again, and nothing fetched that is
// here.
func TestClearedMarks(t *testing.T) {
	w := newWorld(t)
	a, b := w.serve("a", 1), w.serve("b", 0)
	a.postMany(100, 10, "comment")
	if !b.round(a) || !b.folders.Merged(reddit, a.root()) {
		t.Fatal("the root is not merged")
	}
	b.deny("comment 33754244c02265dc24dfec91d64a48410ec24831\n") // which nobody has
	b.deny("")
	if b.folders.Merged(reddit, a.root()) {
		t.Fatal("the root is still marked")
	}
	a.cost()
	if !b.round(a) || !b.folders.Merged(reddit, a.root()) {
		t.Error("the root is not merged again")
	}
	if _, blocks, _ := a.cost(); blocks != 0 {
		t.Errorf("%d blocks were fetched again", blocks)
	}
}

// The id that a server handed out still resolves when it has died.
func TestPeersRootIsKept(t *testing.T) {
	w := newWorld(t)
	a, b := w.serve("a", 1), w.serve("b", 0)
	a.postMany(100, 10, "comment")
	root := a.root()
	b.round(a)
	b.post("/r/1", "b goes on")
	if err := b.folders.Collect(time.Now().Add(3 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var resolve func(c cid.Cid, depth int)
	resolve = func(c cid.Cid, depth int) {
		if _, err := b.folders.Block(c); err != nil {
			t.Fatalf("%s does not resolve: %v", c, err)
		}
		seen++
		if depth == 2 {
			return
		}
		n, err := b.folders.Node(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range n.Links {
			resolve(l.CID, depth+1)
		}
	}
	resolve(root, 0)
	if seen != 111 {
		t.Errorf("%d blocks resolve, want 111", seen)
	}
}

// session is a bitswap session with a server of the world.
type session struct {
	s     *server
	fails *atomic.Bool
	calls *atomic.Int64
}

func (s session) Blocks(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error {
	s.calls.Add(1)
	if s.fails.Load() {
		return ipfs.ErrStalled
	}
	var missing []cid.Cid
	for _, c := range cids {
		b, err := s.s.folders.Block(c)
		if s.s.absent[c] || err != nil {
			missing = append(missing, c)
			continue
		}
		if err := fn(c, b); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &ipfs.MissingError{Peer: s.s.key, Missing: missing}
	}
	return nil
}

// Blocks come over bitswap while that works, else over HTTP, and which one
// works is remembered.
func TestBitswapFirst(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a := w.serve("a", 0)
	var unreachable, fails atomic.Bool
	var connects, calls atomic.Int64
	b := w.serve("b", 0, clock.set, func(cfg *replica.Config) {
		cfg.Bitswap = func(ctx context.Context, addrs []string, fn func(replica.Session) error) error {
			connects.Add(1)
			if len(addrs) != 1 || addrs[0] != "/ip4/192.0.2.1/tcp/4081/p2p/itself" {
				t.Errorf("dialled %v", addrs)
			}
			if unreachable.Load() {
				return errors.New("connection refused")
			}
			return fn(session{a, &fails, &calls})
		}
	})
	server := a.as()
	server.Hello = &comntr.Hello{PeerID: "itself", Multiaddrs: []string{"/ip4/192.0.2.1/tcp/4081/p2p/itself", "/ip4/192.0.2.2/tcp/4081/p2p/another"}}
	round := func() error {
		t.Helper()
		a.postMany(20, 4, clock.now().String())
		merged, err := b.replica.Round(context.Background(), server, reddit)
		if err == nil && !merged {
			t.Error("the round left something")
		}
		return err
	}
	cost := func() (swaps int64, blocks int) {
		_, blocks, _ = a.cost()
		return calls.Swap(0), blocks
	}

	if err := round(); err != nil {
		t.Fatal(err)
	}
	if swaps, blocks := cost(); swaps != 3 || blocks != 0 {
		t.Errorf("%d questions over bitswap and %d blocks over HTTP, want 3 and 0", swaps, blocks)
	}

	fails.Store(true) // in the middle of the round: the rest by HTTP
	clock.pass(time.Minute)
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if swaps, blocks := cost(); swaps != 1 || blocks != 25 {
		t.Errorf("%d questions over bitswap and %d blocks over HTTP, want 1 and 25", swaps, blocks)
	}
	fails.Store(false)
	clock.pass(time.Minute) // it is remembered
	before := connects.Load()
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if _, blocks := cost(); connects.Load() != before || blocks == 0 {
		t.Error("bitswap was tried again at once")
	}
	clock.pass(11 * time.Minute) // but not for ever
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if swaps, blocks := cost(); swaps == 0 || blocks != 0 {
		t.Error("bitswap was not tried again")
	}

	unreachable.Store(true)
	clock.pass(time.Minute)
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if swaps, blocks := cost(); swaps != 0 || blocks == 0 {
		t.Error("the round did not go on over HTTP")
	}

	// HTTP is preferred now, and refused: back to bitswap.
	a.set(func() { a.noBlocks = true })
	unreachable.Store(false)
	clock.pass(time.Minute)
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if swaps, blocks := cost(); swaps == 0 || blocks != 0 {
		t.Error("the round did not go back to bitswap")
	}
	checkSame(t, a, b)

	// Neither.
	unreachable.Store(true)
	clock.pass(time.Minute)
	if err := round(); err == nil {
		t.Error("a round without any way to blocks succeeded")
	} else {
		t.Log(err)
	}
	if f := b.book.failures(); len(f) != 0 {
		t.Errorf("one round without an answer was reported: %v", f)
	}
	for range 2 {
		round()
	}
	if f := b.book.failures(); len(f) != 1 {
		t.Errorf("three rounds without an answer in a row were reported %d times", len(f))
	}
	unreachable.Store(false)
	if err := round(); err != nil {
		t.Fatal(err)
	}
	checkSame(t, a, b)
}
