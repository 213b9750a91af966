package discover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/comntr/comntr"
)

// TrackerPath is where a server's tracker is reached.
const TrackerPath = "/announce"

// Bounds of a Tracker. An idle socket costs about 20 KB (BenchmarkTrackerIdleSocket), one that does
// all it may 250 KB more.
const (
	maxSockets     = 2048 // in all; half of the HTTP server's connections
	maxSocketsAddr = 32   // of one address: an office's readers, or one reader's tabs
	// maxSwarms is infohashes with a peer, about 1 KB each. Whoever wants to
	// use them up needs maxSwarms/maxSocketSwarms sockets.
	maxSwarms       = 10_000
	maxSocketSwarms = 32 // of one socket; a page is in one for each community and thread
	// maxPeers of one swarm leave half of the sockets to the other swarms.
	maxPeers = 1024
	// maxAnswers and maxAnswersAddr are offers that a peer of this process
	// looks at at once, in all and of one address.
	maxAnswers     = 32
	maxAnswersAddr = 4
	// maxQueuedAll is bytes that wait to be sent, in all.
	maxQueuedAll = 64 << 20
)

// Times of a Tracker.
const (
	// announceInterval is what clients are told: as npm's tracker does.
	announceInterval = 2 * time.Minute
	// offerLife is how long an offer may be answered: WebTorrent's clients
	// drop theirs after 50 s.
	offerLife = 2 * time.Minute
	// answerLife is how long a peer of this process may think about an answer.
	answerLife = 20 * time.Second
	// busyRetry is how long a client is told to wait for a place.
	busyRetry = time.Minute
)

var (
	// ErrTrackerClosed: the Tracker was closed.
	ErrTrackerClosed = errors.New("the tracker is closed")
	// ErrPeerIDTaken: the swarm has a peer of that id.
	ErrPeerIDTaken = errors.New("another peer of the swarm has this peer id: choose another at random")
)

// TrackerConfig says how to be a tracker.
type TrackerConfig struct {
	// NoLimits lifts the bounds that count by address, for servers that see
	// all clients at one, as behind a proxy.
	NoLimits bool
	Log      *slog.Logger // nil: nowhere
}

// Tracker is a WebTorrent tracker: over a WebSocket it tells peers of a swarm
// how many there are and passes their WebRTC offers and answers on. It is an
// http.Handler of the WebSocket's opening, and safe for concurrent use.
//
// It passes on an answer only to who made that offer to that very peer, so
// that nobody can send anything to a peer that did not ask for it, and an
// offer goes to seeds first.
type Tracker struct {
	cfg    TrackerConfig
	log    *slog.Logger
	places *room        // sockets
	queued atomic.Int64 // bytes that wait to be sent

	// ctx ends the answers being made; busy joins every goroutine.
	ctx    context.Context
	cancel context.CancelFunc
	busy   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	sockets map[*webSocket]struct{}
	swarms  map[comntr.Hash]*swarm
}

// NewTracker returns a Tracker that has no peers.
func NewTracker(cfg TrackerConfig) *Tracker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tracker{
		cfg:     cfg,
		log:     cfg.Log,
		places:  newRoom(maxSockets, perAddr(cfg.NoLimits, maxSocketsAddr)),
		sockets: map[*webSocket]struct{}{},
		swarms:  map[comntr.Hash]*swarm{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

func perAddr(noLimits bool, limit int) int {
	if noLimits {
		return 0
	}
	return limit
}

// Close tells all clients that the server goes away, ends their sockets within
// closeTime and waits for everything that the Tracker started.
func (t *Tracker) Close() error {
	t.mu.Lock()
	t.closed = true
	for s := range t.sockets {
		s.drop(websocket.StatusGoingAway, "this server is stopping")
	}
	t.mu.Unlock()
	t.cancel()
	t.busy.Wait()
	return nil
}

// ServeHTTP opens a WebSocket and returns: what the socket says is looked at in
// a goroutine that Close joins. Pages of any origin may open one, as with all
// that this server has.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	ip := remote.Addr().Unmap().WithZone("")
	addr := source(ip)
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		refuse(w, comntr.CodeStopping, "this server is stopping: use another tracker, or this one again later")
		return
	}
	t.busy.Add(1)
	t.mu.Unlock()
	if !t.places.enter(addr) {
		t.busy.Done()
		refuse(w, comntr.CodeBusy, "this tracker has as many sockets as it takes, in all or from your address: close some, or use another tracker")
		return
	}
	leave := func() {
		t.places.leave(addr)
		t.busy.Done()
	}
	s := &webSocket{t: t, ip: ip, addr: addr, control: rate.NewLimiter(controlRate, controlBurst)}
	if err := s.open(w, r); err != nil {
		leave()
		t.log.Debug("a WebSocket could not be opened", "peer", r.RemoteAddr, "err", err)
		return
	}
	t.mu.Lock()
	t.sockets[s] = struct{}{}
	closed := t.closed
	t.mu.Unlock()
	if closed {
		s.drop(websocket.StatusGoingAway, "this server is stopping")
	}
	go func() {
		defer leave()
		s.run()
	}()
}

// refuse answers 503 with a problem document.
func refuse(w http.ResponseWriter, code, detail string) {
	p := comntr.Problem{
		Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable,
		Code: code, Detail: detail, RetryAfter: int(math.Ceil(busyRetry.Seconds())),
	}
	body, _ := json.Marshal(p) // strings and integers always encode
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Type", "application/problem+json")
	h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	w.WriteHeader(p.Status)
	w.Write(body) // an error is the client's going away
}

// Join makes a peer of this process a seed of infohash: offers of others are
// passed to f, as many at once as maxAnswers, those it answers not are dropped.
// leave ends it; a call of f may outlive leave by a moment. f must return when
// its ctx ends, because Close waits for it.
func (t *Tracker) Join(infohash comntr.Hash, id PeerID, f Answerer) (leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrTrackerClosed
	}
	s := t.swarm(infohash)
	if s.ids[id] != nil {
		return nil, ErrPeerIDTaken
	}
	p := &peer{id: id, swarm: s, local: &localPeer{
		answer: f,
		places: newRoom(maxAnswers, perAddr(t.cfg.NoLimits, maxAnswersAddr)),
	}}
	s.add(p, rankLocal)
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.removed(p)
	}), nil
}

// swarm returns the swarm of h, made where there is none. t.mu is held.
func (t *Tracker) swarm(h comntr.Hash) *swarm {
	s := t.swarms[h]
	if s == nil {
		s = &swarm{hash: h, ids: map[PeerID]*peer{}}
		t.swarms[h] = s
	}
	return s
}

// removed takes p out of its swarm. t.mu is held.
func (t *Tracker) removed(p *peer) {
	p.swarm.remove(p)
	if len(p.swarm.ids) == 0 {
		delete(t.swarms, p.swarm.hash)
	}
}

// counts are the peers of h. t.mu is held.
func (t *Tracker) counts(h comntr.Hash) (complete, incomplete int) {
	if s := t.swarms[h]; s != nil {
		return s.complete(), s.incomplete()
	}
	return 0, 0
}

// handle does what a request of s asks for, and answers it.
func (t *Tracker) handle(s *webSocket, r *request) {
	switch {
	case r.action == actionScrape:
		t.scrape(s, r)
	case r.answer != nil:
		t.pass(s, r)
	default:
		t.announce(s, r)
	}
}

func (t *Tracker) scrape(s *webSocket, r *request) {
	files := make(map[binary]scrapeCount, len(r.hashes))
	t.mu.Lock()
	for _, h := range r.hashes {
		var c scrapeCount
		c.Complete, c.Incomplete = t.counts(h)
		files[binary(h)] = c
	}
	t.mu.Unlock()
	s.send(encode(message{Action: actionScrape, Files: files}))
}

// announce puts s into a swarm, or changes what it is there, and passes its
// offers on.
func (t *Tracker) announce(s *webSocket, r *request) {
	h := r.hashes[0]
	hash, from := binary(h), binary(r.peer)
	t.mu.Lock()
	p, err := t.member(s, r)
	if err != nil {
		t.mu.Unlock()
		s.send(failure(actionAnnounce, h, err.Error()))
		return
	}
	var to []*peer
	if p != nil {
		to = p.swarm.choose(len(r.offers), p)
		for i, q := range to {
			s.offered(p, q, r.offers[i].ID)
		}
	}
	complete, incomplete := t.counts(h)
	t.mu.Unlock()
	for i, q := range to {
		if o := r.offers[i]; q.socket != nil {
			q.socket.sendOffer(encode(message{Action: actionAnnounce, InfoHash: &hash, PeerID: &from, OfferID: o.ID, Offer: o.Offer}))
		}
	}
	// Who has this knows that its offers are on their way, and has no answer before it.
	s.send(encode(message{
		Action: actionAnnounce, InfoHash: &hash, Interval: announceInterval.Seconds(),
		Complete: &complete, Incomplete: &incomplete,
	}))
	for i, q := range to {
		if q.local != nil {
			t.ask(p, q, r.offers[i])
		}
	}
}

// member returns what s is in the swarm of r after r, nil where it left. t.mu
// is held.
func (t *Tracker) member(s *webSocket, r *request) (*peer, error) {
	h := r.hashes[0]
	p := s.peers[h]
	switch {
	case p != nil && p.id != r.peer:
		return nil, errors.New("this socket has another peer id in this swarm: keep to it, or stop it first")
	case r.event == eventStopped:
		if p != nil {
			delete(s.peers, h)
			t.removed(p)
		}
		return nil, nil
	case p != nil:
		if r.complete != nil {
			p.swarm.move(p, rankOf(*r.complete))
		}
		return p, nil
	}
	sw := t.swarms[h]
	switch {
	case len(s.peers) >= maxSocketSwarms:
		return nil, fmt.Errorf("a socket is in at most %d swarms: stop some, or open another", maxSocketSwarms)
	case sw == nil && len(t.swarms) >= maxSwarms:
		return nil, errors.New("this tracker has as many swarms as it takes: use another")
	case sw == nil:
		sw = t.swarm(h)
	case sw.ids[r.peer] != nil:
		// Who came first stays, else anyone could push others out. It may be
		// this peer's own socket of before, and dead.
		if old := sw.ids[r.peer].socket; old != nil {
			old.ping()
		}
		return nil, ErrPeerIDTaken
	case sw.complete()+sw.incomplete() >= maxPeers:
		return nil, errors.New("this swarm has as many peers as this tracker takes: use another, or this one later")
	}
	p = &peer{id: r.peer, swarm: sw, socket: s}
	sw.add(p, rankOf(r.complete != nil && *r.complete))
	if s.peers == nil {
		s.peers = map[comntr.Hash]*peer{}
	}
	s.peers[h] = p
	return p, nil
}

func rankOf(complete bool) int {
	if complete {
		return rankSeed
	}
	return rankLeecher
}

// pass passes an answer on, to who made that offer to this peer not long ago.
// Where there is no such offer nothing is said: who made it may have left.
func (t *Tracker) pass(s *webSocket, r *request) {
	h := r.hashes[0]
	t.mu.Lock()
	p := s.peers[h]
	var to *webSocket
	if p != nil && p.id == r.peer {
		if q := p.swarm.ids[r.answer.to]; q != nil && q.socket != nil && q.socket.take(q, p, r.answer.offerID) {
			to = q.socket
		}
	}
	t.mu.Unlock()
	if to != nil {
		to.sendAnswer(h, r.peer, r.answer.offerID, r.answer.sdp)
	}
}

// ask has a peer of this process answer an offer of p.
func (t *Tracker) ask(p, local *peer, o wireOffer) {
	l, s := local.local, p.socket
	if !l.places.enter(s.addr) {
		return
	}
	t.busy.Add(1) // the goroutine of s is counted: busy is not 0
	go func() {
		defer t.busy.Done()
		defer l.places.leave(s.addr)
		ctx, cancel := context.WithTimeout(t.ctx, answerLife)
		defer cancel()
		sdp, ok := l.answer(ctx, Offer{Infohash: p.swarm.hash, PeerID: p.id, SDP: o.Offer.SDP, From: s.ip})
		if !ok {
			return
		}
		t.mu.Lock()
		ok = s.take(p, local, o.ID)
		t.mu.Unlock()
		if ok {
			s.sendAnswer(p.swarm.hash, local.id, o.ID, sdp)
		}
	}()
}

// left takes a socket that ended out of everything.
func (t *Tracker) left(s *webSocket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, s)
	for _, p := range s.peers {
		t.removed(p)
	}
	s.peers, s.offers = nil, nil
}

// room bounds what is under way at once, in all and for each address.
type room struct {
	max, each int // each 0: no bound for one address

	mu    sync.Mutex
	total int
	addrs map[netip.Prefix]int
}

func newRoom(max, each int) *room {
	return &room{max: max, each: each, addrs: map[netip.Prefix]int{}}
}

// free reports whether there is a place, which may be gone in a moment.
func (r *room) free(addr netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(addr)
}

func (r *room) has(addr netip.Prefix) bool {
	return r.total < r.max && (r.each == 0 || r.addrs[addr] < r.each)
}

// enter takes a place where there is one; then leave must follow.
func (r *room) enter(addr netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.has(addr) {
		return false
	}
	r.total++
	r.addrs[addr]++
	return true
}

func (r *room) leave(addr netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.addrs[addr]--; r.addrs[addr] == 0 {
		delete(r.addrs, addr)
	}
}
