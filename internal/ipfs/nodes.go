package ipfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// The block database, dir/blocks: a Pebble store. Every node in it is counted:
// how often it stands in the trees that are kept. A node that stands in none
// stays for the grace hour. There is no log: what the tables lack is made again
// from the source. After a crash the database is at some earlier moment, whole,
// because each step of work is one batch.
//
// Keys, by their first byte:
//
//	h                                  -> format, CID version, the source's epoch
//	n digest                           -> a directory node, packed
//	r digest                           -> ref: count, since, size
//	g since digest                     -> size: the nodes whose count is 0, oldest first
//	m digest scope                     -> a mark: merged in that scope
//	x hash(5) topic seq                -> a leaf's place; the hash is of its CID version,
//	                                      its digest and the secret below, topic and seq
//	                                      are uvarints: a topic's number below, and the
//	                                      source's of a comment in it
//	s                                  -> the secret of leaves' places, random
//	t number(4)                        -> the topic that has the number
//	f topic                            -> record of a topic's folder
//	c                                  -> record of the community's folder
//	d topic comment                    -> listed, but its bytes could not be read
//	p peer                             -> retained tree of a peer
//	l                                  -> Source.Loosened when all marks that stand were made
const (
	keyHeader    = 'h'
	keyNode      = 'n'
	keyRef       = 'r'
	keyGrace     = 'g'
	keyMark      = 'm'
	keyLeaf      = 'x'
	keySecret    = 's'
	keyNumber    = 't'
	keyFolder    = 'f'
	keyCommunity = 'c'
	keyMissed    = 'd'
	keyPeer      = 'p'
	keyLoosened  = 'l'

	// formatVersion changes with any of the above; another one wipes.
	formatVersion = 3
)

// Bounds of the database.
const (
	// grace is how long a node that stands in no kept tree can still be had.
	grace = time.Hour
	// maxGrace is how many bytes of such nodes are kept: past it the oldest go
	// early. A busy folder of 3,000 comments is 160 KiB more for each.
	maxGrace = 1 << 30
	// collectBatch is how many nodes one batch of a collection deletes.
	collectBatch = 1024
	// maxPlaces is how many places of one leaf are tried: equal comments may
	// stand in any number of topics.
	maxPlaces = 64
	// leafHash is how many bytes stand for a leaf in its places. Of two million
	// leaves one in half a million shares them with another, and both places are
	// tried. Who does not know the secret cannot make comments that share them, to
	// hide another's leaf behind maxPlaces of them.
	leafHash   = 5
	secretSize = 16
	// maxLooked is how many places are passed over because another one has shown
	// that its comment is not the leaf's: that one may stand in any number of topics.
	maxLooked = 4096
	// flushPeriod is how often at most Collect has what is in memory written out,
	// which a crash would lose: who retained a peer's tree may not get it again.
	flushPeriod = 10 * time.Minute
	// flushPatience is how long that may take at Close.
	flushPatience = 2 * time.Second

	blockCache = 10 << 20 // bytes, the memtables among them
	memTable   = 3 << 20  // bytes
)

// digest is the SHA-256 of a block. Two CIDs of one block have one digest.
type digest [32]byte

func digestOf(c cid.Cid) digest { return digest(c.Hash()[2:]) }

func key(first byte, parts ...[]byte) []byte {
	k := append(make([]byte, 0, 80), first)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

// keyEnd is the first key past all that begin with prefix.
func keyEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// nodeDB is the open database.
type nodeDB struct {
	db    *pebble.DB
	log   *slog.Logger
	now   func() time.Time
	stain func() // called when Pebble finds damage
	room  *room
	at    func(topic comntr.Hash, seq uint64) (comment comntr.Hash, ok bool) // Source.At

	numbers atomic.Uint32 // the last one that a topic was given
	secret  [secretSize]byte

	// mu is held from reading counts to committing what follows from them.
	mu         sync.Mutex
	flushed    time.Time
	graceBytes int64 // sum of the sizes under keyGrace
	maxGrace   int64
}

// ref says how often a node stands in the trees that are kept.
type ref struct {
	count uint64
	since uint64 // Unix seconds at which count fell to 0
	size  uint64 // bytes under keyNode
}

func (r ref) encode() []byte {
	b := binary.AppendUvarint(nil, r.count)
	b = binary.AppendUvarint(b, r.since)
	return binary.AppendUvarint(b, r.size)
}

// record is what is known of a folder of our own.
type record struct {
	tree
	number uint32 // of the topic in leaves' places; 0: none yet
	seq    uint64 // the source's number that the tree is made of
	// partial: the tree holds only part of what changed. It is compared with
	// the whole listing the next time, because a list of net changes does not
	// name what came and went in between.
	partial bool
}

func (r record) encode() []byte {
	b := []byte{0}
	if r.partial {
		b[0] = 1
	}
	b = binary.AppendUvarint(b, uint64(r.number))
	b = binary.AppendUvarint(b, r.seq)
	b = binary.AppendUvarint(b, uint64(r.count))
	b = binary.AppendUvarint(b, r.size)
	return append(b, r.root.Bytes()...)
}

func decodeRecord(b []byte) (r record, err error) {
	fail := fmt.Errorf("%w: a folder's record", errDamaged)
	if len(b) == 0 {
		return r, fail
	}
	r.partial = b[0] == 1
	var number, count uint64
	b = b[1:]
	for _, v := range []*uint64{&number, &r.seq, &count, &r.size} {
		n := 0
		if *v, n = binary.Uvarint(b); n <= 0 {
			return r, fail
		}
		b = b[n:]
	}
	r.number, r.count = uint32(number), int(count)
	if r.root, err = cid.Cast(b); err != nil || comntr.CheckCID(r.root) != nil {
		return r, fail
	}
	return r, nil
}

// openNodes opens dir, and empties it first unless it was made for the same
// format, CID version and epoch. lock is that of dir.
func openNodes(dir string, lock *pebble.Lock, v comntr.Version, src Source, room *room, stain func()) (*nodeDB, error) {
	header := binary.BigEndian.AppendUint64([]byte{formatVersion, byte(v)}, src.Epoch())
	log := room.log
	n := &nodeDB{log: log, now: time.Now, stain: stain, room: room, at: src.At, maxGrace: maxGrace}
	err := n.open(dir, lock)
	if err == nil {
		if err = n.begin(header); err == nil {
			return n, nil
		}
		err = errors.Join(err, n.db.Close())
	}
	log.Warn("building the block database anew", "err", err)
	if err := wipe(dir); err != nil {
		return nil, err
	}
	if err := n.open(dir, lock); err != nil {
		return nil, fmt.Errorf("open the block database: %w", err)
	}
	if err := n.begin(header); err != nil {
		return nil, errors.Join(err, n.db.Close())
	}
	return n, nil
}

// begin compares the header, or writes that of a new database.
func (n *nodeDB) begin(header []byte) error {
	have, err := n.get([]byte{keyHeader})
	switch {
	case err != nil:
		return err
	case have == nil:
		rand.Read(n.secret[:])
		b := n.db.NewBatch()
		defer b.Close()
		return errors.Join(b.Set([]byte{keyHeader}, header, nil), b.Set([]byte{keySecret}, n.secret[:], nil), b.Commit(pebble.NoSync))
	case !bytes.Equal(have, header):
		return errors.New("it was made for another store or version")
	}
	secret, err := n.get([]byte{keySecret})
	if err == nil && copy(n.secret[:], secret) != secretSize {
		err = fmt.Errorf("%w: it has no secret", errDamaged)
	}
	return errors.Join(err, n.loadNumbers(), n.sumGrace())
}

func (n *nodeDB) open(dir string, lock *pebble.Lock) (err error) {
	o := &pebble.Options{
		FS:                 n.room,
		FormatMajorVersion: pebble.FormatNewest,
		Lock:               lock,
		CacheSize:          blockCache,
		MemTableSize:       memTable,
		DisableWAL:         true,

		MemTableStopWritesThreshold: pebbleHoldsNone, // see room.await
		L0StopWritesThreshold:       pebbleHoldsNone,

		Logger:        pebbleLog{n.log},
		EventListener: n.room.listen(n.stain),
	}
	for i := range o.Levels {
		// Most counts asked for are of nodes that are new.
		o.Levels[i].FilterPolicy = filter{bloom.FilterPolicy(10)}
		// It is hashes for the most part.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	n.db, err = pebble.Open(dir, o)
	return err
}

// filter is one of all keys but leaves' places, which are never asked for one by
// one, and of which there are a hundred times as many.
type filter struct{ bloom.FilterPolicy }

func (f filter) NewWriter(t pebble.FilterType) pebble.FilterWriter {
	return filterWriter{f.FilterPolicy.NewWriter(t)}
}

type filterWriter struct{ pebble.FilterWriter }

func (w filterWriter) AddKey(k []byte) {
	if k[0] != keyLeaf {
		w.FilterWriter.AddKey(k)
	}
}

// close writes out what is in memory, if there is room for it, and closes.
func (n *nodeDB) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushPatience)
	defer cancel()
	return errors.Join(n.flush(ctx), n.db.Close())
}

// flushDue is flush, but not too often: each makes a table.
func (n *nodeDB) flushDue(ctx context.Context) error {
	n.mu.Lock()
	due := n.now().Sub(n.flushed) >= flushPeriod
	if due {
		n.flushed = n.now()
	}
	n.mu.Unlock()
	if !due {
		return nil
	}
	return n.flush(ctx)
}

// flush writes out what is in memory. Where there is no room for it that is no
// error: it can be made again.
func (n *nodeDB) flush(ctx context.Context) error {
	if n.room.take(0, forDropping) != nil {
		return nil
	}
	done, err := n.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("write out the block database: %w", err)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return nil
}

// wipe removes all but the lock, which is held.
func wipe(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("empty the block database: %w", err)
	}
	for _, f := range files {
		if f.Name() == "LOCK" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("empty the block database: %w", err)
		}
	}
	return nil
}

type pebbleLog struct{ log *slog.Logger }

func (pebbleLog) Infof(string, ...any) {}
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("the block database reports an error", "err", fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble's state is undefined after it.
func (l pebbleLog) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (n *nodeDB) get(k []byte) ([]byte, error) {
	v, closer, err := n.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the block database: %w", err)
	}
	defer closer.Close()
	if len(v) == 0 {
		return []byte{}, nil
	}
	return bytes.Clone(v), nil
}

// scan calls fn for the keys from lower on that are under upper, until it
// returns false. The key and value are only good inside of fn.
func (n *nodeDB) scan(lower, upper []byte, fn func(k, v []byte) bool) error {
	it, err := n.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read the block database: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !fn(it.Key(), it.Value()) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read the block database: %w", err)
	}
	return nil
}

func (n *nodeDB) scanPrefix(prefix []byte, fn func(k, v []byte) bool) error {
	return n.scan(prefix, keyEnd(prefix), fn)
}

// node reads a directory node; ErrNotHeld where there is none.
func (n *nodeDB) node(c cid.Cid) (sized, error) {
	if comntr.CheckCID(c) != nil || c.Prefix().Codec != cid.DagProtobuf {
		return sized{}, fmt.Errorf("%w: %s", ErrNotHeld, c)
	}
	d := digestOf(c)
	v, closer, err := n.db.Get(key(keyNode, d[:]))
	if errors.Is(err, pebble.ErrNotFound) {
		return sized{}, fmt.Errorf("%w: %s", ErrNotHeld, c)
	}
	if err != nil {
		return sized{}, fmt.Errorf("read the block database: %w", err)
	}
	defer closer.Close()
	return unpack(v)
}

// block makes a directory node's block.
func (n *nodeDB) block(c cid.Cid) ([]byte, error) {
	node, err := n.node(c)
	if err != nil {
		return nil, err
	}
	return node.Encode(), nil
}

func (n *nodeDB) ref(d digest) (r ref, ok bool, err error) {
	b, err := n.get(key(keyRef, d[:]))
	if b == nil || err != nil {
		return r, false, err
	}
	for _, v := range []*uint64{&r.count, &r.since, &r.size} {
		k := 0
		if *v, k = binary.Uvarint(b); k <= 0 {
			return r, false, fmt.Errorf("%w: a node's count", errDamaged)
		}
		b = b[k:]
	}
	return r, true, nil
}

func graceKey(since uint64, d digest) []byte {
	return key(keyGrace, binary.BigEndian.AppendUint64(nil, since), d[:])
}

// sumGrace finds the bytes of all nodes that await collection.
func (n *nodeDB) sumGrace() error {
	n.graceBytes = 0
	return n.scanPrefix([]byte{keyGrace}, func(_, v []byte) bool {
		size, _ := binary.Uvarint(v)
		n.graceBytes += int64(size)
		return true
	})
}

// commit writes b together with what refs, changes of counts, entail. made are
// the new nodes among those counted. Where a node is counted up that is
// neither held nor made the error is ErrNotHeld, and nothing was changed; nor
// was it where the error is ErrNoRoom.
func (n *nodeDB) commit(b *pebble.Batch, refs map[digest]int, made map[digest]sized, p purpose) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := uint64(n.now().Unix())
	waiting := int64(0)
	for d, delta := range refs {
		if delta == 0 {
			continue
		}
		r, ok, err := n.ref(d)
		if err != nil {
			return err
		}
		if !ok {
			node := made[d]
			if node.Node == nil || delta < 0 {
				return fmt.Errorf("%w: the node %x", ErrNotHeld, d)
			}
			v := node.pack()
			r.size = uint64(len(v))
			if err := b.Set(key(keyNode, d[:]), v, nil); err != nil {
				return err
			}
		} else if r.count == 0 {
			waiting -= int64(r.size)
			if err := b.Delete(graceKey(r.since, d), nil); err != nil {
				return err
			}
		}
		if delta < 0 && uint64(-delta) > r.count {
			return fmt.Errorf("%w: the node %x is counted %d times less than it stands", errDamaged, d, delta)
		}
		r.count += uint64(delta)
		if r.count == 0 {
			r.since = now
			waiting += int64(r.size)
			if err := b.Set(graceKey(now, d), binary.AppendUvarint(nil, r.size), nil); err != nil {
				return err
			}
		}
		if err := b.Set(key(keyRef, d[:]), r.encode(), nil); err != nil {
			return err
		}
	}
	if err := n.apply(b, p); err != nil {
		return err
	}
	n.graceBytes += waiting
	return n.trim()
}

// apply writes b if there is room for it, else the error is ErrNoRoom.
func (n *nodeDB) apply(b *pebble.Batch, p purpose) error {
	if err := n.room.take(b.Len(), p); err != nil {
		return fmt.Errorf("write the block database: %w", err)
	}
	if err := n.room.await(b.Len(), n.behind); err != nil {
		return fmt.Errorf("write the block database: %w", err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write the block database: %w", err)
	}
	return nil
}

// behind is whether what was written waits to be written out, or to be merged.
func (n *nodeDB) behind() bool {
	m := n.db.Metrics()
	return m.MemTable.Size > heldMemory || m.Levels[0].Sublevels >= heldTables
}

// park stores nodes that stand in no tree yet. They stay for the grace hour,
// counted from the last time that they were parked. The error is ErrNoRoom also
// where they alone would push out most of what waits.
func (n *nodeDB) park(nodes map[digest]sized) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.db.NewBatch()
	defer b.Close()
	now := uint64(n.now().Unix())
	waiting := int64(0)
	for d, node := range nodes {
		r, ok, err := n.ref(d)
		switch {
		case err != nil:
			return err
		case ok && (r.count > 0 || r.since == now):
			continue
		case ok:
			if err := b.Delete(graceKey(r.since, d), nil); err != nil {
				return err
			}
		default:
			v := node.pack()
			r.size = uint64(len(v))
			waiting += int64(r.size)
			if err := b.Set(key(keyNode, d[:]), v, nil); err != nil {
				return err
			}
		}
		r.since = now
		if err := errors.Join(
			b.Set(key(keyRef, d[:]), r.encode(), nil),
			b.Set(graceKey(now, d), binary.AppendUvarint(nil, r.size), nil),
		); err != nil {
			return err
		}
	}
	if waiting > n.maxGrace/2 {
		return fmt.Errorf("%w: %d bytes of nodes", ErrNoRoom, waiting)
	}
	if err := n.apply(b, forPeers); err != nil {
		return err
	}
	n.graceBytes += waiting
	return n.trim()
}

// trim collects the oldest waiting nodes early where they are too many bytes.
func (n *nodeDB) trim() error {
	if n.graceBytes <= n.maxGrace {
		return nil
	}
	// Some more than needed, so that the next commit does not find the same.
	for n.graceBytes > n.maxGrace-n.maxGrace/8 {
		more, err := n.collect([]byte{keyGrace}, []byte{keyGrace + 1}, n.graceBytes-(n.maxGrace-n.maxGrace/8))
		if errors.Is(err, ErrNoRoom) {
			return nil // what was committed stands; a later one tries again
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// collect deletes one batch of waiting nodes whose grace key is from lower on and
// under upper, until so many bytes are freed. more is false when none are left.
func (n *nodeDB) collect(lower, upper []byte, bytes int64) (more bool, err error) {
	b := n.db.NewBatch()
	defer b.Close()
	var dead []digest
	var sizes []uint32
	freed := int64(0)
	if err := n.scan(lower, upper, func(k, v []byte) bool {
		if freed >= bytes || len(dead) >= collectBatch {
			more = true
			return false
		}
		size, _ := binary.Uvarint(v)
		freed += int64(size)
		dead, sizes = append(dead, digest(k[len(k)-32:])), append(sizes, uint32(size))
		err = b.Delete(k, nil)
		return err == nil
	}); err != nil {
		return false, err
	}
	if err != nil {
		return false, err
	}
	for i, d := range dead {
		// Its size tells Pebble which tables are worth compacting.
		if err := errors.Join(b.DeleteSized(key(keyNode, d[:]), sizes[i], nil), b.Delete(key(keyRef, d[:]), nil)); err != nil {
			return false, err
		}
		// A mark says that all below this node was merged. Once the node is
		// gone nothing would ever delete it.
		var marks [][]byte
		if err := n.scanPrefix(key(keyMark, d[:]), func(k, _ []byte) bool {
			marks = append(marks, append([]byte(nil), k...))
			return true
		}); err != nil {
			return false, err
		}
		for _, m := range marks {
			if err := b.Delete(m, nil); err != nil {
				return false, err
			}
		}
	}
	if len(dead) == 0 {
		return false, nil
	}
	if err := n.apply(b, forDropping); err != nil {
		return false, err
	}
	n.graceBytes -= freed
	return more, nil
}

// collectBefore deletes the nodes that stood in no tree since before t, and those
// whose time a clock gave that was ahead.
func (n *nodeDB) collectBefore(ctx context.Context, t time.Time) error {
	if t.Unix() < 0 {
		return nil
	}
	from := func(t time.Time) []byte {
		return key(keyGrace, binary.BigEndian.AppendUint64(nil, uint64(t.Unix())+1))
	}
	return errors.Join(
		n.collectAll(ctx, []byte{keyGrace}, from(t)),
		n.collectAll(ctx, from(t.Add(2*grace)), []byte{keyGrace + 1}),
	)
}

// collectAll deletes all waiting nodes of a range of grace keys.
func (n *nodeDB) collectAll(ctx context.Context, lower, upper []byte) error {
	for {
		// Not all under one lock: commits pass between the batches.
		n.mu.Lock()
		more, err := n.collect(lower, upper, 1<<62)
		n.mu.Unlock()
		if err != nil || !more {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// places calls fn for the places where a leaf's block may be, until it returns
// false. Only the leaf made of the comment tells.
func (n *nodeDB) places(c cid.Cid, fn func(topic, comment comntr.Hash) bool) error {
	prefix := n.leafKey(leafKind(c), digestOf(c))
	var bad error
	err := n.scanPrefix(prefix, func(k, _ []byte) bool {
		number, i := binary.Uvarint(k[len(prefix):])
		seq, j := binary.Uvarint(k[len(prefix)+max(i, 0):])
		if i <= 0 || j <= 0 {
			bad = fmt.Errorf("%w: a leaf's place", errDamaged)
			return false
		}
		var t []byte
		if t, bad = n.get(numberKey(uint32(number))); bad == nil && len(t) != len(comntr.Hash{}) {
			bad = fmt.Errorf("%w: no topic has the number of a leaf's place", errDamaged)
		}
		if bad != nil {
			return false
		}
		topic := comntr.Hash(t)
		comment, ok := n.at(topic, seq)
		return !ok || fn(topic, comment)
	})
	return errors.Join(err, bad)
}

func numberKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyNumber}, number)
}

// number gives a topic that has none a number.
func (n *nodeDB) number(b *pebble.Batch, topic comntr.Hash, r *record) error {
	if r.number > 0 {
		return nil
	}
	r.number = n.numbers.Add(1)
	return b.Set(numberKey(r.number), topic[:], nil)
}

// loadNumbers finds the last number given.
func (n *nodeDB) loadNumbers() error {
	it, err := n.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyNumber}, UpperBound: []byte{keyNumber + 1}})
	if err != nil {
		return fmt.Errorf("read the block database: %w", err)
	}
	n.numbers.Store(0)
	if it.Last() && len(it.Key()) == 5 {
		n.numbers.Store(binary.BigEndian.Uint32(it.Key()[1:]))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read the block database: %w", err)
	}
	return nil
}

// leafKind is the CID version whose leaves have c's codec.
func leafKind(c cid.Cid) byte {
	if c.Prefix().Codec == cid.Raw {
		return 1
	}
	return 0
}

// leafKey begins the keys of a leaf's places.
func (n *nodeDB) leafKey(kind byte, d digest) []byte {
	var b [secretSize + 1 + len(d)]byte
	copy(b[:], n.secret[:])
	b[secretSize] = kind
	copy(b[secretSize+1:], d[:])
	hash := sha256.Sum256(b[:])
	return key(keyLeaf, hash[:leafHash])
}

func (n *nodeDB) placeKey(kind byte, d digest, number uint32, seq uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(n.leafKey(kind, d), uint64(number)), seq)
}
