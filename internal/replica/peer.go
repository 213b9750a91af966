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
	client    *comntr.Client
	addrs     []string // multiaddrs of its IPFS node
	window    *window
	httpFirst time.Time // until then blocks are asked for over HTTP first
	alone     time.Time // until then it is left alone
	misdeeds  int       // in a row
	failed    int       // rounds in a row without an answer
}

// errMissing: a peer's folders name blocks that it does not give.
var errMissing = errors.New("the server's folders name blocks that it does not have")

// errSlow: a peer kept a round busy with next to nothing.
var errSlow = fmt.Errorf("%w: a round took longer than %v", comntr.ErrStalled, maxRoundTime)

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

func (p *peer) leftAlone() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alone
}

// punish leaves the peer alone, each time for twice as long. It reports false
// where it is being left alone already, because of another community.
func (p *peer) punish(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.alone) {
		return false
	}
	p.alone = now.Add(backoff(leaveMin, leaveMax, p.misdeeds))
	p.misdeeds++
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
	p.failed, p.misdeeds = 0, 0
}

// backoff doubles from least to most with n.
func backoff(least, most time.Duration, n int) time.Duration {
	d := least
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}
