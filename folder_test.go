package comntr_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

type ids struct{ V0, V1 string }

func (i ids) of(v comntr.Version) string {
	if v == 0 {
		return i.V0
	}
	return i.V1
}

type folderVectors struct {
	Topics []struct {
		ids
		Comments int
	}
	Communities []struct {
		ids
		Topics int
	}
	Seed struct {
		Community ids
		News      ids `json:"/r/news"`
		Gifs      ids `json:"/r/gifs"`
	}
	Leaves []struct {
		ids
		Bytes int
	}
}

var versions = []comntr.Version{0, 1}

// tree makes folders from scratch, the straightforward way, by this package's
// encodings; it keeps every block.
type tree struct {
	v      comntr.Version
	blocks map[cid.Cid][]byte
}

func newTree(v comntr.Version) *tree { return &tree{v: v, blocks: map[cid.Cid][]byte{}} }

func (t *tree) leaf(b []byte) comntr.Link {
	block := t.v.LeafBlock(b)
	c := t.v.LeafCID(b)
	t.blocks[c] = block
	return comntr.Link{Name: comntr.SumHash(b), CID: c, Size: uint64(len(block))}
}

// folder adds the directory of the links and returns it as a link.
func (t *tree) folder(name comntr.Hash, links []comntr.Link) comntr.Link {
	links = slices.SortedFunc(slices.Values(links), func(a, b comntr.Link) int { return bytes.Compare(a.Name[:], b.Name[:]) })
	if !t.v.Sharded(len(links)) {
		return t.node(name, &comntr.Node{Links: links})
	}
	return t.shard(name, links, 0)
}

func (t *tree) shard(name comntr.Hash, links []comntr.Link, depth int) comntr.Link {
	var places [256][]comntr.Link
	for _, l := range links {
		var slot [8]byte
		binary.BigEndian.PutUint64(slot[:], l.Name.Slot())
		places[slot[depth]] = append(places[slot[depth]], l)
	}
	n := &comntr.Node{Shard: true}
	for i, at := range places {
		var l comntr.Link
		switch len(at) {
		case 0:
			continue
		case 1:
			l = at[0]
		default:
			l = t.shard(comntr.Hash{}, at, depth+1)
			l.Child = true
		}
		l.Index = uint8(i)
		n.Links = append(n.Links, l)
	}
	return t.node(name, n)
}

func (t *tree) node(name comntr.Hash, n *comntr.Node) comntr.Link {
	block := n.Encode()
	c := t.v.FolderCID(block)
	t.blocks[c] = block
	return comntr.Link{Name: name, CID: c, Size: n.Size(len(block))}
}

// topic adds a topic's folder.
func (t *tree) topic(name comntr.Hash, comments ...[]byte) comntr.Link {
	var links []comntr.Link
	for _, b := range comments {
		links = append(links, t.leaf(b))
	}
	return t.folder(name, links)
}

// comment is the vectors' comment_rule.
func comment(i int) []byte {
	return []byte((fmt.Sprintf("comment %d: ", i) + strings.Repeat("lorem ipsum ", 20))[:200])
}

func comments(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = comment(i)
	}
	return all
}

// car writes the blocks below root depth first, as servers do.
func (t *tree) car(tb testing.TB, root cid.Cid) []byte {
	var b bytes.Buffer
	w, err := comntr.NewCARWriter(&b, root)
	if err != nil {
		tb.Fatal(err)
	}
	var walk func(c cid.Cid)
	walk = func(c cid.Cid) {
		if err := w.Block(c, t.blocks[c]); err != nil {
			tb.Fatal(err)
		}
		n, err := comntr.ParseNode(t.blocks[c])
		if err != nil {
			return // a leaf
		}
		for _, l := range n.Links {
			walk(l.CID)
		}
	}
	walk(root)
	return b.Bytes()
}

func (t *tree) get(c cid.Cid) ([]byte, bool) {
	b, ok := t.blocks[c]
	return b, ok
}

func TestFolderVectors(t *testing.T) {
	var v folderVectors
	readVectors(t, "folders.json", &v)
	if len(v.Topics) < 11 || len(v.Communities) < 7 || len(v.Leaves) < 11 {
		t.Fatal("vectors are missing")
	}
	for _, version := range versions {
		for _, l := range v.Leaves {
			b := bytes.Repeat([]byte("0123456789abcdef"), l.Bytes/16+1)[:l.Bytes]
			if got := version.LeafCID(b).String(); got != l.of(version) {
				t.Errorf("v%d: leaf of %d bytes is %s, Kubo's %s", version, l.Bytes, got, l.of(version))
			}
			c, block := version.LeafCID(b), version.LeafBlock(b)
			if back, err := comntr.LeafBytes(c, block); err != nil || !bytes.Equal(back, b) {
				t.Errorf("v%d: leaf of %d bytes is not read back: %v", version, l.Bytes, err)
			}
			if err := comntr.CheckBlock(c, block); err != nil {
				t.Error(err)
			}
		}
		for _, c := range v.Topics {
			tr := newTree(version)
			root := tr.topic(comntr.Hash{}, comments(c.Comments)...).CID
			if root.String() != c.of(version) {
				t.Errorf("v%d: topic of %d comments is %s, Kubo's %s", version, c.Comments, root, c.of(version))
			}
			f, err := comntr.ReadFolder(root, tr.get)
			if err != nil {
				t.Errorf("v%d: topic of %d comments: %v", version, c.Comments, err)
				continue
			}
			if len(f.Comments) != c.Comments || !f.CID.Equals(root) {
				t.Errorf("v%d: topic of %d comments is read as one of %d", version, c.Comments, len(f.Comments))
			}
			if !slices.IsSortedFunc(f.Comments, func(a, b comntr.FolderFile) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
				t.Error("the comments of a folder are not sorted")
			}
			tr.checkNodes(t, root, nil)
		}
		for _, c := range v.Communities {
			tr := newTree(version)
			var topics []comntr.Link
			for i := range c.Topics {
				topics = append(topics, tr.topic(comntr.NameHash(fmt.Sprintf("topic-%d", i)), comment(i)))
			}
			root := tr.folder(comntr.Hash{}, topics).CID
			if root.String() != c.of(version) {
				t.Errorf("v%d: community of %d topics is %s, Kubo's %s", version, c.Topics, root, c.of(version))
			}
			tr.checkNodes(t, root, nil)
		}
		tr := newTree(version)
		gifs := tr.topic(comntr.NameHash("/r/gifs"))
		news := tr.topic(news.Topic, []byte("That's bs!"), []byte("Cool!"))
		reddit := tr.folder(comntr.Hash{}, []comntr.Link{gifs, news})
		for _, s := range []struct {
			name string
			got  comntr.Link
			want ids
		}{{"/r/gifs", gifs, v.Seed.Gifs}, {"/r/news", news, v.Seed.News}, {"reddit", reddit, v.Seed.Community}} {
			if got := s.got.CID.String(); got != s.want.of(version) {
				t.Errorf("v%d: the seed's %s is %s, Kubo's %s", version, s.name, got, s.want.of(version))
			}
		}
	}
}

// checkNodes parses every node below c, encodes it again and checks where it
// stands.
func (t *tree) checkNodes(tb testing.TB, c cid.Cid, path []uint8) {
	n, err := comntr.ParseNode(t.blocks[c])
	if err != nil {
		tb.Fatalf("%s: %v", c, err)
	}
	if !bytes.Equal(n.Encode(), t.blocks[c]) {
		tb.Fatalf("%s is encoded to other bytes than it was parsed from", c)
	}
	if err := n.CheckShard(path); err != nil {
		tb.Fatalf("%s: %v", c, err)
	}
	if len(path) > 0 {
		if n.CheckShard(append(slices.Clone(path[:len(path)-1]), path[len(path)-1]+1)) == nil && slices.ContainsFunc(n.Links, func(l comntr.Link) bool { return !l.Child }) {
			tb.Fatalf("%s may stand in another place than its own", c)
		}
	}
	for _, l := range n.Links {
		if l.Child {
			t.checkNodes(tb, l.CID, append(slices.Clone(path), l.Index))
		}
	}
}

// Both sides of each threshold, as numbers: names have 40 bytes, CIDs 34 or 36,
// and 256 KiB are still a plain directory.
func TestSharded(t *testing.T) {
	for _, c := range []struct {
		v    comntr.Version
		last int
	}{{0, 3542}, {1, 3449}} {
		if c.v.Sharded(c.last) || !c.v.Sharded(c.last+1) {
			t.Errorf("v%d: the last plain directory does not have %d names", c.v, c.last)
		}
	}
}

type slotVectors struct {
	Names []struct {
		Text string
		Name comntr.Hash
		Slot string
	}
	Same [][2]comntr.Hash
}

func TestSlotVectors(t *testing.T) {
	var v slotVectors
	readVectors(t, "slots.json", &v)
	for _, n := range v.Names {
		h := comntr.SumHash([]byte(n.Text))
		if h != n.Name {
			t.Errorf("%q: name %s, want %s", n.Text, h, n.Name)
		}
		if got := fmt.Sprintf("%016x", h.Slot()); got != n.Slot {
			t.Errorf("%q: slot %s, want %s", n.Text, got, n.Slot)
		}
	}
	if len(v.Same) == 0 {
		t.Fatal("no pair of one slot")
	}
	for _, p := range v.Same {
		if p[0] == p[1] || p[0].Slot() != p[1].Slot() {
			t.Errorf("%s and %s are not two names of one slot", p[0], p[1])
		}
	}
}

// The pair of one slot cannot stand in one HAMT: a folder that pretends it does
// is refused, however it tries.
func TestReadFolderRefusesOneSlotTwice(t *testing.T) {
	tr := newTree(1)
	a, b := tr.leaf([]byte("nice 6ec96a27d28a8054")), tr.leaf([]byte("nice f3fb553438fde6b9"))
	var slot [8]byte
	binary.BigEndian.PutUint64(slot[:], a.Name.Slot())
	// A ninth level with both under made-up indices.
	a.Index, b.Index = 1, 2
	l := tr.node(comntr.Hash{}, &comntr.Node{Shard: true, Links: []comntr.Link{a, b}})
	for i := len(slot) - 1; i >= 0; i-- {
		l.Child, l.Index = true, slot[i]
		l = tr.node(comntr.Hash{}, &comntr.Node{Shard: true, Links: []comntr.Link{l}})
	}
	if _, err := comntr.ReadFolder(l.CID, tr.get); err == nil || !strings.Contains(err.Error(), "deeper") {
		t.Errorf("a HAMT of nine levels is taken: %v", err)
	}
}

func TestReadFolderRefuses(t *testing.T) {
	small, large := comments(3), comments(4000)
	for _, version := range versions {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			other := comntr.Version(1 - version)
			// Each case spoils a good folder and gives the spoiled root.
			for _, c := range []struct {
				name string
				make func(tr *tree) cid.Cid
				want string // part of the error
				is   error
			}{
				{"a missing leaf", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, small...).CID
					delete(tr.blocks, version.LeafCID(small[1]))
					return root
				}, "missing", comntr.ErrIncomplete},
				{"a missing root", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, small...).CID
					delete(tr.blocks, root)
					return root
				}, "missing", comntr.ErrIncomplete},
				{"a missing shard", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, large...).CID
					n, _ := comntr.ParseNode(tr.blocks[root])
					i := slices.IndexFunc(n.Links, func(l comntr.Link) bool { return l.Child })
					delete(tr.blocks, n.Links[i].CID)
					return root
				}, "missing", comntr.ErrIncomplete},
				{"a leaf as the root", func(tr *tree) cid.Cid { return tr.leaf(small[0]).CID }, "", nil},
				{"a comment under another's name", func(tr *tree) cid.Cid {
					a := tr.leaf(small[0])
					a.Name = comntr.SumHash(small[1])
					return tr.folder(comntr.Hash{}, []comntr.Link{a}).CID
				}, "do not hash to its name", nil},
				{"a topic as a comment", func(tr *tree) cid.Cid {
					return tr.folder(comntr.Hash{}, []comntr.Link{tr.topic(comntr.NameHash("x"), small...)}).CID
				}, "", nil},
				{"a leaf of the other CID version", func(tr *tree) cid.Cid {
					ot := newTree(other)
					l := ot.leaf(small[0])
					maps.Copy(tr.blocks, ot.blocks)
					return tr.folder(comntr.Hash{}, []comntr.Link{l}).CID
				}, "CID version", nil},
				{"a version 1 leaf in dag-pb", func(tr *tree) cid.Cid {
					l := newTree(0).leaf(small[0])
					block := comntr.Version(0).LeafBlock(small[0])
					l.CID = comntr.Version(1).FolderCID(block)
					tr.blocks[l.CID] = block
					return tr.folder(comntr.Hash{}, []comntr.Link{l}).CID
				}, "CID version", nil},
				{"a shard of the other CID version", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, large...).CID
					n, _ := comntr.ParseNode(tr.blocks[root])
					i := slices.IndexFunc(n.Links, func(l comntr.Link) bool { return l.Child })
					c := other.FolderCID(tr.blocks[n.Links[i].CID])
					tr.blocks[c] = tr.blocks[n.Links[i].CID]
					n.Links[i].CID = c
					return tr.node(comntr.Hash{}, n).CID
				}, "CID version", nil},
				{"a folder's bytes as a raw block", func(tr *tree) cid.Cid {
					block := tr.blocks[tr.topic(comntr.Hash{}, small...).CID]
					c := comntr.Version(1).LeafCID(block)
					tr.blocks[c] = block
					return c
				}, "no folder", nil},
				{"a shard's bytes as a raw block", func(tr *tree) cid.Cid {
					tr = &tree{v: 1, blocks: tr.blocks} // version 0 has no raw blocks
					root := tr.topic(comntr.Hash{}, large...).CID
					n, _ := comntr.ParseNode(tr.blocks[root])
					i := slices.IndexFunc(n.Links, func(l comntr.Link) bool { return l.Child })
					block := tr.blocks[n.Links[i].CID]
					n.Links[i].CID = comntr.Version(1).LeafCID(block)
					tr.blocks[n.Links[i].CID] = block
					return tr.node(comntr.Hash{}, n).CID
				}, "not dag-pb", nil},
				{"a shard in another's place", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, large...).CID
					n, _ := comntr.ParseNode(tr.blocks[root])
					var children []*comntr.Link
					for i := range n.Links {
						if n.Links[i].Child {
							children = append(children, &n.Links[i])
						}
					}
					children[0].CID, children[1].CID = children[1].CID, children[0].CID
					return tr.node(comntr.Hash{}, n).CID
				}, "not its own", nil},
				{"a shard in 256 places", func(tr *tree) cid.Cid {
					// The bottom can be right for one path at most.
					l := tr.leaf(small[0])
					for d := 7; d >= 0; d-- {
						n := &comntr.Node{Shard: true}
						for i := range 256 {
							at := l
							at.Index, at.Child = uint8(i), d != 7
							n.Links = append(n.Links, at)
							if d == 7 {
								break
							}
						}
						l = tr.node(comntr.Hash{}, n)
					}
					return l.CID
				}, "not its own", nil},
				{"a plain directory inside a HAMT", func(tr *tree) cid.Cid {
					l := tr.topic(comntr.Hash{}, small...)
					l.Child = true
					return tr.node(comntr.Hash{}, &comntr.Node{Shard: true, Links: []comntr.Link{l}}).CID
				}, "plain directory", nil},
				{"an empty HAMT", func(tr *tree) cid.Cid {
					return tr.node(comntr.Hash{}, &comntr.Node{Shard: true}).CID
				}, "", nil},
				{"not canonical", func(tr *tree) cid.Cid {
					root := tr.topic(comntr.Hash{}, small...).CID
					block := append(slices.Clone(tr.blocks[root]), 0x18, 0)
					c := version.FolderCID(block)
					tr.blocks[c] = block
					return c
				}, "canonical", nil},
			} {
				t.Run(c.name, func(t *testing.T) {
					tr := newTree(version)
					root := c.make(tr)
					f, err := comntr.ReadFolder(root, tr.get)
					if err == nil {
						t.Fatalf("taken, with %d comments", len(f.Comments))
					}
					if !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
						t.Errorf("refused for another reason: %v", err)
					}
				})
			}
		})
	}
}
