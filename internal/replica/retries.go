package replica

import (
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// retries remembers what one peer has and cannot be had now, so that it is
// asked for again, but less and less often: by CID the blocks that the peer
// named and did not give and the comments whose date has not come, by place the
// comments whose slot another has. When it is full it forgets nothing and takes
// no more: what is not remembered is asked for in each round, which maxMissing
// or the budget bounds.
type retries[K comparable] struct {
	mu sync.Mutex
	m  map[K]retry
}

type retry struct {
	due   time.Time
	tries int
}

// early reports whether it is too early to ask for c, and until when.
func (r *retries[K]) early(c K, now time.Time) (due time.Time, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.m[c]
	return e.due, ok && now.Before(e.due)
}

// add notes that c was not had, and returns when it is to be asked for again.
func (r *retries[K]) add(c K, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[c]
	e.due = now.Add(backoff(retryMin, retryMax, e.tries))
	e.tries++
	r.put(c, e)
	return e.due
}

// later notes that c's document is dated ahead.
func (r *retries[K]) later(c K, now time.Time, doc *comntr.Document) time.Time {
	due := now.Add(retryMax)
	if date, ok := doc.Date(); ok && date.Add(-comntr.MaxAhead).Before(due) {
		due = date.Add(-comntr.MaxAhead)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(c, retry{due: due})
	return due
}

// put is called with r.mu held.
func (r *retries[K]) put(c K, e retry) {
	if r.m == nil {
		r.m = make(map[K]retry)
	}
	if _, ok := r.m[c]; ok || len(r.m) < maxRetries {
		r.m[c] = e
	}
}

func (r *retries[K]) forget(c K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, c)
}

// clear forgets all: everything that the peer names has been had.
func (r *retries[K]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.m)
}
