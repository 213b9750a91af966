package ipfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/comntr/comntr"
)

// What callers branch on.
var (
	// ErrNotHeld: no such block here.
	ErrNotHeld = errors.New("the block is not held here")
	// ErrNoTopic: the source knows no such topic.
	ErrNoTopic = errors.New("no such topic")
	// ErrGone: the block was a comment that was removed. See GoneError.
	ErrGone = errors.New("removed")
	// ErrDenied: the operator's deny list denies the block.
	ErrDenied = errors.New("denied by the operator")
	// ErrTooLarge: more bytes than are taken, or given at once.
	ErrTooLarge = errors.New("too large")
	// ErrNotTopicFolder: a CAR of a whole folder is for topics' folders.
	ErrNotTopicFolder = errors.New("not the folder of a topic")
	// ErrUnreadable: the comment's file was damaged. The source's error is
	// under it too.
	ErrUnreadable = errors.New("the comment's file cannot be read")
	// ErrNoRoom: the file system is nearly full, and nothing was written. Peers'
	// nodes get it long before own folders do.
	ErrNoRoom = errors.New("the file system is nearly full")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the folders are closed")
)

// GoneError names comments that were removed. It is an ErrGone.
type GoneError struct {
	Comments []comntr.Hash // at least one; the first 100 of them
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("the comment %s was removed", e.Comments[0])
}

// Is makes errors.Is(err, ErrGone) true.
func (e *GoneError) Is(target error) bool { return target == ErrGone }

// Bounds of one piece of work.
const (
	// maxChunk is how many changed comments or topics are worked on at once;
	// more of them are several batches.
	maxChunk = 16 << 10
	// maxWorkers is how many goroutines read and hash for one flush.
	maxWorkers = 4
	// inlineReads is up to how many files are not worth a goroutine.
	inlineReads = 32
	// cachedRecords is how many topics' records are held in memory.
	cachedRecords = 4096
	// maxAsked is how many topics' folders are provided: those asked for last,
	// then those that changed last.
	maxAsked = 1000
	// cachedSized is how many leaves are remembered between Size and Block: four
	// times what a server asks for at once.
	cachedSized = 2048
	// cachedNodes is how many of the nodes made last are held parsed, for the
	// next change: reading the node of 3,500 names costs more than all else.
	// One of those takes 0.4 MB.
	cachedNodes = 64
	// retryMissed is how long a file that could not be read is left alone.
	retryMissed = time.Minute
	// stripes is how many topics can be brought up to date at once, at most.
	stripes = 256
)

// Source is where comments come from: the store of one community. Numbers
// count changes; they only grow as long as Epoch stays the same.
type Source interface {
	Community() comntr.Hash
	Epoch() uint64
	// TopicSeq is the number of the last change of the topic's listing; !ok:
	// there is no such topic.
	TopicSeq(topic comntr.Hash) (seq uint64, ok bool)
	// TopicsSince names the topics whose listing, or own being listed in the
	// community, changed after since; all of them for 0.
	TopicsSince(since uint64, fn func(topic comntr.Hash, listed bool) error) (upTo uint64, err error)
	// Listing names what was added to a topic's folder and removed from it
	// after since, net, each with the number of that change; for 0 all that is in
	// it.
	Listing(topic comntr.Hash, since uint64, fn func(comment comntr.Hash, seq uint64, removed bool) error) (upTo uint64, err error)
	// Read returns a comment's bytes, checked against its name. An error with
	// a method Gone() bool that returns true says that it was removed, one
	// with Damaged() bool that the file is not what it was, one with Denied()
	// bool that the operator denies it.
	Read(topic, comment comntr.Hash) ([]byte, error)
	// Number is that of the change that listed a comment last, !ok where there is
	// none. At is the comment that a change of that number listed, for as long as
	// anything is known of it.
	Number(topic, comment comntr.Hash) (seq uint64, ok bool)
	At(topic comntr.Hash, seq uint64) (comment comntr.Hash, ok bool)
	// ReadListed is Read of what Listing named, or Held: it may look no further
	// than at the file.
	ReadListed(topic, comment comntr.Hash) ([]byte, error)
	// Held tells whether Read would give the comment, as far as is known
	// without reading its file, and how many bytes.
	Held(topic, comment comntr.Hash) (size int, held bool)
	// DeniedBlock tells whether the operator denies a block by its CID.
	DeniedBlock(c cid.Cid) bool
	// Loosened is the number of the last change by which something that was
	// settled for good, because it was removed or denied, may come again.
	Loosened() uint64
}

// Folders are the IPFS folders of one community: its own, made from a Source,
// and those of its peers that are kept. It is safe for concurrent use. It pulls
// and never waits for news: a folder is brought up to date when asked for.
type Folders struct {
	dir     string
	version comntr.Version
	src     Source
	log     *slog.Logger
	lock    *pebble.Lock
	room    *room
	limits  limits
	meter   folderMeter

	ctx    context.Context // ends at Close
	cancel context.CancelFunc

	// gate is held for reading by all that use db, for writing to replace it.
	gate    sync.RWMutex
	db      *nodeDB // nil once closed, or where it could not be built anew
	closed  bool
	tried   time.Time // to build it anew, and failed
	damaged atomic.Bool

	records *lru.Cache[comntr.Hash, record]  // of topics
	parsed  *lru.Cache[cid.Cid, sized]       // nodes of own folders
	asked   *lru.Cache[comntr.Hash, cid.Cid] // answers of Topic
	recent  *lru.Cache[comntr.Hash, cid.Cid] // the folders that changed last
	topics  [stripes]chan struct{}           // held while a topic is brought up to date

	cars  keptCARs
	sized *lru.Cache[cid.Cid, place] // leaves that Size was asked for last

	rootTurn chan struct{} // held while the community's folder is
	rootMu   sync.Mutex    // guards the next three
	started  uint64        // flushes begun
	finished uint64        // the last begun of those that ended well
	ownRoot  cid.Cid

	missedMu sync.Mutex
	missed   map[comntr.Hash]time.Time // topics with files that could not be read -> last try

	retaining sync.Mutex    // one Retain at a time
	marksOf   atomic.Uint64 // Source.Loosened that the marks were made at
	peersMu   sync.Mutex
	peers     map[string]peerTree

	maxRetained int64 // bytes of all peers' trees
}

// limits are the constants of these names, but for tests.
type limits struct {
	car, carLinks, chunk int
	peerTree             int64
}

// OpenFolders opens the block database under dir, which is a community's
// hidden .ipfs folder, and makes it anew where it is missing, damaged, or of
// another CID version or epoch. It reads nothing of src but its epoch.
func OpenFolders(dir string, v comntr.Version, src Source, log *slog.Logger) (*Folders, error) {
	return openFolders(dir, v, src, log, vfs.Default)
}

func openFolders(dir string, v comntr.Version, src Source, log *slog.Logger, fs vfs.FS) (*Folders, error) {
	f := &Folders{
		dir:      filepath.Join(dir, "blocks"),
		version:  v,
		src:      src,
		log:      log.With("community", src.Community()),
		rootTurn: make(chan struct{}, 1),
		limits:   limits{car: maxCAR, carLinks: maxCARLinks, chunk: maxChunk, peerTree: maxPeerTree},
		meter:    newFolderMeter(),
		records:  cache[comntr.Hash, record](cachedRecords),
		parsed:   cache[cid.Cid, sized](cachedNodes),
		asked:    cache[comntr.Hash, cid.Cid](maxAsked),
		recent:   cache[comntr.Hash, cid.Cid](maxAsked),
		sized:    cache[cid.Cid, place](cachedSized),
	}
	for i := range f.topics {
		f.topics[i] = make(chan struct{}, 1)
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the block database: %w", err)
	}
	var err error
	if f.lock, err = pebble.LockDirectory(f.dir, vfs.Default); err != nil {
		return nil, fmt.Errorf("lock the block database: %w", err)
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.room = &room{FS: fs, ctx: f.ctx, dir: f.dir, log: f.log}
	if err := f.open(); err != nil {
		f.cancel()
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

func cache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // a size below 1
	}
	return c
}

// open opens the database and reads what is held in memory of it. A database
// that contradicts itself is emptied.
func (f *Folders) open() error {
	for try := 0; ; try++ {
		db, err := openNodes(f.dir, f.lock, f.version, f.src, f.room, func() { f.damaged.Store(true) })
		if err != nil {
			return err
		}
		f.db = db
		f.damaged.Store(false)
		f.records.Purge()
		f.parsed.Purge()
		f.asked.Purge()
		f.recent.Purge()
		if err = errors.Join(f.loadPeers(), f.loadMissed(), f.loadMarks(), f.loadRoot()); err == nil {
			f.divide()
			return nil
		}
		err = errors.Join(err, db.db.Close())
		f.db = nil
		if try > 0 {
			return err
		}
		f.log.Error("building the block database anew", "err", err)
		if err := wipe(f.dir); err != nil {
			return err
		}
	}
}

// divide gives peers their share of what is free.
func (f *Folders) divide() {
	f.peersMu.Lock()
	defer f.peersMu.Unlock()
	held := f.db.graceBytes
	for _, p := range f.peers {
		held += p.size
	}
	f.db.maxGrace, f.maxRetained = f.room.share(held)
}

// Close ends what is under way, waits for it, and closes the database.
func (f *Folders) Close() error {
	f.cancel()
	f.gate.Lock()
	defer f.gate.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	var err error
	if f.db != nil {
		err = f.db.close()
		f.db = nil
	}
	return errors.Join(err, f.lock.Close())
}

// use runs fn with the database open. Where fn, or Pebble behind its back,
// finds the database damaged it is emptied and fn is run once more.
func (f *Folders) use(fn func() error) error {
	for try := 0; ; try++ {
		f.gate.RLock()
		db, closed := f.db, f.closed
		err := ErrClosed
		if !closed {
			if err = errDamaged; db != nil && !f.damaged.Load() {
				err = fn()
			}
		}
		f.gate.RUnlock()
		switch {
		case closed:
			return err
		case errors.Is(err, errDamaged) || pebble.IsCorruptionError(err):
			f.damaged.Store(true)
		case !f.damaged.Load():
			return err
		}
		if try > 0 {
			return err
		}
		if err := f.rebuild(db, err); err != nil {
			return err
		}
	}
}

// rebuild replaces a damaged database by an empty one. Where that fails it is
// tried again when somebody asks, but not at once.
func (f *Folders) rebuild(db *nodeDB, cause error) error {
	f.gate.Lock()
	defer f.gate.Unlock()
	if f.closed || f.db != db || !f.damaged.Load() {
		return nil // someone else did
	}
	now := time.Now
	if db != nil {
		f.log.Error("building the block database anew", "err", cause)
		f.db, now = nil, db.now
		if err := db.db.Close(); err != nil {
			// Closing a damaged database may fail; what counts is that it is gone.
			f.log.Warn("closing the damaged block database", "err", err)
		}
	} else if time.Since(f.tried) < retryPause {
		return cause
	}
	err := wipe(f.dir)
	if err == nil {
		err = f.open()
	}
	if err != nil {
		f.tried = time.Now()
		return fmt.Errorf("build the block database anew: %w", err)
	}
	f.db.now = now
	return nil
}

// during returns a context that ends with ctx and with Close.
func (f *Folders) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(f.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Topic returns the id of a topic's folder, at least as new as every comment
// acknowledged before the call. The error is ErrNoTopic where there is none. One that
// is at hand is returned though ctx has ended.
func (f *Folders) Topic(ctx context.Context, topic comntr.Hash) (cid.Cid, error) {
	var rec record
	err := f.use(func() (err error) {
		rec, err = f.fresh(ctx, topic)
		return err
	})
	if err != nil {
		return cid.Undef, fmt.Errorf("folder of topic %s: %w", topic, err)
	}
	f.asked.Add(topic, rec.root)
	return rec.root, nil
}

// fresh returns the record of a topic's folder, brought up to date where it is
// older than the topic was when fresh was called.
func (f *Folders) fresh(ctx context.Context, topic comntr.Hash) (record, error) {
	seq, ok := f.src.TopicSeq(topic)
	if !ok {
		return record{}, ErrNoTopic
	}
	retry := f.retryDue(topic)
	rec, err := f.record(topic)
	if err != nil {
		return record{}, err
	}
	if rec.current(seq) && !retry {
		return rec, nil
	}
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	ctx, done := f.during(ctx) // not before: most topics have not changed
	defer done()
	turn := f.topics[topic[0]]
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return record{}, ctx.Err()
	}
	defer func() { <-turn }()
	// Whoever had the turn before may have seen this change too. The cache may
	// have been given an older record since, by a reader without the turn.
	if rec, err = f.storedRecord(topic); err != nil {
		return rec, err
	}
	if rec.current(seq) && !retry {
		f.records.Add(topic, rec)
		return rec, nil
	}
	return f.timed(ctx, topic, rec, seq)
}

// current: the record is of a whole tree, no older than seq.
func (r record) current(seq uint64) bool {
	return r.root.Defined() && !r.partial && r.seq >= seq
}

// since is from where to ask for changes: 0, everything, where there is no
// whole tree.
func (r record) since() uint64 {
	if !r.root.Defined() || r.partial {
		return 0
	}
	return r.seq
}

// record is what was last known of a topic's folder. It may be outdated: only
// who has the topic's turn may build on it, by storedRecord.
func (f *Folders) record(topic comntr.Hash) (record, error) {
	if rec, ok := f.records.Get(topic); ok {
		return rec, nil
	}
	rec, err := f.storedRecord(topic)
	if err == nil && rec.root.Defined() {
		f.records.Add(topic, rec)
	}
	return rec, err
}

func (f *Folders) storedRecord(topic comntr.Hash) (record, error) {
	b, err := f.db.get(key(keyFolder, topic[:]))
	if b == nil || err != nil {
		return record{}, err
	}
	return decodeRecord(b)
}

// flushTopic brings a topic's folder up to date. Its turn is held. seq is the
// topic's number, read before.
func (f *Folders) flushTopic(ctx context.Context, topic comntr.Hash, rec record, seq uint64) (record, error) {
	if err := f.room.take(0, forOwn); err != nil {
		return rec, err // before the work
	}
	var removed, added []named
	since := rec.since()
	upTo, err := f.src.Listing(topic, since, func(comment comntr.Hash, seq uint64, gone bool) error {
		if gone {
			removed = append(removed, named{comment, seq})
		} else {
			added = append(added, named{comment, seq})
		}
		return nil
	})
	if err != nil {
		return rec, fmt.Errorf("list topic: %w", err)
	}
	if upTo = max(upTo, seq); upTo < since {
		return rec, fmt.Errorf("%w: a topic's folder is newer than the topic", errDamaged)
	}
	again, err := f.missedOf(topic)
	if err != nil {
		return rec, err
	}
	if since == 0 && rec.root.Defined() {
		listed := make([]comntr.Hash, len(added))
		for i, c := range added {
			listed[i] = c.comment
		}
		strays, err := f.strays(rec.tree, listed)
		if err != nil {
			return rec, err
		}
		for _, c := range strays {
			removed = append(removed, named{comment: c})
		}
	}
	if len(again) > 0 {
		told := map[comntr.Hash]bool{}
		for _, c := range slices.Concat(removed, added) {
			told[c.comment] = true
		}
		for c := range again {
			switch {
			case told[c]:
			case since > 0:
				seq, _ := f.src.Number(topic, c)
				added = append(added, named{c, seq})
			default:
				removed = append(removed, named{comment: c}) // the whole listing does not have it
			}
		}
	}
	lost := slices.ContainsFunc(removed, func(c named) bool {
		_, err := f.src.Read(topic, c.comment)
		return err != nil && !isGone(err) && !isDenied(err)
	})
	names := append(removed, added...)
	for from := 0; ; {
		to := min(from+f.limits.chunk, len(names))
		b := f.db.db.NewBatch()
		err := f.db.number(b, topic, &rec)
		var changes []change
		var missed []comntr.Hash
		if err == nil {
			changes, missed, err = f.readLeaves(ctx, b, topic, rec.number, names[from:to], len(removed)-from)
		}
		if err == nil && lost {
			err = f.unmark(b)
		}
		if err == nil {
			err = f.settleMissed(b, topic, names[from:to], again, missed)
		}
		if err == nil {
			rec.seq, rec.partial = upTo, to < len(names)
			rec, err = f.store(b, key(keyFolder, topic[:]), rec, ofComments, changes)
		}
		if err = errors.Join(err, b.Close()); err != nil {
			return rec, err
		}
		f.records.Add(topic, rec)
		f.noteMissed(topic, len(missed) > 0 || from > 0 && f.isMissed(topic))
		if from = to; from == len(names) {
			f.recent.Add(topic, rec.root)
			f.cars.forget(topic)
			return rec, nil
		}
	}
}

// strays are the names of a tree that are not among the listed.
func (f *Folders) strays(t tree, listed []comntr.Hash) (out []comntr.Hash, err error) {
	in := make(map[comntr.Hash]struct{}, len(listed))
	for _, c := range listed {
		in[c] = struct{}{}
	}
	e := newEdit(f.version, f.node)
	root, err := e.node(t.root)
	if err != nil {
		return nil, err
	}
	err = e.values(root.Links, 0, func(l comntr.Link) error {
		if _, ok := in[l.Name]; !ok {
			out = append(out, l.Name)
		}
		return nil
	})
	return out, err
}

// store makes the changes in rec's tree and commits b with it.
func (f *Folders) store(b *pebble.Batch, key []byte, rec record, l level, changes []change) (record, error) {
	e := newEdit(f.version, f.node)
	t, err := e.apply(rec.tree, changes)
	if err != nil {
		return rec, err
	}
	d := diff{load: e.look, refs: map[digest]int{}}
	if err := d.folder(rec.root, t.root, l, nil); err != nil {
		return rec, err
	}
	rec.tree = t
	if err := b.Set(key, rec.encode(), nil); err != nil {
		return rec, err
	}
	err = f.db.commit(b, d.refs, e.made, forOwn)
	if err == nil {
		f.meter.made.Add(uint64(len(e.made)))
	}
	if errors.Is(err, ErrNotHeld) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err == nil && len(e.made) <= cachedNodes/4 {
		// Not what a rebuild makes: it would only push the others out.
		for c, n := range e.nodes {
			if k := digestOf(c); e.made[k].Node != nil && d.refs[k] > 0 {
				f.parsed.Add(c, n)
			}
		}
	}
	return rec, err
}

// node reads a directory node of an own folder.
func (f *Folders) node(c cid.Cid) (sized, error) {
	if n, ok := f.parsed.Get(c); ok {
		return n, nil
	}
	return f.db.node(c)
}

// made is a directory node of an own folder, if it was made of late.
func (f *Folders) made(c cid.Cid) *comntr.Node {
	n, _ := f.parsed.Get(c)
	return n.Node
}

// named is a comment that a listing named, with the number of the change that
// added or removed it; 0: none is known.
type named struct {
	comment comntr.Hash
	seq     uint64
}

// leaf is what becomes of one added comment.
type leaf struct {
	digests [2]digest // of its block in CID version 0 and 1
	length  int       // of its block in our version
	err     error
}

// readLeaves reads the added among names, all but the first removed ones, puts
// their places into b, and returns what changes in the folder.
func (f *Folders) readLeaves(ctx context.Context, b *pebble.Batch, topic comntr.Hash, number uint32, names []named, removed int) (changes []change, missed []comntr.Hash, err error) {
	removed = min(max(removed, 0), len(names))
	changes = make([]change, 0, len(names))
	for _, c := range names[:removed] {
		changes = append(changes, change{name: c.comment, slot: c.comment.Slot()})
	}
	names = names[removed:]
	leaves := make([]leaf, len(names))
	read := func(i int) {
		doc, err := f.src.ReadListed(topic, names[i].comment)
		if err == nil && names[i].seq == 0 {
			err = errors.New("it is listed no more")
		}
		if err != nil {
			leaves[i].err = err
			return
		}
		for v := range comntr.Version(2) {
			block := v.LeafBlock(doc)
			leaves[i].digests[v] = sha256.Sum256(block)
			if v == f.version {
				leaves[i].length = len(block)
			}
		}
	}
	workers := min(maxWorkers, runtime.GOMAXPROCS(0))
	if len(names) <= inlineReads {
		workers = 1
	}
	var group errgroup.Group
	for w := range workers {
		work := func() error {
			for i := w; i < len(names); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				read(i)
			}
			return nil
		}
		if workers == 1 {
			err = work()
		} else {
			group.Go(work)
		}
	}
	if err = errors.Join(err, group.Wait()); err != nil {
		return nil, nil, err
	}
	for i, n := range names {
		c, l := n.comment, &leaves[i]
		if l.err != nil {
			if !isGone(l.err) && !isDenied(l.err) {
				f.log.Warn("a comment cannot be read and is left out of its folder", "topic", topic, "comment", c, "err", l.err)
				missed = append(missed, c)
			}
			// In a tree that is not whole it may stand from before.
			changes = append(changes, change{name: c, slot: c.Slot()})
			continue
		}
		for v, d := range l.digests {
			if err := b.Set(f.db.placeKey(byte(v), d, number, n.seq), nil, nil); err != nil {
				return nil, nil, err
			}
		}
		changes = append(changes, change{name: c, slot: c.Slot(), cid: leafCID(f.version, l.digests[f.version]), size: uint64(l.length)})
	}
	return changes, missed, nil
}

func leafCID(v comntr.Version, d digest) cid.Cid {
	mh, err := multihash.Encode(d[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // 32 bytes of SHA-256 always encode
	}
	if v == 0 {
		return cid.NewCidV0(mh)
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// unmark puts into b that all marks go: something vanished from the source
// that nobody removed, so that what peers have must be looked at again. See
// TestLost.
func (f *Folders) unmark(b *pebble.Batch) error {
	f.log.Warn("comments vanished from the disk; what other servers have is looked at anew")
	return b.DeleteRange([]byte{keyMark}, []byte{keyMark + 1}, nil)
}

// isDamaged reports whether a source's error says that the file is damaged.
func isDamaged(err error) bool {
	var d interface{ Damaged() bool }
	return errors.As(err, &d) && d.Damaged()
}

// isDenied reports whether a source's error says that the operator denies it.
func isDenied(err error) bool {
	var d interface{ Denied() bool }
	return errors.As(err, &d) && d.Denied()
}

// isGone reports whether a source's error says that the comment was removed.
func isGone(err error) bool {
	var g interface{ Gone() bool }
	return errors.As(err, &g) && g.Gone()
}

// Block returns the bytes of a block: a directory node, or a leaf, which is
// made from the comment's file in the CID version asked for. They hash to c.
// The error is ErrNotHeld, ErrUnreadable, ErrDenied, or a GoneError where it was
// a removed comment.
func (f *Folders) Block(c cid.Cid) ([]byte, error) {
	block, err := f.block(c)
	if err == nil {
		f.meter.gave(len(block))
	}
	return block, err
}

func (f *Folders) block(c cid.Cid) (block []byte, err error) {
	if err := comntr.CheckCID(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	err = f.use(func() error {
		if block = f.sizedLeaf(c); block != nil {
			return nil
		}
		block, err = f.db.block(c)
		if errors.Is(err, ErrNotHeld) {
			block, _, err = f.leafBlock(c)
			return err
		}
		if err != nil {
			return err
		}
		if err := comntr.CheckBlock(c, block); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if f.src.DeniedBlock(c) { // of a leaf the source says so itself
			return fmt.Errorf("%w: %s", ErrDenied, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return block, nil
}

// leafBlock makes a leaf's block from the first of its places that still has
// the bytes, and tells which topic that is.
func (f *Folders) leafBlock(c cid.Cid) (block []byte, at comntr.Hash, err error) {
	var gone *GoneError
	var damaged, denied error
	var others []comntr.Hash // whose leaves are not c
	tries, looked := 0, 0
	err = f.db.places(c, func(topic, comment comntr.Hash) bool {
		if looked++; slices.Contains(others, comment) {
			return looked < maxLooked
		}
		tries++
		doc, err := f.src.Read(topic, comment)
		switch {
		case err == nil:
			b := comntr.Version(leafKind(c)).LeafBlock(doc)
			if comntr.CheckBlock(c, b) == nil {
				block, at = b, topic
				return false
			}
			others = append(others, comment)
		case isGone(err):
			gone, at = &GoneError{Comments: []comntr.Hash{comment}}, topic
		case isDenied(err):
			denied = fmt.Errorf("%w: %s", ErrDenied, c)
		case isDamaged(err):
			damaged = fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		return tries < maxPlaces
	})
	switch {
	case err != nil:
		return nil, at, err
	case block != nil:
		return block, at, nil
	case damaged != nil:
		return nil, at, damaged
	case denied != nil:
		return nil, at, denied
	case gone != nil:
		return nil, at, gone
	}
	return nil, at, fmt.Errorf("%w: %s", ErrNotHeld, c)
}

// Size is the length of Block's bytes, with its errors, but of a comment from the
// index alone: that its file is damaged Block tells. Who asks for the size asks
// for the block next.
func (f *Folders) Size(c cid.Cid) (int, error) {
	size := 0
	if comntr.CheckCID(c) == nil {
		var at place
		if err := f.use(func() error {
			tries := 0
			return f.db.places(c, func(topic, comment comntr.Hash) bool {
				tries++
				if n, held := f.src.Held(topic, comment); held {
					at, size = place{topic, comment}, comntr.Version(leafKind(c)).LeafSize(n)
				}
				return size == 0 && tries < maxPlaces
			})
		}); err != nil {
			return 0, err
		}
		if size > 0 {
			f.sized.Add(c, at)
			return size, nil
		}
	}
	block, err := f.block(c)
	return len(block), err
}

// place is where a leaf's comment stands.
type place struct{ topic, comment comntr.Hash }

// sizedLeaf makes the block of a leaf that was asked for by Size just before.
func (f *Folders) sizedLeaf(c cid.Cid) []byte {
	at, ok := f.sized.Get(c)
	if !ok {
		return nil
	}
	f.sized.Remove(c) // it is asked for once
	doc, err := f.src.ReadListed(at.topic, at.comment)
	if err != nil {
		return nil
	}
	block := comntr.Version(leafKind(c)).LeafBlock(doc)
	if comntr.CheckBlock(c, block) != nil {
		return nil
	}
	return block
}

// Node returns a directory node that is held. Do not change it. Leaves are
// ErrNotHeld.
func (f *Folders) Node(c cid.Cid) (*comntr.Node, error) {
	var n sized
	err := f.use(func() (err error) {
		n, err = f.db.node(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return n.Node, nil
}
