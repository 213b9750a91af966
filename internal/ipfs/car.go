package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/klauspost/compress/gzip"

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
	// carPart is how many blocks are read at once, and carAhead how many such
	// parts while one is written: 5 MiB if all are of the largest kind.
	carPart  = 16
	carAhead = 4
)

// IsTopicFolder reports whether a node that is held is the root, or a shard, of
// a topic's folder: its names stand for comments. An empty folder is one. It
// decides by the first name whose link is known here, of a thousand at most.
func (f *Folders) IsTopicFolder(c cid.Cid) bool {
	is := false
	if err := f.use(func() error {
		n, err := f.node(c)
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
			n, err = f.node(next)
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
	if c.Prefix().Codec != cid.Raw { // of those a peer can make up any number
		if _, held, err := f.db.ref(digestOf(c)); err != nil || held {
			return held, false, err
		}
	}
	err = f.db.places(c, func(_, _ comntr.Hash) bool { leaf = true; return false })
	return leaf, leaf, err
}

// WriteCAR writes the whole folder of a topic, whose root is given, as a CAR
// (version 1): a node, then what is below it, in the order of its links, each
// block once. What the index knows of is found before the first byte is
// written: the error is ErrNotTopicFolder; ErrNotHeld where a block is missing;
// a GoneError that names the removed comments; ErrTooLarge for more than 256 MiB
// or 262,144 links. Past that point an error means that the CAR was cut: a file
// was changed behind the store's back, or a comment was removed meanwhile. The
// files are read as they are written: 20,000 of them are half a second that
// nobody waits for. zip compresses it (gzip). size is how many bytes were read
// for it, or written, whichever is more. Present folders of common size are
// kept, see keptCARs.
func (f *Folders) WriteCAR(ctx context.Context, w io.Writer, root cid.Cid, zip bool) (size int64, err error) {
	if kept := f.cars.get(f.src, root, zip); kept != nil {
		f.meter.gaveAll(kept.blocks, kept.size)
		n, err := w.Write(kept.forms[form(zip)])
		return int64(n), err
	}
	if !f.IsTopicFolder(root) {
		if _, err := f.Node(root); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%w: %s", ErrNotTopicFolder, root)
	}
	car := carPlan{f: f, root: root, seen: map[cid.Cid]bool{}}
	if err := car.node(ctx, root, nil); err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	if err := car.judge(); err != nil {
		return 0, err
	}
	copied := capture{w: w, off: !car.present || car.size > maxKeptCAR}
	if err := car.writeTo(ctx, &copied, zip); err != nil {
		return int64(car.written), err
	}
	if !copied.off {
		f.cars.add(f.src, &car, form(zip), copied.kept)
	}
	return max(int64(car.written), copied.n), nil
}

// gzips are writers that are used again: one has 1 MB of tables.
var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // a level that exists
	return z
}}

func (p *carPlan) writeTo(ctx context.Context, w io.Writer, zip bool) error {
	if !zip {
		return p.write(ctx, w)
	}
	z := gzips.Get().(*gzip.Writer)
	defer func() {
		z.Reset(io.Discard)
		gzips.Put(z)
	}()
	z.Reset(w)
	if err := p.write(ctx, z); err != nil {
		return err
	}
	return z.Close()
}

// write writes what was planned: the leaves are read in parts, some at once.
func (p *carPlan) write(ctx context.Context, w io.Writer) error {
	out, err := comntr.NewCARWriter(w, p.root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	parts := make(chan *carRead, carAhead-2) // one is written, and one waits to be sent
	readers.Go(func() {
		defer close(parts)
		for blocks := range slices.Chunk(p.blocks, carPart) {
			part := &carRead{blocks: blocks, done: make(chan struct{})}
			readers.Go(func() { part.read(ctx, p) })
			select {
			case parts <- part:
			case <-ctx.Done():
				return
			}
		}
	})
	for part := range parts {
		<-part.done
		for i, block := range part.bytes {
			if err := out.Block(part.blocks[i].cid, block); err != nil {
				return err
			}
			p.written += len(block)
			p.f.meter.gave(len(block))
		}
		if part.err != nil {
			return part.err
		}
	}
	return ctx.Err()
}

// carRead is a part of a CAR on its way from the disk.
type carRead struct {
	blocks []carBlock
	bytes  [][]byte // of the first of them, up to the error
	err    error
	done   chan struct{}
}

func (r *carRead) read(ctx context.Context, p *carPlan) {
	defer close(r.done)
	for _, b := range r.blocks {
		if r.err = ctx.Err(); r.err != nil {
			return
		}
		var block []byte
		if block, r.err = p.read(b); r.err != nil {
			return
		}
		r.bytes = append(r.bytes, block)
	}
}

// carPlan is a CAR before it is written.
type carPlan struct {
	f        *Folders
	root     cid.Cid
	seen     map[cid.Cid]bool
	blocks   []carBlock
	links    int         // links followed
	size     int         // bytes of all blocks
	buffered int         // bytes of those in memory
	topic    comntr.Hash // of any leaf that was found
	known    bool        // whether one was
	own      bool        // the root is that topic's own, so its links' names are to be trusted
	present  bool        // and all that is listed, as of seq
	seq      uint64
	nodes    []cid.Cid
	written  int           // bytes of blocks
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
		read := p.f.src.Read
		if p.present {
			read = p.f.src.ReadListed
		}
		if doc, err := read(b.topic, b.comment); err == nil {
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
	n := p.f.made(c)
	if n == nil {
		if n, err = comntr.ParseNode(block); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrNotTopicFolder, c, err)
		}
	}
	if err := n.CheckShard(path); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotTopicFolder, c, err)
	}
	if err := p.add(c, block); err != nil {
		return err
	}
	p.nodes = append(p.nodes, c)
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
	if p.present && !p.f.src.DeniedBlock(l.CID) {
		// All that is listed is held: to look each up would be done twice.
		p.blocks = append(p.blocks, carBlock{cid: l.CID, topic: p.topic, comment: l.Name})
		return p.grow(int(l.Size))
	}
	if p.own {
		// Its place is known: to look for it would be half of all the time.
		if size, held := p.f.src.Held(p.topic, l.Name); held {
			p.blocks = append(p.blocks, carBlock{cid: l.CID, topic: p.topic, comment: l.Name})
			return p.grow(size)
		}
	}
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
		}); err != nil {
			return err
		}
		if held {
			if !p.own && (!p.known || topic != p.topic) {
				p.topic, p.known = topic, true
				seq, _ := p.f.src.TopicSeq(topic) // before the record
				rec, err := p.f.record(topic)
				p.own = err == nil && rec.root.Equals(p.root)
				p.present, p.seq = p.own && rec.current(seq), seq
			}
			return nil
		}
		block, topic, err = p.f.leafBlock(l.CID)
		return err
	})
	if held && err == nil {
		p.blocks = append(p.blocks, carBlock{cid: l.CID, topic: topic, comment: comment})
		return p.grow(size)
	}
	if (err == nil || errors.Is(err, ErrGone)) && !p.own {
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
