package ipfs_test

import (
	"fmt"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/comntr/comntr/internal/ipfs"
)

func TestRecordsAreBounded(t *testing.T) {
	r := ipfs.NewRecords(10)
	ctx := t.Context()
	count := func() int {
		res, err := r.Query(ctx, query.Query{KeysOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		all, err := res.Rest()
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for i := range 25 {
		if err := r.Put(ctx, ds.NewKey(fmt.Sprint("a", i)), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := r.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if err := b.Put(ctx, ds.NewKey(fmt.Sprint("b", i)), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 10 {
		t.Errorf("%d records are kept", n)
	}
	last := ds.NewKey("last")
	if err := r.Put(ctx, last, []byte("y")); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Get(ctx, last); err != nil || string(v) != "y" {
		t.Errorf("%q, %v", v, err)
	}
	if err := r.Delete(ctx, last); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 9 {
		t.Errorf("%d records are kept", n)
	}
}
