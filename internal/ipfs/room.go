package ipfs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble should never meet a full file system. So each batch looks first at what is
// free, and who writes for peers stops long before who writes for readers. Where
// Pebble fails all the same, a write would wait inside it, for ever and with our
// locks, for a flush that cannot be: so it is told never to hold writes back, and
// room does that, and ends it once a flush has failed (TestFullDisk).

// What stays free of the file system, by what a write is for.
const (
	// peersReserve is what peers' nodes leave: much more than the store's own
	// reserve (internal/store, disk.go), because they are copies.
	peersReserve  = 256 << 20 // bytes
	peersFraction = 8         // of a file system too small for that: its eighth part
	// ownReserve is half of the store's reserve, at each size: a comment that
	// was taken in can be listed.
	ownReserve  = 16 << 20
	ownFraction = 16
	// dropReserve is what deletions leave. They give room, but are written too.
	dropReserve  = 8 << 20
	dropFraction = 32

	// writeFactor: a batch is written to a table, and once or twice more when
	// tables are merged.
	writeFactor = 3
	spaceFresh  = time.Second // how long a look at the file system counts
	spaceUnseen = 4 << 20     // bytes that may be written before the next look
)

// After Pebble failed to write a table it tries again at once, and so for ever.
const (
	// retryPause is how long it has to wait.
	retryPause = time.Second
	// ailing is how long after a failure nothing is written. It is longer than
	// retryPause: as long as the tries fail, it does not end.
	ailing = 10 * retryPause
	// warnPeriod is how often failures are logged.
	warnPeriod = time.Minute
)

// Writes are held back while Pebble is behind with its own: see nodeDB.behind.
const (
	// heldMemory is how many bytes of memtables may be there, the one that is
	// written to among them, before more than lookEvery is written.
	heldMemory = 2 * memTable
	heldTables = 12 // layers of flushed tables that wait to be merged
	lookEvery  = 1 << 20
	// pebbleHoldsNone is more of each than there will be.
	pebbleHoldsNone = 1 << 20
)

// What peers' nodes take of what was free when the database was opened, or
// they took themselves: maxGrace and maxPeers times maxPeerTree at most.
const (
	peersPart = 10 // one tenth
	gracePart = 5  // of that one fifth waits for collection, the rest is retained
)

// purpose is what a write is for.
type purpose int

const (
	forPeers purpose = iota
	forOwn
	forDropping
)

// reserve is how many bytes of a file system of total bytes are not for it.
func (p purpose) reserve(total uint64) int64 {
	most, fraction := uint64(peersReserve), uint64(peersFraction)
	switch p {
	case forOwn:
		most, fraction = ownReserve, ownFraction
	case forDropping:
		most, fraction = dropReserve, dropFraction
	}
	return int64(min(most, total/fraction))
}

// room knows how much may be written. It is Pebble's file system too, in which
// it paces tries that follow a failure.
type room struct {
	vfs.FS
	ctx context.Context // ends at Close
	dir string
	log *slog.Logger

	mu      sync.Mutex
	at      time.Time // of the last look
	usage   vfs.DiskUsage
	unknown bool
	written int64     // since then
	memory  int64     // about what Pebble has yet to flush: no look sees it
	failed  time.Time // when Pebble last failed behind our back
	warned  time.Time
	unseen  int           // bytes written since it was seen not to be behind, lookEvery at most
	turn    chan struct{} // closed when Pebble has written something, or failed; nil: nobody asked
	waiting atomic.Int64  // who waits for it now
}

// look looks at the file system. mu is held.
func (r *room) look() {
	u, err := r.FS.GetDiskUsage(r.dir)
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) && !r.unknown {
		r.log.Warn("the free space cannot be read: it is taken for enough", "err", err)
	}
	r.at, r.usage, r.unknown, r.written = time.Now(), u, err != nil, 0
}

// take takes room for a batch of n bytes. The error is ErrNoRoom.
func (r *room) take(n int, p purpose) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ails() {
		return errAils
	}
	need := int64(n) * writeFactor
	if r.at.IsZero() || time.Since(r.at) >= spaceFresh || r.written+need > spaceUnseen {
		r.look()
	}
	if r.unknown {
		return nil
	}
	if int64(r.usage.AvailBytes)-r.written-r.memory-need < p.reserve(r.usage.TotalBytes) {
		return ErrNoRoom
	}
	r.written += need
	r.memory += int64(n)
	return nil
}

var errAils = fmt.Errorf("%w: the last write failed", ErrNoRoom)

// ails is whether Pebble failed of late. mu is held.
func (r *room) ails() bool { return !r.failed.IsZero() && time.Since(r.failed) < ailing }

// await returns when n bytes may be written because Pebble is not behind, ErrNoRoom
// where it fails meanwhile or is closed. behind takes Pebble's lock, under which mu
// is taken: it is called without.
func (r *room) await(n int, behind func() bool) error {
	for due := r.lookDue(n); due; {
		turn, err := r.next() // before the look: what comes after it is not missed
		if !behind() {
			r.seen()
			break
		}
		if err != nil {
			return err
		}
		r.waiting.Add(1)
		select {
		case <-turn:
		case <-r.ctx.Done():
		}
		r.waiting.Add(-1)
	}
	return nil
}

// lookDue counts n bytes and is whether so much came that Pebble may be behind.
func (r *room) lookDue(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unseen = min(r.unseen+n, lookEvery)
	return r.unseen == lookEvery
}

// seen notes that Pebble is not behind: not before may more be written unseen.
func (r *room) seen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unseen = 0
}

// next returns the channel of the next turn, and why it is not to be waited for.
func (r *room) next() (turn <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn == nil {
		r.turn = make(chan struct{})
	}
	switch {
	case r.ails():
		err = errAils
	case r.ctx.Err() != nil:
		err = fmt.Errorf("%w: the block database is being closed", ErrNoRoom)
	}
	return r.turn, err
}

// turned wakes who waits. mu is held.
func (r *room) turned() {
	if r.turn != nil {
		close(r.turn)
		r.turn = nil
	}
}

// share is how many bytes of nodes may wait for collection and how many be
// retained for peers, where they are held bytes now.
func (r *room) share(held int64) (waiting, retained int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	r.memory = 0 // the database was opened just now
	if r.unknown {
		return maxGrace, maxPeers * maxPeerTree
	}
	part := (int64(r.usage.AvailBytes) + held) / peersPart
	return min(maxGrace, part/gracePart), min(maxPeers*maxPeerTree, part-part/gracePart)
}

// fail notes that Pebble failed behind our back. It is called with Pebble's
// lock held and must not wait.
func (r *room) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = time.Now()
	r.turned()
	if r.warned.IsZero() || time.Since(r.warned) >= warnPeriod {
		r.warned = r.failed
		r.log.Error("the block database cannot write; it tries again", "err", err.Error()) // else with its stack
	}
}

// flushed notes what is no longer in memory only.
func (r *room) flushed(i pebble.FlushInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turned()
	if i.Err == nil {
		r.memory = max(0, r.memory-int64(i.InputBytes))
	}
}

// merged notes that there may be fewer tables.
func (r *room) merged(pebble.CompactionInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turned()
}

// Create makes a file. A table has to wait after a failure.
func (r *room) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		r.mu.Lock()
		pause := time.Until(r.failed.Add(retryPause))
		r.mu.Unlock()
		if pause > 0 {
			t := time.NewTimer(pause)
			defer t.Stop()
			select {
			case <-t.C:
			case <-r.ctx.Done():
			}
		}
	}
	return r.FS.Create(name, c)
}

// Unwrap returns the file system below.
func (r *room) Unwrap() vfs.FS { return r.FS }

// listen returns what is to be told of Pebble's doings.
func (r *room) listen(stain func()) *pebble.EventListener {
	return &pebble.EventListener{
		// Without a listener Pebble ends the process, over data that can be
		// built again.
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			r.log.Error("the block database is damaged", "err", i.Details)
			stain()
		},
		// Without this one each of its tries is logged: many in a second.
		BackgroundError: r.fail,
		FlushEnd:        r.flushed,
		CompactionEnd:   r.merged,
	}
}
