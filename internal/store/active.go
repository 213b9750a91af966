package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

// Topic is what a list of topics says of one.
type Topic struct {
	ID       comntr.Hash
	Name     string    // in clear, proven by a document; "" where none says it
	Comments int       // those that a thread shows, deleted ones not counted
	Last     time.Time // the latest Date of a comment; zero: none
}

func (t *topic) info() Topic {
	i := Topic{ID: t.hash, Name: t.name, Comments: t.shown}
	if t.last > 0 {
		i.Last = time.Unix(t.last, 0).UTC()
	}
	return i
}

// Active returns at most n topics, those with the latest comments first, of
// which a document says the name: who leaves it out keeps the topic unlisted.
// A Date is what its author says; one after now is taken for now.
func (s *Store) Active(n int, now time.Time) []Topic {
	s.mu.RLock()
	var all []*topic
	for _, t := range s.topics {
		if t.listed && t.name != "" && t.shown > 0 {
			all = append(all, t)
		}
	}
	ahead := now.Unix()
	slices.SortFunc(all, func(a, b *topic) int {
		return cmp.Or(cmp.Compare(min(b.last, ahead), min(a.last, ahead)), a.hash.Compare(b.hash))
	})
	out := make([]Topic, 0, min(n, len(all)))
	for _, t := range all[:min(n, len(all))] {
		i := t.info()
		if i.Last.After(now) {
			i.Last = now.UTC().Truncate(time.Second)
		}
		out = append(out, i)
	}
	s.mu.RUnlock()
	return out
}

// WithPrefix returns at most n topics whose names in hex begin with prefix,
// lower-case hex digits, in the order of their names.
func (s *Store) WithPrefix(prefix string, n int) (out []Topic) {
	low, err := comntr.ParseHash(prefix + strings.Repeat("0", max(0, 40-len(prefix))))
	if err != nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := s.sortedTopics()
	i, _ := slices.BinarySearchFunc(names, low, func(a, b comntr.Hash) int { return bytes.Compare(a[:], b[:]) })
	for ; i < len(names) && len(out) < n && strings.HasPrefix(names[i].String(), prefix); i++ {
		if t := s.topics[names[i]]; t.exists {
			out = append(out, t.info())
		}
	}
	return out
}

// sortedTopics are the names of all topics; mu is held. They are sorted anew
// only where there are new ones.
func (s *Store) sortedTopics() []comntr.Hash {
	s.sortedMu.Lock()
	defer s.sortedMu.Unlock()
	if len(s.sorted) != len(s.topics) {
		s.sorted = make([]comntr.Hash, 0, len(s.topics))
		for h := range s.topics {
			s.sorted = append(s.sorted, h)
		}
		slices.SortFunc(s.sorted, comntr.Hash.Compare)
	}
	return s.sorted
}
