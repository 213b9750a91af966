package ipfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	pb "github.com/ipfs/boxo/bitswap/message/pb"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/comntr/comntr"
)

// Bounds of a transfer from one peer. What a peer can cost is: its window of
// blocks in memory, and stallTimeout twice or windowTimeout of time.
const (
	// window is how many CIDs are asked for at once. Bitswap servers keep at
	// least 1,024 wants of a peer; the next are sent when half are answered.
	window = 512
	// maxQueued bounds the bytes of blocks that wait to be used by a session:
	// a window of the largest leaves. Larger ones wait in the peer's streams.
	maxQueued = window * comntr.MaxLeaf
	// stallTimeout is how long a peer may answer nothing once it was asked
	// again; then the transfer ends. It is asked again after stallTimeout/askAgain
	// of silence, the next time after twice as long, so that a slow line is not
	// filled with what is on its way already.
	stallTimeout = 10 * time.Second
	askAgain     = 10
	// windowTimeout is how long a peer may take for a window's worth of
	// answers: one that drips cannot hold a session for long, and a window of
	// the largest leaves still comes over a line of 1 Mbit/s.
	windowTimeout = 5 * time.Minute
	// sendTimeout bounds writing one message to a peer.
	sendTimeout = 10 * time.Second
)

var (
	// ErrOff is Fetch's error where the node has no libp2p.
	ErrOff = errors.New("the IPFS node is off")
	// ErrStalled says that a peer stopped answering.
	ErrStalled = errors.New("the peer stopped answering over bitswap")
)

// MissingError says that a peer answered, but had not all blocks.
type MissingError struct {
	Peer    string
	Missing []cid.Cid // in no order
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the peer %s does not have %d of the blocks asked for, %s among them", e.Peer, len(e.Missing), e.Missing[0])
}

// Session is a connection to one peer to fetch blocks over. Blocks come from
// that peer alone, so that what it says of itself is what is judged.
type Session struct {
	x      *exchange
	peer   peer.ID
	stream network.Stream // owned by the caller of Blocks
	clean  bool           // nothing asked for is open
}

// PeerID returns the peer asked.
func (s *Session) PeerID() string { return s.peer.String() }

// Blocks asks the peer for cids and calls fn for each block that comes, in no
// order, each CID once, in the caller's goroutine. Blocks are verified: they
// hash to their CID and have at most comntr.MaxNode bytes. It returns nil when
// all came, a *MissingError when the peer answered that it has not all,
// ErrStalled when it stopped answering, and fn's error at once. One call at a
// time.
func (s *Session) Blocks(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error {
	todo := make([]cid.Cid, 0, len(cids))
	seen := make(map[cid.Cid]struct{}, len(cids))
	for _, c := range cids {
		if err := comntr.CheckCID(c); err != nil {
			return err
		}
		if _, ok := seen[c]; !ok {
			seen[c] = struct{}{}
			todo = append(todo, c)
		}
	}
	t := s.x.open(s.peer)
	open := make(map[cid.Cid]struct{}, window) // asked for and not answered
	s.clean = false
	defer func() {
		s.x.close(t, open)
		s.clean = len(open) == 0
	}()

	var missing, cancel []cid.Cid
	left := func() int { return len(todo) + len(open) + len(missing) }
	timer := time.NewTimer(s.x.stall)
	defer timer.Stop()
	var waited time.Duration // for the present window; fn's own time is not the peer's
	answered, again := 0, false
	patience := s.x.stall / askAgain
	for len(todo) > 0 || len(open) > 0 {
		if len(todo) > 0 && len(open) <= window/2 {
			n := min(window-len(open), len(todo))
			for _, c := range todo[:n] {
				open[c] = struct{}{}
			}
			if err := s.send(ctx, s.x.want(t, todo[:n]), cancel); err != nil {
				return err
			}
			todo, cancel = todo[n:], nil
		}
		wait := patience
		if again {
			wait = s.x.stall
		}
		timer.Reset(min(wait, s.x.slow-waited))
		start := time.Now()
		stalled := false
		select {
		case <-t.ready:
		case <-timer.C:
			stalled = true
		case <-t.gone:
			return fmt.Errorf("the peer %s closed the connection with %d blocks missing", s.peer, left())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if waited += time.Since(start); waited >= s.x.slow {
			return fmt.Errorf("%w: %s took over %s for %d blocks, %d are missing", ErrStalled, s.peer, s.x.slow, window, left())
		}
		if stalled {
			if again {
				return fmt.Errorf("%w: %s, %d blocks are missing", ErrStalled, s.peer, left())
			}
			// A message can get lost: bitswap servers do not send again what
			// they failed to send once, nor what they have just sent to a
			// session beside this one and not yet counted as sent. Or that
			// session asked for it and ended.
			again, patience = true, min(2*patience, s.x.stall)
			if err := s.send(ctx, keys(open), nil); err != nil {
				return err
			}
			continue
		}
		for _, a := range t.take() {
			if _, ok := open[a.cid]; !ok {
				continue // a second answer for it
			}
			delete(open, a.cid)
			again = false
			if answered++; answered%window == 0 {
				waited = 0
			}
			if a.block == nil {
				missing, cancel = append(missing, a.cid), append(cancel, a.cid)
				continue
			}
			if len(a.block) > comntr.MaxNode {
				return fmt.Errorf("the peer %s sent %d bytes for %s: at most %d are taken", s.peer, len(a.block), a.cid, comntr.MaxNode)
			}
			if err := comntr.CheckBlock(a.cid, a.block); err != nil {
				return fmt.Errorf("the peer %s: %w", s.peer, err)
			}
			s.x.came(len(a.block))
			if err := fn(a.cid, a.block); err != nil {
				return err
			}
		}
	}
	if len(missing) > 0 {
		_ = s.send(ctx, nil, cancel) // a courtesy: the peer may forget them
		return &MissingError{Peer: s.peer.String(), Missing: missing}
	}
	return nil
}

// send writes one message: what is wanted, and what is not wanted any more.
func (s *Session) send(ctx context.Context, want, cancel []cid.Cid) error {
	m := message.New(false)
	for i, c := range want {
		m.AddEntry(c, int32(len(want)-i), pb.Message_Wantlist_Block, true)
	}
	for _, c := range cancel {
		m.Cancel(c)
	}
	if m.Empty() {
		return nil
	}
	if s.stream == nil {
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		stream, err := s.x.host.NewStream(ctx, s.peer, bsnet.ProtocolBitswap)
		if err != nil {
			return fmt.Errorf("speak bitswap with %s: %w", s.peer, err)
		}
		s.stream = stream
	}
	if err := s.stream.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("ask %s: %w", s.peer, err)
	}
	if err := m.ToNetV1(s.stream); err != nil {
		return fmt.Errorf("ask %s: %w", s.peer, err)
	}
	return nil
}

// close ends the session's stream. What was asked for and may still come is
// dropped when it does.
func (s *Session) close() {
	if s.stream == nil {
		return
	}
	if !s.clean {
		_ = s.stream.Reset()
		return
	}
	_ = s.stream.SetDeadline(time.Now().Add(sendTimeout))
	_ = s.stream.Close()
}

func keys(set map[cid.Cid]struct{}) []cid.Cid {
	out := make([]cid.Cid, 0, len(set))
	for c := range set {
		out = append(out, c)
	}
	return out
}

// exchange is bitswap's asking half: it hands what peers send to the sessions
// that asked that peer for it, and drops everything else. boxo's own client is
// for asking many peers at once; it never says that the one asked has not got
// a block, and it broadcasts what it looks for to everyone connected.
type exchange struct {
	host  host.Host
	stall time.Duration // stallTimeout; tests have less
	slow  time.Duration // windowTimeout

	cameBlocks, cameBytes atomic.Uint64

	mu    sync.Mutex
	wants map[peer.ID]map[cid.Cid][]*transfer
	live  map[*transfer]struct{}
}

// transfer is one call of Session.Blocks.
type transfer struct {
	peer  peer.ID
	ready chan struct{} // has a token when queue is not empty
	gone  chan struct{} // closed when the peer is
	done  chan struct{} // closed when nobody takes answers any more

	mu     sync.Mutex
	queue  []answer
	queued int           // bytes
	space  chan struct{} // closed and replaced when the queue is taken
	left   sync.Once
}

// answer is a block, or nil: the peer does not have it.
type answer struct {
	cid   cid.Cid
	block []byte
}

func newExchange(h host.Host) *exchange {
	return &exchange{host: h, stall: stallTimeout, slow: windowTimeout, wants: make(map[peer.ID]map[cid.Cid][]*transfer), live: make(map[*transfer]struct{})}
}

func (x *exchange) open(p peer.ID) *transfer {
	t := &transfer{
		peer: p, ready: make(chan struct{}, 1), gone: make(chan struct{}),
		done: make(chan struct{}), space: make(chan struct{}),
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.live[t] = struct{}{}
	return t
}

// want notes that t waits for cids, and returns those of them that no other
// transfer has asked the peer for: one answer is for all. Servers count what is
// asked twice and answered once as still wanted, and take no more from who seems
// to want a thousand.
func (x *exchange) want(t *transfer, cids []cid.Cid) (ask []cid.Cid) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.wants[t.peer]
	if m == nil {
		m = make(map[cid.Cid][]*transfer)
		x.wants[t.peer] = m
	}
	for _, c := range cids {
		if len(m[c]) == 0 {
			ask = append(ask, c)
		}
		m[c] = append(m[c], t)
	}
	return ask
}

func (x *exchange) close(t *transfer, open map[cid.Cid]struct{}) {
	close(t.done)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.live, t)
	m := x.wants[t.peer]
	for c := range open {
		var rest []*transfer
		for _, o := range m[c] {
			if o != t {
				rest = append(rest, o)
			}
		}
		if rest == nil {
			delete(m, c)
		} else {
			m[c] = rest
		}
	}
	if len(m) == 0 {
		delete(x.wants, t.peer)
	}
}

// deliver hands a to those who asked p for it.
func (x *exchange) deliver(p peer.ID, a answer) {
	x.mu.Lock()
	m := x.wants[p]
	to := m[a.cid]
	delete(m, a.cid)
	if len(m) == 0 {
		delete(x.wants, p)
	}
	x.mu.Unlock()
	for _, t := range to {
		t.put(a)
	}
}

// put queues a; it waits while the queue is full, which holds up the peer's
// stream.
func (t *transfer) put(a answer) {
	for {
		t.mu.Lock()
		space := t.space
		if t.queued == 0 || t.queued+len(a.block) <= maxQueued {
			t.queue = append(t.queue, a)
			t.queued += len(a.block)
			t.mu.Unlock()
			select {
			case t.ready <- struct{}{}:
			default:
			}
			return
		}
		t.mu.Unlock()
		select {
		case <-space:
		case <-t.done:
			return
		}
	}
}

// take returns what is queued.
func (t *transfer) take() []answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue
	t.queue, t.queued = nil, 0
	close(t.space)
	t.space = make(chan struct{})
	return q
}

// ReceiveMessage takes a bitswap message: blocks that were asked for, and the
// word that the peer does not have one. Blocks carry no CID on the wire: bitswap
// makes it of their bytes, so that wrong bytes are a block nobody asked for.
func (x *exchange) ReceiveMessage(_ context.Context, p peer.ID, m message.BitSwapMessage) {
	for _, b := range m.Blocks() {
		x.deliver(p, answer{b.Cid(), b.RawData()})
	}
	for _, c := range m.DontHaves() {
		x.deliver(p, answer{cid: c})
	}
}

// ReceiveError is of no use: it does not say whose.
func (x *exchange) ReceiveError(error) {}

// PeerConnected is of no use: sessions connect.
func (x *exchange) PeerConnected(peer.ID) {}

// PeerDisconnected ends the transfers from p.
func (x *exchange) PeerDisconnected(p peer.ID) {
	if x.host.Network().Connectedness(p) == network.Connected {
		return // an old connection, or one that did not answer our server
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for t := range x.live {
		if t.peer == p {
			t.left.Do(func() { close(t.gone) })
		}
	}
}
