package ipfs

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap/network/bsnet"
	bsserver "github.com/ipfs/boxo/bitswap/server"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/comntr/comntr"
)

// Bounds of the node, fit for a server at home.
const (
	connsLow   = 96               // connections above connsHigh are closed down to this many
	connsHigh  = 160              //
	connsGrace = 20 * time.Second // a new connection is not closed for this long

	limitMemory  = 512 << 20 // bytes that libp2p may reserve for connections and streams
	limitFDs     = 512       // file descriptors for libp2p's connections
	peerStreams  = 2048      // streams that one peer may have open: bitswap answers each in a stream
	peerMemory   = 256 << 20 // bytes that one peer may make libp2p reserve
	messageBytes = 128 << 10 // bytes of blocks that bitswap's server packs into one message

	peerBytes      = 1 << 20 // bytes on their way to one peer
	peerWants      = 2048    // wants of one peer that are remembered
	blockWorkers   = 16      // blocks read at once for all peers
	maxCIDBytes    = 64      // a longer CID is none of ours
	connectTimeout = 10 * time.Second
	joinTimeout    = 15 * time.Second // that FetchAny waits for the DHT
	closeTimeout   = 4 * time.Second

	maxDialAddrs = comntr.MaxHelloMultiaddrs // addresses of a peer that are tried
	maxProviders = 20                        // providers of a CID that FetchAny tries
)

// Config is what a Node is made from.
type Config struct {
	Key ed25519.PrivateKey // the server's identity; its public half is the peer id

	// Listen are multiaddrs; port 0 takes any. Empty and not ClientOnly: no
	// libp2p at all; Fetch returns ErrOff.
	Listen []string
	// ClientOnly makes a node that listens nowhere, serves nothing and only
	// asks: for the command line.
	ClientOnly bool

	// Bootstrap are multiaddrs with /p2p/ of nodes of the DHT to begin with.
	// nil: the public IPFS network's. Empty but not nil: none.
	Bootstrap []string
	// Trusted are multiaddrs that a person named: they, like Bootstrap, may be
	// dialled where the guard refuses.
	Trusted []string
	Guard   comntr.Guard
	// NoLimits lifts the limits of connections per address, for networks that
	// come from one.
	NoLimits bool
	// PublicIPs, if any, returns the addresses that the world sees us at; it
	// is called often and must return at once.
	PublicIPs func() []netip.Addr
	// Software is said to peers, as "comntr/1.0".
	Software string
	Log      *slog.Logger
}

// Node is a process's one IPFS node: it serves the Holders' blocks over
// bitswap, tells the DHT of their roots, and fetches from others.
type Node struct {
	cfg   Config
	id    peer.ID
	log   *slog.Logger
	gate  *gater
	store *holders
	nudge chan struct{}

	// All nil where libp2p is off.
	host    host.Host
	dht     *kaddht.IpfsDHT
	net     interface{ Stop() }
	server  *bsserver.Server
	x       *exchange
	ctx     context.Context // ends with Close
	cancel  context.CancelCauseFunc
	closing sync.Once
	closed  error

	bootstrap []peer.AddrInfo
	public    bool // of the public IPFS network
	names     map[peer.ID][]ma.Multiaddr
}

var errClosed = errors.New("the IPFS node was closed")

// NewNode starts a node: when it returns it listens on all of cfg.Listen and
// serves. Run makes it known.
func NewNode(cfg Config) (*Node, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, errors.New("the IPFS node needs an ed25519 key")
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, gate: newGater(cfg.Guard), store: &holders{log: cfg.Log},
		nudge: make(chan struct{}, 1), names: make(map[peer.ID][]ma.Multiaddr),
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	if n.id, err = peer.IDFromPrivateKey(key); err != nil {
		return nil, fmt.Errorf("the IPFS node's key: %w", err)
	}
	listen, err := parseListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	if err := n.readNamed(); err != nil {
		return nil, err
	}
	if len(listen) == 0 && !cfg.ClientOnly {
		return n, nil
	}
	if err := n.start(key, listen); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// readNamed takes in what a person named: bootstrap and trusted addresses.
func (n *Node) readNamed() error {
	if n.cfg.Bootstrap == nil {
		n.public = true
		n.bootstrap = kaddht.GetDefaultBootstrapPeerAddrInfos()
	} else {
		addrs, err := parseAddrs(n.cfg.Bootstrap)
		if err != nil {
			return fmt.Errorf("IPFS bootstrap: %w", err)
		}
		for _, a := range addrs {
			if err := n.trustAddr(a); err != nil {
				return fmt.Errorf("IPFS bootstrap: %w", err)
			}
		}
		if n.bootstrap, err = peer.AddrInfosFromP2pAddrs(addrs...); err != nil {
			return fmt.Errorf("IPFS bootstrap: a multiaddr with /p2p/ at its end is wanted: %w", err)
		}
	}
	addrs, err := parseAddrs(n.cfg.Trusted)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := n.trustAddr(a); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) trustAddr(a ma.Multiaddr) error {
	at, p := peer.SplitAddr(a)
	if ip, ok := addrIP(at); ok {
		n.gate.trust(p, ip)
		return nil
	}
	if !isName(at) || p == "" {
		return fmt.Errorf("the multiaddr %s has neither an IP address nor a name with /p2p/", a)
	}
	n.names[p] = append(n.names[p], a)
	return nil
}

// Trust lets peerID be dialled at ip though the guard refuses it: a person
// named a server there, and it proved to be that peer.
func (n *Node) Trust(peerID string, ip netip.Addr) error {
	p, err := peer.Decode(peerID)
	if err != nil {
		return fmt.Errorf("trust a peer: %w", err)
	}
	n.gate.trust(p, ip)
	return nil
}

func (n *Node) start(key crypto.PrivKey, listen []ma.Multiaddr) error {
	limits, err := newLimits(n.cfg.NoLimits || n.cfg.Guard.AllowPrivate)
	if err != nil {
		return fmt.Errorf("IPFS limits: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return fmt.Errorf("IPFS connections: %w", err)
	}
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return fmt.Errorf("IPFS peers: %w", err)
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent(cmp.Or(n.cfg.Software, "comntr")),
		// Addresses are listened on one by one below: libp2p itself is content
		// when one of them works.
		libp2p.NoListenAddrs,
		libp2p.DefaultTransports,
		libp2p.ConnectionGater(n.gate),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(limits),
		libp2p.Peerstore(peers),
		libp2p.AddrsFactory(n.publish),
		// A server is reached directly or not at all: neither a relay's client
		// nor its service.
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}
	if n.mapsPorts(listen) {
		opts = append(opts, libp2p.NATPortMap())
	}
	if n.host, err = libp2p.New(opts...); err != nil {
		return errors.Join(fmt.Errorf("start libp2p: %w", err), conns.Close(), limits.Close(), peers.Close())
	}
	if err := n.listen(listen); err != nil {
		return err
	}
	if n.dht, err = newDHT(n); err != nil {
		return fmt.Errorf("start the IPFS DHT: %w", err)
	}
	n.x = newExchange(n.host)
	bs := bsnet.NewFromIpfsHost(n.host)
	if n.cfg.ClientOnly {
		bs.Start(n.x)
	} else {
		n.server = bsserver.New(n.ctx, bs, n.store,
			bsserver.MaxOutstandingBytesPerPeer(peerBytes),
			bsserver.MaxQueuedWantlistEntriesPerPeer(peerWants),
			bsserver.EngineBlockstoreWorkerCount(blockWorkers),
			bsserver.WithTargetMessageSize(messageBytes),
			bsserver.MaxCidSize(maxCIDBytes),
		)
		bs.Start(n.server, n.x)
	}
	n.net = bs
	return nil
}

// newLimits bounds what peers can make libp2p hold.
func newLimits(oneAddress bool) (network.ResourceManager, error) {
	scale := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scale)
	bitswap := rcmgr.BaseLimit{
		Streams: peerStreams, StreamsInbound: peerStreams, StreamsOutbound: peerStreams, Memory: peerMemory,
	}
	scale.AddProtocolLimit(bsnet.ProtocolBitswap, rcmgr.BaseLimit{
		Streams: 4 * peerStreams, StreamsInbound: 4 * peerStreams, StreamsOutbound: 4 * peerStreams, Memory: limitMemory,
	}, rcmgr.BaseLimitIncrease{})
	scale.AddProtocolPeerLimit(bsnet.ProtocolBitswap, bitswap, rcmgr.BaseLimitIncrease{})
	scale.SystemBaseLimit.Streams = 4 * peerStreams
	scale.SystemBaseLimit.StreamsInbound = 4 * peerStreams
	scale.SystemBaseLimit.StreamsOutbound = 4 * peerStreams
	scale.PeerBaseLimit.Streams = peerStreams
	scale.PeerBaseLimit.StreamsInbound = peerStreams
	scale.PeerBaseLimit.StreamsOutbound = peerStreams
	scale.PeerBaseLimit.Memory = peerMemory
	opts := []rcmgr.Option{rcmgr.WithMetricsDisabled()}
	if oneAddress {
		opts = append(opts,
			rcmgr.WithLimitPerSubnet(
				[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: math.MaxInt}},
				[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 128, ConnCount: math.MaxInt}}),
			rcmgr.WithConnRateLimiters(&rate.Limiter{}))
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(scale.Scale(limitMemory, limitFDs)), opts...)
}

// mapsPorts reports whether the router is to be asked for ports: only where
// someone outside could come in by them.
func (n *Node) mapsPorts(listen []ma.Multiaddr) bool {
	return !n.cfg.Guard.AllowPrivate && slices.ContainsFunc(listen, func(a ma.Multiaddr) bool {
		return !manet.IsIPLoopback(a)
	})
}

func parseAddrs(in []string) ([]ma.Multiaddr, error) {
	out := make([]ma.Multiaddr, 0, len(in))
	for _, s := range in {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no multiaddr: %w", s, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// Add gives the node a community's folders to serve.
func (n *Node) Add(f Holder) { n.store.add(f) }

// PeerID returns the libp2p peer id of the node's key.
func (n *Node) PeerID() string { return n.id.String() }

// Addrs returns the multiaddrs that the node can be reached at as far as it
// knows, each with /p2p/: public ones first, at most 32. None where libp2p is
// off.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return nil
	}
	addrs := slices.Clone(n.host.Addrs())
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int {
		return cmp.Compare(n.nearness(a), n.nearness(b))
	})
	addrs = addrs[:min(len(addrs), comntr.MaxHelloMultiaddrs)]
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String()+"/p2p/"+n.id.String())
	}
	return out
}

func (n *Node) nearness(a ma.Multiaddr) int {
	ip, ok := addrIP(a)
	switch {
	case ok && (comntr.Guard{}).Allow(ip):
		return 0
	case ok && ip.IsLoopback():
		return 2
	}
	return 1
}

// publish is what libp2p tells others of the addresses it knows for us: with
// the public addresses learnt elsewhere at the ports listened on, and without
// loopback, unless there is no other or this is a network of such.
func (n *Node) publish(addrs []ma.Multiaddr) []ma.Multiaddr {
	if n.cfg.Guard.AllowPrivate {
		return addrs
	}
	out := slices.Clone(addrs)
	if n.cfg.PublicIPs != nil {
		for _, ip := range n.cfg.PublicIPs() {
			for _, a := range addrs {
				if b := withIP(a, ip); b != nil && !slices.ContainsFunc(out, b.Equal) {
					out = append(out, b)
				}
			}
		}
	}
	outside := slices.DeleteFunc(slices.Clone(out), manet.IsIPLoopback)
	if len(outside) == 0 {
		return out
	}
	return outside
}

// withIP returns a with ip in front, where a is an address of that family on
// an interface that ip may be mapped to.
func withIP(a ma.Multiaddr, ip netip.Addr) ma.Multiaddr {
	own, ok := addrIP(a)
	if !ok || own.Is4() != ip.Is4() || own.IsLoopback() || (comntr.Guard{}).Allow(own) {
		return nil
	}
	proto := "ip6"
	if ip.Is4() {
		proto = "ip4"
	}
	first, err := ma.NewComponent(proto, ip.WithZone("").String())
	if err != nil {
		return nil
	}
	out := slices.Clone(a)
	out[0] = *first
	return out
}

// Fetch connects to the peer that addrs name (multiaddrs, all with the same
// /p2p/) and calls fn with a session to it. Addresses that the guard refuses
// are not dialled. QUIC and TCP are tried first. It returns fn's error as it
// is.
func (n *Node) Fetch(ctx context.Context, addrs []string, fn func(*Session) error) error {
	if n.host == nil {
		return ErrOff
	}
	var parsed []ma.Multiaddr
	for _, s := range addrs[:min(len(addrs), maxDialAddrs)] {
		// A transport that we do not know is no reason not to use the others.
		if a, err := ma.NewMultiaddr(s); err == nil {
			parsed = append(parsed, a)
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return fmt.Errorf("fetch over IPFS: %w", err)
	}
	if len(infos) != 1 || len(infos[0].Addrs) == 0 {
		return fmt.Errorf("fetch over IPFS: addresses of one peer are wanted, these are of %d", len(infos))
	}
	return n.fetch(ctx, infos[0], fn)
}

func (n *Node) fetch(ctx context.Context, p peer.AddrInfo, fn func(*Session) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(n.ctx, func() { cancel(errClosed) })
	defer stop()
	if err := n.connect(ctx, p); err != nil {
		return err
	}
	s := &Session{x: n.x, peer: p.ID}
	n.host.ConnManager().Protect(p.ID, connTag)
	defer n.host.ConnManager().Unprotect(p.ID, connTag)
	defer s.close()
	return fn(s)
}

// connTag keeps the connections that a session uses from being closed as one
// too many.
const connTag = "comntr-session"

// FetchAny asks the DHT who provides root and calls fn with a session to one
// after the other until fn returns nil. Run must have been started: it waits a
// while for the DHT to be joined.
func (n *Node) FetchAny(ctx context.Context, root cid.Cid, fn func(*Session) error) error {
	if n.host == nil {
		return ErrOff
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.awaitTable(ctx, joinTimeout)
	var errs []error
	for p := range n.dht.FindProvidersAsync(ctx, root, maxProviders) {
		if p.ID == n.id {
			continue
		}
		err := n.fetchFrom(ctx, p, fn)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(append(errs, context.Cause(ctx))...)
	}
	if len(errs) == 0 {
		return fmt.Errorf("the IPFS DHT knows nobody who provides %s", root)
	}
	return errors.Join(errs...)
}

func (n *Node) fetchFrom(ctx context.Context, p peer.AddrInfo, fn func(*Session) error) error {
	if len(p.Addrs) == 0 {
		found, err := n.dht.FindPeer(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("find the peer %s: %w", p.ID, err)
		}
		p = found
	}
	p.Addrs = p.Addrs[:min(len(p.Addrs), maxDialAddrs)]
	return n.fetch(ctx, p, fn)
}

// connect connects to p within connectTimeout: by QUIC or TCP if it has
// addresses of those, then by any. What it costs is bounded whatever p.Addrs
// say: each is judged by the gater, and names resolve to so many only.
func (n *Node) connect(ctx context.Context, p peer.AddrInfo) error {
	if p.ID == n.id {
		return errors.New("the peer is this node itself")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	n.resolveNamed(ctx, p.ID)
	first, rest := split(p.Addrs)
	if len(first) > 0 && len(rest) > 0 {
		half, cancel := context.WithTimeout(ctx, connectTimeout/2)
		err := n.host.Connect(half, peer.AddrInfo{ID: p.ID, Addrs: first})
		cancel()
		if err == nil {
			return nil
		}
	}
	if err := n.host.Connect(ctx, p); err != nil {
		return fmt.Errorf("connect to the peer %s: %w", p.ID, dialError(err))
	}
	return nil
}

// dialError makes one line of the many that a failed dial has.
func dialError(err error) error {
	var d *swarm.DialError
	if !errors.As(err, &d) {
		return err
	}
	if len(d.DialErrors) == 0 {
		return d.Cause
	}
	return fmt.Errorf("%d addresses failed, %s: %w", len(d.DialErrors), d.DialErrors[0].Address, d.DialErrors[0].Cause)
}

// split parts QUIC and TCP, which bitswap is fastest over, from the rest.
func split(addrs []ma.Multiaddr) (first, rest []ma.Multiaddr) {
	for _, a := range addrs {
		switch last := a[len(a)-1]; last.Protocol().Code {
		case ma.P_QUIC_V1, ma.P_TCP:
			first = append(first, a)
		default:
			rest = append(rest, a)
		}
	}
	return first, rest
}

// resolveNamed resolves the names that a person gave for p, so that the gater
// knows what they lead to now.
func (n *Node) resolveNamed(ctx context.Context, p peer.ID) {
	for _, a := range n.names[p] {
		addrs, err := madns.DefaultResolver.Resolve(ctx, a)
		if err != nil {
			n.log.Debug("a name of an IPFS peer was not resolved", "addr", a.String(), "err", err)
			continue
		}
		for _, r := range addrs {
			if ip, ok := addrIP(r); ok {
				n.gate.trust(p, ip)
			}
		}
	}
}

// Close stops everything within 5 seconds, sessions included.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *Node) close() error {
	n.cancel(errClosed)
	if n.host == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		var errs []error
		if n.dht != nil {
			errs = append(errs, n.dht.Close())
		}
		if n.net != nil {
			n.net.Stop()
		}
		// Before the server: its workers write to connections that only end
		// with the host.
		errs = append(errs, n.host.Close())
		if n.server != nil {
			n.server.Close()
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return fmt.Errorf("the IPFS node did not stop in %s", closeTimeout)
	}
}
