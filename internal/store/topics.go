package store

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// topic is what is held in memory of a topic folder; nothing is held in
// memory of single comments.
type topic struct {
	hash   comntr.Hash
	seq    uint64 // the last change of its listing, or its making
	flip   uint64 // when another topic with its slot won or lost against it; 0: never
	count  int    // listed comments
	files  int    // files, listed or not
	bytes  int64  // of all its files
	disk   int64  // the same as the disk counts them, its folder included
	from   uint32 // number of the peer that first named it
	exists bool   // has a folder
	listed bool   // stands in the listing of topics

	deletes bool // has ever held a delete: only then is one looked for

	shown   int         // listed comments that a thread shows
	last    int64       // the latest Date of a comment, in Unix seconds; 0: none
	name    string      // in clear, if a document proved it
	namedBy comntr.Hash // that document

	// mtime is the folder's modification time after the store's own last
	// write, 0 if other hands have written since: then the next start compares.
	mtime int64

	place *list.Element // in Store.byChange
}

func (t *topic) changed() uint64 { return max(t.seq, t.flip) }

func (t *topic) encode() []byte {
	b := make([]byte, 0, 48)
	var flags byte
	if t.exists {
		flags |= 1
	}
	if t.listed {
		flags |= 2
	}
	if t.deletes {
		flags |= 4
	}
	if t.name != "" {
		flags |= 8
	}
	b = append(b, flags)
	for _, v := range [...]uint64{t.seq, t.flip, uint64(t.count), uint64(t.files), uint64(t.bytes), uint64(t.disk), uint64(t.from), uint64(t.shown), uint64(t.last)} {
		b = binary.AppendUvarint(b, v)
	}
	if t.name != "" {
		b = append(append(b, t.namedBy[:]...), t.name...)
	}
	return b
}

func decodeTopic(h comntr.Hash, b []byte) (*topic, error) {
	d := decoder{b: b}
	flags := d.byte()
	t := &topic{hash: h, exists: flags&1 != 0, listed: flags&2 != 0, deletes: flags&4 != 0,
		seq: d.uvarint(), flip: d.uvarint(), count: int(d.uvarint()), files: int(d.uvarint()),
		bytes: int64(d.uvarint()), disk: int64(d.uvarint()), from: uint32(d.uvarint()), shown: int(d.uvarint()), last: int64(d.uvarint())}
	if flags&8 != 0 && len(d.b) > len(t.namedBy) {
		t.namedBy, t.name = comntr.Hash(d.b[:len(t.namedBy)]), string(d.b[len(t.namedBy):])
	}
	if d.bad {
		return nil, fmt.Errorf("%w: the record of topic %s cannot be read", pebble.ErrCorruption, h)
	}
	return t, nil
}

// maxListedName is the longest name in bytes that a topic is listed under.
const maxListedName = 512

// learn takes from a document what a list of topics says.
func (t *topic) learn(doc *comntr.Document) {
	if name, ok := doc.Name(); ok && t.name == "" && len(name) <= maxListedName {
		t.name, t.namedBy = name, doc.ID()
	}
	if date, ok := doc.Date(); ok && doc.Kind() == comntr.KindComment {
		t.last = max(t.last, date.Unix())
	}
}

// beats is the community's slot rule: of two topics with one slot the one
// with more comments is listed, then the smaller name. A topic without a
// folder never is.
func (t *topic) beats(o *topic) bool {
	if t.exists != o.exists {
		return t.exists
	}
	if t.count != o.count {
		return t.count > o.count
	}
	return t.hash.Compare(o.hash) < 0
}

// loadTopics reads all topics' records.
func (s *Store) loadTopics() error {
	var all []*topic
	err := s.scan(within([]byte{keyTopic}), func(k, v []byte) error {
		if len(k) != 21 {
			return fmt.Errorf("%w: a topic's key has %d bytes", pebble.ErrCorruption, len(k))
		}
		t, err := decodeTopic(comntr.Hash(k[1:]), v)
		if err != nil {
			return err
		}
		all = append(all, t)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.scan(within([]byte{keyTime}), func(k, v []byte) error {
		if len(k) != 21 || len(v) != 8 {
			return fmt.Errorf("%w: a topic's time has %d and %d bytes", pebble.ErrCorruption, len(k), len(v))
		}
		h := comntr.Hash(k[1:])
		// Both scans go in the order of the hash.
		if i, ok := slices.BinarySearchFunc(all, h, func(t *topic, h comntr.Hash) int { return t.hash.Compare(h) }); ok {
			all[i].mtime = int64(binary.BigEndian.Uint64(v))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.disk.count(s.putTopics(all))
	return nil
}

// verifyCounts compares each topic's counts with its entries. They differ where
// the index lost something in its middle: Pebble takes an end of its manifest
// that it cannot read for one that a crash cut short, goes on from an older one,
// and puts newer logs on top. TestTornJournal. It finds out which slots are taken,
// too.
func (s *Store) verifyCounts() error {
	// What it says is not yet believed: there are no more entries than their names,
	// which nothing compresses, have room.
	files, most := uint64(0), s.db.Metrics().DiskSpaceUsage()/uint64(len(comntr.Hash{}))
	for _, t := range s.topics {
		files += uint64(t.files)
	}
	s.taken = newSlotSet(int(min(files, most)))
	var at comntr.Hash
	var found topic // of at
	topics := 0     // with entries
	settle := func() error {
		t := s.topics[at]
		switch {
		case t == nil && found.files == 0:
			return nil
		case t == nil || t.count != found.count || t.files != found.files || t.bytes != found.bytes:
			return fmt.Errorf("%w: what it counts of topic %s are not its entries", pebble.ErrCorruption, at)
		case found.files > 0:
			topics++
		}
		return nil
	}
	err := s.scan(within([]byte{keyComment}), func(k, v []byte) error {
		_, e, err := decodeComment(k, v)
		if err != nil {
			return err
		}
		s.taken.add(slotPlace{comntr.Hash(k[1:21]), binary.BigEndian.Uint64(k[21:])})
		if h := comntr.Hash(k[1:21]); h != at {
			if err := settle(); err != nil {
				return err
			}
			at, found = h, topic{}
		}
		if e.held() {
			found.files++
			found.bytes += int64(e.size)
			if e.state == stateListed {
				found.count++
			}
		}
		return nil
	})
	if err = cmp.Or(err, settle()); err != nil {
		return err
	}
	for _, t := range s.topics {
		if t.files > 0 {
			topics--
		}
	}
	if topics != 0 {
		return fmt.Errorf("%w: topics that it counts have no entries", pebble.ErrCorruption)
	}
	return nil
}

// putTopics makes topics the published ones of their names, and returns by
// how much what they take of the disk has grown. mu is held, or nobody else
// knows the store yet.
func (s *Store) putTopics(topics []*topic) (grown int64) {
	slices.SortFunc(topics, func(a, b *topic) int { return cmp.Compare(a.changed(), b.changed()) })
	for _, t := range topics {
		old := s.topics[t.hash]
		if old == nil {
			old = &topic{hash: t.hash}
			old.place = s.byChange.PushBack(old)
			s.topics[t.hash] = old
			slot := s.slot(t.hash)
			s.slots[slot] = append(s.slots[slot], t.hash)
		} else if t.changed() != old.changed() {
			s.byChange.MoveToBack(old.place)
		}
		s.totals.Comments += t.count - old.count
		s.totals.Bytes += t.bytes - old.bytes
		grown += t.disk - old.disk
		if t.exists && !old.exists {
			s.totals.Topics++
		} else if !t.exists && old.exists {
			s.totals.Topics--
		}
		place := old.place
		*old = *t
		old.place = place
	}
	return grown
}

// diskUsed is what this store has counted against its Disk.
func (s *Store) diskUsed() int64 {
	var n int64
	for _, t := range s.topics {
		n += t.disk
	}
	return n
}

// Seq is the number of the last change of all.
func (s *Store) Seq() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seq
}

// TopicSeq is the number of the last change of a topic's listing; ok is false
// where there is no such topic folder.
func (s *Store) TopicSeq(topic comntr.Hash) (seq uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.topics[topic]
	if t == nil || !t.exists {
		return 0, false
	}
	return t.seq, true
}

// TopicsSince calls fn for every topic, empty ones too, whose listing changed
// after the number since, or which came into or went out of the listing of
// topics itself, in the order of the changes. listed tells whether it stands
// in that listing: its folder is there, and no other topic with the same slot
// has more comments, or as many and a smaller name. since 0 gives all topics.
// upTo is the number to ask from next time.
func (s *Store) TopicsSince(since uint64, fn func(topic comntr.Hash, listed bool) error) (upTo uint64, err error) {
	type change struct {
		topic  comntr.Hash
		listed bool
	}
	var changes []change
	s.mu.RLock()
	upTo = s.seq
	for e := s.byChange.Back(); e != nil; e = e.Prev() {
		t := e.Value.(*topic)
		if t.changed() <= since {
			break
		}
		changes = append(changes, change{t.hash, t.listed})
	}
	s.mu.RUnlock()
	for _, c := range slices.Backward(changes) {
		if err := fn(c.topic, c.listed); err != nil {
			return upTo, err
		}
	}
	return upTo, nil
}

// Listing calls fn with the net changes of a topic's listing after the number
// since, each with its number, in the order of the changes; since 0 gives the
// present listing, in the order of the names' slots. upTo is the topic's number to ask from next
// time. An unknown topic has an empty listing.
func (s *Store) Listing(topic comntr.Hash, since uint64, fn func(comment comntr.Hash, seq uint64, removed bool) error) (upTo uint64, err error) {
	prefix := topicKey(keyComment, topic)
	if since > 0 {
		prefix = topicKey(keyLog, topic)
	}
	o := within(prefix)
	if since > 0 {
		o.LowerBound = logKey(topic, since+1)
	}
	// The iterator is made while nothing can be published, so that it sees all
	// up to published and at most one commit more, which listedAt leaves out.
	s.mu.RLock()
	published := s.seq
	t := s.topics[topic]
	if t == nil || t.seq <= since {
		s.mu.RUnlock()
		return since, nil
	}
	upTo = t.seq
	it, err := s.db.NewIter(o)
	s.mu.RUnlock()
	if err != nil {
		return 0, fmt.Errorf("read the index: %w", err)
	}
	if since == 0 {
		err = listNow(it, published, fn)
	} else {
		err = listChanges(it, published, fn)
	}
	if err != nil {
		return 0, err
	}
	return upTo, nil
}

// Number is that of the change that listed a comment last; ok is false where none
// did.
func (s *Store) Number(topic, comment comntr.Hash) (seq uint64, ok bool) {
	e, ok, err := s.lookup(topic, comment)
	if err != nil {
		s.log.Error("reading the index failed", "topic", topic, "comment", comment, "err", err)
		return 0, false
	}
	return e.listed, ok && e.listed != 0
}

// At is the comment that a change of that number listed in a topic: the other way
// round of Number, for each number it ever gave.
func (s *Store) At(topic comntr.Hash, seq uint64) (comment comntr.Hash, ok bool) {
	if seq > s.Seq() {
		return comntr.Hash{}, false // not published
	}
	v, closer, err := s.db.Get(logKey(topic, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return comntr.Hash{}, false
	}
	if err != nil {
		s.log.Error("reading the index failed", "topic", topic, "err", err)
		return comntr.Hash{}, false
	}
	defer closer.Close()
	if len(v) != 21 || v[0] != opAdd {
		return comntr.Hash{}, false
	}
	return comntr.Hash(v[1:]), true
}

func listNow(it *pebble.Iterator, published uint64, fn func(comntr.Hash, uint64, bool) error) error {
	return scanIter(it, func(k, v []byte) error {
		comment, e, err := decodeComment(k, v)
		if err != nil || !e.listedAt(published) {
			return err
		}
		return fn(comment, e.listed, false)
	})
}

func listChanges(it *pebble.Iterator, published uint64, fn func(comntr.Hash, uint64, bool) error) error {
	type change struct {
		comment comntr.Hash
		seq     uint64
		op      byte
		last    bool // no later change of the same comment
		net     bool // the first and the last change are the same one, or of the same kind
	}
	var changes []change
	first := make(map[comntr.Hash]byte)
	err := scanLog(it, published, func(seq uint64, op byte, comment comntr.Hash) error {
		changes = append(changes, change{comment: comment, seq: seq, op: op})
		if first[comment] == 0 {
			first[comment] = op
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Changes of one comment alternate, so it was there before if its first
	// one is a removal, and nothing has changed if its last one is another.
	seen := make(map[comntr.Hash]struct{}, len(first))
	for i := range slices.Backward(changes) {
		c := &changes[i]
		if _, ok := seen[c.comment]; !ok {
			seen[c.comment] = struct{}{}
			c.last = true
			c.net = c.op == first[c.comment]
		}
	}
	for _, c := range changes {
		if c.last && c.net {
			if err := fn(c.comment, c.seq, c.op == opRemove); err != nil {
				return err
			}
		}
	}
	return nil
}

// scanLog reads a topic's log up to a number.
func scanLog(it *pebble.Iterator, upTo uint64, fn func(seq uint64, op byte, comment comntr.Hash) error) error {
	return scanIter(it, func(k, v []byte) error {
		if len(k) != 29 || len(v) != 21 {
			return fmt.Errorf("%w: a line of a topic's log has %d and %d bytes", pebble.ErrCorruption, len(k), len(v))
		}
		seq := binary.BigEndian.Uint64(k[21:])
		if seq > upTo {
			return nil
		}
		return fn(seq, v[0], comntr.Hash(v[1:]))
	})
}
