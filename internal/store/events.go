package store

import (
	"cmp"
	"slices"

	"github.com/comntr/comntr"
)

// eventsKept is how many of the last added comments Events can go back, about
// 50 bytes each.
const eventsKept = 1 << 14

// event is an added comment.
type event struct {
	seq            uint64
	topic, comment comntr.Hash
}

// Events calls fn with the comments added after the number since, at most max
// of them, in the order of their numbers. next is the number to ask from next
// time. ok is false if since is too far back, or no number of this epoch.
func (s *Store) Events(since uint64, max int, fn func(seq uint64, topic, comment comntr.Hash)) (next uint64, ok bool) {
	s.mu.RLock()
	if since < s.floor || since > s.seq {
		s.mu.RUnlock()
		return 0, false
	}
	next = s.seq
	i, _ := slices.BinarySearchFunc(s.events, since+1, func(e event, seq uint64) int { return cmp.Compare(e.seq, seq) })
	found := s.events[i:]
	if len(found) > max {
		found = found[:max]
		next = since
		if max > 0 {
			next = found[max-1].seq
		}
	}
	found = slices.Clone(found)
	s.mu.RUnlock()
	for _, e := range found {
		fn(e.seq, e.topic, e.comment)
	}
	return next, true
}

// Changed returns a channel that is closed at the next commit. Take it before
// looking at what there is, else a commit between the two goes unnoticed.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// keepEvents appends events and forgets the oldest; mu is held.
func (s *Store) keepEvents(events []event) {
	s.events = append(s.events, events...)
	if len(s.events) > 2*eventsKept {
		cut := len(s.events) - eventsKept
		s.floor = s.events[cut-1].seq
		s.events = slices.Clone(s.events[cut:])
	}
}

// loadEvents reads the last events back from the topics' logs.
func (s *Store) loadEvents() error {
	if s.seq > eventsKept {
		s.floor = s.seq - eventsKept
	}
	var events []event
	for e := s.byChange.Back(); e != nil; e = e.Prev() {
		t := e.Value.(*topic)
		if t.changed() <= s.floor {
			break
		}
		o := within(topicKey(keyLog, t.hash))
		o.LowerBound = logKey(t.hash, s.floor+1)
		it, err := s.db.NewIter(o)
		if err != nil {
			return err
		}
		err = scanLog(it, s.seq, func(seq uint64, op byte, comment comntr.Hash) error {
			if op == opAdd {
				events = append(events, event{seq, t.hash, comment})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.seq, b.seq) })
	s.events = events
	return nil
}
