package store_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// model is what a store should hold, told as simply as can be.
type model struct {
	topics map[comntr.Hash]*modelTopic
	added  map[string]int // topic/comment -> how often it came into a listing
}

type modelTopic struct {
	exists     bool
	held, gone map[comntr.Hash]bool
	was        map[comntr.Hash]bool // the listing before the last change
}

func (m *model) topic(h comntr.Hash) *modelTopic {
	if m.topics[h] == nil {
		m.topics[h] = &modelTopic{held: make(map[comntr.Hash]bool), gone: make(map[comntr.Hash]bool)}
	}
	return m.topics[h]
}

// listing is the smallest held name of each slot.
func (m *modelTopic) listing() map[comntr.Hash]bool {
	listed := make(map[comntr.Hash]bool)
	for h := range m.held {
		best := true
		for o := range m.held {
			best = best && (o.Slot() != h.Slot() || o.String() >= h.String())
		}
		if best {
			listed[h] = true
		}
	}
	return listed
}

// listed are the topics that are listed.
func (m *model) listed() map[comntr.Hash]bool {
	listed := make(map[comntr.Hash]bool)
	for h, t := range m.topics {
		best := t.exists
		for o, r := range m.topics {
			if o != h && o.Slot() == h.Slot() && r.exists {
				a, b := len(t.listing()), len(r.listing())
				best = best && (a > b || a == b && h.String() < o.String())
			}
		}
		if best {
			listed[h] = true
		}
	}
	return listed
}

// count notes what came into listings since the last call.
func (m *model) count() {
	for h, t := range m.topics {
		is := t.listing()
		for c := range is {
			if !t.was[c] {
				m.added[h.String()+"/"+c.String()]++
			}
		}
		t.was = is
	}
}

// follower keeps a copy of a store's listings by asking only for changes.
type follower struct {
	since  uint64
	topics map[comntr.Hash]*followed
	listed map[comntr.Hash]bool
	event  uint64
	added  map[string]int
}

type followed struct {
	since    uint64
	comments map[comntr.Hash]bool
}

func newFollower() *follower {
	return &follower{topics: make(map[comntr.Hash]*followed), listed: make(map[comntr.Hash]bool), added: make(map[string]int)}
}

func (f *follower) follow(t *testing.T, s *store.Store) {
	t.Helper()
	var err error
	f.since, err = s.TopicsSince(f.since, func(topic comntr.Hash, listed bool) error {
		if delete(f.listed, topic); listed {
			f.listed[topic] = true
		}
		w := f.topics[topic]
		if w == nil {
			w = &followed{comments: make(map[comntr.Hash]bool)}
			f.topics[topic] = w
		}
		var err error
		w.since, err = s.Listing(topic, w.since, func(c comntr.Hash, seq uint64, removed bool) error {
			if removed != w.comments[c] {
				t.Errorf("no net change: %s, removed %v", c, removed)
			}
			if at, ok := s.At(topic, seq); !removed && (!ok || at != c) {
				t.Errorf("%s was listed by the change %d, which is of %s", c, seq, at)
			}
			if delete(w.comments, c); !removed {
				w.comments[c] = true
			}
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		last := f.event
		next, ok := s.Events(f.event, 3, func(seq uint64, topic, comment comntr.Hash) {
			if seq <= last {
				t.Errorf("event %d after %d", seq, last)
			}
			last = seq
			f.added[topic.String()+"/"+comment.String()]++
		})
		if !ok {
			t.Fatalf("event %d is too far back", f.event)
		}
		if next == f.event {
			break
		}
		f.event = next
	}
}

// compare checks a follower that has just followed against the model.
func (f *follower) compare(t *testing.T, m *model) {
	t.Helper()
	if want := m.listed(); !maps.Equal(f.listed, want) {
		t.Errorf("topics %v, want %v", f.listed, want)
	}
	for h, mt := range m.topics {
		var got map[comntr.Hash]bool
		if w := f.topics[h]; w != nil {
			got = w.comments
		}
		if want := mt.listing(); !maps.Equal(got, want) {
			t.Errorf("topic %s lists %v, want %v", h, got, want)
		}
	}
	if !maps.Equal(f.added, m.added) {
		t.Errorf("events tell of %v, want %v", f.added, m.added)
	}
}

// TestModel does random things to a store, restarts and other hands included,
// and looks at it as those do who ask only for what has changed.
func TestModel(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(uint64(seed), 0))) })
		if !ok {
			return
		}
	}
}

func runModel(t *testing.T, r *rand.Rand) {
	topics := []comntr.Hash{news, niceWinner, niceLoser} // two of one slot
	texts := []string{nice1, nice2, "a", "b", "c", "d"}
	mem := vfs.NewMem()
	if err := mem.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, data, store.Options{FS: mem})
	m := &model{topics: make(map[comntr.Hash]*modelTopic), added: make(map[string]int)}
	followers := []*follower{newFollower(), newFollower(), newFollower()}
	always, sometimes := followers[0], followers[1:]
	root := mem.PathJoin(data, reddit.String())
	for range 150 {
		topic, text := topics[r.IntN(len(topics))], texts[r.IntN(len(texts))]
		id, mt := comntr.SumHash([]byte(text)), m.topic(topic)
		switch n := r.IntN(100); {
		case n < 55:
			created, err := s.Add(t.Context(), doc(t, topic, text), "")
			taken := false
			for h := range mt.listing() {
				taken = taken || h.Slot() == id.Slot() && h.String() < id.String()
			}
			switch {
			case mt.gone[id]:
				if !errors.Is(err, store.ErrGone) {
					t.Fatalf("gone: %v", err)
				}
			case mt.held[id]:
				if created || err != nil {
					t.Fatalf("held: %v %v", created, err)
				}
			case taken:
				if !errors.Is(err, store.ErrSlotTaken) {
					t.Fatalf("taken: %v", err)
				}
			default:
				if !created || err != nil {
					t.Fatalf("new: %v %v", created, err)
				}
				mt.exists, mt.held[id] = true, true
			}
		case n < 65:
			err := s.Remove(t.Context(), topic, id)
			if mt.held[id] {
				delete(mt.held, id)
				mt.gone[id] = true
			}
			if errors.Is(err, store.ErrNotFound) == mt.gone[id] {
				t.Fatalf("remove: %v", err)
			}
		case n < 70:
			created, err := s.AddTopic(t.Context(), topic, "")
			if err != nil || created == mt.exists {
				t.Fatalf("topic: %v %v", created, err)
			}
			mt.exists = true
		case n < 75:
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		case n < 90:
			f := sometimes[r.IntN(len(sometimes))]
			m.count()
			f.follow(t, s)
			f.compare(t, m)
		default: // a restart, and other hands before it
			closeStore(t, s)
			dir := mem.PathJoin(root, topic.String())
			switch r.IntN(4) {
			case 0:
				if err := mem.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				mt.exists = false
				clear(mt.held)
			case 1:
				if mt.gone[id] {
					break // it would be unlinked
				}
				if err := errors.Join(mem.MkdirAll(dir, 0o755), writeMem(mem, mem.PathJoin(dir, id.String()), text)); err != nil {
					t.Fatal(err)
				}
				mt.exists, mt.held[id] = true, true
			case 2:
				if err := mem.Remove(mem.PathJoin(dir, id.String())); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				delete(mt.held, id)
			}
			s = open(t, data, store.Options{FS: mem})
		}
		m.count()
		always.follow(t, s)
		always.compare(t, m)
		for h, mt := range m.topics {
			if _, ok := s.TopicSeq(h); ok != mt.exists {
				t.Errorf("topic %s is there: %v", h, ok)
			}
		}
		if t.Failed() {
			break
		}
	}
	closeStore(t, s)
	CheckStore(t, data, mem)
}

func writeMem(mem *vfs.MemFS, path, text string) error {
	f, err := mem.Create(path, "test")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Close())
}

// Who asks while commits go on misses nothing and sees nothing early.
func TestFollowWhileCommitting(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	const n = 400
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			if _, err := s.Add(t.Context(), doc(t, comntr.NameHash(fmt.Sprint(i%5)), fmt.Sprint(i)), ""); err != nil {
				t.Error(err)
			}
		}
	}()
	f := newFollower()
	for running := true; running; {
		changed := s.Changed()
		f.follow(t, s)
		for h, w := range f.topics {
			for c := range w.comments {
				if _, err := s.Read(h, c); err != nil {
					t.Errorf("a listed comment cannot be read: %v", err)
				}
			}
		}
		select {
		case <-changed:
		case <-done:
			running = false
		}
	}
	f.follow(t, s)
	total := 0
	for _, w := range f.topics {
		total += len(w.comments)
	}
	if total != n || len(f.added) != n {
		t.Errorf("%d listed, %d events", total, len(f.added))
	}
}

// Nobody sees a commit whose files are not there yet, nor one that is undone.
func TestUnpublished(t *testing.T) {
	mem := newMem(t)
	f := &faultFS{FS: mem, hidden: inIndex}
	s := open(t, data, store.Options{FS: f})
	add(t, s, news, niceLoserText)
	seq := s.Seq()
	f.set(func(_ int, op string) error {
		if held, gone := s.Has(news, niceWinner); held || gone {
			t.Error("held before its file stands")
		}
		if _, err := s.Read(news, niceWinner); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Read before its file stands: %v", err)
		}
		if _, err := s.Read(news, niceLoser); err != nil {
			t.Errorf("Read of the old one: %v", err)
		}
		if l := listing(t, s, news); !slices.Equal(l, []string{niceLoser.String()}) {
			t.Errorf("listed: %v", l)
		}
		if s.Seq() != seq {
			t.Error("the number moved")
		}
		s.Listing(news, 1, func(c comntr.Hash, _ uint64, removed bool) error {
			t.Errorf("a change is told of: %s %v", c, removed)
			return nil
		})
		if op[:6] == "rename" {
			return errors.New("no")
		}
		return nil
	}, nil)
	changed := s.Changed()
	if _, err := s.Add(t.Context(), doc(t, news, niceWinnerText), ""); err == nil {
		t.Error("it was to fail")
	}
	select {
	case <-changed:
		t.Error("Changed tells of nothing")
	default:
	}
	f.set(nil, nil)
	if l := listing(t, s, news); !slices.Equal(l, []string{niceLoser.String()}) {
		t.Errorf("listed: %v", l)
	}
	add(t, s, news, niceWinnerText)
	<-changed
	closeStore(t, s)
	CheckStore(t, data, mem)
}

// Events go back so far and no further, over a restart too.
func TestEventsAreBounded(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, data, store.Options{FS: mem})
	const n = 3 * store.EventsKept
	docs := make([]*comntr.Document, n)
	for i := range docs {
		docs[i] = doc(t, comntr.NameHash(fmt.Sprint(i%3)), fmt.Sprint(i))
	}
	for _, r := range s.AddAll(t.Context(), docs, "") {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	look := func(s *store.Store, step string) {
		t.Helper()
		if _, ok := s.Events(0, n, func(uint64, comntr.Hash, comntr.Hash) { t.Error("called") }); ok {
			t.Errorf("%s: all are still there", step)
		}
		if _, ok := s.Events(n+1, n, func(uint64, comntr.Hash, comntr.Hash) {}); ok {
			t.Errorf("%s: a number that is not yet", step)
		}
		got := 0
		next, ok := s.Events(n-store.EventsKept, n, func(seq uint64, topic, comment comntr.Hash) {
			got++
			if d := docs[seq-1]; d.ID() != comment || d.Place().Topic != topic {
				t.Errorf("event %d is of another comment", seq)
			}
		})
		if !ok || next != n || got != store.EventsKept {
			t.Errorf("%s: %d events, next %d, %v", step, got, next, ok)
		}
		if next, ok := s.Events(n, 10, func(uint64, comntr.Hash, comntr.Hash) { t.Error("called") }); next != n || !ok {
			t.Errorf("%s: at the end: %d, %v", step, next, ok)
		}
		if next, ok := s.Events(n-5, 0, func(uint64, comntr.Hash, comntr.Hash) { t.Error("called") }); next != n-5 || !ok {
			t.Errorf("%s: none asked for: %d, %v", step, next, ok)
		}
	}
	look(s, "before")
	closeStore(t, s)
	s = open(t, data, store.Options{FS: mem})
	look(s, "after a restart")
	closeStore(t, s)
}
