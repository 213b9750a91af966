package ipfs_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/ipld/merkledag"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// feed is a Source in memory, with the store's rules of what is listed.
type feed struct {
	mu     sync.Mutex
	epoch  uint64
	seq    uint64
	topics map[comntr.Hash]*feedTopic
	slots  map[uint64]comntr.Hash // of topics -> the listed one
	reads  int
	looked int  // how often Held was asked
	listed int  // how often Listing was
	lax    bool // lists names whatever their slots
	// dropped are topics whose folders vanished, by number.
	dropped  map[uint64]comntr.Hash
	loosened uint64
	denied   []cid.Cid
}

type feedTopic struct {
	seq, listing uint64
	docs         map[comntr.Hash][]byte
	gone         map[comntr.Hash]bool
	broken       map[comntr.Hash]bool
	slots        map[uint64]comntr.Hash
	log          []feedEvent
}

type feedEvent struct {
	seq     uint64
	comment comntr.Hash
	removed bool
}

type errGone struct{}

type errDenied struct{}

func (errDenied) Error() string { return "denied" }
func (errDenied) Denied() bool  { return true }

type errBroken struct{}

func (errBroken) Error() string { return "damaged" }
func (errBroken) Damaged() bool { return true }

func (errGone) Error() string { return "removed by its author" }
func (errGone) Gone() bool    { return true }

func newFeed() *feed {
	return &feed{epoch: 7, topics: map[comntr.Hash]*feedTopic{}, slots: map[uint64]comntr.Hash{}}
}

func (s *feed) topic(t comntr.Hash) *feedTopic {
	topic := s.topics[t]
	if topic == nil {
		s.seq++
		topic = &feedTopic{seq: s.seq, docs: map[comntr.Hash][]byte{}, gone: map[comntr.Hash]bool{}, broken: map[comntr.Hash]bool{}, slots: map[uint64]comntr.Hash{}}
		s.topics[t] = topic
		s.elect(t)
	}
	return topic
}

// elect lists, of two topics with one slot, that of more comments, then the
// smaller.
func (s *feed) elect(t comntr.Hash) {
	old, ok := s.slots[t.Slot()]
	if old == t {
		return
	}
	if ok {
		a, b := s.topics[t], s.topics[old]
		if len(a.slots) < len(b.slots) || len(a.slots) == len(b.slots) && bytes.Compare(t[:], old[:]) > 0 {
			return
		}
		b.listing = s.seq
	}
	s.slots[t.Slot()] = t
	s.topics[t].listing = s.seq
}

func (s *feed) addTopic(t comntr.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topic(t)
}

func (s *feed) add(t comntr.Hash, doc []byte) comntr.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	topic := s.topic(t)
	id := comntr.SumHash(doc)
	if topic.docs[id] != nil || topic.gone[id] {
		return id
	}
	topic.docs[id] = doc
	s.seq++
	if old, ok := topic.slots[id.Slot()]; ok && !s.lax {
		if bytes.Compare(old[:], id[:]) < 0 {
			return id
		}
		topic.log = append(topic.log, feedEvent{s.seq, old, true})
		s.seq++
	}
	topic.slots[id.Slot()] = id
	topic.log = append(topic.log, feedEvent{s.seq, id, false})
	topic.seq = s.seq
	s.elect(t)
	return id
}

func (s *feed) remove(t, id comntr.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	topic := s.topics[t]
	delete(topic.docs, id)
	topic.gone[id] = true
	if topic.slots[id.Slot()] == id {
		delete(topic.slots, id.Slot())
		s.seq++
		topic.seq = s.seq
		topic.log = append(topic.log, feedEvent{s.seq, id, true})
	}
}

// dropTopic is a topic's folder taken away by hand.
func (s *feed) dropTopic(t comntr.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.dropped = map[uint64]comntr.Hash{s.seq: t}
	delete(s.topics, t)
}

// forget undoes that a comment cannot come back after its removal.
func (s *feed) forget(t, id comntr.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics[t].gone, id)
}

func (s *feed) breakFile(t, id comntr.Hash, broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics[t].broken[id] = broken
}

// restart gives the feed another epoch and other numbers.
func (s *feed) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// loosen has what was settled be open again; deny has the operator deny blocks
// or, by their leaves, comments.
func (s *feed) loosen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.loosened = s.seq
}

func (s *feed) deny(cids ...cid.Cid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = cids
}

// Held knows nothing of broken files, as an index does not.
func (s *feed) Held(t, id comntr.Hash) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked++
	topic := s.topics[t]
	if topic == nil || topic.gone[id] || topic.docs[id] == nil || s.denies(topic.docs[id]) {
		return 0, false
	}
	return len(topic.docs[id]), true
}

// denies tells whether a comment is denied by its leaf; mu is held.
func (s *feed) denies(doc []byte) bool {
	return slices.ContainsFunc(s.denied, func(c cid.Cid) bool {
		return c == comntr.Version(0).LeafCID(doc) || c == comntr.Version(1).LeafCID(doc)
	})
}

func (s *feed) DeniedBlock(c cid.Cid) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.denied, c)
}

func (s *feed) Loosened() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loosened
}

func (s *feed) Community() comntr.Hash { return comntr.NameHash("reddit") }
func (s *feed) Epoch() uint64          { return s.epoch }

func (s *feed) TopicSeq(t comntr.Hash) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	topic := s.topics[t]
	if topic == nil {
		return 0, false
	}
	return topic.seq, true
}

func (s *feed) TopicsSince(since uint64, fn func(comntr.Hash, bool) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, topic := range s.topics {
		listed := s.slots[t.Slot()] == t
		if since == 0 && listed || since > 0 && max(topic.seq, topic.listing) > since {
			if err := fn(t, listed); err != nil {
				return 0, err
			}
		}
	}
	for seq, t := range s.dropped {
		if since > 0 && seq > since {
			if err := fn(t, false); err != nil {
				return 0, err
			}
		}
	}
	return s.seq, nil
}

func (s *feed) Listing(t comntr.Hash, since uint64, fn func(comntr.Hash, uint64, bool) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed++
	topic := s.topics[t]
	from, _ := slices.BinarySearchFunc(topic.log, since+1, func(e feedEvent, seq uint64) int { return cmp.Compare(e.seq, seq) })
	after := map[comntr.Hash]feedEvent{}
	for _, e := range topic.log[from:] {
		if _, ok := after[e.comment]; !ok {
			e.removed = !e.removed // the first change tells what was before
			after[e.comment] = e
			continue
		}
		after[e.comment] = feedEvent{e.seq, e.comment, after[e.comment].removed}
	}
	var out []feedEvent
	for c, e := range after {
		_, held := topic.docs[c]
		now := held && (s.lax || topic.slots[c.Slot()] == c)
		if before := !e.removed; now != before {
			out = append(out, feedEvent{e.seq, c, !now})
		}
	}
	slices.SortFunc(out, func(a, b feedEvent) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range out {
		if err := fn(e.comment, e.seq, e.removed); err != nil {
			return 0, err
		}
	}
	return topic.seq, nil
}

// Number is that of the line of the log.
func (s *feed) Number(t, id comntr.Hash) (seq uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.topics[t].log) {
		if e.comment == id && !e.removed {
			return e.seq, true
		}
	}
	return 0, false
}

func (s *feed) At(t comntr.Hash, seq uint64) (comntr.Hash, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[t] == nil {
		return comntr.Hash{}, false
	}
	log := s.topics[t].log
	i, ok := slices.BinarySearchFunc(log, seq, func(e feedEvent, seq uint64) int { return cmp.Compare(e.seq, seq) })
	if !ok || log[i].removed {
		return comntr.Hash{}, false
	}
	return log[i].comment, true
}

func (s *feed) Read(t, id comntr.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	topic := s.topics[t]
	switch {
	case topic == nil:
		return nil, errors.New("not found")
	case topic.gone[id]:
		return nil, fmt.Errorf("read: %w", errGone{})
	case topic.broken[id]:
		return nil, errBroken{}
	case topic.docs[id] == nil:
		return nil, errors.New("not found")
	case s.denies(topic.docs[id]):
		return nil, errDenied{}
	}
	return topic.docs[id], nil
}

func (s *feed) ReadListed(t, id comntr.Hash) ([]byte, error) { return s.Read(t, id) }

// fixture is a feed with folders over it that can be opened again.
type fixture struct {
	*ipfs.Folders
	t   testing.TB
	dir string
	v   comntr.Version
	src *feed
	now time.Time
}

func open(t testing.TB, v comntr.Version) *fixture {
	f := &fixture{t: t, dir: t.TempDir(), v: v, src: newFeed(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	f.open()
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.Folders, err = ipfs.OpenFolders(f.dir, f.v, f.src, slog.New(slog.DiscardHandler)); err != nil {
		f.t.Fatal(err)
	}
	f.SetClock(func() time.Time { return f.now })
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

func (f *fixture) topic(t comntr.Hash) cid.Cid {
	f.t.Helper()
	c, err := f.Topic(context.Background(), t)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) root() cid.Cid {
	f.t.Helper()
	c, err := f.Root(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) check() {
	f.t.Helper()
	if err := f.CheckCounts(); err != nil {
		f.t.Fatal(err)
	}
}

// tree reads the tree under root through Block and Node alone, checks every
// block and shape, and returns what its names link to.
func (f *fixture) tree(root cid.Cid) map[comntr.Hash]comntr.Link {
	f.t.Helper()
	out := map[comntr.Hash]comntr.Link{}
	var walk func(c cid.Cid, path []uint8)
	walk = func(c cid.Cid, path []uint8) {
		block, err := f.Block(c)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := comntr.CheckBlock(c, block); err != nil {
			f.t.Fatal(err)
		}
		n, err := f.Node(c)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := n.CheckShard(path); err != nil {
			f.t.Fatal(err)
		}
		for _, l := range n.Links {
			if l.Child {
				walk(l.CID, append(path, l.Index))
			} else {
				out[l.Name] = l
			}
		}
	}
	walk(root, nil)
	return out
}

// boxo is the independent implementation: a UnixFS directory of boxo's.
type boxo struct {
	t   testing.TB
	v   comntr.Version
	dag ipld.DAGService
	dir uio.Directory
}

func newBoxo(t testing.TB, v comntr.Version) *boxo {
	bs := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	b := &boxo{t: t, v: v, dag: merkledag.NewDAGService(blockservice.New(bs, offline.Exchange(bs)))}
	b.dir = b.fresh()
	return b
}

func (b *boxo) prefix() cid.Builder {
	if b.v == 0 {
		return merkledag.V0CidPrefix()
	}
	return merkledag.V1CidPrefix()
}

func (b *boxo) fresh() uio.Directory {
	dir, err := uio.NewDirectory(b.dag,
		uio.WithCidBuilder(b.prefix()),
		uio.WithMaxHAMTFanout(256),
		uio.WithSizeEstimationMode(uio.SizeEstimationLinks))
	if err != nil {
		b.t.Fatal(err)
	}
	return dir
}

func (b *boxo) add(name comntr.Hash, n ipld.Node) {
	b.t.Helper()
	if err := b.dir.AddChild(context.Background(), name.String(), n); err != nil {
		b.t.Fatal(err)
	}
}

func (b *boxo) leaf(doc []byte) ipld.Node {
	if b.v == 1 {
		return merkledag.NewRawNode(doc)
	}
	n, err := merkledag.DecodeProtobuf(b.v.LeafBlock(doc))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *boxo) remove(name comntr.Hash) {
	b.t.Helper()
	if err := b.dir.RemoveChild(context.Background(), name.String()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *boxo) node() ipld.Node {
	b.t.Helper()
	n, err := b.dir.GetNode()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.dag.Add(context.Background(), n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func doc(i int) []byte { return fmt.Appendf(nil, "comment %d", i) }

// vectorDoc is comment i of the vectors: 200 bytes.
func vectorDoc(i int) []byte {
	return []byte((fmt.Sprintf("comment %d: ", i) + strings.Repeat("lorem ipsum ", 20))[:200])
}

var versions = []comntr.Version{0, 1}

func eachVersion(t *testing.T, fn func(t *testing.T, v comntr.Version)) {
	for _, v := range versions {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) { fn(t, v) })
	}
}

type ids struct {
	V0, V1 string
}

func (i ids) of(v comntr.Version) string {
	if v == 0 {
		return i.V0
	}
	return i.V1
}

type vectors struct {
	Topics []struct {
		Comments int
		ids
	}
	Communities []struct {
		Topics int
		ids
	}
	Seed struct {
		Community ids
		News      ids `json:"/r/news"`
		Gifs      ids `json:"/r/gifs"`
	}
}

func readVectors(t *testing.T) (v vectors) {
	b, err := os.ReadFile("../../testdata/vectors/folders.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSeedTree(t *testing.T) {
	want := readVectors(t).Seed
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		news, gifs := comntr.NameHash("/r/news"), comntr.NameHash("/r/gifs")
		f.src.addTopic(gifs)
		f.src.add(news, []byte("That's bs!"))
		f.src.add(news, []byte("Cool!"))
		if got := f.topic(news).String(); got != want.News.of(v) {
			t.Errorf("/r/news is %s, want %s", got, want.News.of(v))
		}
		if got := f.topic(gifs).String(); got != want.Gifs.of(v) {
			t.Errorf("/r/gifs is %s, want %s", got, want.Gifs.of(v))
		}
		if got := f.root().String(); got != want.Community.of(v) {
			t.Errorf("the community is %s, want %s", got, want.Community.of(v))
		}
		if _, err := f.Topic(t.Context(), comntr.NameHash("/r/none")); !errors.Is(err, ipfs.ErrNoTopic) {
			t.Errorf("an unknown topic gives %v", err)
		}
		f.check()
	})
}

// Who asks with a context that has ended gets the id that is at hand, and none of
// the work.
func TestTopicAtHand(t *testing.T) {
	f := open(t, 0)
	news := comntr.NameHash("/r/news")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, text := range []string{"Cool!", "That's bs!"} {
		f.src.add(news, []byte(text))
		before := f.src.listed
		for range 20 { // chance must not have it done
			if c, err := f.Topic(ended, news); !errors.Is(err, context.Canceled) || f.src.listed != before {
				t.Fatalf("not at hand: %v, %v, listed %d times", c, err, f.src.listed-before)
			}
		}
		want := f.topic(news)
		if c, err := f.Topic(ended, news); err != nil || c != want {
			t.Errorf("at hand: %v, %v; want %v", c, err, want)
		}
	}
}

// Each vector grows one topic further, in random order, with restarts, and
// with comments that come and go again.
func TestTopicVectors(t *testing.T) {
	vecs := readVectors(t).Topics
	if testing.Short() {
		vecs = vecs[:len(vecs)-1] // 20,000 comments
	}
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic := comntr.NameHash("topic")
		f.src.addTopic(topic)
		rng := rand.New(rand.NewPCG(1, uint64(v)))
		have, extra := 0, 0
		grow := func(want int, id string) {
			var coming []int
			for i := have; i < want; i++ {
				coming = append(coming, i)
			}
			have = want
			rng.Shuffle(len(coming), func(i, j int) { coming[i], coming[j] = coming[j], coming[i] })
			for len(coming) > 0 {
				n := 1 + rng.IntN(len(coming))
				for _, i := range coming[:n] {
					f.src.add(topic, vectorDoc(i))
				}
				coming = coming[n:]
				var passing []comntr.Hash
				for range rng.IntN(300) {
					extra++
					passing = append(passing, f.src.add(topic, fmt.Appendf(nil, "passing %d", extra)))
				}
				f.topic(topic)
				for _, c := range passing {
					f.src.remove(topic, c)
				}
				if rng.IntN(3) == 0 {
					f.reopen()
				}
			}
			if got := f.topic(topic).String(); got != id {
				t.Errorf("%d comments: %s, want %s", want, got, id)
			}
		}
		for _, vec := range vecs {
			grow(vec.Comments, vec.of(v))
		}
		// And down again, over the same thresholds.
		for _, vec := range slices.Backward(vecs) {
			for have > vec.Comments {
				have--
				f.src.remove(topic, comntr.SumHash(vectorDoc(have)))
			}
			if got := f.topic(topic).String(); got != vec.of(v) {
				t.Errorf("%d comments after removals: %s, want %s", have, got, vec.of(v))
			}
		}
		f.check()
	})
}

func TestCommunityVectors(t *testing.T) {
	vecs := readVectors(t).Communities
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		rng := rand.New(rand.NewPCG(2, uint64(v)))
		have := 0
		for _, vec := range vecs {
			order := rng.Perm(vec.Topics)
			for half, i := range order {
				if i >= have {
					f.src.add(comntr.NameHash(fmt.Sprintf("topic-%d", i)), vectorDoc(i))
				}
				if half == len(order)/2 {
					f.root()
					f.reopen()
				}
			}
			have = vec.Topics
			if got := f.root().String(); got != vec.of(v) {
				t.Errorf("%d topics: %s, want %s", vec.Topics, got, vec.of(v))
			}
			if got := f.OwnRoot().String(); got != vec.of(v) {
				t.Errorf("%d topics: the own root is %s, want %s", vec.Topics, got, vec.of(v))
			}
		}
		f.check()
	})
}

// Random adds and removes, around the threshold both ways, give after every
// step the id that boxo's own incremental directory has.
func TestFoldersLikeBoxo(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f, b := open(t, v), newBoxo(t, v)
		topic := comntr.NameHash("topic")
		f.src.addTopic(topic)
		rng := rand.New(rand.NewPCG(3, uint64(v)))
		var live []comntr.Hash
		next, target := 0, 3600
		steps := 50
		if testing.Short() {
			steps = 20
		}
		for step := range steps {
			n := 1 + rng.IntN(400)
			if step == 0 {
				n = 3300
			}
			for range n {
				if len(live) > 0 && rng.IntN(target*2) < len(live) {
					i := rng.IntN(len(live))
					f.src.remove(topic, live[i])
					b.remove(live[i])
					live[i] = live[len(live)-1]
					live = live[:len(live)-1]
					continue
				}
				d := doc(next)
				next++
				id := f.src.add(topic, d)
				b.add(id, b.leaf(d))
				live = append(live, id)
			}
			got := f.topic(topic)
			if want := b.node().Cid(); got != want {
				t.Fatalf("step %d, %d comments: %s, boxo has %s", step, len(live), got, want)
			}
			switch step % 20 {
			case 9:
				target = 2600
			case 19:
				target = 4600
			}
			if rng.IntN(8) == 0 {
				f.reopen()
			}
		}
		if got := f.tree(f.topic(topic)); len(got) != len(live) {
			t.Fatalf("the tree has %d names, want %d", len(got), len(live))
		}
		f.check()
	})
}

// A HAMT of few names, deep ones among them, behaves as boxo's: names are
// chosen to share their first bytes of slot.
func TestDeepHAMTLikeBoxo(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f, b := open(t, v), newBoxo(t, v)
		topic := comntr.NameHash("topic")
		// A ground of names makes both sharded.
		for i := range 3700 {
			d := doc(i)
			b.add(f.src.add(topic, d), b.leaf(d))
		}
		// Of many more, those that meet in 3 levels or more.
		bySlot := map[uint64][][]byte{}
		for i := 10_000; i < 260_000; i++ {
			d := doc(i)
			p := comntr.SumHash(d).Slot() >> 40
			bySlot[p] = append(bySlot[p], d)
		}
		var deep [][]byte
		for _, ds := range bySlot {
			if len(ds) > 1 {
				deep = append(deep, ds...)
			}
		}
		slices.SortFunc(deep, func(a, b []byte) int {
			return cmp.Compare(comntr.SumHash(a).Slot(), comntr.SumHash(b).Slot())
		})
		if len(deep) < 200 {
			t.Fatalf("only %d deep names", len(deep))
		}
		rng := rand.New(rand.NewPCG(4, uint64(v)))
		in := map[int]bool{}
		for step := range 40 {
			for range 1 + rng.IntN(60) {
				i := rng.IntN(200)
				id := comntr.SumHash(deep[i])
				if in[i] {
					f.src.remove(topic, id)
					b.remove(id)
					f.src.forget(topic, id)
				} else {
					f.src.add(topic, deep[i])
					b.add(id, b.leaf(deep[i]))
				}
				in[i] = !in[i]
			}
			if got, want := f.topic(topic), b.node().Cid(); got != want {
				t.Fatalf("step %d: %s, boxo has %s", step, got, want)
			}
		}
		f.check()
	})
}

// Of two names with one slot one is listed. In a topic the smaller takes over;
// in a community the topic with more comments.
func TestEqualSlots(t *testing.T) {
	a, b := []byte("nice 6ec96a27d28a8054"), []byte("nice f3fb553438fde6b9")
	small, large := comntr.SumHash(a), comntr.SumHash(b)
	if small.Slot() != large.Slot() {
		t.Fatal("the pair has not one slot")
	}
	if bytes.Compare(small[:], large[:]) > 0 {
		a, b, small, large = b, a, large, small
	}
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		for _, n := range []int{0, 3700} {
			t.Run(fmt.Sprintf("topic of %d", n), func(t *testing.T) {
				f := open(t, v)
				topic := comntr.NameHash("topic")
				for i := range n {
					f.src.add(topic, doc(i))
				}
				f.src.add(topic, b)
				if names := f.tree(f.topic(topic)); names[large].CID != v.LeafCID(b) {
					t.Error("the first of the pair is not listed")
				}
				f.src.add(topic, a)
				names := f.tree(f.topic(topic))
				if _, ok := names[large]; ok || names[small].CID != v.LeafCID(a) || len(names) != n+1 {
					t.Error("the smaller of the pair did not take over")
				}
				if block, err := f.Block(v.LeafCID(b)); err != nil || !bytes.Equal(block, v.LeafBlock(b)) {
					t.Errorf("the other one, still on disk, cannot be had: %v", err)
				}
				f.check()
			})
			t.Run(fmt.Sprintf("community of %d", n), func(t *testing.T) {
				f := open(t, v)
				for i := range n {
					f.src.addTopic(comntr.SumHash(doc(i)))
				}
				f.src.add(small, doc(1))
				f.src.add(large, doc(1))
				names := f.tree(f.root())
				if _, ok := names[small]; !ok || len(names) != n+1 {
					t.Error("of equal topics the smaller is not listed")
				}
				for _, flip := range []struct{ topic, other comntr.Hash }{{large, small}, {small, large}, {large, small}} {
					for i := range 2 {
						f.src.add(flip.topic, fmt.Appendf(nil, "%d more for %s, %d", i, flip.topic, f.src.seq))
					}
					names := f.tree(f.root())
					if _, ok := names[flip.other]; ok || len(names) != n+1 {
						t.Error("both or the wrong one of the pair are listed")
					}
					if names[flip.topic].CID != f.topic(flip.topic) {
						t.Error("the listed topic is not up to date")
					}
					if !f.topic(flip.other).Defined() {
						t.Error("the other topic has no folder")
					}
				}
				f.check()
			})
		}
	})
}

// A source that breaks the rule costs an error, not a crash or a wrong id.
func TestEqualSlotsRefused(t *testing.T) {
	f := open(t, 0)
	f.src.lax = true
	topic := comntr.NameHash("topic")
	for i := range 3700 {
		f.src.add(topic, doc(i))
	}
	f.src.add(topic, []byte("nice 6ec96a27d28a8054"))
	f.topic(topic)
	f.src.add(topic, []byte("nice f3fb553438fde6b9"))
	if c, err := f.Topic(t.Context(), topic); err == nil {
		t.Errorf("two names with one slot gave %s", c)
	}
	if _, err := f.Root(t.Context()); err == nil {
		t.Error("two names with one slot gave a root")
	}
	f.check()
}

func TestLeaves(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		one, two := comntr.NameHash("one"), comntr.NameHash("two")
		d := []byte("That's bs!")
		id := f.src.add(one, d)
		f.src.add(two, d)
		if _, err := f.Block(v.LeafCID(d)); !errors.Is(err, ipfs.ErrNotHeld) {
			t.Errorf("before any folder was made: %v", err)
		}
		f.root()
		want := func() {
			t.Helper()
			for _, lv := range versions {
				block, err := f.Block(lv.LeafCID(d))
				if err != nil || !bytes.Equal(block, lv.LeafBlock(d)) {
					t.Fatalf("leaf in version %d: %q, %v", lv, block, err)
				}
				if n, err := f.Size(lv.LeafCID(d)); err != nil || n != len(block) {
					t.Errorf("size %d, %v", n, err)
				}
				if _, err := f.Node(lv.LeafCID(d)); !errors.Is(err, ipfs.ErrNotHeld) {
					t.Errorf("a leaf as a node: %v", err)
				}
			}
		}
		want()
		f.reopen()
		want()
		// It stands in two places: losing one loses nothing.
		f.src.remove(one, id)
		f.root()
		want()
		f.src.remove(two, id)
		for range 2 { // at once, and after the folders know
			for _, lv := range versions {
				_, err := f.Block(lv.LeafCID(d))
				var gone *ipfs.GoneError
				if !errors.Is(err, ipfs.ErrGone) || !errors.As(err, &gone) || gone.Comments[0] != id {
					t.Errorf("a removed comment's leaf: %v", err)
				}
			}
			f.root()
		}
		f.check()
	})
}

// The same bytes under another codec are another thing: a comment may be the
// very bytes of a directory node.
func TestCodecs(t *testing.T) {
	f := open(t, 1)
	topic := comntr.NameHash("topic")
	empty := (&comntr.Node{}).Encode()
	f.src.add(topic, empty)
	f.topic(topic)
	raw, node := comntr.Version(1).LeafCID(empty), comntr.Version(1).FolderCID(empty)
	if b, err := f.Block(raw); err != nil || !bytes.Equal(b, empty) {
		t.Errorf("the comment: %v", err)
	}
	if _, err := f.Block(node); !errors.Is(err, ipfs.ErrNotHeld) {
		t.Errorf("a comment was served as a directory: %v", err)
	}
	f.src.addTopic(comntr.NameHash("empty"))
	f.topic(comntr.NameHash("empty"))
	if b, err := f.Block(node); err != nil || !bytes.Equal(b, empty) {
		t.Errorf("the directory: %v", err)
	}
	// A node asked for as raw bytes is not a leaf.
	other := f.topic(topic)
	if _, err := f.Block(cid.NewCidV1(cid.Raw, other.Hash())); !errors.Is(err, ipfs.ErrNotHeld) {
		t.Errorf("a directory was served as raw bytes: %v", err)
	}
	for _, c := range []cid.Cid{{}, cid.NewCidV1(cid.DagCBOR, other.Hash())} {
		if _, err := f.Block(c); !errors.Is(err, ipfs.ErrNotHeld) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// A file that cannot be read stays out of its folder until it can; nothing
// else does.
func TestMissedFiles(t *testing.T) {
	for _, topics := range []int{0, 3600} {
		t.Run(fmt.Sprintf("%d topics", topics), func(t *testing.T) { testMissedFiles(t, topics) })
	}
}

func testMissedFiles(t *testing.T, topics int) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	for i := range topics {
		f.src.addTopic(comntr.SumHash(doc(i)))
	}
	a := f.src.add(topic, doc(1))
	alone := f.topic(topic)
	aloneRoot := f.root()
	b := f.src.add(topic, doc(2))
	f.src.breakFile(topic, b, true)
	if got := f.topic(topic); got != alone {
		t.Errorf("with an unreadable file: %s, want %s", got, alone)
	}
	if got := f.root(); got != aloneRoot {
		t.Errorf("with an unreadable file: root %s, want %s", got, aloneRoot)
	}
	f.reopen()
	f.root()
	f.src.breakFile(topic, b, false)
	if got := f.topic(topic); got != alone {
		t.Error("tried again at once")
	}
	f.now = f.now.Add(ipfs.RetryMissed)
	root := f.root() // by Root first: the topic itself did not change
	names := f.tree(f.topic(topic))
	if len(names) != 2 || names[b].CID != comntr.Version(0).LeafCID(doc(2)) {
		t.Errorf("the file, readable again, is not in the folder: %v", names)
	}
	if root == aloneRoot {
		t.Error("the community's folder did not follow")
	}
	// Removed while it could not be read: never tried again.
	c := f.src.add(topic, doc(3))
	f.src.breakFile(topic, c, true)
	f.topic(topic)
	f.src.remove(topic, c)
	f.topic(topic)
	f.now = f.now.Add(ipfs.RetryMissed)
	reads := f.src.reads
	f.topic(topic)
	if f.src.reads != reads {
		t.Error("a removed comment is tried again")
	}
	// A file that breaks later stays listed and is not served.
	f.src.breakFile(topic, a, true)
	if _, err := f.Block(comntr.Version(0).LeafCID(doc(1))); !errors.Is(err, ipfs.ErrUnreadable) {
		t.Errorf("a broken file's leaf: %v", err)
	}
	f.check()
}

// A tree that a kill left half made is compared with the whole listing: what
// came and went meanwhile is in no list of net changes.
func TestInterrupted(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		for _, ground := range []int{0, 10, 3600} {
			f := open(t, v)
			topic := comntr.NameHash("topic")
			f.src.addTopic(topic)
			for i := range ground {
				f.src.add(topic, doc(i))
			}
			if ground > 0 {
				f.topic(topic)
			}
			var passing []comntr.Hash
			for i := range 20 {
				passing = append(passing, f.src.add(topic, fmt.Appendf(nil, "passing %d", i)))
			}
			if err := f.Interrupt(topic, 10); err != nil {
				t.Fatal(err)
			}
			for _, c := range passing {
				f.src.remove(topic, c)
			}
			f.reopen()
			if names := f.tree(f.topic(topic)); len(names) != ground {
				t.Errorf("%d names, want %d", len(names), ground)
			}
			f.check()
		}
	})
}

// The same for the community's folder: of two topics with one slot the one that
// a half made tree lists may be the wrong one by now.
func TestPrepare(t *testing.T) {
	f := open(t, 1)
	for i := range 8 {
		f.src.add(comntr.NameHash(fmt.Sprint("/r/", i)), fmt.Append(nil, "a comment of ", i))
	}
	busy := func() bool { return true }
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	err := f.Prepare(ctx, func() bool { // ends while it rests after the third
		if asked++; asked == 3 {
			stop()
		}
		return asked >= 3
	})
	if !errors.Is(err, context.Canceled) || f.src.reads != 3 {
		t.Errorf("%v, and %d comments were read, not 3", err, f.src.reads)
	}
	if err := f.Prepare(t.Context(), busy); err != nil || f.src.reads != 8 {
		t.Errorf("%v, and %d comments were read, not 8", err, f.src.reads)
	}
	if _, err := f.Root(t.Context()); err != nil || f.src.reads != 8 {
		t.Errorf("%v, and Root has read %d comments again", err, f.src.reads-8)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Prepare(t.Context(), busy); !errors.Is(err, ipfs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestInterruptedRoot(t *testing.T) {
	a, b := comntr.NameHash("nice 6ec96a27d28a8054"), comntr.NameHash("nice f3fb553438fde6b9")
	for _, ground := range []int{0, 3600} {
		f := open(t, 0)
		for i := range ground {
			f.src.addTopic(comntr.SumHash(doc(i)))
		}
		if ground > 0 {
			f.root()
		}
		f.src.add(a, doc(1))
		if err := f.InterruptRoot(a); err != nil {
			t.Fatal(err)
		}
		f.src.add(b, doc(1))
		f.src.add(b, doc(2))
		f.reopen()
		if f.OwnRoot().Defined() {
			t.Error("half a tree's root is the own root")
		}
		names := f.tree(f.root())
		if _, ok := names[a]; ok || len(names) != ground+1 || names[b].CID != f.topic(b) {
			t.Errorf("%d names, want %d", len(names), ground+1)
		}
		f.check()
	}
}

// More changes than one batch takes are several, with the same id.
func TestManyChunks(t *testing.T) {
	topic := comntr.NameHash("topic")
	one, many := open(t, 0), open(t, 0)
	many.SetMaxChunk(100)
	for _, f := range []*fixture{one, many} {
		for i := range 4000 {
			f.src.add(topic, doc(i))
			if i < 250 {
				f.src.addTopic(comntr.SumHash(doc(i)))
			}
		}
	}
	if a, b := one.root(), many.root(); a != b {
		t.Errorf("at once %s, in parts %s", a, b)
	}
	for _, f := range []*fixture{one, many} {
		for i := range 3900 {
			f.src.remove(topic, comntr.SumHash(doc(i)))
			f.src.add(topic, doc(4000+i/4))
		}
	}
	if a, b := one.root(), many.root(); a != b {
		t.Errorf("at once %s, in parts %s", a, b)
	}
	one.check()
	many.check()
}

func TestWipe(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *fixture)
	}{
		{"another epoch", func(f *fixture) { f.src.restart() }},
		{"another version", func(f *fixture) { f.v = 1 }},
		{"no database", func(f *fixture) { os.RemoveAll(f.dir) }},
		{"a damaged file", func(f *fixture) {
			files, _ := os.ReadDir(f.dir + "/blocks")
			for _, e := range files {
				if strings.HasPrefix(e.Name(), "MANIFEST") {
					os.WriteFile(f.dir+"/blocks/"+e.Name(), []byte("nonsense"), 0o644)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, 0)
			topic := comntr.NameHash("topic")
			for i := range 3600 {
				f.src.add(topic, doc(i))
			}
			f.root()
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			c.do(f)
			f.open()
			if f.OwnRoot().Defined() {
				t.Error("the own root survived")
			}
			g := open(t, f.v)
			for i := range 3600 {
				g.src.add(topic, doc(i))
			}
			if got, want := f.root(), g.root(); got != want {
				t.Errorf("built anew: %s, want %s", got, want)
			}
			f.check()
		})
	}
}

// A database that is found to contradict itself while in use is built again.
func TestDamageInUse(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	for i := range 3600 {
		f.src.add(topic, doc(i))
	}
	f.root()
	f.reopen() // nothing is held in memory
	if err := f.Damage(f.topic(topic)); err != nil {
		t.Fatal(err)
	}
	f.src.add(topic, doc(5000))
	if names := f.tree(f.topic(topic)); len(names) != 3601 {
		t.Errorf("%d names, want 3601", len(names))
	}
	f.root()
	f.check()
}

func TestClosed(t *testing.T) {
	f := open(t, 0)
	if _, err := ipfs.OpenFolders(f.dir, 0, f.src, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two have it open at once")
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if _, err := f.Root(t.Context()); !errors.Is(err, ipfs.ErrClosed) {
		t.Errorf("Root after Close: %v", err)
	}
	if _, err := f.Block(comntr.Version(0).LeafCID(doc(1))); !errors.Is(err, ipfs.ErrClosed) {
		t.Errorf("Block after Close: %v", err)
	}
}

// A call that begins after an add has returned has the comment in its folder,
// whoever else asks at the same time.
func TestFresh(t *testing.T) {
	f := open(t, 0)
	ctx := t.Context()
	topics := []comntr.Hash{comntr.NameHash("a"), comntr.NameHash("b")}
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(w)))
			for i := range 40 {
				topic := topics[rng.IntN(2)]
				id := f.src.add(topic, fmt.Appendf(nil, "worker %d, %d", w, i))
				if i%4 == 3 {
					f.src.remove(topic, id)
				}
				root, err := f.Topic(ctx, topic)
				if err != nil {
					t.Error(err)
					return
				}
				if rng.IntN(2) == 0 {
					if root, err = f.Root(ctx); err != nil {
						t.Error(err)
						return
					}
					n, err := f.Node(root)
					if err != nil {
						t.Error(err)
						return
					}
					at := slices.IndexFunc(n.Links, func(l comntr.Link) bool { return l.Name == topic })
					root = n.Links[at].CID
				}
				n, err := f.Node(root)
				if err != nil {
					t.Error(err)
					return
				}
				in := slices.ContainsFunc(n.Links, func(l comntr.Link) bool { return l.Name == id })
				if in != (i%4 != 3) {
					t.Errorf("comment %d of worker %d: listed is %v", i, w, in)
					return
				}
			}
		})
	}
	group.Wait()
	f.check()
	if t.Failed() {
		return
	}
	g := open(t, 0)
	g.src = f.src
	g.reopen()
	if a, b := f.root(), g.root(); a != b {
		t.Errorf("grown %s, from scratch %s", a, b)
	}
}

func TestCancelled(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	f.src.add(topic, doc(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Root(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Root: %v", err)
	}
	f.root()
	f.check()
}
