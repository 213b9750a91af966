package replica

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// leaf is a comment that the peer's tree names.
type leaf struct {
	spot *spot
	name comntr.Hash
	cid  cid.Cid
}

// waiting is a comment that another round is fetching.
type waiting struct {
	leaf
	claim *claim
}

// leaf has a comment fetched that is not here.
func (w *walk) leaf(ctx context.Context, s *spot, l *comntr.Link) error {
	if len(w.leaves) == 0 {
		w.ended = w.l.c.claims.ended.Load()
	}
	// Of a topic that is not here nothing is: what once was the store refuses.
	if _, held := w.l.c.store.TopicSeq(s.scope); held && w.l.c.settled(s.scope, l.Name) || !held && w.l.c.store.DeniedComment(s.scope, l.Name) {
		return nil
	}
	now := w.l.r.cfg.Now()
	due, early := w.l.retries.early(l.CID, now)
	if !early {
		due, early = w.l.taken.early(commentKey{s.scope, l.Name}, now)
	}
	if early {
		w.wait(due)
		s.short = true
		return nil
	}
	s.open++
	w.leaves = append(w.leaves, leaf{s, l.Name, l.CID})
	w.urgent = w.urgent || s.wanted
	if len(w.leaves) < chunk {
		return nil
	}
	return w.fetchLeaves(ctx, false)
}

// fetchLeaves fetches and stores what w.leaves names. steal: also what another
// round is fetching.
func (w *walk) fetchLeaves(ctx context.Context, steal bool) error {
	batch := w.leaves
	w.leaves, w.urgent = nil, false
	mine := &claim{done: make(chan struct{})}
	var claimed []commentKey
	defer func() { w.l.c.claims.release(mine, claimed) }()

	named := make(map[cid.Cid][]leaf) // one leaf may have several places
	var cids []cid.Cid
	room := w.window.files()
	for _, l := range batch {
		// Another round may have brought it meanwhile.
		ended := w.l.c.claims.ended.Load()
		if ended != w.ended && w.l.c.settled(l.spot.scope, l.name) {
			w.done(l.spot, true)
			continue
		}
		if room <= 0 {
			w.l.r.meter.refuse(refusedBudget)
			w.wait(w.window.until())
			w.stopped = true
			w.done(l.spot, false)
			continue
		}
		at := commentKey{l.spot.scope, l.name}
		if other := w.l.c.claims.take(at, mine, steal); other != nil {
			if len(w.deferred) < maxDeferred {
				w.deferred = append(w.deferred, waiting{l, other})
			} else {
				w.wait(w.l.r.cfg.Now())
				w.done(l.spot, false)
			}
			continue
		}
		claimed = append(claimed, at)
		// Or since that look: it is claimed no more then, and could be fetched twice.
		if w.l.c.claims.ended.Load() != ended && w.l.c.settled(l.spot.scope, l.name) {
			w.done(l.spot, true)
			continue
		}
		if !w.window.unlimited {
			room--
		}
		if named[l.cid] == nil {
			cids = append(cids, l.cid)
		}
		named[l.cid] = append(named[l.cid], l)
	}
	if len(cids) == 0 {
		return nil
	}
	var came arrived
	err := w.src.blocks(ctx, cids, func(c cid.Cid, block []byte) error {
		leaves := named[c]
		delete(named, c)
		w.l.retries.forget(c)
		for i, l := range leaves {
			if !w.window.takeFile(len(block)) {
				w.l.r.meter.refuse(refusedBudget)
				w.wait(w.window.until())
				w.stopped = true
				named[c] = leaves[i:]
				return errStop
			}
			w.leavesGot++
			if err := came.take(w.l.c.hash, l, block); err != nil {
				return err
			}
		}
		if came.size < flushBytes {
			return nil
		}
		ready := came
		came = arrived{}
		return w.add(ctx, ready)
	})
	if len(came.leaves) > 0 {
		// Also where the fetch broke: what came is good.
		if e := w.add(context.WithoutCancel(ctx), came); e != nil {
			return e
		}
	}
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	for c, leaves := range named {
		if err := w.lack(c); err != nil {
			return err
		}
		for _, l := range leaves {
			w.done(l.spot, false)
		}
	}
	return nil
}

// arrived are comments that came and are what their names say. They gather,
// because many documents are checked on all cores, and stored in one commit.
type arrived struct {
	leaves []leaf
	raw    []comntr.Raw // of leaves
	size   int          // bytes
}

// take adds a leaf's block, unless that is a lie.
func (a *arrived) take(community comntr.Hash, l leaf, block []byte) error {
	b, err := comntr.LeafBytes(l.cid, block)
	if err != nil {
		return liesf("the comment %s: %w", l.name, err)
	}
	if comntr.SumHash(b) != l.name {
		return liesf("the bytes of %s do not hash to the comment's name %s", l.cid, l.name)
	}
	place := comntr.Place{Community: community, Topic: l.spot.scope}
	a.leaves = append(a.leaves, l)
	a.raw = append(a.raw, comntr.Raw{Place: place, Bytes: bytes.Clone(b)})
	a.size += len(b)
	return nil
}

// add checks and stores what came, and settles the leaves.
func (w *walk) add(ctx context.Context, a arrived) error {
	parsed, errs := comntr.ParseDocuments(a.raw)
	now := w.l.r.cfg.Now()
	var docs []*comntr.Document
	var from []leaf // docs' leaves
	for i, l := range a.leaves {
		switch doc := parsed[i]; {
		case errs[i] != nil:
			// Constants of the protocol: it never becomes valid.
			w.invalid++
			w.done(l.spot, true)
		case doc.Premature(now):
			w.wait(w.l.retries.later(l.cid, now, doc))
			w.done(l.spot, false)
		default:
			docs, from = append(docs, doc), append(from, l)
		}
	}
	if len(docs) == 0 {
		return nil
	}
	var first error
	for i, r := range w.l.c.store.AddAll(ctx, docs, w.l.peer.key) {
		if r.Created {
			w.created++
		}
		w.l.r.meter.judged(r.Err)
		settled, at := true, commentKey{from[i].spot.scope, from[i].name}
		if errors.Is(r.Err, store.ErrSlotTaken) {
			// Not for good: the one that has the slot may be deleted by its
			// author. A mark would hide this one then, because the peer's nodes
			// are again those of now. It ends when the peer has the other one
			// too, and no longer lists this one.
			settled = false
			w.wait(w.l.taken.add(at, w.l.r.cfg.Now()))
		} else if w.l.taken.forget(at); r.Err != nil {
			if err := w.judge(ctx, r.Err, from[i].spot); err != nil {
				settled = false
				if first == nil {
					first = err
				}
			}
		}
		w.done(from[i].spot, settled)
	}
	return first
}

// fetchDeferred waits for the other rounds that were fetching what this one
// lacks, and fetches what they did not bring.
func (w *walk) fetchDeferred(ctx context.Context) error {
	all := w.deferred
	w.deferred = nil
	patience := time.NewTimer(claimTime)
	defer patience.Stop()
	for i, d := range all {
		select {
		case <-d.claim.done:
		case <-patience.C:
			patience.Reset(0)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		all[i].claim = nil
		if w.l.c.settled(d.spot.scope, d.name) {
			w.done(d.spot, true)
			continue
		}
		w.leaves = append(w.leaves, d.leaf)
		if len(w.leaves) == chunk {
			if err := w.fetchLeaves(ctx, true); err != nil {
				return err
			}
			if w.stopped {
				return nil
			}
		}
	}
	if len(w.leaves) == 0 {
		return nil
	}
	return w.fetchLeaves(ctx, true)
}
