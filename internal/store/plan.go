package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// plan is a commit being put together: what will be in the index, which files
// will be written, and how to undo it.
type plan struct {
	s     *Store
	batch *pebble.Batch
	iter  *pebble.Iterator // over the entries, made when first needed
	ahead *plan            // the commit that this one is planned on top of, as if it were published; nil: there is none
	base  uint64           // the last number before this plan
	seq   uint64

	actIter *pebble.Iterator // over the edits and deletes, likewise

	topics   map[comntr.Hash]*topic // changed copies
	newSlots map[uint64][]comntr.Hash
	siblings map[slotPlace][]*sibling
	left     map[slotPlace]struct{} // slots whose listed name has left
	peers    map[string]uint32
	held     map[key]struct{}         // new comments
	healed   map[key]struct{}         // held comments whose files are written anew
	docs     map[key]*comntr.Document // of the comments that this plan brings
	acts     map[string][]comntr.Hash // edits and deletes that it brings, by actPrefix
	recheck  map[comntr.Hash]struct{} // topics that a listed comment left, and not because it was deleted
	nameless map[comntr.Hash]struct{} // topics whose name went with a comment: see rename
	special  bool                     // it does more than bring new comments: see Store.planGroup
	loosened bool                     // what was settled is no longer: see Store.Loosened
	events   []event
	logs     []func() // lines to log once it is published

	files    []file
	folders  map[comntr.Hash]int      // topic folders to make -> index of the item that first needs it
	gone     []key                    // files to unlink
	strays   []key                    // files to unlink that the index does not know, if they stand
	dropped  []comntr.Hash            // topics whose folders go, once they are empty
	lost     map[comntr.Hash]struct{} // topics with files that the index no longer knows
	touched  map[comntr.Hash]struct{} // topics with files or folders
	reserved int64                    // bytes taken from Disk
	full     bool                     // no room for anything new

	journaled    int
	journalBytes int64

	undoKeys [][]byte // keys that this plan makes
	undoSets []keyValue

	// Set by writeTree.
	mtimes      map[comntr.Hash]int64 // of the folders, as topic.mtime
	attempted   []key                 // files that may stand now and did not before; never healed ones
	madeFolders []comntr.Hash         // folders that may stand now and did not before
	unlinkLater []key                 // files that could not be unlinked
}

type keyValue struct{ key, value []byte }

type slotPlace struct {
	topic comntr.Hash
	slot  uint64
}

// sibling is an entry of a slot, nearly always the only one.
type sibling struct {
	comment comntr.Hash
	entry   entry
	before  []byte // its value in the index, nil if it is new
	dirty   bool
	dropped bool // to be deleted from the index
}

// file is one to be written.
type file struct {
	key
	bytes []byte
	item  int // index in the batch

	// Set by prepare and writeTree.
	tmp    string // its name under .ipfs/tmp; "": it has none
	loose  bool   // it has no name yet, and is open as fd
	fd     int
	placed bool  // it stands in its place, or need not
	err    error // it could not be written
}

// newPlan begins a plan of n items on top of the commit ahead, or of what is
// published.
func (s *Store) newPlan(n int) *plan {
	base, ahead := s.Seq(), (*plan)(nil)
	if s.ahead != nil {
		ahead = s.ahead.plan
		base = ahead.seq
	}
	return &plan{
		s:        s,
		batch:    s.db.NewBatch(),
		ahead:    ahead,
		base:     base,
		seq:      base,
		topics:   make(map[comntr.Hash]*topic, n),
		newSlots: make(map[uint64][]comntr.Hash),
		siblings: make(map[slotPlace][]*sibling, n),
		left:     make(map[slotPlace]struct{}),
		peers:    make(map[string]uint32),
		held:     make(map[key]struct{}, n),
		healed:   make(map[key]struct{}),
		docs:     make(map[key]*comntr.Document, n),
		acts:     make(map[string][]comntr.Hash),
		recheck:  make(map[comntr.Hash]struct{}),
		nameless: make(map[comntr.Hash]struct{}),
		folders:  make(map[comntr.Hash]int),
		lost:     make(map[comntr.Hash]struct{}),
		touched:  make(map[comntr.Hash]struct{}, n),
		mtimes:   make(map[comntr.Hash]int64, n),
		files:    make([]file, 0, n),
		events:   make([]event, 0, n),
		undoKeys: make([][]byte, 0, undoKeysEach*n),
	}
}

// undoKeysEach is how many keys a new comment makes: its entry, its line of the
// log, and its journal.
const undoKeysEach = 3

func (b *plan) close() {
	for _, it := range []*pebble.Iterator{b.iter, b.actIter} {
		if it != nil {
			it.Close() // its error was looked at after each seek
		}
	}
	b.batch.Close()
}

func (b *plan) empty() bool { return b.seq == b.base }

// plan decides on every item of a batch and sets its result. An error means
// that the index cannot be read.
func (s *Store) plan(batch []work) (*plan, error) {
	b := s.newPlan(len(batch))
	var need int64
	for _, w := range batch {
		need += int64(w.size())*writeFactor + itemOverhead
	}
	b.full = !s.room(need)
	for i, w := range batch {
		*w.result = Result{}
		var err error
		b.special = b.special || w.kind != itemAdd
		switch w.kind {
		case itemAdd:
			w.result.Created, err = b.add(w.doc, w.from, i)
		case itemTopic:
			w.result.Created, err = b.addTopic(w.topic, w.from, i)
		case itemStrike:
			err = b.take(w.topic, w.comment, w.state)
		case itemForget:
			err = b.forgetDenied(w.topic, w.comment)
		case itemDropTopic:
			err = b.dropTopic(w.topic)
		case itemLoosen:
			b.seq++
			b.loosened = true
		}
		if errors.Is(err, errIndex) {
			b.abandon()
			return nil, err
		}
		w.result.Err = err
	}
	if err := b.finish(); err != nil {
		b.abandon()
		return nil, err
	}
	return b, nil
}

func (b *plan) abandon() {
	b.s.disk.release(b.reserved)
	b.close()
}

// errIndex marks an error of the index, as opposed to a refusal of one item.
var errIndex = errors.New("index")

// topic returns the plan's copy of a topic, nil if the topic was never there.
func (b *plan) topic(h comntr.Hash) *topic {
	if t := b.topics[h]; t != nil {
		return t
	}
	t, ok := b.before(h)
	if !ok {
		return nil
	}
	b.topics[h] = &t
	return &t
}

// before returns a topic as it is before this plan.
func (b *plan) before(h comntr.Hash) (t topic, ok bool) {
	if b.ahead != nil && b.ahead.topics[h] != nil {
		return *b.ahead.topics[h], true
	}
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	if old := b.s.topics[h]; old != nil {
		return *old, true
	}
	return topic{}, false
}

// rivals returns the topics that had a slot before this plan.
func (b *plan) rivals(slot uint64) []comntr.Hash {
	b.s.mu.RLock()
	known := b.s.slots[slot]
	b.s.mu.RUnlock()
	if b.ahead == nil {
		return known
	}
	for _, h := range b.ahead.newSlots[slot] {
		if !slices.Contains(known, h) { // it may be published by now
			known = append(slices.Clone(known), h)
		}
	}
	return known
}

// folder returns the copy of a topic that has or will have a folder.
func (b *plan) folder(h comntr.Hash, from string, item int) *topic {
	t := b.topic(h)
	if t == nil {
		t = &topic{hash: h}
		b.topics[h] = t
		slot := b.s.slot(h)
		b.newSlots[slot] = append(b.newSlots[slot], h)
	}
	if !t.exists {
		t.exists = true
		t.from = b.peer(from)
		t.disk += blockSize
		t.mtime = 0
		b.folders[h] = item
	}
	b.touched[h] = struct{}{}
	return t
}

// peer returns the number that stands for a peer's key in the index.
func (b *plan) peer(from string) uint32 {
	if from == "" {
		return 0
	}
	if n, ok := b.s.peers[from]; ok {
		return n
	}
	if n, ok := b.peers[from]; ok {
		return n
	}
	n := uint32(len(b.s.peers) + len(b.peers) + 1)
	b.peers[from] = n
	return n
}

// slot returns the entries of a slot as the plan has left them so far.
func (b *plan) slot(topic comntr.Hash, slot uint64) ([]*sibling, error) {
	place := slotPlace{topic, slot}
	if found, ok := b.siblings[place]; ok {
		return found, nil
	}
	if !b.s.taken.mayHave(place) {
		return nil, nil // nearly always
	}
	if b.iter == nil {
		it, err := b.s.db.NewIter(within([]byte{keyComment}))
		if err != nil {
			return nil, errors.Join(errIndex, err)
		}
		b.iter = it
	}
	prefix := slotKey(topic, slot)
	var found []*sibling
	for ok := b.iter.SeekPrefixGE(prefix); ok; ok = b.iter.Next() {
		k := b.iter.Key()
		if len(k) != commentKeyLength {
			return nil, fmt.Errorf("%w: %w: a comment's key has %d bytes", errIndex, pebble.ErrCorruption, len(k))
		}
		v, err := b.iter.ValueAndErr()
		if err != nil {
			return nil, errors.Join(errIndex, err)
		}
		e, err := decodeEntry(v)
		if err != nil {
			return nil, errors.Join(errIndex, err)
		}
		found = append(found, &sibling{comment: comntr.Hash(k[slotKeyLength:]), entry: e, before: bytes.Clone(v)})
	}
	if err := b.iter.Error(); err != nil {
		return nil, errors.Join(errIndex, err)
	}
	b.siblings[place] = found
	return found, nil
}

// add plans a document. It decides by what the index and the plan so far
// hold, so that the outcome does not depend on how documents fall into
// commits.
func (b *plan) add(doc *comntr.Document, from string, item int) (created bool, err error) {
	topic, id := doc.Place().Topic, doc.ID()
	slot := b.s.slot(id)
	if err := b.relist(slotPlace{topic, slot}); err != nil {
		return false, err
	}
	found, err := b.slot(topic, slot)
	if err != nil {
		return false, err
	}
	b.special = b.special || len(found) > 0 || doc.Kind() == comntr.KindDelete
	if b.special && b.ahead != nil {
		return false, nil // it will be planned again, with nothing ahead
	}
	var own, listed *sibling
	for _, o := range found {
		if o.comment == id && !o.dropped {
			own = o
		} else if o.entry.state == stateListed {
			listed = o
		}
	}
	if own != nil && own.entry.state == stateGone {
		return false, ErrGone
	}
	if rule, denied := b.s.deny.Load().File(doc.Place(), id, doc.Bytes()); denied {
		if b.special = true; b.ahead != nil {
			return false, nil // not counted now, as it will be then
		}
		b.s.refusals.count(rule, b.s.log)
		return false, b.refuse(topic, id, own, stateDenied, fmt.Errorf("%w (line %d)", ErrDenied, rule.Line))
	}
	if own != nil && own.entry.state == stateDenied { // by a list that has changed since
		b.forget(own)
		own = nil
	}
	deleted, err := b.deleted(doc)
	if err != nil {
		return false, err
	}
	if deleted {
		return false, b.refuse(topic, id, own, stateGone, ErrGone)
	}
	if own != nil {
		return false, b.heal(doc, own, item)
	}
	e := entryOf(doc)
	if listed != nil && listed.precedes(e, id) {
		return false, fmt.Errorf("%w: %s has it", ErrSlotTaken, listed.comment)
	}
	if b.full {
		return false, errNoRoom
	}
	take := onDisk(int64(doc.Size()))
	if t := b.topic(topic); t == nil || !t.exists {
		take += blockSize
	}
	if !b.s.disk.reserve(take, from != "") {
		return false, fmt.Errorf("%w: comntr may use %d bytes", ErrFull, b.s.disk.max)
	}
	b.reserved += take
	t := b.folder(topic, from, item)
	if listed != nil {
		b.unlist(t, listed, stateUnlisted)
	}
	e.from = b.peer(from)
	o := b.insert(t, doc, e)
	b.journalSet(b.seq+1, opAdd, topic, id, doc.Bytes())
	b.files = append(b.files, file{key: key{topic, id}, bytes: doc.Bytes(), item: item})
	b.held[key{topic, id}] = struct{}{}
	return true, b.list(t, o)
}

// refuse remembers that a comment is not to be had here, where its topic is
// known, so that nobody fetches it again, and takes away what stands of it.
func (b *plan) refuse(topic, id comntr.Hash, own *sibling, state byte, why error) error {
	b.special = true
	t := b.topic(topic)
	switch {
	case t == nil:
	case own == nil:
		b.bury(t, id, state)
		b.strays = append(b.strays, key{topic, id}) // of one that was lost: see lose
	case own.entry.state != state:
		b.strike(t, own, state)
	}
	return why
}

// heal looks whether the file of a comment that is held has its bytes, and
// plans to journal and write it anew if not: who posts it may be the only one
// left who has them. The entry stays as it is, whatever comes of it.
func (b *plan) heal(doc *comntr.Document, o *sibling, item int) error {
	s, k := b.s, key{doc.Place().Topic, o.comment}
	if _, planned := b.healed[k]; planned || o.before == nil { // of this very plan
		return nil
	}
	_, same, err := s.holds(s.path(k.topic, k.comment), doc.Bytes())
	if err != nil {
		return fmt.Errorf("look at the file of a comment that is held: %w", err)
	}
	if _, unproven := s.healing[k]; same && !unproven {
		s.damage.forget(k) // other hands have put it right
		return nil
	}
	if b.full {
		return errNoRoom
	}
	s.healing[k] = struct{}{}
	b.seq++
	b.journalSet(b.seq, opAdd, k.topic, k.comment, doc.Bytes())
	b.files = append(b.files, file{key: k, bytes: doc.Bytes(), item: item})
	b.healed[k] = struct{}{}
	b.touched[k.topic] = struct{}{}
	b.logs = append(b.logs, func() {
		s.log.Warn("a comment's file was damaged or missing: it was written anew", "topic", k.topic, "comment", k.comment)
	})
	return nil
}

// insert puts a document's new entry into its slot, not listed yet, and counts
// its file.
func (b *plan) insert(t *topic, doc *comntr.Document, e entry) *sibling {
	e.state = stateUnlisted
	o := b.sibling(t.hash, doc.ID())
	o.entry, o.dirty = e, true
	t.files++
	t.bytes += int64(e.size)
	t.disk += onDisk(int64(e.size))
	b.docs[key{t.hash, doc.ID()}] = doc
	b.putAct(t, doc)
	t.learn(doc)
	return o
}

// entryOf is a document's new entry.
func entryOf(doc *comntr.Document) entry {
	kind := doc.Kind()
	return entry{size: uint32(doc.Size()), delete: kind == comntr.KindDelete, silent: kind != comntr.KindComment}
}

// precedes is the order in a slot, whose first is listed: deletes, then others,
// the smaller name first. So only deletes, which stay for ever, keep a delete
// from being listed, and what they remove does not depend on what came first.
func (o *sibling) precedes(e entry, id comntr.Hash) bool {
	if o.entry.delete != e.delete {
		return o.entry.delete
	}
	return o.comment.Compare(id) < 0
}

// sibling returns a place for an entry that is not in the index, in a slot that
// was looked at.
func (b *plan) sibling(topic, id comntr.Hash) *sibling {
	place := slotPlace{topic, b.s.slot(id)}
	for _, o := range b.siblings[place] {
		if o.comment == id {
			o.dropped = false
			return o
		}
	}
	o := &sibling{comment: id}
	b.siblings[place] = append(b.siblings[place], o)
	return o
}

// list brings an entry into the topic's listing. A delete counts from then on.
func (b *plan) list(t *topic, o *sibling) error {
	b.seq++
	o.entry.state, o.entry.listed, o.entry.ended = stateListed, b.seq, 0
	if o.before != nil {
		if e, err := decodeEntry(o.before); err == nil && e.state == stateListed {
			o.entry.listed = e.listed // it left in this very plan, and until that is published it is listed
		}
	}
	o.dirty = true
	t.count++
	if !o.entry.silent {
		t.shown++
	}
	t.seq = b.seq
	b.logLine(t.hash, opAdd, o.comment)
	b.events = append(b.events, event{b.seq, t.hash, o.comment})
	if !o.entry.delete {
		return nil
	}
	doc, err := b.document(t.hash, o)
	if err != nil || doc == nil {
		return err
	}
	return b.obey(t, doc)
}

// unlist takes a listed entry out of the listing. If it was a delete it no
// longer counts.
func (b *plan) unlist(t *topic, o *sibling, state byte) {
	b.seq++
	o.entry.state, o.entry.ended = state, b.seq
	o.dirty = true
	t.count--
	if !o.entry.silent {
		t.shown--
	}
	t.seq = b.seq
	b.logLine(t.hash, opRemove, o.comment)
	if o.entry.delete {
		b.recheck[t.hash] = struct{}{}
	}
}

// leave takes an entry's file out of the count and, if it was listed, out of
// the listing. Another name of the slot may take its place: see relist.
func (b *plan) leave(t *topic, o *sibling, state byte) {
	if o.entry.state == stateListed {
		b.unlist(t, o, state)
		b.left[slotPlace{t.hash, b.s.slot(o.comment)}] = struct{}{}
	} else {
		b.seq++
		o.entry.state, o.entry.ended = state, b.seq
		o.dirty = true
	}
	if t.namedBy == o.comment { // its bytes go, and the name is among them
		t.name, t.namedBy = "", comntr.Hash{}
		b.nameless[t.hash] = struct{}{}
	}
	t.files--
	t.bytes -= int64(o.entry.size)
	t.disk -= onDisk(int64(o.entry.size))
}

// strike takes a comment that is held away. Its file is unlinked once that is
// in the index, and again at the next start if that fails.
func (b *plan) strike(t *topic, o *sibling, state byte) {
	k := key{t.hash, o.comment}
	b.leave(t, o, state)
	b.seq++
	b.journalSet(b.seq, opRemove, k.topic, k.comment, nil)
	b.gone = append(b.gone, k)
	b.touched[k.topic] = struct{}{}
}

// bury remembers a comment that is not held as gone or denied.
func (b *plan) bury(t *topic, id comntr.Hash, state byte) {
	b.seq++
	o := b.sibling(t.hash, id)
	o.entry, o.dirty = entry{state: state, ended: b.seq}, true
}

// forget drops what is known of a comment that is not held: it may come again.
func (b *plan) forget(o *sibling) {
	b.seq++
	o.dirty, o.dropped = true, true
	b.loosened = true
}

// relist lists the first of a slot whose listed one has left. It waits
// until the slot is looked at again or the plan ends, because what stands now
// may leave too.
func (b *plan) relist(place slotPlace) error {
	if _, left := b.left[place]; !left {
		return nil
	}
	delete(b.left, place)
	var next *sibling
	for _, o := range b.siblings[place] {
		if o.entry.state == stateUnlisted && !o.dropped && (next == nil || o.precedes(next.entry, next.comment)) {
			next = o
		}
	}
	if next == nil {
		return nil
	}
	return b.list(b.topic(place.topic), next)
}

// take plans that a comment is taken away, held or not.
func (b *plan) take(topic, comment comntr.Hash, state byte) error {
	o, err := b.find(topic, comment)
	switch {
	case err != nil:
		return err
	case o == nil:
		return ErrNotFound
	case o.entry.held():
		b.strike(b.topic(topic), o, state)
	}
	return nil
}

// find returns a comment's entry, nil where there is none.
func (b *plan) find(topic, comment comntr.Hash) (*sibling, error) {
	found, err := b.slot(topic, b.s.slot(comment))
	if err != nil {
		return nil, err
	}
	for _, o := range found {
		if o.comment == comment && !o.dropped {
			return o, nil
		}
	}
	return nil, nil
}

// addTopic plans an empty topic folder.
func (b *plan) addTopic(topic comntr.Hash, from string, item int) (created bool, err error) {
	if t := b.topic(topic); t != nil && t.exists {
		return false, nil
	}
	if b.s.Denied(topic) {
		return false, ErrDenied
	}
	if b.full {
		return false, errNoRoom
	}
	if !b.s.disk.reserve(blockSize, from != "") {
		return false, fmt.Errorf("%w: comntr may use %d bytes", ErrFull, b.s.disk.max)
	}
	b.reserved += blockSize
	t := b.folder(topic, from, item)
	b.seq++
	t.seq = b.seq
	b.journalSet(b.seq, opFolder, topic, comntr.Hash{}, nil)
	return true, nil
}

// dropTopic plans that the folder of a denied topic goes, which holds nothing.
func (b *plan) dropTopic(topic comntr.Hash) error {
	t := b.topic(topic)
	if t == nil || !t.exists || t.files > 0 || !b.s.Denied(topic) {
		return nil
	}
	b.seq++
	t.seq, t.exists, t.disk, t.mtime = b.seq, false, t.disk-blockSize, 0
	b.dropped = append(b.dropped, topic)
	return nil
}

func (b *plan) logLine(topic comntr.Hash, op byte, comment comntr.Hash) {
	k := logKey(topic, b.seq)
	into := b.batch.SetDeferred(len(k), 1+len(comment))
	copy(into.Key, k)
	into.Value[0] = op
	copy(into.Value[1:], comment[:])
	into.Finish()
	b.undoKeys = append(b.undoKeys, k)
}

func (b *plan) journalSet(seq uint64, op byte, topic, comment comntr.Hash, bytes []byte) {
	k := journalKey(seq)
	into := b.batch.SetDeferred(len(k), journalEntryBytes+len(bytes))
	copy(into.Key, k)
	into.Value[0] = op
	copy(into.Value[1:], topic[:])
	copy(into.Value[1+len(topic):], comment[:])
	copy(into.Value[journalEntryBytes:], bytes)
	into.Finish()
	b.undoKeys = append(b.undoKeys, k)
	b.journaled++
	b.journalBytes += journalEntryBytes + int64(len(bytes))
}

// set writes a key that may be there already, for the undo with its old value.
func (b *plan) set(k, v, before []byte) {
	b.batch.Set(k, v, nil)
	if before == nil {
		b.undoKeys = append(b.undoKeys, k)
	} else {
		b.undoSets = append(b.undoSets, keyValue{k, before})
	}
}

// finish settles which topics are listed and writes what has changed into the
// batch.
func (b *plan) finish() error {
	for len(b.left)+len(b.recheck) > 0 { // each can cause the other
		for place := range b.left {
			if err := b.relist(place); err != nil {
				return err
			}
		}
		if err := b.release(); err != nil {
			return err
		}
	}
	if err := b.rename(); err != nil {
		return err
	}
	b.settleTopics()
	if b.empty() {
		return nil
	}
	for place, slot := range b.siblings {
		for _, o := range slot {
			if !o.dirty {
				continue
			}
			k := commentKey(place.topic, place.slot, o.comment)
			switch {
			case !o.dropped:
				b.s.taken.add(place)
				b.set(k, o.entry.encode(), o.before)
			case o.before != nil:
				b.batch.Delete(k, nil)
				b.undoSets = append(b.undoSets, keyValue{k, o.before})
			}
			if o.entry.state == stateUnlisted && !o.dropped && (o.before == nil || o.before[0] == stateListed) {
				topic, comment, log := place.topic, o.comment, b.s.log
				b.logs = append(b.logs, func() {
					log.Info("a comment is no longer listed: another one has its slot", "topic", topic, "comment", comment)
				})
			}
		}
	}
	for h, t := range b.topics {
		old, ok := b.before(h)
		if ok && old == *t {
			delete(b.topics, h)
			continue
		}
		var before []byte
		if ok {
			before = old.encode()
		}
		b.set(topicKey(keyTopic, h), t.encode(), before)
	}
	for from, n := range b.peers {
		b.set(peerKey(n), []byte(from), nil)
	}
	b.batch.Set(metaKey(metaSeq), appendUint64(nil, b.seq), nil)
	if b.loosened {
		b.batch.Set(metaKey(metaLoosened), appendUint64(nil, b.seq), nil)
	}
	if len(b.gone) > 0 {
		b.batch.Set(scrubKey(b.seq), nil, nil)
	}
	return nil
}

// How far a plan looks for names. Authors can make it look as often as they post and
// delete, in as many topics as they like, and everybody waits meanwhile.
const (
	maxNameFiles   = 64
	maxNameEntries = 4096
)

// errEnough ends a scan that has found what it looked for, or has looked enough.
var errEnough = errors.New("enough")

// rename looks for other documents that say the names of topics, after those that
// they were learned from have left: among what the plan brings, which has no files
// yet, then in the files.
func (b *plan) rename() error {
	for k, doc := range b.docs {
		if _, ok := b.nameless[k.topic]; ok {
			if err := b.learnFrom(k, func() (*comntr.Document, error) { return doc, nil }); err != nil {
				return err
			}
		}
	}
	entries, files := 0, 0
	for h := range b.nameless {
		err := b.s.scan(within(topicKey(keyComment, h)), func(k, v []byte) error {
			if b.topic(h).name != "" || entries >= maxNameEntries || files >= maxNameFiles {
				return errEnough
			}
			entries++
			id, e, err := decodeComment(k, v)
			if err != nil || !e.held() {
				return err
			}
			return b.learnFrom(key{h, id}, func() (*comntr.Document, error) {
				files++
				return b.document(h, &sibling{comment: id, entry: e})
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			return errors.Join(errIndex, err)
		}
	}
	return nil
}

// learnFrom has a topic without a name learn it from a document, if that is held.
func (b *plan) learnFrom(k key, get func() (*comntr.Document, error)) error {
	t := b.topic(k.topic)
	if t.name != "" {
		return nil
	}
	o, err := b.find(k.topic, k.comment)
	if err != nil || o == nil || !o.entry.held() {
		return err
	}
	doc, err := get()
	if err == nil && doc != nil {
		t.learn(doc)
	}
	return err
}

// settleTopics applies the community's slot rule to what the plan changed.
func (b *plan) settleTopics() {
	settled := make(map[uint64]bool)
	for _, t := range slices.Collect(maps.Values(b.topics)) { // b.topic adds to them
		slot := b.s.slot(t.hash)
		known, made := b.rivals(slot), b.newSlots[slot]
		if len(known)+len(made) == 1 {
			t.listed = t.exists
			continue
		}
		b.special = true
		if settled[slot] {
			continue
		}
		settled[slot] = true
		rivals := slices.Concat(known, made)
		var best *topic
		for _, h := range rivals {
			if r := b.topic(h); best == nil || r.beats(best) {
				best = r
			}
		}
		for _, h := range rivals {
			r := b.topic(h)
			if listed := r == best && r.exists; listed != r.listed {
				r.listed = listed
				b.seq++
				r.flip = b.seq
				b.logs = append(b.logs, func() {
					b.s.log.Info("two topics have one slot: the one with more comments is listed", "topic", h, "listed", listed)
				})
			}
		}
	}
}

// commit makes the plan durable. Pebble stops the process where it cannot
// write its log: see indexLogger.
func (b *plan) commit() error {
	if err := b.apply(); err != nil {
		return err
	}
	return b.batch.SyncWait()
}

// apply puts the plan into the index, and has Pebble make it durable: SyncWait
// of the batch, which must follow, tells when that is done.
func (b *plan) apply() error {
	if err := b.s.db.ApplyNoSyncWait(b.batch, pebble.Sync); err != nil {
		return err
	}
	for from, n := range b.peers {
		b.s.peers[from] = n
	}
	return nil
}

// undoIndex takes a committed plan back out of the index.
func (b *plan) undoIndex() error {
	for from := range b.peers {
		delete(b.s.peers, from)
	}
	u := b.s.db.NewBatch()
	defer u.Close()
	for _, k := range b.undoKeys {
		u.Delete(k, nil)
	}
	for _, kv := range b.undoSets {
		u.Set(kv.key, kv.value, nil)
	}
	return u.Commit(pebble.Sync)
}
