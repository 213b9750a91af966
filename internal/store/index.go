package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/comntr/comntr"
)

// The index is one Pebble database. Numbers in keys are big endian, so that
// keys sort by them; numbers in values are uvarints.
//
//	c topic(20) slot(8) comment(20)   entry: what is known of a comment. One
//	                                  topic's keys are in HAMT order, and names
//	                                  with one slot stand side by side
//	l topic(20) seq(8)                op(1) comment(20): the topic's log
//	t topic(20)                       topic: numbers and counts
//	m topic(20)                       modification time (ns) of the folder when
//	                                  it was last known to equal the index
//	j seq(8)                          op(1) topic(20) comment(20) bytes: the journal
//	p number(4)                       key of a peer that gave files
//	a topic(20) target(20) kind(1) key(32) comment(20)
//	                                  an edit (kind e) or delete (d) by a key of a
//	                                  target. It stays when the comment has left,
//	                                  and counts only by the comment's own entry
//	M name                            meta: format, epoch, last number
const (
	keyComment = 'c'
	keyLog     = 'l'
	keyTopic   = 't'
	keyTime    = 'm'
	keyJournal = 'j'
	keyPeer    = 'p'
	keyAct     = 'a'
	keyMeta    = 'M'
)

const (
	metaFormat  = "format"
	metaEpoch   = "epoch"
	metaSeq     = "seq"
	metaRewrite = "rewrite" // a sync failed: files of the journal must be written anew before one is trusted

	metaLoosened = "loosened" // Store.Loosened
	metaScrub    = "scrub"    // and a change's number: bytes of what it took away may be in the index's own files
	metaDenied   = "denied"   // Denylist.Sum of the list that was applied last
)

// indexFormat changes when keys or values mean something else.
const indexFormat = 3

// Bounds of the database's own memory.
const (
	memTableSize = 2 << 20 // bytes; of as many are the logs, of which Pebble keeps four
	// cacheSize is what blocks may take and the memtables, of which there are two
	// or three: Pebble counts these with it. Where it is no more than they are, each
	// post reads its blocks from the files again.
	cacheSize    = 12 << 20 // bytes
	maxOpenFiles = 256
	bloomBits    = 10 // a key

	// stopTables is how many flushed tables may wait to be merged: then writes do.
	stopTables = 96
)

// mergeTables is twice the flushed tables that are merged into the others at a time:
// sixteen, not two as Pebble would. Each time all that the index has is written anew,
// which was a tenth of what a post costs; filters tell which table has a comment.
// Tests, which have few tables, set it to Pebble's own.
var mergeTables = 32

var (
	errFormat     = errors.New("the index has another format")
	errIncomplete = errors.New("files of the index are missing")
)

// States of an entry.
const (
	stateListed   = 1
	stateUnlisted = 2 // on disk, but a smaller name has its slot
	stateGone     = 3 // removed by its author
	stateDenied   = 4 // taken away by the operator's deny list
)

// Operations of a topic's log and of the journal.
const (
	opAdd    = 1 // listed; in the journal: a file, with its bytes
	opRemove = 2 // no longer listed; in the journal: a file to unlink
	opFolder = 3 // in the journal only: an empty topic folder
)

// entry is what the index knows of one comment.
type entry struct {
	state  byte
	delete bool   // the comment is a delete
	silent bool   // it is none that a thread shows: an edit, a delete, a vote, an act of a moderator
	listed uint64 // when it was listed last; 0: never
	ended  uint64 // when that ended, if it did
	size   uint32 // bytes
	from   uint32 // number of the peer that gave it, 0: a reader
}

// Marks in the byte of an entry's state.
const (
	entryDelete = 0x80
	entrySilent = 0x40
)

// held tells whether the comment's file is here.
func (e entry) held() bool { return e.state == stateListed || e.state == stateUnlisted }

// listedAt tells whether the entry was in the listing right after change seq.
func (e entry) listedAt(seq uint64) bool {
	return e.listed != 0 && e.listed <= seq && (e.state == stateListed || seq < e.ended)
}

func (e entry) encode() []byte {
	b := make([]byte, 0, 24)
	state := e.state
	if e.delete {
		state |= entryDelete
	}
	if e.silent {
		state |= entrySilent
	}
	b = append(b, state)
	b = binary.AppendUvarint(b, e.listed)
	b = binary.AppendUvarint(b, e.ended)
	b = binary.AppendUvarint(b, uint64(e.size))
	return binary.AppendUvarint(b, uint64(e.from))
}

func decodeEntry(b []byte) (entry, error) {
	d := decoder{b: b}
	state := d.byte()
	e := entry{state: state &^ (entryDelete | entrySilent), delete: state&entryDelete != 0, silent: state&entrySilent != 0, listed: d.uvarint(), ended: d.uvarint(), size: uint32(d.uvarint()), from: uint32(d.uvarint())}
	if d.bad || e.state < stateListed || e.state > stateDenied {
		return entry{}, fmt.Errorf("%w: a comment's entry cannot be read", pebble.ErrCorruption)
	}
	return e, nil
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func appendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func topicKey(kind byte, topic comntr.Hash) []byte {
	b := append(make([]byte, 0, 1+len(topic)+8), kind) // with room for a number
	return append(b, topic[:]...)
}

// Lengths of keys, in bytes.
const (
	slotKeyLength    = 1 + len(comntr.Hash{}) + 8
	commentKeyLength = slotKeyLength + len(comntr.Hash{})
)

func slotKey(topic comntr.Hash, slot uint64) []byte {
	b := make([]byte, 0, commentKeyLength)
	b = append(b, keyComment)
	b = append(b, topic[:]...)
	return appendUint64(b, slot)
}

func commentKey(topic comntr.Hash, slot uint64, comment comntr.Hash) []byte {
	return append(slotKey(topic, slot), comment[:]...)
}

func logKey(topic comntr.Hash, seq uint64) []byte {
	return appendUint64(topicKey(keyLog, topic), seq)
}

func journalKey(seq uint64) []byte {
	return appendUint64(append(make([]byte, 0, 1+8), keyJournal), seq)
}

func peerKey(number uint32) []byte { return binary.BigEndian.AppendUint32([]byte{keyPeer}, number) }

func metaKey(name string) []byte { return append([]byte{keyMeta}, name...) }

func scrubKey(seq uint64) []byte { return appendUint64(metaKey(metaScrub), seq) }

// after is the smallest key that is greater than all keys with the prefix.
func after(prefix []byte) []byte {
	b := bytes.Clone(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

func within(prefix []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)}
}

// comparer orders keys by their bytes. What it splits off is what filters are
// made of: of a comment's key that is all before its name, so that they tell
// whether a slot has any.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Split = func(k []byte) int {
		if len(k) == commentKeyLength && k[0] == keyComment {
			return slotKeyLength
		}
		return len(k)
	}
	return &c
}()

func (s *Store) indexPath() string { return s.fs.PathJoin(s.hidden, "index") }

func (s *Store) pebbleOptions() *pebble.Options {
	logger := indexLogger{s.log}
	o := &pebble.Options{
		FS:                 indexFS{pacedFS{s.fs, s.pace}, s.logs},
		Comparer:           comparer,
		FormatMajorVersion: pebble.FormatNewest,
		MemTableSize:       memTableSize,
		CacheSize:          cacheSize,
		MaxOpenFiles:       maxOpenFiles,
		Logger:             logger,

		L0CompactionThreshold: mergeTables,
		L0StopWritesThreshold: stopTables,

		EventListener: &pebble.EventListener{
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				s.log.Error("the index is damaged: stop the server, move the folder of the index away and start again, it is built again from the files",
					"path", i.Path, "err", i.Details)
			},
		},
	}
	s.pace.listen(o.EventListener)
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(bloomBits)
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy // what is looked for is there: see slotSet
	// Half of the entries' bytes are hashes; the rest takes 11 bytes a comment less
	// this way.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionGood })
	return o
}

// unusable tells an index that must be built again from one that cannot be
// reached just now (no permission, no space, in use): that one is left alone.
func unusable(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, errFormat) || errors.Is(err, errIncomplete)
}

// indexLogger is Pebble's way into slog.
type indexLogger struct{ log *slog.Logger }

func (l indexLogger) Infof(format string, args ...any) {
	l.log.Debug("the index says", "detail", fmt.Sprintf(format, args...))
}

func (l indexLogger) Errorf(format string, args ...any) {
	l.log.Error("the index reports an error", "err", fmt.Sprintf(format, args...))
}

// Fatalf is called when Pebble can no longer write its log: the process has
// to stop, because it could not keep what it would acknowledge. What it has
// acknowledged is safe.
func (l indexLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.log.Error("the index can no longer be written: stopping; what was acknowledged is safe", "err", text)
	panic("comntr: the index can no longer be written (look at the disk, then start again; what was acknowledged is safe): " + text)
}

func (s *Store) getMeta(name string) (uint64, error) {
	b, closer, err := s.db.Get(metaKey(name))
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: meta %s has %d bytes", pebble.ErrCorruption, name, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

func (s *Store) getEntry(topic, comment comntr.Hash) (entry, error) {
	b, closer, err := s.db.Get(commentKey(topic, s.slot(comment), comment))
	if err != nil {
		return entry{}, err
	}
	defer closer.Close()
	return decodeEntry(b)
}

func (s *Store) loadPeers() error {
	return s.scan(within([]byte{keyPeer}), func(k, v []byte) error {
		if len(k) != 5 {
			return fmt.Errorf("%w: a peer's key has %d bytes", pebble.ErrCorruption, len(k))
		}
		s.peers[string(v)] = binary.BigEndian.Uint32(k[1:])
		return nil
	})
}

// scan calls fn with every key and value of the range. They are valid only
// during the call.
func (s *Store) scan(o *pebble.IterOptions, fn func(k, v []byte) error) error {
	it, err := s.db.NewIter(o)
	if err != nil {
		return err
	}
	return scanIter(it, fn)
}

func scanIter(it *pebble.Iterator, fn func(k, v []byte) error) error {
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = fn(it.Key(), v)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// decodeComment reads a comment's name out of a key that commentKey made, and
// the entry under it.
func decodeComment(k, v []byte) (comntr.Hash, entry, error) {
	if len(k) != commentKeyLength {
		return comntr.Hash{}, entry{}, fmt.Errorf("%w: a comment's key has %d bytes", pebble.ErrCorruption, len(k))
	}
	e, err := decodeEntry(v)
	return comntr.Hash(k[slotKeyLength:]), e, err
}
