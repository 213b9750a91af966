package discover

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/comntr/comntr"
)

// Bounds and times of a TrackerClient.
const (
	dialTime = 15 * time.Second
	// A tracker's interval counts within these; the default is until it says.
	minInterval    = 30 * time.Second
	maxInterval    = 15 * time.Minute
	untoldInterval = 2 * time.Minute
	// A connection is tried again after firstReconnect, doubling; after one
	// that lasted for steadyTime from the start.
	firstReconnect = 5 * time.Second
	maxReconnect   = 30 * time.Minute
	steadyTime     = 5 * time.Minute
	// offerRate and offerBurst are messages a second of one tracker; who sends
	// more is read more slowly.
	offerRate  = 20
	offerBurst = 40
	// farewellTime is for telling a tracker that we leave.
	farewellTime = time.Second
)

// TrackerClientConfig says where and what to announce.
type TrackerClientConfig struct {
	// URL is the tracker's, ws:// or wss://.
	URL string
	// Infohashes to be a seed of, under PeerID.
	Infohashes []comntr.Hash
	PeerID     PeerID
	// Answer answers the offers that the tracker passes on, maxAnswers at once.
	Answer Answerer
	// Guard judges the address dialled: AllowPrivate where a person named the
	// tracker.
	Guard comntr.Guard
	Log   *slog.Logger // nil: nowhere
}

// TrackerClient announces this server as a seed at somebody else's WebTorrent
// tracker, and answers the offers that come. It makes none: who wants
// something asks.
type TrackerClient struct {
	cfg    TrackerClientConfig
	log    *slog.Logger
	held   map[comntr.Hash]bool
	places *room // answers being made, of all connections
}

// NewTrackerClient returns a client that Run starts.
func NewTrackerClient(cfg TrackerClientConfig) (*TrackerClient, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("the tracker %q: want ws://HOST or wss://HOST, perhaps with a port and a path", cfg.URL)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &TrackerClient{cfg: cfg, log: cfg.Log, held: map[comntr.Hash]bool{}, places: newRoom(maxAnswers, 0)}
	for _, h := range cfg.Infohashes {
		c.held[h] = true
	}
	return c, nil
}

// Run announces until ctx ends, over one connection at a time that is made
// anew when it breaks. It returns ctx's error.
func (c *TrackerClient) Run(ctx context.Context) error {
	web := c.cfg.Guard.HTTPClient()
	defer web.CloseIdleConnections()
	for tries := 0; ; tries++ {
		began := time.Now()
		err := c.session(ctx, web)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) >= steadyTime {
			tries = 0
		}
		wait := nextReconnect(tries)
		c.log.Debug("the connection to a tracker ended", "tracker", c.cfg.URL, "err", err, "again", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// nextReconnect is how long to wait after so many connections that came to
// nothing. The jitter keeps a tracker that restarts from meeting all at once.
func nextReconnect(tries int) time.Duration {
	d := min(firstReconnect<<min(tries, 10), maxReconnect)
	return d/2 + rand.N(d)
}

// session is one connection: it announces, and answers what comes.
func (c *TrackerClient) session(ctx context.Context, web *http.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control := rate.NewLimiter(controlRate, controlBurst)
	controlled := func() bool {
		if control.Allow() {
			return true
		}
		cancel()
		return false
	}
	dial, dialed := context.WithTimeout(ctx, dialTime)
	ws, _, err := websocket.Dial(dial, c.cfg.URL, &websocket.DialOptions{
		HTTPClient:      web,
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  func(context.Context, []byte) bool { return controlled() },
		OnPongReceived:  func(context.Context, []byte) { controlled() },
	})
	dialed()
	if err != nil {
		return err
	}
	ws.SetReadLimit(maxMessage)
	s := &session{c: c, ws: ws, interval: make(chan time.Duration, 1)}
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
	}()
	wg.Go(func() { s.announce(ctx) })
	limit := rate.NewLimiter(offerRate, offerBurst)
	for {
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		_, r, err := ws.Reader(context.Background()) // announce ends it
		if err != nil {
			return err
		}
		stalled := time.AfterFunc(messageTime, func() { ws.CloseNow() })
		b, err := io.ReadAll(r)
		stalled.Stop()
		if err != nil {
			return err
		}
		if o := s.understand(b); o != nil && c.places.enter(netip.Prefix{}) {
			wg.Go(func() {
				defer c.places.leave(netip.Prefix{})
				s.answer(ctx, o)
			})
		}
	}
}

// session is one connection to a tracker.
type session struct {
	c        *TrackerClient
	ws       *websocket.Conn
	interval chan time.Duration // what the tracker asks for
}

// announce tells the tracker again and again that we are there, until ctx ends
// or the tracker does not answer, and closes the connection.
func (s *session) announce(ctx context.Context) {
	defer s.ws.CloseNow()
	pings := time.NewTicker(pingEvery)
	defer pings.Stop()
	every := untoldInterval
	next := time.NewTimer(every)
	defer next.Stop()
	err := s.tell(ctx, eventStarted, writeTime)
	for err == nil {
		select {
		case <-ctx.Done():
			s.tell(context.WithoutCancel(ctx), eventStopped, farewellTime)
			return
		case every = <-s.interval:
			next.Reset(every)
		case <-next.C:
			next.Reset(every)
			err = s.tell(ctx, "", writeTime)
		case <-pings.C:
			ping, cancel := context.WithTimeout(ctx, pongTime)
			err = s.ws.Ping(ping)
			cancel()
		}
	}
}

// tell announces all infohashes.
func (s *session) tell(ctx context.Context, e event, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for _, h := range s.c.cfg.Infohashes {
		b := encode(struct {
			Action   action   `json:"action"`
			InfoHash binary   `json:"info_hash"`
			PeerID   binary   `json:"peer_id"`
			Event    event    `json:"event,omitempty"`
			Left     int      `json:"left"`
			Up       int      `json:"uploaded"`
			Down     int      `json:"downloaded"`
			NumWant  int      `json:"numwant"`
			Offers   []string `json:"offers"`
		}{Action: actionAnnounce, InfoHash: binary(h), PeerID: binary(s.c.cfg.PeerID), Event: e, Offers: []string{}})
		if err := s.ws.Write(ctx, websocket.MessageText, b); err != nil {
			return err
		}
	}
	return nil
}

// understand reads a tracker's message and returns the offer in it, if there is
// one. What it cannot read it leaves out: a tracker may know more than we do.
func (s *session) understand(b []byte) *message {
	m := parseMessage(b)
	if m == nil || m.InfoHash == nil || !s.c.held[comntr.Hash(*m.InfoHash)] {
		return nil
	}
	if m.Failure != "" {
		s.c.log.Debug("a tracker refuses", "tracker", s.c.cfg.URL, "community", comntr.Hash(*m.InfoHash), "err", clip(m.Failure))
	}
	if m.Interval > 0 {
		every := min(max(time.Duration(min(m.Interval, 1e6)*float64(time.Second)), minInterval), maxInterval)
		select {
		case s.interval <- every:
		default: // announce is at something else: the next answer says it again
		}
	}
	if m.Offer == nil || *m.PeerID == binary(s.c.cfg.PeerID) {
		return nil
	}
	return m
}

// parseMessage reads what a tracker sent, nil where it is nothing of use. An
// offer in it is whole.
func parseMessage(b []byte) *message {
	var m message
	if json.Unmarshal(b, &m) != nil || m.Action != actionAnnounce {
		return nil
	}
	if m.Offer != nil && (!m.Offer.valid("offer") || m.PeerID == nil || !validOfferID(m.OfferID)) {
		return nil
	}
	return &m
}

// answer answers an offer.
func (s *session) answer(ctx context.Context, m *message) {
	c := s.c
	ctx, cancel := context.WithTimeout(ctx, answerLife)
	defer cancel()
	sdp, ok := c.cfg.Answer(ctx, Offer{Infohash: comntr.Hash(*m.InfoHash), PeerID: PeerID(*m.PeerID), SDP: m.Offer.SDP, Tracker: c.cfg.URL})
	if !ok {
		return
	}
	write, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	s.ws.Write(write, websocket.MessageText, encode(struct {
		Action   action      `json:"action"`
		InfoHash *binary     `json:"info_hash"`
		PeerID   binary      `json:"peer_id"`
		To       *binary     `json:"to_peer_id"`
		OfferID  string      `json:"offer_id"`
		Answer   description `json:"answer"`
	}{actionAnnounce, m.InfoHash, binary(c.cfg.PeerID), m.PeerID, m.OfferID, description{"answer", sdp}}))
	// A broken connection is announce's to notice.
}

// clip shortens what a stranger wrote, for a log.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
