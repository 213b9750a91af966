package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

func TestActive(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	post := func(name string, named bool, date time.Time, kind comntr.Kind, target comntr.Hash, body string) *comntr.Document {
		t.Helper()
		d := comntr.Draft{Place: comntr.Place{Community: reddit, Topic: comntr.NameHash(name)}, Date: date, Kind: kind, Target: target, Body: []byte(body)}
		if named {
			d.Name = name
		}
		doc, err := d.Sign(alice)
		if err != nil {
			t.Fatal(err)
		}
		mustAdd(t, s, doc)
		return doc
	}
	first := post("old", true, now.Add(-3*time.Hour), comntr.KindComment, comntr.Hash{}, "1")
	post("old", false, now.Add(-2*time.Hour), comntr.KindComment, comntr.Hash{}, "2")
	edited := post("new", true, now.Add(-time.Hour), comntr.KindComment, comntr.Hash{}, "1")
	post("new", false, now, comntr.KindEdit, edited.ID(), "an edit is no comment")
	post("unlisted", false, now, comntr.KindComment, comntr.Hash{}, "nobody says the name")
	post("ahead", true, now.Add(5*time.Minute), comntr.KindComment, comntr.Hash{}, "by a clock that is fast")
	long := strings.Repeat("long", 200)
	post(long, true, now, comntr.KindComment, comntr.Hash{}, "1")
	add(t, s, comntr.NameHash("plain"), "plain text says no name")

	want := func(n int, lines ...string) {
		t.Helper()
		for range 2 {
			var got []string
			for _, i := range s.Active(n, now) {
				got = append(got, fmt.Sprintf("%s %d %s", i.Name, i.Comments, i.Last.Format("15:04")))
				if i.ID != comntr.NameHash(i.Name) {
					t.Errorf("%q is not %s", i.Name, i.ID)
				}
			}
			if !slices.Equal(got, lines) {
				t.Errorf("%q, want %q", got, lines)
			}
			closeStore(t, s)
			CheckStore(t, dir, vfs.Default)
			s = open(t, dir, store.Options{})
		}
	}
	want(10, "ahead 1 12:00", "new 1 11:00", "old 2 10:00")
	want(2, "ahead 1 12:00", "new 1 11:00")
	// With the comment that said the name its bytes go, the name too.
	post("old", false, now, comntr.KindDelete, first.ID(), "")
	want(10, "ahead 1 12:00", "new 1 11:00")
	post("old", true, now.Add(-time.Hour), comntr.KindVote, edited.ID(), "up")
	want(10, "ahead 1 12:00", "new 1 11:00", "old 1 10:00")
	closeStore(t, s)
}

// A topic keeps its name when the comment that said it first is deleted, as
// long as another one says it: one held for long, or one of the same commit.
func TestActiveNamedAgain(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprint(together), func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			place := comntr.Place{Community: reddit, Topic: comntr.NameHash("topic")}
			sign := func(d comntr.Draft) *comntr.Document {
				t.Helper()
				d.Place, d.Date = place, now
				doc, err := d.Sign(alice)
				if err != nil {
					t.Fatal(err)
				}
				return doc
			}
			names := func() (out []string) {
				for _, i := range s.Active(10, now) {
					out = append(out, i.Name)
				}
				return out
			}
			first, second := sign(comntr.Draft{Name: "topic", Body: []byte("1")}), sign(comntr.Draft{Name: "topic", Body: []byte("2")})
			for i := range 20 {
				mustAdd(t, s, sign(comntr.Draft{Body: fmt.Append(nil, "says no name ", i)}))
			}
			mustAdd(t, s, first)
			rest := []*comntr.Document{second, sign(comntr.Draft{Kind: comntr.KindDelete, Target: first.ID()})}
			if together {
				mustAdd(t, s, rest...)
			} else {
				mustAdd(t, s, rest[0])
				mustAdd(t, s, rest[1])
			}
			if got := names(); !slices.Equal(got, []string{"topic"}) {
				t.Errorf("after the first one's delete: %q", got)
			}
			mustAdd(t, s, sign(comntr.Draft{Kind: comntr.KindDelete, Target: second.ID()}))
			if got := names(); len(got) > 0 {
				t.Errorf("nobody says the name: %q", got)
			}
			closeStore(t, s)
			CheckStore(t, dir, vfs.Default)
		})
	}
}

// However many topics lose their names in one commit, so many files are read for
// others at most: everybody waits for the committer.
func TestActiveNamesBound(t *testing.T) {
	f := &faultFS{FS: newMem(t), reads: true}
	s := open(t, data, store.Options{FS: f})
	defer closeStore(t, s)
	var all, deletes []*comntr.Document
	for _, topic := range []string{"one", "other"} {
		draft := func(d comntr.Draft) *comntr.Document {
			d.Place, d.Date = comntr.Place{Community: reddit, Topic: comntr.NameHash(topic)}, time.Unix(1e9, 0)
			doc, err := d.Sign(alice)
			if err != nil {
				t.Fatal(err)
			}
			return doc
		}
		named := draft(comntr.Draft{Name: topic, Body: []byte("says it")})
		all = append(all, named)
		for i := range store.MaxNameFiles {
			all = append(all, draft(comntr.Draft{Body: fmt.Append(nil, i)}))
		}
		deletes = append(deletes, draft(comntr.Draft{Kind: comntr.KindDelete, Target: named.ID()}))
	}
	mustAdd(t, s, all...)
	var read atomic.Int64
	f.set(func(_ int, op string) error {
		if kind, path, _ := strings.Cut(op, " "); kind == "open" && !strings.Contains(path, ".ipfs") {
			read.Add(1)
		}
		return nil
	}, nil)
	mustAdd(t, s, deletes...)
	f.set(nil, nil)
	if n := read.Load(); n < store.MaxNameFiles || n > store.MaxNameFiles+2*int64(len(deletes)) {
		t.Errorf("%d files were read", n)
	}
}

func TestWithPrefix(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	defer closeStore(t, s)
	var all []string
	for i := range 100 {
		topic := comntr.NameHash(fmt.Sprint(i))
		add(t, s, topic, "one")
		all = append(all, topic.String())
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "7", "7f", all[3], all[50][:4], "ffff", "xyz", all[3] + "0"} {
		var want, got []string
		for _, h := range all {
			if strings.HasPrefix(h, prefix) {
				want = append(want, h)
			}
		}
		for _, i := range s.WithPrefix(prefix, 1000) {
			got = append(got, i.ID.String())
			if i.Comments != 1 {
				t.Errorf("%d comments", i.Comments)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", prefix, got, want)
		}
	}
	if n := len(s.WithPrefix("", 7)); n != 7 {
		t.Errorf("%d, want 7", n)
	}
	add(t, s, news, "a new topic")
	if n := len(s.WithPrefix(news.String(), 7)); n != 1 {
		t.Errorf("a new topic is found %d times", n)
	}
}
