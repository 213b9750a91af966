package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

// walk is one look at a peer's folders. It goes depth first in chunks, so that
// what waits to be looked at stays small: topics that readers asked for come
// before those known here, and these before new ones.
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
	manner
	sought sought

	wanted, known, fresh []*spot // stacks; fresh: of topics that are new here
	leaves               []leaf  // to be fetched
	urgent               bool    // some of these are wanted
	ended                uint64  // claims.ended before the first of them was looked up
	deferred             []waiting
	marks                map[comntr.Hash][]cid.Cid
	marked               int
	loosened             uint64 // Store.Loosened when the walk began: of the marks
	ownNodes             map[cid.Cid]*comntr.Node

	result
	stopped bool // nothing more is to be fetched: budget or disk
}

// manner is what a walk looks at besides what is not merged, or leaves out.
type manner struct {
	whole bool // look also below what is marked merged: for its nodes
	// wantedBefore, if not zero, has the walk look at nothing but what readers
	// want: the rest was looked at, and is not to be had before then.
	wantedBefore time.Time
}

// result is what a round did.
type result struct {
	merged    bool // all that the root names is settled here
	denied    bool // topics that the operator denies were passed over
	cut       bool // a bound ended the round before the end of the folders
	yielded   bool // it was cut because others waited
	nodes     int
	nodeBytes int
	links     int
	leavesGot int
	created   int
	invalid   int
	missing   int
	settled   int       // nodes marked merged
	due       time.Time // the first moment when what was left may be had; zero: nothing was left
	took      took
}

// spot is a node of the peer's tree at its position.
type spot struct {
	parent *spot
	scope  comntr.Hash // the topic, or above topics the community
	topic  bool
	fresh  bool // the topic is new here, and this is its root
	wanted bool // readers want the topic, or one that may stand below
	cid    cid.Cid
	own    cid.Cid // our own node at this position, if there is one
	path   []uint8
	open   int  // children and comments not looked at to the end, and 1 for itself
	short  bool // something below is not settled: no mark
}

var (
	errCut = errors.New("a bound of the round is reached")
	// errStop ends a fetch whose rest is not wanted now.
	errStop = errors.New("nothing more is wanted")
)

// walk looks at the peer's tree under root. The result tells what was done
// also where there is an error.
func (l *link) walk(ctx context.Context, src *source, root, own cid.Cid, how manner) (result, error) {
	l.peer.mu.Lock()
	window := l.peer.window
	l.peer.mu.Unlock()
	w := &walk{
		l: l, src: src, bounds: l.r.bounds, window: window, root: root, own: own,
		manner: how, sought: l.c.wants.now(),
		loosened: l.c.store.Loosened(),
		marks:    make(map[comntr.Hash][]cid.Cid),
		ownNodes: make(map[cid.Cid]*comntr.Node),
	}
	w.due = how.wantedBefore
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
	w.took = src.took
	return w.result, err
}

func (w *walk) run(ctx context.Context) error {
	w.push(nil, &spot{scope: w.l.c.hash, cid: w.root, own: w.own, wanted: true})
	for !w.stopped {
		if w.urgent && len(w.wanted) == 0 {
			if err := w.fetchLeaves(ctx, false); err != nil {
				return err
			}
			continue
		}
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
	if !s.wanted && !w.wantedBefore.IsZero() {
		parent.short = true
		return
	}
	if len(w.wanted)+len(w.known)+len(w.fresh) >= w.bounds.pending {
		w.cut = true
		parent.short = true
		return
	}
	s.parent, s.open = parent, 1
	if parent != nil {
		parent.open++
	}
	switch {
	case s.wanted:
		w.wanted = append(w.wanted, s)
	case s.fresh:
		w.fresh = append(w.fresh, s)
	default:
		w.known = append(w.known, s)
	}
}

func (w *walk) pop() []*spot {
	from := &w.wanted
	if len(*from) == 0 {
		from = &w.known
	}
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
		if err := w.l.c.folders.SetMerged(scope, cids, w.loosened); err != nil {
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
			if _, ok := w.l.c.store.TopicSeq(s.scope); !ok && !w.window.takeTopic(s.scope, s.wanted) {
				w.l.r.meter.refuse(refusedBudget)
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
		err := w.l.c.folders.PutNodes(blocks)
		if errors.Is(err, ipfs.ErrNoRoom) {
			w.wait(w.l.r.cfg.Now().Add(fullWait))
			w.stopped = true
			return errStop
		}
		if err != nil {
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
		if e := put(blocks); e != nil && (err == nil || errors.Is(err, errCut) || !errors.Is(e, errStop)) {
			err = e
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
	own := w.ownSpot(s)
	for i := range node.Links {
		l := &node.Links[i]
		switch {
		case l.Child:
			child := &spot{scope: s.scope, topic: s.topic, cid: l.CID, path: append(slices.Clone(s.path), l.Index)}
			child.wanted = s.wanted && (s.topic || w.sought.below(child.path))
			if own != nil && own.Shard {
				if o, ok := own.At(l.Index); ok && o.Child {
					child.own = o.CID
				}
			}
			w.push(s, child)
		case s.topic && lists(own, l):
			// It was here when the round began: what became of it since is our own doing.
		case s.topic:
			if err := w.leaf(ctx, s, l); err != nil {
				return err
			}
		case w.l.c.store.Denied(l.Name):
			w.denied = true
		default:
			_, held := w.l.c.store.TopicSeq(l.Name)
			w.push(s, &spot{scope: l.Name, topic: true, fresh: !held, wanted: w.sought.topics[l.Name], cid: l.CID, own: w.ownTopic(l.Name)})
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
	case err == nil, errors.Is(err, store.ErrGone), errors.Is(err, store.ErrDenied):
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

// ownSpot returns our own node at the position of s, or nil: then nothing is pruned
// by it, which is right, only slower.
func (w *walk) ownSpot(s *spot) *comntr.Node {
	if !s.own.Defined() {
		return nil
	}
	if !s.topic {
		return w.ownNode(s.own)
	}
	n, err := w.l.c.folders.Node(s.own) // looked at once
	if err != nil {
		return nil
	}
	return n
}

// lists tells whether a node of our own names the comment that a peer's node at the
// same position names.
func lists(own *comntr.Node, l *comntr.Link) bool {
	if own == nil {
		return false
	}
	var o comntr.Link
	var ok bool
	if own.Shard {
		o, ok = own.At(l.Index)
	} else {
		o, ok = own.Lookup(l.Name, 0)
	}
	return ok && !o.Child && o.Name == l.Name
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
	for at, depth := w.own, 0; at.Defined() && depth < comntr.MaxDepth; depth++ {
		n := w.ownNode(at)
		if n == nil {
			break
		}
		l, ok := n.Lookup(topic, depth)
		if !ok {
			break
		}
		if !l.Child {
			return l.CID
		}
		at = l.CID
	}
	return cid.Undef
}
