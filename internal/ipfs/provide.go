package ipfs

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
)

// How the node makes itself and its roots known.
const (
	bootstrapFirst = 2 * time.Second  // after the first failure; doubled up to
	bootstrapMost  = 5 * time.Minute  //
	bootstrapCheck = 30 * time.Second // how often a filled table is looked at
	bootstrapAtOne = 4                // nodes connected to at once

	provideEvery   = 10 * time.Minute // a CID is told of at most this often
	reprovideEvery = 10 * time.Hour   // and again at least this often: records live 48 h, nodes do not
	provideTick    = time.Minute      // how often the roots are looked at without a nudge
	provideRest    = time.Second      // between two rounds at least
	provideTimeout = 2 * time.Minute  // for one CID
	provideAtOnce  = 4                // CIDs
	maxProvided    = 16_384           // CIDs remembered as provided
	// A table smaller than this gives records to nearly everyone there is:
	// they are given again when there may be more.
	smallTable = 20
)

func newDHT(n *Node) (*kaddht.IpfsDHT, error) {
	opts := []kaddht.Option{
		kaddht.ProviderDatastore(newRecords(maxProviderRecords)),
		kaddht.ValueDatastore(newRecords(maxValueRecords)),
	}
	switch {
	case n.cfg.ClientOnly:
		opts = append(opts, kaddht.Mode(kaddht.ModeClient))
	case n.public:
		// A server of the public DHT is only who is reached from outside.
		opts = append(opts, kaddht.Mode(kaddht.ModeAuto))
	case n.cfg.Guard.AllowPrivate:
		opts = append(opts, kaddht.Mode(kaddht.ModeServer))
	default:
		opts = append(opts, kaddht.Mode(kaddht.ModeAutoServer))
	}
	if !n.cfg.Guard.AllowPrivate {
		opts = append(opts,
			kaddht.AddressFilter(n.gate.filter),
			kaddht.QueryFilter(func(_ any, p peer.AddrInfo) bool { return n.reachable(p) }),
			kaddht.RoutingTableFilter(func(_ any, p peer.ID) bool { return n.reachable(n.host.Peerstore().PeerInfo(p)) }),
			kaddht.RoutingTablePeerDiversityFilter(kaddht.NewRTPeerDiversityFilter(n.host, 2, 3)),
		)
	}
	return kaddht.New(n.host, opts...)
}

// reachable reports whether one of p's addresses may be dialled.
func (n *Node) reachable(p peer.AddrInfo) bool {
	for _, a := range p.Addrs {
		if n.gate.allows(p.ID, a) {
			return true
		}
	}
	return false
}

// Run joins the DHT and tells it of the Holders' roots until ctx ends or the
// node is closed, then returns nil.
func (n *Node) Run(ctx context.Context) error {
	if n.host == nil {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	var wg sync.WaitGroup
	wg.Go(func() { n.join(ctx) })
	if !n.cfg.ClientOnly {
		wg.Go(func() { n.provideAll(ctx) })
	}
	wg.Wait()
	return nil
}

// join keeps the routing table filled: it connects to the bootstrap nodes,
// with back-off, whenever the table is empty.
func (n *Node) join(ctx context.Context) {
	if len(n.bootstrap) == 0 {
		return // others come to us
	}
	wait, told, joined := bootstrapFirst, false, false
	for {
		if n.dht.RoutingTable().Size() == 0 {
			joined = false
			if n.connectAny(ctx) {
				n.dht.RefreshRoutingTable()
			} else if ctx.Err() == nil && !told {
				told = true
				n.log.Warn("no node of the IPFS DHT was reached; it is tried again and again, everything else works without", "nodes", len(n.bootstrap))
			}
		}
		pause := wait
		if n.dht.RoutingTable().Size() > 0 {
			if !joined {
				joined, told = true, false
				n.log.Info("joined the IPFS DHT", "nodes", n.dht.RoutingTable().Size())
				n.Provide()
			}
			wait, pause = bootstrapFirst, bootstrapCheck
		} else {
			wait = min(2*wait, bootstrapMost)
		}
		if !rest(ctx, pause+rand.N(pause/4)) {
			return
		}
	}
}

// connectAny connects to the bootstrap nodes, a few at once, and waits until
// one of those that answered is in the table; false if none comes.
func (n *Node) connectAny(ctx context.Context) bool {
	places := make(chan struct{}, bootstrapAtOne)
	var wg sync.WaitGroup
	for _, i := range rand.Perm(len(n.bootstrap)) {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := n.connect(ctx, n.bootstrap[i]); err != nil {
				n.log.Debug("an IPFS bootstrap node was not reached", "peer", n.bootstrap[i].ID.String(), "err", err)
			}
		})
	}
	wg.Wait()
	// They get into the table when they have said what they speak and answered
	// a query.
	return n.awaitTable(ctx, bootstrapFirst)
}

// awaitTable waits until the routing table has a node; false if none comes in
// time. The table has no notice to wait for.
func (n *Node) awaitTable(ctx context.Context, most time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for n.dht.RoutingTable().Size() == 0 {
		if !rest(ctx, 20*time.Millisecond) {
			return false
		}
	}
	return true
}

// rest waits for d; false when ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Provide has Run look at the Holders' roots soon: they may have changed.
func (n *Node) Provide() {
	select {
	case n.nudge <- struct{}{}:
	default:
	}
}

// provided is when a CID was last told of, and to how large a table.
type provided struct {
	at    time.Time
	table int
	ok    bool
}

func (p provided) due(now time.Time) bool {
	if p.ok && p.table >= smallTable {
		return now.Sub(p.at) >= reprovideEvery
	}
	if !p.ok {
		return now.Sub(p.at) >= provideTick
	}
	return now.Sub(p.at) >= provideEvery
}

// provideAll tells the DHT of the roots, what matters most first: every minute
// and when nudged, what is due. What became a root meanwhile goes before what
// waits.
func (n *Node) provideAll(ctx context.Context) {
	p := &provider{n: n, done: make(map[cid.Cid]provided), busy: make(map[cid.Cid]struct{})}
	places := make(chan struct{}, provideAtOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(provideTick)
	defer tick.Stop()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if n.dht.RoutingTable().Size() > 0 {
			if time.Since(p.read) >= provideRest && len(n.nudge) > 0 {
				<-n.nudge
				p.refresh()
			}
			if c, ok := p.next(); ok {
				wg.Go(func() {
					defer func() { <-places }()
					p.provide(ctx, c)
				})
				continue
			}
		}
		<-places
		if !rest(ctx, provideRest) {
			return
		}
		select {
		case <-n.nudge:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p.refresh()
	}
}

// provider is the state of provideAll.
type provider struct {
	n    *Node
	todo []cid.Cid // roots not looked at since read
	read time.Time

	mu   sync.Mutex
	done map[cid.Cid]provided
	busy map[cid.Cid]struct{}
}

// refresh looks at the roots anew and forgets what is none any more.
func (p *provider) refresh() {
	p.todo, p.read = p.n.roots(), time.Now()
	roots := make(map[cid.Cid]struct{}, len(p.todo))
	for _, c := range p.todo {
		roots[c] = struct{}{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, d := range p.done {
		if _, ok := roots[c]; !ok && p.read.Sub(d.at) >= provideEvery {
			delete(p.done, c)
		}
	}
}

// next takes the next root that is due.
func (p *provider) next() (cid.Cid, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.todo) > 0 {
		c := p.todo[0]
		p.todo = p.todo[1:]
		d, known := p.done[c]
		if _, busy := p.busy[c]; busy || known && !d.due(now) || !known && len(p.done) >= maxProvided {
			continue
		}
		p.busy[c] = struct{}{}
		return c, true
	}
	return cid.Undef, false
}

func (p *provider) provide(ctx context.Context, c cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, provideTimeout)
	defer cancel()
	err := p.n.dht.Provide(ctx, c, true)
	if err != nil && !errors.Is(err, context.Canceled) {
		p.n.log.Debug("the IPFS DHT was not told of a folder", "cid", c, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, c)
	p.done[c] = provided{at: time.Now(), table: p.n.dht.RoutingTable().Size(), ok: err == nil}
}

// roots returns the roots of all Holders, the first of each before the second
// of any, each CID once.
func (n *Node) roots() []cid.Cid {
	var lists [][]cid.Cid
	longest := 0
	for _, f := range n.store.list() {
		l := f.Roots()
		lists, longest = append(lists, l), max(longest, len(l))
	}
	seen := make(map[cid.Cid]struct{})
	var out []cid.Cid
	for i := range longest {
		for _, l := range lists {
			if i >= len(l) || !l[i].Defined() {
				continue
			}
			if _, ok := seen[l[i]]; !ok {
				seen[l[i]] = struct{}{}
				out = append(out, l[i])
			}
		}
	}
	return out
}
