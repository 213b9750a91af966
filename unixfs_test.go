package comntr_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/comntr/comntr"
)

// pb writes dag-pb by hand, so that it can be written wrong.
type pb []byte

func (p pb) field(tag byte, value ...byte) pb {
	p = append(p, tag)
	n := len(value)
	for ; n >= 0x80; n >>= 7 {
		p = append(p, byte(n)|0x80)
	}
	return append(append(p, byte(n)), value...)
}

func (p pb) varint(tag byte, v ...byte) pb { return append(append(p, tag), v...) }

func pbLink(c []byte, name string, size byte) []byte {
	return pb{}.field(0x0a, c...).field(0x12, []byte(name)...).varint(0x18, size)
}

var (
	directory = []byte{0x08, 0x01}
	nameA     = strings.Repeat("a", 40)
	nameB     = strings.Repeat("b", 40)
)

// hamt is the UnixFS data of a shard with the bits of the given indices.
func hamt(bits ...byte) []byte {
	field := make([]byte, 32)
	for _, i := range bits {
		field[31-i/8] |= 1 << (i % 8)
	}
	field = bytes.TrimLeft(field, "\x00")
	return pb{}.varint(0x08, 5).field(0x12, field...).varint(0x28, 0x22).varint(0x30, 0x80, 0x02)
}

func cidBytes(t testing.TB, codec, mhType uint64, n int) []byte {
	mh, err := multihash.Encode(make([]byte, n), mhType)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(codec, mh).Bytes()
}

// A node is taken in one encoding only: each of these is some other one.
func TestParseNodeRefuses(t *testing.T) {
	leaf := comntr.Version(1).LeafCID([]byte("x")).Bytes()
	v0 := comntr.Version(0).LeafCID([]byte("x")).Bytes()
	node := comntr.Version(1).FolderCID(nil).Bytes()
	a, b := pbLink(leaf, nameA, 1), pbLink(leaf, nameB, 1)
	// The forms that the refused ones are near to are taken.
	good := []struct {
		name  string
		block pb
	}{
		{"empty directory", pb{}.field(0x0a, directory...)},
		{"directory", pb{}.field(0x12, a...).field(0x12, b...).field(0x0a, directory...)},
		{"directory of version 0", pb{}.field(0x12, pbLink(v0, nameA, 1)...).field(0x0a, directory...)},
		{"shard", pb{}.field(0x12, pbLink(leaf, "00"+nameA, 1)...).field(0x12, pbLink(node, "FF", 1)...).field(0x0a, hamt(0, 255)...)},
	}
	for _, c := range good {
		if _, err := comntr.ParseNode(c.block); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	plain := func(link []byte) pb { return pb{}.field(0x12, link...).field(0x0a, directory...) }
	shard := func(name string, data []byte) pb {
		return pb{}.field(0x12, pbLink(leaf, name, 1)...).field(0x0a, data...)
	}
	base := good[1].block
	tooLarge := &comntr.Node{} // canonical but for its size
	for i := 0; i*80 < comntr.MaxNode; i++ {
		tooLarge.Links = append(tooLarge.Links, comntr.Link{Name: comntr.Hash{byte(i >> 8), byte(i)}, CID: comntr.Version(1).LeafCID(nil)})
	}
	for _, c := range []struct {
		name  string
		block pb
	}{
		{"nothing", nil},
		{"no data", pb{}.field(0x12, a...)},
		{"a byte after", append(bytes.Clone(base), 0)},
		{"a field after", append(bytes.Clone(base), 0x18, 1)},
		{"data twice", append(bytes.Clone(base), pb{}.field(0x0a, directory...)...)},
		{"a link after the data", pb{}.field(0x12, a...).field(0x0a, directory...).field(0x12, b...)},
		{"cut", base[:len(base)-1]},
		{"cut in a link", base[:30]},
		{"not in order", pb{}.field(0x12, b...).field(0x12, a...).field(0x0a, directory...)},
		{"a name twice", pb{}.field(0x12, a...).field(0x12, a...).field(0x0a, directory...)},
		{"a length with a byte too many", append(append(pb{0x12, byte(len(a)) | 0x80, 0}, a...), pb{}.field(0x0a, directory...)...)},
		{"a length past the end", pb{0x0a, 0x7f, 0x08, 0x01}},
		{"a length of 2^63", pb{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x08, 0x01}},
		{"another field", pb{}.field(0x1a, a...).field(0x0a, directory...)},

		{"link without a name", plain(pb{}.field(0x0a, leaf...).varint(0x18, 1))},
		{"link without a size", plain(pb{}.field(0x0a, leaf...).field(0x12, []byte(nameA)...))},
		{"link without a CID", plain(pb{}.field(0x12, []byte(nameA)...).varint(0x18, 1))},
		{"link's fields in another order", plain(pb{}.field(0x12, []byte(nameA)...).field(0x0a, leaf...).varint(0x18, 1))},
		{"link with a field after", plain(append(pbLink(leaf, nameA, 1), 0x20, 1))},
		{"size with a byte too many", plain(pb{}.field(0x0a, leaf...).field(0x12, []byte(nameA)...).varint(0x18, 0x81, 0))},
		{"size of 2^63", plain(pb{}.field(0x0a, leaf...).field(0x12, []byte(nameA)...).varint(0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01))},
		{"size of 2^70", plain(pb{}.field(0x0a, leaf...).field(0x12, []byte(nameA)...).varint(0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))},

		{"name in upper case", plain(pbLink(leaf, strings.ToUpper(nameA), 1))},
		{"name of 39 digits", plain(pbLink(leaf, nameA[1:], 1))},
		{"name of 41 digits", plain(pbLink(leaf, nameA+"a", 1))},
		{"empty name", plain(pbLink(leaf, "", 1))},
		{"name that is a path", plain(pbLink(leaf, "../"+nameA[3:], 1))},
		{"name with NUL", plain(pbLink(leaf, "\x00"+nameA[1:], 1))},

		{"CID cut", plain(pbLink(leaf[:len(leaf)-1], nameA, 1))},
		{"CID with a byte after", plain(pbLink(append(bytes.Clone(leaf), 0), nameA, 1))},
		{"CID empty", plain(pbLink(nil, nameA, 1))},
		{"CID of SHA-512", plain(pbLink(cidBytes(t, cid.Raw, multihash.SHA2_512, 64), nameA, 1))},
		{"CID of SHA-256 cut to 20 bytes", plain(pbLink(cidBytes(t, cid.Raw, multihash.SHA2_256, 20), nameA, 1))},
		{"CID that carries its bytes", plain(pbLink(cidBytes(t, cid.Raw, multihash.IDENTITY, 5), nameA, 1))},
		{"CID of dag-cbor", plain(pbLink(cidBytes(t, cid.DagCBOR, multihash.SHA2_256, 32), nameA, 1))},

		{"data of a file", pb{}.field(0x0a, 0x08, 0x02)},
		{"data of a symlink", pb{}.field(0x0a, 0x08, 0x04)},
		{"data empty", pb{}.field(0x0a)},
		{"data with a mode", pb{}.field(0x0a, 0x08, 0x01, 0x38, 0x01)},
		{"directory with a size", pb{}.field(0x0a, 0x08, 0x01, 0x18, 0x00)},

		{"plain names in a shard", pb{}.field(0x12, a...).field(0x0a, hamt(0)...)},
		{"shard names in a plain directory", plain(pbLink(leaf, "00"+nameA, 1))},
		{"plain and shard names", pb{}.field(0x12, pbLink(node, "00", 1)...).field(0x12, a...).field(0x0a, hamt(0)...)},
		{"child that is a leaf", pb{}.field(0x12, pbLink(leaf, "00", 1)...).field(0x0a, hamt(0)...)},
		{"index in lower case", shard("ff"+nameA, hamt(255))},
		{"index not hex", shard("GG"+nameA, hamt(0))},
		{"bit of another index", shard("00"+nameA, hamt(1))},
		{"a bit too many", shard("00"+nameA, hamt(0, 1))},
		{"a bit too few", pb{}.field(0x12, pbLink(leaf, "00"+nameA, 1)...).field(0x12, pbLink(leaf, "01"+nameB, 1)...).field(0x0a, hamt(0)...)},
		{"bits with a zero byte before", shard("00"+nameA, pb{}.varint(0x08, 5).field(0x12, 0, 1).varint(0x28, 0x22).varint(0x30, 0x80, 0x02))},
		{"an index twice", pb{}.field(0x12, pbLink(leaf, "00"+nameA, 1)...).field(0x12, pbLink(leaf, "00"+nameB, 1)...).field(0x0a, hamt(0)...)},
		{"indices not in order", pb{}.field(0x12, pbLink(leaf, "01"+nameA, 1)...).field(0x12, pbLink(leaf, "00"+nameB, 1)...).field(0x0a, hamt(0, 1)...)},
		{"fan-out of 16", shard("00"+nameA, pb{}.varint(0x08, 5).field(0x12, 1).varint(0x28, 0x22).varint(0x30, 16))},
		{"another hash", shard("00"+nameA, pb{}.varint(0x08, 5).field(0x12, 1).varint(0x28, 0x12).varint(0x30, 0x80, 0x02))},
		{"too large", tooLarge.Encode()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n, err := comntr.ParseNode(c.block); err == nil {
				t.Errorf("taken: %+v", n)
			}
		})
	}
}

// A node as large as the largest shard there can be is within the bound.
func TestLargestNodesAreTaken(t *testing.T) {
	for _, v := range versions {
		l := comntr.Link{CID: v.LeafCID(nil), Size: 1<<63 - 1, Name: comntr.NameHash("x")}
		n := &comntr.Node{Shard: true}
		for i := range 256 {
			l.Index = uint8(i)
			n.Links = append(n.Links, l)
		}
		plain := &comntr.Node{}
		for i := 0; !v.Sharded(i); i++ {
			l := comntr.Link{CID: v.LeafCID(nil), Size: 1<<63 - 1, Name: comntr.Hash{byte(i >> 8), byte(i)}}
			plain.Links = append(plain.Links, l)
		}
		for _, n := range []*comntr.Node{n, plain} {
			if _, err := comntr.ParseNode(n.Encode()); err != nil {
				t.Errorf("v%d: %d links: %v", v, len(n.Links), err)
			}
		}
	}
}

func TestCheckBlock(t *testing.T) {
	for _, v := range versions {
		for _, n := range []int{0, 1, 118, 119, 120, 127, 128, 16_383, 16_384, comntr.MaxDocument} {
			if size := len(v.LeafBlock(make([]byte, n))); v.LeafSize(n) != size {
				t.Errorf("LeafSize(%d) = %d, want %d", n, v.LeafSize(n), size)
			}
		}
		c, block := v.LeafCID([]byte("Cool!")), v.LeafBlock([]byte("Cool!"))
		for i := range block {
			bad := bytes.Clone(block)
			bad[i] ^= 1
			if comntr.CheckBlock(c, bad) == nil {
				t.Errorf("v%d: byte %d changed, and taken", v, i)
			}
		}
	}
	for _, c := range []struct {
		name string
		cid  cid.Cid
	}{
		{"undefined", cid.Undef},
		{"identity", must(cid.Cast(cidBytes(t, cid.Raw, multihash.IDENTITY, 5)))},
		{"SHA-512", must(cid.Cast(cidBytes(t, cid.Raw, multihash.SHA2_512, 64)))},
		{"SHA-256 cut", must(cid.Cast(cidBytes(t, cid.Raw, multihash.SHA2_256, 20)))},
		{"dag-cbor", must(cid.Cast(cidBytes(t, cid.DagCBOR, multihash.SHA2_256, 32)))},
	} {
		if comntr.CheckCID(c.cid) == nil {
			t.Errorf("a CID of kind %s is taken", c.name)
		}
		if comntr.CheckBlock(c.cid, make([]byte, 5)) == nil {
			t.Errorf("a block of kind %s is taken", c.name)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A version 0 leaf is taken in one encoding only.
func TestLeafBytesRefuses(t *testing.T) {
	leaf := func(data []byte) pb { return pb{}.field(0x0a, data...) }
	for _, c := range []struct {
		name  string
		block []byte
	}{
		{"nothing", nil},
		{"directory", leaf(directory)},
		{"raw data of UnixFS", leaf([]byte{0x08, 0x00, 0x12, 0x01, 'x', 0x18, 0x01})},
		{"no size", leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x'})},
		{"another size", leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x02})},
		{"size before data", leaf([]byte{0x08, 0x02, 0x18, 0x01, 0x12, 0x01, 'x'})},
		{"block sizes", leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x01, 0x20, 0x01})},
		{"a mode", leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x01, 0x38, 0x01})},
		{"a byte after", append(leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x01}), 0)},
		{"a link before", append(pb{}.field(0x12, 0x0a, 0x00), leaf([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x01})...)},
		{"a length with a byte too many", leaf([]byte{0x08, 0x02, 0x12, 0x81, 0x00, 'x', 0x18, 0x01})},
		{"cut", leaf([]byte{0x08, 0x02, 0x12, 0x05, 'x'})},
		{"not protobuf", []byte("Cool!")},
		{"too large", comntr.Version(0).LeafBlock(make([]byte, comntr.MaxLeaf))},
	} {
		if b, err := comntr.LeafBytes(comntr.Version(0).FolderCID(c.block), c.block); err == nil {
			t.Errorf("%s: taken as %q", c.name, b)
		}
	}
	for _, v := range versions {
		b := make([]byte, comntr.MaxDocument)
		if got, err := comntr.LeafBytes(v.LeafCID(b), v.LeafBlock(b)); err != nil || len(got) != len(b) {
			t.Errorf("v%d: the largest document has no leaf: %v", v, err)
		}
		big := make([]byte, comntr.MaxLeaf+1)
		if _, err := comntr.LeafBytes(v.LeafCID(big), v.LeafBlock(big)); err == nil {
			t.Errorf("v%d: a leaf of %d bytes is taken", v, len(big))
		}
	}
}

func TestCheckShard(t *testing.T) {
	c := comntr.Version(1).LeafCID(nil)
	name := comntr.NameHash("x")
	top := uint8(name.Slot() >> 56)
	link := comntr.Link{Index: top, Name: name, CID: c}
	for _, k := range []struct {
		name string
		node comntr.Node
		path []uint8
		ok   bool
	}{
		{"plain root", comntr.Node{Links: []comntr.Link{{Name: name, CID: c}}}, nil, true},
		{"plain empty root", comntr.Node{}, nil, true},
		{"plain below", comntr.Node{}, []uint8{1}, false},
		{"shard", comntr.Node{Shard: true, Links: []comntr.Link{link}}, nil, true},
		{"empty shard", comntr.Node{Shard: true}, nil, false},
		{"another index", comntr.Node{Shard: true, Links: []comntr.Link{{Index: top + 1, Name: name, CID: c}}}, nil, false},
		{"another path", comntr.Node{Shard: true, Links: []comntr.Link{link}}, []uint8{top + 1}, false},
		{"child", comntr.Node{Shard: true, Links: []comntr.Link{{Index: 3, Child: true, CID: c}}}, make([]uint8, comntr.MaxDepth-2), true},
		{"child of the last level", comntr.Node{Shard: true, Links: []comntr.Link{{Index: 3, Child: true, CID: c}}}, make([]uint8, comntr.MaxDepth-1), false},
		{"too deep", comntr.Node{Shard: true, Links: []comntr.Link{link}}, make([]uint8, comntr.MaxDepth), false},
	} {
		if err := k.node.CheckShard(k.path); (err == nil) != k.ok {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

// A name is found under its own link, or under the shard that it stands below.
func TestLookup(t *testing.T) {
	a, b, absent := comntr.NameHash("a"), comntr.NameHash("b"), comntr.NameHash("c")
	leaf := comntr.Version(1).LeafCID([]byte("x"))
	at := func(h comntr.Hash, depth int) uint8 { return uint8(h.Slot() >> (56 - 8*depth)) }
	links := []comntr.Link{{Name: a, CID: leaf}, {Name: b, CID: leaf}}
	slices.SortFunc(links, func(x, y comntr.Link) int { return x.Name.Compare(y.Name) })
	plain := &comntr.Node{Links: links}
	own := &comntr.Node{Shard: true, Links: []comntr.Link{{Index: at(a, 1), Name: a, CID: leaf}}}
	above := &comntr.Node{Shard: true, Links: []comntr.Link{{Index: at(b, 0), Child: true, CID: leaf}}}
	for _, tt := range []struct {
		name  string
		node  *comntr.Node
		ask   comntr.Hash
		depth int
		found bool
	}{
		{"the first of a plain directory", plain, links[0].Name, 0, true},
		{"the last of a plain directory", plain, links[1].Name, 0, true},
		{"not in a plain directory", plain, absent, 0, false},
		{"an empty directory", &comntr.Node{}, a, 0, false},
		{"in a shard of depth 1", own, a, 1, true},
		{"another index", own, a, 0, false},
		{"below a shard", above, b, 0, true},
		{"below no shard", above, a, 0, false},
	} {
		l, ok := tt.node.Lookup(tt.ask, tt.depth)
		if ok != tt.found || ok && !l.Child && l.Name != tt.ask {
			t.Errorf("%s: %v, %v", tt.name, l, ok)
		}
	}
	// One index, another name.
	other := &comntr.Node{Shard: true, Links: []comntr.Link{{Index: at(a, 0), Name: b, CID: leaf}}}
	if _, ok := other.Lookup(a, 0); ok {
		t.Error("another name of the same index was taken")
	}
}
