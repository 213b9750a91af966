package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// lostIn names what Check says is lost, and restores it from docs.
func lostIn(t testing.TB, dir string, fsys vfs.FS, docs ...*comntr.Document) (lost []*comntr.Document) {
	t.Helper()
	_, err := store.Check(t.Context(), dir, reddit, store.Options{FS: fsys}, func(f store.Fault) {
		if !f.Lost {
			return
		}
		for _, d := range docs {
			if d.ID() == f.Comment && d.Place().Topic == f.Topic {
				lost = append(lost, d)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

// Whatever other hands did to a file, Check names it as lost, Restore puts it
// back, and it is as if nothing had been: the same entries, durably.
func TestRestore(t *testing.T) {
	for name, harm := range harms {
		for _, native := range []bool{true, false} {
			for _, indexed := range []bool{true, false} {
				if !indexed && strings.HasPrefix(name, "deleted") {
					continue // nobody knows that it was there
				}
				t.Run(fmt.Sprintf("%s, native=%v, indexed=%v", name, native, indexed), func(t *testing.T) {
					dir, fsys := data, vfs.FS(nil)
					var mem *vfs.MemFS
					if native {
						dir, fsys = t.TempDir(), vfs.Default
					} else {
						mem = newMem(t)
						fsys = mem
					}
					s := open(t, dir, store.Options{FS: fsys})
					one, two := doc(t, news, "one"), doc(t, gifs, "two")
					p := newPromise()
					if err := p.addDocs(t, s, one, two); err != nil {
						t.Fatal(err)
					}
					closeStore(t, s)
					harm(t, fsys, treePath(fsys, dir, news, one.ID()))
					if !indexed {
						if err := fsys.RemoveAll(fsys.PathJoin(dir, reddit.String(), ".ipfs")); err != nil {
							t.Fatal(err)
						}
						p.seq = 0
					}
					lost := lostIn(t, dir, fsys, one, two)
					if len(lost) != 1 || lost[0] != one {
						t.Fatalf("lost: %v", lost)
					}
					for _, err := range store.Restore(dir, reddit, []*comntr.Document{one, two}, store.Options{FS: fsys}) {
						if err != nil {
							t.Error(err)
						}
					}
					if left := lostIn(t, dir, fsys, one, two); len(left) != 0 {
						t.Errorf("still lost: %v", left)
					}
					if mem != nil {
						p.kept(t, dir, mem.CrashClone(vfs.CrashCloneCfg{}))
					}
					p.kept(t, dir, fsys)
				})
			}
		}
	}
}

// The power is cut at every operation of a Restore: the file is the old one or
// the right one, nothing else suffers, and a second Restore mends it.
func TestRestoreCrash(t *testing.T) {
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			mem := newMem(t)
			s := open(t, data, store.Options{FS: mem})
			one, two := doc(t, news, "one"), doc(t, news, "two")
			if err := newPromise().addDocs(t, s, one, two); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			harm(t, mem, treePath(mem, data, news, one.ID()))
			var crashes []*vfs.MemFS
			f := &faultFS{FS: mem}
			f.set(func(n int, op string) error {
				for _, percent := range []int{0, 50, 100} {
					crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), uint64(percent)))}))
				}
				return nil
			}, nil)
			docs := []*comntr.Document{one, two}
			if err := errors.Join(store.Restore(data, reddit, docs, store.Options{FS: f})...); err != nil {
				t.Fatal(err)
			}
			if len(crashes) < 18 {
				t.Fatalf("only %d crashes", len(crashes))
			}
			for _, c := range append(crashes, mem.CrashClone(vfs.CrashCloneCfg{})) {
				old := "ONE something longer"
				if b, err := readAll(c, treePath(c, data, news, one.ID())); err == nil && b != "one" && b != "" && !strings.Contains(old, b) {
					t.Errorf("half a file stands: %q", b)
				}
				if err := errors.Join(store.Restore(data, reddit, docs, store.Options{FS: c})...); err != nil {
					t.Fatal(err)
				}
				if held := CheckStore(t, data, c.CrashClone(vfs.CrashCloneCfg{})); len(held) != 2 {
					t.Errorf("%d are held", len(held))
				}
			}
		})
	}
}

func readAll(fsys vfs.FS, path string) (string, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	b := make([]byte, fi.Size())
	_, err = f.ReadAt(b, 0)
	if len(b) == 0 {
		err = nil
	}
	return string(b), err
}

// Any operation of a Restore fails: it says so, and the file is the old one or
// the right one. One that is not reported as failed is durable.
func TestRestoreFails(t *testing.T) {
	done := false
	for n := 1; !done; n++ {
		for _, after := range []bool{false, true} {
			mem := newMem(t)
			s := open(t, data, store.Options{FS: mem})
			one := doc(t, news, "one")
			if err := newPromise().addDocs(t, s, one); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			overwrite(t, mem, treePath(mem, data, news, one.ID()), "ONE")
			f := &faultFS{FS: mem}
			var op string
			fail := func(i int, o string) error {
				if i == n {
					op = o
					return syscall.ENOSPC
				}
				return nil
			}
			if f.set(fail, nil); after {
				f.set(nil, fail)
			}
			err := store.Restore(data, reddit, []*comntr.Document{one}, store.Options{FS: f})[0]
			if done = op == ""; done {
				break
			}
			if err == nil {
				t.Errorf("%s failed (after=%v), and Restore says nothing", op, after)
			}
			if b, err := readAll(mem, treePath(mem, data, news, one.ID())); err != nil || b != "ONE" && b != "one" {
				t.Errorf("%s failed: %q, %v", op, b, err)
			}
			if err := store.Restore(data, reddit, []*comntr.Document{one}, store.Options{FS: mem})[0]; err != nil {
				t.Error(err)
			}
			CheckStore(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
		}
	}
}

// What is denied is not put back, nor is what stands in another community, and
// what is no file is not replaced.
func TestRestoreRefuses(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	id := add(t, s, news, "one")
	closeStore(t, s)
	path := treePath(mem, data, news, id)
	if err := errors.Join(mem.Remove(path), mem.MkdirAll(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	list, _ := comntr.ParseDenylist([]byte("comment " + comntr.SumHash([]byte("two")).String() + "\ntopic " + gifs.String() + "\n"))
	other, err := comntr.ParseDocument(comntr.Place{Community: gifs, Topic: news}, []byte("three"))
	if err != nil {
		t.Fatal(err)
	}
	o := store.Options{FS: mem, Deny: list}
	errs := store.Restore(data, reddit, []*comntr.Document{doc(t, news, "one"), doc(t, news, "two"), other, doc(t, news, "four")}, o)
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "move it away") || !errors.Is(errs[1], store.ErrDenied) || errs[2] == nil || errs[3] != nil {
		t.Errorf("%v", errs)
	}
	if err := store.RestoreTopic(data, reddit, gifs, o); !errors.Is(err, store.ErrDenied) {
		t.Errorf("a denied topic: %v", err)
	}
	if err := store.RestoreTopic(data, reddit, comntr.NameHash("empty"), o); err != nil {
		t.Error(err)
	}
	s = open(t, data, store.Options{FS: mem})
	defer closeStore(t, s)
	if _, there := s.TopicSeq(comntr.NameHash("empty")); !there {
		t.Error("the topic is not there")
	}
	if b, err := s.Read(news, comntr.SumHash([]byte("four"))); err != nil || string(b) != "four" {
		t.Errorf("%q, %v", b, err)
	}
}

// An index that cannot be used, or is not there, is built again from the files.
func TestRebuild(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	p := newPromise()
	if err := p.add(t, s, news, "one", "two"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	p.seq = 0 // another epoch comes
	hidden := filepath.Join(dir, reddit.String(), ".ipfs")
	if err := scribble(filepath.Join(hidden, "index"), "MANIFEST"); err != nil {
		t.Fatal(err)
	}
	if err := store.Rebuild(dir, reddit, store.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(hidden, "index.old-1")); err != nil {
		t.Errorf("the old index: %v", err)
	}
	p.kept(t, dir, vfs.Default)
	if err := os.RemoveAll(filepath.Join(hidden, "index")); err != nil {
		t.Fatal(err)
	}
	if err := store.Rebuild(dir, reddit, store.Options{}); err != nil {
		t.Errorf("without an index: %v", err)
	}
	p.kept(t, dir, vfs.Default)
}
