package ipfs

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/comntr/comntr"
)

// Holder has blocks to serve: a community's folders. Its methods are called
// from many goroutines.
type Holder interface {
	// Block returns the block under c, which hashes to it; ErrNotHeld, ErrGone.
	Block(c cid.Cid) ([]byte, error)
	// Size returns the length of that block in bytes without making it.
	Size(c cid.Cid) (int, error)
	// Roots returns the CIDs that the DHT is told of, what matters most first.
	Roots() []cid.Cid
}

var errReadOnly = errors.New("the folders' blocks are read-only here")

// holders is what bitswap's server reads from: the blocks of all Holders.
// Nothing fetched is ever written here: what a comment's bytes become is the
// store's to decide.
type holders struct {
	log *slog.Logger

	mu  sync.RWMutex
	all []Holder
}

func (h *holders) add(f Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, f)
}

func (h *holders) list() []Holder {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.all[:len(h.all):len(h.all)]
}

// forms returns the CIDs that c's block may be held under. A gateway asks for
// a version 0 folder by its version 1 name, which has the same bytes.
func forms(c cid.Cid) []cid.Cid {
	if comntr.CheckCID(c) != nil {
		return nil
	}
	if c.Prefix().Codec != cid.DagProtobuf {
		return []cid.Cid{c}
	}
	if c.Version() == 0 {
		return []cid.Cid{c, cid.NewCidV1(cid.DagProtobuf, c.Hash())}
	}
	return []cid.Cid{c, cid.NewCidV0(c.Hash())}
}

// find calls ask for each form of c at each holder until one has it. Errors
// other than not having or giving it, or being closed, are logged here and look
// the same to the peer.
func (h *holders) find(c cid.Cid, ask func(Holder, cid.Cid) error) error {
	for _, form := range forms(c) {
		for _, f := range h.list() {
			err := ask(f, form)
			if err == nil {
				return nil
			}
			if !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrGone) && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrClosed) {
				h.log.Warn("a block could not be read", "cid", form, "err", err)
			}
		}
	}
	return ipld.ErrNotFound{Cid: c}
}

// Get returns the block under c.
func (h *holders) Get(_ context.Context, c cid.Cid) (blocks.Block, error) {
	var b []byte
	err := h.find(c, func(f Holder, c cid.Cid) (err error) {
		b, err = f.Block(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return blocks.NewBlockWithCid(b, c)
}

// GetSize returns the length of the block under c.
func (h *holders) GetSize(_ context.Context, c cid.Cid) (int, error) {
	var n int
	err := h.find(c, func(f Holder, c cid.Cid) (err error) {
		n, err = f.Size(c)
		return err
	})
	return n, err
}

// Has reports whether the block under c is held.
func (h *holders) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := h.GetSize(ctx, c)
	if ipld.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Put refuses: see holders.
func (h *holders) Put(context.Context, blocks.Block) error { return errReadOnly }

// PutMany refuses: see holders.
func (h *holders) PutMany(context.Context, []blocks.Block) error { return errReadOnly }

// DeleteBlock refuses: see holders.
func (h *holders) DeleteBlock(context.Context, cid.Cid) error { return errReadOnly }

// AllKeysChan gives no keys: nothing here needs them.
func (h *holders) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	ch := make(chan cid.Cid)
	close(ch)
	return ch, nil
}
