package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anacrolix/dht/v2/krpc"

	"github.com/comntr/comntr"
)

// ErrNobody: no node of the DHT answered. Being offline looks like this.
var ErrNobody = errors.New("no node of the DHT answered")

// ErrClosed: the DHT was closed.
var ErrClosed = errors.New("the DHT node is closed")

// Bounds and times of a DHT.
const (
	maxLookup      = 500              // addresses that one Lookup finds
	lookupTimeout  = 30 * time.Second // of one Lookup
	watchEvery     = 30 * time.Second // between looks at the own interfaces
	saveEvery      = 10 * time.Minute // between writes of the state file
	samePortTries  = 8                // for one port on both families where any will do
	defaultDHTPort = 4080
)

// publicRouters are the bootstrap nodes of the public DHT that BitTorrent
// clients ship with.
func publicRouters() []string {
	return []string{
		"router.bittorrent.com:6881",
		"router.utorrent.com:6881",
		"dht.transmissionbt.com:6881",
		"dht.libtorrent.org:25401",
		"dht.aelitis.com:6881",
		"router.silotis.us:6881",
	}
}

// DHTConfig says how to take part in the DHT.
type DHTConfig struct {
	// Listen is the UDP host:port, for udp4 and udp6 both where the host is
	// empty or a wildcard. "" is ":4080". With port 0 any will do, the same
	// for both families if possible.
	Listen string
	// Bootstrap are HOST:PORT of the first nodes to ask; nil: the public
	// routers. A person named them: they may be private addresses.
	Bootstrap []string
	// NoBootstrap: ask nobody first, wait to be asked. For the first node of a
	// private net.
	NoBootstrap bool
	// Guard judges the nodes and peers that others name. With AllowPrivate
	// node ids are not checked against addresses (BEP 42) either.
	Guard comntr.Guard
	// NoLimits lifts the bounds that count by address.
	NoLimits bool
	// StateFile keeps good nodes between runs; "" for none.
	StateFile string
	// Passive answers nobody and announces nothing: for a short-lived client.
	Passive bool
	Log     *slog.Logger // nil: nowhere

	publicBootstrap bool
}

// DHT is a node on the BitTorrent mainline DHT, one for each address family.
// Lookup works from NewDHT on; Run keeps the node in the DHT and announces.
type DHT struct {
	cfg   DHTConfig
	log   *slog.Logger
	nodes []*node // udp4 first, where there is one
	// interfaces is net.InterfaceAddrs but in tests.
	interfaces func() ([]net.Addr, error)
	watch      time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // of closed and of adding to busy
	closed bool
	busy   sync.WaitGroup // Run and Lookups
}

// NewDHT opens the sockets. A port in use is an error that says which, and what
// to do; a family that this machine lacks is not, unless it lacks both.
func NewDHT(cfg DHTConfig) (*DHT, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.NoBootstrap {
		cfg.Bootstrap = nil
	} else if cfg.Bootstrap == nil {
		cfg.Bootstrap, cfg.publicBootstrap = publicRouters(), true
	}
	for _, b := range cfg.Bootstrap {
		if _, _, err := splitHostPort(b); err != nil {
			return nil, fmt.Errorf("DHT bootstrap: %w", err)
		}
	}
	conns, err := listen(cfg.Listen, cfg.Log)
	if err != nil {
		return nil, err
	}
	d := &DHT{cfg: cfg, log: cfg.Log, interfaces: net.InterfaceAddrs, watch: watchEvery}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	hints := readState(cfg.StateFile, cfg.Log)
	for i, conn := range conns {
		if conn == nil {
			continue
		}
		var mine []netip.AddrPort
		for _, h := range hints {
			if h.Addr().Is6() == (i == 1) {
				mine = append(mine, h)
			}
		}
		n, err := newNode(cfg, conn, i == 1, mine)
		if err != nil {
			conn.Close()
			d.Close()
			return nil, err
		}
		d.nodes = append(d.nodes, n)
	}
	return d, nil
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is not HOST:PORT", s)
	}
	return host, uint16(n), nil
}

// listen opens the udp4 and the udp6 socket; one may be nil.
func listen(addr string, log *slog.Logger) (conns [2]*net.UDPConn, err error) {
	if addr == "" {
		addr = ":" + strconv.Itoa(defaultDHTPort)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return conns, fmt.Errorf("DHT listen address: %w", err)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() && a.Is6() {
		host = "" // [::] is taken by people to mean both
	}
	for range samePortTries {
		var errs [2]error
		p := port
		for i, network := range []string{"udp4", "udp6"} {
			conns[i], errs[i] = listenUDP(network, host, p)
			if i == 0 && errs[0] == nil {
				p = strconv.Itoa(conns[0].LocalAddr().(*net.UDPAddr).Port)
			}
		}
		inUse := errors.Is(errs[0], syscall.EADDRINUSE) || errors.Is(errs[1], syscall.EADDRINUSE)
		switch {
		case inUse:
			for i, c := range conns {
				if c != nil {
					c.Close()
					conns[i] = nil
				}
			}
			err = fmt.Errorf("UDP %s is in use by another program (another comntr server?): stop it or choose another DHT address: %w",
				addr, syscall.EADDRINUSE)
			if port != "0" {
				return conns, err
			}
			continue
		case errs[0] != nil && errs[1] != nil:
			return conns, fmt.Errorf("listen on UDP %s for the DHT: %w", addr, errs[0])
		case errs[1] != nil && !pinned(host):
			log.Info("no IPv6 on this machine: the DHT is joined over IPv4 alone", "err", errs[1])
		case errs[0] != nil && !pinned(host):
			log.Info("no IPv4 on this machine: the DHT is joined over IPv6 alone", "err", errs[0])
		}
		return conns, nil
	}
	// Any port will do, and none was free on both: then two.
	var errs [2]error
	for i, network := range []string{"udp4", "udp6"} {
		conns[i], errs[i] = listenUDP(network, host, port)
	}
	if conns[0] == nil && conns[1] == nil {
		return conns, fmt.Errorf("listen on UDP %s for the DHT: %w", addr, errs[0])
	}
	return conns, nil
}

// pinned says whether host is an address, which has one family.
func pinned(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func listenUDP(network, host, port string) (*net.UDPConn, error) {
	ua, err := net.ResolveUDPAddr(network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, ua)
}

// Addr returns the address of the IPv4 socket, or of the IPv6 one where there
// is no other. A wildcard is given as loopback, so that it can be dialled.
func (d *DHT) Addr() netip.AddrPort {
	a := d.nodes[0].addr()
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// begin counts a call that Close waits for; its context ends with Close.
func (d *DHT) begin(ctx context.Context) (context.Context, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, ErrClosed
	}
	d.busy.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.ctx, cancel)
	return ctx, func() { stop(); cancel(); d.busy.Done() }, nil
}

// Run joins the DHT, keeps the routing table and announces until ctx ends or
// the DHT is closed, and then returns nil. That nobody answers is no error: it
// is logged once and tried on.
func (d *DHT) Run(ctx context.Context) error {
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var wg sync.WaitGroup
	for _, n := range d.nodes {
		wg.Go(func() { n.run(ctx) })
	}
	wg.Go(func() { d.watchInterfaces(ctx) })
	wg.Go(func() { d.keepState(ctx) })
	wg.Wait()
	return nil
}

// Announce makes the DHT name our address with port, the TCP port of HTTP,
// under infohash: as soon as any node is known, then about every 15 minutes, and
// at once when our address changes or when it is called with another port. Port
// 0 ends it. It only notes this; Run does it.
func (d *DHT) Announce(infohash comntr.Hash, port int) {
	if port < 0 || port > 65535 {
		return
	}
	for _, n := range d.nodes {
		n.setTask(infohash, port)
	}
}

// Lookup calls fn, one call at a time, for each distinct address announced
// under infohash: first those announced at ourselves, then those that the
// network names. They are what strangers say, no more; addresses that the
// guard refuses are left out, and at most 500 are given. It ends after at most
// 30 seconds. ErrNobody where no node answered and nothing was found.
func (d *DHT) Lookup(ctx context.Context, infohash comntr.Hash, fn func(netip.AddrPort)) error {
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()

	var mu sync.Mutex
	seen := map[netip.AddrPort]bool{}
	found := func(list []netip.AddrPort) {
		mu.Lock()
		defer mu.Unlock()
		for _, ap := range list {
			if seen[ap] || ctx.Err() != nil {
				continue
			}
			if len(seen) >= maxLookup {
				cancel()
				return
			}
			seen[ap] = true
			fn(ap)
		}
	}
	for _, n := range d.nodes {
		var own []netip.AddrPort
		for _, ap := range n.peers.peers(infohash, time.Now()) {
			if d.cfg.Guard.Allow(ap.Addr()) {
				own = append(own, ap)
			}
		}
		// Others must find a place too, whoever filled our own store.
		found(own[:min(len(own), maxReplyPeers)])
	}
	answered := make([]int, len(d.nodes))
	var wg sync.WaitGroup
	for i, n := range d.nodes {
		wg.Go(func() { answered[i] = n.walk(ctx, "get_peers", krpc.ID(infohash), found).answered })
	}
	wg.Wait()
	if caller.Err() != nil {
		return context.Cause(caller)
	}
	if len(seen) == 0 && slices.Max(answered) == 0 {
		return ErrNobody
	}
	return nil
}

// PublicAddrs returns our addresses as others see them, those that several
// nodes of different networks agreed upon; none until then.
func (d *DHT) PublicAddrs() []netip.Addr {
	var list []netip.Addr
	for _, n := range d.nodes {
		if a := n.publicAddr(); a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

// Close ends Run and Lookups, saves the state file and closes the sockets. It
// takes at most some two seconds.
func (d *DHT) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.busy.Wait()
	if again {
		return nil
	}
	err := d.saveState()
	var wg sync.WaitGroup
	for _, n := range d.nodes {
		wg.Go(n.close)
	}
	wg.Wait()
	return err
}

// watchInterfaces announces anew when the machine's own addresses change: a new
// network, a new address from the provider.
func (d *DHT) watchInterfaces(ctx context.Context) {
	tick := time.NewTicker(d.watch)
	defer tick.Stop()
	last := d.interfaceKey()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.interfaceKey()
		if now == "" || now == last {
			continue
		}
		last = now
		d.log.Info("the addresses of this machine changed: announcing again")
		for _, n := range d.nodes {
			n.addressesChanged()
		}
	}
}

func (d *DHT) interfaceKey() string {
	addrs, err := d.interfaces()
	if err != nil {
		return ""
	}
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
