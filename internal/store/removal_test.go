package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

var alice, mallory, eve = testKey(1), testKey(2), testKey(3)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// sign makes a document of a kind on a target, both of which may be absent.
func sign(t testing.TB, by ed25519.PrivateKey, topic comntr.Hash, kind comntr.Kind, target comntr.Hash, body string) *comntr.Document {
	t.Helper()
	d, err := comntr.Draft{
		Place: comntr.Place{Community: reddit, Topic: topic}, Date: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Kind: kind, Target: target, Body: []byte(body),
	}.Sign(by)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustAdd(t testing.TB, s *store.Store, docs ...*comntr.Document) {
	t.Helper()
	for i, r := range s.AddAll(t.Context(), docs, "") {
		if r.Err != nil || !r.Created {
			t.Fatalf("document %d: created %v, %v", i, r.Created, r.Err)
		}
	}
}

// wantGone checks that a comment was removed from everywhere but the deletes.
func wantGone(t testing.TB, s *store.Store, dir string, fsys vfs.FS, d *comntr.Document) {
	t.Helper()
	topic := d.Place().Topic
	if b, err := s.Read(topic, d.ID()); !errors.Is(err, store.ErrGone) {
		t.Errorf("Read: %q, %v", b, err)
	}
	if held, settled := s.Has(topic, d.ID()); held || !settled {
		t.Errorf("Has: %v %v", held, settled)
	}
	if slices.Contains(listing(t, s, topic), d.ID().String()) {
		t.Error("it is listed")
	}
	if _, err := fsys.Stat(fsys.PathJoin(dir, d.Place().Community.String(), topic.String(), d.ID().String())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its file: %v", err)
	}
	if created, err := s.Add(t.Context(), d, "peer"); created || !errors.Is(err, store.ErrGone) {
		t.Errorf("it was taken again: %v %v", created, err)
	}
}

func TestDelete(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "what I should not have said")
	edit := sign(t, alice, news, comntr.KindEdit, comment.ID(), "or should I")
	other := sign(t, mallory, news, comntr.KindEdit, comment.ID(), "an edit of what is not his")
	reply := sign(t, mallory, news, comntr.KindComment, comntr.Hash{}, "you should not have")
	mustAdd(t, s, comment, edit, other, reply)
	foreign := sign(t, eve, news, comntr.KindDelete, comment.ID(), "")
	elsewhere := sign(t, alice, gifs, comntr.KindDelete, comment.ID(), "")
	mustAdd(t, s, foreign, elsewhere)
	for _, d := range []*comntr.Document{comment, edit} {
		if b, err := s.Read(news, d.ID()); err != nil || !bytes.Equal(b, d.Bytes()) {
			t.Fatalf("a delete by another key, or in another topic, did something: %v", err)
		}
	}
	del := sign(t, alice, news, comntr.KindDelete, comment.ID(), "")
	mustAdd(t, s, del)
	left := []string{other.ID().String(), reply.ID().String(), foreign.ID().String(), del.ID().String()}
	slices.Sort(left)
	for range 2 {
		wantGone(t, s, dir, vfs.Default, comment)
		wantGone(t, s, dir, vfs.Default, edit)
		late := sign(t, alice, news, comntr.KindEdit, comment.ID(), "an edit that comes later")
		if created, err := s.Add(t.Context(), late, ""); created || !errors.Is(err, store.ErrGone) {
			t.Errorf("an edit of what is gone: %v %v", created, err)
		}
		wantGone(t, s, dir, vfs.Default, late)
		if l := listing(t, s, news); !slices.Equal(l, left) {
			t.Errorf("listed: %v, want %v", l, left)
		}
		deletedTwice := sign(t, alice, news, comntr.KindDelete, comment.ID(), "again")
		if created, err := s.Add(t.Context(), deletedTwice, ""); err != nil {
			t.Errorf("a second delete: %v %v", created, err)
		}
		left = append(left, deletedTwice.ID().String())
		slices.Sort(left)
		left = slices.Compact(left)
		closeStore(t, s)
		CheckStore(t, dir, vfs.Default)
		s = open(t, dir, store.Options{})
	}
	closeStore(t, s)
}

// A delete of what is not there yet decides when it comes: by another key it
// blocks nothing.
func TestDeleteOfAnUnseenID(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "late")
	if _, err := s.Read(news, comment.ID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	mustAdd(t, s, sign(t, mallory, news, comntr.KindDelete, comment.ID(), ""))
	if held, settled := s.Has(news, comment.ID()); held || settled {
		t.Error("a stranger's delete settles an id that was never seen")
	}
	mustAdd(t, s, comment)
	if _, err := s.Read(news, comment.ID()); err != nil {
		t.Errorf("a stranger's delete blocks a comment: %v", err)
	}
	second := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "later")
	mustAdd(t, s, sign(t, alice, news, comntr.KindDelete, second.ID(), ""))
	if _, err := s.Read(news, second.ID()); !errors.Is(err, store.ErrGone) {
		t.Errorf("what was deleted before it came: %v", err)
	}
	if created, err := s.Add(t.Context(), second, ""); created || !errors.Is(err, store.ErrGone) {
		t.Errorf("what was deleted before it came is taken: %v %v", created, err)
	}
	wantGone(t, s, dir, vfs.Default, second)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// What was removed follows from the files in the folder, never from an index.
func TestDeletesWithoutTheIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "gone")
	edit := sign(t, alice, news, comntr.KindEdit, comment.ID(), "gone too")
	del := sign(t, alice, news, comntr.KindDelete, comment.ID(), "")
	mustAdd(t, s, comment, edit, del)
	closeStore(t, s)
	folder := filepath.Join(dir, reddit.String(), news.String())
	if err := os.RemoveAll(filepath.Join(dir, reddit.String(), ".ipfs", "index")); err != nil {
		t.Fatal(err)
	}
	// Other hands bring the bytes back, from a backup, say.
	for _, d := range []*comntr.Document{comment, edit} {
		if err := os.WriteFile(filepath.Join(folder, d.ID().String()), d.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, store.Options{})
	wantGone(t, s, dir, vfs.Default, comment)
	wantGone(t, s, dir, vfs.Default, edit)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)

	// Where the delete is taken away by other hands, nothing keeps the comment
	// from coming again.
	if err := os.Remove(filepath.Join(folder, del.ID().String())); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{})
	if s.Loosened() == 0 {
		t.Error("what was settled is no longer, and nobody is told")
	}
	mustAdd(t, s, comment)
	mustAdd(t, s, del)
	wantGone(t, s, dir, vfs.Default, comment)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// Of a file that was damaged when its delete came nobody could tell whose it
// was. Who brings the bytes back is told.
func TestDeleteOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "damaged, then deleted")
	mustAdd(t, s, comment)
	path := filepath.Join(dir, reddit.String(), news.String(), comment.ID().String())
	if err := os.WriteFile(path, []byte("no longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, sign(t, alice, news, comntr.KindDelete, comment.ID(), ""))
	if _, err := s.Read(news, comment.ID()); !errors.Is(err, store.ErrGone) {
		t.Errorf("Read: %v", err)
	}
	if created, err := s.Add(t.Context(), comment, ""); created || !errors.Is(err, store.ErrGone) {
		t.Errorf("the right bytes: %v %v", created, err)
	}
	wantGone(t, s, dir, vfs.Default, comment)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// Deleted bytes leave the index's own files, which had them in the journal.
func TestDeletedBytesLeaveTheIndex(t *testing.T) {
	const secret = "deleted means deleted 4c1f"
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	defer closeStore(t, s)
	var docs []*comntr.Document
	for i := range 50 { // some logs' worth of them, so that Pebble writes over old ones
		big := strings.Repeat(fmt.Sprintf("%s, number %d. ", secret, i), 1500)
		docs = append(docs, sign(t, alice, news, comntr.KindComment, comntr.Hash{}, big))
	}
	for _, d := range docs {
		mustAdd(t, s, d)
	}
	find := func() (in []string) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) { // the index drops files when it likes
				return nil
			}
			if bytes.Contains(b, []byte(secret)) {
				in = append(in, filepath.Base(path))
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return in
	}
	for _, d := range docs {
		mustAdd(t, s, sign(t, alice, news, comntr.KindDelete, d.ID(), ""))
	}
	if in := find(); len(in) == 0 {
		t.Error("the search finds nothing where there must be something: it proves nothing")
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); len(find()) > 0 && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond) // the index removes old tables behind our back
	}
	if in := find(); len(in) > 0 {
		t.Errorf("deleted bytes are still in %v", in)
	}
	mustAdd(t, s, sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "life goes on"))
}

// The scrub comes by itself within the hour, over a restart too.
func TestScrubComesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "soon gone 77ab"
		mem := newMem(t)
		s := open(t, data, store.Options{FS: mem})
		comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, secret)
		mustAdd(t, s, comment, sign(t, alice, news, comntr.KindDelete, comment.ID(), ""))
		if !inMem(t, mem, data, secret) {
			t.Error("the search finds nothing where there must be something: it proves nothing")
		}
		time.Sleep(store.ScrubAfter / 2)
		synctest.Wait()
		closeStore(t, s)
		s = open(t, data, store.Options{FS: mem})
		time.Sleep(time.Hour - store.ScrubAfter/2)
		synctest.Wait()
		if inMem(t, mem, data, secret) {
			t.Error("deleted bytes are in the index's files after an hour")
		}
		closeStore(t, s)
		CheckStore(t, data, mem)
	})
}

// A comment is taken away while the index's files are scrubbed of one before it: a
// start after that knows that they are to be scrubbed again.
func TestScrubAmidCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faultFS{FS: newMem(t)}
		s := open(t, data, store.Options{FS: f})
		one := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "one")
		two := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "two")
		mustAdd(t, s, one, two, sign(t, alice, news, comntr.KindDelete, one.ID(), ""))
		time.Sleep(store.ScrubAfter - time.Minute)
		scrubbed := make(chan struct{})
		f.set(func(_ int, op string) error {
			if op == "remove "+treePath(f, data, news, two.ID()) {
				<-scrubbed
			}
			return nil
		}, nil)
		deleted := make(chan struct{})
		go func() {
			defer close(deleted)
			mustAdd(t, s, sign(t, alice, news, comntr.KindDelete, two.ID(), ""))
		}()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s.ScrubDue() {
			t.Fatal("it was not scrubbed meanwhile: this proves nothing")
		}
		close(scrubbed)
		<-deleted
		for range 2 {
			if !s.ScrubDue() {
				t.Error("it is not to be scrubbed again")
			}
			closeStore(t, s)
			s = open(t, data, store.Options{FS: f})
		}
		closeStore(t, s)
	})
}

// inMem searches all files below dir.
func inMem(t *testing.T, mem vfs.FS, dir, text string) (found bool) {
	t.Helper()
	names, err := mem.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := mem.PathJoin(dir, name)
		fi, err := mem.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if fi.IsDir() {
			found = inMem(t, mem, path, text) || found
			continue
		}
		f, err := mem.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, fi.Size())
		f.ReadAt(b, 0)
		f.Close()
		found = found || bytes.Contains(b, []byte(text))
	}
	return found
}

// TestDeletesConverge has three stores hear of the same documents in different
// orders, in different commits, with restarts and lost indexes between, where
// many names have one slot; then they tell one another what they list. All end
// with equal folders, in which nothing is left that a delete removes.
func TestDeletesConverge(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runConverge(t, rand.New(rand.NewPCG(uint64(seed), 7))) }) {
			return
		}
	}
}

func runConverge(t *testing.T, r *rand.Rand) {
	slots := uint64(2 + r.IntN(10))
	o := store.Options{}.Slot(func(h comntr.Hash) uint64 { return uint64(h[0]) % slots })
	keys := []ed25519.PrivateKey{alice, mallory}
	var docs []*comntr.Document
	for range 2 + r.IntN(20) {
		key := keys[r.IntN(2)]
		body := fmt.Sprint(r.Uint32())
		switch n := r.IntN(10); {
		case n < 4 || len(docs) == 0:
			docs = append(docs, sign(t, key, news, comntr.KindComment, comntr.Hash{}, body))
		case n < 5:
			docs = append(docs, doc(t, news, body))
		case n < 7:
			docs = append(docs, sign(t, key, news, comntr.KindEdit, docs[r.IntN(len(docs))].ID(), body))
		default:
			target := docs[r.IntN(len(docs))]
			if target.Signed() && r.IntN(4) > 0 {
				key = keys[0]
				if target.Key() != comntr.PublicKey(key) {
					key = keys[1]
				}
			}
			docs = append(docs, sign(t, key, news, comntr.KindDelete, target.ID(), body))
		}
	}
	byID := make(map[comntr.Hash]*comntr.Document)
	for _, d := range docs {
		byID[d.ID()] = d
	}
	type server struct {
		mem vfs.FS
		s   *store.Store
	}
	var servers []*server
	for range 3 {
		mem := newMem(t)
		o.FS = mem
		servers = append(servers, &server{mem, open(t, data, o)})
	}
	give := func(sv *server, docs []*comntr.Document) {
		for _, res := range sv.s.AddAll(t.Context(), docs, "") {
			if res.Err != nil && !errors.Is(res.Err, store.ErrGone) && !errors.Is(res.Err, store.ErrSlotTaken) {
				t.Fatal(res.Err)
			}
		}
	}
	reopen := func(sv *server) {
		closeStore(t, sv.s)
		if r.IntN(2) == 0 {
			if err := sv.mem.RemoveAll(sv.mem.PathJoin(data, reddit.String(), ".ipfs", "index")); err != nil {
				t.Fatal(err)
			}
		}
		o.FS = sv.mem
		sv.s = open(t, data, o)
	}
	for _, sv := range servers {
		mine := slices.Clone(docs)
		r.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		mine = mine[:1+r.IntN(len(mine))]
		for len(mine) > 0 {
			n := 1 + r.IntN(len(mine))
			give(sv, mine[:n])
			mine = mine[n:]
			if r.IntN(4) == 0 {
				reopen(sv)
			}
		}
	}
	// Rounds: each asks the others until nothing changes.
	for round, changed := 0, true; changed; round++ {
		if round > 3*len(docs) {
			t.Fatal("no end")
		}
		changed = false
		for _, to := range servers {
			for _, from := range servers {
				var offer []*comntr.Document
				for _, id := range listing(t, from.s, news) {
					h, _ := comntr.ParseHash(id)
					if held, settled := to.s.Has(news, h); !held && !settled {
						offer = append(offer, byID[h])
					}
				}
				before := to.s.Seq()
				give(to, offer)
				changed = changed || to.s.Seq() != before
			}
			if r.IntN(10) == 0 {
				reopen(to)
			}
		}
	}
	first := listing(t, servers[0].s, news)
	for i, sv := range servers {
		if l := listing(t, sv.s, news); !slices.Equal(l, first) {
			t.Errorf("server %d lists %v, server 0 %v", i, l, first)
		}
	}
	deletes := slices.DeleteFunc(slices.Clone(docs), func(d *comntr.Document) bool {
		return d.Kind() != comntr.KindDelete || !slices.Contains(first, d.ID().String())
	})
	for _, id := range first {
		h, _ := comntr.ParseHash(id)
		for _, d := range deletes {
			if d.Removes(byID[h]) {
				t.Errorf("%s is listed, and %s removes it", h, d.ID())
			}
		}
	}
	for _, sv := range servers {
		closeStore(t, sv.s)
		stats, err := store.Check(context.Background(), data, reddit, store.Options{FS: sv.mem}, func(f store.Fault) { t.Errorf("check: %+v", f) })
		if err != nil || stats.Comments < len(first) {
			t.Errorf("check: %+v, %v", stats, err)
		}
	}
}

// TestRemovalVectors gives a store the documents of each case in many orders.
func TestRemovalVectors(t *testing.T) {
	raw, err := os.ReadFile("../../testdata/vectors/removals.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			Name, Why string
			Documents []string
			Remain    []string
		}
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 15 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		t.Run(c.Name, func(t *testing.T) {
			for seed := range uint64(6) {
				mem := newMem(t)
				s := open(t, data, store.Options{FS: mem})
				want := slices.Sorted(slices.Values(c.Remain))
				texts := slices.DeleteFunc(slices.Clone(c.Documents), func(text string) bool {
					_, rest, signed := strings.Cut(text, "\nTopic: ")
					elsewhere := signed && strings.HasPrefix(text, "Signature: ") && !strings.HasPrefix(rest, reddit.String())
					if elsewhere { // a store holds one community
						want = slices.DeleteFunc(want, func(id string) bool { return id == comntr.SumHash([]byte(text)).String() })
					}
					return elsewhere
				})
				r := rand.New(rand.NewPCG(seed, 3))
				r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
				topics := make(map[comntr.Hash]bool)
				for _, text := range texts {
					topic := news
					if _, rest, ok := strings.Cut(text, "\nTopic: "+reddit.String()+"/"); ok && strings.HasPrefix(text, "Signature: ") {
						topic, err = comntr.ParseHash(rest[:40])
						if err != nil {
							t.Fatal(err)
						}
					}
					topics[topic] = true
					if _, err := s.Add(t.Context(), doc(t, topic, text), ""); err != nil && !errors.Is(err, store.ErrGone) {
						t.Fatal(err)
					}
				}
				var remain []string
				for topic := range topics {
					remain = append(remain, listing(t, s, topic)...)
				}
				slices.Sort(remain)
				if !slices.Equal(remain, want) {
					t.Errorf("%s: remaining are %v, want %v", c.Why, remain, want)
				}
				closeStore(t, s)
				CheckStore(t, data, mem)
			}
		})
	}
}
