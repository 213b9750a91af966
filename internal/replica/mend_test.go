package replica_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

// spoil alters the file of a comment behind the store's back, or removes it.
func (s *server) spoil(topic string, comment comntr.Hash, text string) {
	s.t.Helper()
	path := s.fs.PathJoin("/data", reddit.String(), comntr.HashOrName(topic).String(), comment.String())
	err := s.fs.Remove(path)
	if text != "" && err == nil {
		var f vfs.File
		if f, err = s.fs.Create(path, "test"); err == nil {
			_, err = f.Write([]byte(text))
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// read has the server read a comment, as when somebody asks for it.
func (s *server) read(topic string, comment comntr.Hash) error {
	_, err := s.store.Read(comntr.HashOrName(topic), comment)
	return err
}

// What was damaged or taken away on a running server's disk is fetched again by
// the next round after somebody asked for it, though the folders are the same
// and marked as merged; and its folder's id stays what it was.
func TestDamageIsMended(t *testing.T) {
	for _, text := range []string{"", "COMMENT", "something longer than the comment was"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			w, clock := newWorld(t), newClock()
			a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
			a.postMany(30, 3, "comment")
			id := a.post("/r/news", "comment")
			b.round(a)
			b.round(a)
			root := b.root()
			b.spoil("/r/news", id, text)
			if !b.round(a) {
				t.Error("nobody has noticed yet: all is merged")
			}
			if err := b.read("/r/news", id); !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("Read of the damaged one: %v", err)
			}
			a.cost()
			b.round(a)
			if err := b.read("/r/news", id); err != nil {
				t.Errorf("after a round: %v\n%s", err, b.log)
			}
			if requests, _, _ := a.cost(); requests != 2 {
				t.Errorf("%d requests, want 2: the root and the comment", requests)
			}
			if b.round(a); b.root() != root {
				t.Errorf("the id was %s, and is %s", root, b.root())
			}
			if requests, _, _ := a.cost(); requests != 1 {
				t.Errorf("once it is whole, a round takes %d requests", requests)
			}
			checkSame(t, a, b)
		})
	}
}

// One that was damaged before its folder was made is mended too, and then
// stands in the folder.
func TestDamageBeforeItsFolder(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	id := a.post("/r/news", "comment")
	b.post("/r/news", "comment")
	b.spoil("/r/news", id, "")
	b.root()
	b.round(a)
	if err := b.read("/r/news", id); err != nil {
		t.Errorf("%v\n%s", err, b.log)
	}
}

// A peer that lacks a damaged comment is asked for it less and less often.
func TestDamageThatAPeerLacks(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	a.post("/r/news", "comment")
	b.round(a)
	only := b.post("/r/gifs", "only here")
	b.spoil("/r/gifs", only, "ONLY HERE")
	b.read("/r/gifs", only)
	asked := 0
	for range 100 {
		a.cost()
		b.round(a)
		if requests, _, _ := a.cost(); requests > 1 {
			asked++
		}
		clock.pass(10 * time.Second)
	}
	if asked < 4 || asked > 10 {
		t.Errorf("asked %d times in 1,000 s", asked)
	}
	a.post("/r/gifs", "only here")
	clock.pass(time.Hour)
	b.round(a)
	if err := b.read("/r/gifs", only); err != nil {
		t.Errorf("once the peer has it: %v", err)
	}
}

// A disk that lost much is mended round by round, each of them bounded.
func TestMuchDamage(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	const n = 2*replica.MaxMends + 10
	var ids []comntr.Hash
	for i := range n {
		ids = append(ids, a.post("/r/news", fmt.Sprint("comment ", i)))
	}
	b.round(a)
	b.round(a)
	for _, id := range ids {
		b.spoil("/r/news", id, "")
		b.read("/r/news", id)
	}
	whole := func() (whole int) {
		for _, id := range ids {
			if b.read("/r/news", id) == nil {
				whole++
			}
		}
		return whole
	}
	for _, want := range []int{replica.MaxMends, 2 * replica.MaxMends, n} {
		b.round(a)
		if got := whole(); got != want {
			t.Errorf("%d are whole, want %d", got, want)
		}
	}
}

// A peer that gives other bytes than those asked for is left alone, and what it
// gave is stored nowhere.
func TestMendRefusesLies(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set)
	id := a.post("/r/news", "comment")
	b.round(a)
	b.round(a)
	b.spoil("/r/news", id, "")
	b.read("/r/news", id)
	w.handle(a.host, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, id.String()) {
			rw.Write([]byte("another comment"))
			return
		}
		a.ServeHTTP(rw, r)
	}))
	if _, err := b.replica.Round(t.Context(), a.as(), reddit); err == nil {
		t.Error("the round went well")
	}
	if err := b.read("/r/news", id); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Read: %v", err)
	}
	if until := b.replica.LeftAlone(a.as()); !until.After(clock.now()) {
		t.Error("it is not left alone")
	}
}
