package store_test

import (
	"bytes"
	"testing"

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
