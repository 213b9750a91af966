package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// What authors delete follows from the files of a topic's folder alone, by
// comntr.Document.Removes, whatever came first: a delete that comes into the
// listing takes away what it removes, and what comes later is refused. A delete
// that leaves the listing, because another delete has its slot or the operator
// denies it, no longer counts: then what it removed may come again. So servers
// that heard of things in different orders list the same.

// Kinds of acts in the index.
const (
	actEdit   = 'e'
	actDelete = 'd'
)

// maxNamed is how many deletes of one comment are looked at to find one that is
// listed. Anybody may delete what is not his, and more of that says nothing.
const maxNamed = 64

// actPrefix begins the index's keys of the acts of a kind, by a key, on a
// target.
func actPrefix(topic, target comntr.Hash, kind byte, by [32]byte) []byte {
	return append(actTarget(topic, target, kind), by[:]...)
}

func actTarget(topic, target comntr.Hash, kind byte) []byte {
	b := make([]byte, 0, actKeyLen)
	b = append(b, keyAct)
	b = append(b, topic[:]...)
	b = append(b, target[:]...)
	return append(b, kind)
}

const actKeyLen = 1 + 20 + 20 + 1 + 32 + 20

// actOf takes an act's key apart.
func actOf(k []byte) (target comntr.Hash, kind byte, by [32]byte, id comntr.Hash, err error) {
	if len(k) != actKeyLen {
		return target, 0, by, id, fmt.Errorf("%w: an act's key has %d bytes", pebble.ErrCorruption, len(k))
	}
	return comntr.Hash(k[21:41]), k[41], [32]byte(k[42:74]), comntr.Hash(k[74:]), nil
}

// putAct notes an edit or a delete under its target.
func (b *plan) putAct(t *topic, doc *comntr.Document) {
	target, ok := doc.Target()
	if !ok {
		return
	}
	var kind byte
	switch doc.Kind() {
	case comntr.KindEdit:
		kind = actEdit
	case comntr.KindDelete:
		kind = actDelete
		t.deletes = true
	default:
		return
	}
	id := doc.ID()
	prefix := actPrefix(t.hash, target, kind, doc.Key())
	b.acts[string(prefix)] = append(b.acts[string(prefix)], id)
	b.batch.Set(append(prefix, id[:]...), nil, nil) // an undo leaves it: it counts by the comment's entry
}

// eachAct calls fn with the acts under a prefix of their keys, those of this
// plan too.
func (b *plan) eachAct(prefix []byte, fn func(k []byte) error) error {
	if b.actIter == nil {
		it, err := b.s.db.NewIter(within([]byte{keyAct}))
		if err != nil {
			return errors.Join(errIndex, err)
		}
		b.actIter = it
	}
	var keys [][]byte // fn may look further itself
	for ok := b.actIter.SeekGE(prefix); ok && hasPrefix(b.actIter.Key(), prefix); ok = b.actIter.Next() {
		keys = append(keys, append([]byte(nil), b.actIter.Key()...))
	}
	if err := b.actIter.Error(); err != nil {
		return errors.Join(errIndex, err)
	}
	planned := func(p string) {
		for _, id := range b.acts[p] {
			keys = append(keys, append([]byte(p), id[:]...))
		}
	}
	if len(prefix) == actKeyLen-20 {
		planned(string(prefix))
	} else {
		for p := range b.acts {
			if hasPrefix([]byte(p), prefix) {
				planned(p)
			}
		}
	}
	for _, k := range keys {
		if err := fn(k); err != nil {
			return err
		}
	}
	return nil
}

func hasPrefix(b, prefix []byte) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == string(prefix)
}

// document returns that of an entry which is held: of this plan, or out of its
// file. It is nil where the file is not what it was.
func (b *plan) document(topic comntr.Hash, o *sibling) (*comntr.Document, error) {
	k := key{topic, o.comment}
	if doc := b.docs[k]; doc != nil {
		return doc, nil
	}
	raw, err := b.s.readFile(b.s.path(topic, o.comment), int64(o.entry.size))
	if err == nil && comntr.SumHash(raw) == o.comment {
		doc, err := comntr.ParseDocument(comntr.Place{Community: b.s.community, Topic: topic}, raw)
		if err == nil {
			b.docs[k] = doc
			return doc, nil
		}
	}
	b.logs = append(b.logs, func() {
		b.s.log.Warn("a comment's file cannot be read: what it says counts when its bytes come again", "topic", topic, "comment", o.comment, "err", err)
	})
	return nil, nil
}

// deleted reports whether a delete that is listed removes the document.
func (b *plan) deleted(doc *comntr.Document) (bool, error) {
	topic := doc.Place().Topic
	t := b.topic(topic)
	if t == nil || !t.deletes || !doc.Signed() || doc.Kind() == comntr.KindDelete {
		return false, nil
	}
	targets := []comntr.Hash{doc.ID()}
	if of, ok := doc.Target(); ok && doc.Kind() == comntr.KindEdit {
		targets = append(targets, of)
	}
	found := false
	for _, target := range targets {
		err := b.eachAct(actPrefix(topic, target, actDelete, doc.Key()), func(k []byte) error {
			_, _, _, id, err := actOf(k)
			if err != nil {
				return errors.Join(errIndex, err)
			}
			o, err := b.find(topic, id)
			found = found || o != nil && o.entry.state == stateListed
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return found, nil
}

// obey takes away what a delete that has come into the listing removes.
func (b *plan) obey(t *topic, d *comntr.Document) error {
	target, ok := d.Target()
	if d.Kind() != comntr.KindDelete || !ok {
		return nil
	}
	o, err := b.find(t.hash, target)
	if err != nil {
		return err
	}
	if o != nil && o.entry.held() {
		doc, err := b.document(t.hash, o)
		switch {
		case err != nil:
			return err
		case doc == nil:
			b.lose(t, o)
		case d.Removes(doc):
			b.strike(t, o, stateGone)
		}
	}
	return b.eachAct(actPrefix(t.hash, target, actEdit, d.Key()), func(k []byte) error {
		_, _, _, id, err := actOf(k)
		if err != nil {
			return errors.Join(errIndex, err)
		}
		o, err := b.find(t.hash, id)
		if err == nil && o != nil && o.entry.held() {
			b.strike(t, o, stateGone)
		}
		return err
	})
}

// lose forgets a comment whose file is not what it was, and whose a delete says
// it is: whether that is so cannot be told without its bytes. Should they come
// again, from others or because the disk gives them again, they are judged. The
// file stays where it is, and the next start looks at it.
func (b *plan) lose(t *topic, o *sibling) {
	b.leave(t, o, stateGone)
	o.dropped = true
	b.loosened = true
	b.lost[t.hash] = struct{}{}
}

// release forgets what deletes removed that are no longer listed, in the topics
// of recheck. What another delete still removes is refused when it comes again.
func (b *plan) release() error {
	for h := range b.recheck {
		delete(b.recheck, h)
		err := b.eachAct(topicKey(keyAct, h), func(k []byte) error {
			target, kind, by, id, err := actOf(k)
			if err != nil {
				return errors.Join(errIndex, err)
			}
			if kind != actDelete {
				return nil
			}
			if d, err := b.find(h, id); err != nil || d != nil && d.entry.state == stateListed {
				return err
			}
			if err := b.forgetGone(h, target); err != nil {
				return err
			}
			return b.eachAct(actPrefix(h, target, actEdit, by), func(k []byte) error {
				_, _, _, edit, err := actOf(k)
				if err != nil {
					return errors.Join(errIndex, err)
				}
				return b.forgetGone(h, edit)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *plan) forgetGone(topic, id comntr.Hash) error {
	o, err := b.find(topic, id)
	if err == nil && o != nil && o.entry.state == stateGone {
		b.forget(o)
	}
	return err
}

// deletedUnseen reports whether a delete that is listed names a comment that was
// never here, or of which the index has forgotten that it was. Whose it was
// cannot be known without its bytes; should they come, they are judged.
func (s *Store) deletedUnseen(topic, comment comntr.Hash) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.topics[topic]; t == nil || !t.deletes {
		return false, nil
	}
	it, err := s.db.NewIter(within(actTarget(topic, comment, actDelete)))
	if err != nil {
		return false, fmt.Errorf("read the index: %w", err)
	}
	defer it.Close()
	for ok, n := it.First(), 0; ok && n < maxNamed; ok, n = it.Next(), n+1 {
		_, _, _, id, err := actOf(it.Key())
		if err != nil {
			return false, err
		}
		if _, waits := s.pending[key{topic, id}]; waits {
			continue
		}
		e, err := s.getEntry(topic, id)
		if err == nil && e.state == stateListed {
			return true, nil
		}
		if err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return false, fmt.Errorf("read the index: %w", err)
		}
	}
	return false, it.Error()
}

// Loosened is the number of the last change by which something that was settled
// for good, because it was gone or denied, may come again: what was noted about
// other servers' folders before it is to be looked at anew. 0: never.
func (s *Store) Loosened() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.loosened
}
