package replica

import (
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// retries remembers blocks of one peer that it named and did not give, and
// comments whose date has not come, so that they are asked for again, but less
// and less often. When it is full it forgets nothing and takes no more: what is
// not remembered is asked for in each round, which maxMissing bounds.
type retries struct {
	mu sync.Mutex
	m  map[cid.Cid]retry
}

type retry struct {
	due   time.Time
	tries int
}

// early reports whether it is too early to ask for c, and until when.
func (r *retries) early(c cid.Cid, now time.Time) (due time.Time, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.m[c]
	return e.due, ok && now.Before(e.due)
}

// add notes that c was not had, and returns when it is to be asked for again.
func (r *retries) add(c cid.Cid, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[c]
	e.due = now.Add(backoff(retryMin, retryMax, e.tries))
	e.tries++
	r.put(c, e)
	return e.due
}

// later notes that c's document is dated ahead.
func (r *retries) later(c cid.Cid, now time.Time, doc *comntr.Document) time.Time {
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
func (r *retries) put(c cid.Cid, e retry) {
	if r.m == nil {
		r.m = make(map[cid.Cid]retry)
	}
	if _, ok := r.m[c]; ok || len(r.m) < maxRetries {
		r.m[c] = e
	}
}

func (r *retries) forget(c cid.Cid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, c)
}

// clear forgets all: everything that the peer names has been had.
func (r *retries) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.m)
}
