package replica

import (
	"sync"
	"sync/atomic"

	"github.com/comntr/comntr"
)

// claims keeps two rounds from fetching the same comment at once, as happens
// when several servers have the same 10,000 that are new here: in effect the
// rounds share the work.
type claims struct {
	mu sync.Mutex
	m  map[commentKey]*claim
	// ended counts claims that have ended: while it stays the same no round has
	// brought anything.
	ended atomic.Uint64
}

type commentKey struct{ topic, comment comntr.Hash }

// claim is one round's fetch of some comments; done is closed at its end.
type claim struct{ done chan struct{} }

// take claims p for c. Where another claim has it, that one is returned
// instead, unless steal is set: a peer that stalls must not keep a comment from
// coming from another.
func (cs *claims) take(p commentKey, c *claim, steal bool) *claim {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if other := cs.m[p]; other != nil && !steal {
		return other
	}
	if cs.m == nil {
		cs.m = make(map[commentKey]*claim)
	}
	cs.m[p] = c
	return nil
}

// release ends c, which claimed places.
func (cs *claims) release(c *claim, places []commentKey) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, p := range places {
		if cs.m[p] == c {
			delete(cs.m, p)
		}
	}
	cs.ended.Add(1)
	close(c.done)
}
