package discover

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anacrolix/dht/v2/krpc"

	"github.com/comntr/comntr"
)

// When an infohash is announced again, and how many at once.
const (
	announceEvery      = 15 * time.Minute // as BEP 5's clients do; tokens and others' stores live longer
	announceJitter     = 2 * time.Minute  // plus or minus, so that a restarted fleet spreads out
	announceSmallEvery = time.Minute      // where fewer than fewNodes took it: one restart there forgets it
	firstAnnounceRetry = 5 * time.Second  // after no node took it, doubling
	maxAnnounceRetry   = 5 * time.Minute

	announcesAtOnce = 4 // infohashes
)

// task is an infohash to announce.
type task struct {
	port  int
	next  time.Time
	tries int // in a row that no node took
}

// setTask announces h with port from now on; 0 ends it.
func (n *node) setTask(h comntr.Hash, port int) {
	n.peers.setOwn(h, uint16(port))
	n.mu.Lock()
	if port == 0 {
		delete(n.tasks, h)
	} else if t := n.tasks[h]; t == nil || t.port != port {
		n.tasks[h] = &task{port: port}
	}
	n.mu.Unlock()
	signal(n.wake)
}

// announceNow makes all tasks due: our address is another one.
func (n *node) announceNow() {
	n.mu.Lock()
	for _, t := range n.tasks {
		t.next, t.tries = time.Time{}, 0
	}
	n.mu.Unlock()
	signal(n.wake)
}

func (n *node) announceLoop(ctx context.Context) {
	for {
		wait := time.Hour
		if n.count() > 0 { // else nothing is lost: the tasks stay due
			wait = n.announceDue(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-time.After(wait):
		}
	}
}

// announceDue announces what is due and returns how long nothing will be.
func (n *node) announceDue(ctx context.Context) time.Duration {
	type job struct {
		h comntr.Hash
		t *task
	}
	var due []job
	now := time.Now()
	claim := now.Add(announceEvery)
	n.mu.Lock()
	for h, t := range n.tasks {
		if !now.Before(t.next) {
			t.next = claim
			due = append(due, job{h, t})
		}
	}
	n.mu.Unlock()
	var wg sync.WaitGroup
	slots := make(chan struct{}, announcesAtOnce)
	for _, j := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			took := n.announce(ctx, j.h, j.t.port)
			if ctx.Err() != nil {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if took > 0 {
				j.t.tries = 0
				n.log.Debug("announced on the DHT", "community", j.h, "port", j.t.port, "nodes", took)
			} else {
				j.t.tries++
			}
			if j.t.next.Equal(claim) { // else it was made due anew meanwhile
				j.t.next = nextAnnounce(time.Now(), took, j.t.tries)
			}
		})
	}
	wg.Wait()
	wait := time.Hour
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.tasks {
		wait = min(wait, max(time.Until(t.next), 0))
	}
	return wait
}

// nextAnnounce says when to announce again after took nodes took it, and none
// in the last tries tries.
func nextAnnounce(now time.Time, took, tries int) time.Time {
	switch {
	case took == 0:
		d := firstAnnounceRetry << min(max(tries-1, 0), 10)
		return now.Add(jitter(min(d, maxAnnounceRetry)))
	case took < fewNodes:
		return now.Add(jitter(announceSmallEvery))
	}
	return now.Add(announceEvery - announceJitter + rand.N(2*announceJitter))
}

// announce tells the nodes nearest to h that it is served at our address and
// port, and returns how many took it.
func (n *node) announce(ctx context.Context, h comntr.Hash, port int) int {
	w := n.walk(ctx, "get_peers", krpc.ID(h), nil)
	var took atomic.Int64
	var wg sync.WaitGroup
	for _, c := range w.closest {
		if c.token == "" {
			continue
		}
		wg.Go(func() {
			// implied_port is 0, which bencodes to nothing: the port announced
			// is HTTP's, not this socket's.
			m := n.send(ctx, c.addr, "announce_peer", krpc.MsgArgs{InfoHash: krpc.ID(h), Port: &port, Token: c.token})
			if m != nil {
				took.Add(1)
			}
		})
	}
	wg.Wait()
	return int(took.Load())
}
