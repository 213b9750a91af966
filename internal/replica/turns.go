package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// turns lets some rounds be under way at once, first come, first served. Where
// patience is set, a round that had so much time ends when another waits, and
// goes on when it comes to its turn again: a peer that drips holds up nobody
// for long, and a whole line's worth of time is nobody's loss.
type turns struct {
	patience time.Duration // 0: no round is ended for another

	mu       sync.Mutex
	free     int
	waiting  []chan struct{} // closed when it is its turn; the first comes first
	underWay []*turn         // the longest first
}

// turn is one round's. Its methods but end are of the round's goroutine.
type turn struct {
	of    *turns
	began sync.Once

	// Guarded by of.mu.
	cancel context.CancelCauseFunc
	timer  *time.Timer
	over   bool // had its time
	cut    bool // was ended for another
}

// errTurn ends a round that had its time when another waits.
var errTurn = errors.New("another round waits")

func newTurns(n int, patience time.Duration) *turns {
	return &turns{free: n, patience: patience}
}

// take waits for a turn, which is to be ended.
func (ts *turns) take(ctx context.Context) (*turn, error) {
	t := &turn{of: ts, cancel: func(error) {}}
	ts.mu.Lock()
	if ts.free > 0 {
		ts.free--
		ts.underWay = append(ts.underWay, t)
		ts.mu.Unlock()
		return t, nil
	}
	ready := make(chan struct{})
	ts.waiting = append(ts.waiting, ready)
	ts.cutOne()
	ts.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
		ts.mu.Lock()
		defer ts.mu.Unlock()
		if i := slices.Index(ts.waiting, ready); i >= 0 {
			ts.waiting = slices.Delete(ts.waiting, i, i+1)
		} else {
			ts.pass()
		}
		return nil, context.Cause(ctx)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.underWay = append(ts.underWay, t)
	return t, nil
}

// pass gives a token to the first that waits; ts.mu is held.
func (ts *turns) pass() {
	if len(ts.waiting) == 0 {
		ts.free++
		return
	}
	close(ts.waiting[0])
	ts.waiting = ts.waiting[1:]
}

// cutOne ends a round that had its time, if more wait than are ending; ts.mu
// is held.
func (ts *turns) cutOne() {
	ending := 0
	for _, t := range ts.underWay {
		if t.cut {
			ending++
		}
	}
	if ending >= len(ts.waiting) {
		return
	}
	for _, t := range ts.underWay {
		if t.over && !t.cut {
			t.cut = true
			t.cancel(errTurn)
			return
		}
	}
}

// bound returns the context of what the turn may end. cancel is to be called.
func (t *turn) bound(ctx context.Context) (_ context.Context, cancel func()) {
	ctx, cancelCause := context.WithCancelCause(ctx)
	t.of.mu.Lock()
	t.cancel = cancelCause
	t.of.mu.Unlock()
	return ctx, func() { cancelCause(nil) }
}

// begin has the turn's time begin, at the first question for blocks. Do not
// count what comes before: a round looks anew at what the one before it
// fetched, and with a large folder would get no further.
func (t *turn) begin() {
	ts := t.of
	if ts.patience <= 0 {
		return
	}
	t.began.Do(func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		t.timer = time.AfterFunc(ts.patience, func() {
			ts.mu.Lock()
			defer ts.mu.Unlock()
			t.over = true
			ts.cutOne()
		})
	})
}

func (t *turn) end() {
	ts := t.of
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	ts.underWay = slices.DeleteFunc(ts.underWay, func(u *turn) bool { return u == t })
	ts.pass()
}
