package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
	"github.com/ipfs/go-cid"
)

// walk is one look at a peer's folders. It goes depth first in chunks, so that
// what waits to be looked at stays small, topics known here before new ones.
//
// It prunes what is the same as our own at the same position (the same topic,
// the same path of shards), and what is marked merged in the same scope. Never
// by having a block alone: one node may stand in two topics, and its comments
// would be missing in one of them.
type walk struct {
	l      *link
	src    *source
	bounds bounds
	window *window
	root   cid.Cid
	own    cid.Cid // our own root when the round began
	whole  bool    // look also below what is marked merged: for its nodes

	known, fresh []*spot // stacks; fresh: of topics that are new here
	leaves       []leaf  // to be fetched
	deferred     []waiting
	marks        map[comntr.Hash][]cid.Cid
	marked       int
	ownNodes     map[cid.Cid]*comntr.Node

	result
	stopped bool // nothing more is to be fetched: budget or disk
}

// result is what a round did.
type result struct {
	merged    bool // all that the root names is settled here
	cut       bool // a bound ended the round before the end of the folders
	nodes     int
	nodeBytes int
	links     int
	leavesGot int
	created   int
	invalid   int
	missing   int
	settled   int       // nodes marked merged
	due       time.Time // the first moment when what was left may be had; zero: nothing was left
}

// spot is a node of the peer's tree at its position.
type spot struct {
	parent *spot
	scope  comntr.Hash // the topic, or above topics the community
	topic  bool
	fresh  bool // the topic is new here, and this is its root
	cid    cid.Cid
	own    cid.Cid // our own node at this position, if there is one
	path   []uint8
	open   int  // children and comments not looked at to the end, and 1 for itself
	short  bool // something below is not settled: no mark
}

// leaf is a comment that the peer's tree names.
type leaf struct {
	spot *spot
	name comntr.Hash
	cid  cid.Cid
}

type waiting struct {
	leaf
	claim *claim
}

var (
	errCut = errors.New("a bound of the round is reached")
	// errStop ends a fetch whose rest is not wanted now.
	errStop = errors.New("nothing more is wanted")
)

// walk looks at the peer's tree under root. The result tells what was done
// also where there is an error.
func (l *link) walk(ctx context.Context, src *source, root, own cid.Cid, whole bool) (result, error) {
	l.peer.mu.Lock()
	window := l.peer.window
	l.peer.mu.Unlock()
	w := &walk{
		l: l, src: src, bounds: l.r.bounds, window: window, root: root, own: own, whole: whole,
		marks:    make(map[comntr.Hash][]cid.Cid),
		ownNodes: make(map[cid.Cid]*comntr.Node),
	}
	err := w.run(ctx)
	if errors.Is(err, errCut) {
		w.cut, err = true, nil
		if len(w.leaves) > 0 && !w.stopped {
			err = w.fetchLeaves(ctx, false) // else the next round would come no further
		}
	}
	if e := w.putMarks(); e != nil && err == nil {
		err = e
	}
	return w.result, err
}

func (w *walk) run(ctx context.Context) error {
	w.push(nil, &spot{scope: w.l.c.hash, cid: w.root, own: w.own})
	for !w.stopped {
		if batch := w.pop(); len(batch) > 0 {
			if err := w.look(ctx, batch); err != nil {
				return err
			}
			continue
		}
		if len(w.leaves) > 0 {
			if err := w.fetchLeaves(ctx, false); err != nil {
				return err
			}
			continue
		}
		if len(w.deferred) == 0 {
			return nil
		}
		if err := w.fetchDeferred(ctx); err != nil {
			return err
		}
	}
	return nil
}

// push has s looked at, unless all below it is here.
func (w *walk) push(parent, s *spot) {
	if s.cid.Equals(s.own) || !w.whole && w.l.c.folders.Merged(s.scope, s.cid) {
		w.merged = w.merged || parent == nil
		return
	}
	if len(w.known)+len(w.fresh) >= w.bounds.pending {
		w.cut = true
		parent.short = true
		return
	}
	s.parent, s.open = parent, 1
	if parent != nil {
		parent.open++
	}
	if s.fresh {
		w.fresh = append(w.fresh, s)
	} else {
		w.known = append(w.known, s)
	}
}

func (w *walk) pop() []*spot {
	from := &w.known
	if len(*from) == 0 {
		from = &w.fresh
	}
	n := max(0, len(*from)-chunk)
	batch := slices.Clone((*from)[n:])
	clear((*from)[n:])
	*from = (*from)[:n]
	slices.Reverse(batch) // the last in is the first out
	return batch
}

// done tells s that one thing below it is looked at to the end, and marks it
// merged if it was the last and all are settled.
func (w *walk) done(s *spot, settled bool) {
	for ; s != nil; s = s.parent {
		s.open--
		s.short = s.short || !settled
		if s.open > 0 {
			return
		}
		if settled = !s.short; settled {
			w.marks[s.scope] = append(w.marks[s.scope], s.cid)
			w.marked++
			w.settled++
			w.merged = w.merged || s.parent == nil
		}
	}
}

func (w *walk) putMarks() error {
	for scope, cids := range w.marks {
		if err := w.l.c.folders.SetMerged(scope, cids); err != nil {
			return &local{fmt.Errorf("mark nodes as merged: %w", err)}
		}
	}
	clear(w.marks)
	w.marked = 0
	return nil
}

// wait notes when something that was left may be had.
func (w *walk) wait(due time.Time) {
	if w.due.IsZero() || due.Before(w.due) {
		w.due = due
	}
}

// look gets the nodes of batch and goes through their links.
func (w *walk) look(ctx context.Context, batch []*spot) error {
	var absent []*spot
	want := make(map[cid.Cid]bool)
	var cids []cid.Cid
	now := w.l.r.cfg.Now()
	for _, s := range batch {
		if s.fresh {
			// Counted now and not when it was found: a round that is cut short
			// must not use up the budget for topics that it never got to.
			if _, ok := w.l.c.store.TopicSeq(s.scope); !ok && !w.window.takeTopic(s.scope) {
				w.wait(w.window.until())
				w.done(s, false)
				continue
			}
		}
		if node, err := w.l.c.folders.Node(s.cid); err == nil {
			if err := w.visit(ctx, s, node); err != nil {
				return err
			}
			continue
		}
		if want[s.cid] {
			absent = append(absent, s)
			continue
		}
		if due, ok := w.l.retries.early(s.cid, now); ok {
			w.wait(due)
			w.done(s, false)
			continue
		}
		want[s.cid] = true
		cids = append(cids, s.cid)
		absent = append(absent, s)
	}
	room := w.bounds.nodes - w.nodes
	over := len(cids) > room
	if over {
		cids = cids[:room]
	}
	if len(cids) > 0 {
		if err := w.fetchNodes(ctx, cids); err != nil {
			return err
		}
	}
	for _, s := range absent {
		node, err := w.l.c.folders.Node(s.cid)
		if err != nil && over {
			continue // perhaps not asked for
		}
		if err != nil {
			if err := w.lack(s.cid); err != nil {
				return err
			}
			w.done(s, false)
			continue
		}
		if err := w.visit(ctx, s, node); err != nil {
			return err
		}
	}
	if over {
		return errCut
	}
	return nil
}

// fetchNodes brings the peer's nodes that it gives into our folders.
func (w *walk) fetchNodes(ctx context.Context, cids []cid.Cid) error {
	for _, c := range cids {
		if c.Prefix().Codec != cid.DagProtobuf {
			return liesf("%s is no folder", c)
		}
	}
	put := func(blocks map[cid.Cid][]byte) error {
		if err := w.l.c.folders.PutNodes(blocks); err != nil {
			return &local{fmt.Errorf("keep a peer's nodes: %w", err)}
		}
		return nil
	}
	blocks := make(map[cid.Cid][]byte)
	size := 0
	err := w.src.blocks(ctx, cids, func(c cid.Cid, block []byte) error {
		w.nodes++
		w.nodeBytes += len(block)
		if _, err := comntr.ParseNode(block); err != nil {
			return liesf("the node %s: %w", c, err)
		}
		if w.nodeBytes > w.bounds.nodeBytes {
			return errCut
		}
		if !w.window.takeNode(len(block)) {
			w.wait(w.window.until())
			w.stopped = true
			return errStop
		}
		w.l.retries.forget(c)
		blocks[c] = bytes.Clone(block)
		if size += len(block); size < flushBytes {
			return nil
		}
		full := blocks
		blocks, size = make(map[cid.Cid][]byte), 0
		return put(full)
	})
	if len(blocks) > 0 {
		// Also where the fetch broke: the next round goes on from here.
		if e := put(blocks); e != nil {
			return e
		}
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// lack counts a block that the peer's tree names and the peer did not give.
func (w *walk) lack(c cid.Cid) error {
	if w.stopped {
		return nil // not asked for
	}
	w.wait(w.l.retries.add(c, w.l.r.cfg.Now()))
	if w.missing++; w.missing > w.bounds.missing {
		return errMissing
	}
	if c.Equals(w.root) {
		// Its folders may have changed between two questions, but never twice
		// without an end: counts as a round without an answer.
		return fmt.Errorf("the server does not give its own root %s", c)
	}
	return nil
}

// visit goes through the links of s.
func (w *walk) visit(ctx context.Context, s *spot, node *comntr.Node) error {
	if err := node.CheckShard(s.path); err != nil {
		return liesf("the node %s: %w", s.cid, err)
	}
	if w.links += len(node.Links); w.links > w.bounds.links {
		return errCut
	}
	if s.topic && len(s.path) == 0 && len(node.Links) == 0 {
		// An empty topic is a topic too. One with comments comes with them.
		if err := w.addTopic(ctx, s); err != nil {
			return err
		}
	}
	var own *comntr.Node
	if s.own.Defined() && node.Shard {
		own = w.ownNode(s.own)
	}
	for i := range node.Links {
		l := &node.Links[i]
		switch {
		case l.Child:
			child := &spot{scope: s.scope, topic: s.topic, cid: l.CID, path: append(slices.Clone(s.path), l.Index)}
			if own != nil && own.Shard {
				if o, ok := byIndex(own, l.Index); ok && o.Child {
					child.own = o.CID
				}
			}
			w.push(s, child)
		case s.topic:
			if err := w.leaf(ctx, s, l); err != nil {
				return err
			}
		default:
			_, held := w.l.c.store.TopicSeq(l.Name)
			w.push(s, &spot{scope: l.Name, topic: true, fresh: !held, cid: l.CID, own: w.ownTopic(l.Name)})
		}
		if w.stopped {
			s.short = true
			break
		}
	}
	w.done(s, true)
	if w.marked >= 4*chunk {
		return w.putMarks()
	}
	return nil
}

func (w *walk) addTopic(ctx context.Context, s *spot) error {
	if _, ok := w.l.c.store.TopicSeq(s.scope); ok {
		return nil
	}
	created, err := w.l.c.store.AddTopic(ctx, s.scope, w.l.peer.key)
	if created {
		w.created++
	}
	return w.judge(ctx, err, s)
}

// judge tells what a store's answer means for the spot it was about.
func (w *walk) judge(ctx context.Context, err error, s *spot) error {
	switch {
	case err == nil, errors.Is(err, store.ErrSlotTaken), errors.Is(err, store.ErrGone):
		return nil
	case errors.Is(err, store.ErrFull):
		w.wait(w.l.r.cfg.Now().Add(fullWait))
		w.stopped = true
		s.short = true
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &local{fmt.Errorf("store what a peer has: %w", err)}
}

func byIndex(n *comntr.Node, index uint8) (comntr.Link, bool) {
	i := sort.Search(len(n.Links), func(i int) bool { return n.Links[i].Index >= index })
	if i < len(n.Links) && n.Links[i].Index == index {
		return n.Links[i], true
	}
	return comntr.Link{}, false
}

// ownNode returns a node of our own folder of topics, or nil. A few are kept
// parsed.
func (w *walk) ownNode(c cid.Cid) *comntr.Node {
	if n, ok := w.ownNodes[c]; ok {
		return n
	}
	n, err := w.l.c.folders.Node(c)
	if err != nil {
		return nil // then nothing is pruned by it, which is right, only slower
	}
	if len(w.ownNodes) >= 64 {
		clear(w.ownNodes)
	}
	w.ownNodes[c] = n
	return n
}

// ownTopic returns the id of our own folder of a topic under our own root.
func (w *walk) ownTopic(topic comntr.Hash) cid.Cid {
	slot := topic.Slot()
	for at, depth := w.own, 0; at.Defined() && depth < comntr.MaxDepth; depth++ {
		n := w.ownNode(at)
		if n == nil {
			break
		}
		if !n.Shard {
			i := sort.Search(len(n.Links), func(i int) bool { return bytes.Compare(n.Links[i].Name[:], topic[:]) >= 0 })
			if i < len(n.Links) && n.Links[i].Name == topic {
				return n.Links[i].CID
			}
			break
		}
		l, ok := byIndex(n, uint8(slot>>(56-8*depth)))
		if !ok || !l.Child && l.Name != topic {
			break
		}
		if !l.Child {
			return l.CID
		}
		at = l.CID
	}
	return cid.Undef
}

// leaf has a comment fetched that is not here.
func (w *walk) leaf(ctx context.Context, s *spot, l *comntr.Link) error {
	if held, gone := w.l.c.store.Has(s.scope, l.Name); held || gone {
		return nil
	}
	if due, ok := w.l.retries.early(l.CID, w.l.r.cfg.Now()); ok {
		w.wait(due)
		s.short = true
		return nil
	}
	s.open++
	w.leaves = append(w.leaves, leaf{s, l.Name, l.CID})
	if len(w.leaves) < chunk {
		return nil
	}
	return w.fetchLeaves(ctx, false)
}

// fetchLeaves fetches and stores what w.leaves names. steal: also what another
// round is fetching.
func (w *walk) fetchLeaves(ctx context.Context, steal bool) error {
	batch := w.leaves
	w.leaves = nil
	mine := &claim{done: make(chan struct{})}
	var claimed []commentKey
	defer func() { w.l.c.claims.release(mine, claimed) }()

	named := make(map[cid.Cid][]leaf) // one leaf may have several places
	var cids []cid.Cid
	room := w.window.files()
	for _, l := range batch {
		// Another round may have brought it meanwhile.
		if held, gone := w.l.c.store.Has(l.spot.scope, l.name); held || gone {
			w.done(l.spot, true)
			continue
		}
		if room <= 0 {
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
	var docs []*comntr.Document
	var from []leaf // docs' leaves
	size := 0
	err := w.src.blocks(ctx, cids, func(c cid.Cid, block []byte) error {
		leaves := named[c]
		delete(named, c)
		w.l.retries.forget(c)
		for i, l := range leaves {
			if !w.window.takeFile(len(block)) {
				w.wait(w.window.until())
				w.stopped = true
				named[c] = leaves[i:]
				return errStop
			}
			w.leavesGot++
			doc, settled, err := w.read(l, block)
			if err != nil {
				return err
			}
			if doc == nil {
				w.done(l.spot, settled)
				continue
			}
			docs, from = append(docs, doc), append(from, l)
			size += len(block)
		}
		if size < flushBytes {
			return nil
		}
		ready, of := docs, from
		docs, from, size = nil, nil, 0
		return w.add(ctx, ready, of)
	})
	if len(docs) > 0 {
		// Also where the fetch broke: what came is good.
		if e := w.add(context.WithoutCancel(ctx), docs, from); e != nil {
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

// read makes a document of a leaf's block. Where there is none, settled tells
// whether that is for good.
func (w *walk) read(l leaf, block []byte) (doc *comntr.Document, settled bool, err error) {
	b, err := comntr.LeafBytes(l.cid, block)
	if err != nil {
		return nil, false, liesf("the comment %s: %w", l.name, err)
	}
	if comntr.SumHash(b) != l.name {
		return nil, false, liesf("the bytes of %s do not hash to the comment's name %s", l.cid, l.name)
	}
	doc, err = comntr.ParseDocument(comntr.Place{Community: w.l.c.hash, Topic: l.spot.scope}, b)
	if err != nil {
		// Constants of the protocol: it never becomes valid.
		w.invalid++
		return nil, true, nil
	}
	now := w.l.r.cfg.Now()
	if doc.Premature(now) {
		w.wait(w.l.retries.later(l.cid, now, doc))
		return nil, false, nil
	}
	return doc, false, nil
}

// add stores documents and settles the leaves that they are from.
func (w *walk) add(ctx context.Context, docs []*comntr.Document, from []leaf) error {
	var first error
	for i, r := range w.l.c.store.AddAll(ctx, docs, w.l.peer.key) {
		if r.Created {
			w.created++
		}
		if err := w.judge(ctx, r.Err, from[i].spot); err != nil {
			if first == nil {
				first = err
			}
			from[i].spot.short = true
		}
		w.done(from[i].spot, true)
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
		if held, gone := w.l.c.store.Has(d.spot.scope, d.name); held || gone {
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
