package store

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// How soon the index's work in the background is tried again after a failure,
// and how often that is logged.
const (
	retryFirst = 50 * time.Millisecond // doubled by each failure
	retryMax   = 5 * time.Second
	logPause   = time.Minute
)

// pace holds back Pebble's flushes and compactions after one failed: Pebble
// tries again at once, for as long as the disk is full. TestBackgroundErrors.
//
// Do not sleep in BackgroundError: Pebble calls it with the lock held that
// every commit and Close need. A table is created without that lock, so that
// is where the next try waits.
type pace struct {
	log     *slog.Logger
	stopped chan struct{} // closed before the index is

	mu     sync.Mutex
	pause  time.Duration // after the last failure, 0: there was none since the last success
	next   time.Time     // no try before
	logged time.Time
}

func newPace(log *slog.Logger) *pace { return &pace{log: log, stopped: make(chan struct{})} }

func (p *pace) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = min(max(2*p.pause, retryFirst), retryMax)
	now := time.Now()
	p.next = now.Add(p.pause)
	if p.logged.IsZero() || now.Sub(p.logged) >= logPause {
		p.logged = now
		// Its text only: Pebble's errors bring a stack, which slog would print.
		p.log.Error("the index could not be written in the background: it will be tried again, and this is said once a minute", "err", err.Error())
	}
}

// ended is told of every flush and compaction.
func (p *pace) ended(err error) {
	if err != nil {
		return // failed is told too
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause, p.next = 0, time.Time{}
}

// await returns when the next try may begin, or at once after stop.
func (p *pace) await() {
	p.mu.Lock()
	wait := time.Until(p.next)
	p.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stopped:
	}
}

// stop ends all waiting. Close of the index waits for tries under way.
func (p *pace) stop() { close(p.stopped) }

func (p *pace) listen(l *pebble.EventListener) {
	l.BackgroundError = p.failed
	l.FlushEnd = func(i pebble.FlushInfo) { p.ended(i.Err) }
	l.CompactionEnd = func(i pebble.CompactionInfo) { p.ended(i.Err) }
}

// pacedFS is the file system as Pebble sees it.
type pacedFS struct {
	vfs.FS
	pace *pace
}

func (f pacedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		f.pace.await()
	}
	return f.FS.Create(name, c)
}

func (f pacedFS) Unwrap() vfs.FS { return f.FS }
