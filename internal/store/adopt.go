package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// adopt brings the index up to the tree, which other hands may have changed
// while the store was closed: files copied in are listed, files taken away are
// dropped from the listing (replication brings them back), folders made by
// hand are topics. It looks only into folders whose modification time is not
// the recorded one.
func (s *Store) adopt() error {
	a := adoption{s: s, mtimes: make(map[comntr.Hash]int64), unread: make(map[comntr.Hash]struct{}), adopted: make(map[comntr.Hash][]comntr.Hash)}
	defer a.close()
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	there := make(map[comntr.Hash]struct{}, len(names))
	for _, name := range names {
		if name == ".ipfs" {
			continue
		}
		h, err := comntr.ParseHash(name)
		if err != nil {
			a.strays++
			continue
		}
		fi, err := s.lstat(s.topicPath(h))
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			a.strays++
			continue
		}
		there[h] = struct{}{}
		mtime := fi.ModTime().UnixNano()
		if t := s.topics[h]; s.native && t != nil && t.exists && t.mtime == mtime {
			continue
		}
		if time.Since(fi.ModTime()) < racy {
			mtime = 0 // something may still be written that leaves the time as it is
		}
		if err := a.compare(h); err != nil {
			return fmt.Errorf("topic %s: %w", h, err)
		}
		if _, unread := a.unread[h]; unread {
			mtime = 0 // the next start looks again
		}
		a.mtimes[h] = mtime
		if s.Denied(h) {
			if err := a.dropTopic(h); err != nil {
				return fmt.Errorf("topic %s: %w", h, err)
			}
		}
	}
	for h, t := range s.topics {
		if _, ok := there[h]; ok || !t.exists {
			continue
		}
		if err := a.vanish(h); err != nil {
			return fmt.Errorf("topic %s: %w", h, err)
		}
	}
	return a.end()
}

// adoption is the comparison of the tree with the index under way.
type adoption struct {
	s       *Store
	plan    *plan
	planned int
	mtimes  map[comntr.Hash]int64
	unread  map[comntr.Hash]struct{} // topics with files that could not be read just now

	adopted map[comntr.Hash][]comntr.Hash // to be synced one by one where there is no syncfs
	pending []comntr.Raw                  // files that were read and wait to be adopted
	names   []comntr.Hash                 // theirs
	bytes   int                           // of them
	taken   int                           // files adopted
	refused int                           // files that are deleted or denied, and were taken away
	dropped int                           // files that were taken away
	strays  int                           // what is no comment and no topic

	vanished int // topics whose folders were taken away
}

// name is a file's name and its place in the order of the index.
type name struct {
	slot uint64
	hash comntr.Hash
}

func (n name) compare(o name) int {
	return cmp.Or(cmp.Compare(n.slot, o.slot), n.hash.Compare(o.hash))
}

// compare brings one topic's entries up to its folder.
func (a *adoption) compare(topic comntr.Hash) error {
	list, err := a.s.fs.List(a.s.topicPath(topic))
	if err != nil {
		return err
	}
	names := make([]name, 0, len(list))
	for _, s := range list {
		h, err := comntr.ParseHash(s)
		if err != nil {
			a.strays++
			continue
		}
		names = append(names, name{a.s.slot(h), h})
	}
	slices.SortFunc(names, name.compare)
	if t := a.s.topics[topic]; t == nil || !t.exists {
		p := a.next()
		t := p.folder(topic, "", 0)
		p.seq++
		t.seq = p.seq
	}
	i := 0
	upTo := func(end *name) error { // names before end are not in the index
		for ; i < len(names) && (end == nil || names[i].compare(*end) < 0); i++ {
			if err := a.take(topic, names[i].hash); err != nil {
				return err
			}
		}
		return nil
	}
	err = a.entries(topic, func(comment comntr.Hash, e entry) error {
		n := name{a.s.slot(comment), comment}
		if err := upTo(&n); err != nil {
			return err
		}
		stands := i < len(names) && names[i] == n
		if stands {
			i++
		}
		switch {
		case stands && !e.held():
			if e.state == stateDenied {
				return a.again(topic, comment)
			}
			return a.s.unlink(key{topic, comment})
		case !stands && e.held():
			return a.drop(topic, comment)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(upTo(nil), a.adoptPending()); err != nil {
		return err
	}
	return a.flush()
}

// entries calls fn with what the index knew of a topic when it was called.
func (a *adoption) entries(topic comntr.Hash, fn func(comntr.Hash, entry) error) error {
	return a.s.scan(within(topicKey(keyComment, topic)), func(k, v []byte) error {
		comment, e, err := decodeComment(k, v)
		if err != nil {
			return err
		}
		return fn(comment, e)
	})
}

// next returns the plan under way, a new one after each full one.
func (a *adoption) next() *plan {
	if a.plan == nil {
		a.plan = a.s.newPlan(0)
	}
	a.planned++
	return a.plan
}

// flush commits and publishes what is planned.
func (a *adoption) flush() error {
	p := a.plan
	if p == nil {
		return nil
	}
	a.plan, a.planned = nil, 0
	defer p.close()
	if err := p.finish(); err != nil || p.empty() {
		return err
	}
	if err := p.commit(); err != nil {
		return err
	}
	a.s.takeAway(p)
	a.s.publish(p, false)
	for h := range p.lost {
		a.unread[h] = struct{}{}
	}
	return nil
}

// close lets go of what an error left planned: the index cannot be closed before.
func (a *adoption) close() {
	if a.plan != nil {
		a.plan.close()
	}
}

func (a *adoption) flushFull() error {
	if a.planned < maxBatchItems {
		return nil
	}
	return a.flush()
}

// take reads a file that the index does not know, to be adopted if it is a
// comment.
func (a *adoption) take(topic, comment comntr.Hash) error {
	path := a.s.path(topic, comment)
	fi, err := a.s.lstat(path)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || fi.Size() > comntr.MaxDocument {
		a.strays++
		return nil
	}
	b, err := a.s.readFile(path, fi.Size())
	if errors.Is(err, fs.ErrPermission) || err != nil && unreadable(err) {
		a.strays++
		a.unread[topic] = struct{}{}
		return nil
	}
	if err != nil {
		return err
	}
	a.pending = append(a.pending, comntr.Raw{Place: comntr.Place{Community: a.s.community, Topic: topic}, Bytes: b})
	a.names = append(a.names, comment)
	if a.bytes += len(b); a.bytes < maxChunkBytes && len(a.pending) < maxChunkItems {
		return nil
	}
	return a.adoptPending()
}

// adoptPending adopts the files that were read, which are verified on all
// cores.
func (a *adoption) adoptPending() error {
	docs, _ := comntr.ParseDocuments(a.pending)
	names := a.names
	a.pending, a.names, a.bytes = nil, nil, 0
	for i, doc := range docs {
		if doc == nil || doc.ID() != names[i] {
			a.strays++
			continue
		}
		adopted, err := a.next().adopt(doc)
		if err != nil {
			return err
		}
		if !adopted {
			a.refused++
		} else if a.taken++; !a.s.native || !hasSyncfs {
			topic := doc.Place().Topic
			a.adopted[topic] = append(a.adopted[topic], doc.ID())
		}
		if err := a.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// again looks at a file that other hands have put back, or that was denied: a
// list that has changed since may allow it.
func (a *adoption) again(topic, comment comntr.Hash) error {
	p := a.next()
	o, err := p.find(topic, comment)
	if err != nil || o == nil {
		return err
	}
	p.forget(o)
	return a.take(topic, comment)
}

// dropTopic takes away the folder of a topic that is denied.
func (a *adoption) dropTopic(topic comntr.Hash) error {
	if err := a.next().dropTopic(topic); err != nil {
		return err
	}
	return a.flush()
}

func (a *adoption) drop(topic, comment comntr.Hash) error {
	if err := a.next().drop(topic, comment); err != nil {
		return err
	}
	a.dropped++
	return a.flushFull()
}

// vanish drops a topic whose folder was taken away.
func (a *adoption) vanish(topic comntr.Hash) error {
	err := a.entries(topic, func(comment comntr.Hash, e entry) error {
		if !e.held() {
			return nil
		}
		return a.drop(topic, comment)
	})
	if err != nil {
		return err
	}
	p := a.next()
	t := p.topic(topic)
	p.seq++
	t.seq, t.exists, t.disk = p.seq, false, t.disk-blockSize
	a.mtimes[topic] = 0
	a.vanished++
	return a.flush()
}

// end makes adopted files durable, because a POST of one of them will be
// answered as already held, and records the folders' times.
func (a *adoption) end() error {
	s := a.s
	if a.taken > 0 || a.refused > 0 || a.dropped > 0 || a.vanished > 0 || a.strays > 0 {
		s.log.Warn("other hands changed the files: comments among them were adopted, missing ones are no longer listed",
			"added", a.taken, "refused", a.refused, "missing", a.dropped, "missingTopics", a.vanished, "leftAlone", a.strays)
	}
	if a.taken > 0 {
		if err := a.sync(); err != nil {
			return fmt.Errorf("make adopted files durable: %w", err)
		}
	}
	b := s.db.NewBatch()
	defer b.Close()
	s.recordTimes(b, a.mtimes)
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	for h, mtime := range a.mtimes {
		if t := s.topics[h]; t != nil {
			t.mtime = mtime
		}
	}
	return nil
}

func (a *adoption) sync() error {
	if a.s.native && hasSyncfs {
		return a.s.syncTree(a.s.seq)
	}
	topics := make(map[comntr.Hash]struct{})
	for topic, comments := range a.adopted {
		topics[topic] = struct{}{}
		for _, c := range comments {
			// One may have been deleted by another that came after it.
			if err := a.s.syncFile(a.s.path(topic, c)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return a.s.syncFolders(topics)
}

// adopt plans a file that stands already. A name that loses its slot is kept
// unlisted; what is denied or deleted is taken away.
func (b *plan) adopt(doc *comntr.Document) (adopted bool, err error) {
	topic, id := doc.Place().Topic, doc.ID()
	place := slotPlace{topic, b.s.slot(id)}
	if err := b.relist(place); err != nil {
		return false, err
	}
	found, err := b.slot(topic, place.slot)
	if err != nil {
		return false, err
	}
	deleted, err := b.deleted(doc)
	if err != nil {
		return false, err
	}
	t := b.folder(topic, "", 0)
	o := b.insert(t, doc, entryOf(doc))
	if _, denied := b.s.denies(doc); denied {
		b.strike(t, o, stateDenied)
		return false, nil
	}
	if deleted {
		b.strike(t, o, stateGone)
		return false, nil
	}
	for _, other := range found {
		if other.entry.state != stateListed {
			continue
		}
		if other.precedes(o.entry, id) {
			b.seq++ // the topic's record changes
			return true, nil
		}
		b.unlist(t, other, stateUnlisted)
	}
	return true, b.list(t, o)
}

// drop plans that an entry's file is no longer there.
func (b *plan) drop(topic, id comntr.Hash) error {
	o, err := b.find(topic, id)
	if err != nil || o == nil {
		return err
	}
	b.leave(b.topic(topic), o, stateGone)
	o.dropped = true
	return nil
}
