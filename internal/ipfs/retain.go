package ipfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Bounds of what is kept for peers.
const (
	// maxPeers is how many peers' last roots are kept; past it the one
	// retained longest ago goes.
	maxPeers = 64
	// maxPeerTree is how many bytes of directory nodes one of them may have,
	// each counted as often as it stands in the tree.
	maxPeerTree = 64 << 20
	// maxPut is how many bytes one PutNodes takes.
	maxPut = 8 << 20
	// maxPeerName is the longest name of a peer in bytes; a key in hex has 64.
	maxPeerName = 128
)

// level says what the names of a folder are.
type level int

const (
	ofTopics   level = iota // names link to topics' folders
	ofComments              // names link to leaves, which are no nodes
)

// diff counts by how much each node's number of places grows from one tree to
// another. Where both have the same node in the same place nothing below it is
// read, so its cost is that of what changed.
type diff struct {
	load  func(cid.Cid) (sized, error)
	refs  map[digest]int
	added int64 // bytes of the nodes counted up
	grown int64 // bytes by which the tree grew
	limit int64 // of added; 0: none
	check bool  // whether the new tree is a stranger's
}

// folder compares two folders, either of them possibly undefined. path is the
// shards above the new one.
func (d *diff) folder(old, new cid.Cid, l level, path []uint8) error {
	if old == new {
		return nil
	}
	var from, to sized
	var err error
	if old.Defined() {
		if from, err = d.load(old); err != nil {
			if errors.Is(err, ErrNotHeld) {
				err = fmt.Errorf("%w: %w", errDamaged, err)
			}
			return err
		}
		d.refs[digestOf(old)]--
		d.grown -= int64(from.block)
	}
	if new.Defined() {
		if to, err = d.load(new); err != nil {
			return err
		}
		if d.check {
			if err := to.CheckShard(path); err != nil {
				return fmt.Errorf("node %s: %w", new, err)
			}
		}
		d.refs[digestOf(new)]++
		d.grown += int64(to.block)
		d.added += int64(to.block)
		if d.limit > 0 && d.added > d.limit {
			return fmt.Errorf("%w: %d bytes of directory nodes", ErrTooLarge, d.limit)
		}
	}
	var a, b []comntr.Link
	if from.Node != nil {
		a = from.Links
	}
	if to.Node != nil {
		b = to.Links
	}
	// Any pairing gives the right counts; a good one meets equal sub-trees.
	for len(a) > 0 || len(b) > 0 {
		var x, y comntr.Link
		c := 0
		switch {
		case len(a) == 0:
			c = 1
		case len(b) == 0:
			c = -1
		default:
			c = order(a[0], b[0])
		}
		if c <= 0 {
			x, a = a[0], a[1:]
		}
		if c >= 0 {
			y, b = b[0], b[1:]
		}
		if x.CID.Defined() && y.CID.Defined() && x.Child != y.Child {
			if err := errors.Join(d.link(x, comntr.Link{}, l, path), d.link(comntr.Link{}, y, l, path)); err != nil {
				return err
			}
			continue
		}
		if err := d.link(x, y, l, path); err != nil {
			return err
		}
	}
	return nil
}

func (d *diff) link(x, y comntr.Link, l level, path []uint8) error {
	switch {
	case x.CID == y.CID:
		return nil
	case x.Child || y.Child:
		return d.folder(x.CID, y.CID, l, append(path, y.Index))
	case l == ofTopics:
		return d.folder(x.CID, y.CID, ofComments, nil)
	}
	return nil
}

// order sorts links of plain directories by name, of shards by index.
func order(a, b comntr.Link) int {
	if a.Index != b.Index {
		return int(a.Index) - int(b.Index)
	}
	if a.Child || b.Child {
		return 0
	}
	return a.Name.Compare(b.Name)
}

// peerTree is a peer's last complete root.
type peerTree struct {
	root cid.Cid
	size int64     // bytes of its nodes
	at   time.Time // when it was retained
}

func (p peerTree) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.at.UnixNano()))
	b = binary.AppendUvarint(b, uint64(p.size))
	return append(b, p.root.Bytes()...)
}

func decodePeer(b []byte) (p peerTree, err error) {
	fail := fmt.Errorf("%w: a peer's record", errDamaged)
	at, n := binary.Uvarint(b)
	if n <= 0 {
		return p, fail
	}
	size, k := binary.Uvarint(b[n:])
	if k <= 0 {
		return p, fail
	}
	p.at, p.size = time.Unix(0, int64(at)), int64(size)
	if p.root, err = cid.Cast(b[n+k:]); err != nil || comntr.CheckCID(p.root) != nil {
		return p, fail
	}
	return p, nil
}

func peerKey(peer string) []byte { return key(keyPeer, []byte(peer)) }

func (f *Folders) loadPeers() error {
	f.peersMu.Lock()
	defer f.peersMu.Unlock()
	f.peers = map[string]peerTree{}
	var bad error
	err := f.db.scanPrefix([]byte{keyPeer}, func(k, v []byte) bool {
		var p peerTree
		if p, bad = decodePeer(v); bad != nil {
			return false
		}
		f.peers[string(k[1:])] = p
		return true
	})
	return errors.Join(err, bad)
}

// PutNodes stores directory nodes of a peer's tree, at most 8 MiB of them, for
// a walk that is under way: they stay for an hour, and for as long as a Retain
// holds them. Each is checked against its CID and must be canonical, else
// nothing is stored; nor is it where the error is ErrNoRoom.
func (f *Folders) PutNodes(blocks map[cid.Cid][]byte) error {
	if err := f.room.take(0, forPeers); err != nil {
		return fmt.Errorf("put nodes: %w", err)
	}
	nodes := make(map[digest]sized, len(blocks))
	size := 0
	for c, block := range blocks {
		if size += len(block); size > maxPut {
			return fmt.Errorf("put nodes: %w: %d bytes", ErrTooLarge, maxPut)
		}
		if err := comntr.CheckBlock(c, block); err != nil {
			return fmt.Errorf("put nodes: %w", err)
		}
		if c.Prefix().Codec != cid.DagProtobuf {
			return fmt.Errorf("put nodes: %s is no directory node", c)
		}
		n, err := comntr.ParseNode(block)
		if err != nil {
			return fmt.Errorf("put nodes: %s: %w", c, err)
		}
		nodes[digestOf(c)] = sized{n, len(block)}
	}
	return f.use(func() error { return f.db.park(nodes) })
}

// Retain keeps the tree under root, the community's folder of a peer, in place
// of the one retained for that peer before. All its nodes must be held: else
// the error is ErrNotHeld and what was retained stays. A tree of more than 64
// MiB of nodes is ErrTooLarge, and then nothing is kept for the peer. Of more
// than 64 peers, or of more bytes than peers' share of the disk, the one retained
// longest ago is let go; an undefined root lets go of this one. ErrNoRoom
// changes nothing.
func (f *Folders) Retain(peer string, root cid.Cid) error {
	if len(peer) > maxPeerName {
		return fmt.Errorf("retain: the peer's name has %d bytes: at most %d are taken", len(peer), maxPeerName)
	}
	return f.use(func() error {
		f.retaining.Lock()
		defer f.retaining.Unlock()
		f.peersMu.Lock()
		old := f.peers[peer]
		f.peersMu.Unlock()
		err := f.swapPeer(peer, old, peerTree{root: root, at: f.db.now()})
		if errors.Is(err, ErrTooLarge) && old.root.Defined() {
			err = errors.Join(err, f.swapPeer(peer, old, peerTree{}))
		}
		if err != nil {
			return fmt.Errorf("retain %s: %w", root, err)
		}
		for {
			oldest, at := "", time.Time{}
			total := int64(0)
			f.peersMu.Lock()
			for name, p := range f.peers {
				total += p.size
				if name != peer && (oldest == "" || p.at.Before(at)) {
					oldest, at = name, p.at
				}
			}
			drop, n := f.peers[oldest], len(f.peers)
			f.peersMu.Unlock()
			if oldest == "" || n <= maxPeers && total <= f.maxRetained {
				return nil
			}
			if err := f.swapPeer(oldest, drop, peerTree{}); err != nil {
				return fmt.Errorf("let go of a peer's tree: %w", err)
			}
		}
	})
}

func (f *Folders) swapPeer(peer string, old, new peerTree) error {
	p := forPeers
	if !new.root.Defined() {
		p = forDropping
	}
	if err := f.room.take(0, p); err != nil {
		return err // before the work
	}
	limit := max(1, min(f.limits.peerTree, f.maxRetained))
	d := diff{load: f.db.node, refs: map[digest]int{}, limit: limit, check: true}
	if err := d.folder(old.root, new.root, ofTopics, nil); err != nil {
		return err
	}
	if new.size = old.size + d.grown; new.root.Defined() && new.size > limit {
		return fmt.Errorf("%w: %d bytes of directory nodes", ErrTooLarge, limit)
	}
	b := f.db.db.NewBatch()
	defer b.Close()
	var err error
	if new.root.Defined() {
		err = b.Set(peerKey(peer), new.encode(), nil)
	} else {
		err = b.Delete(peerKey(peer), nil)
	}
	if err != nil {
		return err
	}
	if err := f.db.commit(b, d.refs, nil, p); err != nil {
		return err
	}
	f.peersMu.Lock()
	defer f.peersMu.Unlock()
	if new.root.Defined() {
		f.peers[peer] = new
	} else {
		delete(f.peers, peer)
	}
	return nil
}

// Merged reports whether all below the node was taken from a peer, in that
// scope. The scope is the topic for a node of a topic's folder, the community
// for a node of the community's: one node may stand in two topics.
func (f *Folders) Merged(scope comntr.Hash, c cid.Cid) bool {
	if comntr.CheckCID(c) != nil {
		return false
	}
	found := false
	if err := f.use(func() error {
		if err := f.dropOldMarks(); err != nil {
			return err
		}
		d := digestOf(c)
		v, err := f.db.get(key(keyMark, d[:], scope[:]))
		found = v != nil
		return err
	}); err != nil {
		f.log.Warn("cannot read a mark", "cid", c, "err", err)
		return false // costs a walk, loses nothing
	}
	return found
}

// SetMerged marks nodes as merged in a scope. A mark goes with its node: one
// that is not held gets none. loosened is Source.Loosened from before anything
// below the nodes was looked at: where it has changed since, what was settled
// then may not be so now, and no mark is made.
func (f *Folders) SetMerged(scope comntr.Hash, nodes []cid.Cid, loosened uint64) error {
	return f.use(func() error {
		if err := f.dropOldMarks(); err != nil {
			return err
		}
		f.db.mu.Lock() // no node is collected between the look and the mark
		defer f.db.mu.Unlock()
		if f.marksOf.Load() != loosened {
			return nil
		}
		b := f.db.db.NewBatch()
		defer b.Close()
		for _, c := range nodes {
			if err := comntr.CheckCID(c); err != nil {
				return err
			}
			d := digestOf(c)
			if _, ok, err := f.db.ref(d); err != nil {
				return err
			} else if !ok {
				continue
			}
			if err := b.Set(key(keyMark, d[:], scope[:]), nil, nil); err != nil {
				return err
			}
		}
		return f.db.apply(b, forOwn)
	})
}

func (f *Folders) loadMarks() error {
	v, err := f.db.get([]byte{keyLoosened})
	if err != nil || v == nil {
		return err
	}
	if len(v) != 8 {
		return fmt.Errorf("%w: the number of the marks", errDamaged)
	}
	f.marksOf.Store(binary.BigEndian.Uint64(v))
	return nil
}

// dropOldMarks forgets all marks where something that was settled may come
// again since they were made: what peers have is looked at anew.
func (f *Folders) dropOldMarks() error {
	now := f.src.Loosened()
	if f.marksOf.Load() >= now {
		return nil
	}
	f.db.mu.Lock()
	defer f.db.mu.Unlock()
	if f.marksOf.Load() >= now {
		return nil
	}
	b := f.db.db.NewBatch()
	defer b.Close()
	err := b.DeleteRange([]byte{keyMark}, []byte{keyMark + 1}, nil)
	if err == nil {
		err = b.Set([]byte{keyLoosened}, binary.BigEndian.AppendUint64(nil, now), nil)
	}
	if err == nil {
		err = f.db.apply(b, forDropping)
	}
	if err != nil {
		return fmt.Errorf("clear marks: %w", err)
	}
	f.marksOf.Store(now)
	return nil
}

// Collect deletes the nodes that have stood in no kept tree for an hour, and has
// what a crash would lose written out. The error is ErrNoRoom where even
// deletions cannot be written.
func (f *Folders) Collect(now time.Time) error {
	return f.use(func() error {
		if err := f.db.collectBefore(f.ctx, now.Add(-grace)); err != nil {
			return err
		}
		return f.db.flushDue(f.ctx)
	})
}

// Roots are the CIDs to provide, each once: our own root, the peers' retained
// roots, and of topics' folders at most 1,000: those last asked for, then those
// that changed last.
func (f *Folders) Roots() []cid.Cid {
	var out []cid.Cid
	seen := map[digest]bool{}
	add := func(c cid.Cid) {
		if c.Defined() && !seen[digestOf(c)] {
			seen[digestOf(c)] = true
			out = append(out, c)
		}
	}
	add(f.OwnRoot())
	f.peersMu.Lock()
	for _, p := range f.peers {
		add(p.root)
	}
	f.peersMu.Unlock()
	most := len(out) + maxAsked
	for _, topics := range []*lru.Cache[comntr.Hash, cid.Cid]{f.asked, f.recent} {
		for _, c := range slices.Backward(topics.Values()) { // the newest first
			if len(out) < most {
				add(c)
			}
		}
	}
	return out
}
