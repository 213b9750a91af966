package discover

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/bep44"
	"github.com/anacrolix/dht/v2/krpc"
	alog "github.com/anacrolix/log"
	"github.com/anacrolix/torrent/iplist"
	"golang.org/x/time/rate"

	"github.com/comntr/comntr"
)

// Bounds and times of one node of the DHT.
const (
	// fewNodes: a table below this is a private net, or one just joined.
	fewNodes = 8
	// pingBackBelow: who asks us is asked back while the table has fewer nodes.
	pingBackBelow = 32
	pingQueue     = 64

	sendsPerSecond   = 250 // replies and table maintenance; 25 for all servers of a process is anacrolix's own
	asksPerSecond    = 250 // our own walks, apart from replies: a flood of queries must not stop them
	asksBurst        = 64
	queriesPerSource = 50 // a second and address; those above are dropped unanswered

	resolveTimeout = 5 * time.Second
	resolvedFor    = 5 * time.Minute // a bootstrap name's addresses are asked for again after this
	unresolvedFor  = 5 * time.Second
	maxResolved    = 16 // addresses of one bootstrap name

	firstJoinRetry = time.Second     // after nobody answered, doubling
	maxJoinRetry   = 5 * time.Minute // up to this
	firstSmallJoin = 250 * time.Millisecond
	maxSmallJoin   = time.Minute // a net of fewer than fewNodes is looked over this often
	rejoinEvery    = 15 * time.Minute
)

// node is our node on one address family: a socket, a routing table, what was
// announced at us. A dht.Server is replaced when the public address changes;
// the rest stays.
type node struct {
	cfg     DHTConfig
	v6      bool
	log     *slog.Logger
	sock    *socket
	peers   *peerStore
	sends   *rate.Limiter // anacrolix's
	limiter *rate.Limiter // our walks'
	flood   flood
	named   atomic.Pointer[map[netip.Addr]bool] // bootstrap addresses that a person named
	hints   []netip.AddrPort                    // good nodes of the last run
	size    atomic.Int64                        // nodes in the table, as of the last look
	lonely  atomic.Bool                         // nobody answered the last walk

	again chan struct{}  // join again now
	wake  chan struct{}  // tasks or the table changed
	pings chan net.Addr  // who asked us
	wg    sync.WaitGroup // table maintainers

	resolving  sync.Mutex
	resolved   []netip.AddrPort
	resolvedAt time.Time

	// mu is taken inside dht.Server's own lock (OnQuery, Lookup of the
	// ranger): no method of a dht.Server may be called while it is held.
	mu         sync.Mutex
	srv        *dht.Server
	nodeID     krpc.ID
	secure     bool
	maintained bool
	closed     bool
	votes      votes
	publicIP   netip.Addr
	rekeyed    netip.Addr // the public address that nodeID was made for
	tasks      map[comntr.Hash]*task
}

func newNode(cfg DHTConfig, conn *net.UDPConn, v6 bool, hints []netip.AddrPort) (*node, error) {
	n := &node{
		cfg: cfg, v6: v6,
		log:     cfg.Log.With("network", "udp"+family(v6)),
		sends:   rate.NewLimiter(sendsPerSecond, sendsPerSecond),
		limiter: rate.NewLimiter(asksPerSecond, asksBurst),
		flood:   flood{seed: maphash.MakeSeed()},
		hints:   hints,
		again:   make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		pings:   make(chan net.Addr, pingQueue),
		tasks:   map[comntr.Hash]*task{},
	}
	n.named.Store(&map[netip.Addr]bool{})
	n.peers = newPeerStore(v6, cfg.NoLimits, n.self)
	n.sock = newSocket(conn)
	if err := n.serve(krpc.RandomNodeID(), false, nil); err != nil {
		n.sock.close()
		return nil, err
	}
	return n, nil
}

// serve starts a dht.Server with id on the socket in place of the one before,
// whose nodes it is given.
func (n *node) serve(id krpc.ID, secure bool, nodes []krpc.NodeInfo) error {
	quiet := alog.NewLogger("dht")
	quiet.SetHandlers(noLog{})
	srv, err := dht.NewServer(&dht.ServerConfig{
		NodeId:           id,
		Conn:             n.sock.view(),
		Passive:          n.cfg.Passive,
		NoSecurity:       !secure,
		IPBlocklist:      ranger{n},
		OnQuery:          n.onQuery,
		QueryResendDelay: func() time.Duration { return queryTimeout },
		PeerStore:        n.peers,
		Store:            noStore{},
		Exp:              time.Hour,
		Logger:           quiet,
		DefaultWant:      n.want(),
		SendLimiter:      n.sends,
	})
	if err != nil {
		return fmt.Errorf("start a DHT node: %w", err)
	}
	for _, ni := range nodes {
		srv.AddNode(ni)
	}
	n.mu.Lock()
	old := n.srv
	n.srv, n.nodeID, n.secure, n.maintained = srv, id, secure, false
	n.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

func (n *node) close() {
	n.mu.Lock()
	n.closed = true
	srv := n.srv
	n.mu.Unlock()
	srv.Close()
	n.wg.Wait()
	n.sock.close()
}

func (n *node) server() *dht.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.srv
}

func (n *node) id() krpc.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodeID
}

func (n *node) isSecure() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.secure
}

// count returns how many nodes the routing table has.
func (n *node) count() int {
	c := n.server().NumNodes()
	n.size.Store(int64(c))
	return c
}

func (n *node) want() []krpc.Want {
	if n.v6 {
		return []krpc.Want{krpc.WantNodes6}
	}
	return []krpc.Want{krpc.WantNodes}
}

func (n *node) addr() netip.AddrPort {
	ap := n.sock.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// mayTalk says whether packets are exchanged with a. What a person named as a
// bootstrap may be private; what others named may not.
func (n *node) mayTalk(a netip.Addr) bool {
	a = a.Unmap()
	return a.Is6() == n.v6 && (n.cfg.Guard.Allow(a) || (*n.named.Load())[a])
}

func (n *node) mayAsk(ap netip.AddrPort) bool { return ap.Port() != 0 && n.mayTalk(ap.Addr()) }

// ranger is the guard as anacrolix's block list: it stops packets both ways.
type ranger struct{ n *node }

func (r ranger) Lookup(ip net.IP) (iplist.Range, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return iplist.Range{First: ip, Last: ip, Description: "not a public address"}, !ok || !r.n.mayTalk(a)
}

func (ranger) NumRanges() int { return 1 }

// noStore keeps no BEP 44 items: they are others' data of any kind, and the
// stock store of them has no bound.
type noStore struct{}

func (noStore) Put(*bep44.Item) error                 { return krpc.ErrorMethodUnknown }
func (noStore) Get(bep44.Target) (*bep44.Item, error) { return nil, bep44.ErrItemNotFound }
func (noStore) Del(bep44.Target) error                { return nil }

// noLog swallows what anacrolix logs: it is about single packets of strangers.
type noLog struct{}

func (noLog) Handle(alog.Record) {}

// flood bounds the queries that one address gets answered, by counters shared
// by chance: a collision costs an answer now and then, memory is fixed.
type flood struct {
	seed   maphash.Seed
	mu     sync.Mutex
	second int64
	counts [4096]uint16
}

func (f *flood) allow(a netip.Addr, now time.Time) bool { return f.allowOf(a, now, queriesPerSource) }

func (f *flood) allowOf(a netip.Addr, now time.Time, max uint16) bool {
	i := maphash.Comparable(f.seed, source(a)) % uint64(len(f.counts))
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Unix(); s != f.second {
		f.second = s
		clear(f.counts[:])
	}
	if f.counts[i] >= max {
		return false
	}
	f.counts[i]++
	return true
}

// onQuery sees every query before it is answered, and says whether it is. The
// dht.Server's lock is held, and the answer is made in the same call.
func (n *node) onQuery(q *krpc.Msg, from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	if !ok || q.A == nil {
		return false
	}
	a := udp.AddrPort().Addr().Unmap()
	if !n.cfg.NoLimits && !n.flood.allow(a, time.Now()) {
		return false
	}
	q.A.Want = n.want() // the other family is the other node's to tell of
	switch q.Q {
	case "put":
		return false
	case "find_node", "get_peers":
		// anacrolix's server looks for the nodes nearest to InfoHash, which
		// find_node does not have, and only in the buckets up to its own. While
		// all known nodes fit an answer, all of them are given, as near to our
		// own id.
		if q.Q == "find_node" {
			q.A.InfoHash = q.A.Target
		}
		n.peers.asking(a, comntr.Hash(q.A.InfoHash))
		if n.size.Load() <= fewNodes {
			q.A.InfoHash = n.id()
		}
	}
	if !q.ReadOnly && q.A.ID != n.id() && n.size.Load() < pingBackBelow {
		select {
		case n.pings <- from:
		default:
		}
	}
	return true
}

// self is our own address as asker reaches it, for answers to get_peers. A
// socket on one address has that; to loopback and private askers it is the
// address that packets to them leave by; to the public the one that replies
// told us of, or that an interface has.
func (n *node) self(asker netip.Addr) (netip.Addr, bool) {
	bound := n.addr().Addr()
	if !bound.IsUnspecified() {
		return bound, n.cfg.Guard.Allow(bound)
	}
	if !asker.IsValid() {
		return netip.Addr{}, false
	}
	if public(asker) {
		n.mu.Lock()
		ip := n.publicIP
		n.mu.Unlock()
		if ip.IsValid() {
			return ip, true
		}
	}
	// Connecting a UDP socket sends nothing: it asks the routing table.
	conn, err := net.DialUDP("udp"+family(n.v6), nil,
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(asker, 9)))
	if err != nil {
		return netip.Addr{}, false
	}
	defer conn.Close()
	a := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
	if public(asker) && !public(a) {
		return netip.Addr{}, false
	}
	return a, n.cfg.Guard.Allow(a)
}

func family(v6 bool) string {
	if v6 {
		return "6"
	}
	return "4"
}

// public says whether a is an address of the public internet.
func public(a netip.Addr) bool { return comntr.Guard{}.Allow(a) }

// toldAddress counts what a replying node said our address is.
func (n *node) toldAddress(by, says netip.Addr) {
	if !public(by) || !public(says) || says.Is6() != n.v6 {
		return
	}
	n.mu.Lock()
	agreed := n.votes.add(by, says)
	moved := agreed.IsValid() && agreed != n.publicIP
	before := n.publicIP
	if moved {
		n.publicIP = agreed
	}
	n.mu.Unlock()
	if moved {
		n.log.Info("the public address was learned from others", "address", agreed, "before", before)
		n.announceNow()
		signal(n.again)
	}
}

func (n *node) publicAddr() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.publicIP
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run joins the DHT and announces until ctx ends.
func (n *node) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { n.join(ctx) })
	wg.Go(func() { n.pingBack(ctx) })
	if !n.cfg.Passive {
		wg.Go(func() { n.announceLoop(ctx) })
	}
	wg.Wait()
}

// join keeps the node in the DHT: at start, when nobody answers (with a
// back-off), while few nodes are known, when addresses change, and now and then.
func (n *node) join(ctx context.Context) {
	retry, small := firstJoinRetry, firstSmallJoin
	quiet, joined := false, false
	for {
		n.rekey()
		answered := n.walk(ctx, "find_node", n.id(), nil).answered
		if ctx.Err() != nil {
			return
		}
		count := n.count()
		var wait time.Duration
		switch {
		case answered == 0 && len(n.cfg.Bootstrap) == 0 && count == 0:
			if !quiet {
				n.log.Info("no bootstrap was given: waiting for other DHT nodes to come")
			}
			quiet = true
			wait = rejoinEvery
		case answered == 0:
			if !quiet {
				n.log.Log(ctx, n.missed(), "nobody was reached on the DHT: trying on, with back-off; serving all the same",
					"tried", n.cfg.Bootstrap, "again", retry)
			}
			quiet, joined = true, false
			wait = jitter(retry)
			retry = min(2*retry, maxJoinRetry)
		default:
			n.maintain()
			signal(n.wake)
			if !joined {
				n.log.Info("joined the DHT", "nodes", count)
			}
			joined, quiet = true, false
			retry = firstJoinRetry
			wait = rejoinEvery
			if count < fewNodes {
				wait = small
				small = min(2*small, maxSmallJoin)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.again:
			retry, small = firstJoinRetry, firstSmallJoin
		case <-time.After(wait):
		}
	}
}

// missed is the level at which nobody being reached is logged. Many machines
// have IPv6 addresses and no way out by them, which is no news to anybody.
func (n *node) missed() slog.Level {
	if n.v6 {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// jitter spreads d by a tenth, so that processes started together part.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// maintain starts anacrolix's upkeep of the routing table: pings of nodes not
// heard of, refreshing of buckets. Not before a node answered: on an empty
// table it leaves a goroutine behind at each try.
func (n *node) maintain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.maintained || n.cfg.Passive {
		return
	}
	n.maintained = true
	n.wg.Go(n.srv.TableMaintainer)
}

// rekey gives the node an id that its public address proves (BEP 42), once that
// address is known, and from then on refuses nodes without such ids: on the
// public DHT they are how an infohash gets surrounded. Until then, and where
// private addresses are allowed (which need no such ids), it is lenient. A
// passive node has no place in others' tables and stays as it is.
func (n *node) rekey() {
	n.mu.Lock()
	ip, done := n.publicIP, n.publicIP == n.rekeyed
	n.mu.Unlock()
	if !ip.IsValid() || done || n.cfg.Guard.AllowPrivate || n.cfg.Passive {
		return
	}
	id := krpc.RandomNodeID()
	dht.SecureNodeId(&id, ip.AsSlice())
	if err := n.serve(id, true, n.server().Nodes()); err != nil {
		n.log.Error("the DHT node could not take a new id", "err", err)
		return
	}
	n.mu.Lock()
	n.rekeyed = ip
	n.mu.Unlock()
}

// reached notes whether anybody answered a walk. When that ends, it is time to
// join again: the table may be full of nodes that are gone.
func (n *node) reached(somebody bool) {
	if was := n.lonely.Swap(!somebody); !was && !somebody {
		signal(n.again)
	}
}

// starts are the nodes a walk begins at: the routing table, and while that is
// nearly empty, or nobody in it answers, the last run's good nodes and the
// bootstrap addresses.
func (n *node) starts(ctx context.Context) []contact {
	var list []contact
	nodes := n.server().Nodes()
	n.size.Store(int64(len(nodes)))
	for _, ni := range nodes {
		if a, ok := netip.AddrFromSlice(ni.Addr.IP); ok {
			list = append(list, contact{addr: netip.AddrPortFrom(a.Unmap(), uint16(ni.Addr.Port)), id: ni.ID, known: true})
		}
	}
	if len(list) >= fewNodes && !n.lonely.Load() {
		return list
	}
	for _, a := range n.bootstrap(ctx) {
		list = append(list, contact{addr: a})
	}
	for _, a := range n.hints {
		list = append(list, contact{addr: a})
	}
	return list
}

// bootstrap resolves the bootstrap names, and remembers the answer for a while.
func (n *node) bootstrap(ctx context.Context) []netip.AddrPort {
	n.resolving.Lock()
	defer n.resolving.Unlock()
	keep := resolvedFor
	if len(n.resolved) == 0 {
		keep = unresolvedFor
	}
	if !n.resolvedAt.IsZero() && time.Since(n.resolvedAt) < keep {
		return n.resolved
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found := make([][]netip.AddrPort, len(n.cfg.Bootstrap))
	var wg sync.WaitGroup
	for i, hostport := range n.cfg.Bootstrap {
		wg.Go(func() {
			host, port, err := splitHostPort(hostport)
			if err != nil {
				return
			}
			addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+family(n.v6), host)
			if err != nil {
				n.log.Debug("a bootstrap node's name could not be resolved", "peer", hostport, "err", err)
				return
			}
			for _, a := range addrs[:min(len(addrs), maxResolved)] {
				found[i] = append(found[i], netip.AddrPortFrom(a.Unmap(), port))
			}
		})
	}
	wg.Wait()
	n.resolved, n.resolvedAt = slices.Concat(found...), time.Now()
	if !n.cfg.publicBootstrap {
		named := map[netip.Addr]bool{}
		for _, ap := range n.resolved {
			named[ap.Addr()] = true
		}
		n.named.Store(&named)
	}
	return n.resolved
}

// pingBack asks those who asked us, while few nodes are known. A node that only
// asked is not told to others until it has answered; without this the nodes of
// a new private net take a minute to hear of one another.
func (n *node) pingBack(ctx context.Context) {
	const forget = 256
	lately := map[string]time.Time{}
	for {
		var from net.Addr
		select {
		case <-ctx.Done():
			return
		case from = <-n.pings:
		}
		if len(lately) >= forget {
			clear(lately)
		}
		key := from.String()
		if time.Since(lately[key]) < time.Minute {
			continue
		}
		lately[key] = time.Now()
		ap := from.(*net.UDPAddr).AddrPort()
		ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		if n.mayAsk(ap) && n.send(ctx, ap, "ping", krpc.MsgArgs{}) != nil && n.count() > 0 {
			n.maintain()
			signal(n.wake)
		}
	}
}

// addressesChanged forgets what was learned of the own address.
func (n *node) addressesChanged() {
	n.mu.Lock()
	n.votes = votes{}
	n.mu.Unlock()
	n.announceNow()
	signal(n.again)
}
