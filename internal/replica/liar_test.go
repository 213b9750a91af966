package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/replica"
)

// liar is a server that answers whatever a test wants.
type liar struct {
	host   string
	root   string // the body of the answer to GET /<community>
	blocks map[cid.Cid][]byte
	other  http.HandlerFunc // if it is there, it answers all but the root
	any    http.HandlerFunc // if it is there, it answers everything

	mu       sync.Mutex
	requests int
	sent     int // blocks
	bytes    int
}

func (w *world) lie() *liar {
	l := &liar{host: "liar.test:80", blocks: make(map[cid.Cid][]byte)}
	w.handle(l.host, l)
	return l
}

func (l *liar) as() discover.Server {
	return discover.Server{Origin: "http://" + l.host, Key: strings.Repeat("ff", 32), Hello: &comntr.Hello{}}
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.requests++
	l.mu.Unlock()
	switch {
	case l.any != nil:
		l.any(w, r)
	case r.URL.Path == "/"+reddit.String():
		fmt.Fprintln(w, l.root)
	case l.other != nil:
		l.other(w, r)
	case r.URL.Path == "/blocks":
		serveCAR(w, r, func(c cid.Cid) []byte {
			b := l.blocks[c]
			l.mu.Lock()
			defer l.mu.Unlock()
			if b != nil {
				l.sent++
				l.bytes += len(b)
			}
			return b
		})
	default:
		problem(w, 404)
	}
}

func (l *liar) cost() (requests, sent, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests, l.sent, l.bytes
}

// put has the liar hold a block.
func (l *liar) put(block []byte) cid.Cid {
	c := comntr.Version(0).FolderCID(block)
	l.blocks[c] = block
	return c
}

// folder puts a plain directory of names and CIDs.
func (l *liar) folder(links map[comntr.Hash]cid.Cid) cid.Cid {
	n := &comntr.Node{}
	for name, c := range links {
		n.Links = append(n.Links, comntr.Link{Name: name, CID: c, Size: 1})
	}
	slices.SortFunc(n.Links, func(a, b comntr.Link) int { return bytes.Compare(a.Name[:], b.Name[:]) })
	return l.put(n.Encode())
}

// shard puts a shard with the same child at n indices.
func (l *liar) shard(child cid.Cid, n int) cid.Cid {
	s := &comntr.Node{Shard: true}
	for i := range n {
		s.Links = append(s.Links, comntr.Link{Index: uint8(i), Child: true, CID: child, Size: 1})
	}
	return l.put(s.Encode())
}

// comment puts a comment's leaf.
func (l *liar) comment(text string) cid.Cid {
	return l.put(comntr.Version(0).LeafBlock([]byte(text)))
}

func id(text string) comntr.Hash { return comntr.SumHash([]byte(text)) }

var news = comntr.NameHash("/r/news")

// inTopic makes a root with the one topic that comments are in.
func (l *liar) inTopic(comments map[comntr.Hash]cid.Cid) cid.Cid {
	return l.folder(map[comntr.Hash]cid.Cid{news: l.folder(comments)})
}

// lies are what no honest server does. At most maxRequests are spent on each,
// and maxBlocks blocks taken.
var lies = []struct {
	name                   string
	tell                   func(l *liar)
	maxRequests, maxBlocks int
}{
	{"a name that is not the SHA-1 of the bytes", func(l *liar) {
		l.root = l.inTopic(map[comntr.Hash]cid.Cid{id("x"): l.comment("y")}).String()
	}, 4, 3},
	{"a comment that is a folder", func(l *liar) {
		l.root = l.inTopic(map[comntr.Hash]cid.Cid{id("x"): l.folder(nil)}).String()
	}, 4, 3},
	{"a comment of more bytes than there can be", func(l *liar) {
		text := strings.Repeat("x", comntr.MaxDocument+100)
		l.root = l.inTopic(map[comntr.Hash]cid.Cid{id(text): l.comment(text)}).String()
	}, 4, 3},
	{"blocks that do not hash to their CIDs", func(l *liar) {
		c := l.inTopic(nil)
		l.blocks[c] = (&comntr.Node{}).Encode()
		l.root = c.String()
	}, 2, 1},
	{"a block that was not asked for", func(l *liar) {
		l.root = l.inTopic(nil).String()
		l.other = func(w http.ResponseWriter, r *http.Request) {
			car, _ := comntr.NewCARWriter(w, asked(r)[0])
			b := comntr.Version(0).LeafBlock([]byte("spam"))
			car.Block(comntr.Version(0).FolderCID(b), b)
		}
	}, 2, 0},
	{"a node that is not canonical: links out of order", func(l *liar) {
		n := &comntr.Node{Links: []comntr.Link{{Name: comntr.Hash{2}, CID: l.folder(nil)}, {Name: comntr.Hash{1}, CID: l.folder(nil)}}}
		l.root = l.put(n.Encode()).String()
	}, 2, 1},
	{"a node that is not canonical: more data", func(l *liar) {
		l.root = l.put(append((&comntr.Node{}).Encode(), 0x0a, 0x00)).String()
	}, 2, 1},
	{"a name in upper case", func(l *liar) {
		b := (&comntr.Node{Links: []comntr.Link{{Name: comntr.Hash{0xaa}, CID: l.folder(nil)}}}).Encode()
		l.root = l.put(bytes.Replace(b, []byte("aa00"), []byte("AA00"), 1)).String()
	}, 2, 1},
	{"a root that is a comment", func(l *liar) { l.root = l.comment("x").String() }, 2, 1},
	{"a root that is a raw block", func(l *liar) { l.root = comntr.Version(1).LeafCID([]byte("x")).String() }, 1, 0},
	{"a root that is no CID", func(l *liar) { l.root = "<html>" }, 1, 0},
	{"a root of endless bytes", func(l *liar) { l.root = strings.Repeat("Q", 1<<20) }, 1, 0},
	{"a topic that is a raw block", func(l *liar) {
		b := (&comntr.Node{}).Encode()
		c := comntr.Version(1).LeafCID(b)
		l.blocks[c] = b
		l.root = l.folder(map[comntr.Hash]cid.Cid{news: c}).String()
	}, 2, 1},
	{"a name in a shard that is not its own", func(l *liar) {
		slot := uint8(news.Slot() >> 56)
		n := &comntr.Node{Shard: true, Links: []comntr.Link{{Index: slot + 1, Name: news, CID: l.folder(nil)}}}
		l.root = l.put(n.Encode()).String()
	}, 2, 1},
	{"an empty shard", func(l *liar) { l.root = l.put((&comntr.Node{Shard: true}).Encode()).String() }, 2, 1},
	{"a folder without an end", func(l *liar) {
		c := l.folder(nil)
		for range 1000 {
			c = l.shard(c, 1)
		}
		l.root = c.String()
	}, 12, 10},
	{"a small folder with 32 to the power of 7 places", func(l *liar) {
		n := &comntr.Node{Shard: true, Links: []comntr.Link{{Index: uint8(news.Slot()), Name: news, CID: l.folder(nil)}}}
		c := l.put(n.Encode())
		for range 7 {
			c = l.shard(c, 32)
		}
		l.root = c.String()
	}, 10, 10},
	{"a block of more bytes than there can be", func(l *liar) {
		b := make([]byte, 2<<20)
		l.root = l.put(b).String()
	}, 2, 1},
	{"a redirect to another address", func(l *liar) {
		l.any = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:80/", http.StatusFound)
		}
	}, 1, 0},
	{"a thousand comments that nobody has", func(l *liar) {
		comments := make(map[comntr.Hash]cid.Cid)
		for i := range 3000 {
			text := fmt.Sprint("nobody ", i)
			comments[id(text)] = comntr.Version(0).LeafCID([]byte(text))
		}
		l.root = l.inTopic(comments).String()
	}, 6, 2},
}

func TestLies(t *testing.T) {
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			w := newWorld(t)
			l := w.lie()
			lie.tell(l)
			s := w.serve("s", 0)
			_, err := s.replica.Round(context.Background(), l.as(), reddit)
			if err == nil {
				t.Fatal("the lie was believed")
			}
			t.Log(err)
			if n := len(s.tree()); n != 0 {
				t.Errorf("%d names were stored", n)
			}
			if f := s.book.failures(); len(f) != 1 {
				t.Errorf("reported as failed %d times, want once: %v", len(f), f)
			}
			if !s.replica.LeftAlone(l.as()).After(time.Now()) {
				t.Error("the liar is not left alone")
			}
			requests, sent, bytes := l.cost()
			t.Logf("cost: %d requests, %d blocks, %d bytes", requests, sent, bytes)
			if requests > lie.maxRequests || sent > lie.maxBlocks {
				t.Errorf("it cost %d requests and %d blocks, want at most %d and %d", requests, sent, lie.maxRequests, lie.maxBlocks)
			}
		})
	}
}

// One liar among honest servers: they go on, it is asked once and then left alone.
func TestLiarAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lie()
		l.root = l.inTopic(map[comntr.Hash]cid.Cid{id("x"): l.comment("y")}).String()
		a, s := w.serve("a", 0), w.serve("s", 0)
		a.postMany(100, 3, "comment")
		s.book.know(a)
		s.book.servers = append(s.book.servers, l.as())
		stop := runHere(t, s)
		time.Sleep(leaveMin / 2)
		if n := s.store.Stats().Comments; n != 100 {
			t.Errorf("%d comments came", n)
		}
		before, _, _ := l.cost()
		if f := s.book.failures(); len(f) != 1 {
			t.Errorf("reported as failed %d times, want once: %v", len(f), f)
		}
		a.post("/r/news", "while the liar is left alone")
		time.Sleep(leaveMin / 4)
		if after, _, _ := l.cost(); after != before || after > 5 {
			t.Errorf("the liar was asked %d times, then %d times while left alone", before, after-before)
		}
		time.Sleep(leaveMin)
		if f := s.book.failures(); len(f) != 2 {
			t.Errorf("after the pause it was not tried again, or too often: %d", len(f))
		}
		stop()
	})
}

const leaveMin = time.Minute

// runHere is run for use in a bubble: stop returns when all has ended.
func runHere(t *testing.T, s *server) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.replica.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A server that takes a request and never answers, or stops in the middle.
func TestStall(t *testing.T) {
	stall := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, c := range []struct {
		name string
		tell func(l *liar)
		max  time.Duration
	}{
		{"at the root", func(l *liar) { l.any = stall }, 50 * time.Second},
		{"at blocks, before the answer", func(l *liar) { l.other = stall }, 40 * time.Second},
		{"in the middle of a block", func(l *liar) {
			l.other = func(w http.ResponseWriter, r *http.Request) {
				comntr.NewCARWriter(w, asked(r)[0])
				w.Write([]byte{200, 1, 1})
				<-r.Context().Done()
			}
		}, 40 * time.Second},
		{"a byte now and then", func(l *liar) {
			l.other = func(w http.ResponseWriter, r *http.Request) {
				comntr.NewCARWriter(w, asked(r)[0])
				w.Write([]byte{200, 200, 1}) // 25,672 bytes follow
				for r.Context().Err() == nil {
					w.Write([]byte{0})
					time.Sleep(15 * time.Second)
				}
			}
		}, 150 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				l := w.lie()
				l.root = l.inTopic(nil).String()
				c.tell(l)
				s := w.serve("s", 0)
				began := time.Now()
				for s.replica.LeftAlone(l.as()).IsZero() && len(s.book.failures()) == 0 && time.Since(began) < time.Hour {
					s.replica.Round(context.Background(), l.as(), reddit)
				}
				if took := time.Since(began); took > c.max {
					t.Errorf("it held a round for %v", took)
				}
				if f := s.book.failures(); len(f) != 1 {
					t.Errorf("reported %d times, want once: %v", len(f), f)
				}
			})
		})
	}
}

// A server that names what an honest one has, and stalls when it is to give
// it: the comments come from the other meanwhile.
func TestStallHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lie()
		a, s := w.serve("a", 0), w.serve("s", 0, noTick)
		a.postMany(2000, 20, "comment")
		stalled := make(chan struct{})
		var once sync.Once
		l.any = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/blocks" {
				a.ServeHTTP(w, r)
				return
			}
			serveCAR(w, r, func(c cid.Cid) []byte {
				b, _ := a.folders.Block(c)
				if _, err := comntr.ParseNode(b); err != nil {
					once.Do(func() { close(stalled) })
					<-r.Context().Done()
				}
				return b
			})
		}
		s.book.servers = []discover.Server{l.as()}
		stop := runHere(t, s)
		<-stalled // it has its claims
		began := time.Now()
		s.book.mu.Lock()
		s.book.servers = append(s.book.servers, a.as())
		close(s.book.changed)
		s.book.changed = make(chan struct{})
		s.book.mu.Unlock()
		until(t, "all are here", func() bool { return s.store.Stats().Comments == 2000 }, s)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
		stop()
	})
}

// A server that gives a block now and then: the whole round is bounded.
func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lie()
		comments := make(map[comntr.Hash]cid.Cid)
		for i := range 400 {
			text := fmt.Sprint("drop ", i)
			comments[id(text)] = l.comment(text)
		}
		l.root = l.inTopic(comments).String()
		l.other = func(w http.ResponseWriter, r *http.Request) {
			cids := asked(r)
			car, _ := comntr.NewCARWriter(w, cids[0])
			for _, c := range cids {
				if car.Block(c, l.blocks[c]) != nil {
					return
				}
				time.Sleep(15 * time.Second)
			}
		}
		s := w.serve("s", 0)
		began := time.Now()
		_, err := s.replica.Round(context.Background(), l.as(), reddit)
		if !errors.Is(err, comntr.ErrStalled) {
			t.Errorf("the round ended with %v", err)
		}
		if took := time.Since(began); took > 6*time.Minute {
			t.Errorf("it held a round for %v", took)
		}
		if n := s.store.Stats().Comments; n == 0 {
			t.Error("what came is good, and was not kept")
		}
	})
}

// A stream that names, as fast as it can, what the server does not have.
func TestFalseEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lie()
		l.root = l.folder(nil).String()
		serve := l.ServeHTTP
		var written atomic.Int64
		w.handle(l.host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/events") {
				serve(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; writeEvent(w, fmt.Sprint(i), news, comntr.NameHash(fmt.Sprint(i))) == nil; i++ {
				written.Add(1)
				if i%32 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}))
		s := w.serve("s", 0, noTick)
		s.book.servers = []discover.Server{l.as()}
		stop := runHere(t, s)
		time.Sleep(30 * time.Second)
		stop()
		requests, _, _ := l.cost()
		if requests > replica.MaxFalseEvents+40 {
			t.Errorf("false events cost %d requests", requests)
		}
		if n := written.Load(); n > 32*replica.MaxEventsPerSecond {
			t.Errorf("%d events were read in 30 s", n)
		}
		if s.replica.LeftAlone(l.as()).IsZero() {
			t.Errorf("a server with %d false events is not left alone", written.Load())
		}
	})
}

// A stream that repeats, as fast as it can, what is here already.
func TestEventFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lie()
		l.root = l.folder(nil).String()
		s := w.serve("s", 0, noTick)
		held := s.post("/r/news", "Cool!")
		serve := l.ServeHTTP
		var written atomic.Int64
		w.handle(l.host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/events") {
				serve(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for writeEvent(w, "1", news, held) == nil {
				written.Add(1)
			}
		}))
		s.book.servers = []discover.Server{l.as()}
		stop := runHere(t, s)
		time.Sleep(10 * time.Second)
		stop()
		if n := written.Load(); n > 12*replica.MaxEventsPerSecond || n < 5*replica.MaxEventsPerSecond {
			t.Errorf("%d events were read in 10 s", n)
		}
		if requests, _, _ := l.cost(); requests > 3 {
			t.Errorf("events that name what is here cost %d requests", requests)
		}
	})
}

// The bounds of a round, made small: each ends it, and the next goes on.
func TestBounds(t *testing.T) {
	const comments, topics = 2000, 200
	for _, c := range []struct {
		name                                      string
		nodes, nodeBytes, links, pending, missing int
	}{
		{"nodes", 50, 0, 0, 0, 0},
		{"bytes of nodes", 0, 20_000, 0, 0, 0},
		{"links", 0, 0, 600, 0, 0},
		{"pending", 0, 0, 0, 30, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.serve("a", 0), w.serve("b", 0)
			a.postMany(comments, topics, "comment")
			b.replica.Bound(c.nodes, c.nodeBytes, c.links, c.pending, c.missing, 0)
			rounds, before := 0, 0
			for merged := false; !merged; rounds++ {
				if rounds > 100 {
					t.Fatalf("after %d rounds %d comments are there", rounds, b.store.Stats().Comments)
				}
				a.cost()
				merged = b.round(a)
				_, blocks, size := a.cost()
				got := b.store.Stats().Comments
				if nodes := blocks - (got - before); c.nodes > 0 && nodes > c.nodes {
					t.Errorf("a round fetched %d nodes", nodes)
				}
				if c.nodeBytes > 0 && size > int64(c.nodeBytes)+64<<10 {
					t.Errorf("a round fetched %d bytes", size)
				}
				before = got
			}
			if rounds < 3 {
				t.Errorf("the bound was of no effect: %d rounds", rounds)
			}
			checkSame(t, a, b)
		})
	}
}

// What came before a lie is good, and each comment of one answer is judged by
// itself: stored, passed over, or left until its time has come.
func TestMixedAnswer(t *testing.T) {
	w, clock := newWorld(t), newClock()
	l := w.lie()
	comments := make(map[comntr.Hash]cid.Cid)
	for i := range 20 {
		good, bad := fmt.Sprint("good ", i), fmt.Sprint("Signature: bad ", i)
		ahead := signed(t, "/r/news", clock.now().Add(20*time.Minute), fmt.Sprint("ahead ", i))
		for _, text := range []string{good, bad, ahead} {
			comments[id(text)] = l.comment(text)
		}
	}
	last := comntr.Hash(bytes.Repeat([]byte{0xff}, 20)) // the last in the folder, and so in the answer
	comments[last] = l.comment("another")
	l.root = l.inTopic(comments).String()
	s := w.serve("s", 0, clock.set)
	if _, err := s.replica.Round(t.Context(), l.as(), reddit); err == nil {
		t.Error("the lie was believed")
	}
	if n := s.store.Stats().Comments; n != 20 {
		t.Errorf("%d comments came before the lie, want 20", n)
	}
	delete(comments, last)
	l.root = l.inTopic(comments).String()
	for _, c := range []struct {
		pause time.Duration
		want  int // comments
	}{{9 * time.Minute, 20}, {2 * time.Minute, 40}} {
		clock.pass(c.pause)
		merged, err := s.replica.Round(t.Context(), l.as(), reddit)
		if n := s.store.Stats().Comments; err != nil || merged != (c.want == 40) || n != c.want {
			t.Errorf("%v later: %d comments, merged %v, %v; want %d", c.pause, n, merged, err, c.want)
		}
	}
}
