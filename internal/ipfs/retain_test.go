package ipfs_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// nodes are the blocks of all directory nodes under a community's root, by
// walking it as a peer would.
func (f *fixture) nodes(root cid.Cid) map[cid.Cid][]byte {
	f.t.Helper()
	out := map[cid.Cid][]byte{}
	var walk func(c cid.Cid, topics bool)
	walk = func(c cid.Cid, topics bool) {
		block, err := f.Block(c)
		if err != nil {
			f.t.Fatal(err)
		}
		out[c] = block
		n, err := f.Node(c)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, l := range n.Links {
			if l.Child {
				walk(l.CID, topics)
			} else if topics {
				walk(l.CID, false)
			}
		}
	}
	walk(root, true)
	return out
}

// take puts a peer's nodes into f, in calls that are not too large.
func (f *fixture) take(blocks map[cid.Cid][]byte) {
	f.t.Helper()
	part, size := map[cid.Cid][]byte{}, 0
	put := func() {
		if err := f.PutNodes(part); err != nil {
			f.t.Fatal(err)
		}
		part, size = map[cid.Cid][]byte{}, 0
	}
	for c, b := range blocks {
		if size+len(b) > ipfs.MaxPut {
			put()
		}
		part[c], size = b, size+len(b)
	}
	put()
}

func (f *fixture) collect() {
	f.t.Helper()
	if err := f.Collect(f.now); err != nil {
		f.t.Fatal(err)
	}
	f.check()
}

func (f *fixture) holds(c cid.Cid) bool {
	f.t.Helper()
	_, err := f.Node(c)
	if err != nil && !errors.Is(err, ipfs.ErrNotHeld) {
		f.t.Fatal(err)
	}
	return err == nil
}

// A node that was replaced can be had for an hour, one that stands elsewhere
// for as long as it does, over restarts.
func TestGrace(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		one, two := comntr.NameHash("one"), comntr.NameHash("two")
		f.src.add(one, doc(1))
		f.src.add(two, doc(1))
		shared := f.topic(one)
		if got := f.topic(two); got != shared {
			t.Fatalf("equal topics: %s and %s", shared, got)
		}
		root := f.root()
		f.src.add(one, doc(2))
		f.root()
		f.now = f.now.Add(ipfs.Grace - time.Second)
		f.reopen()
		f.collect()
		if !f.holds(root) {
			t.Error("an old root went before its hour")
		}
		f.now = f.now.Add(2 * time.Second)
		f.collect()
		if f.holds(root) {
			t.Error("an old root stayed after its hour")
		}
		if !f.holds(shared) {
			t.Error("a node that stands in another topic went")
		}
		// Given up by the second topic as well, and then taken up again.
		f.src.add(two, doc(2))
		f.topic(two)
		f.collect()
		three := comntr.NameHash("three")
		f.src.add(three, doc(1))
		f.root()
		f.now = f.now.Add(2 * ipfs.Grace)
		f.collect()
		if !f.holds(shared) {
			t.Error("a node that is in use again was collected")
		}
	})
}

// A clock that was far ahead for a while leaves nothing that waits for that time to
// come.
func TestGraceAhead(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	f.src.add(topic, doc(1))
	old := f.root()
	f.now = f.now.Add(1000 * ipfs.Grace)
	f.src.add(topic, doc(2))
	f.root()
	f.now = f.now.Add(-1000 * ipfs.Grace)
	f.src.add(topic, doc(3))
	kept := f.topic(topic)
	f.src.add(topic, doc(4))
	f.root()
	f.collect()
	if f.holds(old) {
		t.Error("a root that was replaced by a clock that was ahead waits for that hour")
	}
	if !f.holds(kept) {
		t.Error("one that was replaced just now went")
	}
	f.now = f.now.Add(ipfs.Grace + time.Second)
	f.collect()
	if f.holds(kept) {
		t.Error("an old root stayed after its hour")
	}
}

// The community's own root keeps the topics' folders it links to, even while a
// topic has moved on and nobody asks for the root.
func TestOwnRootIsWhole(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	f.src.add(topic, doc(1))
	f.root()
	f.src.add(topic, doc(2))
	f.topic(topic)
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	f.nodes(f.OwnRoot())
}

// What waits for collection is bounded: the oldest go early.
func TestMaxGrace(t *testing.T) {
	f := open(t, 0)
	f.SetMaxGrace(100_000)
	topic := comntr.NameHash("topic")
	var ids []cid.Cid
	for i := range 100 {
		f.src.add(topic, doc(i))
		ids = append(ids, f.topic(topic))
		f.now = f.now.Add(time.Second)
	}
	f.check()
	if f.holds(ids[0]) {
		t.Error("the oldest folder stayed")
	}
	if !f.holds(ids[98]) || !f.holds(ids[99]) {
		t.Error("the newest folders went")
	}
}

func TestRetain(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f, peer := open(t, 0), open(t, v)
		rng := rand.New(rand.NewPCG(6, uint64(v)))
		f.src.add(comntr.NameHash("own"), doc(1))
		f.root()
		var last cid.Cid
		live := map[comntr.Hash][]comntr.Hash{}
		for step := range 6 {
			for i := range 400 {
				topic := comntr.NameHash(fmt.Sprint(rng.IntN(600)))
				if step == 0 {
					topic = comntr.NameHash(fmt.Sprint(i))
				}
				if held := live[topic]; len(held) > 1 && rng.IntN(3) == 0 {
					peer.src.remove(topic, held[0])
					live[topic] = held[1:]
					continue
				}
				live[topic] = append(live[topic], peer.src.add(topic, fmt.Appendf(nil, "%d.%d", step, i)))
			}
			if step == 3 { // the community becomes a HAMT
				for i := range 3600 {
					peer.src.add(comntr.NameHash(fmt.Sprintf("topic-%d", i)), doc(i%50))
				}
			}
			root := peer.root()
			nodes := peer.nodes(root)
			if err := f.Retain("peer", root); !errors.Is(err, ipfs.ErrNotHeld) {
				t.Fatalf("retained with missing nodes: %v", err)
			}
			f.check()
			if last.Defined() && !slices.Contains(f.Roots(), last) {
				t.Fatal("a failed Retain let go of the old root")
			}
			f.take(nodes)
			f.check()
			if err := f.Retain("peer", root); err != nil {
				t.Fatal(err)
			}
			f.now = f.now.Add(2 * ipfs.Grace)
			f.collect()
			got := f.nodes(root)
			if !maps.EqualFunc(got, nodes, slices.Equal[[]byte]) {
				t.Fatal("the retained tree is not whole")
			}
			if !slices.Contains(f.Roots(), root) || !slices.Contains(f.Roots(), f.OwnRoot()) || last.Defined() && slices.Contains(f.Roots(), last) {
				t.Error("Roots is wrong")
			}
			if last.Defined() && f.holds(last) {
				t.Error("the root before stayed")
			}
			last = root
			if step%4 == 3 {
				f.reopen()
			}
		}
		if err := f.Retain("peer", cid.Undef); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(2 * ipfs.Grace)
		f.collect()
		if f.holds(last) {
			t.Error("a tree that was let go of stayed")
		}
		f.nodes(f.OwnRoot())
	})
}

// Nodes of two peers and our own are the same ones: each holds them.
func TestRetainShared(t *testing.T) {
	f, peer := open(t, 0), open(t, 0)
	for i := range 50 {
		topic := comntr.NameHash(fmt.Sprint(i % 10))
		f.src.add(topic, doc(i))
		peer.src.add(topic, doc(i))
	}
	root := f.root()
	if peer.root() != root {
		t.Fatal("equal contents, other ids")
	}
	for _, p := range []string{"a", "b"} {
		if err := f.Retain(p, root); err != nil {
			t.Fatal(err)
		}
	}
	f.src.add(comntr.NameHash("1"), doc(100))
	f.root()
	for _, p := range []string{"a", "b"} {
		f.now = f.now.Add(2 * ipfs.Grace)
		f.collect()
		f.nodes(root)
		if err := f.Retain(p, f.OwnRoot()); err != nil {
			t.Fatal(err)
		}
	}
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	if f.holds(root) {
		t.Error("a root that nobody has any more stayed")
	}
	f.nodes(f.OwnRoot())
}

func TestMaxPeers(t *testing.T) {
	f := open(t, 0)
	var roots []cid.Cid
	for i := range ipfs.MaxPeers + 2 {
		peer := open(t, 0)
		peer.src.add(comntr.NameHash("topic"), doc(i))
		root := peer.root()
		f.take(peer.nodes(root))
		if err := f.Retain(fmt.Sprint(i), root); err != nil {
			t.Fatal(err)
		}
		if i == 2 { // again: now it is newer than the two after it
			f.now = f.now.Add(time.Second)
			if err := f.Retain("0", roots[0]); err != nil {
				t.Fatal(err)
			}
		}
		f.now = f.now.Add(time.Second)
		roots = append(roots, root)
		peer.Close()
	}
	f.reopen()
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	if got := len(f.Roots()); got != ipfs.MaxPeers {
		t.Errorf("%d roots are kept, want %d", got, ipfs.MaxPeers)
	}
	if f.holds(roots[1]) || f.holds(roots[2]) {
		t.Error("the peers retained longest ago are kept")
	}
	if !f.holds(roots[0]) {
		t.Error("a peer retained again is not kept")
	}
	if err := f.Retain(string(make([]byte, 1000)), roots[0]); err == nil {
		t.Error("a peer's name may have any length")
	}
}

// bomb is a tree of few blocks that unfolds to very many: a community whose
// topics are all one folder, itself large.
func bomb(topics int) (root cid.Cid, blocks map[cid.Cid][]byte) {
	blocks = map[cid.Cid][]byte{}
	put := func(n *comntr.Node) cid.Cid {
		block := n.Encode()
		c := comntr.Version(0).FolderCID(block)
		blocks[c] = block
		return c
	}
	var names []comntr.Hash
	for i := range 3500 {
		names = append(names, comntr.SumHash(doc(i)))
	}
	slices.SortFunc(names, func(a, b comntr.Hash) int { return slices.Compare(a[:], b[:]) })
	var topic, community comntr.Node
	for _, name := range names {
		topic.Links = append(topic.Links, comntr.Link{Name: name, CID: comntr.Version(0).LeafCID(doc(0)), Size: 17})
	}
	c := put(&topic)
	for _, name := range names[:topics] {
		community.Links = append(community.Links, comntr.Link{Name: name, CID: c, Size: 300_000})
	}
	return put(&community), blocks
}

// A peer's tree of more than the limit is dropped, with what was kept for the
// peer before, however few blocks it is made of.
func TestRetainTooLarge(t *testing.T) {
	f := open(t, 0)
	f.SetMaxPeerTree(8 << 20)
	small, blocks := bomb(10)
	f.take(blocks)
	if err := f.Retain("peer", small); err != nil {
		t.Fatal(err)
	}
	f.check()
	large, blocks := bomb(100)
	f.take(blocks)
	if err := f.Retain("peer", large); !errors.Is(err, ipfs.ErrTooLarge) {
		t.Fatalf("a tree of 100 times 300 KiB: %v", err)
	}
	if roots := f.Roots(); len(roots) != 0 {
		t.Errorf("kept: %v", roots)
	}
	f.check()
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	if f.holds(small) || f.holds(large) {
		t.Error("the bomb's nodes stay")
	}
}

// A tree whose names stand where they do not belong is not retained.
func TestRetainMisshapen(t *testing.T) {
	f := open(t, 0)
	empty := (&comntr.Node{}).Encode()
	emptyCID := comntr.Version(0).FolderCID(empty)
	name := comntr.NameHash("topic")
	index := uint8(name.Slot() >> 56)
	leaf := comntr.Link{Index: index + 1, Name: name, CID: emptyCID, Size: 4}
	child := &comntr.Node{Shard: true, Links: []comntr.Link{leaf}}
	self := child
	for range comntr.MaxDepth {
		block := self.Encode()
		f.take(map[cid.Cid][]byte{comntr.Version(0).FolderCID(block): block})
		self = &comntr.Node{Shard: true, Links: []comntr.Link{{Index: 3, Child: true, CID: comntr.Version(0).FolderCID(block)}}}
	}
	f.take(map[cid.Cid][]byte{emptyCID: empty})
	for what, n := range map[string]*comntr.Node{
		"a name in another's place": child,
		"nine levels":               self,
		"a plain directory below a shard": {Shard: true, Links: []comntr.Link{
			{Index: 1, Child: true, CID: emptyCID, Size: 4}}},
	} {
		block := n.Encode()
		c := comntr.Version(0).FolderCID(block)
		f.take(map[cid.Cid][]byte{c: block})
		if err := f.Retain("peer", c); err == nil {
			t.Errorf("%s was retained", what)
		}
	}
	f.check()
}

func TestPutNodes(t *testing.T) {
	f := open(t, 0)
	empty := (&comntr.Node{}).Encode()
	v0 := comntr.Version(0)
	doc := []byte("no node")
	for what, blocks := range map[string]map[cid.Cid][]byte{
		"other bytes":         {v0.FolderCID(doc): empty},
		"no node":             {v0.FolderCID(doc): doc},
		"a leaf":              {v0.LeafCID(doc): v0.LeafBlock(doc)},
		"a raw block":         {comntr.Version(1).LeafCID(empty): empty},
		"no canonical node":   {v0.FolderCID(append(empty, 0)): append(empty, 0)},
		"no CID of a folder":  {cid.NewCidV1(cid.DagCBOR, v0.FolderCID(empty).Hash()): empty},
		"one good, one wrong": {v0.FolderCID(empty): empty, v0.FolderCID(doc): doc},
	} {
		if err := f.PutNodes(blocks); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if f.holds(v0.FolderCID(empty)) {
		t.Error("a node of a refused call was stored")
	}
	large := map[cid.Cid][]byte{}
	size := 0
	for i := range 40 {
		_, blocks := bomb(3000 + i)
		for c, b := range blocks {
			if large[c] == nil {
				large[c], size = b, size+len(b)
			}
		}
	}
	if size <= ipfs.MaxPut {
		t.Fatalf("only %d bytes", size)
	}
	if err := f.PutNodes(large); !errors.Is(err, ipfs.ErrTooLarge) {
		t.Errorf("%d bytes at once: %v", size, err)
	}
	// Put again, a node's hour begins anew.
	root, blocks := bomb(10)
	f.take(blocks)
	f.now = f.now.Add(ipfs.Grace - time.Minute)
	f.take(blocks)
	f.now = f.now.Add(2 * time.Minute)
	f.collect()
	if !f.holds(root) {
		t.Error("a node put again went within its hour")
	}
	f.now = f.now.Add(ipfs.Grace)
	f.collect()
	if f.holds(root) {
		t.Error("a node that was never retained stayed")
	}
}

// A mark holds in its scope, over restarts, and no longer than its node.
func TestMarks(t *testing.T) {
	f := open(t, 0)
	one, two := comntr.NameHash("one"), comntr.NameHash("two")
	root, blocks := bomb(10)
	unknown := comntr.Version(0).FolderCID([]byte("unknown"))
	f.take(blocks)
	if err := f.SetMerged(one, []cid.Cid{root, unknown}, 0); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if !f.Merged(one, root) || f.Merged(two, root) || f.Merged(one, unknown) || f.Merged(one, cid.Undef) {
		t.Error("the marks are wrong")
	}
	if err := f.SetMerged(one, []cid.Cid{cid.Undef}, 0); err == nil {
		t.Error("no CID was marked")
	}
	if err := f.SetMerged(two, []cid.Cid{root}, 0); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	if f.Merged(one, root) || f.Merged(two, root) {
		t.Error("marks outlived their node")
	}
	f.take(blocks)
	if f.Merged(one, root) {
		t.Error("a node came back with its mark")
	}
	if err := f.SetMerged(one, []cid.Cid{root}, 0); err != nil {
		t.Fatal(err)
	}
	f.src.loosen()
	for range 2 {
		if f.Merged(one, root) {
			t.Error("a mark stands, though what was settled may come again")
		}
		if err := f.SetMerged(one, []cid.Cid{root}, 0); err != nil { // by a walk that began before
			t.Fatal(err)
		}
		f.reopen()
	}
	if err := f.SetMerged(one, []cid.Cid{root}, f.src.Loosened()); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if !f.Merged(one, root) {
		t.Error("a new mark does not stand")
	}
	f.check()
}

func TestRoots(t *testing.T) {
	f := open(t, 0)
	if got := f.Roots(); len(got) != 0 {
		t.Errorf("nothing was computed: %v", got)
	}
	for i := range ipfs.MaxAsked + 5 {
		topic := comntr.NameHash(fmt.Sprint(i))
		f.src.add(topic, doc(i))
		f.topic(topic)
	}
	f.topic(comntr.NameHash("5")) // asked for again
	root := f.root()
	roots := f.Roots()
	if len(roots) != ipfs.MaxAsked+1 || roots[0] != root {
		t.Errorf("%d roots, the first %s", len(roots), roots[0])
	}
	for i, want := range map[int]bool{4: false, 5: true, 6: true, ipfs.MaxAsked + 4: true} {
		if slices.Contains(roots, f.topic(comntr.NameHash(fmt.Sprint(i)))) != want {
			t.Errorf("topic %d: %v", i, !want)
		}
	}
}
