package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

const data = "/home/data"

// promise is what has been acknowledged so far.
type promise struct {
	mu    sync.Mutex
	held  map[string][]byte // topic/comment -> bytes
	gone  map[string]bool
	topic map[comntr.Hash]bool // folders, empty ones too
	epoch uint64
	seq   uint64

	damaged string // topic/comment: it need not have its bytes before it is held again
}

func newPromise() *promise {
	return &promise{held: make(map[string][]byte), gone: make(map[string]bool), topic: make(map[comntr.Hash]bool)}
}

func (p *promise) clone() *promise {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newPromise()
	for k, v := range p.held {
		c.held[k] = v
	}
	for k := range p.gone {
		c.gone[k] = true
	}
	for k := range p.topic {
		c.topic[k] = true
	}
	c.epoch, c.seq, c.damaged = p.epoch, p.seq, p.damaged
	return c
}

func (p *promise) note(s *store.Store, fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	p.epoch, p.seq = s.Epoch(), s.Seq()
}

func (p *promise) add(t testing.TB, s *store.Store, topic comntr.Hash, texts ...string) error {
	docs := make([]*comntr.Document, len(texts))
	for i, text := range texts {
		docs[i] = doc(t, topic, text)
	}
	return p.addDocs(t, s, docs...)
}

func (p *promise) addDocs(t testing.TB, s *store.Store, docs ...*comntr.Document) error {
	var errs []error
	for i, r := range s.AddAll(t.Context(), docs, "") {
		if r.Err == nil {
			d := docs[i]
			p.note(s, func() { p.held[d.Place().Topic.String()+"/"+d.ID().String()] = d.Bytes() })
		} else {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(errs...)
}

func (p *promise) remove(t testing.TB, s *store.Store, topic comntr.Hash, text string) error {
	id := comntr.SumHash([]byte(text))
	name := topic.String() + "/" + id.String()
	p.mu.Lock()
	b, had := p.held[name]
	delete(p.held, name) // it may be gone before that is acknowledged
	p.mu.Unlock()
	err := s.Remove(t.Context(), topic, id)
	if err == nil {
		p.note(s, func() { p.gone[name] = true })
	} else if had && !errors.Is(err, store.ErrNotFound) {
		p.note(s, func() { p.held[name] = b })
	}
	return err
}

// delete has an author post a comment and delete it.
func (p *promise) delete(t testing.TB, s *store.Store, topic comntr.Hash, comment, del *comntr.Document) error {
	name := topic.String() + "/" + comment.ID().String()
	p.mu.Lock()
	for held, b := range p.held { // they may be gone before that is acknowledged
		if d, err := comntr.ParseDocument(comment.Place(), b); err == nil && strings.HasPrefix(held, topic.String()) && del.Removes(d) {
			delete(p.held, held)
		}
	}
	p.mu.Unlock()
	_, err := s.Add(t.Context(), del, "")
	if err == nil {
		p.note(s, func() {
			p.held[topic.String()+"/"+del.ID().String()] = del.Bytes()
			p.gone[name] = true
		})
	}
	return err
}

// kept checks that a store has all that was promised.
func (p *promise) kept(t testing.TB, dir string, fsys vfs.FS) {
	t.Helper()
	p.mend(t, dir, fsys)
	held := CheckStore(t, dir, fsys)
	s, err := store.Open(dir, reddit, store.Options{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for name, want := range p.held {
		topic, id := splitName(name)
		if b, err := s.Read(topic, id); err != nil || string(b) != string(want) {
			t.Errorf("an acknowledged comment is lost: %s %q: %v", name, want, err)
		}
		if id != niceLoser && !held[name] {
			t.Errorf("an acknowledged comment is not listed: %s", name)
		}
	}
	for name := range p.gone {
		topic, id := splitName(name)
		if _, err := s.Read(topic, id); !errors.Is(err, store.ErrGone) {
			t.Errorf("a removed comment is back: %s: %v", name, err)
		}
	}
	for topic := range p.topic {
		if _, ok := s.TopicSeq(topic); !ok {
			t.Errorf("an acknowledged topic is lost: %s", topic)
		}
	}
	if p.seq > 0 && (s.Epoch() != p.epoch || s.Seq() < p.seq) {
		t.Errorf("epoch %x, number %d; before it was %x, %d", s.Epoch(), s.Seq(), p.epoch, p.seq)
	}
}

// mend adds what was damaged and not yet healed: it can be, and until then its
// wrong bytes are served to nobody.
func (p *promise) mend(t testing.TB, dir string, fsys vfs.FS) {
	t.Helper()
	if p.damaged == "" || p.held[p.damaged] != nil || p.gone[p.damaged] {
		return
	}
	s := open(t, dir, store.Options{FS: fsys})
	defer closeStore(t, s)
	topic, id := splitName(p.damaged)
	if b, err := s.Read(topic, id); err == nil && comntr.SumHash(b) != id {
		t.Errorf("damage is served: %q", b)
	}
	d, err := comntr.ParseDocument(comntr.Place{Community: reddit, Topic: topic}, []byte(damagedText))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), d, ""); err != nil {
		t.Errorf("a damaged comment cannot be healed: %v", err)
	}
	if b, err := s.Read(topic, id); err != nil || string(b) != damagedText {
		t.Errorf("healed, it is %q, %v", b, err)
	}
}

// damagedText is the comment that a promise's damage is about.
const damagedText = "one"

func splitName(name string) (topic, comment comntr.Hash) {
	topic, err1 := comntr.ParseHash(name[:40])
	comment, err2 := comntr.ParseHash(name[41:])
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	return topic, comment
}

// scenario is a store's life: every kind of commit, and checkpoints between
// them. Errors of the store are no failures: what is acknowledged counts.
// inspect looks at the open store before it is closed.
func scenario(t testing.TB, fsys vfs.FS, p *promise, inspect func(*store.Store)) error {
	mine := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "mine")
	edit := sign(t, alice, news, comntr.KindEdit, mine.ID(), "still mine")
	del := sign(t, alice, news, comntr.KindDelete, mine.ID(), "")
	s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: dying})
	if err != nil {
		return err
	}
	errs := []error{
		p.add(t, s, news, "one"),
		p.add(t, s, news, "two", "three", "four"),
		p.add(t, s, gifs, "five", "six"),
		s.Checkpoint(),
		p.addTopic(t, s, comntr.NameHash("empty")),
		p.add(t, s, news, niceLoserText),
		p.add(t, s, news, niceWinnerText, "seven"),
		p.remove(t, s, news, "one"),
		p.remove(t, s, news, "seven"),
		p.addDocs(t, s, mine, edit),
		p.delete(t, s, news, mine, del),
		s.Checkpoint(),
		p.add(t, s, gifs, "eight"),
		p.add(t, s, comntr.NameHash("third"), "nine", "ten"),
	}
	inspect(s)
	return errors.Join(append(errs, s.Close())...)
}

func unseen(*store.Store) {}

func (p *promise) addTopic(t testing.TB, s *store.Store, topic comntr.Hash) error {
	_, err := s.AddTopic(t.Context(), topic, "")
	if err == nil {
		p.note(s, func() { p.topic[topic] = true })
	}
	return err
}

// newMem returns a file system with the data folder's parent on it.
func newMem(t testing.TB) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("/home", 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := mem.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return mem
}

// TestCrashTable cuts the power before every operation of every commit and
// every checkpoint, Pebble's own included, with nothing, all and random parts
// of what was not synced on the disk.
func TestCrashTable(t *testing.T) {
	type crash struct {
		at      string
		fs      *vfs.MemFS
		promise *promise
	}
	var mu sync.Mutex
	var crashes []crash
	mem := newMem(t)
	p := newPromise()
	random := rand.New(rand.NewPCG(1, 2))
	cut := func(n int, op string) error {
		mu.Lock()
		defer mu.Unlock()
		promised := p.clone()
		percents := []int{0, 100, 10 + random.IntN(80), 10 + random.IntN(80), 10 + random.IntN(80)}
		if testing.Short() {
			i := (n + 5) % 5
			percents = percents[i : i+1]
		}
		for _, percent := range percents {
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), uint64(percent)))})
			crashes = append(crashes, crash{fmt.Sprintf("before %d (%s), %d%% of the unsynced", n, op, percent), clone, promised})
		}
		return nil
	}
	if err := scenario(t, &faultFS{FS: mem, before: cut}, p, unseen); err != nil {
		t.Fatal(err)
	}
	cut(-1, "the end")
	if len(p.held) < 9 || len(p.gone) != 3 {
		t.Fatalf("the scenario did less than it should: %d held, %d gone", len(p.held), len(p.gone))
	}
	t.Logf("%d crashes", len(crashes))
	for _, c := range crashes {
		ok := t.Run("", func(t *testing.T) {
			c.promise.kept(t, data, c.fs)
			if t.Failed() {
				t.Log(c.at)
			}
		})
		if !ok {
			return
		}
	}
}

// TestErrorTable makes every operation on the tree fail, once before it has
// done anything and once after it has done its work: nothing acknowledged is
// lost, nothing unacknowledged shows, and the store goes on.
func TestErrorTable(t *testing.T) {
	mem := newMem(t)
	clean := &faultFS{FS: mem, hidden: inIndex}
	if err := scenario(t, clean, newPromise(), func(s *store.Store) {
		if err := newPromise().add(t, s, news, "one more"); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= clean.count(); n++ {
		for mode, err := range map[string]error{"not persisted": syscall.EIO, "persisted": syscall.EIO, "no space": syscall.ENOSPC} {
			ok := t.Run(fmt.Sprintf("%d %s", n, mode), func(t *testing.T) {
				mem := newMem(t)
				f := &faultFS{FS: mem, hidden: inIndex}
				var op string
				fail := func(i int, o string) error {
					if i == n {
						op = o
						return fmt.Errorf("%s: %w", o, err)
					}
					return nil
				}
				if mode == "persisted" {
					f.set(nil, fail)
				} else {
					f.set(fail, nil)
				}
				p := newPromise()
				result := scenario(t, f, p, func(s *store.Store) {
					over := f.count() >= n
					err := p.add(t, s, news, "one more")
					if err == nil {
						checkOpen(t, s, data, mem) // it goes on, so nothing half done may be left
					} else if over {
						t.Errorf("one operation failed, and the store goes on to fail: %v", err)
					}
				})
				crashed := mem.CrashClone(vfs.CrashCloneCfg{})
				p.kept(t, data, crashed)
				p.kept(t, data, mem)
				if t.Failed() {
					t.Logf("the failing operation was %s; the scenario said %v", op, result)
				}
			})
			if !ok {
				return
			}
		}
	}
}

// From some operation on everything fails, and then the process dies: what
// was acknowledged is safe, and a store whose undo failed takes nothing more.
func TestDeadDisk(t *testing.T) {
	clean := &faultFS{FS: newMem(t), hidden: inIndex}
	if err := scenario(t, clean, newPromise(), unseen); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= clean.count(); n++ {
		ok := t.Run(fmt.Sprint(n), func(t *testing.T) {
			mem := newMem(t)
			f := &faultFS{FS: mem, hidden: inIndex}
			f.set(func(i int, o string) error {
				if i >= n {
					return fmt.Errorf("%s: %w", o, syscall.EIO)
				}
				return nil
			}, nil)
			p := newPromise()
			scenario(t, f, p, unseen)
			p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
			p.kept(t, data, mem)
		})
		if !ok {
			return
		}
	}
}

// After a failed sync the system's cache may say that it holds a file which
// the disk never got, and every later sync says that all is well: so nothing
// short of writing the file anew makes it durable, in this process or the
// next.
func TestFailedSync(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			mem := newMem(t)
			f := &faultFS{FS: mem, hidden: inIndex}
			s, err := store.Open(data, reddit, store.Options{FS: f})
			if err != nil {
				t.Fatal(err)
			}
			p := newPromise()
			if err := p.add(t, s, news, "one", "two"); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			broken := true
			lost := make(map[string]bool)
			f.set(func(_ int, op string) error {
				mu.Lock()
				defer mu.Unlock()
				kind, path, _ := strings.Cut(op, " ")
				switch {
				case kind == "rename":
					delete(lost, path)
				case kind == "sync" && broken:
					lost[path] = true
					return fmt.Errorf("%s: %w", op, syscall.EIO)
				case kind == "sync" && lost[path] && len(path) > len(data)+82: // a file; folders have no such trouble
					return errSkip
				}
				return nil
			}, nil)
			if err := s.Checkpoint(); !errors.Is(err, syscall.EIO) {
				t.Errorf("the checkpoint says %v", err)
			}
			if err := p.add(t, s, news, "three"); err != nil {
				t.Errorf("a failed checkpoint is no reason to refuse: %v", err)
			}
			if restart {
				if err := s.Close(); !errors.Is(err, syscall.EIO) {
					t.Errorf("Close says %v", err)
				}
			}
			mu.Lock()
			broken = false
			mu.Unlock()
			if restart {
				if s, err = store.Open(data, reddit, store.Options{FS: f}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Checkpoint(); err != nil {
				t.Errorf("the second checkpoint says %v", err)
			}
			if n := s.JournalItems(); n != 0 {
				t.Errorf("%d entries are left in the journal", n)
			}
			if err := p.add(t, s, gifs, "four"); err != nil { // its sync makes the journal's end durable
				t.Error(err)
			}
			p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
			closeStore(t, s)
		})
	}
}

// A removal whose file cannot be unlinked is made good by the next start,
// though the folder looks as it did when it was last compared.
func TestUnlinkFails(t *testing.T) {
	dir := t.TempDir()
	f := &faultFS{FS: vfs.Default, hidden: inIndex}
	s := open(t, dir, store.Options{FS: f})
	id := add(t, s, news, "to be removed")
	old(t, filepath.Join(dir, reddit.String(), news.String()))
	closeStore(t, s)
	s = open(t, dir, store.Options{FS: f}) // adopts the time
	closeStore(t, s)
	s = open(t, dir, store.Options{FS: f})
	f.set(func(_ int, op string) error {
		if strings.HasPrefix(op, "remove ") {
			return syscall.EIO
		}
		return nil
	}, nil)
	if err := s.Remove(t.Context(), news, id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(news, id); !errors.Is(err, store.ErrGone) {
		t.Errorf("Read: %v", err)
	}
	if err := s.Checkpoint(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the checkpoint says %v", err)
	}
	if err := s.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close says %v", err)
	}
	path := filepath.Join(dir, reddit.String(), news.String(), id.String())
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the file was to be there still: %v", err)
	}
	notes := 0
	stats, err := store.Check(t.Context(), dir, reddit, store.Options{}, func(f store.Fault) {
		if f.Kind != store.NoteGone || f.Damage() {
			t.Errorf("%+v", f)
		}
		notes++
	})
	if err != nil || stats.Faults != 0 || notes != 1 {
		t.Errorf("check: %+v, %v", stats, err)
	}
	if held := CheckStore(t, dir, vfs.Default); len(held) != 0 {
		t.Errorf("held: %v", held)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// old makes a folder's time one that is not too near to be trusted.
func old(t testing.TB, path string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}
