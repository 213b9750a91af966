// Package store keeps a community's comments as files, named by the SHA-1 of
// their bytes, in the folders of their topics. It is the only writer of them.
//
// Its invariant: a file, once there, never changes, and nothing that Add has
// acknowledged is ever lost, whatever fails or dies. What the index lists is
// what stands in the tree, so `ipfs add -r` of a community's folder gives the
// id that is served.
//
// One store holds one community:
//
//	<data>/.comntr/lock                        flock, see [Lock]
//	<data>/<community>/<topic>/<comment>       the comments
//	<data>/<community>/.ipfs/index             Pebble: index and journal
//	<data>/<community>/.ipfs/last              the number of the last commit
//	<data>/<community>/.ipfs/tmp               files on their way into the tree
//
// A commit goes journal first: (1) bytes and index in one synced Pebble
// batch, (2) the files by link or rename, (3) the answer. While that is done the next is
// planned on top of it, if it only brings new comments. A checkpoint makes the files
// durable later and then drops the bytes from the journal; [Open] replays what
// the journal still holds. TestCrashTable cuts the power at every step.
package store

import (
	"cmp"
	"container/list"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
)

// What callers branch on.
var (
	ErrNotFound        = errors.New("no such comment here")
	ErrGone      error = goneError{}
	ErrSlotTaken       = errors.New("a comment with a smaller id has the same 64 bits of murmur3: a folder lists only one of them")
	ErrFull            = errors.New("the disk, or what comntr may use of it, is full")
	ErrStopping        = errors.New("the store is stopping")
	ErrDenied    error = deniedError{}
	ErrDamaged   error = damagedError{}
	ErrLocked          = errors.New("the data folder is in use")
)

// These say what they are by a method too, for those who read through an
// interface and do not know this package.
type (
	goneError    struct{}
	deniedError  struct{}
	damagedError struct{}
)

func (goneError) Error() string    { return "the comment was removed by its author" }
func (goneError) Gone() bool       { return true }
func (deniedError) Error() string  { return "the operator's deny list denies it" }
func (deniedError) Denied() bool   { return true }
func (damagedError) Error() string { return "the file's bytes are not those its name stands for" }
func (damagedError) Damaged() bool { return true }

// Options of a store. The zero value is the real file system, no bound on the
// disk, no deny list and no log.
type Options struct {
	FS   vfs.FS           // nil: vfs.Default
	Disk *Disk            // what all stores of this process may use; nil: no bound
	Deny *comntr.Denylist // see SetDenylist, which must follow; nil: denies nothing
	Log  *slog.Logger     // nil: none

	maxJournal int64                    // bytes, 0: maxJournalBytes; tests make it small
	slot       func(comntr.Hash) uint64 // nil: comntr.Hash.Slot; tests make names of one slot
}

// Store is one community's folder. Its methods may be called from any
// goroutine.
type Store struct {
	fs        vfs.FS
	dir       string // <data>/<community>
	hidden    string // <dir>/.ipfs
	tmp       string // <hidden>/tmp
	community comntr.Hash
	log       *slog.Logger
	disk      *Disk
	db        *pebble.DB
	pace      *pace // of the index's work in the background
	logs      *logs // the index's own
	meter     meter
	epoch     uint64
	slot      func(comntr.Hash) uint64
	deny      atomic.Pointer[comntr.Denylist]
	denying   sync.Mutex // one SetDenylist at a time
	refusals  refusals
	damage    damage
	witness   witness // owned by the committer, and by Open and Close
	native    bool    // the files are the operating system's: file descriptors, modification times, Lstat

	sending  sync.RWMutex // held for reading while a request is handed over
	closed   bool         // guarded by sending
	requests chan *request
	joined   sync.WaitGroup // the committer, the checkpointer and who begins to write
	quit     chan struct{}  // closed once the committer is done: stops the checkpointer
	kick     chan struct{}  // the journal grew
	placed   chan []file    // what was just answered: see beginEarly
	failure  atomic.Pointer[error]
	tmpNames tmpNames

	// Owned by the committer, and by Open before it starts.
	ahead   *group            // committed; its files are being put into the tree
	crowd   int               // requests that were under way at a time, of late: see gather
	peers   map[string]uint32 // key of a peer -> its number in the index
	taken   *slotSet          // slots of comments
	healing map[key]struct{}  // files found damaged and not yet healed: right bytes in one may not be durable
	space   space

	folder        vfs.File // dir, open for as long as the store is: see syncTree
	at            descriptors
	tree          sync.Mutex // held while files are put into the tree or taken out
	checkpointing sync.Mutex // held during a checkpoint

	// What is published: everything below is guarded by mu and changes only
	// in publish, but for the journal's numbers.
	mu       sync.RWMutex
	seq      uint64 // the last change of all
	loosened uint64
	scrubDue time.Time // zero: nothing is to be scrubbed
	topics   map[comntr.Hash]*topic
	byChange *list.List // of *topic, the last changed one last
	slots    map[uint64][]comntr.Hash
	totals   Stats
	events   []event
	floor    uint64 // events up to this number are no longer held
	sortedMu sync.Mutex
	sorted   []comntr.Hash // of topics; guarded by sortedMu, under mu
	pending  map[key]struct{}
	changed  chan struct{}
	journal  journal
}

// key is a comment in its topic.
type key struct{ topic, comment comntr.Hash }

// Stats counts what a store lists.
type Stats struct {
	Topics   int   // topic folders, empty ones too
	Comments int   // listed comments
	Bytes    int64 // of all files, without the file system's rounding
}

// Open opens the folder of one community below data, making it if need be. It
// replays the journal, adopts what was put into the tree or taken from it by
// other hands, and starts the committer. The caller holds [Lock] on data. An
// index that is missing, damaged or of another format is moved aside and
// built again from the tree, with a new epoch. ErrFull is for a file system
// with less free than that may need; then nothing was touched.
func Open(data string, community comntr.Hash, o Options) (*Store, error) {
	s := newStore(data, community, o)
	if err := s.roomToOpen(); err != nil {
		return nil, fmt.Errorf("open community %s: %w", community, err)
	}
	if err := s.makeFolders(data); err != nil {
		return nil, fmt.Errorf("make the folder of community %s: %w", community, err)
	}
	folder, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of community %s: %w", community, err)
	}
	s.setFolder(folder)
	err = s.load()
	if err != nil && unusable(err) {
		s.log.Error("the index cannot be used: it is moved aside and built again from the files", "err", err)
		if err := s.moveIndexAside(); err != nil {
			return nil, errors.Join(fmt.Errorf("move the index of community %s aside: %w", community, err), folder.Close())
		}
		s = newStore(data, community, o)
		s.setFolder(folder)
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open community %s: %w", community, err), folder.Close())
	}
	if o.FS == nil {
		if err := s.openDescriptors(); err != nil {
			s.at.close()
			s.at = descriptors{}
			s.log.Warn("the folders of the community cannot be held open: files are made by their paths", "err", err)
		}
	}
	s.joined.Add(3)
	go s.commits()
	go s.checkpoints()
	go s.beginEarly()
	return s, nil
}

func newStore(data string, community comntr.Hash, o Options) *Store {
	s := &Store{
		fs:        o.FS,
		disk:      o.Disk,
		log:       o.Log,
		community: community,
		requests:  make(chan *request, maxRequests),
		quit:      make(chan struct{}),
		kick:      make(chan struct{}, 1),
		placed:    make(chan []file, 1),
		peers:     make(map[string]uint32),
		healing:   make(map[key]struct{}),
		topics:    make(map[comntr.Hash]*topic),
		byChange:  list.New(),
		slots:     make(map[uint64][]comntr.Hash),
		changed:   make(chan struct{}),
		pending:   make(map[key]struct{}),
		journal:   journal{max: cmp.Or(o.maxJournal, maxJournalBytes), dirty: make(map[comntr.Hash]struct{}), done: make(chan struct{})},
	}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.disk == nil {
		s.disk = NewDisk(0)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("community", community)
	s.deny.Store(o.Deny)
	if s.slot = o.slot; s.slot == nil {
		s.slot = comntr.Hash.Slot
	}
	s.pace = newPace(s.log)
	s.meter = newMeter()
	s.logs = &logs{dir: s.indexPath}
	s.dir = s.fs.PathJoin(data, community.String())
	s.hidden = s.fs.PathJoin(s.dir, ".ipfs")
	s.tmp = s.fs.PathJoin(s.hidden, "tmp")
	return s
}

// load opens the index and brings it and the tree together. On an error the
// database is closed.
func (s *Store) load() (err error) {
	db, err := pebble.Open(s.indexPath(), s.pebbleOptions())
	if errors.Is(err, fs.ErrNotExist) { // a power cut while it was being made
		return fmt.Errorf("%w: %w", errIncomplete, err)
	}
	if err != nil {
		return fmt.Errorf("open the index: %w", err)
	}
	s.db = db
	defer func() {
		if err != nil {
			s.disk.release(s.diskUsed())
			s.pace.stop()
			s.witness.close()
			err = errors.Join(err, db.Close())
		}
	}()
	fresh, err := s.loadMeta()
	if err != nil {
		return err
	}
	s.witness.open(s)
	if err := s.testify(fresh); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	if err := s.clearTmp(); err != nil {
		return fmt.Errorf("empty %s: %w", s.tmp, err)
	}
	if err := s.replay(); err != nil {
		return fmt.Errorf("replay the journal: %w", err)
	}
	if err := s.loadTopics(); err != nil {
		return fmt.Errorf("load the topics: %w", err)
	}
	if err := s.verifyCounts(); err != nil {
		return fmt.Errorf("count what the index has: %w", err)
	}
	if err := s.loadEvents(); err != nil {
		return fmt.Errorf("load the last events: %w", err)
	}
	if err := s.adopt(); err != nil {
		return fmt.Errorf("compare the files with the index: %w", err)
	}
	return nil
}

// loadMeta reads the format, the epoch and the last number, or writes them
// for a new index.
func (s *Store) loadMeta() (fresh bool, err error) {
	err = s.loadFormat()
	if errors.Is(err, pebble.ErrNotFound) {
		s.epoch = newEpoch()
		batch := s.db.NewBatch()
		defer batch.Close()
		batch.Set(metaKey(metaFormat), appendUint64(nil, indexFormat), nil)
		batch.Set(metaKey(metaEpoch), appendUint64(nil, s.epoch), nil)
		return true, batch.Commit(pebble.Sync)
	}
	if err != nil {
		return false, err
	}
	return false, s.loadPeers()
}

func newEpoch() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// loadFormat reads what loadMeta wrote. ErrNotFound stands for a new index.
func (s *Store) loadFormat() error {
	format, err := s.getMeta(metaFormat)
	if err != nil {
		return fmt.Errorf("read the format of the index: %w", err)
	}
	if format != indexFormat {
		return fmt.Errorf("%w: it has format %d, this program reads %d", errFormat, format, indexFormat)
	}
	if s.epoch, err = s.getMeta(metaEpoch); err != nil {
		return fmt.Errorf("read the epoch of the index: %w", err)
	}
	for name, n := range map[string]*uint64{metaSeq: &s.seq, metaLoosened: &s.loosened} {
		if *n, err = s.getMeta(name); err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return fmt.Errorf("read the number %s of the index: %w", name, err)
		}
	}
	err = s.scan(within(metaKey(metaScrub)), func(_, _ []byte) error {
		s.scrubDue = time.Now().Add(scrubAtStart)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read whether the index is to be scrubbed: %w", err)
	}
	return nil
}

// Close takes no more, finishes what waits, makes a last checkpoint and closes
// the index. What was acknowledged is safe even if it fails.
func (s *Store) Close() error {
	s.sending.Lock()
	if s.closed {
		s.sending.Unlock()
		return nil
	}
	s.closed = true
	s.sending.Unlock()
	close(s.requests)
	s.joined.Wait()
	err := s.checkpoint()
	if err != nil {
		err = fmt.Errorf("make the files of community %s durable (the journal keeps them until the next start): %w", s.community, err)
	}
	s.disk.release(s.diskUsed())
	s.pace.stop()
	s.refusals.log(s.log)
	s.witness.close()
	s.at.close()
	return errors.Join(err, s.db.Close(), s.folder.Close())
}

// Community is the one this store holds.
func (s *Store) Community() comntr.Hash { return s.community }

// Epoch is a random number that was made with the index. Sequence numbers of
// another epoch mean nothing here.
func (s *Store) Epoch() uint64 { return s.epoch }

// Read returns a comment's bytes, whose SHA-1 has been checked. Errors:
// ErrNotFound; ErrGone, also for what was never here and a delete here names;
// ErrDenied; ErrDamaged for a file that was changed or taken away behind the
// store's back, or that the disk cannot read, which Damage then names; others of
// the disk.
func (s *Store) Read(topic, comment comntr.Hash) ([]byte, error) {
	place := comntr.Place{Community: s.community, Topic: topic}
	deny := s.deny.Load()
	if _, denied := deny.Comment(place, comment); denied {
		return nil, ErrDenied
	}
	e, ok, err := s.lookup(topic, comment)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		if deleted, err := s.deletedUnseen(topic, comment); deleted || err != nil {
			return nil, cmp.Or(err, ErrGone)
		}
		return nil, ErrNotFound
	case e.state == stateGone:
		return nil, ErrGone
	case e.state == stateDenied:
		return nil, ErrDenied
	}
	b, err := s.readFile(s.path(topic, comment), int64(e.size))
	if errors.Is(err, fs.ErrNotExist) {
		// It may have been taken away since it was looked up.
		if e, ok, err := s.lookup(topic, comment); err == nil && ok && e.state == stateGone {
			return nil, ErrGone
		} else if err == nil && ok && e.state == stateDenied {
			return nil, ErrDenied
		}
		s.damage.note(key{topic, comment})
		return nil, fmt.Errorf("%w: %s/%s is missing", ErrDamaged, topic, comment)
	}
	if err != nil && unreadable(err) {
		s.damage.note(key{topic, comment})
		return nil, fmt.Errorf("%w: read %s/%s: %w", ErrDamaged, topic, comment, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", topic, comment, err)
	}
	if comntr.SumHash(b) != comment {
		s.damage.note(key{topic, comment})
		return nil, fmt.Errorf("%w: %s/%s", ErrDamaged, topic, comment)
	}
	s.damage.forget(key{topic, comment})
	if _, denied := deny.File(place, comment, b); denied {
		return nil, ErrDenied
	}
	return b, nil
}

// Has tells whether the store holds the comment, or else whether it is settled
// that it does not: its author removed it, or the operator denies it.
func (s *Store) Has(topic, comment comntr.Hash) (held, settled bool) {
	if _, denied := s.deny.Load().Comment(comntr.Place{Community: s.community, Topic: topic}, comment); denied {
		return false, true
	}
	e, ok, err := s.lookup(topic, comment)
	if err != nil {
		s.log.Error("reading the index failed", "topic", topic, "comment", comment, "err", err)
		return false, false
	}
	return ok && e.held(), ok && !e.held()
}

// Held tells whether the store holds the comment, and its size in bytes, from
// the index alone: its file may still prove to be damaged.
func (s *Store) Held(topic, comment comntr.Hash) (size int, held bool) {
	if _, denied := s.deny.Load().Comment(comntr.Place{Community: s.community, Topic: topic}, comment); denied {
		return 0, false
	}
	e, ok, err := s.lookup(topic, comment)
	if err != nil || !ok || !e.held() {
		return 0, false
	}
	return int(e.size), true
}

// lookup reads a published entry of the index.
func (s *Store) lookup(topic, comment comntr.Hash) (entry, bool, error) {
	// While mu is held nothing is published, so what is in the index too early
	// is pending.
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, waits := s.pending[key{topic, comment}]; waits {
		return entry{}, false, nil
	}
	e, err := s.getEntry(topic, comment)
	if errors.Is(err, pebble.ErrNotFound) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, fmt.Errorf("read the index: %w", err)
	}
	return e, true, nil
}

// Stats counts what is listed now.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.totals
}

// fail stops all further writing: the index and the tree no longer agree and
// could not be brought together again.
func (s *Store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("the store takes no more comments until it is started again", "err", err)
	}
}

func (s *Store) failed() error {
	if p := s.failure.Load(); p != nil {
		return fmt.Errorf("the store failed and must be started again: %w", *p)
	}
	return nil
}

// Add stores a document that was parsed for a topic of this community. When
// it returns without an error the comment is durable and stands in its folder;
// created is false if it already did; a file of it that was damaged or taken
// away meanwhile is written anew. from is "" for a reader's POST, else the
// key of the peer that gave it. A delete takes away what it removes in the same
// commit. Errors: ErrSlotTaken, ErrGone, ErrDenied, ErrFull, ErrStopping, ctx's (the comment may yet be stored), others of the disk.
func (s *Store) Add(ctx context.Context, doc *comntr.Document, from string) (created bool, err error) {
	if err := s.foreign(doc); err != nil {
		return false, err
	}
	var one struct { // in one piece: most comments come alone
		request
		item   [1]item
		result [1]Result
	}
	one.item[0] = addition(doc, from)
	one.items, one.results = one.item[:], one.result[:]
	if err := s.submitRequest(ctx, &one.request); err != nil {
		return false, err
	}
	return one.result[0].Created, one.result[0].Err
}

func addition(doc *comntr.Document, from string) item {
	return item{kind: itemAdd, doc: doc, topic: doc.Place().Topic, from: from}
}

// foreign is an error for a document of another community.
func (s *Store) foreign(doc *comntr.Document) error {
	if c := doc.Place().Community; c != s.community {
		return fmt.Errorf("the document stands in community %s, this store holds %s", c, s.community)
	}
	return nil
}

// Result is what became of one document of AddAll.
type Result struct {
	Created bool
	Err     error
}

// AddAll stores documents as Add does, in few commits, and answers for each
// of them in the same order.
func (s *Store) AddAll(ctx context.Context, docs []*comntr.Document, from string) []Result {
	results := make([]Result, len(docs))
	items := make([]item, len(docs))
	var foreign error
	for i, doc := range docs {
		items[i] = addition(doc, from)
		if err := s.foreign(doc); err != nil {
			foreign = err
		}
	}
	for start := 0; start < len(items); {
		end, size := start, 0
		for end < len(items) && end-start < maxChunkItems && size < maxChunkBytes {
			size += items[end].doc.Size()
			end++
		}
		chunk := results[start:end]
		if foreign != nil {
			setErrors(chunk, foreign)
		} else if r, err := s.submit(ctx, items[start:end]); err != nil {
			setErrors(chunk, err)
		} else {
			copy(chunk, r)
		}
		start = end
	}
	return results
}

func setErrors(results []Result, err error) {
	for i := range results {
		results[i] = Result{Err: err}
	}
}

// AddTopic makes a topic's folder, empty. Errors are those of Add.
func (s *Store) AddTopic(ctx context.Context, topic comntr.Hash, from string) (created bool, err error) {
	r, err := s.submit(ctx, []item{{kind: itemTopic, topic: topic, from: from}})
	if err != nil {
		return false, err
	}
	return r[0].Created, r[0].Err
}

// submit hands items to the committer and waits for its answer.
func (s *Store) submit(ctx context.Context, items []item) ([]Result, error) {
	r := &request{items: items, results: make([]Result, len(items))}
	if err := s.submitRequest(ctx, r); err != nil {
		return nil, err
	}
	return r.results, nil
}

// submitRequest has the committer answer a request. After an error it may be
// answered yet: who asked must not touch it.
func (s *Store) submitRequest(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	s.sending.RLock()
	if s.closed {
		s.sending.RUnlock()
		return ErrStopping
	}
	select {
	case s.requests <- r:
		s.sending.RUnlock()
	case <-ctx.Done():
		s.sending.RUnlock()
		return ctx.Err()
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
