package replica

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

// link follows one peer in one community. Three goroutines: one makes rounds,
// one reads the peer's events, one fetches what these name.
type link struct {
	r       *Replica
	peer    *peer
	c       *community
	cancel  context.CancelFunc
	kick    chan struct{} // has a token when a round is wanted at once
	named   chan comntr.Event
	retries retries[cid.Cid]
	taken   retries[commentKey] // refused because another comment has the slot
	lacks   retries[commentKey] // damaged here, and not to be had of this peer

	// Of the rounds' goroutine.
	last     cid.Cid   // the root that was walked to its end last
	due      time.Time // when what that walk left may be had
	looked   uint64    // wants.lacking when that walk began
	loosened uint64    // Store.Loosened at the last round
	retained cid.Cid   // the root that was kept last, or is too large for that
	// retainNext is before when none is tried to be kept.
	retainNext time.Time
	// completed is the merged root whose missing nodes were fetched last, so
	// that it is tried once.
	completed cid.Cid

	left atomic.Bool // the last round left something

	falseSince  time.Time // of the goroutine that fetches what events name
	falseEvents int

	mu     sync.Mutex
	status Status
}

func newLink(r *Replica, p *peer, c *community) *link {
	return &link{
		r: r, peer: p, c: c,
		kick:   make(chan struct{}, 1),
		named:  make(chan comntr.Event, maxQueue),
		status: Status{Peer: p.key, Community: c.hash},
	}
}

// start runs the link until ctx ends, cancel is called, or the peer is to be
// left alone. ended is called when all has stopped.
func (l *link) start(ctx context.Context, all *sync.WaitGroup, ended func()) {
	ctx, l.cancel = context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.walks(ctx) })
	wg.Go(func() { l.follow(ctx) })
	wg.Go(func() { l.fetchNamed(ctx) })
	all.Go(func() {
		wg.Wait()
		l.cancel()
		ended()
	})
}

func (l *link) report() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Origin = l.origin()
	return s
}

func (l *link) count(fn func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.status)
}

func (l *link) client() *comntr.Client {
	l.peer.mu.Lock()
	defer l.peer.mu.Unlock()
	return l.peer.client
}

func (l *link) origin() string {
	l.peer.mu.Lock()
	defer l.peer.mu.Unlock()
	return l.peer.origin
}

// walkSoon asks for a round; there is at most one a second.
func (l *link) walkSoon() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// walks makes a round at once, one whenever it is asked for, and one each
// interval: that repairs what events missed.
func (l *link) walks(ctx context.Context) {
	for {
		res, began, err := l.inTurn(ctx)
		if ctx.Err() != nil {
			return
		}
		wait, ok := l.after(res, err)
		if !ok {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.kick:
			if err == nil {
				timer.Reset(time.Until(began.Add(walkGap)))
			}
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		select { // what asked for a round until now gets it
		case <-l.kick:
		default:
		}
	}
}

// inTurn makes a round when it is the link's turn; began is when it was.
func (l *link) inTurn(ctx context.Context) (res result, began time.Time, err error) {
	turns := l.r.rounds
	if l.peer.isNamed() {
		turns = l.r.namedRounds
	}
	t, err := turns.take(ctx)
	if err != nil {
		return res, began, err
	}
	defer t.end()
	began = time.Now()
	res, err = l.round(ctx, t)
	l.r.meter.round(began, res, err)
	return res, began, err
}

// after draws the conclusions of a round: how long to wait until the next, or
// !ok if the peer is to be left alone.
func (l *link) after(res result, err error) (wait time.Duration, ok bool) {
	log := l.r.cfg.Log.With("community", l.c.hash, "peer", l.origin())
	l.left.Store(err != nil || !res.merged) // before wants.lacking is looked at: see Replica.Want
	l.count(func(s *Status) {
		s.Nodes += res.nodes
		s.Leaves += res.leavesGot
		s.Created += res.created
		s.Err = ""
		if err != nil {
			s.Err = err.Error()
			return
		}
		s.Rounds++
		s.LastRound = l.r.cfg.Now()
		s.Merged = res.merged
	})
	if res.created > 0 {
		l.r.cfg.Changed()
		log.Info("replicated", "new", res.created, "nodes", res.nodes, "bytes", res.nodeBytes, "complete", res.merged)
	}
	if res.invalid > 0 || res.missing > 0 {
		log.Debug("a round left something", "invalid", res.invalid, "missing", res.missing)
	}
	interval := l.r.cfg.Interval
	var own *local
	switch {
	case err == nil:
		l.peer.answered()
		l.r.cfg.Peers.Worked(l.origin())
		if res.cut && res.created+res.settled > 0 || res.yielded && res.nodes > 0 {
			return walkGap, true
		}
		if !res.merged && l.c.wants.lacking.Load() != l.looked {
			return walkGap, true
		}
		wait = max(walkGap, jitter(interval))
		if !res.due.IsZero() {
			wait = min(wait, max(walkGap, res.due.Sub(l.r.cfg.Now())))
		}
		return wait, true
	case errors.As(err, &own):
		log.Error("a round failed here", "err", err)
		if errors.Is(err, ipfs.ErrNoRoom) {
			return fullWait, true
		}
		return max(walkGap, jitter(interval)), true
	case hostile(err):
		l.leave(err)
		return 0, false
	}
	n, report := l.peer.missed()
	log.Debug("a round failed", "times", n, "err", err)
	if report {
		l.r.cfg.Peers.Failed(l.origin(), err)
	}
	return jitter(backoff(min(interval, retryMin), max(interval, preferTime), n-1)), true
}

// leave has the peer left alone for a while, for what it did.
func (l *link) leave(err error) {
	if l.peer.punish(l.r.cfg.Now()) {
		l.r.meter.leftAlone.Add(1)
		l.r.cfg.Log.Warn("the server is left alone for a while", "community", l.c.hash, "peer", l.origin(), "err", err)
		l.r.cfg.Peers.Failed(l.origin(), err)
	}
	l.cancel()
}

// round compares the peer's folders with ours and fetches what is new.
func (l *link) round(ctx context.Context, t *turn) (res result, err error) {
	root, err := l.root(ctx)
	if err != nil {
		return res, err
	}
	if err := l.mend(ctx); err != nil {
		return res, err
	}
	if loosened := l.c.store.Loosened(); loosened != l.loosened {
		l.last, l.retained, l.loosened = cid.Undef, cid.Undef, loosened
	}
	whole := false
	if l.c.folders.Merged(l.c.hash, root) {
		// Its comments are here. Of its nodes some may have been let go since.
		if whole = l.retain(root) && !root.Equals(l.completed); !whole {
			res.merged = true
			return res, nil
		}
		l.completed = root
	}
	how := manner{whole: whole}
	lacking := l.c.wants.lacking.Load()
	if root.Equals(l.last) && l.r.cfg.Now().Before(l.due) && !whole {
		if lacking == l.looked {
			res.due = l.due
			return res, nil
		}
		how.wantedBefore = l.due
	}
	own, err := l.c.folders.Root(ctx)
	if err != nil {
		return res, &local{fmt.Errorf("own folder of topics: %w", err)}
	}
	if !root.Equals(own) {
		if res, err = l.compare(ctx, t, root, own, how); err != nil {
			return res, err
		}
		if res.yielded {
			l.completed = cid.Undef
		}
	} else {
		res.merged = true
	}
	if res.created > 0 {
		// Only what is in our own folders can be given away as a block, under
		// the peer's root too.
		if _, err := l.c.folders.Root(ctx); err != nil {
			return res, &local{fmt.Errorf("own folder of topics: %w", err)}
		}
	}
	l.last, l.looked = cid.Undef, lacking
	if res.merged {
		l.retries.clear()
		l.taken.clear()
		if res.denied {
			l.retained = root // not to be tried: its nodes are not all here
		}
		l.retain(root)
	} else if !res.cut && !res.due.IsZero() {
		l.last, l.due = root, res.due
	}
	return res, nil
}

// compare walks the peer's folders, for as long as a round may.
func (l *link) compare(ctx context.Context, t *turn, root, own cid.Cid, how manner) (res result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.r.bounds.roundTime, errTime)
	defer cancel()
	ctx, stop := t.bound(ctx)
	defer stop()
	err = l.open(ctx, func(src *source) error {
		src.begin = t.begin
		more, err := l.walk(ctx, src, root, own, how)
		res = more.plus(res)
		return err
	})
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errTurn) || errors.Is(cause, errTime)) {
		// What broke off is the connection, however that looks; but what came
		// before was judged.
		var lied *lie
		var ours *local
		if !errors.As(err, &lied) && !errors.As(err, &ours) {
			res.cut, res.yielded, err = true, errors.Is(cause, errTurn), nil
		}
	}
	pace := strangerPace
	if l.peer.isNamed() {
		pace = namedPace
	}
	if err == nil && !res.merged && res.took.slow(pace) {
		err = errSlow
	}
	return res, err
}

// plus adds the counts of a walk that was given up before.
func (r result) plus(before result) result {
	r.nodes += before.nodes
	r.nodeBytes += before.nodeBytes
	r.links += before.links
	r.leavesGot += before.leavesGot
	r.created += before.created
	r.invalid += before.invalid
	r.missing += before.missing
	r.settled += before.settled
	r.took.blocks += before.took.blocks
	r.took.bytes += before.took.bytes
	r.took.waited += before.took.waited
	return r
}

func (l *link) root(ctx context.Context) (cid.Cid, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return l.client().Root(ctx, l.c.hash)
}

// retain keeps the nodes of the peer's last complete root, so that the id that
// it handed out still resolves when it has died. It reports whether some of
// the nodes are not held. What it puts off, a later round does.
func (l *link) retain(root cid.Cid) (lacking bool) {
	now := l.r.cfg.Now()
	if root.Equals(l.retained) || now.Before(l.retainNext) {
		return false
	}
	l.retainNext = now.Add(retainGap)
	err := l.c.folders.Retain(l.peer.retainedAs(), root)
	switch {
	case err == nil, errors.Is(err, ipfs.ErrTooLarge):
		l.retained = root
	case errors.Is(err, ipfs.ErrNoRoom):
		l.retainNext = now.Add(fullWait)
	}
	if err != nil {
		l.r.cfg.Log.Debug("a server's folder is not kept", "community", l.c.hash, "peer", l.origin(), "cid", root, "err", err)
	}
	return errors.Is(err, ipfs.ErrNotHeld)
}

// follow reads the peer's events while the link lives.
func (l *link) follow(ctx context.Context) {
	places := l.r.streams
	if l.peer.isNamed() {
		places = l.r.namedStreams
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return
	}
	lastID := ""
	bucket := rate{now: l.r.cfg.Now}
	for failed := 0; ctx.Err() == nil; failed++ {
		began := time.Now()
		err := l.client().Events(ctx, l.c.hash, nil, lastID, func(e comntr.Event) error {
			if e.ID != "" {
				lastID = e.ID
			}
			failed = 0
			l.count(func(s *Status) { s.Events++ })
			l.r.meter.events.Add(1)
			l.event(e)
			return bucket.wait(ctx)
		})
		if ctx.Err() != nil {
			return
		}
		var reset *comntr.ResetError
		if errors.As(err, &reset) {
			lastID = reset.ID
			l.walkSoon()
		} else {
			l.r.cfg.Log.Debug("a stream of events ended", "community", l.c.hash, "peer", l.origin(), "err", err)
		}
		if time.Since(began) > steadyTime {
			failed = 0
		}
		if sleep(ctx, jitter(backoff(reconnectMin, reconnectMax, failed))) != nil {
			return
		}
	}
}

// event has a comment that the peer names fetched, if it is not here.
func (l *link) event(e comntr.Event) {
	if l.c.settled(e.Topic, e.Comment) {
		return
	}
	select {
	case l.named <- e:
	default:
		l.walkSoon()
	}
}

// fetchNamed fetches the comments that events name, one by one, or where there
// are many has them brought by a round.
func (l *link) fetchNamed(ctx context.Context) {
	for {
		var e comntr.Event
		select {
		case <-ctx.Done():
			return
		case e = <-l.named:
		}
		if len(l.named) > walkInstead {
			for len(l.named) > 0 {
				<-l.named
			}
			l.walkSoon()
			continue
		}
		if err := l.fetchComment(ctx, e); err != nil && ctx.Err() == nil {
			var own *local
			switch {
			case errors.As(err, &own):
				l.r.cfg.Log.Error("a comment that an event named cannot be stored", "topic", e.Topic, "comment", e.Comment, "err", err)
			case hostile(err):
				l.leave(err)
			default:
				// The next round fetches it, or finds that the peer is away.
				l.r.cfg.Log.Debug("a comment that an event named was not had", "peer", l.origin(), "topic", e.Topic, "comment", e.Comment, "err", err)
			}
		}
	}
}

func (l *link) fetchComment(ctx context.Context, e comntr.Event) error {
	if l.c.settled(e.Topic, e.Comment) {
		return nil
	}
	l.peer.mu.Lock()
	window := l.peer.window
	l.peer.mu.Unlock()
	if window.files() == 0 {
		return nil
	}
	if _, ok := l.c.store.TopicSeq(e.Topic); !ok && !window.takeTopic(e.Topic, l.c.wants.has(e.Topic)) {
		return nil
	}
	place := comntr.Place{Community: l.c.hash, Topic: e.Topic}
	b, err := l.comment(ctx, place, e.Comment)
	if err != nil {
		var p *comntr.Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			return l.falseEvent(e)
		}
		return err
	}
	l.r.meter.named(len(b))
	if !window.takeFile(len(b)) {
		l.r.meter.refuse(refusedBudget)
		return nil
	}
	doc, err := comntr.ParseDocument(place, b)
	if err != nil {
		l.r.meter.refuse(refusedInvalid)
		return l.falseEvent(e)
	}
	if doc.Premature(l.r.cfg.Now()) {
		return nil // a round brings it when its time has come
	}
	created, err := l.c.store.Add(ctx, doc, l.peer.key)
	l.r.meter.judged(err)
	switch {
	case err == nil, errors.Is(err, store.ErrSlotTaken), errors.Is(err, store.ErrGone), errors.Is(err, store.ErrDenied), errors.Is(err, store.ErrFull):
	default:
		return &local{err}
	}
	if created {
		l.count(func(s *Status) { s.Created++ })
		l.r.meter.created.Add(1)
		l.r.cfg.Changed()
	}
	return nil
}

// comment asks the peer for one comment.
func (l *link) comment(ctx context.Context, place comntr.Place, id comntr.Hash) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return l.client().Comment(ctx, place, id)
}

// falseEvent counts an event that names what the peer has not, or what no
// server takes. An honest one that just lost its disk sends few.
func (l *link) falseEvent(e comntr.Event) error {
	now := l.r.cfg.Now()
	if now.Sub(l.falseSince) > time.Hour {
		l.falseSince, l.falseEvents = now, 0
	}
	if l.falseEvents++; l.falseEvents > maxFalseEvents {
		return liesf("its events name what it does not have, or what is no document: %s/%s", e.Topic, e.Comment)
	}
	return nil
}

// rate holds a reader to maxEventsPerSecond: a peer that sends more is read
// more slowly.
type rate struct {
	now   func() time.Time
	start time.Time
	n     int
}

func (r *rate) wait(ctx context.Context) error {
	now := r.now()
	if since := now.Sub(r.start); since >= time.Second || since < 0 {
		r.start, r.n = now, 0
	}
	if r.n++; r.n < maxEventsPerSecond {
		return nil
	}
	return sleep(ctx, time.Second-now.Sub(r.start))
}

// sleep waits for d, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
