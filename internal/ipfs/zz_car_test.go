package ipfs_test

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/ipfs/go-cid"
)

func TestZZCar(t *testing.T) {
	f := open(t, 1)
	blocks := map[cid.Cid][]byte{}
	r := rand.New(rand.NewPCG(1, 2))
	raw := func() cid.Cid { var b [8]byte; for i := range b { b[i] = byte(r.Uint32()) }; return comntr.Version(1).LeafCID(b[:]) }
	type ent struct { h comntr.Hash; s uint64 }
	var all []ent
	for range 500_000 {
		var h comntr.Hash
		for i := range h { h[i] = byte(r.Uint32()) }
		all = append(all, ent{h, h.Slot()})
	}
	slices.SortFunc(all, func(a, b ent) int { return cmp.Compare(a.s, b.s) })
	var build func(es []ent, depth int) cid.Cid
	build = func(es []ent, depth int) cid.Cid {
		n := &comntr.Node{Shard: true}
		for len(es) > 0 {
			ix := uint8(es[0].s >> (56 - 8*depth))
			k := 1
			for k < len(es) && uint8(es[k].s>>(56-8*depth)) == ix { k++ }
			if k == 1 {
				n.Links = append(n.Links, comntr.Link{Index: ix, Name: es[0].h, CID: raw(), Size: 8})
			} else {
				n.Links = append(n.Links, comntr.Link{Index: ix, Child: true, CID: build(es[:k], depth+1), Size: 8})
			}
			es = es[k:]
		}
		b := n.Encode()
		c := comntr.Version(1).FolderCID(b)
		blocks[c] = b
		return c
	}
	root := build(all, 0)
	size := 0
	for _, b := range blocks { size += len(b) }
	f.take(blocks)
	blocks = nil; all = nil
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	done := make(chan struct{})
	go func() { for { select { case <-done: return; case <-time.After(20*time.Millisecond): var m runtime.MemStats; runtime.ReadMemStats(&m); peak = max(peak, m.HeapAlloc) } } }()
	began := time.Now()
	err := f.WriteCAR(context.Background(), io.Discard, root)
	close(done)
	t.Logf("nodes %d MiB; WriteCAR took %v, peak heap +%d MiB, err %v", size>>20, time.Since(began), (int64(peak)-int64(before.HeapAlloc))>>20, err)
	_, err = f.Block(root)
	t.Log("topic folder:", f.IsTopicFolder(root), err)
}

func TestZZRetainTooLargeAgain(t *testing.T) {
	f := open(t, 0)
	large, blocks := bomb(400)
	f.take(blocks)
	for range 3 {
		began := time.Now()
		err := f.Retain("peer", large)
		t.Logf("Retain of one unchanged too large root: %v %v", time.Since(began), err)
	}
	a, blocks := bomb(200)
	f.take(blocks)
	b, blocks := bomb(199)
	f.take(blocks)
	for i := range 4 {
		began := time.Now()
		err := f.Retain("peer2", []cid.Cid{a, b}[i%2])
		t.Logf("alternate: %v %v", time.Since(began), err)
	}
}
