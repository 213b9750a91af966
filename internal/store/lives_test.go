package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// dying is the log of the lives' stores: see TestIndexDies.
var dying *slog.Logger

func newRand(n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(n), 1)) }

// A life is what a store goes through while operations of its file system fail
// or the power is cut. Errors of the store are no failures of the test: what is
// acknowledged counts.
type life struct {
	// before makes what the life begins with, and what was promised by then; nil:
	// nothing. It is not interfered with.
	before func(t testing.TB) (*vfs.MemFS, *promise)
	run    func(t testing.TB, fsys vfs.FS, p *promise) error
	least  int // operations that change the file system, of which each is a row
}

// seen are comments that lives begin with.
func seen(t testing.TB, texts ...string) (*vfs.MemFS, *promise) {
	t.Helper()
	mem, p := newMem(t), newPromise()
	s := open(t, data, store.Options{FS: mem})
	if err := errors.Join(p.add(t, s, news, texts...), p.add(t, s, gifs, "of gifs"), s.Close()); err != nil {
		t.Fatal(err)
	}
	return mem, p
}

func lives() map[string]life {
	return map[string]life{
		"commits, deletes and checkpoints": {
			run:   func(t testing.TB, fsys vfs.FS, p *promise) error { return scenario(t, fsys, p, unseen) },
			least: 130,
		},
		// Other hands copied a file in, took one away and another with its folder,
		// made a folder, and put a comment back that its author had deleted.
		"a start that adopts": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) {
				mem, p := seen(t, "one", "two", "three")
				s := open(t, data, store.Options{FS: mem})
				mine := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "mine")
				del := sign(t, alice, news, comntr.KindDelete, mine.ID(), "")
				if err := errors.Join(p.addDocs(t, s, mine), p.delete(t, s, news, mine, del), s.Close()); err != nil {
					t.Fatal(err)
				}
				one, five := comntr.SumHash([]byte("one")), comntr.SumHash([]byte("five"))
				empty := mem.PathJoin(data, reddit.String(), comntr.NameHash("empty").String())
				if err := errors.Join(mem.Remove(treePath(mem, data, news, one)), mem.RemoveAll(mem.PathDir(treePath(mem, data, gifs, one))),
					mem.MkdirAll(empty, 0o755)); err != nil {
					t.Fatal(err)
				}
				overwrite(t, mem, treePath(mem, data, news, five), "five")
				overwrite(t, mem, treePath(mem, data, news, mine.ID()), string(mine.Bytes()))
				syncDir(t, mem, mem.PathJoin(data, reddit.String()))
				delete(p.held, news.String()+"/"+one.String())
				delete(p.held, gifs.String()+"/"+comntr.SumHash([]byte("of gifs")).String())
				return mem, p
			},
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				five := comntr.SumHash([]byte("five"))
				if held, _ := s.Has(news, five); held {
					p.note(s, func() { p.held[news.String()+"/"+five.String()] = []byte("five") })
				}
				return errors.Join(p.add(t, s, news, "six", "one"), s.Close())
			},
			least: 40,
		},
		// The process died: the journal is replayed, and made an end of.
		"a start after a crash": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) {
				mem, p := seen(t, "one", "two")
				s := open(t, data, store.Options{FS: mem})
				if err := errors.Join(p.add(t, s, news, "three", "four"), p.remove(t, s, news, "one"), p.addTopic(t, s, comntr.NameHash("empty"))); err != nil {
					t.Fatal(err)
				}
				died := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 30, RNG: rand.New(rand.NewPCG(7, 7))})
				closeStore(t, s)
				return died, p
			},
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				return errors.Join(s.Checkpoint(), p.add(t, s, news, "five"), s.Close())
			},
			least: 40,
		},
		"a scrub": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) { return seen(t, "one", "two", "three") },
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				return errors.Join(p.remove(t, s, news, "one"), s.Scrub(t.Context()), p.add(t, s, news, "four"), s.Scrub(t.Context()), s.Close())
			},
			least: 60,
		},
		"a deny list comes and goes": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) { return seen(t, "one", "two", "three") },
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				p.deny(news, "one")
				p.deny(gifs, "of gifs")
				denied, _ := comntr.ParseDenylist([]byte("comment " + comntr.SumHash([]byte("one")).String() + "\ntopic " + gifs.String() + "\n"))
				empty, _ := comntr.ParseDenylist(nil)
				return errors.Join(s.SetDenylist(t.Context(), denied), s.Checkpoint(), p.add(t, s, news, "four"),
					s.SetDenylist(t.Context(), empty), p.add(t, s, news, "one"), p.add(t, s, gifs, "of gifs"), s.Close())
			},
			least: 60,
		},
		// The index cannot be used: it is moved aside and built again.
		"a start without an index": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) {
				mem, p := seen(t, "one", "two", "three")
				index := mem.PathJoin(data, reddit.String(), ".ipfs", "index")
				for _, name := range list(t, mem, index) {
					if strings.HasPrefix(name, "MANIFEST") {
						overwrite(t, mem, mem.PathJoin(index, name), "no manifest")
					}
				}
				p.seq = 0 // another epoch comes
				return mem, p
			},
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				return errors.Join(p.add(t, s, news, "four"), p.remove(t, s, news, "one"), s.Close())
			},
			least: 60,
		},
		// A file was damaged, and who still has its bytes posts them.
		"a healing": {
			before: func(t testing.TB) (*vfs.MemFS, *promise) {
				mem, p := seen(t, "one", "two", "three")
				overwrite(t, mem, treePath(mem, data, news, comntr.SumHash([]byte(damagedText))), "ONE")
				p.damage(news, damagedText)
				return mem, p
			},
			run: func(t testing.TB, fsys vfs.FS, p *promise) error {
				s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
				if err != nil {
					return err
				}
				return errors.Join(p.add(t, s, news, "one", "four"), s.Checkpoint(), p.remove(t, s, news, "two"), s.Close())
			},
			least: 40,
		},
	}
}

// deny says that a comment may be taken away, or may stay.
func (p *promise) deny(topic comntr.Hash, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, topic.String()+"/"+comntr.SumHash([]byte(text)).String())
}

// damage says that a comment's bytes are not there, until it is added again.
func (p *promise) damage(topic comntr.Hash, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := topic.String() + "/" + comntr.SumHash([]byte(text)).String()
	delete(p.held, name)
	p.damaged = name
}

// begin makes what a life begins with.
func (l life) begin(t testing.TB) (*vfs.MemFS, *promise) {
	t.Helper()
	if l.before == nil {
		return newMem(t), newPromise()
	}
	return l.before(t)
}

// TestLivesCut cuts the power before every operation of every life, Pebble's own
// included, with nothing, all and random parts of what was not synced on the
// disk: the operation before it was persisted, or not, or in part.
func TestLivesCut(t *testing.T) {
	for name, l := range lives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type crash struct {
				at      string
				fs      *vfs.MemFS
				promise *promise
			}
			var mu sync.Mutex
			var crashes []crash
			mem, p := l.begin(t)
			random := rand.New(rand.NewPCG(1, 2))
			cut := func(n int, op string) error {
				mu.Lock()
				defer mu.Unlock()
				percents := []int{0, 100, 10 + random.IntN(80), 10 + random.IntN(80)}
				if testing.Short() {
					percents = percents[(n+4)%4 : (n+4)%4+1]
				}
				for _, percent := range percents {
					clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), uint64(percent)))})
					crashes = append(crashes, crash{fmt.Sprintf("before %d (%s), %d%% of the unsynced", n, op, percent), clone, p.clone()})
				}
				return nil
			}
			f := &faultFS{FS: mem}
			f.set(cut, nil)
			if err := l.run(t, f, p); err != nil {
				t.Fatal(err)
			}
			cut(-1, "the end")
			if f.count() < l.least {
				t.Errorf("%d operations, want at least %d: has the life become shorter?", f.count(), l.least)
			}
			t.Logf("%d operations, %d crashes", f.count(), len(crashes))
			for _, c := range crashes {
				if c.promise.kept(t, data, c.fs); t.Failed() {
					t.Fatal(c.at)
				}
			}
		})
	}
}

// TestLivesFail makes every operation of every life fail that is not Pebble's
// own, reads and lists among them: once before it has done anything, once after
// it has done its work, and every one from there on. Then the power is cut, or the
// process ends: what was acknowledged is there, and nothing else was said.
func TestLivesFail(t *testing.T) {
	modes := map[string]func(n int, fail func(i int, op string) error) (before, after func(i int, op string) error){
		"not persisted": func(n int, fail func(int, string) error) (_, _ func(int, string) error) {
			return func(i int, op string) error {
				if i == n {
					return fail(i, op)
				}
				return nil
			}, nil
		},
		"persisted, but reported as failed": func(n int, fail func(int, string) error) (_, _ func(int, string) error) {
			return nil, func(i int, op string) error {
				if i == n {
					return fail(i, op)
				}
				return nil
			}
		},
		"for ever": func(n int, fail func(int, string) error) (_, _ func(int, string) error) {
			return func(i int, op string) error {
				if i >= n {
					return fail(i, op)
				}
				return nil
			}, nil
		},
	}
	for name, l := range lives() {
		for mode, choose := range modes {
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				step := 1
				if testing.Short() {
					step = 4
				}
				for n := 1; ; n += step {
					mem, p := l.begin(t)
					f := &faultFS{FS: mem, hidden: inIndex, reads: true}
					var mu sync.Mutex
					var op string
					f.set(choose(n, func(_ int, o string) error {
						mu.Lock()
						defer mu.Unlock()
						if op == "" {
							op = o
						}
						return fmt.Errorf("%s: %w", o, syscall.EIO)
					}))
					result := l.run(t, f, p)
					if f.count() < n {
						if n < l.least/4 {
							t.Errorf("only %d operations", n)
						}
						t.Logf("%d operations", n-1)
						return
					}
					ends := []*vfs.MemFS{mem.CrashClone(vfs.CrashCloneCfg{}), mem}
					if mode == "for ever" {
						ends = ends[n%2 : n%2+1]
					}
					for _, end := range ends {
						if p.kept(t, data, end); t.Failed() {
							t.Fatalf("operation %d (%s) failed; the life said %v", n, op, result)
						}
					}
				}
			})
		}
	}
}
