package ipfs_test

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// TestLost: a comment or a topic that vanished, without anyone's having removed
// it, clears the marks of what was merged, else it would never be fetched
// again. One that was removed does not.
func TestLost(t *testing.T) {
	one, two := comntr.NameHash("one"), comntr.NameHash("two")
	for _, test := range []struct {
		name   string
		act    func(*fixture, comntr.Hash)
		marked bool
	}{
		{"removed", func(f *fixture, id comntr.Hash) { f.src.remove(one, id) }, true},
		{"vanished", func(f *fixture, id comntr.Hash) {
			f.src.remove(one, id)
			f.src.forget(one, id)
		}, false},
		{"topic vanished", func(f *fixture, id comntr.Hash) { f.src.dropTopic(one) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, 0)
			id := f.src.add(one, []byte("comment"))
			f.src.add(one, []byte("another"))
			f.src.add(two, []byte("comment"))
			root, err := f.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetMerged(two, []cid.Cid{root}, 0); err != nil {
				t.Fatal(err)
			}
			test.act(f, id)
			if _, err := f.Root(t.Context()); err != nil {
				t.Fatal(err)
			}
			if f.Merged(two, root) != test.marked {
				t.Errorf("marked: %v", !test.marked)
			}
		})
	}
}

// TestUnreadable: a damaged file is another answer than a block that was never
// held, so that who asks knows to ask elsewhere.
func TestUnreadable(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("one")
	id := f.src.add(topic, []byte("comment"))
	root, err := f.Topic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	f.src.breakFile(topic, id, true)
	if _, err := f.Block(comntr.Version(0).LeafCID([]byte("comment"))); !errors.Is(err, ipfs.ErrUnreadable) || errors.Is(err, ipfs.ErrNotHeld) {
		t.Errorf("block: %v", err)
	}
	if _, err := f.WriteCAR(t.Context(), t.Output(), root, false); !errors.Is(err, ipfs.ErrUnreadable) {
		t.Errorf("CAR: %v", err)
	}
}
