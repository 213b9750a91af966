package replica

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// peer is what is remembered of a server, whatever community it is about.
type peer struct {
	key string // 64 hex digits; never changes

	mu        sync.Mutex
	origin    string
	named     bool // a person named it
	client    *comntr.Client
	addrs     []string // multiaddrs of its IPFS node
	window    *window
	httpFirst time.Time // until then blocks are asked for over HTTP first
	alone     time.Time // until then it is left alone
	misdeeds  int       // less those forgiven
	failed    int       // rounds in a row without an answer
}

// errMissing: a peer's folders name blocks that it does not give.
var errMissing = errors.New("the server's folders name blocks that it does not have")

// errTime ends a round at its bound of time.
var errTime = errors.New("the round had all its time")

// errSlow: a peer kept a round busy with next to nothing.
var errSlow = fmt.Errorf("%w: a round got too little for its time", comntr.ErrStalled)

// lie is an error for what no honest server sends.
type lie struct{ err error }

func (l *lie) Error() string { return "the server lies: " + l.err.Error() }
func (l *lie) Unwrap() error { return l.err }

func liesf(format string, args ...any) error { return &lie{fmt.Errorf(format, args...)} }

// local is an error of this server's own store or folders: no peer is to blame.
type local struct{ err error }

func (l *local) Error() string { return l.err.Error() }
func (l *local) Unwrap() error { return l.err }

// hostile reports whether err is of a kind that makes a peer be left alone at
// once, not only after some tries.
func hostile(err error) bool {
	var l *lie
	return errors.As(err, &l) || errors.Is(err, comntr.ErrBadAnswer) || errors.Is(err, comntr.ErrStalled) || errors.Is(err, errMissing)
}

func (p *peer) isNamed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.named
}

// retainedAs is the name under which the peer's last root is kept: of a
// stranger the address, as with budgets, because keys cost nothing and there is
// room for few roots. Else one address could push out those of all dead
// servers.
func (p *peer) retainedAs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.named {
		return p.key
	}
	address := budgetAddress(p.origin)
	if len(address) > 64 {
		address = comntr.NameHash(address).String() // Folders takes no name so long
	}
	return "at " + address
}

func (p *peer) leftAlone() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alone
}

// punish leaves the peer alone, each time for twice as long; half of what it
// did is forgotten for each forgiveTime since. It reports false where it is
// being left alone already, because of another community.
func (p *peer) punish(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.alone) {
		return false
	}
	for good := now.Sub(p.alone); good >= forgiveTime && p.misdeeds > 0; good -= forgiveTime {
		p.misdeeds /= 2
	}
	p.alone = now.Add(backoff(leaveMin, leaveMax, p.misdeeds))
	p.misdeeds = min(p.misdeeds+1, maxMisdeeds)
	return true
}

// missed counts a round without an answer: how many there were in a row, and
// whether that is to be reported.
func (p *peer) missed() (n int, report bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed++
	return p.failed, p.failed%failuresInRow == 0
}

func (p *peer) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = 0
}

// backoff doubles from least to most with n.
func backoff(least, most time.Duration, n int) time.Duration {
	d := least
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}
