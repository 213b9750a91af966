package replica_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
)

// dripper is a server with 1,000 comments that gives one each second.
func (w *world) dripper(i int) discover.Server {
	l := &liar{host: fmt.Sprintf("10.1.%d.1:80", i), blocks: make(map[cid.Cid][]byte)}
	comments := make(map[comntr.Hash]cid.Cid)
	for n := range 1000 {
		text := fmt.Sprint("drop ", i, " ", n)
		comments[id(text)] = l.comment(text)
	}
	l.root = l.inTopic(comments).String()
	l.other = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/blocks" {
			problem(w, 404)
			return
		}
		serveCAR(w, r, func(c cid.Cid) []byte {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
			return l.blocks[c]
		})
	}
	w.handle(l.host, l)
	return discover.Server{Origin: "http://" + l.host, Key: fmt.Sprintf("%064x", 1000+i), Hello: &comntr.Hello{}}
}

// Servers that drip, more of them than there are turns: a named server's round
// is made at once, an honest stranger's soon, and those that drip are left alone.
func TestDripHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, s := w.serve("a", 0), w.serve("b", 0), w.serve("s", 0)
		fromA, fromB := a.post("/r/news", "from a"), b.post("/r/news", "from b")
		var drippers []discover.Server
		for i := range 12 {
			drippers = append(drippers, w.dripper(i))
		}
		s.book.servers = slices.Clone(drippers)
		stop := runHere(t, s)
		time.Sleep(time.Second)
		named := a.as()
		named.Named = true
		s.book.mu.Lock()
		s.book.servers = append(s.book.servers, named, b.as())
		close(s.book.changed)
		s.book.changed = make(chan struct{})
		s.book.mu.Unlock()
		time.Sleep(2 * time.Second)
		if !s.has("/r/news", fromA) {
			t.Error("the named server waits")
		}
		time.Sleep(70 * time.Second) // three turns before it
		if !s.has("/r/news", fromB) {
			t.Error("the honest stranger waits")
		}
		time.Sleep(5 * time.Minute) // those that were last had their turns to themselves
		for _, d := range drippers {
			if s.replica.LeftAlone(d).IsZero() {
				t.Errorf("%s is not left alone", d.Origin)
			}
		}
		stop()
	})
}

// Event streams of strangers do not take the places of named servers.
func TestNamedHasItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, s := w.serve("a", 0), w.serve("s", 0, noTick, func(cfg *replica.Config) {
			// In two communities 64 strangers want 128 streams.
			one := cfg.Communities[0]
			cfg.Communities = append(cfg.Communities, replica.Community{Store: another{one.Store}, Folders: one.Folders})
		})
		for i := range 64 {
			o := discover.Server{Origin: fmt.Sprintf("http://10.2.%d.1:80", i), Key: fmt.Sprintf("%064x", i), Hello: &comntr.Hello{}}
			w.handle(strings.TrimPrefix(o.Origin, "http://"), http.HandlerFunc(a.ServeHTTP))
			s.book.servers = append(s.book.servers, o)
		}
		stop := runHere(t, s)
		time.Sleep(time.Minute)
		b := w.serve("b", 0)
		named := b.as()
		named.Named = true
		s.book.mu.Lock()
		s.book.servers = append(s.book.servers[:63:63], named)
		close(s.book.changed)
		s.book.changed = make(chan struct{})
		s.book.mu.Unlock()
		time.Sleep(time.Minute)
		id := b.post("/r/news", "by its events alone")
		time.Sleep(5 * time.Second)
		if !s.has("/r/news", id) {
			t.Error("the named server's events are not read")
		}
		stop()
	})
}

// another is a store under the name of another community.
type another struct{ replica.Store }

func (another) Community() comntr.Hash { return comntr.NameHash("another") }

// Honest servers on lines of 1 Mbit/s, more of them than there are turns: their
// rounds are cut and go on, none is left alone, and all comes.
func TestSlowLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.serve("s", 0)
		var all []*server
		for i := range 6 {
			a := w.serve(fmt.Sprint("slow", i), 0)
			a.set(func() { a.noEvents = true })
			a.postMany(70, 3, fmt.Sprint(i, strings.Repeat(" long", 12_000))) // 4.2 MB
			w.handle(a.host, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				a.ServeHTTP(&slowLine{rw, r.Context()}, r)
			}))
			all = append(all, a)
		}
		s.book.know(all...)
		stop := runHere(t, s)
		time.Sleep(4 * time.Minute)
		for _, a := range all {
			if !s.replica.LeftAlone(a.as()).IsZero() {
				t.Errorf("%s is left alone: %v", a.host, s.book.failures())
			}
		}
		if n := s.store.Stats().Comments; n != 6*70 {
			t.Errorf("%d comments came, want %d", n, 6*70)
		}
		if !strings.Contains(s.log.String(), "complete=false") {
			t.Error("no round was cut: the test shows nothing")
		}
		stop()
	})
}

// slowLine writes 1 Mbit a second.
type slowLine struct {
	http.ResponseWriter
	ctx context.Context
}

func (l *slowLine) Write(b []byte) (n int, err error) {
	for chunk := range slices.Chunk(b, 4096) {
		select {
		case <-time.After(time.Duration(len(chunk)) * 8 * time.Microsecond):
		case <-l.ctx.Done():
			return n, l.ctx.Err()
		}
		m, err := l.ResponseWriter.Write(chunk)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func TestSlow(t *testing.T) {
	for _, c := range []struct {
		name          string
		blocks, bytes int
		waited        time.Duration
		named, slow   bool
	}{
		{"nothing, but not for long", 0, 0, 14 * time.Second, false, false},
		{"nothing", 0, 0, 15 * time.Second, false, true},
		{"1 Mbit/s of small comments", 20 * 500, 20 * 125_000, 20 * time.Second, false, false},
		{"1 Mbit/s of the largest comments", 20 * 2, 20 * 125_000, 20 * time.Second, false, false},
		{"an eighth of 1 Mbit/s of the largest comments", 20 * 125_000 / 8 / comntr.MaxDocument, 20 * 125_000 / 8, 20 * time.Second, false, false},
		{"10 small comments a second", 200, 200 * 200, 20 * time.Second, false, true},
		{"10 small comments a second, for 5 minutes", 3000, 3000 * 200, 5 * time.Minute, false, true},
		{"10 small comments a second of a named server", 3000, 3000 * 200, 5 * time.Minute, true, false},
		{"one in two seconds of a named server", 150, 150 * 200, 5 * time.Minute, true, true},
	} {
		if got := replica.Slow(c.blocks, c.bytes, c.waited, c.named); got != c.slow {
			t.Errorf("%s: slow is %v", c.name, got)
		}
	}
}

// One key that goes to and fro between two addresses has the budgets of two.
func TestBudgetToAndFro(t *testing.T) {
	for _, of := range []string{"files", "topics"} {
		t.Run(of, func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(cfg *replica.Config) {
				if cfg.Budget.Files = 30; of == "topics" {
					cfg.Budget = replica.Budget{Topics: 30}
				}
			})
			a.postMany(300, 300, "comment")
			w.handle("other.test:80", a)
			round := func(times int) {
				t.Helper()
				for i := range times {
					s := a.as()
					if i%2 == 1 {
						s.Origin = "http://other.test:80"
					}
					// A new root each time, so that the round looks.
					a.post("/r/0", fmt.Sprint(clock.now(), i))
					clock.pass(time.Second)
					if _, err := b.replica.Round(t.Context(), s, reddit); err != nil {
						t.Fatal(err)
					}
				}
			}
			round(8)
			if n := b.store.Stats().Topics; n > 60 || n < 50 {
				t.Errorf("two addresses brought %d topics, want about 60", n)
			}
			clock.pass(25 * time.Hour)
			round(8)
			if n := b.store.Stats().Topics; n > 120 || n < 90 {
				t.Errorf("in two days two addresses brought %d topics, want about 120", n)
			}
		})
	}
}

// Of more addresses than are remembered, the last share a budget, until a day
// has passed.
func TestManyAddresses(t *testing.T) {
	w, clock := newWorld(t), newClock()
	s := w.serve("s", 0, clock.set, func(cfg *replica.Config) { cfg.Budget.Files = 10 })
	at := func(i int) discover.Server {
		return discover.Server{Origin: fmt.Sprintf("http://10.%d.%d.1:80", i/256, i%256), Key: strings.Repeat("ab", 32)}
	}
	for i := range replica.MaxWindows {
		if n := s.replica.TakeFiles(at(i), 11); n != 10 {
			t.Fatalf("address %d had %d files, want 10", i, n)
		}
	}
	total := 0
	for i := range 50 {
		total += s.replica.TakeFiles(at(replica.MaxWindows+i), 11)
	}
	if total != 10 {
		t.Errorf("50 addresses more had %d files, want 10", total)
	}
	if n := s.replica.TakeFiles(at(0), 11); n != 0 {
		t.Errorf("the first address had %d files more", n)
	}
	if n := s.replica.Windows(); n > replica.MaxWindows {
		t.Errorf("%d addresses are remembered", n)
	}
	clock.pass(25 * time.Hour)
	if n := s.replica.TakeFiles(at(replica.MaxWindows+60), 11); n != 10 {
		t.Errorf("the next day an address had %d files", n)
	}
	if n := s.replica.Windows(); n > 10 {
		t.Errorf("%d addresses are remembered after a day", n)
	}
}

// watched are folders whose Node, Retain and PutNodes a test watches, and has
// these two fail.
type watched struct {
	replica.Folders
	mu          sync.Mutex
	retained    []string
	puts        int
	looks       int // nodes read
	retain, put error
}

func (f *watched) watch(cfg *replica.Config) {
	f.Folders, cfg.Communities[0].Folders = cfg.Communities[0].Folders, f
}

func (f *watched) Node(c cid.Cid) (*comntr.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.Folders.Node(c)
}

func (f *watched) Retain(peer string, root cid.Cid) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retained = append(f.retained, peer)
	if f.retain != nil {
		return fmt.Errorf("retain %s: %w", root, f.retain)
	}
	return f.Folders.Retain(peer, root)
}

func (f *watched) PutNodes(blocks map[cid.Cid][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts++
	if f.put != nil {
		return fmt.Errorf("put nodes: %w", f.put)
	}
	return f.Folders.PutNodes(blocks)
}

// The last roots of strangers are kept by address: with a new key one takes no
// further place.
func TestRootsAreKeptByAddress(t *testing.T) {
	w, f := newWorld(t), &watched{}
	a, b := w.serve("a", 0), w.serve("b", 0, f.watch)
	for i := range 5 {
		a.post("/r/news", fmt.Sprint(i))
		s := a.as()
		s.Key = fmt.Sprintf("%064x", i)
		if merged, err := b.replica.Round(t.Context(), s, reddit); err != nil || !merged {
			t.Fatal(merged, err)
		}
	}
	named := a.as()
	named.Named = true
	a.post("/r/news", "more")
	if _, err := b.replica.Round(t.Context(), named, reddit); err != nil {
		t.Fatal(err)
	}
	if names := slices.Compact(slices.Clone(f.retained)); !slices.Equal(names, []string{"at a.test", named.Key}) {
		t.Errorf("kept as %q", names)
	}
	long := strings.Repeat(strings.Repeat("x", 60)+".", 2) + "test:80"
	w.handle(long, a)
	s := a.as()
	s.Origin, s.Key = "http://"+long, fmt.Sprintf("%064x", 99)
	if _, err := b.replica.Round(t.Context(), s, reddit); err != nil {
		t.Fatal(err)
	}
	if n := len(f.retained[len(f.retained)-1]); n > 64 {
		t.Errorf("a long address is kept under a name of %d bytes", n)
	}
}

// A root that is too large to be kept is tried once, and roots that change all
// the time are tried now and then.
func TestRetainIsBounded(t *testing.T) {
	w, clock, f := newWorld(t), newClock(), &watched{retain: ipfs.ErrTooLarge}
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, f.watch)
	a.post("/r/news", "Cool!")
	for range 10 {
		b.round(a)
		clock.pass(time.Minute)
	}
	if n := len(f.retained); n != 1 {
		t.Errorf("a root that is too large was tried %d times", n)
	}
	f.retain, f.retained = nil, nil
	for i := range 120 {
		a.post("/r/news", fmt.Sprint(i))
		b.round(a)
		clock.pass(time.Second)
	}
	if n := len(f.retained); n < 3 || n > 5 {
		t.Errorf("120 roots in 2 minutes were tried %d times", n)
	}
	clock.pass(time.Minute)
	before := len(f.retained)
	b.round(a)
	b.round(a)
	if n := len(f.retained) - before; n != 1 {
		t.Errorf("the last root was tried %d times", n)
	}
}

// Good rounds between lies do not make a lie cheap; hours of them do.
func TestLiesBetweenGoodRounds(t *testing.T) {
	w, clock := newWorld(t), newClock()
	l := w.lie()
	s := w.serve("s", 0, clock.set)
	good := l.folder(nil).String()
	bad := l.inTopic(map[comntr.Hash]cid.Cid{id("x"): l.comment("y")}).String()
	lie := func() time.Duration {
		t.Helper()
		l.root = bad
		if _, err := s.replica.Round(t.Context(), l.as(), reddit); err == nil {
			t.Fatal("the lie was believed")
		}
		alone := s.replica.LeftAlone(l.as()).Sub(clock.now())
		clock.pass(alone)
		return alone
	}
	behave := func(minutes int) {
		t.Helper()
		l.root = good
		for range minutes {
			clock.pass(time.Minute)
			if _, err := s.replica.Round(t.Context(), l.as(), reddit); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := time.Minute
	for range 12 {
		if got := lie(); got != want {
			t.Fatalf("left alone for %v, want %v", got, want)
		}
		behave(5)
		want = min(2*want, time.Hour)
	}
	behave(60)
	if got := lie(); got != 8*time.Minute {
		t.Errorf("after a good hour left alone for %v", got)
	}
	behave(300)
	if got := lie(); got != time.Minute {
		t.Errorf("after five good hours left alone for %v", got)
	}
}

// Where there is no room for peers' nodes a round ends, nobody is to blame, and
// nothing is asked for until there may be room again.
func TestNoRoom(t *testing.T) {
	w, clock, f := newWorld(t), newClock(), &watched{put: ipfs.ErrNoRoom, retain: ipfs.ErrNoRoom}
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, f.watch)
	a.postMany(100, 10, "comment")
	for range 9 {
		merged, err := b.replica.Round(context.Background(), a.as(), reddit)
		if err != nil || merged {
			t.Fatalf("merged %v, err %v", merged, err)
		}
		clock.pass(time.Minute)
	}
	if f.puts != 1 {
		t.Errorf("nodes were fetched %d times in 9 minutes", f.puts)
	}
	if n := len(b.book.failures()); n > 0 || strings.Contains(b.log.String(), "level=ERROR") {
		t.Errorf("%d failures were reported\n%s", n, b.log)
	}
	f.put = nil
	clock.pass(2 * time.Minute)
	if !b.round(a) {
		t.Error("the round left something")
	}
	checkSame(t, a, b)
	for range 9 {
		clock.pass(time.Minute)
		b.round(a)
	}
	if n := len(f.retained); n != 1 {
		t.Errorf("the root was tried %d times in 10 minutes", n)
	}
	f.retain = nil
	clock.pass(2 * time.Minute)
	b.round(a)
	if n := len(f.retained); n != 2 {
		t.Errorf("the root was not tried again: %d", n)
	}
}
