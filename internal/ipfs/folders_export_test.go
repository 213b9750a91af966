package ipfs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Bounds, for tests of them.
const (
	Grace       = grace
	RetryPause  = retryPause
	MaxPeers    = maxPeers
	MaxPut      = maxPut
	MaxAsked    = maxAsked
	RetryMissed = retryMissed
)

// OpenFoldersOn is OpenFolders with the database's tables on fs.
func OpenFoldersOn(fs vfs.FS, dir string, v comntr.Version, src Source, log *slog.Logger) (*Folders, error) {
	return openFolders(dir, v, src, log, fs)
}

// Write commits a value of size bytes as own folders are.
func (f *Folders) Write(key string, size int) error {
	return f.use(func() error {
		b := f.db.db.NewBatch()
		defer b.Close()
		if err := b.Set([]byte("z"+key), make([]byte, size), nil); err != nil {
			return err
		}
		return f.db.apply(b, forOwn)
	})
}

// Settle writes out and merges all that the database has: it makes no table by itself
// then.
func (f *Folders) Settle() error {
	if err := f.db.db.Flush(); err != nil {
		return err
	}
	return f.db.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false)
}

// Waits is whether a write waits for the database to write out what it has.
func (f *Folders) Waits() bool { return f.db.room.waiting.Load() > 0 }

// Share is how many bytes may wait for collection and be retained for peers.
func (f *Folders) Share() (waiting, retained int64) { return f.db.maxGrace, f.maxRetained }

// SetMaxRetained sets how many bytes all retained trees have at most.
func (f *Folders) SetMaxRetained(n int64) { f.maxRetained = n }

// Get is what bitswap's server reads.
func Get(log *slog.Logger, c cid.Cid, holder Holder) error {
	h := holders{log: log}
	h.add(holder)
	_, err := h.Get(context.Background(), c)
	return err
}

// SetClock replaces the clock that grace and retries are counted by.
func (f *Folders) SetClock(now func() time.Time) { f.db.now = now }

// SetMaxGrace sets how many bytes of nodes wait for collection at most.
func (f *Folders) SetMaxGrace(n int64) { f.db.maxGrace = n }

// SetMaxCAR sets how many bytes of blocks a CAR has at most.
func (f *Folders) SetMaxCAR(n int) { f.limits.car = n }

// MaxKeptCARs is the bound of that name.
const MaxKeptCARs = maxKeptCARs

// MaxKeptNumber is the bound of that name.
const MaxKeptNumber = maxKeptNumber

// KeptCARs counts the CARs that are kept, and their bytes.
func (f *Folders) KeptCARs() (n, size int) { return len(f.cars.all), f.cars.bytes }

// ForgetCARs forgets all of them.
func (f *Folders) ForgetCARs() { f.cars.all, f.cars.bytes = nil, 0 }

// SetMaxCARLinks sets how many links a CAR follows at most.
func (f *Folders) SetMaxCARLinks(n int) { f.limits.carLinks = n }

// SetMaxChunk sets how many changes are one batch at most.
func (f *Folders) SetMaxChunk(n int) { f.limits.chunk = n }

// SetMaxPeerTree sets how many bytes of nodes a retained tree has at most.
func (f *Folders) SetMaxPeerTree(n int64) { f.limits.peerTree = n }

// Interrupt brings a topic up to date as flushTopic does, but stops after the
// first chunk of size n, as a kill would.
func (f *Folders) Interrupt(topic comntr.Hash, n int) error {
	rec, err := f.storedRecord(topic)
	if err != nil {
		return err
	}
	var names []named
	if _, err := f.src.Listing(topic, rec.since(), func(c comntr.Hash, seq uint64, _ bool) error {
		names = append(names, named{c, seq})
		return nil
	}); err != nil {
		return err
	}
	b := f.db.db.NewBatch()
	defer b.Close()
	if err := f.db.number(b, topic, &rec); err != nil {
		return err
	}
	changes, _, err := f.readLeaves(context.Background(), b, topic, rec.number, names[:n], 0)
	if err != nil {
		return err
	}
	rec.partial = true
	_, err = f.store(b, key(keyFolder, topic[:]), rec, ofComments, changes)
	f.records.Remove(topic)
	return err
}

// InterruptRoot links some topics in the community's folder, and stops, as a
// kill between two chunks would.
func (f *Folders) InterruptRoot(topics ...comntr.Hash) error {
	rec, err := f.community()
	if err != nil {
		return err
	}
	changes, err := f.topicLinks(context.Background(), topics, 0)
	if err != nil {
		return err
	}
	b := f.db.db.NewBatch()
	defer b.Close()
	rec.partial = true
	_, err = f.store(b, []byte{keyCommunity}, rec, ofTopics, changes)
	return err
}

// Damage deletes a node behind the counts' back.
func (f *Folders) Damage(c cid.Cid) error {
	d := digestOf(c)
	return f.db.db.Delete(key(keyNode, d[:]), pebble.NoSync)
}

// CheckCounts recounts every node from the trees that are kept, and reports
// what disagrees: counts, nodes that await collection, marks without a node.
func (f *Folders) CheckCounts() error {
	want := map[digest]int{}
	d := diff{load: f.db.node, refs: want}
	var errs []error
	var roots []struct {
		c cid.Cid
		l level
	}
	root := func(c cid.Cid, l level) {
		roots = append(roots, struct {
			c cid.Cid
			l level
		}{c, l})
	}
	errs = append(errs, f.db.scanPrefix([]byte{keyFolder}, func(_, v []byte) bool {
		r, err := decodeRecord(v)
		errs = append(errs, err)
		root(r.root, ofComments)
		return true
	}))
	rec, err := f.community()
	errs = append(errs, err)
	root(rec.root, ofTopics)
	for _, p := range f.peers {
		root(p.root, ofTopics)
	}
	for _, r := range roots {
		errs = append(errs, d.folder(cid.Undef, r.c, r.l, nil))
	}
	waiting := int64(0)
	seen := map[digest]bool{}
	errs = append(errs, f.db.scanPrefix([]byte{keyNode}, func(k, v []byte) bool {
		d := digest(k[1:])
		seen[d] = true
		r, ok, err := f.db.ref(d)
		if err != nil || !ok || int(r.count) != want[d] || int(r.size) != len(v) {
			errs = append(errs, fmt.Errorf("the node %x is counted %d times, stands %d times, has %d bytes, not %d: %v", d, r.count, want[d], r.size, len(v), err))
		}
		g, err := f.db.get(graceKey(r.since, d))
		if err != nil || (g != nil) != (r.count == 0) {
			errs = append(errs, errors.New("a node that stands nowhere is not awaiting collection, or one that stands somewhere is"))
		}
		if r.count == 0 {
			waiting += int64(r.size)
		}
		return true
	}))
	for d := range want {
		if !seen[d] {
			errs = append(errs, errors.New("a node of a kept tree is missing"))
		}
	}
	errs = append(errs, f.db.scanPrefix([]byte{keyMark}, func(k, _ []byte) bool {
		if !seen[digest(k[1:33])] {
			errs = append(errs, errors.New("a mark outlived its node"))
		}
		return true
	}))
	if waiting != f.db.graceBytes {
		errs = append(errs, errors.New("the sum of bytes awaiting collection is wrong"))
	}
	return errors.Join(errs...)
}

// Forget makes the next write look at the file system.
func (f *Folders) Forget() {
	f.room.mu.Lock()
	defer f.room.mu.Unlock()
	f.room.at = time.Time{}
}

// DropOldMarks forgets the marks that no longer hold.
func (f *Folders) DropOldMarks() error { return f.use(f.dropOldMarks) }

// Pack is how a node lies in the database; Unpack reads it and gives its block.
func Pack(n *comntr.Node) (packed []byte, size int) {
	s := sized{n, len(n.Encode())}
	return s.pack(), s.packed()
}

func Unpack(b []byte) (block []byte, size int, err error) {
	n, err := unpack(b)
	if err != nil {
		return nil, 0, err
	}
	return n.Encode(), n.block, nil
}

// Misplace notes a comment as one that a leaf may be made of.
func (f *Folders) Misplace(c cid.Cid, topic, comment comntr.Hash) error {
	rec, err := f.storedRecord(topic)
	if err != nil {
		return err
	}
	seq, _ := f.src.Number(topic, comment)
	return f.db.db.Set(f.db.placeKey(leafKind(c), digestOf(c), rec.number, seq), nil, pebble.NoSync)
}

// FlushPeriod is a bound, for a test of it.
const FlushPeriod = flushPeriod
