package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		os.Exit(runChild(child))
	}
	goleak.VerifyTestMain(m)
}

var (
	reddit = comntr.NameHash("reddit")
	news   = comntr.NameHash("/r/news")
	gifs   = comntr.NameHash("/r/gifs")
)

// The pair of names with one slot: of these texts' SHA-1, found by a search.
const nice1, nice2 = "nice 6ec96a27d28a8054", "nice f3fb553438fde6b9"

func doc(t testing.TB, topic comntr.Hash, text string) *comntr.Document {
	t.Helper()
	d, err := comntr.ParseDocument(comntr.Place{Community: reddit, Topic: topic}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t testing.TB, dir string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(dir, reddit, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, s *store.Store, topic comntr.Hash, text string) comntr.Hash {
	t.Helper()
	d := doc(t, topic, text)
	created, err := s.Add(t.Context(), d, "")
	if err != nil || !created {
		t.Fatalf("Add(%q): created %v, err %v", text, created, err)
	}
	return d.ID()
}

// listing returns what a topic lists, by name, and whether nothing is listed
// twice.
func listing(t testing.TB, s *store.Store, topic comntr.Hash) []string {
	t.Helper()
	var ids []string
	_, err := s.Listing(topic, 0, func(c comntr.Hash, _ uint64, removed bool) error {
		if removed {
			t.Errorf("a listing from 0 says that %s was removed", c)
		}
		ids = append(ids, c.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	if n := len(ids); len(slices.Compact(slices.Clone(ids))) != n {
		t.Errorf("the listing of %s names a comment twice", topic)
	}
	return ids
}

// CheckStore opens the store that lies in dir, checks all of its invariants
// and closes it: the tree and the index agree, names are the SHA-1 of the
// bytes, every listed comment can be read, numbers and counts add up, nothing
// is left in tmp, and `comntr check` finds nothing. It returns the listed
// comments as topic/comment.
func CheckStore(t testing.TB, dir string, fsys vfs.FS) map[string]bool {
	t.Helper()
	s, err := store.Open(dir, reddit, store.Options{FS: fsys})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	held := checkOpen(t, s, dir, fsys)
	closeStore(t, s)
	stats, err := store.Check(t.Context(), dir, reddit, store.Options{FS: fsys}, func(f store.Fault) {
		t.Errorf("check: %+v", f)
	})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if stats.Comments < len(held) {
		t.Errorf("check looked at %d comments, %d are listed", stats.Comments, len(held))
	}
	return held
}

// checkOpen is the part of CheckStore for a store that is open and idle.
func checkOpen(t testing.TB, s *store.Store, dir string, fsys vfs.FS) map[string]bool {
	t.Helper()
	held := make(map[string]bool)
	topics := make(map[string]bool)
	comments, size := 0, int64(0)
	last := uint64(0)
	upTo, err := s.TopicsSince(0, func(topic comntr.Hash, listed bool) error {
		seq, exists := s.TopicSeq(topic)
		if listed && !exists {
			t.Errorf("topic %s is listed and has no folder", topic)
		}
		if !exists {
			return nil
		}
		last = max(last, seq)
		topics[topic.String()] = true
		for _, id := range listing(t, s, topic) {
			held[topic.String()+"/"+id] = true
			comments++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if upTo != s.Seq() || last > upTo {
		t.Errorf("TopicsSince says %d, Seq %d, the last topic %d", upTo, s.Seq(), last)
	}
	// The tree.
	root := fsys.PathJoin(dir, reddit.String())
	inTree := make(map[string]bool)
	for _, topic := range list(t, fsys, root) {
		if topic == ".ipfs" {
			continue
		}
		if !topics[topic] {
			t.Errorf("the folder %s is no topic of the store", topic)
		}
		delete(topics, topic)
		for _, name := range list(t, fsys, fsys.PathJoin(root, topic)) {
			b := read(t, fsys, fsys.PathJoin(root, topic, name))
			size += int64(len(b))
			id := comntr.SumHash(b)
			if id.String() != name {
				t.Errorf("the file %s/%s holds %s", topic, name, id)
				continue
			}
			h, _ := comntr.ParseHash(topic)
			if got, err := s.Read(h, id); err != nil || !bytes.Equal(got, b) {
				t.Errorf("Read(%s/%s): %v", topic, name, err)
			}
			if ok, gone := s.Has(h, id); !ok || gone {
				t.Errorf("the file %s/%s is not held", topic, name)
			}
			inTree[topic+"/"+name] = true
		}
	}
	for topic := range topics {
		t.Errorf("topic %s has no folder", topic)
	}
	for name := range held {
		if !inTree[name] {
			t.Errorf("%s is listed and has no file", name)
		}
	}
	// A file that is not listed lost its slot to a smaller name that is.
	for name := range inTree {
		if held[name] {
			continue
		}
		topic, id, _ := strings.Cut(name, "/")
		h, _ := comntr.ParseHash(id)
		var winner bool
		for other := range held {
			oTopic, oID, _ := strings.Cut(other, "/")
			o, _ := comntr.ParseHash(oID)
			winner = winner || oTopic == topic && o.Slot() == h.Slot() && oID < id
		}
		if !winner {
			t.Errorf("%s is in the tree and not listed", name)
		}
	}
	if st := s.Stats(); st.Comments != comments || st.Bytes != size {
		t.Errorf("Stats says %+v; there are %d comments listed and %d bytes", st, comments, size)
	}
	if tmp := list(t, fsys, fsys.PathJoin(root, ".ipfs", "tmp")); len(tmp) > 0 {
		t.Errorf("left in tmp: %v", tmp)
	}
	return held
}

func list(t testing.TB, fsys vfs.FS, dir string) []string {
	t.Helper()
	names, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func read(t testing.TB, fsys vfs.FS, path string) []byte {
	t.Helper()
	f, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, fi.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		t.Fatal(err)
	}
	return b
}

func TestSeedTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, reddit.String(), gifs.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, store.Options{})
	add(t, s, news, "That's bs!")
	add(t, s, news, "Cool!")
	if created, err := s.Add(t.Context(), doc(t, news, "Cool!"), ""); err != nil || created {
		t.Errorf("the second time: created %v, err %v", created, err)
	}
	closeStore(t, s)
	for path, want := range map[string]string{
		"27aa67d11878da3049675f218f9822318d27bf67/84d5fcc43a5a888643930cfa216833309b3dd96c/c8083ac61a18ad57abdb8127129ed6a423cd731a": "That's bs!",
		"27aa67d11878da3049675f218f9822318d27bf67/84d5fcc43a5a888643930cfa216833309b3dd96c/33754244c02265dc24dfec91d64a48410ec24831": "Cool!",
	} {
		b, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		if fi, err := os.Stat(filepath.Join(dir, path)); err == nil && fi.Mode() != 0o644 {
			t.Errorf("%s has mode %v", path, fi.Mode())
		}
	}
	held := CheckStore(t, dir, vfs.Default)
	if len(held) != 2 {
		t.Errorf("held: %v", held)
	}
	s = open(t, dir, store.Options{})
	defer closeStore(t, s)
	if st := s.Stats(); st.Topics != 2 {
		t.Errorf("%+v: the empty folder counts as a topic", st)
	}
	if _, ok := s.TopicSeq(gifs); !ok {
		t.Error("the empty folder is no topic")
	}
}

func TestReadAndHas(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	defer closeStore(t, s)
	id := add(t, s, news, "Cool!")
	gone := add(t, s, news, "to be removed")
	if err := s.Remove(t.Context(), news, gone); err != nil {
		t.Fatal(err)
	}
	damaged := add(t, s, news, "to be damaged")
	missing := add(t, s, news, "to be taken away")
	long := add(t, s, news, "to be made longer")
	longest := add(t, s, news, strings.Repeat("a", comntr.MaxDocument))
	path := func(id comntr.Hash) string {
		return filepath.Join(dir, reddit.String(), news.String(), id.String())
	}
	if err := errors.Join(os.WriteFile(path(damaged), []byte("to be Damaged"), 0o644), os.Remove(path(missing)),
		os.WriteFile(path(long), []byte("to be made longer!!"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path(gone)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the removed comment's file: %v", err)
	}
	for _, c := range []struct {
		name       string
		topic, id  comntr.Hash
		err        error
		held, gone bool
	}{
		{"held", news, id, nil, true, false},
		{"never seen", news, comntr.SumHash([]byte("x")), store.ErrNotFound, false, false},
		{"in another topic", gifs, id, store.ErrNotFound, false, false},
		{"gone", news, gone, store.ErrGone, false, true},
		{"damaged", news, damaged, store.ErrDamaged, true, false},
		{"missing", news, missing, store.ErrDamaged, true, false},
		{"longer", news, long, store.ErrDamaged, true, false},
		{"the longest", news, longest, nil, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, read := range map[string]func(topic, comment comntr.Hash) ([]byte, error){"Read": s.Read, "ReadListed": s.ReadListed} {
				b, err := read(c.topic, c.id)
				if !errors.Is(err, c.err) || (err == nil) != (comntr.SumHash(b) == c.id) {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
			if held, gone := s.Has(c.topic, c.id); held != c.held || gone != c.gone {
				t.Errorf("Has: %v %v", held, gone)
			}
		})
	}
	if _, err := s.Add(t.Context(), doc(t, news, "to be removed"), ""); !errors.Is(err, store.ErrGone) {
		t.Errorf("adding what is gone: %v", err)
	}
}

func TestAddOfAnotherCommunity(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	d, err := comntr.ParseDocument(comntr.Place{Community: gifs, Topic: news}, []byte("Cool!"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), d, ""); err == nil {
		t.Error("a document of another community was taken")
	}
}

func TestStopping(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	add(t, s, news, "Cool!")
	closeStore(t, s)
	if _, err := s.Add(t.Context(), doc(t, news, "late"), ""); !errors.Is(err, store.ErrStopping) {
		t.Errorf("after Close: %v", err)
	}
	closeStore(t, s) // a second time is nothing
	if _, err := s.AddTopic(t.Context(), gifs, ""); !errors.Is(err, store.ErrStopping) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAddHonoursContext(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Add(ctx, doc(t, news, "Cool!"), ""); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// 64 writers at once: each comment created once, however many send it.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	const writers, each = 64, 30
	var mu sync.Mutex
	created := make(map[comntr.Hash]int)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Two writers send each comment.
				d := doc(t, comntr.NameHash(fmt.Sprint("topic ", i%7)), fmt.Sprintf("comment %d of %d", i, w/2))
				c, err := s.Add(t.Context(), d, "")
				if err != nil {
					t.Error(err)
				}
				if got, err := s.Read(d.Place().Topic, d.ID()); err != nil || !bytes.Equal(got, d.Bytes()) {
					t.Errorf("an acknowledged comment cannot be read: %v", err)
				}
				mu.Lock()
				if c {
					created[d.ID()]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	closeStore(t, s)
	if len(created) != writers/2*each {
		t.Errorf("%d were created", len(created))
	}
	for id, n := range created {
		if n != 1 {
			t.Errorf("%s was created %d times", id, n)
		}
	}
	if held := CheckStore(t, dir, vfs.Default); len(held) != writers/2*each {
		t.Errorf("%d are held", len(held))
	}
}

func TestAddAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	n := 3000
	docs := make([]*comntr.Document, n)
	for i := range docs {
		docs[i] = doc(t, comntr.NameHash(fmt.Sprint(i%10)), fmt.Sprintf("comment %d", i/2*2)) // each twice, in different topics
	}
	docs[n-1] = docs[0]
	for i, r := range s.AddAll(t.Context(), docs, "ab") {
		if r.Err != nil || r.Created != (i != n-1) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	closeStore(t, s)
	if held := CheckStore(t, dir, vfs.Default); len(held) != n-1 {
		t.Errorf("%d are held", len(held))
	}
	if r := s.AddAll(t.Context(), docs[:2], ""); !errors.Is(r[1].Err, store.ErrStopping) {
		t.Errorf("%+v", r)
	}
}

func TestAddTopic(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, want := range []bool{true, false} {
		if created, err := s.AddTopic(t.Context(), gifs, ""); err != nil || created != want {
			t.Errorf("%d: %v, %v", i, created, err)
		}
	}
	add(t, s, gifs, "now it has one")
	if created, err := s.AddTopic(t.Context(), gifs, ""); err != nil || created {
		t.Errorf("%v, %v", created, err)
	}
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// The number of the change that listed a comment leads back to it, also when it
// has left.
func TestNumber(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	one, two := add(t, s, news, "one"), add(t, s, news, "two")
	first, ok := s.Number(news, one)
	second, ok2 := s.Number(news, two)
	if !ok || !ok2 || first == second {
		t.Fatalf("%d %v and %d %v", first, ok, second, ok2)
	}
	for seq, want := range map[uint64]comntr.Hash{first: one, second: two} {
		if got, ok := s.At(news, seq); !ok || got != want {
			t.Errorf("%d: %s %v, not %s", seq, got, ok, want)
		}
	}
	if _, ok := s.At(gifs, first); ok {
		t.Error("a number of another topic")
	}
	if _, ok := s.At(news, s.Seq()+1); ok {
		t.Error("a number to come")
	}
	if _, ok := s.Number(news, gifs); ok {
		t.Error("a comment that was never here")
	}
	if n := add(t, s, news, nice1); n != (comntr.Hash{}) { // then one with its slot
		seq, _ := s.Number(news, n)
		s.Add(t.Context(), doc(t, news, nice2), "")
		if got, ok := s.At(news, seq); !ok || got != n {
			t.Errorf("unlisted: %s %v", got, ok)
		}
		if _, ok := s.At(news, seq+1); ok {
			t.Error("a change that listed nothing")
		}
	}
}
