package discover

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of a Book: what strangers can make it hold and do.
const (
	maxKnown        = 4096 // addresses remembered, good or bad
	maxUnproven     = 4    // origins of one address that never were good servers
	maxServers      = 64   // strangers' working servers
	maxNewcomers    = maxServers / 2
	newcomerFor     = 24 * time.Hour // known good for less than this; the other half of the places is for longer ones
	maxNeighbours   = 2              // working servers of one neighbourhood (/16, /32)
	maxTries        = 8              // hellos asked for at once
	tryTimeout      = 10 * time.Second
	strangerBurst   = 64 // first tries of strangers at once, then
	strangersMinute = 32 // this many a minute; tries of servers once good are not counted
	privateFactor   = 10 // both, with AllowPrivate
	wantServers     = 8  // while fewer are known, lookups go on at the short interval
)

// Times of a Book.
const (
	defaultInterval = time.Minute      // between lookups while few servers are known
	firstInterval   = 2 * time.Second  // the same while none is, doubling up to Interval: a net that is just starting
	slowInterval    = 15 * time.Minute // between lookups once enough are known
	renewEvery      = time.Hour        // between hellos of a working server; they hold for a day
	minRenew        = time.Minute      // for a hello that expires sooner than that takes
	leaveSelf       = 24 * time.Hour   // an address that was our own, or another of a working server's
	leaveFull       = 15 * time.Minute // a good server for which there was no place
)

// Back-offs of addresses that failed: from, doubling, up to.
const (
	// A stranger's address that never proved itself: there are very many, and
	// most are somebody's lie.
	strangerRetry, maxStrangerRetry = time.Hour, 24 * time.Hour
	// One that has worked, for it may just be restarting.
	provenRetry, maxProvenRetry = time.Minute, 24 * time.Hour
	// All others with AllowPrivate: LANs and tests restart quickly.
	privateRetry, maxPrivateRetry = 2 * time.Second, time.Minute
	// One that a person named, and may be waiting for.
	namedRetry, maxNamedRetry = time.Second, time.Minute
)

// errNotOurs: a good hello of a server for other communities.
var errNotOurs = errors.New("it serves none of our communities")

// Server is a server that proved by its hello that it holds Key and lives at
// Origin.
type Server struct {
	Origin  string        // http://HOST:PORT, where the hello came from
	Key     string        // Ed25519, 64 hex
	Hello   *comntr.Hello // its last hello; not to be changed
	Latency time.Duration // of that hello
	Named   bool          // a person named it (--peer)
	Since   time.Time     // when it was first found good
}

// Lookuper finds addresses under an infohash: *DHT.
type Lookuper interface {
	Lookup(ctx context.Context, infohash comntr.Hash, fn func(netip.AddrPort)) error
}

// BookConfig says whom a Book looks for.
type BookConfig struct {
	Communities []comntr.Hash
	// SelfKey is our own server's key; what has it is no other server.
	SelfKey string
	// Guard judges addresses that strangers named. With AllowPrivate the
	// bounds for neighbours spare private addresses, and failures are
	// forgiven sooner.
	Guard comntr.Guard
	// Named are origins that a person named. They may be private, may go by
	// another origin, are never dropped, and take no place of the others.
	Named []string
	// File keeps the servers found good between runs; "" for none.
	File string
	// Interval is the time between lookups while fewer than 8 servers are
	// known; 0: a minute.
	Interval time.Duration
	Log      *slog.Logger // nil: nowhere
	// Hello asks the server at origin for its hello. nil: over HTTP, guarded.
	Hello func(ctx context.Context, origin string, named bool) (*comntr.Hello, error)
}

// Book knows servers: it takes candidates from DHT lookups, others' hellos, a
// person and its file, asks each for its hello, once and then after a back-off,
// and keeps those that answer with a good one. Safe for concurrent use.
type Book struct {
	cfg   BookConfig
	log   *slog.Logger
	close func()        // of idle connections
	wake  chan struct{} // something may be due

	mu      sync.Mutex
	known   map[string]*entry // by origin
	changed chan struct{}
	tokens  float64 // first tries of strangers that may be made now
	filled  time.Time
	asking  int
	dirty   bool   // the file is not what is known
	proved  uint64 // hellos, for the counters
	failed  uint64
}

// entry is an address and what is known of it.
type entry struct {
	origin  string
	addr    netip.Addr // invalid for a name, which only a person can give
	named   bool
	key     string    // of its last good hello
	since   time.Time // first good hello; zero: never
	seen    time.Time // last good hello
	working bool      // server stands
	server  Server
	asking  bool
	proven  bool      // Worked was called for it
	fails   int       // since Worked was called
	next    time.Time // when to ask for its hello, the first time or again
}

// NewBook returns a Book that holds what its file and a person named. It asks
// nobody before Run.
func NewBook(cfg BookConfig) *Book {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Interval <= 0 {
		cfg.Interval = defaultInterval
	}
	b := &Book{
		cfg: cfg, log: cfg.Log, close: func() {},
		wake:    make(chan struct{}, 1),
		known:   map[string]*entry{},
		changed: make(chan struct{}),
		tokens:  strangerBurst * factor(cfg.Guard),
		filled:  time.Now(),
	}
	if cfg.Hello == nil {
		b.cfg.Hello, b.close = askHTTP(cfg.Guard)
	}
	for _, origin := range cfg.Named {
		o, err := comntr.CanonicalOrigin(origin)
		if err != nil {
			b.log.Error("a server that was named has no usable address", "peer", origin, "err", err)
			continue
		}
		addr, _ := originAddr(o)
		b.known[o] = &entry{origin: o, addr: addr, named: true}
	}
	for _, k := range readKnown(cfg.File, b.log) {
		if e := b.add(k.Origin); e != nil {
			e.key, e.since, e.seen, e.proven = k.Key, k.Since, k.Seen, true
		}
	}
	return b
}

// askHTTP returns how hellos are asked for, and what closes the connections.
func askHTTP(guard comntr.Guard) (func(context.Context, string, bool) (*comntr.Hello, error), func()) {
	strangers, named := guard.HTTPClient(), comntr.Guard{AllowPrivate: true}.HTTPClient()
	ask := func(ctx context.Context, origin string, byPerson bool) (*comntr.Hello, error) {
		hc := strangers
		if byPerson {
			hc = named
		}
		c, err := comntr.NewClient(origin, hc)
		if err != nil {
			return nil, err
		}
		if byPerson {
			return c.HelloAny(ctx)
		}
		return c.Hello(ctx)
	}
	return ask, func() {
		strangers.CloseIdleConnections()
		named.CloseIdleConnections()
	}
}

// originAddr returns the IP address that a canonical origin names.
func originAddr(origin string) (netip.Addr, bool) {
	u, err := url.Parse(origin)
	if err != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return a, err == nil
}

func factor(g comntr.Guard) float64 {
	if g.AllowPrivate {
		return privateFactor
	}
	return 1
}

// Candidate notes an origin that somebody named, to be tried once when its turn
// comes. Only http://IP:PORT is taken of strangers: a name could lead anywhere,
// today here and tomorrow there, and evades every bound that counts addresses.
func (b *Book) Candidate(origin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.add(origin) != nil {
		signal(b.wake)
	}
}

// add makes an entry for origin, or returns nil where there is one or may be
// none.
func (b *Book) add(origin string) *entry {
	o, err := comntr.CanonicalOrigin(origin)
	if err != nil || b.known[o] != nil {
		return nil
	}
	addr, ok := originAddr(o)
	if u, err := url.Parse(o); !ok || err != nil || u.Scheme != "http" || !b.cfg.Guard.Allow(addr) {
		return nil
	}
	if b.untried(addr) >= maxUnproven {
		return nil
	}
	if len(b.known) >= maxKnown {
		// Make room by chance. To refuse instead would let 4,096 inventions
		// keep out everybody else for a day; tries are bounded by time anyway.
		for o, e := range b.known {
			if !e.named && !e.asking && e.since.IsZero() {
				delete(b.known, o)
				break
			}
		}
		if len(b.known) >= maxKnown {
			return nil
		}
	}
	e := &entry{origin: o, addr: addr}
	b.known[o] = e
	return e
}

// untried is how many origins at addr (IPv6: its /64) are known that never gave
// a good hello. Without a bound on them whoever answers DHT queries could have
// every server knock at thousands of ports of one victim.
func (b *Book) untried(addr netip.Addr) int {
	if b.cfg.Guard.AllowPrivate && !(comntr.Guard{}).Allow(addr) {
		return 0 // one machine may stand for a whole net of tests
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	at, _ := addr.Prefix(bits)
	n := 0
	for _, e := range b.known {
		if !e.named && e.since.IsZero() && at.Contains(e.addr) {
			n++
		}
	}
	return n
}

// Servers returns the working servers of a community, the quickest first.
func (b *Book) Servers(community comntr.Hash) []Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Server
	for _, e := range b.known {
		if e.working && slices.Contains(e.server.Hello.Communities, community) {
			list = append(list, e.server)
		}
	}
	slices.SortFunc(list, func(x, y Server) int {
		return cmp.Or(cmp.Compare(x.Latency, y.Latency), cmp.Compare(x.Origin, y.Origin))
	})
	return list
}

// Changed returns a channel that is closed when the working servers, or the
// hello of one, are next others than now.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *Book) change() {
	close(b.changed)
	b.changed = make(chan struct{})
	b.dirty = true
}

// Failed says that the server at origin did not do what it should: it is left
// alone, for longer each time until it has Worked, and kept as known.
func (b *Book) Failed(origin string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[origin]; e != nil && e.working {
		b.fail(e, err)
		signal(b.wake)
	}
}

// Worked says that the server at origin did what it should.
func (b *Book) Worked(origin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[origin]; e != nil {
		e.fails, e.proven = 0, true
	}
}

// fail stops using e for a while.
func (b *Book) fail(e *entry, err error) {
	was := e.working
	e.working = false
	e.fails++
	wait := b.backOff(e)
	e.next = time.Now().Add(wait)
	switch {
	case was:
		b.log.Info("a server is left alone for a while", "peer", e.origin, "again", wait, "err", err)
	case e.named && e.fails == 1:
		b.log.Warn("a server that was named does not answer; trying on", "peer", e.origin, "err", err)
	default:
		b.log.Debug("no server there", "peer", e.origin, "again", wait, "err", err)
	}
	if was {
		for _, other := range b.known { // its other addresses may do
			if other != e && other.key == e.key && !other.working {
				other.next = time.Now()
			}
		}
		b.change()
	}
}

// backOff is how long e is left alone after its fails-th failure.
func (b *Book) backOff(e *entry) time.Duration {
	first, most := strangerRetry, maxStrangerRetry
	switch {
	case e.named:
		first, most = namedRetry, maxNamedRetry
	case b.cfg.Guard.AllowPrivate:
		first, most = privateRetry, maxPrivateRetry
	case e.proven:
		first, most = provenRetry, maxProvenRetry
	}
	return jitter(min(first<<min(e.fails-1, 12), most))
}

// Run looks for servers and asks them until ctx ends; then it saves the file
// and returns nil.
func (b *Book) Run(ctx context.Context, dht Lookuper) error {
	defer b.close()
	var wg sync.WaitGroup
	for _, c := range b.cfg.Communities {
		wg.Go(func() { b.lookUp(ctx, dht, c) })
	}
	b.askDue(ctx, &wg)
	wg.Wait()
	b.save()
	return nil
}

// lookUp looks one community up, at intervals that depend on how many of its
// servers are known.
func (b *Book) lookUp(ctx context.Context, dht Lookuper, community comntr.Hash) {
	first := min(firstInterval, b.cfg.Interval)
	for {
		began := time.Now()
		err := dht.Lookup(ctx, community, func(ap netip.AddrPort) { b.Candidate("http://" + ap.String()) })
		if err != nil && ctx.Err() == nil {
			b.log.Debug("the lookup found nobody", "community", community, "err", err)
		}
		spread := rand.Float64()/5 + 0.9
		ramp := first
		first = min(2*first, b.cfg.Interval)
		for again := false; !again; {
			changed := b.Changed()
			wait := b.cfg.Interval
			switch n := len(b.Servers(community)); {
			case n == 0:
				wait = ramp
			case n >= wantServers:
				wait = max(wait, slowInterval)
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-time.After(time.Until(began.Add(time.Duration(float64(wait) * spread)))):
				again = true
			}
		}
	}
}

// askDue asks for hellos as they become due.
func (b *Book) askDue(ctx context.Context, wg *sync.WaitGroup) {
	saved := time.Now()
	for ctx.Err() == nil {
		b.mu.Lock()
		now := time.Now()
		b.fill(now)
		for b.asking < maxTries {
			e := b.due(now)
			if e == nil {
				break
			}
			e.asking = true
			b.asking++
			wg.Go(func() { b.try(ctx, e) })
		}
		wait := b.untilDue(now)
		dirty := b.dirty
		b.mu.Unlock()
		if dirty && now.Sub(saved) >= saveKnownEvery {
			saved = now
			b.save()
		}
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-time.After(wait):
		}
	}
}

// fill gives the tries of strangers that have come free.
func (b *Book) fill(now time.Time) {
	f := factor(b.cfg.Guard)
	b.tokens = min(b.tokens+now.Sub(b.filled).Minutes()*strangersMinute*f, strangerBurst*f)
	b.filled = now
}

// due takes an entry to ask now: those a person named, then working ones, then
// the longest known good, then strangers by chance.
func (b *Book) due(now time.Time) *entry {
	var best *entry
	rank, strangers := 0, 0
	p := b.places(now)
	for _, e := range b.known {
		if e.asking || now.Before(e.next) {
			continue
		}
		r := 0
		switch {
		case e.named:
			r = 4
		case e.working:
			r = 3
		case !b.room(p, e, now):
			continue
		case !e.since.IsZero():
			r = 2
			if rank == 2 && e.since.Before(best.since) {
				best = e
			}
		case b.tokens >= 1:
			r = 1
			strangers++
			if rank == 1 && rand.IntN(strangers) == 0 {
				best = e
			}
		}
		if r > rank {
			best, rank = e, r
		}
	}
	if rank == 1 {
		b.tokens--
	}
	return best
}

// untilDue is how long nothing will be due; a token may come sooner than an
// entry is.
func (b *Book) untilDue(now time.Time) time.Duration {
	wait := time.Minute
	for _, e := range b.known {
		if e.asking {
			continue
		}
		if d := e.next.Sub(now); d > 0 {
			wait = min(wait, d)
		} else if b.asking < maxTries && b.tokens < 1 {
			wait = min(wait, time.Duration((1-b.tokens)/(strangersMinute*factor(b.cfg.Guard))*float64(time.Minute))+time.Millisecond)
		}
	}
	return wait
}

// places are what strangers' working servers take.
type places struct {
	total, newcomers int
	neighbours       map[netip.Prefix]int
}

func (b *Book) places(now time.Time) places {
	p := places{neighbours: map[netip.Prefix]int{}}
	for _, e := range b.known {
		if e.working && !e.named {
			p.total++
			p.neighbours[neighbourhood(e.addr)]++
			if isNewcomer(e, now) {
				p.newcomers++
			}
		}
	}
	return p
}

// room says whether e, which is not working, may become so: a working one never
// makes way for it.
func (b *Book) room(p places, e *entry, now time.Time) bool {
	switch {
	case e.named:
		return true
	case p.total >= maxServers, isNewcomer(e, now) && p.newcomers >= maxNewcomers:
		return false
	case b.cfg.Guard.AllowPrivate && !public(e.addr):
		return true
	}
	return p.neighbours[neighbourhood(e.addr)] < maxNeighbours
}

func isNewcomer(e *entry, now time.Time) bool {
	return e.since.IsZero() || now.Sub(e.since) < newcomerFor
}

// try asks e for its hello.
func (b *Book) try(ctx context.Context, e *entry) {
	tctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	began := time.Now()
	h, err := b.cfg.Hello(tctx, e.origin, e.named)
	latency := time.Since(began)

	b.mu.Lock()
	defer b.mu.Unlock()
	e.asking = false
	b.asking--
	signal(b.wake)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	switch {
	case err != nil:
		b.failed++
		b.fail(e, err)
		return
	case h.Key == b.cfg.SelfKey:
		// Our own address, or somebody who passes our hello on: either way no
		// other server.
		e.key, e.since = h.Key, time.Time{}
		b.idle(e, now.Add(jitter(leaveSelf)))
		return
	case !slices.ContainsFunc(h.Communities, func(c comntr.Hash) bool { return slices.Contains(b.cfg.Communities, c) }):
		b.fail(e, errNotOurs)
		return
	}
	b.proved++
	since := e.since
	if e.key != h.Key { // another server has that address now
		since, e.proven = time.Time{}, false
	}
	e.key, e.seen = h.Key, now
	for _, o := range b.known {
		if o == e || o.key != h.Key {
			continue
		}
		if o.working && (o.named || !e.named) {
			e.since = o.since // one key is one server; this is how else it is reached
			b.idle(e, now.Add(jitter(leaveSelf)))
			return
		}
		if o.working {
			b.idle(o, now.Add(jitter(leaveSelf))) // a person named e
		}
		if !o.since.IsZero() && (since.IsZero() || o.since.Before(since)) {
			since = o.since // it moved: the key proves it
		}
	}
	e.since = since
	if !e.working && !b.room(b.places(now), e, now) {
		e.next = now.Add(jitter(leaveFull))
		return
	}
	if e.since.IsZero() {
		e.since = now
	}
	if !e.working {
		b.log.Info("found a server", "peer", e.origin, "key", h.Key, "latency", latency)
	}
	e.working = true
	e.server = Server{Origin: e.origin, Key: h.Key, Hello: h, Latency: latency, Named: e.named, Since: e.since}
	e.next = now.Add(jitter(max(minRenew, min(renewEvery, h.Expires.Sub(now)/2))))
	b.change()
	named := slices.Clone(h.Servers)
	rand.Shuffle(len(named), func(i, j int) { named[i], named[j] = named[j], named[i] })
	for _, origin := range named[:min(len(named), comntr.MaxHelloServers)] {
		b.add(origin)
	}
}

// idle leaves e alone without blame.
func (b *Book) idle(e *entry, until time.Time) {
	e.next = until
	if e.working {
		e.working = false
		b.change()
	}
}
