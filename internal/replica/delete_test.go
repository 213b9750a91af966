package replica_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// files are the comments' files of a store in memory, topic/comment, and
// topic/ for each topic.
func (s *server) files() map[string]bool {
	s.t.Helper()
	files, community := make(map[string]bool), s.fs.PathJoin("/data", reddit.String())
	list := func(dir string) []string {
		names, err := s.fs.List(dir)
		if err != nil {
			s.t.Fatal(err)
		}
		return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, ".") })
	}
	for _, topic := range list(community) {
		files[topic+"/"] = true
		for _, comment := range list(s.fs.PathJoin(community, topic)) {
			files[topic+"/"+comment] = true
		}
	}
	return files
}

// removed reports whether one of docs removes t: SPEC.md, "Threads", step 2, to
// the letter, so that comntr.Document.Removes is not asked whether it is right.
func removed(t *comntr.Document, docs map[string]*comntr.Document) bool {
	if !t.Signed() || t.Kind() == comntr.KindDelete {
		return false
	}
	for _, d := range docs {
		target, ok := d.Target()
		if d.Kind() != comntr.KindDelete || !ok || d.Key() != t.Key() || d.Place() != t.Place() {
			continue
		}
		of, edits := t.Target()
		if target == t.ID() || t.Kind() == comntr.KindEdit && edits && target == of {
			return true
		}
	}
	return false
}

// nameOf is a document's file in its community's folder.
func nameOf(d *comntr.Document) string {
	return d.Place().Topic.String() + "/" + d.ID().String()
}

// people post, reply, edit and delete what is theirs and what is not.
type people struct {
	t    *testing.T
	rnd  *rand.Rand
	keys []ed25519.PrivateKey
	// docs are all that was ever posted, at whatever server; written is all that
	// was written, and so can be named or posted, in that order.
	docs    map[string]*comntr.Document // by nameOf: plain text has one id in all topics
	written []*comntr.Document
}

func newPeople(t *testing.T, seed int) *people {
	p := &people{t: t, rnd: rand.New(rand.NewPCG(uint64(seed), 1)), docs: make(map[string]*comntr.Document)}
	for i := range 3 {
		p.keys = append(p.keys, ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i))))
	}
	return p
}

func (p *people) someone() ed25519.PrivateKey { return p.keys[p.rnd.IntN(len(p.keys))] }

// author is who wrote d; of plain text anybody.
func (p *people) author(d *comntr.Document) ed25519.PrivateKey {
	for _, key := range p.keys {
		if d.Signed() && comntr.PublicKey(key) == d.Key() {
			return key
		}
	}
	return p.someone()
}

func (p *people) sign(d comntr.Draft, by ed25519.PrivateKey) *comntr.Document {
	p.t.Helper()
	doc, err := d.Sign(by)
	if err != nil {
		p.t.Fatal(err)
	}
	return doc
}

// write makes the next document. Few topics and few words: much of it meets.
func (p *people) write() *comntr.Document {
	draft := comntr.Draft{
		Place: comntr.Place{Community: reddit, Topic: comntr.NameHash(fmt.Sprint("/r/", p.rnd.IntN(3)))},
		Date:  time.Date(2026, 11, 22, 10, 0, p.rnd.IntN(60), 0, time.UTC),
		Body:  fmt.Appendf(nil, "text %d", p.rnd.IntN(20)),
	}
	if len(p.written) == 0 || p.rnd.IntN(10) < 3 {
		if p.rnd.IntN(4) == 0 {
			doc, err := comntr.ParseDocument(draft.Place, draft.Body)
			if err != nil {
				p.t.Fatal(err)
			}
			return doc
		}
		return p.sign(draft, p.someone())
	}
	on := p.written[p.rnd.IntN(len(p.written))]
	draft.Place = on.Place()
	switch p.rnd.IntN(8) {
	case 0, 1:
		draft.Parent = on.ID()
		return p.sign(draft, p.someone())
	case 2, 3:
		draft.Kind, draft.Target = comntr.KindEdit, on.ID()
		return p.sign(draft, p.author(on))
	case 4:
		draft.Kind, draft.Target = comntr.KindEdit, on.ID()
		return p.sign(draft, p.someone())
	case 5:
		return p.sign(comntr.Deletion(on), p.someone())
	default:
		return p.sign(comntr.Deletion(on), p.author(on))
	}
}

// post posts a document; that it was deleted before is the only refusal.
func (p *people) post(s *server, d *comntr.Document) {
	p.t.Helper()
	if _, err := s.store.Add(p.t.Context(), d, ""); err != nil && !errors.Is(err, store.ErrGone) {
		p.t.Fatal(err)
	}
	p.docs[nameOf(d)] = d
}

// Posts, replies, edits and deletes, by authors and by others, before and after
// what they are on, at any server, and rounds between: in the end all servers
// have what SPEC.md's rule leaves of all that was posted, and nothing else, on
// disk too. A server that was away brings nothing back.
func TestDeletes(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(t), newPeople(t, seed)
			away := w.serve("away", 0)
			servers := []*server{w.serve("a", 0), w.serve("b", 1), w.serve("c", 0)}
			for range 120 {
				s := servers[p.rnd.IntN(len(servers))]
				switch n := p.rnd.IntN(20); {
				case n < 10:
					d := p.write()
					p.written = append(p.written, d)
					p.post(s, d)
				case n < 12: // kept back: what is said of it comes first
					p.written = append(p.written, p.write())
				case n < 15 && len(p.written) > 0:
					d := p.written[p.rnd.IntN(len(p.written))]
					p.post(s, d)
					if p.rnd.IntN(2) == 0 {
						p.post(away, d)
					}
				default:
					if o := servers[p.rnd.IntN(len(servers))]; o != s {
						s.round(o)
					}
				}
			}
			meet := func() {
				t.Helper()
				for range 2 {
					for i := range servers {
						servers[(i+1)%len(servers)].round(servers[i])
					}
				}
				p.check(servers...)
			}
			meet()
			servers = append(servers, away)
			meet()
		})
	}
}

// check requires of each server what the rule leaves of all that was posted.
func (p *people) check(servers ...*server) {
	p.t.Helper()
	want, gone := make(map[string]bool), 0
	for name, d := range p.docs {
		topic, id := d.Place().Topic, d.ID()
		if !removed(d, p.docs) {
			want[name] = true
			want[topic.String()+"/"] = true
			continue
		}
		gone++
		named := slices.ContainsFunc(slices.Collect(maps.Values(p.docs)), func(d *comntr.Document) bool {
			target, ok := d.Target()
			return ok && target == id && d.Kind() == comntr.KindDelete && d.Place().Topic == topic
		})
		for _, s := range servers {
			// An edit that went with its target and never came here is not known.
			if _, err := s.store.Read(topic, id); !errors.Is(err, store.ErrGone) && (named || !errors.Is(err, store.ErrNotFound)) {
				p.t.Errorf("%s answers for %s, which was deleted: %v", s.host, id, err)
			}
		}
	}
	if gone == 0 || len(want) < 10 {
		p.t.Errorf("%d deleted and %d left: the test shows nothing", gone, len(want))
	}
	for _, s := range servers {
		for what, got := range map[string]map[string]bool{"lists": s.tree(), "has on disk": s.files()} {
			for name := range want {
				if !got[name] {
					p.t.Errorf("%s no longer %s %s", s.host, what, name)
				}
			}
			for name := range got {
				if !want[name] {
					p.t.Errorf("%s still %s %s", s.host, what, name)
				}
			}
		}
	}
	checkSame(p.t, servers...)
}
