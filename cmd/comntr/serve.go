package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/admin"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
	"github.com/comntr/comntr/web"
)

const (
	stopTime      = 3 * time.Second // how long running requests may go on after a stop
	resolveTime   = 5 * time.Second // for the address of a server that the operator named
	collectPeriod = 5 * time.Minute // between collections of replaced directory nodes
	helloLife     = 12 * time.Hour  // of the 24 h that SPEC.md allows: clocks differ
)

type serveCmd struct {
	Community     []string      `help:"Name or hash of a community to serve; repeatable." default:"reddit" sep:"none"`
	Data          string        `help:"Folder of the comments. Default: comntr in the user's data folder." placeholder:"DIR"`
	Listen        string        `help:"Address of the HTTP server (${default})." default:":4080" placeholder:"ADDR"`
	PublicURL     string        `name:"public-url" help:"URL by which others reach the HTTP server, where it is not http://<address>:<port>." placeholder:"URL"`
	DHTListen     string        `name:"dht-listen" help:"UDP address of the BitTorrent DHT node (${default})." default:":4080" placeholder:"ADDR"`
	DHTBootstrap  []string      `name:"dht-bootstrap" help:"Nodes to enter the BitTorrent DHT by, or none. Default: the public routers." placeholder:"HOST:PORT"`
	IPFSListen    []string      `name:"ipfs-listen" help:"Addresses of the IPFS node, or none to do without one. Default: ports 4081 and 4082." placeholder:"MULTIADDR"`
	IPFSBootstrap []string      `name:"ipfs-bootstrap" help:"Nodes to enter the IPFS DHT by, or none. Default: the public ones." placeholder:"MULTIADDR"`
	RTCListen     string        `name:"rtc-listen" help:"UDP and TCP address for browsers' WebRTC, or none (${default})." default:":4083" placeholder:"ADDR"`
	Trackers      []string      `name:"tracker" help:"WebTorrent trackers to be found at by browsers, or none; repeatable. Default: public ones." placeholder:"URL" sep:"none"`
	STUN          []string      `name:"stun" help:"STUN servers that tell where a NAT lets others reach this server, or none. Default: public ones." placeholder:"HOST:PORT"`
	WebTransport  string        `name:"webtransport-listen" help:"UDP address for pages on https, or none (${default})." default:":4084" placeholder:"ADDR"`
	Peer          []string      `help:"A server to know without the DHT; repeatable." placeholder:"URL" sep:"none"`
	CIDVersion    int           `name:"cid-version" help:"CID version of the folders: 0 or 1, as the flag of that name of ipfs add." default:"0" enum:"0,1"`
	AllowPrivate  bool          `help:"Accept peers on private and loopback addresses: LANs and tests." negatable:""`
	MaxSize       size          `help:"Largest comment that is taken from readers (${default})." default:"64KiB" placeholder:"BYTES"`
	MaxDisk       size          `help:"Disk that comments may use. Default: half of what is free at the first start." placeholder:"BYTES"`
	Rate          float64       `help:"Comments a second that one address may post (${default}); 0: no limit, nor on connections." default:"2" placeholder:"POSTS/S"`
	MinWork       int           `help:"Bits of work that every comment from readers must carry (${default}); plain text carries none. Unknown keys need more when comments come fast." default:"0" placeholder:"BITS"`
	PeerBytes     size          `help:"Bytes of comments that a server which no --peer names may bring a day (${default}). The rest comes later." default:"256MiB" placeholder:"BYTES"`
	PeerFiles     int           `help:"Comments that such a server may bring a day (${default})." default:"50000" placeholder:"N"`
	PeerTopics    int           `help:"New topics that such a server may bring a day (${default}), besides those that readers ask for." default:"5000" placeholder:"N"`
	SyncInterval  time.Duration `help:"How often other servers are compared with, besides what they announce at once." default:"1m"`
	Gateway       bool          `help:"Answer /ipfs and /blocks: IPFS blocks over HTTP." default:"true" negatable:""`
	Tracker       bool          `name:"embedded-tracker" help:"Be a WebTorrent tracker at /announce, where browsers find one another and this server." default:"true" negatable:""`
	AdminListen   string        `name:"admin-listen" help:"TCP address for the operator alone: /metrics for Prometheus and /debug/pprof, such as 127.0.0.1:4085 (${default})." default:"none" placeholder:"ADDR"`
	Contact       string        `help:"How to reach the operator: a mail address or URL, shown to readers." placeholder:"TEXT"`
}

// AfterApply rejects what a person can mend, before anything is touched.
func (c *serveCmd) AfterApply() error {
	switch {
	case len(c.Community) == 0:
		return errors.New("--community: name at least one")
	case c.MaxSize < 1 || c.MaxSize > comntr.MaxDocument:
		return fmt.Errorf("--max-size: between 1 byte and %d, the protocol's limit", comntr.MaxDocument)
	case c.MaxDisk < 0 || c.Rate < 0:
		return errors.New("--max-disk and --rate cannot be negative")
	case c.MinWork < 0 || c.MinWork > api.MaxMinWork:
		return fmt.Errorf("--min-work: between 0 and %d bits; more would keep out people, and not floods", api.MaxMinWork)
	case c.PeerBytes < comntr.MaxDocument:
		return fmt.Errorf("--peer-bytes: at least %d, or the largest comments would never come", comntr.MaxDocument)
	case c.PeerFiles < 1 || c.PeerTopics < 1:
		return errors.New("--peer-files and --peer-topics: at least 1")
	case c.SyncInterval < 100*time.Millisecond:
		return errors.New("--sync-interval: at least 100ms")
	case len(c.Contact) > comntr.MaxHelloString || strings.ContainsFunc(c.Contact, unicode.IsControl):
		return fmt.Errorf("--contact: at most %d bytes, without control characters", comntr.MaxHelloString)
	}
	seen := map[comntr.Hash]bool{}
	c.Community = slices.DeleteFunc(c.Community, func(name string) bool {
		id := comntr.HashOrName(name)
		twice := seen[id]
		seen[id] = true
		return twice
	})
	if len(c.Community) > comntr.MaxHelloCommunities {
		return fmt.Errorf("--community: at most %d", comntr.MaxHelloCommunities)
	}
	var err error
	if len(c.joined()) > comntr.MaxHelloTrackers {
		return fmt.Errorf("--tracker: at most %d", comntr.MaxHelloTrackers)
	}
	for _, t := range c.joined() {
		if _, err := discover.NewTrackerClient(discover.TrackerClientConfig{URL: t}); err != nil {
			return fmt.Errorf("--tracker: %w", err)
		}
		if len(t) > comntr.MaxHelloString {
			return fmt.Errorf("--tracker: a URL of more than %d bytes", comntr.MaxHelloString)
		}
	}
	for _, s := range off(c.STUN) {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return fmt.Errorf("--stun: %w; HOST:PORT is wanted", err)
		}
	}
	if c.PublicURL != "" {
		if c.PublicURL, err = comntr.CanonicalOrigin(c.PublicURL); err != nil {
			return fmt.Errorf("--public-url: %w", err)
		}
	}
	for i, p := range c.Peer {
		if c.Peer[i], err = comntr.CanonicalOrigin(p); err != nil {
			return fmt.Errorf("--peer: %w", err)
		}
	}
	return nil
}

// announced is the port to announce: where plain HTTP is reached from outside.
// An http public URL knows it better than the socket behind a forwarded port.
func (c *serveCmd) announced(listening int) int {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" {
		return listening
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return listening
	}
	return port
}

// Run starts the parts in the order in which they need one another, joins
// their goroutines, and stops them in the opposite order.
func (c *serveCmd) Run(e *env) (err error) {
	log := e.log
	slog.SetDefault(log) // some libraries know no other
	paceGC()
	oneMore()
	ipfs.BridgeLogs(log.With("part", "libp2p"))
	data, err := dataFolder(c.Data)
	if err != nil {
		return err
	}
	lock, err := store.Lock(data)
	if err != nil {
		return err
	}
	defer lock.Close()
	key, err := serverKey(data)
	if err != nil {
		return err
	}
	limit, err := maxDisk(data, c.MaxDisk, log)
	if err != nil {
		return err
	}
	guard := comntr.Guard{AllowPrivate: c.AllowPrivate}

	// The sockets first: a port that is taken should be said before a long start.
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w; is another server running? --listen names another address", err)
	}
	defer listener.Close()
	port := c.announced(listener.Addr().(*net.TCPAddr).Port)

	quic, err := c.webTransport()
	if err != nil {
		return err
	}
	if quic != nil {
		defer quic.Close()
	}

	operator, err := c.listenAdmin(log)
	if err != nil {
		return err
	}
	if operator != nil {
		defer operator.Close()
	}

	dht, err := discover.NewDHT(discover.DHTConfig{
		Listen:      c.DHTListen,
		Bootstrap:   off(c.DHTBootstrap),
		NoBootstrap: none(c.DHTBootstrap),
		Guard:       guard,
		NoLimits:    c.Rate == 0,
		StateFile:   filepath.Join(data, ".comntr", "dht-nodes"),
		Log:         log.With("part", "dht"),
	})
	if err != nil {
		return err
	}
	defer dht.Close()
	rtc, err := c.webRTC(dht, guard, log)
	if err != nil {
		return err
	}
	if rtc != nil {
		defer rtc.Close()
	}
	node, err := ipfs.NewNode(ipfs.Config{
		Key:       key,
		Listen:    c.ipfsListen(),
		Bootstrap: off(c.IPFSBootstrap),
		Guard:     guard,
		NoLimits:  c.Rate == 0,
		PublicIPs: dht.PublicAddrs,
		Software:  "comntr/" + version,
		Log:       log.With("part", "ipfs"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()

	denied := newDenyFile(data, log.With("part", "deny"))
	denylist, err := denied.load()
	if err != nil {
		return err
	}

	// The communities' stores and folders.
	disk := store.NewDisk(limit)
	var served []community
	defer func() {
		for _, s := range served {
			err = errors.Join(err, s.folders.Close(), s.store.Close())
		}
	}()
	for _, name := range c.Community {
		s, err := openCommunity(data, comntr.HashOrName(name), comntr.Version(c.CIDVersion), store.Options{Disk: disk, Deny: denylist, Log: log.With("part", "store")}, log)
		if err != nil {
			return fmt.Errorf("open the community %q: %w", name, err)
		}
		// A hash that was given is no name.
		if s.id.String() != name {
			s.name = name
		}
		served = append(served, s)
		node.Add(s.folders)
		dht.Announce(s.id, port)
		stats := s.store.Stats()
		log.Info("serving a community", "community", s.id, "name", name, "topics", stats.Topics, "comments", stats.Comments)
	}

	book := discover.NewBook(discover.BookConfig{
		Communities: ids(served),
		SelfKey:     hex.EncodeToString(key.Public().(ed25519.PublicKey)),
		Guard:       guard,
		Named:       c.Peer,
		File:        filepath.Join(data, ".comntr", "peers"),
		Interval:    c.SyncInterval,
		Log:         log.With("part", "discover"),
	})
	repl := replica.New(c.replicaConfig(data, served, book, node, guard, log))
	certs, err := certificates(data, log.With("part", "webtransport"))
	if err != nil {
		return err
	}
	apiConfig := c.apiConfig(served, key, port, dht, node, book, repl, log)
	if quic != nil {
		hello := apiConfig.Hello
		apiConfig.WebTransportPort = quic.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		apiConfig.Hello = func() comntr.Hello {
			h := hello()
			h.WebTransport = certs.Hello(apiConfig.WebTransportPort)
			return h
		}
	}
	tracker := discover.NewTracker(discover.TrackerConfig{NoLimits: c.Rate == 0, Log: log.With("part", "tracker")})
	defer tracker.Close()
	if c.Tracker {
		apiConfig.Tracker = tracker
	}
	web := api.New(apiConfig)
	trackers, err := c.join(rtc, tracker, ids(served), log)
	if err != nil {
		return err
	}

	srv := web.Server()
	line := fmt.Sprintf("comntr listening http=http://%s dht=%s", reachable(listener.Addr().(*net.TCPAddr).AddrPort()), dht.Addr())
	if quic != nil {
		line += " webtransport=https://" + reachable(quic.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	if operator != nil {
		line += " admin=http://" + reachable(operator.Addr().(*net.TCPAddr).AddrPort())
	}
	fmt.Fprintf(e.stdout, "%s peer-id=%s\n", line, node.PeerID())
	log.Info("ready: look at it in a browser", "url", browse(listener.Addr().(*net.TCPAddr).AddrPort()), "data", data)

	if rtc != nil {
		log.Info("answering browsers over WebRTC", "address", rtc.Addr(), "trackers", c.joined())
	}

	g, ctx := errgroup.WithContext(e.ctx)
	g.Go(func() error { return ended(ctx, dht.Run(ctx)) })
	g.Go(func() error { return ended(ctx, node.Run(ctx)) })
	g.Go(func() error { return ended(ctx, book.Run(ctx, dht)) })
	g.Go(func() error { return ended(ctx, repl.Run(ctx)) })
	g.Go(func() error { return collect(ctx, served, log) })
	g.Go(func() error { return denied.follow(ctx, denylist, served) })
	g.Go(func() error { return publish(ctx, served, node, c.SyncInterval, log) })
	if rtc != nil {
		sign := func(nonce, server, asker [32]byte) (hello, signature []byte, err error) {
			return comntr.SignHelloRTC(key, web.Hello(), nonce, server, asker)
		}
		g.Go(func() error { return ended(ctx, rtc.Run(ctx, web.Handler(), sign)) })
	}
	for _, t := range trackers {
		g.Go(func() error { return ended(ctx, t.Run(ctx)) })
	}
	g.Go(func() error { return trustNamed(ctx, book, node, ids(served), log) })
	if quic != nil {
		g.Go(func() error {
			if err := web.WebTransport(quic, certs).Run(ctx); err != nil {
				return fmt.Errorf("serve WebTransport: %w", err)
			}
			return nil
		})
	}
	if operator != nil {
		shown := admin.New(adminConfig(served, disk, web, node, repl, book, dht, tracker, rtc, log))
		g.Go(func() error { return shown.Serve(ctx, operator) })
	}
	g.Go(func() error {
		if err := srv.Serve(web.Listener(listener)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		log.Info("stopping")
		web.Stop()
		tracker.Close() // its sockets are no longer the HTTP server's
		stop, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if srv.Shutdown(stop) != nil {
			srv.Close() // what still runs was given its time
		}
		return nil
	})
	return g.Wait()
}

// community is one community's store and its folders' ids.
type community struct {
	id      comntr.Hash
	name    string // in clear; empty where a hash was given
	store   *store.Store
	folders *ipfs.Folders
}

func openCommunity(data string, id comntr.Hash, v comntr.Version, o store.Options, log *slog.Logger) (community, error) {
	s, err := store.Open(data, id, o)
	if err != nil {
		return community{}, err
	}
	f, err := ipfs.OpenFolders(filepath.Join(data, id.String(), ".ipfs"), v, s, log.With("part", "ipfs"))
	if err != nil {
		return community{}, errors.Join(err, s.Close())
	}
	return community{id: id, store: s, folders: f}, nil
}

func ids(cs []community) []comntr.Hash {
	var out []comntr.Hash
	for _, c := range cs {
		out = append(out, c.id)
	}
	return out
}

func (c *serveCmd) ipfsListen() []string {
	if c.IPFSListen == nil {
		return ipfs.DefaultListen()
	}
	return off(c.IPFSListen)
}

// webRTC opens the sockets for browsers, nil where the operator wants none.
func (c *serveCmd) webRTC(dht *discover.DHT, guard comntr.Guard, log *slog.Logger) (*discover.RTC, error) {
	if c.RTCListen == "none" {
		return nil, nil
	}
	var hosted []comntr.Hash
	for _, name := range c.Community {
		hosted = append(hosted, comntr.HashOrName(name))
	}
	return discover.NewRTC(discover.RTCConfig{
		Listen:      c.RTCListen,
		Communities: hosted,
		Guard:       guard,
		PublicAddrs: dht.PublicAddrs,
		STUN:        off(c.STUN),
		NoLimits:    c.Rate == 0,
		Log:         log.With("part", "webrtc"),
	})
}

// joined are others' trackers that this server announces itself at.
func (c *serveCmd) joined() []string {
	if c.RTCListen == "none" {
		return nil
	}
	if c.Trackers == nil {
		return discover.PublicTrackers()
	}
	return off(c.Trackers)
}

// join makes this server a seed of its communities at its own tracker, and
// returns the clients of others' that do it there.
func (c *serveCmd) join(rtc *discover.RTC, own *discover.Tracker, communities []comntr.Hash, log *slog.Logger) ([]*discover.TrackerClient, error) {
	if rtc == nil {
		return nil, nil
	}
	for _, id := range communities {
		if _, err := own.Join(id, rtc.PeerID(), rtc.Answerer); err != nil {
			return nil, fmt.Errorf("join the own tracker: %w", err)
		}
	}
	var out []*discover.TrackerClient
	for _, t := range c.joined() {
		client, err := discover.NewTrackerClient(discover.TrackerClientConfig{
			URL: t, Infohashes: communities, PeerID: rtc.PeerID(), Answer: rtc.Answerer,
			Guard: comntr.Guard{AllowPrivate: c.AllowPrivate || c.Trackers != nil}, // those that the operator named
			Log:   log.With("part", "tracker"),
		})
		if err != nil {
			return nil, err
		}
		out = append(out, client)
	}
	return out, nil
}

// webTransport opens the socket for pages on https, nil where the operator
// wants none.
func (c *serveCmd) webTransport() (*net.UDPConn, error) {
	if c.WebTransport == "none" {
		return nil, nil
	}
	addr, err := net.ResolveUDPAddr("udp", c.WebTransport)
	if err == nil {
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp", addr); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("listen for WebTransport: %w; --webtransport-listen names another address, or none", err)
}

func (c *serveCmd) replicaConfig(data string, served []community, book *discover.Book, node *ipfs.Node, guard comntr.Guard, log *slog.Logger) replica.Config {
	cfg := replica.Config{
		Peers:     book,
		Guard:     guard,
		Interval:  c.SyncInterval,
		Budget:    replica.Budget{Bytes: int64(c.PeerBytes), Files: c.PeerFiles, Topics: c.PeerTopics},
		StateFile: filepath.Join(data, ".comntr", "budgets"),
		Changed:   node.Provide,
		Log:       log.With("part", "replica"),
	}
	if len(c.ipfsListen()) > 0 {
		cfg.Bitswap = func(ctx context.Context, addrs []string, fn func(replica.Session) error) error {
			return node.Fetch(ctx, addrs, func(s *ipfs.Session) error { return fn(s) })
		}
	}
	for _, s := range served {
		cfg.Communities = append(cfg.Communities, replica.Community{Store: s.store, Folders: s.folders})
	}
	return cfg
}

func (c *serveCmd) apiConfig(served []community, key ed25519.PrivateKey, port int, dht *discover.DHT, node *ipfs.Node, book *discover.Book, repl *replica.Replica, log *slog.Logger) api.Config {
	cfg := api.Config{
		Key:         key,
		PublicURL:   c.PublicURL,
		Port:        uint16(port),
		PublicAddrs: dht.PublicAddrs,
		MaxSize:     int(c.MaxSize),
		Rate:        c.Rate,
		MinWork:     c.MinWork,
		Gateway:     c.Gateway,
		Page:        web.Page(),
		Wanted:      repl.Want,
		Log:         log.With("part", "api"),
	}
	for _, s := range served {
		cfg.Communities = append(cfg.Communities, api.Community{ID: s.id, Name: s.name, Store: s.store, Folders: s.folders})
	}
	cfg.Hello = func() comntr.Hello {
		origins := c.urls(port, dht.PublicAddrs())
		return comntr.Hello{
			Protocol:    comntr.ProtocolVersion,
			Software:    "comntr/" + version,
			Key:         hex.EncodeToString(key.Public().(ed25519.PublicKey)),
			PeerID:      node.PeerID(),
			Expires:     time.Now().Add(helloLife).UTC().Truncate(time.Second),
			CIDVersion:  c.CIDVersion,
			Communities: ids(served),
			URLs:        origins,
			Multiaddrs:  node.Addrs(),
			Limits:      comntr.Limits{MaxSize: int(c.MaxSize), Rate: c.Rate},
			Contact:     c.Contact,
			Trackers:    c.trackers(origins),
			Servers:     known(book, ids(served)),
		}
	}
	return cfg
}

// urls are the origins by which others may reach the HTTP server.
func (c *serveCmd) urls(port int, public []netip.Addr) []string {
	var out []string
	if c.PublicURL != "" {
		out = append(out, c.PublicURL)
	}
	for _, a := range public {
		out = append(out, "http://"+netip.AddrPortFrom(a, uint16(port)).String())
	}
	return out
}

// trackers are those to name in a hello: the embedded one at these origins, and
// those that this server announces itself at.
func (c *serveCmd) trackers(origins []string) []string {
	var out []string
	for _, o := range origins {
		if c.Tracker { // http becomes ws, https wss
			out = append(out, "ws"+strings.TrimPrefix(o, "http")+discover.TrackerPath)
		}
	}
	out = append(out, c.joined()...)
	out = slices.DeleteFunc(out, func(t string) bool { return len(t) > comntr.MaxHelloString })
	return out[:min(len(out), comntr.MaxHelloTrackers)]
}

// known are other servers to name in a hello: candidates for who reads it. What
// the operator named stays out where a stranger could not have named it: it
// would show the inside of his network, and nobody could use it.
func known(book *discover.Book, communities []comntr.Hash) []string {
	var out []string
	seen := map[string]bool{}
	for _, id := range communities {
		for _, s := range book.Servers(id) {
			if len(out) < comntr.MaxHelloServers && !seen[s.Origin] && (!s.Named || public(s.Origin)) {
				seen[s.Origin] = true
				out = append(out, s.Origin)
			}
		}
	}
	return out
}

// public reports whether an origin is an address of the public internet.
func public(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && comntr.Guard{}.Allow(a)
}

// collect drops replaced directory nodes after their grace hour.
func collect(ctx context.Context, served []community, log *slog.Logger) error {
	t := time.NewTicker(collectPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			for _, s := range served {
				if err := s.folders.Collect(now); err != nil {
					log.Warn("replaced directory nodes could not be collected", "community", s.id, "err", err)
				}
			}
		}
	}
}

// publish computes the root of a community that changed, once an interval, so
// that the IPFS DHT is told of it though nobody has asked.
func publish(ctx context.Context, served []community, node *ipfs.Node, interval time.Duration, log *slog.Logger) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	seen := make([]uint64, len(served))
	for {
		for i, s := range served {
			seq := s.store.Seq()
			if seq == seen[i] {
				continue
			}
			last := seq
			err := s.folders.Prepare(ctx, func() bool {
				was := last
				last = s.store.Seq()
				return last != was
			})
			if err == nil {
				_, err = s.folders.Root(ctx)
			}
			if err != nil && ctx.Err() == nil {
				log.Warn("the folder of topics could not be computed", "community", s.id, "err", err)
				continue
			}
			seen[i] = seq
			node.Provide()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// trustNamed lets the IPFS node dial the servers that the operator named where
// he named them, as soon as they have proved who they are: a private address
// would be refused as a stranger's.
func trustNamed(ctx context.Context, book *discover.Book, node *ipfs.Node, communities []comntr.Hash, log *slog.Logger) error {
	for {
		changed := book.Changed()
		for _, id := range communities {
			for _, s := range book.Servers(id) {
				u, err := url.Parse(s.Origin)
				if !s.Named || err != nil {
					continue
				}
				// Looked up anew each time: the name may mean another address
				// by now. Where it means none, HTTP is left.
				lookup, cancel := context.WithTimeout(ctx, resolveTime)
				addrs, err := net.DefaultResolver.LookupNetIP(lookup, "ip", u.Hostname())
				cancel()
				if err != nil {
					continue
				}
				for _, a := range addrs {
					if err := node.Trust(s.Hello.PeerID, a.Unmap()); err != nil {
						log.Debug("a named server is not reached over IPFS", "peer", s.Origin, "err", err)
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// ended drops the error of a part that was asked to stop.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// none reports whether a list was switched off.
func none(list []string) bool { return list != nil && len(off(list)) == 0 }

// browse is the URL at which a person on this machine sees the server.
func browse(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return "http://localhost:" + strconv.Itoa(int(a.Port()))
	}
	return "http://" + reachable(a)
}

// reachable writes a listen address as one to dial: a wildcard is 127.0.0.1.
func reachable(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port()).String()
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}
