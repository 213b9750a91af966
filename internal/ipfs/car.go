package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Bounds of a CAR of a whole folder.
const (
	// maxCAR is how many bytes of blocks one has at most.
	maxCAR = 256 << 20
	// maxCARBuffer is how many of them are held in memory between looking
	// whether all are there and writing them: nodes, and leaves that had to be
	// read for that. The others are read as they are written.
	maxCARBuffer = 8 << 20
	// maxCARLinks is how many links are followed for one, each remembered.
	maxCARLinks = 1 << 18
	// maxGoneNamed is how many removed comments an answer names, and how many
	// leaves may be absent before the plan is given up: a peer can make up any
	// number of them (TestWriteCARMadeUp).
	maxGoneNamed = 100
	// maxUnknown is how many links are tried to find one that is known.
	maxUnknown = 1000
)

// IsTopicFolder reports whether a node that is held is the root, or a shard, of
// a topic's folder: its names stand for comments. An empty folder is one. It
// decides by the first name whose link is known here, of a thousand at most.
func (f *Folders) IsTopicFolder(c cid.Cid) bool {
	is := false
	if err := f.use(func() error {
		n, err := f.db.node(c)
		tries := 0
		for depth := 0; err == nil && depth < comntr.MaxDepth; depth++ {
			next := cid.Undef
			for _, l := range n.Links {
				if l.Child {
					next = l.CID
					continue
				}
				known, leaf, err := f.isLeaf(l.CID)
				if tries++; known || err != nil || tries >= maxUnknown {
					is = leaf
					return err
				}
			}
			if !next.Defined() {
				is = len(n.Links) == 0
				return nil
			}
			n, err = f.db.node(next)
		}
		if errors.Is(err, ErrNotHeld) {
			return nil
		}
		return err
	}); err != nil {
		f.log.Warn("cannot read a node", "cid", c, "err", err)
		return false
	}
	return is
}

// isLeaf tells a leaf's CID from a directory node's.
func (f *Folders) isLeaf(c cid.Cid) (known, leaf bool, err error) {
	if err := f.db.places(c, func(_, _ comntr.Hash) bool { leaf = true; return false }); err != nil || leaf {
		return leaf, leaf, err
	}
	if c.Prefix().Codec == cid.Raw {
		return false, false, nil // a peer can make up any number of them
	}
	_, held, err := f.db.ref(digestOf(c))
	return held, false, err
}

// WriteCAR writes the whole folder of a topic, whose root is given, as a CAR
// (version 1): a node, then what is below it, in the order of its links, each
// block once. What the index knows of is found before the first byte is
// written: the error is ErrNotTopicFolder; ErrNotHeld where a block is missing;
// a GoneError that names the removed comments; ErrTooLarge for more than 256 MiB
// or 262,144 links. Past that point an error means that the CAR was cut: a file
// was changed behind the store's back, or a comment was removed meanwhile. The
// files are read as they are written: 20,000 of them are half a second that
// nobody waits for.
func (f *Folders) WriteCAR(ctx context.Context, w io.Writer, root cid.Cid) error {
	if _, err := f.Node(root); err != nil {
		return err
	}
	if !f.IsTopicFolder(root) {
		return fmt.Errorf("%w: %s", ErrNotTopicFolder, root)
	}
	car := carPlan{f: f, seen: map[cid.Cid]bool{}}
	if err := car.node(ctx, root, nil); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if err := car.judge(); err != nil {
		return err
	}
	out, err := comntr.NewCARWriter(w, root)
	if err != nil {
		return err
	}
	for _, b := range car.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := car.read(b)
		if err != nil {
			return err
		}
		if err := out.Block(b.cid, block); err != nil {
			return err
		}
		f.meter.gave(len(block))
	}
	return nil
}

// carPlan is a CAR before it is written.
type carPlan struct {
	f        *Folders
	seen     map[cid.Cid]bool
	blocks   []carBlock
	links    int           // links followed
	size     int           // bytes of all blocks
	buffered int           // bytes of those in memory
	topic    comntr.Hash   // of any leaf that was found
	known    bool          // whether one was
	gone     []comntr.Hash // removed comments
	absent   []comntr.Link // leaves of which nothing is known
}

// errEnough: so much is gone or absent that the rest does not matter.
var errEnough = errors.New("too much is missing")

type carBlock struct {
	cid     cid.Cid
	block   []byte // nil: to be read
	topic   comntr.Hash
	comment comntr.Hash // of a leaf that was not read yet
}

// read returns a block's bytes when it is written.
func (p *carPlan) read(b carBlock) ([]byte, error) {
	if b.block != nil {
		return b.block, nil
	}
	if b.comment != (comntr.Hash{}) {
		if doc, err := p.f.src.Read(b.topic, b.comment); err == nil {
			if block := comntr.Version(leafKind(b.cid)).LeafBlock(doc); comntr.CheckBlock(b.cid, block) == nil {
				return block, nil
			}
		}
	}
	return p.f.block(b.cid)
}

// grow counts the bytes of one block more.
func (p *carPlan) grow(size int) error {
	if p.size += size; p.size > p.f.limits.car {
		return fmt.Errorf("%w: a CAR has at most %d bytes of blocks", ErrTooLarge, p.f.limits.car)
	}
	return nil
}

func (p *carPlan) add(c cid.Cid, block []byte) error {
	if err := p.grow(len(block)); err != nil {
		return err
	}
	b := carBlock{cid: c}
	if p.buffered+len(block) <= maxCARBuffer {
		p.buffered += len(block)
		b.block = block
	}
	p.blocks = append(p.blocks, b)
	return nil
}

func (p *carPlan) node(ctx context.Context, c cid.Cid, path []uint8) error {
	if p.seen[c] {
		return nil
	}
	p.seen[c] = true
	block, err := p.f.block(c)
	if err != nil {
		return err
	}
	n, err := comntr.ParseNode(block)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotTopicFolder, c, err)
	}
	if err := n.CheckShard(path); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotTopicFolder, c, err)
	}
	if err := p.add(c, block); err != nil {
		return err
	}
	for _, l := range n.Links {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.links++; p.links > p.f.limits.carLinks {
			return fmt.Errorf("%w: a CAR follows at most %d links", ErrTooLarge, p.f.limits.carLinks)
		}
		if l.Child {
			err = p.node(ctx, l.CID, append(path, l.Index))
		} else {
			err = p.leaf(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *carPlan) leaf(l comntr.Link) error {
	if p.seen[l.CID] {
		return nil
	}
	p.seen[l.CID] = true
	var block []byte
	var topic comntr.Hash
	var comment comntr.Hash
	size, held := 0, false
	err := p.f.use(func() (err error) {
		tries := 0
		if err = p.f.db.places(l.CID, func(in, as comntr.Hash) bool {
			topic, comment = in, as
			size, held = p.f.src.Held(in, as)
			tries++
			return !held && tries < maxPlaces
		}); err != nil || held {
			return err
		}
		block, topic, err = p.f.leafBlock(l.CID)
		return err
	})
	if held && err == nil {
		p.topic, p.known = topic, true
		p.blocks = append(p.blocks, carBlock{cid: l.CID, topic: topic, comment: comment})
		return p.grow(size)
	}
	if err == nil || errors.Is(err, ErrGone) {
		p.topic, p.known = topic, true
	}
	switch {
	case errors.Is(err, ErrGone):
		p.gone = append(p.gone, l.Name)
	case errors.Is(err, ErrNotHeld):
		p.absent = append(p.absent, l)
	case err != nil:
		return err
	default:
		return p.add(l.CID, block)
	}
	if max(len(p.gone), len(p.absent)) > maxGoneNamed {
		return errEnough
	}
	return nil
}

// judge says what stands in the way of writing. A leaf of which nothing is
// known may be of a comment that was removed before it ever came here: the
// topic that its neighbours are of can tell.
func (p *carPlan) judge() error {
	var missing error
	for _, l := range p.absent {
		gone := false
		if p.known && len(p.gone) < maxGoneNamed {
			_, err := p.f.src.Read(p.topic, l.Name)
			gone = isGone(err)
		}
		if gone {
			p.gone = append(p.gone, l.Name)
		} else if missing == nil {
			missing = fmt.Errorf("%w: %s", ErrNotHeld, l.CID)
		}
	}
	if len(p.gone) > 0 {
		return &GoneError{Comments: p.gone[:min(len(p.gone), maxGoneNamed)]}
	}
	return missing
}
