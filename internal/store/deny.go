package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// denyChunk is how many entries of the index SetDenylist looks at, and how many
// comments it has taken away, at a time.
const denyChunk = 1024

// refusalsLogged is the time between two lines about what the list refused.
const refusalsLogged = time.Minute

// Denied tells whether the operator's list denies a whole topic.
func (s *Store) Denied(topic comntr.Hash) bool {
	_, denied := s.deny.Load().Topic(comntr.Place{Community: s.community, Topic: topic})
	return denied
}

// DeniedBlock tells whether the list denies a block by its CID.
func (s *Store) DeniedBlock(c cid.Cid) bool {
	_, denied := s.deny.Load().CID(c)
	return denied
}

// denies looks a document up in the list, and counts the refusal.
func (s *Store) denies(doc *comntr.Document) (comntr.DenyRule, bool) {
	rule, denied := s.deny.Load().File(doc.Place(), doc.ID(), doc.Bytes())
	if denied {
		s.refusals.count(rule, s.log)
	}
	return rule, denied
}

// refusals counts what the list refuses, by its lines: anybody can post what is
// denied at any rate, so that it is logged once a minute.
type refusals struct {
	mu     sync.Mutex
	logged time.Time
	counts map[comntr.DenyRule]int
}

func (r *refusals) count(rule comntr.DenyRule, log *slog.Logger) {
	r.mu.Lock()
	if r.counts == nil {
		r.counts = make(map[comntr.DenyRule]int)
	}
	r.counts[rule]++
	due := time.Since(r.logged) >= refusalsLogged
	r.mu.Unlock()
	if due {
		r.log(log)
	}
}

func (r *refusals) log(log *slog.Logger) {
	r.mu.Lock()
	counts := r.counts
	r.counts, r.logged = nil, time.Now()
	r.mu.Unlock()
	for rule, n := range counts {
		log.Info("the deny list refused comments", "count", n, "line", rule.Line, "rule", rule.Text)
	}
}

// SetDenylist makes list the one in force: what it denies is neither taken nor
// given from now on, and when SetDenylist returns its bytes are gone. What an
// earlier list denied and this one does not may come again; see Loosened. A
// list that was applied before, in whatever process, costs nothing.
func (s *Store) SetDenylist(ctx context.Context, list *comntr.Denylist) error {
	s.denying.Lock()
	defer s.denying.Unlock()
	before, err := s.getMeta(metaDenied)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("read which deny list was applied: %w", err)
	}
	old := s.deny.Swap(list)
	if before == list.Sum() {
		return nil
	}
	// The committer may have judged something by the old list that is not in the
	// index yet. It is once this is answered.
	if _, err := s.submit(ctx, nil); err != nil {
		return fmt.Errorf("apply the deny list to community %s: %w", s.community, err)
	}
	a := denial{s: s, list: list, loosened: before != old.Sum() || list.Loosens(old), counts: make(map[comntr.DenyRule]int)}
	if err := a.run(ctx); err != nil {
		return fmt.Errorf("apply the deny list to community %s: %w", s.community, err)
	}
	for _, rule := range slices.SortedFunc(maps.Keys(a.counts), func(a, b comntr.DenyRule) int { return a.Line - b.Line }) {
		s.log.Info("the deny list took comments away", "count", a.counts[rule], "line", rule.Line, "rule", rule.Text)
	}
	if a.forgotten > 0 {
		s.log.Info("comments that were denied are no longer: other servers may bring them again", "count", a.forgotten)
	}
	// Not synced: should it be lost, the list is applied once more.
	return s.db.Set(metaKey(metaDenied), appendUint64(nil, list.Sum()), pebble.NoSync)
}

// denial is a list on its way through a store.
type denial struct {
	s         *Store
	list      *comntr.Denylist
	loosened  bool // whether the list may deny less than before
	batch     []item
	counts    map[comntr.DenyRule]int
	forgotten int
}

func (a *denial) run(ctx context.Context) error {
	for last := []byte{keyComment}; last != nil; {
		// A short look at a time: an iterator keeps what it sees on the disk.
		o := within([]byte{keyComment})
		o.LowerBound = last
		last = nil
		type seen struct {
			key
			entry
		}
		var page []seen
		it, err := a.s.db.NewIter(o)
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if len(page) == denyChunk {
				last = slices.Clone(it.Key())
				break
			}
			comment, e, err := decodeComment(it.Key(), it.Value())
			if err != nil {
				return errors.Join(err, it.Close())
			}
			page = append(page, seen{key{comntr.Hash(it.Key()[1:21]), comment}, e})
		}
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return err
		}
		for _, p := range page {
			if err := a.look(p.key, p.entry); err != nil {
				return err
			}
		}
		if err := a.flush(ctx, last == nil); err != nil {
			return err
		}
	}
	return a.topics(ctx)
}

// look decides on one comment.
func (a *denial) look(k key, e entry) error {
	place := comntr.Place{Community: a.s.community, Topic: k.topic}
	rule, denied := a.list.Comment(place, k.comment)
	switch {
	case e.held():
		if !denied && a.list.ByContent() {
			b, err := a.s.readFile(a.s.path(k.topic, k.comment), int64(e.size))
			if err != nil {
				return nil // it is not given away either, and judged when it is repaired
			}
			rule, denied = a.list.File(place, k.comment, b)
		}
		if denied {
			a.counts[rule]++
			a.batch = append(a.batch, item{kind: itemStrike, topic: k.topic, comment: k.comment, state: stateDenied})
		}
	case e.state == stateDenied && !denied && a.loosened:
		// By its key or its block it may still be denied: then it is refused
		// when it comes.
		a.forgotten++
		a.batch = append(a.batch, item{kind: itemForget, topic: k.topic, comment: k.comment})
	}
	return nil
}

func (a *denial) flush(ctx context.Context, all bool) error {
	if len(a.batch) == 0 || !all && len(a.batch) < denyChunk {
		return nil
	}
	results, err := a.s.submit(ctx, a.batch)
	a.batch = nil
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil && !errors.Is(r.Err, ErrNotFound) {
			return r.Err
		}
	}
	return nil
}

// topics takes the folders of denied topics away, the last step.
func (a *denial) topics(ctx context.Context) error {
	a.s.mu.RLock()
	for h, t := range a.s.topics {
		if t.exists && a.s.Denied(h) {
			a.batch = append(a.batch, item{kind: itemDropTopic, topic: h})
		}
	}
	a.s.mu.RUnlock()
	if a.loosened {
		// What the old list denied by name was never fetched, so that no entry
		// says so; but what peers have of it was noted as settled.
		a.batch = append(a.batch, item{kind: itemLoosen})
	}
	return a.flush(ctx, true)
}

// forgetDenied plans that a comment is no longer denied.
func (b *plan) forgetDenied(topic, comment comntr.Hash) error {
	o, err := b.find(topic, comment)
	if err == nil && o != nil && o.entry.state == stateDenied {
		b.forget(o)
	}
	return err
}

// Given calls fn with the comments that are held and that a peer of this key
// gave.
func (s *Store) Given(from string, fn func(topic, comment comntr.Hash) error) error {
	var number uint32
	err := s.scan(within([]byte{keyPeer}), func(k, v []byte) error {
		if string(v) == from && len(k) == 5 {
			number = binary.BigEndian.Uint32(k[1:])
		}
		return nil
	})
	if err != nil || number == 0 {
		return err
	}
	return s.scan(within([]byte{keyComment}), func(k, v []byte) error {
		comment, e, err := decodeComment(k, v)
		if err != nil || !e.held() || e.from != number {
			return err
		}
		return fn(comntr.Hash(k[1:21]), comment)
	})
}
