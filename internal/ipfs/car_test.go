package ipfs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// expectCAR writes the CAR of root and checks that it holds the whole folder,
// in order, each block once.
func (f *fixture) expectCAR(root cid.Cid) {
	f.t.Helper()
	var car bytes.Buffer
	if _, err := f.WriteCAR(context.Background(), &car, root, false); err != nil {
		f.t.Fatal(err)
	}
	var want []cid.Cid
	seen := map[cid.Cid]bool{}
	var walk func(c cid.Cid, node bool)
	walk = func(c cid.Cid, node bool) {
		if seen[c] {
			return
		}
		seen[c] = true
		want = append(want, c)
		if !node {
			return
		}
		n, err := f.Node(c)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, l := range n.Links {
			walk(l.CID, l.Child)
		}
	}
	walk(root, true)
	i := 0
	got, err := comntr.ReadCAR(&car, 1<<30, func(c cid.Cid, block []byte) error {
		if i >= len(want) || c != want[i] {
			return fmt.Errorf("block %d is %s", i, c)
		}
		i++
		return nil
	})
	if err != nil || got != root || i != len(want) {
		f.t.Fatalf("a CAR of %s with %d of %d blocks: %v", got, i, len(want), err)
	}
}

func TestWriteCAR(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic, empty := comntr.NameHash("topic"), comntr.NameHash("empty")
		f.src.addTopic(empty)
		for _, n := range []int{1, 100, 3700} {
			for i := range n {
				f.src.add(topic, doc(i))
			}
			f.expectCAR(f.topic(topic))
		}
		f.expectCAR(f.topic(empty))
		// More than is held in memory on the way.
		big := comntr.NameHash("big")
		for i := range 200 {
			f.src.add(big, append(doc(i), bytes.Repeat([]byte("x"), 60_000)...))
		}
		f.expectCAR(f.topic(big))
		for _, c := range []cid.Cid{f.root(), v.FolderCID([]byte("unknown")), v.LeafCID(doc(1))} {
			var car bytes.Buffer
			_, err := f.WriteCAR(t.Context(), &car, c, false)
			if !errors.Is(err, ipfs.ErrNotTopicFolder) && !errors.Is(err, ipfs.ErrNotHeld) || car.Len() > 0 {
				t.Errorf("%s: %v after %d bytes", c, err, car.Len())
			}
		}
	})
}

// A removed comment is named before any byte, whether it was held here or
// removed before it came.
func TestWriteCARGone(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f, peer := open(t, 0), open(t, v)
		topic := comntr.NameHash("topic")
		for i := range 200 {
			f.src.add(topic, doc(i))
			peer.src.add(topic, doc(i))
		}
		never := peer.src.add(topic, []byte("removed before it came"))
		f.root()
		root := peer.root()
		f.take(peer.nodes(root))
		if err := f.Retain("peer", root); err != nil {
			t.Fatal(err)
		}
		id := peer.topic(topic)
		expect := func(want ...comntr.Hash) {
			t.Helper()
			var car bytes.Buffer
			_, err := f.WriteCAR(t.Context(), &car, id, false)
			if car.Len() > 0 {
				t.Errorf("%d bytes were written", car.Len())
			}
			var gone *ipfs.GoneError
			if len(want) == 0 {
				if !errors.Is(err, ipfs.ErrNotHeld) {
					t.Errorf("a missing leaf: %v", err)
				}
				return
			}
			if !errors.As(err, &gone) || !errors.Is(err, ipfs.ErrGone) {
				t.Fatalf("removed comments: %v", err)
			}
			named := map[comntr.Hash]bool{}
			for _, c := range gone.Comments {
				named[c] = true
			}
			for _, c := range want {
				if !named[c] {
					t.Errorf("%s is not named", c)
				}
			}
		}
		expect()
		f.src.topics[topic].gone[never] = true
		expect(never)
		f.src.remove(topic, comntr.SumHash(doc(7)))
		expect(never, comntr.SumHash(doc(7)))
		f.root()
		expect(never, comntr.SumHash(doc(7)))
		for i := range 200 {
			f.src.remove(topic, comntr.SumHash(doc(i)))
		}
		var gone *ipfs.GoneError
		if _, err := f.WriteCAR(t.Context(), io.Discard, id, false); !errors.As(err, &gone) || len(gone.Comments) != 100 {
			t.Errorf("200 removed comments: %v", err)
		}
	})
}

// The files are read as they are written: who waits for the first byte waits
// for one of them. One that proves to be damaged cuts the CAR.
func TestWriteCARReadsAsItWrites(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic := comntr.NameHash("topic")
		for i := range 300 {
			f.src.add(topic, doc(i))
		}
		id := f.topic(topic)
		before := f.src.reads
		first := -1
		var car bytes.Buffer
		if _, err := f.WriteCAR(t.Context(), writerFunc(func(b []byte) (int, error) {
			if first < 0 {
				first = f.src.reads - before
			}
			return car.Write(b)
		}), id, false); err != nil {
			t.Fatal(err)
		}
		if first < 0 || first > 2 {
			t.Errorf("%d files were read before the first byte", first)
		}
		whole := car.Len()
		f.src.breakFile(topic, comntr.SumHash(doc(7)), true)
		f.ForgetCARs()
		car.Reset()
		if _, err := f.WriteCAR(t.Context(), &car, id, false); !errors.Is(err, ipfs.ErrUnreadable) || car.Len() >= whole {
			t.Errorf("with a damaged file: %d of %d bytes, %v", car.Len(), whole, err)
		}
		if _, err := comntr.ReadCAR(bytes.NewReader(car.Bytes()), 1<<30, comntr.CheckBlock); err != nil {
			t.Errorf("what came before it: %v", err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// The CAR of a topic that did not change is kept, as it is and compressed, and
// costs no look at the disk. What was removed or denied is in none.
func TestWriteCARKept(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic := comntr.NameHash("topic")
		for i := range 300 {
			f.src.add(topic, doc(i))
		}
		write := func(root cid.Cid, zip bool) ([]byte, int, error) {
			t.Helper()
			before := f.src.reads
			var car bytes.Buffer
			if _, err := f.WriteCAR(t.Context(), &car, root, zip); err != nil {
				return nil, f.src.reads - before, err
			}
			b := car.Bytes()
			if zip {
				z, err := gzip.NewReader(&car)
				if err != nil {
					t.Fatal(err)
				}
				if b, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			return b, f.src.reads - before, nil
		}
		root := f.topic(topic)
		want, reads, err := write(root, false)
		if err != nil || reads < 300 {
			t.Fatalf("%d reads, %v", reads, err)
		}
		for i, zip := range []bool{false, true, true, false} {
			got, reads, err := write(root, zip)
			if err != nil || !bytes.Equal(got, want) || (reads > 0) != (i == 1) {
				t.Errorf("%d, compressed %v: %d bytes of %d, %d reads, %v", i, zip, len(got), len(want), reads, err)
			}
		}
		f.expectCAR(root)
		if n, size := f.KeptCARs(); n != 1 || size < len(want) {
			t.Errorf("%d are kept, of %d bytes", n, size)
		}
		// Another topic's change takes nothing from it, one of its own does.
		f.src.add(comntr.NameHash("other"), doc(0))
		f.root()
		if _, reads, err := write(root, false); err != nil || reads > 0 {
			t.Errorf("after another topic's change: %d reads, %v", reads, err)
		}
		f.src.remove(topic, comntr.SumHash(doc(7)))
		var gone *ipfs.GoneError
		for _, zip := range []bool{false, true} {
			if _, _, err := write(root, zip); !errors.As(err, &gone) {
				t.Errorf("compressed %v, with a removed comment: %v", zip, err)
			}
		}
		if n, size := f.KeptCARs(); n != 0 || size != 0 {
			t.Errorf("%d are kept of what was removed, of %d bytes", n, size)
		}
		for range 2 {
			f.expectCAR(f.topic(topic))
		}
		f.src.add(topic, doc(1000))
		if n, size := f.KeptCARs(); n != 1 {
			t.Errorf("%d are kept, of %d bytes", n, size)
		}
		root = f.topic(topic) // what it was before goes with the new id
		if n, size := f.KeptCARs(); n != 0 || size != 0 {
			t.Errorf("%d are kept of what was before, of %d bytes", n, size)
		}
		f.expectCAR(root)
		f.src.deny(root)
		if _, _, err := write(root, false); !errors.Is(err, ipfs.ErrDenied) {
			t.Errorf("the folder is denied: %v", err)
		}
	})
}

// A topic that changes while its CAR is written has it not kept.
func TestWriteCARChanges(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	for i := range 300 {
		f.src.add(topic, doc(i))
	}
	if _, err := f.WriteCAR(t.Context(), writerFunc(func(b []byte) (int, error) {
		f.src.add(topic, doc(1000))
		return len(b), nil
	}), f.topic(topic), false); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.KeptCARs(); n != 0 {
		t.Error("it was kept")
	}
}

// What is kept is bounded: none of more than a MiB, all in so many bytes, and
// those stay that are asked for.
func TestWriteCARKeptBounds(t *testing.T) {
	f := open(t, 0)
	write := func(i int) int {
		before := f.src.reads
		if _, err := f.WriteCAR(t.Context(), io.Discard, f.topic(comntr.NameHash(fmt.Sprint(i))), false); err != nil {
			t.Fatal(err)
		}
		return f.src.reads - before
	}
	const topics = 2 * ipfs.MaxKeptCARs / (10 * 60_000)
	for i := range topics {
		for j := range 10 {
			f.src.add(comntr.NameHash(fmt.Sprint(i)), append(doc(10*i+j), bytes.Repeat([]byte("x"), 60_000)...))
		}
	}
	f.root()
	for i := range topics {
		write(i)
		if reads := write(0); reads > 0 {
			t.Fatalf("what is asked for all the time was read again, after %d", i)
		}
		if _, size := f.KeptCARs(); size > ipfs.MaxKeptCARs {
			t.Fatalf("%d bytes are kept", size)
		}
	}
	if reads := write(1); reads == 0 {
		t.Error("more is kept than may be")
	}
	for i := range 8 {
		f.src.add(comntr.NameHash("0"), append(doc(100_000+i), bytes.Repeat([]byte("x"), 60_000)...))
	}
	before, _ := f.KeptCARs()
	for range 2 {
		if reads := write(0); reads == 0 {
			t.Error("a CAR of more than a MiB was kept")
		}
	}
	if after, _ := f.KeptCARs(); after != before-1 {
		t.Errorf("%d are kept, of %d", after, before)
	}
}

// However small they are, few enough are kept to be looked through.
func TestWriteCARKeptNumber(t *testing.T) {
	f := open(t, 0)
	for i := range ipfs.MaxKeptNumber + 10 {
		topic := comntr.NameHash(fmt.Sprint("topic ", i))
		f.src.add(topic, doc(i))
		if _, err := f.WriteCAR(t.Context(), io.Discard, f.topic(topic), false); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := f.KeptCARs(); n != ipfs.MaxKeptNumber {
		t.Errorf("%d are kept, not %d", n, ipfs.MaxKeptNumber)
	}
}

func TestIsTopicFolder(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		for _, n := range []int{1, 3700} {
			for i := range n {
				f.src.add(comntr.NameHash("topic"), doc(i))
				f.src.add(comntr.NameHash(fmt.Sprint(i)), doc(0))
			}
			if !f.IsTopicFolder(f.topic(comntr.NameHash("topic"))) {
				t.Errorf("a topic of %d is none", n)
			}
			if f.IsTopicFolder(f.root()) {
				t.Errorf("a community of %d is a topic's folder", n)
			}
		}
		f.src.addTopic(comntr.NameHash("empty"))
		if !f.IsTopicFolder(f.topic(comntr.NameHash("empty"))) {
			t.Error("an empty topic is none")
		}
		for _, c := range []cid.Cid{v.LeafCID(doc(0)), v.FolderCID([]byte("unknown")), {}} {
			if f.IsTopicFolder(c) {
				t.Errorf("%s is a topic's folder", c)
			}
		}
	})
}

// A CAR is bounded, and that is found before the first byte.
func TestWriteCARTooLarge(t *testing.T) {
	f := open(t, 1)
	f.SetMaxCAR(100_000)
	topic := comntr.NameHash("topic")
	f.src.add(topic, bytes.Repeat([]byte("x"), 60_000))
	f.expectCAR(f.topic(topic))
	f.src.add(topic, bytes.Repeat([]byte("y"), 60_000))
	id := f.topic(topic)
	var car bytes.Buffer
	if _, err := f.WriteCAR(t.Context(), &car, id, false); !errors.Is(err, ipfs.ErrTooLarge) || car.Len() > 0 {
		t.Errorf("%v after %d bytes", err, car.Len())
	}
}

// A folder that a peer made up, of names that link to nothing known, costs what
// a few of them cost.
func TestWriteCARMadeUp(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f, peer := open(t, v), open(t, v)
		topic, real := comntr.NameHash("topic"), comntr.NameHash("real")
		for i := range 50_000 {
			peer.src.add(topic, doc(i))
		}
		root := peer.root()
		made := peer.topic(topic)
		f.take(peer.nodes(root))
		cost := func(c cid.Cid) (uint64, int) {
			reads := f.src.reads
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if f.IsTopicFolder(c) {
				if _, err := f.WriteCAR(t.Context(), io.Discard, c, false); !errors.Is(err, ipfs.ErrNotHeld) && !errors.Is(err, ipfs.ErrGone) {
					t.Errorf("%v", err)
				}
			}
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs, f.src.reads - reads
		}
		if f.IsTopicFolder(made) {
			t.Error("a folder of which nothing is known is a topic's")
		}
		if allocs, reads := cost(made); allocs > 100_000 || reads > 0 {
			t.Errorf("nothing known: %d allocations, %d reads", allocs, reads)
		}
		// A known name makes it a topic's folder.
		known := map[comntr.Hash]bool{}
		for at, i := made, 0; at.Defined(); i++ {
			n, err := f.Node(at)
			if err != nil || i == comntr.MaxDepth {
				t.Fatal(i, err)
			}
			at = cid.Undef
			for _, l := range n.Links {
				if l.Child {
					at = l.CID // the look goes down the last one
				} else {
					known[l.Name] = true
				}
			}
		}
		for i := range 50_000 {
			if known[comntr.SumHash(doc(i))] {
				f.src.add(real, doc(i))
			}
		}
		f.root()
		if !f.IsTopicFolder(made) {
			t.Error("a folder of a known comment is no topic's")
		}
		if allocs, reads := cost(made); allocs > 100_000 || reads > 400 {
			t.Errorf("one known: %d allocations, %d reads", allocs, reads)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.WriteCAR(ctx, io.Discard, made, false); !errors.Is(err, context.Canceled) {
			t.Errorf("the asker has gone: %v", err)
		}
	})
}

// A folder that a peer made up of names that are held, of which all but one
// link to nothing that is: that is seen after a hundred of them, and before the
// first byte.
func TestWriteCARMadeUpOfHeldNames(t *testing.T) {
	eachVersion(t, func(t *testing.T, v comntr.Version) {
		f := open(t, v)
		topic := comntr.NameHash("topic")
		for i := range 1000 {
			f.src.add(topic, doc(i))
		}
		n, err := f.Node(f.topic(topic))
		if err != nil || n.Shard {
			t.Fatalf("a plain directory of 1,000: %v", err)
		}
		links := slices.Clone(n.Links)
		for i := range links[1:] {
			links[1+i].CID = v.LeafCID([]byte(links[1+i].Name.String()))
		}
		block := (&comntr.Node{Links: links}).Encode()
		made := v.FolderCID(block)
		f.take(map[cid.Cid][]byte{made: block})
		looked := f.src.looked
		var car bytes.Buffer
		if _, err := f.WriteCAR(t.Context(), &car, made, false); !errors.Is(err, ipfs.ErrNotHeld) || car.Len() > 0 {
			t.Errorf("%v after %d bytes", err, car.Len())
		}
		if n := f.src.looked - looked; n > 200 {
			t.Errorf("%d comments were looked up", n)
		}
	})
}

// What a plan remembers is bounded, however small the blocks are.
func TestWriteCARLinks(t *testing.T) {
	f := open(t, 1)
	topic := comntr.NameHash("topic")
	for i := range 100 {
		f.src.add(topic, doc(i))
	}
	f.SetMaxCARLinks(100)
	f.expectCAR(f.topic(topic))
	f.src.add(topic, doc(100))
	if _, err := f.WriteCAR(t.Context(), io.Discard, f.topic(topic), false); !errors.Is(err, ipfs.ErrTooLarge) {
		t.Errorf("101 links: %v", err)
	}
}

// What the operator denies is given neither as a block nor in a CAR, and is not
// missing for that: nobody is asked for it again.
func TestDenied(t *testing.T) {
	f := open(t, 0)
	news := comntr.NameHash("/r/news")
	f.src.add(news, doc(1))
	f.src.add(news, doc(2))
	root, err := f.Topic(t.Context(), news)
	if err != nil {
		t.Fatal(err)
	}
	for _, denied := range []cid.Cid{comntr.Version(0).LeafCID(doc(1)), comntr.Version(1).LeafCID(doc(1)), root} {
		f.src.deny(denied)
		if _, err := f.Block(denied); !errors.Is(err, ipfs.ErrDenied) {
			t.Errorf("Block(%s): %v", denied, err)
		}
		var car bytes.Buffer
		if _, err := f.WriteCAR(t.Context(), &car, root, false); !errors.Is(err, ipfs.ErrDenied) || car.Len() > 0 {
			t.Errorf("WriteCAR without %s: %d bytes, %v", denied, car.Len(), err)
		}
		if _, err := f.Block(comntr.Version(0).LeafCID(doc(2))); err != nil {
			t.Errorf("what is not denied: %v", err)
		}
	}
}
