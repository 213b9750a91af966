package store_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// Of nice1 and nice2 the one with the smaller id is listed.
var niceWinnerText, niceLoserText = func() (string, string) {
	a, b := comntr.SumHash([]byte(nice1)), comntr.SumHash([]byte(nice2))
	if a.String() < b.String() {
		return nice1, nice2
	}
	return nice2, nice1
}()

var (
	niceWinner = comntr.SumHash([]byte(niceWinnerText))
	niceLoser  = comntr.SumHash([]byte(niceLoserText))
)

func TestPairHasOneSlot(t *testing.T) {
	if niceWinner.Slot() != niceLoser.Slot() || niceWinner == niceLoser {
		t.Fatal("the pair of these tests has not one slot")
	}
}

// However the pair comes in, the smaller name is listed.
func TestSlotInATopic(t *testing.T) {
	path := func(dir string, id comntr.Hash) string {
		return filepath.Join(dir, reddit.String(), news.String(), id.String())
	}
	copyIn := func(t *testing.T, dir, text string) {
		t.Helper()
		p := path(dir, comntr.SumHash([]byte(text)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		run    func(t *testing.T, dir string)
		onDisk int // of the pair
	}{
		"winner then loser": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			defer closeStore(t, s)
			add(t, s, news, niceWinnerText)
			if _, err := s.Add(t.Context(), doc(t, news, niceLoserText), ""); !errors.Is(err, store.ErrSlotTaken) {
				t.Errorf("the loser: %v", err)
			}
		}, 1},
		"loser then winner": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			defer closeStore(t, s)
			add(t, s, news, niceLoserText)
			seq := s.Seq()
			add(t, s, news, niceWinnerText)
			var changes []string
			s.Listing(news, seq, func(c comntr.Hash, _ uint64, removed bool) error {
				changes = append(changes, fmt.Sprint(c, removed))
				return nil
			})
			if want := []string{fmt.Sprint(niceLoser, true), fmt.Sprint(niceWinner, false)}; !slices.Equal(changes, want) {
				t.Errorf("changes %v, want %v", changes, want)
			}
			if b, err := s.Read(news, niceLoser); err != nil || string(b) != niceLoserText {
				t.Errorf("the loser can no longer be read: %q, %v", b, err)
			}
			if created, err := s.Add(t.Context(), doc(t, news, niceLoserText), ""); created || err != nil {
				t.Errorf("the loser once more: %v, %v", created, err)
			}
		}, 2},
		"in one commit": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			defer closeStore(t, s)
			r := s.AddAll(t.Context(), []*comntr.Document{doc(t, news, niceLoserText), doc(t, news, niceWinnerText)}, "")
			if r[0].Err != nil || r[1].Err != nil {
				t.Errorf("%+v", r)
			}
		}, 2},
		"in one commit, winner first": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			defer closeStore(t, s)
			r := s.AddAll(t.Context(), []*comntr.Document{doc(t, news, niceWinnerText), doc(t, news, niceLoserText)}, "")
			if r[0].Err != nil || !errors.Is(r[1].Err, store.ErrSlotTaken) {
				t.Errorf("%+v", r)
			}
		}, 1},
		"both copied in": {func(t *testing.T, dir string) {
			copyIn(t, dir, niceWinnerText)
			copyIn(t, dir, niceLoserText)
		}, 2},
		"the winner copied in": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			add(t, s, news, niceLoserText)
			closeStore(t, s)
			copyIn(t, dir, niceWinnerText)
		}, 2},
		"the loser copied in": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			add(t, s, news, niceWinnerText)
			closeStore(t, s)
			copyIn(t, dir, niceLoserText)
		}, 2},
		"the index built again": {func(t *testing.T, dir string) {
			s := open(t, dir, store.Options{})
			add(t, s, news, niceLoserText)
			add(t, s, news, niceWinnerText)
			closeStore(t, s)
			if err := os.RemoveAll(filepath.Join(dir, reddit.String(), ".ipfs")); err != nil {
				t.Fatal(err)
			}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.run(t, dir)
			held := CheckStore(t, dir, vfs.Default)
			if want := map[string]bool{news.String() + "/" + niceWinner.String(): true}; !maps.Equal(held, want) {
				t.Errorf("listed: %v", held)
			}
			names := list(t, vfs.Default, filepath.Join(dir, reddit.String(), news.String()))
			if len(names) != c.onDisk {
				t.Errorf("on disk: %v", names)
			}
		})
	}
}

// When the winner goes, the loser that stands on disk takes its place.
func TestSlotIsFreedAgain(t *testing.T) {
	for name, free := range map[string]func(t *testing.T, dir string, s *store.Store){
		"removed by its author": func(t *testing.T, dir string, s *store.Store) {
			if err := s.Remove(t.Context(), news, niceWinner); err != nil {
				t.Error(err)
			}
			closeStore(t, s)
		},
		"taken away": func(t *testing.T, dir string, s *store.Store) {
			closeStore(t, s)
			if err := os.Remove(filepath.Join(dir, reddit.String(), news.String(), niceWinner.String())); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			add(t, s, news, niceLoserText)
			add(t, s, news, niceWinnerText)
			free(t, dir, s)
			if held := CheckStore(t, dir, vfs.Default); len(held) != 1 || !held[news.String()+"/"+niceLoser.String()] {
				t.Errorf("listed: %v", held)
			}
		})
	}
}

// Of two topics with one slot the one with more comments is listed, then the
// smaller name; a flip is told of both.
func TestSlotInACommunity(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	small, great := niceWinner, niceLoser // as topics' names
	since := uint64(0)
	expect := func(step string, want map[comntr.Hash]bool) {
		t.Helper()
		got := make(map[comntr.Hash]bool)
		upTo, err := s.TopicsSince(since, func(topic comntr.Hash, listed bool) error {
			got[topic] = listed
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		since = upTo
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", step, got, want)
		}
	}
	if _, err := s.AddTopic(t.Context(), great, ""); err != nil {
		t.Fatal(err)
	}
	expect("alone", map[comntr.Hash]bool{great: true})
	if _, err := s.AddTopic(t.Context(), small, ""); err != nil {
		t.Fatal(err)
	}
	expect("both empty: the smaller name", map[comntr.Hash]bool{great: false, small: true})
	a := add(t, s, great, "a")
	expect("more comments", map[comntr.Hash]bool{great: true, small: false})
	add(t, s, small, "a")
	expect("as many: the smaller name", map[comntr.Hash]bool{great: false, small: true})
	add(t, s, great, "b")
	expect("more again", map[comntr.Hash]bool{great: true, small: false})
	add(t, s, great, "c")
	expect("no flip", map[comntr.Hash]bool{great: true})
	closeStore(t, s)
	s = open(t, dir, store.Options{})
	expect("after a restart", map[comntr.Hash]bool{})
	if err := s.Remove(t.Context(), great, a); err != nil {
		t.Fatal(err)
	}
	expect("one less", map[comntr.Hash]bool{great: true})
	closeStore(t, s)
	if err := os.RemoveAll(filepath.Join(dir, reddit.String(), great.String())); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{})
	expect("the folder taken away", map[comntr.Hash]bool{great: false, small: true})
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// A comment loses its slot and gets it back in one commit. Who lists its topic
// between the commit's being in the index and its being published is told of it:
// the changes that come later do not name it.
func TestListingAmidRelist(t *testing.T) {
	mem := newMem(t)
	f := &faultFS{FS: mem}
	first := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "first")
	second := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "second")
	if first.ID().Compare(second.ID()) < 0 {
		first, second = second, first
	}
	s := open(t, data, store.Options{FS: f}.Slot(func(h comntr.Hash) uint64 {
		if h == first.ID() || h == second.ID() {
			return 1
		}
		return h.Slot()
	}))
	mustAdd(t, s, first)
	listed := func(since uint64) (upTo uint64, names map[comntr.Hash]bool) {
		names = map[comntr.Hash]bool{}
		upTo, err := s.Listing(news, since, func(c comntr.Hash, _ uint64, removed bool) error {
			names[c] = !removed
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return upTo, names
	}
	var upTo uint64
	var before map[comntr.Hash]bool
	f.set(func(_ int, op string) error {
		if strings.HasPrefix(op, "rename ") && before == nil {
			upTo, before = listed(0)
		}
		return nil
	}, nil)
	for i, r := range s.AddAll(t.Context(), []*comntr.Document{second, sign(t, alice, news, comntr.KindDelete, second.ID(), "")}, "") {
		if r.Err != nil {
			t.Fatal(i, r.Err)
		}
	}
	if len(before) != 1 || !before[first.ID()] {
		t.Errorf("amid the commit %d are listed, the one of before among them: %v", len(before), before[first.ID()])
	}
	_, after := listed(upTo)
	for c := range after {
		before[c] = after[c]
	}
	if _, whole := listed(0); len(whole) != 2 || !whole[first.ID()] {
		t.Errorf("%d are listed", len(whole))
	}
	if !before[first.ID()] {
		t.Error("who follows the changes is not told of it")
	}
	closeStore(t, s)
}
