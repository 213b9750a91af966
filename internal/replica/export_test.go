package replica

import (
	"context"
	"strconv"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// Round makes one round with a server outside of Run, with what earlier such
// rounds left: retries, budget. err is the round's own; merged tells whether
// all that the peer has is here now.
func (r *Replica) Round(ctx context.Context, s discover.Server, community comntr.Hash) (merged bool, err error) {
	l, err := r.link(s, community)
	if err != nil {
		return false, err
	}
	res, _, err := l.inTurn(ctx)
	if _, ok := l.after(res, err); !ok {
		r.mu.Lock()
		delete(r.links, linkKey{s.Key, community})
		r.mu.Unlock()
	}
	return res.merged, err
}

func (r *Replica) link(s discover.Server, community comntr.Hash) (*link, error) {
	p, err := r.peer(s)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := linkKey{s.Key, community}
	l := r.links[key]
	if l == nil {
		for _, c := range r.communities {
			if c.hash == community {
				l = newLink(r, p, c)
				l.cancel = func() {}
				r.links[key] = l
			}
		}
	}
	return l, nil
}

// LeftAlone is until when a server is left alone.
func (r *Replica) LeftAlone(s discover.Server) time.Time {
	p, _ := r.peer(s)
	return p.leftAlone()
}

// Retries is how many blocks of a server are remembered as not had.
func (r *Replica) Retries(s discover.Server, community comntr.Hash) int {
	l, _ := r.link(s, community)
	l.retries.mu.Lock()
	defer l.retries.mu.Unlock()
	return len(l.retries.m)
}

// Taken is how many comments of a server are remembered as refused for their
// slots.
func (r *Replica) Taken(s discover.Server, community comntr.Hash) int {
	l, _ := r.link(s, community)
	l.taken.mu.Lock()
	defer l.taken.mu.Unlock()
	return len(l.taken.m)
}

// Bound makes bounds of rounds smaller; 0 leaves one as it is. Call it before
// Run.
func (r *Replica) Bound(nodes, nodeBytes, links, pending, missing int, roundTime time.Duration) {
	for _, b := range []struct {
		at *int
		v  int
	}{{&r.bounds.nodes, nodes}, {&r.bounds.nodeBytes, nodeBytes}, {&r.bounds.links, links}, {&r.bounds.pending, pending}, {&r.bounds.missing, missing}} {
		if b.v > 0 {
			*b.at = b.v
		}
	}
	if roundTime > 0 {
		r.bounds.roundTime = roundTime
	}
}

// Slow reports whether a round that got so much in so long counts as stalling.
func Slow(blocks, bytes int, waited time.Duration, named bool) bool {
	pace := strangerPace
	if named {
		pace = namedPace
	}
	return took{blocks, bytes, waited}.slow(pace)
}

// Windows is how many addresses' budgets are remembered.
func (r *Replica) Windows() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.windows)
}

// TakeFiles charges n comments to a server's budget, and returns how many it had.
func (r *Replica) TakeFiles(s discover.Server, n int) (taken int) {
	p, _ := r.peer(s)
	for taken < n && p.window.takeFile(1) {
		taken++
	}
	return taken
}

// TakeWanted charges n new topics that readers want to a server's budget, and
// returns how many it had.
func (r *Replica) TakeWanted(s discover.Server, n int) (taken int) {
	p, _ := r.peer(s)
	for i := range n {
		if p.window.takeTopic(comntr.NameHash(strconv.Itoa(i)), true) {
			taken++
		}
	}
	return taken
}

// Wanted is how many topics of a community are remembered as wanted.
func (r *Replica) Wanted(community comntr.Hash) int {
	for _, c := range r.communities {
		if c.hash == community {
			return c.wants.topics.Len()
		}
	}
	return 0
}

var BudgetAddress = budgetAddress

const (
	MaxRetries         = maxRetries
	MaxMends           = maxMends
	MaxFalseEvents     = maxFalseEvents
	MaxWindows         = maxWindows
	MaxWanted          = maxWanted
	MaxStateBytes      = maxStateBytes
	MaxEventsPerSecond = maxEventsPerSecond
)

// RemembersOf adds n blocks to a list of retries and returns how many it
// remembers.
func RemembersOf(n int, now time.Time) int {
	var r retries[int]
	for i := range n {
		r.add(i, now)
	}
	return len(r.m)
}
