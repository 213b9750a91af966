package ipfs_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// randomNode is a node of either kind, with links of all forms.
func randomNode(r *rand.Rand) *comntr.Node {
	n := &comntr.Node{Shard: r.IntN(2) == 0}
	for i := range r.IntN(256) {
		block := []byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		l := comntr.Link{Name: comntr.SumHash(block), Size: r.Uint64() >> (1 + r.IntN(63))}
		switch v := comntr.Version(r.IntN(2)); r.IntN(3) {
		case 0:
			l.CID = v.LeafCID(block)
		case 1:
			l.CID = v.FolderCID(block)
		case 2:
			l.CID, l.Child = v.FolderCID(block), n.Shard
		}
		if n.Shard {
			l.Index = uint8(i)
		}
		if l.Child {
			l.Name = comntr.Hash{}
		}
		n.Links = append(n.Links, l)
	}
	if !n.Shard {
		slices.SortFunc(n.Links, func(a, b comntr.Link) int { return a.Name.Compare(b.Name) })
	}
	return n
}

// What is packed gives the same block again; damaged, it gives an error or
// another block, whose hash then tells.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := randomNode(r)
		want := n.Encode()
		packed, size := ipfs.Pack(n)
		if len(packed) != size {
			t.Fatalf("%d bytes, %d were said", len(packed), size)
		}
		if size > len(want)*3/4+64 {
			t.Errorf("a block of %d bytes has %d when packed", len(want), size)
		}
		got, length, err := ipfs.Unpack(packed)
		if err != nil || !bytes.Equal(got, want) || length != len(want) {
			t.Fatalf("another block, of %d bytes: %v", length, err)
		}
		for range 50 {
			bad := slices.Clone(packed[:r.IntN(len(packed))])
			if len(bad) > 0 {
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			}
			if got, _, err := ipfs.Unpack(bad); err == nil && bytes.Equal(got, want) {
				t.Fatal("damage makes no difference")
			}
		}
	}
}

// A comment whose leaf shares the hash of its places with another's is tried, and
// does not stand in its way.
func TestSharedHash(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic := comntr.NameHash("topic")
		var ids []comntr.Hash
		for i := range 10 {
			ids = append(ids, f.src.add(topic, doc(i)))
		}
		f.topic(topic)
		f.src.remove(topic, ids[9])
		f.topic(topic)
		for v := range comntr.Version(2) {
			c := v.LeafCID(doc(5))
			for _, id := range ids {
				if err := f.Misplace(c, topic, id); err != nil {
					t.Fatal(err)
				}
			}
			block, err := f.Block(c)
			if err != nil || !bytes.Equal(block, v.LeafBlock(doc(5))) {
				t.Errorf("%s: %v", c, err)
			}
		}
	})
}

// A comment whose leaf shares the hash of its places with another's may stand in
// many topics. It is read once, and does not hide the other.
func TestSharedHashInManyTopics(t *testing.T) {
	f := open(t, 0)
	for i := range 100 {
		f.src.add(comntr.NameHash(fmt.Sprint("topic ", i)), doc(1))
	}
	last := comntr.NameHash("the last topic")
	f.root()
	f.src.add(last, doc(2))
	f.topic(last)
	for v := range comntr.Version(2) {
		c := v.LeafCID(doc(2))
		for i := range 100 {
			if err := f.Misplace(c, comntr.NameHash(fmt.Sprint("topic ", i)), comntr.SumHash(doc(1))); err != nil {
				t.Fatal(err)
			}
		}
		before := f.src.reads
		block, err := f.Block(c)
		if err != nil || !bytes.Equal(block, v.LeafBlock(doc(2))) {
			t.Errorf("%s: %v", c, err)
		}
		if n := f.src.reads - before; n > 2 {
			t.Errorf("%d files were read for one leaf", n)
		}
	}
}

// A database of an older format is built again.
func TestOldFormat(t *testing.T) {
	topic := comntr.NameHash("topic")
	leaf := comntr.Version(0).LeafCID(doc(1))
	id := comntr.SumHash(doc(1))
	// A leaf's place in each.
	for format, place := range map[byte]string{
		1: "x\x00" + string(leaf.Hash()[2:]) + string(topic[:]) + string(id[:]),
		2: "x\x00" + string(leaf.Hash()[2:10]) + "\x01\x01",
	} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			f := open(t, 0)
			f.src.add(topic, doc(1))
			want := f.root()
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			blocks := filepath.Join(f.dir, "blocks")
			if err := os.RemoveAll(blocks); err != nil {
				t.Fatal(err)
			}
			// Besides, a header, folders' records, and a log that was not closed.
			db, err := pebble.Open(blocks, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range map[string]string{
				"h":                    string(format) + "\x00\x00\x00\x00\x00\x00\x00\x00\x07",
				"f" + string(topic[:]): "\x00\x02\x01\x40" + string(want.Bytes()),
				"c":                    "\x00\x02\x01\x40" + string(want.Bytes()),
				place:                  "",
			} {
				if err := db.Set([]byte(k), []byte(v), pebble.Sync); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			f.open()
			if got := f.root(); got != want {
				t.Errorf("%s, not %s", got, want)
			}
			if _, err := f.Block(leaf); err != nil {
				t.Error(err)
			}
			f.check()
		})
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, _ ...any) { panic(f) }

// crash opens a copy of what stands on the disk now.
func (f *fixture) crash() *fixture {
	f.t.Helper()
	dir := f.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.dir)); err != nil {
		f.t.Fatal(err)
	}
	g := &fixture{t: f.t, dir: dir, v: f.v, src: f.src, now: f.now}
	g.open()
	f.t.Cleanup(func() { g.Close() })
	return g
}

// A crash loses what was not written out, and it is made again; what was parked
// or retained ten minutes before is written out.
func TestCrash(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	for i := range 100 {
		f.src.add(topic, doc(i))
	}
	want := f.root()
	g := f.crash()
	if g.holds(want) {
		t.Fatal("it was written out: this test shows nothing")
	}
	if got := g.root(); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if _, err := g.Block(comntr.Version(1).LeafCID(doc(50))); err != nil {
		t.Error(err)
	}
	g.check()

	peer := open(t, 0)
	for i := range 50 {
		peer.src.add(topic, doc(1000+i))
	}
	theirs := peer.root()
	f.take(peer.nodes(theirs))
	if err := f.Retain("peer", theirs); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(ipfs.FlushPeriod + time.Second)
	f.collect()
	g = f.crash()
	if !g.holds(theirs) || g.OwnRoot() != want {
		t.Error("what was written out is not there")
	}
	g.check()
}
