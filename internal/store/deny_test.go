package store_test

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

func denylist(t testing.TB, text string) *comntr.Denylist {
	t.Helper()
	l, errs := comntr.ParseDenylist([]byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return l
}

func deny(t testing.TB, s *store.Store, text string) {
	t.Helper()
	if err := s.SetDenylist(t.Context(), denylist(t, text)); err != nil {
		t.Fatal(err)
	}
}

// wantDenied checks that nothing of a comment is here and none of it is taken.
func wantDenied(t testing.TB, s *store.Store, dir string, d *comntr.Document) {
	t.Helper()
	topic := d.Place().Topic
	if b, err := s.Read(topic, d.ID()); !errors.Is(err, store.ErrDenied) && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Read: %q, %v", b, err)
	}
	for _, id := range listing(t, s, topic) {
		if id == d.ID().String() {
			t.Error("it is listed")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, reddit.String(), topic.String(), d.ID().String())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its file: %v", err)
	}
	if created, err := s.Add(t.Context(), d, "peer"); created || !errors.Is(err, store.ErrDenied) {
		t.Errorf("it is taken: %v %v", created, err)
	}
}

func TestDenylist(t *testing.T) {
	alicesKey := comntr.PublicKey(alice)
	cool := doc(t, news, "Cool!")
	bs := doc(t, news, "That's bs!")
	signed := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "signed")
	gif := doc(t, gifs, "a gif")
	for name, c := range map[string]struct {
		list         string
		denied, kept []*comntr.Document
	}{
		"a comment":            {"comment " + cool.ID().String(), []*comntr.Document{cool}, []*comntr.Document{bs, signed, gif}},
		"a comment elsewhere":  {"comment " + reddit.String() + "/" + gifs.String() + "/" + cool.ID().String(), nil, []*comntr.Document{cool, bs, signed, gif}},
		"a key":                {"key " + hex.EncodeToString(alicesKey[:]), []*comntr.Document{signed}, []*comntr.Document{cool, bs, gif}},
		"a topic":              {"topic " + news.String(), []*comntr.Document{cool, bs, signed}, []*comntr.Document{gif}},
		"a block":              {"/ipfs/QmXpX5duA1CNEfei8fA2NY3vsnGT8UMXNfjm6ks3hWacK4", []*comntr.Document{cool}, []*comntr.Document{bs, signed, gif}},
		"a block of version 1": {"/ipfs/bafkreia4kjqa2apu2ntmajpi27tf275xrdt3dl77orymvs7q5w26wak5f4", []*comntr.Document{cool}, []*comntr.Document{bs, signed, gif}},
		"a topic but for one":  {"topic " + news.String() + "\n+comment " + bs.ID().String(), []*comntr.Document{cool, signed}, []*comntr.Document{bs, gif}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			mustAdd(t, s, cool, bs, signed, gif)
			deny(t, s, c.list)
			for range 2 { // and after a restart
				for _, d := range c.denied {
					wantDenied(t, s, dir, d)
				}
				for _, d := range c.kept {
					if _, err := s.Read(d.Place().Topic, d.ID()); err != nil {
						t.Errorf("what is not denied: %v", err)
					}
				}
				_, exists := s.TopicSeq(news)
				if denied := s.Denied(news); denied == exists {
					t.Errorf("the topic is denied: %v, has a folder: %v", denied, exists)
				}
				closeStore(t, s)
				CheckStore(t, dir, vfs.Default)
				s = open(t, dir, store.Options{Deny: denylist(t, c.list)})
				deny(t, s, c.list)
			}
			before := s.Loosened()
			deny(t, s, "")
			if s.Loosened() == before {
				t.Error("who noted what was settled is told of nothing")
			}
			for _, d := range c.denied {
				if held, settled := s.Has(d.Place().Topic, d.ID()); held || settled {
					t.Errorf("Has, once it is allowed again: %v %v", held, settled)
				}
			}
			mustAdd(t, s, c.denied...)
			closeStore(t, s)
			CheckStore(t, dir, vfs.Default)
		})
	}
}

// A list that only grows has nothing fetched again; lines may be put back in.
func TestDenylistGrows(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	one, two := doc(t, news, "one"), doc(t, news, "two")
	mustAdd(t, s, one, two)
	list := "comment " + one.ID().String() + "\n"
	deny(t, s, list)
	seq := s.Seq()
	deny(t, s, list)
	if s.Seq() != seq {
		t.Error("the same list again changes something")
	}
	deny(t, s, list+"comment "+two.ID().String()+"\n")
	if s.Loosened() != 0 {
		t.Error("a longer list is taken for a looser one")
	}
	wantDenied(t, s, dir, one)
	wantDenied(t, s, dir, two)
	closeStore(t, s)
	// It changed while nobody ran.
	s = open(t, dir, store.Options{Deny: denylist(t, list)})
	deny(t, s, list)
	if held, settled := s.Has(news, two.ID()); held || settled {
		t.Errorf("Has, once it is allowed again: %v %v", held, settled)
	}
	wantDenied(t, s, dir, one)
	mustAdd(t, s, two)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// What is denied and copied in by hand is taken away; what an operator puts
// back once it is allowed is taken up.
func TestDeniedFilesAreNotAdopted(t *testing.T) {
	dir := t.TempDir()
	cool := doc(t, news, "Cool!")
	list := "comment " + cool.ID().String() + "\n"
	folder := filepath.Join(dir, reddit.String(), news.String())
	copyIn := func() {
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, cool.ID().String()), cool.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	copyIn()
	s := open(t, dir, store.Options{Deny: denylist(t, list)})
	deny(t, s, list)
	wantDenied(t, s, dir, cool)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
	copyIn()
	s = open(t, dir, store.Options{})
	if b, err := s.Read(news, cool.ID()); err != nil || string(b) != "Cool!" {
		t.Errorf("put back by hand: %q %v", b, err)
	}
	deny(t, s, "topic "+news.String())
	closeStore(t, s)
	copyIn()
	s = open(t, dir, store.Options{Deny: denylist(t, "topic "+news.String())})
	wantDenied(t, s, dir, cool)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a denied topic: %v", err)
	}
	if created, err := s.AddTopic(t.Context(), news, "peer"); created || !errors.Is(err, store.ErrDenied) {
		t.Errorf("a denied topic is made: %v %v", created, err)
	}
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// A delete that the operator denies no longer counts.
func TestDeniedDelete(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	comment := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "here and there")
	del := sign(t, alice, news, comntr.KindDelete, comment.ID(), "")
	mustAdd(t, s, comment, del)
	wantGone(t, s, dir, vfs.Default, comment)
	deny(t, s, "comment "+del.ID().String())
	mustAdd(t, s, comment)
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// Given names what one peer gave.
func TestGiven(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	for from, texts := range map[string][]string{"": {"a reader's"}, "one": {"1", "2"}, "two": {"3"}} {
		for _, text := range texts {
			if _, err := s.Add(t.Context(), doc(t, news, text), from); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Add(t.Context(), doc(t, news, "1"), "two") // held already: the first one gave it
	for from, want := range map[string]int{"one": 2, "two": 1, "three": 0} {
		n := 0
		if err := s.Given(from, func(topic, comment comntr.Hash) error { n++; return nil }); err != nil || n != want {
			t.Errorf("%s gave %d, want %d: %v", from, n, want, err)
		}
	}
}

// A list comes into force after a comment was judged by the one before it, and
// before the comment is in the index: it is found all the same.
func TestDenylistAmidCommit(t *testing.T) {
	mem := newMem(t)
	late := doc(t, news, "late")
	var planning, asked, stopped atomic.Bool
	judged, goOn := make(chan struct{}), make(chan struct{})
	s := open(t, data, store.Options{FS: mem}.Slot(func(h comntr.Hash) uint64 {
		// A new comment's slot is asked for before the list is, and after.
		if h == late.ID() && planning.Load() && asked.Swap(true) && !stopped.Swap(true) {
			close(judged)
			<-goOn
		}
		return h.Slot()
	}))
	add(t, s, news, "early")
	planning.Store(true)
	added := make(chan error)
	go func() {
		_, err := s.Add(t.Context(), late, "")
		added <- err
	}()
	<-judged
	inForce := make(chan error, 1)
	go func() { inForce <- s.SetDenylist(t.Context(), denylist(t, "comment "+late.ID().String())) }()
	for s.Counters().Waiting == 0 && len(inForce) == 0 {
		runtime.Gosched()
	}
	close(goOn)
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	if err := <-inForce; err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat(treePath(mem, data, news, late.ID())); err == nil {
		t.Error("what the list denies is on the disk once the list is in force")
	}
	closeStore(t, s)
	if CheckStore(t, data, mem)[news.String()+"/"+late.ID().String()] {
		t.Error("it is listed")
	}
}

// The file of a comment that was denied could not be unlinked, and is to be when
// the next checkpoint is made. By then the comment is allowed, and here again.
func TestUnlinkLaterSpares(t *testing.T) {
	dir := t.TempDir()
	f := &faultFS{FS: vfs.Default} // one without syncfs would find that the file is missing
	s := open(t, dir, store.Options{FS: f})
	d := doc(t, news, "to and fro")
	mustAdd(t, s, d)
	f.set(func(_ int, op string) error {
		if kind, path, _ := strings.Cut(op, " "); kind == "remove" && path == treePath(vfs.Default, dir, news, d.ID()) {
			return syscall.EPERM
		}
		return nil
	}, nil)
	deny(t, s, "comment "+d.ID().String())
	deny(t, s, "")
	mustAdd(t, s, d)
	f.set(nil, nil)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(news, d.ID()); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	closeStore(t, s)
	if !CheckStore(t, dir, vfs.Default)[news.String()+"/"+d.ID().String()] {
		t.Error("what was acknowledged is not listed")
	}
}
