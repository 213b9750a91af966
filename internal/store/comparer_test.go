package store_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

func TestComparer(t *testing.T) {
	slot := func(last byte) []byte { return append(bytes.Repeat([]byte{'c'}, 28), last) }
	name := func(b byte) []byte { return bytes.Repeat([]byte{b}, 20) }
	for _, a := range [][]byte{slot(0), slot(1), slot(0xff)} {
		for _, b := range [][]byte{slot(0), slot(1), slot(0xff)} {
			// Who comes first is decided by what is split off, as Pebble expects.
			k, l := append(bytes.Clone(a), name(7)...), append(bytes.Clone(b), name(7)...)
			if store.Comparer.Compare(k, l) != bytes.Compare(a, b) {
				t.Errorf("%x and %x", k, l)
			}
		}
	}
	for k, want := range map[string]int{
		string(slot(1)) + string(name(2)):           29,
		string(slot(1)):                             29,
		"x" + string(slot(1)) + string(name(2))[1:]: 49,
		"Mformat": 7,
		"":        0,
	} {
		if n := store.Comparer.Split([]byte(k)); n != want {
			t.Errorf("of %q %d bytes are split off, want %d", k, n, want)
		}
	}
}

// What has come to the last level, which has no filters, is found as before.
func TestLastLevel(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	var docs []*comntr.Document
	for i := range 500 {
		docs = append(docs, doc(t, news, fmt.Sprint("comment ", i)))
	}
	s.AddAll(t.Context(), docs, "a peer")
	for range 2 {
		if err := s.Scrub(t.Context()); err != nil { // which compacts
			t.Fatal(err)
		}
		closeStore(t, s)
		s = open(t, dir, store.Options{})
	}
	defer func() { closeStore(t, s) }()
	for i, r := range s.AddAll(t.Context(), docs, "") {
		if r.Err != nil || r.Created {
			t.Errorf("comment %d was not known: %+v", i, r)
		}
		n, ok := s.Number(news, docs[i].ID())
		if at, found := s.At(news, n); !ok || !found || at != docs[i].ID() {
			t.Errorf("comment %d has the number %d, which is that of %s", i, n, at)
		}
	}
	if r := s.AddAll(t.Context(), []*comntr.Document{doc(t, news, "new")}, ""); r[0].Err != nil || !r[0].Created {
		t.Errorf("a new one: %+v", r[0])
	}
}
