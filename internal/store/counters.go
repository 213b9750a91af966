package store

import (
	"sync/atomic"
	"time"

	"github.com/comntr/comntr/internal/measure"
)

// Counters are what a store did since it was opened, and how it stands now. They
// are for who watches a server; nothing is decided by them.
type Counters struct {
	Stats
	// FromReaders and FromServers are comments that were new when they came.
	FromReaders, FromServers uint64
	// CommitTime is in nanoseconds, from the first that waited being taken to
	// the answer: a commit is one synced write of the index. CommitItems and
	// CommitBytes are how much each had, of comments alone.
	CommitTime, CommitItems, CommitBytes measure.Snapshot
	// CheckpointTime is in nanoseconds, of those that failed too.
	CheckpointTime   measure.Snapshot
	FailedCheckpoint uint64
	// DirtyTopics have files that no checkpoint has made durable: the journal
	// has them.
	DirtyTopics  int
	JournalItems int
	JournalBytes int64
	Waiting      int    // requests that wait for the committer
	IndexBytes   uint64 // on disk
	Failed       bool   // nothing is taken until the store is opened again
}

// meter is what a store counts.
type meter struct {
	fromReaders, fromServers             atomic.Uint64
	commitTime, commitItems, commitBytes *measure.Histogram
	checkpointTime                       *measure.Histogram
	failedCheckpoints                    atomic.Uint64
	ahead, takenBack                     atomic.Uint64 // commits planned on top of another, and those of them that it took along when it failed
}

func newMeter() meter {
	return meter{
		commitTime:     measure.New(measure.Durations()...),
		commitItems:    measure.New(measure.Exponential(1, 2, 13)...),  // to maxBatchItems
		commitBytes:    measure.New(measure.Exponential(256, 4, 9)...), // to 16 MiB: maxBatchBytes and what the last request had beyond
		checkpointTime: measure.New(measure.Durations()...),
	}
}

// committed counts a commit that changed something.
func (m *meter) committed(batch []work, start time.Time) {
	items, bytes, readers, servers := 0, 0, 0, 0
	for _, w := range batch {
		if !w.result.Created || w.kind != itemAdd {
			continue
		}
		items++
		bytes += w.size()
		if w.from == "" {
			readers++
		} else {
			servers++
		}
	}
	m.commitTime.Since(start)
	m.commitItems.Observe(int64(items))
	m.commitBytes.Observe(int64(bytes))
	m.fromReaders.Add(uint64(readers))
	m.fromServers.Add(uint64(servers))
}

// Counters returns what was counted. The store is open.
func (s *Store) Counters() Counters {
	c := Counters{
		FromReaders:      s.meter.fromReaders.Load(),
		FromServers:      s.meter.fromServers.Load(),
		CommitTime:       s.meter.commitTime.Snapshot(),
		CommitItems:      s.meter.commitItems.Snapshot(),
		CommitBytes:      s.meter.commitBytes.Snapshot(),
		CheckpointTime:   s.meter.checkpointTime.Snapshot(),
		FailedCheckpoint: s.meter.failedCheckpoints.Load(),
		Waiting:          len(s.requests),
		IndexBytes:       s.db.Metrics().DiskSpaceUsage(),
		Failed:           s.failure.Load() != nil,
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c.Stats = s.totals
	c.DirtyTopics, c.JournalItems, c.JournalBytes = len(s.journal.dirty), s.journal.items, s.journal.bytes
	return c
}

// Usage is how many bytes are taken, and how many may be; 0: no bound.
func (d *Disk) Usage() (used, max int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used, d.max
}
