// Package replica brings what other servers have here. For each known server
// and community it walks the server's folders (a round), follows its events,
// and hands what is new to the store.
//
// Its invariants: nothing that a peer sends is stored but a comntr.Document
// through the store's one gate; a folder's node is marked merged only when
// every comment below it is stored, invalid, gone or denied; and a peer,
// whatever it sends, costs no more than the bounds in bounds.go.
package replica

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/store"
)

// Store is what replica needs of store.Store.
type Store interface {
	Community() comntr.Hash
	Has(topic, comment comntr.Hash) (held, settled bool)
	TopicSeq(topic comntr.Hash) (seq uint64, ok bool)
	Loosened() uint64
	Damage(fn func(topic, comment comntr.Hash) (more bool))
	Denied(topic comntr.Hash) bool
	// DeniedComment tells whether it denies a comment by its name.
	DeniedComment(topic, comment comntr.Hash) bool
	Add(ctx context.Context, doc *comntr.Document, from string) (created bool, err error)
	AddAll(ctx context.Context, docs []*comntr.Document, from string) []store.Result
	AddTopic(ctx context.Context, topic comntr.Hash, from string) (created bool, err error)
}

// Folders is what replica needs of ipfs.Folders: the own folder id, the nodes
// held, and the marks of what has been merged.
type Folders interface {
	Root(ctx context.Context) (cid.Cid, error)
	Node(c cid.Cid) (*comntr.Node, error)
	PutNodes(blocks map[cid.Cid][]byte) error
	Retain(peer string, root cid.Cid) error
	Merged(scope comntr.Hash, c cid.Cid) bool
	SetMerged(scope comntr.Hash, cids []cid.Cid, loosened uint64) error
}

// Peers is what replica needs of discover.Book: the servers that proved who
// they are, and where to report how they did.
type Peers interface {
	Servers(community comntr.Hash) []discover.Server
	Changed() <-chan struct{} // closed at the next change
	Failed(origin string, err error)
	Worked(origin string)
}

// Session fetches blocks from one peer over bitswap. Blocks that the peer
// does not give are just missing; fn gets verified ones only.
type Session interface {
	Blocks(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error
}

// Community is a store with the folders made from it.
type Community struct {
	Store   Store
	Folders Folders
}

// Config is what New needs. Communities and Peers are required.
type Config struct {
	Communities []Community
	Peers       Peers
	// Bitswap connects to a peer at its multiaddrs, which end in its peer id,
	// and runs fn with the session: ipfs.Node.Fetch. nil: HTTP alone.
	Bitswap func(ctx context.Context, addrs []string, fn func(Session) error) error
	// Guard says which addresses that a stranger named may be dialled. A
	// server that a person named may stand at any.
	Guard comntr.Guard
	// HTTP, if given, is used for every server instead of the guard's client.
	HTTP *http.Client
	// Interval is the time between two rounds with a peer whose events brought
	// everything; 0: DefaultInterval. A second is the least.
	Interval time.Duration
	// Budget is what a peer that nobody named may bring a day.
	Budget Budget
	// StateFile keeps over restarts what each brought; "": nothing does.
	StateFile string
	// Changed, if given, is called after a peer brought something new. It must
	// not block.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Replica keeps this server's communities equal to those of its peers.
type Replica struct {
	cfg         Config
	bounds      bounds
	strangers   *http.Client
	named       *http.Client
	communities []*community
	// Named servers have turns and places of their own: what strangers do must
	// not keep from here what the operator asked for.
	rounds, namedRounds   *turns
	streams, namedStreams chan struct{} // one token for each event stream
	meter                 *meter

	mu    sync.Mutex
	peers map[string]*peer // by key
	links map[linkKey]*link
	// windows are those of strangers, by address, whoever stands there now;
	// crowd is that of all for whom there was no room.
	windows map[string]*window
	crowd   *window
}

type community struct {
	hash    comntr.Hash
	store   Store
	folders Folders
	claims  claims
	wants   wants
}

// settled reports whether a comment need not be fetched.
func (c *community) settled(topic, comment comntr.Hash) bool {
	held, settled := c.store.Has(topic, comment)
	return held || settled
}

type linkKey struct {
	peer      string
	community comntr.Hash
}

// New returns a Replica that does nothing before Run.
func New(cfg Config) *Replica {
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	cfg.Interval = max(cfg.Interval, walkGap)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	cfg.Budget = cfg.Budget.withDefaults()
	r := &Replica{
		cfg:       cfg,
		bounds:    defaultBounds(),
		strangers: cfg.HTTP,
		named:     cfg.HTTP,
		peers:     make(map[string]*peer),
		links:     make(map[linkKey]*link),
		windows:   make(map[string]*window),
		crowd:     &window{limit: cfg.Budget, now: cfg.Now},

		rounds:       newTurns(maxRounds, turnTime),
		namedRounds:  newTurns(maxRounds, 0),
		streams:      make(chan struct{}, maxStreams),
		namedStreams: make(chan struct{}, maxStreams),
		meter:        newMeter(),
	}
	if cfg.HTTP == nil {
		r.strangers = cfg.Guard.HTTPClient()
		r.named = comntr.Guard{AllowPrivate: true}.HTTPClient()
	}
	for _, c := range cfg.Communities {
		r.communities = append(r.communities, &community{hash: c.Store.Community(), store: c.Store, folders: c.Folders, wants: newWants()})
	}
	r.loadBudgets()
	return r
}

// Run follows every server that Peers knows until ctx ends. It returns nil
// when all that it started has stopped.
func (r *Replica) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer r.keepBudgets() // after the last round
	defer wg.Wait()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	saved := time.Now()
	for {
		changed := r.cfg.Peers.Changed()
		for _, c := range r.communities {
			r.match(ctx, &wg, c)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
			if time.Since(saved) >= saveEvery {
				r.keepBudgets()
				saved = time.Now()
			}
		}
	}
}

// match starts a link for each server of the community that has none, and
// ends those of servers that are no longer known.
func (r *Replica) match(ctx context.Context, wg *sync.WaitGroup, c *community) {
	servers := r.cfg.Peers.Servers(c.hash)
	slices.SortStableFunc(servers, func(a, b discover.Server) int {
		// Those that a person named first: they must not lose their place to strangers.
		return cmp.Compare(rank(a), rank(b))
	})
	now := r.cfg.Now()
	wanted := make(map[string]bool)
	for _, s := range servers {
		if len(wanted) == maxPeers {
			break
		}
		if wanted[s.Key] {
			continue // one server at two addresses
		}
		p, err := r.peer(s)
		if err != nil {
			r.cfg.Log.Warn("server left out", "peer", s.Origin, "err", err)
			continue
		}
		wanted[s.Key] = true
		if now.Before(p.leftAlone()) {
			continue
		}
		key := linkKey{s.Key, c.hash}
		r.mu.Lock()
		l := r.links[key]
		if l == nil {
			l = newLink(r, p, c)
			r.links[key] = l
			l.start(ctx, wg, func() {
				r.mu.Lock()
				delete(r.links, key)
				r.mu.Unlock()
			})
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	for key, l := range r.links {
		if key.community == c.hash && !wanted[key.peer] {
			l.cancel()
		}
	}
	r.mu.Unlock()
}

func rank(s discover.Server) int {
	if s.Named {
		return 0
	}
	return 1
}

// peer returns what is remembered of a server, with its present addresses.
func (r *Replica) peer(s discover.Server) (*peer, error) {
	hc := r.strangers
	if s.Named {
		hc = r.named
	}
	client, err := comntr.NewClient(s.Origin, hc)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[s.Key]
	if p == nil {
		r.forgetPeers()
		p = &peer{key: s.Key}
		r.peers[s.Key] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.origin, p.client, p.named = s.Origin, client, s.Named
	p.addrs = nil
	if s.Hello != nil {
		// Only its own node: a hello must not have us bother somebody else's.
		for _, a := range s.Hello.Multiaddrs {
			if strings.HasSuffix(a, "/p2p/"+s.Hello.PeerID) {
				p.addrs = append(p.addrs, a)
			}
		}
	}
	old := p.window
	if p.window = r.window(s); old != nil && !old.unlimited && old != p.window {
		r.unheld(old)
	}
	return p, nil
}

// forgetPeers makes room among the peers remembered; r.mu is held.
func (r *Replica) forgetPeers() {
	if len(r.peers) < maxRemembered {
		return
	}
	linked := make(map[string]bool)
	for key := range r.links {
		linked[key.peer] = true
	}
	now := r.cfg.Now()
	var gone []*window
	for key, p := range r.peers {
		if !linked[key] && !now.Before(p.leftAlone()) {
			delete(r.peers, key)
			gone = append(gone, p.window)
		}
	}
	r.unheld(gone...)
}

// window returns the budget's window for a server: the one of its address, as
// long as its day lasts, whether a server was there all the time or not. Else
// one that goes to and fro between two addresses has a new budget each time.
// r.mu is held.
func (r *Replica) window(s discover.Server) *window {
	if s.Named {
		return &window{unlimited: true, now: r.cfg.Now}
	}
	address := budgetAddress(s.Origin)
	if w := r.windows[address]; w != nil {
		return w
	}
	if len(r.windows) >= maxWindows {
		held := r.held()
		for a, w := range r.windows {
			if !held[w] && w.over() {
				delete(r.windows, a)
			}
		}
		if len(r.windows) >= maxWindows {
			return r.crowd
		}
	}
	w := &window{limit: r.cfg.Budget, now: r.cfg.Now}
	r.windows[address] = w
	return w
}

// held are the windows of the servers remembered; r.mu is held.
func (r *Replica) held() map[*window]bool {
	held := make(map[*window]bool, len(r.peers))
	for _, p := range r.peers {
		held[p.window] = true
	}
	return held
}

// unheld makes those windows small that are no server's now; r.mu is held.
func (r *Replica) unheld(windows ...*window) {
	held := r.held()
	for _, w := range windows {
		if !w.unlimited && !held[w] {
			w.shrink()
		}
	}
}

// Status tells how replication from one peer goes.
type Status struct {
	Peer      string // the server's key
	Origin    string
	Community comntr.Hash
	Rounds    int       // rounds that ended well
	LastRound time.Time // when the last of these ended
	Merged    bool      // at that time all that the peer had was here
	Nodes     int       // folder nodes fetched so far
	Leaves    int       // comments fetched so far, by rounds
	Created   int       // of these and of those that events named: new here
	Events    int       // events received so far
	Err       string    // of the last round; empty if it ended well
}

// Status returns one entry for each peer and community being followed, in
// order of peer.
func (r *Replica) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Status, 0, len(r.links))
	for _, l := range r.links {
		all = append(all, l.report())
	}
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), a.Community.Compare(b.Community))
	})
	return all
}

// jitter spreads d by +-20 %, so that servers started together do not ask one
// another all at the same moment.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
