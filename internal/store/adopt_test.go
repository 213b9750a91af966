package store_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// silent is what Pebble says to in a test.
type silent struct{}

func (silent) Infof(string, ...any)         {}
func (silent) Errorf(string, ...any)        {}
func (silent) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// tree is a community's folder in the hands of somebody else.
type tree struct {
	t   *testing.T
	dir string
}

func (r tree) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir, reddit.String()}, parts...)...)
}

func (r tree) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r tree) write(topic comntr.Hash, name, text string) {
	r.t.Helper()
	r.must(os.MkdirAll(r.path(topic.String()), 0o755))
	r.must(os.WriteFile(r.path(topic.String(), name), []byte(text), 0o644))
}

func id(text string) string { return comntr.SumHash([]byte(text)).String() }

func TestAdopt(t *testing.T) {
	signedElsewhere := "Signature: " + strings.Repeat("0", 128) + "\nPublic-Key: " + strings.Repeat("0", 64) + "\n\nhi"
	for name, c := range map[string]struct {
		hand  func(r tree)
		held  []string // of /r/news, by text
		notes bool     // check has something to say, but no damage
		topic bool     // /r/gifs is there
	}{
		"nothing": {func(r tree) {}, []string{"one", "two"}, false, false},
		"an empty folder": {func(r tree) {
			r.must(os.Mkdir(r.path(gifs.String()), 0o755))
		}, []string{"one", "two"}, false, true},
		"files copied in": {func(r tree) {
			r.write(news, id("three"), "three")
			r.write(gifs, id("four"), "four")
		}, []string{"one", "two", "three"}, false, true},
		"a file taken away": {func(r tree) {
			r.must(os.Remove(r.path(news.String(), id("one"))))
		}, []string{"two"}, false, false},
		"a folder taken away": {func(r tree) {
			r.must(os.RemoveAll(r.path(news.String())))
		}, nil, false, false},
		"a folder emptied": {func(r tree) {
			r.must(os.Remove(r.path(news.String(), id("one"))))
			r.must(os.Remove(r.path(news.String(), id("two"))))
		}, nil, false, false},
		"names that are none": {func(r tree) {
			r.write(news, ".DS_Store", "x")
			r.write(news, strings.ToUpper(id("three")), "three")
			r.write(news, id("three")[:39], "three")
			r.must(os.WriteFile(r.path("README"), nil, 0o644))
			r.must(os.Mkdir(r.path("lost+found"), 0o755))
		}, []string{"one", "two"}, true, false},
		"a file in a topic's place": {func(r tree) {
			r.must(os.WriteFile(r.path(gifs.String()), nil, 0o644))
		}, []string{"one", "two"}, true, false},
		"bytes of another name": {func(r tree) {
			r.write(news, id("three"), "trhee")
		}, []string{"one", "two"}, true, false},
		"no documents": {func(r tree) {
			for _, text := range []string{"", "\xff", "a\x00b", signedElsewhere, strings.Repeat("x", comntr.MaxDocument+1)} {
				r.write(news, id(text), text)
			}
		}, []string{"one", "two"}, true, false},
		"symbolic links": {func(r tree) {
			r.write(gifs, "aside", "three")
			r.must(os.Symlink(r.path(gifs.String(), "aside"), r.path(news.String(), id("three"))))
			r.must(os.Symlink(r.path(news.String()), r.path(comntr.NameHash("linked").String())))
		}, []string{"one", "two"}, true, true},
		"a folder in a comment's place": {func(r tree) {
			r.must(os.Mkdir(r.path(news.String(), id("three")), 0o755))
		}, []string{"one", "two"}, true, false},
		"the index removed": {func(r tree) {
			r.must(os.RemoveAll(r.path(".ipfs")))
		}, []string{"one", "two"}, false, false},
		"the index damaged": {func(r tree) {
			r.must(scribble(r.path(".ipfs", "index"), "MANIFEST"))
		}, []string{"one", "two"}, false, false},
		"tables of the index damaged": {func(r tree) {
			r.must(scribble(r.path(".ipfs", "index"), ".sst"))
		}, []string{"one", "two"}, false, false},
		"an index of format 2": {func(r tree) { // its filters are of other keys
			db, err := pebble.Open(r.path(".ipfs", "index"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
			r.must(err)
			r.must(errors.Join(db.Set([]byte("Mformat"), []byte{7: 2}, pebble.Sync), db.Close()))
			s := open(r.t, r.dir, store.Options{})
			defer closeStore(r.t, s)
			if _, err := os.Stat(r.path(".ipfs", "index.old-1")); err != nil {
				r.t.Errorf("it is not aside: %v", err)
			}
		}, []string{"one", "two"}, false, false},
		"tables of the index removed": {func(r tree) {
			files, err := filepath.Glob(r.path(".ipfs", "index", "*.sst"))
			r.must(err)
			for _, f := range files {
				r.must(os.Remove(f))
			}
		}, []string{"one", "two"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := tree{t, t.TempDir()}
			s := open(t, r.dir, store.Options{})
			add(t, s, news, "one")
			add(t, s, news, "two")
			closeStore(t, s)
			// A second life, so that there are tables and not only a log.
			closeStore(t, open(t, r.dir, store.Options{}))
			c.hand(r)
			s = open(t, r.dir, store.Options{})
			want := make(map[string]bool)
			for _, text := range c.held {
				want[id(text)] = true
			}
			got := make(map[string]bool)
			for _, id := range listing(t, s, news) {
				got[id] = true
			}
			if !maps.Equal(got, want) {
				t.Errorf("listed: %v, want %v", got, want)
			}
			if _, ok := s.TopicSeq(gifs); ok != c.topic {
				t.Errorf("/r/gifs is a topic: %v", ok)
			}
			add(t, s, comntr.NameHash("more"), "it goes on")
			closeStore(t, s)
			notes := 0
			stats, err := store.Check(t.Context(), r.dir, reddit, store.Options{}, func(f store.Fault) {
				if notes++; f.Damage() || f.Kind != store.NoteStray {
					t.Errorf("%+v", f)
				}
			})
			if err != nil || stats.Faults != 0 || stats.Notes != notes || (notes > 0) != c.notes {
				t.Errorf("check: %+v, %d notes, %v", stats, notes, err)
			}
			if !c.notes {
				CheckStore(t, r.dir, vfs.Default)
			}
		})
	}
}

// scribble changes bytes in the middle of the files of a folder whose names
// contain part.
func scribble(dir, part string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	done := errors.New("no such file")
	for _, e := range entries {
		if !strings.Contains(e.Name(), part) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := len(b) / 4; i < len(b)*3/4; i++ {
			b[i] ^= 0x5a
		}
		done = os.WriteFile(path, b, 0o644)
	}
	return done
}

// What another hand does to a running store's folder is found at the next
// start, though the store has written there since.
func TestAdoptWhatCameWhileRunning(t *testing.T) {
	r := tree{t, t.TempDir()}
	s := open(t, r.dir, store.Options{})
	add(t, s, news, "one")
	r.write(news, id("copied"), "copied")
	then := r.path(news.String())
	old(t, then) // so that it does not hang on the clock's grain
	add(t, s, news, "two")
	closeStore(t, s)
	if held := CheckStore(t, r.dir, vfs.Default); len(held) != 3 {
		t.Errorf("held: %v", held)
	}
}

// A start looks only into folders whose time is not the recorded one: a
// change that keeps it goes unseen, until the next time something moves.
func TestAdoptSkipsWhatIsUnchanged(t *testing.T) {
	r := tree{t, t.TempDir()}
	s := open(t, r.dir, store.Options{})
	add(t, s, news, "one")
	closeStore(t, s)
	fi, err := os.Stat(r.path(news.String()))
	r.must(err)
	r.write(news, id("copied"), "copied")
	r.must(os.Chtimes(r.path(news.String()), fi.ModTime(), fi.ModTime()))
	s = open(t, r.dir, store.Options{})
	if n := len(listing(t, s, news)); n != 1 {
		t.Errorf("%d are listed: the folder was read", n)
	}
	closeStore(t, s)
	notes := 0
	if _, err := store.Check(t.Context(), r.dir, reddit, store.Options{}, func(f store.Fault) {
		if notes++; f.Damage() || f.Kind != store.NoteUnknown {
			t.Errorf("%+v", f)
		}
	}); err != nil || notes != 1 {
		t.Errorf("check: %d notes, %v", notes, err)
	}
	old(t, r.path(news.String()))
	if held := CheckStore(t, r.dir, vfs.Default); len(held) != 2 {
		t.Errorf("held: %v", held)
	}
	// And a folder whose time is that of just now is not trusted.
	now := tree{t, t.TempDir()}
	now.write(news, id("one"), "one")
	closeStore(t, open(t, now.dir, store.Options{}))
	fi, err = os.Stat(now.path(news.String()))
	r.must(err)
	now.write(news, id("two"), "two")
	r.must(os.Chtimes(now.path(news.String()), fi.ModTime(), fi.ModTime()))
	if held := CheckStore(t, now.dir, vfs.Default); len(held) != 2 {
		t.Errorf("held: %v", held)
	}
}

// Adopted files are as durable as posted ones, because a POST of one is
// answered as already held.
func TestAdoptedIsDurable(t *testing.T) {
	mem := newMem(t)
	write := func(topic, name, text string) {
		t.Helper()
		dir := mem.PathJoin(data, reddit.String(), topic)
		if err := mem.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := mem.Create(mem.PathJoin(dir, name), "test")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(news.String(), id("one"), "one")
	write(gifs.String(), id("two"), "two")
	s := open(t, data, store.Options{FS: mem})
	p := newPromise()
	if err := errors.Join(p.add(t, s, news, "one"), p.add(t, s, gifs, "two")); err != nil {
		t.Fatal(err)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	p.kept(t, data, crashed)
}

// The index is one of another epoch after it was built again, and the old one
// is kept aside.
func TestRebuiltIndex(t *testing.T) {
	r := tree{t, t.TempDir()}
	s := open(t, r.dir, store.Options{})
	add(t, s, news, "one")
	epoch := s.Epoch()
	closeStore(t, s)
	s = open(t, r.dir, store.Options{})
	if s.Epoch() != epoch {
		t.Error("a restart changed the epoch")
	}
	closeStore(t, s)
	for range 2 {
		r.must(scribble(r.path(".ipfs", "index"), "MANIFEST"))
		s = open(t, r.dir, store.Options{})
		if s.Epoch() == epoch {
			t.Error("an index that was built again has the old epoch")
		}
		closeStore(t, s)
	}
	aside, err := filepath.Glob(r.path(".ipfs", "index.old-*"))
	if err != nil || len(aside) != 2 {
		t.Errorf("aside: %v, %v", aside, err)
	}
}

// Adoption in many commits gives what one would.
func TestAdoptMany(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	var docs []*comntr.Document
	for i := range 5000 {
		docs = append(docs, doc(t, news, strings.Repeat("x", i/100)+id(string(rune(i+1000)))))
	}
	for _, r := range s.AddAll(t.Context(), docs, "") {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	closeStore(t, s)
	if err := mem.RemoveAll(mem.PathJoin(data, reddit.String(), ".ipfs")); err != nil {
		t.Fatal(err)
	}
	if held := CheckStore(t, data, mem); len(held) != len(docs) {
		t.Errorf("%d held", len(held))
	}
	if err := mem.RemoveAll(mem.PathJoin(data, reddit.String(), news.String())); err != nil {
		t.Fatal(err)
	}
	if held := CheckStore(t, data, mem); len(held) != 0 {
		t.Errorf("%d held", len(held))
	}
}
