package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// blockSize is what a file is rounded up to when space is counted, and what a
// topic's folder counts as.
const blockSize = 4 << 10

// onDisk is what size bytes in a file take.
func onDisk(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

// Disk is what the files of all stores of a process may take, each counted as
// its size rounded up to 4 KiB. Readers may fill all of it, peers 90 %.
type Disk struct {
	max  int64
	mu   sync.Mutex
	used int64
}

// NewDisk returns a bound of max bytes, 0 for none.
func NewDisk(max int64) *Disk { return &Disk{max: max} }

// reserve takes n bytes if they are to be had.
func (d *Disk) reserve(n int64, peer bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := d.max
	if peer {
		limit = d.max / 10 * 9
	}
	if d.max != 0 && d.used+n > limit {
		return false
	}
	d.used += n
	return true
}

// count takes n bytes that are used already, whatever the bound says.
func (d *Disk) count(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used += n
}

func (d *Disk) release(n int64) { d.count(-n) }

// The file system keeps a reserve, because Pebble must never meet a full
// disk: it could not write its log, and the process would have to stop.
const (
	reserveMax      = 64 << 20            // bytes
	reserveFraction = 4                   // of a file system too small for that: its fourth part
	spaceFresh      = 1 * time.Second     // how long a look at the file system counts
	spaceUnseen     = 4 << 20             // bytes that may be written before the next look
	writeFactor     = 3                   // a document's bytes are written to the log, a table and the file
	itemOverhead    = 2*blockSize + 1<<10 // bytes: of a file's block, its directory's and the index
)

// This much must be free for a store to be opened: what Pebble may write
// then, namely what its last logs held as tables (two memtables), a new log and
// its manifest, and the first files of the journal. It is a fourth of the
// reserve, so that a store that has filled the disk up to there opens again,
// whatever its databases wrote after that: TestE2EFullDisk.
const (
	openRoom         = reserveMax / 4      // bytes
	openRoomFraction = reserveFraction * 4 // of a file system too small for that: its sixteenth part
)

// roomToOpen looks whether the index can be opened. It must be asked first,
// because Pebble, opening, flushes its logs, and tries that again for as long
// as it fails, without ever returning: TestOpenFullTmpfs.
func (s *Store) roomToOpen() error {
	dir := s.dir
	u, err := s.fs.GetDiskUsage(dir)
	for errors.Is(err, fs.ErrNotExist) && s.fs.PathDir(dir) != dir { // not made yet
		dir = s.fs.PathDir(dir)
		u, err = s.fs.GetDiskUsage(dir)
	}
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		s.log.Warn("the free space cannot be read: it is taken for enough", "err", err)
		return nil
	}
	need := min(openRoom, u.TotalBytes/openRoomFraction)
	if u.AvailBytes >= need {
		return nil
	}
	return fmt.Errorf("%w: opening may need %d bytes and %d are free: free at least %d MiB on the file system of %s, then start again",
		ErrFull, need, u.AvailBytes, (need-u.AvailBytes+1<<20-1)>>20, s.dir)
}

// space is the last look at the file system.
type space struct {
	at      time.Time
	avail   int64
	total   int64
	unknown bool
	written int64 // since then
}

// room tells whether n more bytes can be written without touching the
// reserve. Only the committer calls it.
func (s *Store) room(n int64) bool {
	sp := &s.space
	if sp.at.IsZero() || time.Since(sp.at) >= spaceFresh || sp.written+n > spaceUnseen {
		u, err := s.fs.GetDiskUsage(s.dir)
		if err != nil && !errors.Is(err, vfs.ErrUnsupported) && !sp.unknown {
			s.log.Warn("the free space cannot be read: it is taken for enough", "err", err)
		}
		*sp = space{at: time.Now(), avail: int64(u.AvailBytes), total: int64(u.TotalBytes), unknown: err != nil}
	}
	if sp.unknown {
		return true
	}
	reserve := int64(reserveMax)
	if sp.total < reserve*reserveFraction {
		reserve = sp.total / reserveFraction
	}
	if sp.avail-sp.written-n < reserve {
		return false
	}
	sp.written += n
	return true
}

var errNoRoom = fmt.Errorf("%w: the file system is nearly full", ErrFull)
