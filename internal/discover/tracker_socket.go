package discover

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/comntr/comntr"
)

// Bounds of one socket.
const (
	// messageRate and messageBurst are requests a second, of which one is
	// counted once more for each messageBytes that it has. A seed of a swarm of
	// a thousand answers 8 a second. Who sends more is read more slowly.
	messageRate  = 20
	messageBurst = 40
	messageBytes = 4 << 10
	// controlRate and controlBurst are pings and pongs a second, each of which
	// costs an answer and is seen by nothing else; then the socket is dropped.
	// Browsers send no pings, libraries one in half a minute.
	controlRate  = 1
	controlBurst = 20
	// maxOutstanding is offers that can still be answered; the oldest make
	// place. They are kept with who made them, so that nobody can use up
	// another's places.
	maxOutstanding = 64
	// maxQueued is bytes that wait for a client to take them; then it is
	// dropped. Offers of others, which it cannot help, are no longer passed to
	// it at a quarter of that.
	maxQueued       = 128 << 10
	maxQueuedOffers = maxQueued / 4
)

// Times of one socket.
const (
	messageTime = 10 * time.Second // for the whole of a message, from its first bytes
	writeTime   = 10 * time.Second // for the client to take one
	// idleTime is for a client that is alive and says nothing: it was told to
	// announce every announceInterval.
	idleTime = 5 * announceInterval
	// pingEvery keeps the proxies on the way from closing the connection,
	// which many do after a minute, and finds clients that are gone.
	pingEvery = 50 * time.Second
	pongTime  = 15 * time.Second
	closeTime = time.Second // for the closing handshake
)

// webSocket is one client's WebSocket.
type webSocket struct {
	t    *Tracker
	ws   *websocket.Conn
	conn net.Conn // below ws
	ip   netip.Addr
	addr netip.Prefix // what limits go by

	// What it is in its swarms and which of its offers can be answered. t.mu
	// guards them.
	peers  map[comntr.Hash]*peer
	offers []outstanding // oldest first

	control *rate.Limiter

	mu      sync.Mutex
	queue   [][]byte
	queued  int
	writing bool // there is a goroutine that empties the queue
	pinging bool
	dropped bool // the closing handshake has begun
	gone    bool // run has ended: no goroutine may be started
	pinger  *time.Timer
	idle    *time.Timer
}

// outstanding is an offer that was passed on and not yet answered.
type outstanding struct {
	id       string
	from, to *peer
	until    time.Time
}

// open takes the request's connection over.
func (s *webSocket) open(w http.ResponseWriter, r *http.Request) error {
	grab := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(grab, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,                          // any origin: nothing here goes by cookies
		CompressionMode:    websocket.CompressionDisabled, // 1.2 MB for each socket that sends
		OnPingReceived:     func(context.Context, []byte) bool { return s.controlled() },
		OnPongReceived:     func(context.Context, []byte) { s.controlled() },
	})
	if err != nil {
		return err
	}
	ws.SetReadLimit(maxMessage)
	s.ws, s.conn = ws, grab.conn
	s.mu.Lock() // the timer's function uses them
	defer s.mu.Unlock()
	s.pinger = time.AfterFunc(pingEvery, s.ping)
	s.idle = time.AfterFunc(idleTime, s.kill)
	return nil
}

// hijacker remembers the connection below a WebSocket: only closing that one
// ends it without delay, whatever the WebSocket is waiting for.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}

// run reads requests until the client goes or is dropped.
func (s *webSocket) run() {
	limit := rate.NewLimiter(messageRate, messageBurst)
	for {
		b, err := s.read()
		if err != nil || s.isDropped() || limit.WaitN(s.t.ctx, 1+len(b)/messageBytes) != nil {
			break
		}
		r, err := parseRequest(b)
		if err != nil {
			s.send(encode(message{Failure: err.Error()}))
			continue
		}
		s.t.handle(s, r)
	}
	s.t.left(s)
	s.mu.Lock()
	s.gone = true
	s.t.queued.Add(-int64(s.queued))
	s.queue, s.queued = nil, 0
	s.pinger.Stop()
	s.idle.Stop()
	dropped := s.dropped
	s.mu.Unlock()
	if !dropped { // else drop closes it
		s.ws.CloseNow()
	}
}

func (s *webSocket) read() ([]byte, error) {
	defer s.idle.Reset(idleTime)
	_, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	s.idle.Reset(messageTime)
	return io.ReadAll(r)
}

func (s *webSocket) isDropped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// controlled counts a ping or pong that came, and reports whether it is worth
// an answer.
func (s *webSocket) controlled() bool {
	if s.control.Allow() {
		return true
	}
	s.kill()
	return false
}

// kill ends the socket at once.
func (s *webSocket) kill() { s.conn.Close() }

// start runs f in a goroutine that Close joins. s.mu is held, and s is not
// gone: so run is counted by busy, which is not 0.
func (s *webSocket) start(f func()) {
	s.t.busy.Add(1)
	go func() {
		defer s.t.busy.Done()
		f()
	}()
}

// drop ends the socket and tells the client why, if it listens.
func (s *webSocket) drop(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped || s.gone {
		return
	}
	s.dropped = true
	s.start(func() {
		t := time.AfterFunc(closeTime, s.kill)
		defer t.Stop()
		s.ws.Close(code, reason)
	})
}

// ping asks the client whether it is there.
func (s *webSocket) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinging || s.gone {
		return
	}
	s.pinging = true
	s.start(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pongTime)
		defer cancel()
		if s.ws.Ping(ctx) != nil {
			s.kill()
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pinging = false
		if !s.gone {
			s.pinger.Reset(pingEvery)
		}
	})
}

// free reports whether the client takes what it is sent.
func (s *webSocket) free() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued < maxQueuedOffers && !s.gone && !s.dropped && s.t.queued.Load() < maxQueuedAll/2
}

// sendOffer sends an offer if the client takes what it is sent.
func (s *webSocket) sendOffer(b []byte) {
	if s.free() {
		s.send(b)
	}
}

func (s *webSocket) sendAnswer(h comntr.Hash, from PeerID, offerID, sdp string) {
	hash, id := binary(h), binary(from)
	s.send(encode(message{Action: actionAnnounce, InfoHash: &hash, PeerID: &id, OfferID: offerID, Answer: &description{"answer", sdp}}))
}

// send queues a message. A client that takes nothing is dropped. It never
// waits.
func (s *webSocket) send(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.dropped {
		return
	}
	if s.queued+len(b) > maxQueued || s.t.queued.Load()+int64(len(b)) > maxQueuedAll {
		s.kill()
		return
	}
	s.queue = append(s.queue, b)
	s.queued += len(b)
	s.t.queued.Add(int64(len(b)))
	if !s.writing {
		s.writing = true
		s.start(s.write)
	}
}

// write empties the queue and ends.
func (s *webSocket) write() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.queue, s.writing = nil, false
			s.mu.Unlock()
			return
		}
		b := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), writeTime)
		err := s.ws.Write(ctx, websocket.MessageText, b)
		cancel()
		s.mu.Lock()
		if !s.gone { // else run has given them back
			s.queued -= len(b)
			s.t.queued.Add(-int64(len(b)))
		}
		s.mu.Unlock()
		if err != nil {
			s.kill()
			return
		}
	}
}

// offered remembers that an offer of from, which is this socket's, goes to to.
// t.mu is held.
func (s *webSocket) offered(from, to *peer, id string) {
	now, old := time.Now(), 0
	for old < len(s.offers) && now.After(s.offers[old].until) {
		old++
	}
	old = max(old, len(s.offers)+1-maxOutstanding)
	s.offers = append(slices.Delete(s.offers, 0, old), outstanding{id, from, to, now.Add(offerLife)})
}

// take reports whether to may answer the offer of from, which is this
// socket's: once. t.mu is held.
func (s *webSocket) take(from, to *peer, id string) bool {
	for i, o := range s.offers {
		if o.id == id && o.from == from && o.to == to {
			s.offers = slices.Delete(s.offers, i, i+1)
			return time.Now().Before(o.until)
		}
	}
	return false
}
