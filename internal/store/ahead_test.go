package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// crowd has many writers add comments, in new topics and old ones, some of them
// twice and some deleted again, so that commits are planned on top of others.
func crowd(t testing.TB, s *store.Store, p *promise, writers, from, each int) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := from; i < from+each; i++ {
				topic := comntr.NameHash(fmt.Sprint("topic ", (w+i)%7))
				switch i % 8 {
				case 5: // what another has added, or adds just now
					p.add(t, s, topic, fmt.Sprint("shared ", i))
				case 6:
					mine := sign(t, alice, topic, comntr.KindComment, comntr.Hash{}, fmt.Sprint("mine ", w, i))
					del := sign(t, alice, topic, comntr.KindDelete, mine.ID(), "")
					if p.addDocs(t, s, mine) == nil {
						p.delete(t, s, topic, mine, del)
					}
				case 7:
					p.addTopic(t, s, comntr.NameHash(fmt.Sprint("own topic ", w, i)))
				default:
					p.add(t, s, topic, fmt.Sprint("comment ", w, " ", i))
				}
			}
		})
	}
	wg.Wait()
}

// Power cuts in the middle of commits that were planned on top of others.
func TestCrashAhead(t *testing.T) {
	type crash struct {
		at      string
		fs      *vfs.MemFS
		promise *promise
	}
	var mu sync.Mutex
	var crashes []crash
	mem := newMem(t)
	p := newPromise()
	f := &faultFS{FS: mem}
	f.set(func(n int, op string) error {
		mu.Lock()
		defer mu.Unlock()
		if n%11 != 0 || len(crashes) >= 150 {
			return nil
		}
		promised := p.clone() // first: what is acknowledged after it is not promised
		percent := n % 3 * 50
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), 3))})
		crashes = append(crashes, crash{fmt.Sprintf("before %d (%s), %d%% of the unsynced", n, op, percent), clone, promised})
		return nil
	}, nil)
	s := open(t, data, store.Options{FS: f})
	// How many commits go ahead depends on what else the machine does.
	for from := 0; from == 0 || s.CommitsAhead() < 10 && from < 20*24; from += 24 {
		crowd(t, s, p, 8, from, 24)
	}
	closeStore(t, s)
	if s.CommitsAhead() < 10 {
		t.Errorf("only %d commits were planned on top of another", s.CommitsAhead())
	}
	p.kept(t, data, mem)
	for _, c := range crashes {
		if ok := t.Run("", func(t *testing.T) {
			c.promise.kept(t, data, c.fs)
			if t.Failed() {
				t.Log(c.at)
			}
		}); !ok {
			return
		}
	}
}

// Files of a commit cannot be written while the next is planned on top of it:
// both are taken back, nobody is told that his comment is there when it is not,
// and the rest is committed anew.
func TestErrorsAhead(t *testing.T) {
	var takenBack uint64
	for seed := range 12 {
		for _, err := range []error{syscall.EIO, syscall.ENOSPC} {
			for _, persisted := range []bool{false, true} {
				ok := t.Run(fmt.Sprint(seed, err, persisted), func(t *testing.T) {
					mem := newMem(t)
					f := &faultFS{FS: mem, hidden: inIndex}
					random := rand.New(rand.NewPCG(uint64(seed), 9))
					var mu sync.Mutex
					fail := func(n int, op string) error {
						mu.Lock()
						defer mu.Unlock()
						kind, _, _ := strings.Cut(op, " ")
						// What an undo needs works, else the store must stop.
						if kind != "create" && kind != "rename" && kind != "mkdir" && kind != "write" || random.IntN(9) > 0 {
							return nil
						}
						return fmt.Errorf("%s: %w", op, err)
					}
					s := open(t, data, store.Options{FS: f})
					if persisted {
						f.set(nil, fail)
					} else {
						f.set(fail, nil)
					}
					p := newPromise()
					crowd(t, s, p, 8, 0, 16)
					f.set(nil, nil)
					if err := p.add(t, s, news, "one more"); err != nil {
						t.Fatalf("the store goes on to fail: %v", err)
					}
					checkOpen(t, s, data, mem)
					if err := s.Close(); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
					p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
					p.kept(t, data, mem)
					takenBack += s.TakenBackAhead()
				})
				if !ok {
					return
				}
			}
		}
	}
	if takenBack < 10 {
		t.Errorf("%d commits were taken back because the one ahead was", takenBack)
	}
	t.Logf("%d commits were taken back because the one ahead was", takenBack)
}
