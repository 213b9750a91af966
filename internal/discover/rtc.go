package discover

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
)

// Bounds and times of WebRTC connections. One that is open and idle costs about
// 210 KB and 20 goroutines, nearly all of it pion's (BenchmarkRTCMemory).
const (
	maxRTC        = 256 // open at once
	maxRTCAddr    = 16  // of one address: tabs of one household, or readers of one office
	maxRTCPending = 64  // answered and not open yet. An offer too many ends the oldest, which honest ones do not live to be
	maxRTCClosing = 64  // closed and not gone yet
	evictIdle     = 10 * time.Second

	gatherTime  = 3 * time.Second           // to make an answer
	connectTime = 20 * time.Second          // from the answer to an open data channel
	helloTime   = 10 * time.Second          // from there to the wire's handshake
	speakTime   = 30 * time.Second          // and to a word that comntr is spoken: other WebTorrent clients go
	rtcIdleTime = 2 * time.Minute           // without a request
	rtcStopTime = 2 * time.Second           // for requests that run when the server stops
	rtcFailed   = 20 * time.Second          // without a packet; pion's disconnected is half of it
	rtcReceive  = 256 << 10                 // bytes received and not looked at, of a connection
	certLife    = 10 * 365 * 24 * time.Hour // nobody looks; the fingerprint counts
)

// Errors of Answer.
var (
	// ErrRTCBusy: as many connections as are taken.
	ErrRTCBusy = errors.New("this server has as many WebRTC connections as it takes")
	// ErrRTCClosed: the server does not serve, or not yet.
	ErrRTCClosed = errors.New("WebRTC is not served")
)

// PublicTrackers are WebTorrent trackers that anybody may use, as WebTorrent
// clients ship with them.
func PublicTrackers() []string {
	return []string{"wss://tracker.openwebtorrent.com", "wss://tracker.webtorrent.dev", "wss://tracker.btorrent.xyz", "wss://tracker.files.fm:7073/announce"}
}

// PublicSTUN are servers that tell who is behind a NAT where others see him.
func PublicSTUN() []string {
	return []string{"stun.l.google.com:19302", "stun.cloudflare.com:3478", "global.stun.twilio.com:3478"}
}

// RTCConfig says how browsers reach this server over WebRTC.
type RTCConfig struct {
	// Listen is the host:port for UDP and TCP both, on all addresses where the
	// host is empty. "" is ":4083".
	Listen string
	// Communities whose infohashes are answered to in the wire's handshake.
	Communities []comntr.Hash
	// Guard judges who may connect and be connected to, and which of the own
	// addresses are told.
	Guard comntr.Guard
	// PublicAddrs are the addresses that others see this server at; may be nil.
	PublicAddrs func() []netip.Addr
	// STUN are HOST:PORT of servers to ask where a NAT lets others reach us;
	// nil: public ones, empty: none.
	STUN []string
	// NoLimits lifts the bounds that count by address.
	NoLimits bool
	Log      *slog.Logger // nil: nowhere
}

// RTCHello signs the hello for the asker whose nonce and certificate these are.
// server is our certificate's SHA-256.
type RTCHello func(nonce, server, asker [32]byte) (hello, signature []byte, err error)

// RTC answers WebRTC offers. Over each connection it speaks the BitTorrent wire
// protocol as WebTorrent peers do, proves who it is, and serves HTTP in frames
// (SPEC.md, "Over a data channel").
type RTC struct {
	cfg         RTCConfig
	log         *slog.Logger
	ports       *rtcPorts
	full, lite  *webrtc.API
	cert        webrtc.Certificate
	fingerprint [32]byte
	peerID      PeerID
	bounds      rtcBounds
	forceLite   bool // in tests

	mu       sync.Mutex
	handler  http.Handler // nil: nothing is answered
	hello    RTCHello
	closed   bool
	conns    map[*rtcConn]struct{} // all, in any state
	pending  []*rtcConn            // oldest first
	open     map[*rtcConn]struct{}
	addrs    map[netip.Prefix]int // open ones
	inFlight sync.WaitGroup       // every goroutine of ours
	requests sync.WaitGroup       // being answered

	everOpened, busy uint64 // for the counters
}

// rtcBounds are constants but in tests.
type rtcBounds struct {
	open                                       int
	connect, hello, speak, idle, stall, failed time.Duration
	evict                                      time.Duration
}

// NewRTC opens the sockets. Answer works from Run on.
func NewRTC(cfg RTCConfig) (*RTC, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.STUN == nil {
		cfg.STUN = PublicSTUN()
	}
	for _, s := range cfg.STUN {
		if _, _, err := splitHostPort(s); err != nil {
			return nil, fmt.Errorf("STUN server: %w", err)
		}
	}
	if cfg.PublicAddrs == nil {
		cfg.PublicAddrs = func() []netip.Addr { return nil }
	}
	r := &RTC{
		cfg: cfg, log: cfg.Log,
		bounds: rtcBounds{
			open: maxRTC, connect: connectTime, hello: helloTime, speak: speakTime,
			idle: rtcIdleTime, stall: sendStall, failed: rtcFailed, evict: evictIdle,
		},
		conns: map[*rtcConn]struct{}{},
		open:  map[*rtcConn]struct{}{},
		addrs: map[netip.Prefix]int{},
	}
	copy(r.peerID[:], "-CM0100-") // as WebTorrent clients write who they are
	rand.Read(r.peerID[8:])
	if err := r.makeCertificate(); err != nil {
		return nil, fmt.Errorf("make a certificate for WebRTC: %w", err)
	}
	ports, err := openRTCPorts(cfg.Listen, cfg.Guard, cfg.NoLimits, cfg.Log)
	if err != nil {
		return nil, err
	}
	r.ports = ports
	r.full, r.lite = r.pion(false), r.pion(true)
	return r, nil
}

// makeCertificate makes the one certificate of all connections. Its life is that
// of the process: what is signed names it.
func (r *RTC) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	cert, err := webrtc.NewCertificate(key, x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "comntr"},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(certLife),
	})
	if err != nil {
		return err
	}
	prints, err := cert.GetFingerprints()
	if err != nil {
		return err
	}
	o, err := parseOffer("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=ice-ufrag:none\na=ice-pwd:nonenonenonenonenonenone\na=fingerprint:sha-256 "+prints[0].Value, comntr.Guard{})
	if err != nil {
		return err
	}
	r.cert, r.fingerprint = *cert, o.fingerprint
	return nil
}

// pion returns pion with our settings. ICE-lite (RFC 8445, section 2.5) is for
// who is known to be reachable: it sends nothing to addresses that a stranger
// named.
func (r *RTC) pion(lite bool) *webrtc.API {
	var s webrtc.SettingEngine
	s.LoggerFactory = noPionLog{}
	s.SetLite(lite)
	s.SetICEUDPMux(r.ports)
	s.SetICETCPMux(r.ports.tcpMux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	s.DisableActiveTCP(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetIncludeLoopbackCandidate(r.cfg.Guard.AllowPrivate)
	s.SetICETimeouts(r.bounds.failed/2, r.bounds.failed/2, r.bounds.failed/10)
	s.SetSCTPMaxReceiveBufferSize(rtcReceive)
	s.SetSCTPMaxMessageSize(maxChannelMessage)
	s.DetachDataChannels()
	// No codecs and no interceptors: there is no video here.
	return webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(nil), webrtc.WithInterceptorRegistry(nil))
}

// Addr is an address of the sockets, for logs and tests.
func (r *RTC) Addr() netip.AddrPort {
	host := netip.IPv4Unspecified()
	if r.ports.host.IsValid() {
		host = r.ports.host
	}
	return netip.AddrPortFrom(host, r.ports.port)
}

// Run serves h over the connections until ctx ends. Then it takes no more
// requests, gives those that run rtcStopTime, and closes the connections. When
// it has returned h is not called any more.
func (r *RTC) Run(ctx context.Context, h http.Handler, hello RTCHello) error {
	r.mu.Lock()
	r.handler, r.hello = h, hello
	r.mu.Unlock()
	r.ports.run(ctx, r.cfg.STUN)
	r.mu.Lock()
	r.handler = nil
	r.mu.Unlock()
	late := time.AfterFunc(rtcStopTime, r.closeAll)
	r.requests.Wait()
	late.Stop()
	r.closeAll()
	return nil
}

// Close closes the connections and the sockets, and returns when all of their
// goroutines have ended.
func (r *RTC) Close() error {
	r.mu.Lock()
	r.closed, r.handler = true, nil
	r.mu.Unlock()
	r.closeAll()
	r.inFlight.Wait()
	r.ports.close()
	return nil
}

func (r *RTC) closeAll() {
	r.mu.Lock()
	all := make([]*rtcConn, 0, len(r.conns))
	for c := range r.conns {
		all = append(all, c)
	}
	r.mu.Unlock()
	for _, c := range all {
		c.close()
	}
}

// Answer takes an SDP offer and returns the answer, complete (no candidate
// follows later). The error is ErrRTCBusy, ErrRTCClosed, or says what is wrong
// with the offer.
func (r *RTC) Answer(ctx context.Context, sdp string) (string, error) {
	r.mu.Lock()
	serving := r.handler != nil && !r.closed
	r.mu.Unlock()
	if !serving {
		return "", ErrRTCClosed
	}
	o, err := parseOffer(sdp, r.cfg.Guard)
	if err != nil {
		return "", err
	}
	c, err := r.begin()
	if err != nil {
		return "", err
	}
	defer r.inFlight.Done()
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	answer, err := c.answer(ctx, o)
	if err != nil {
		c.close()
		return "", fmt.Errorf("answer a WebRTC offer: %w", err)
	}
	return answerCandidates(answer, r.cfg.Guard, r.outside()), nil
}

// Answerer answers the offers that a tracker passes on.
func (r *RTC) Answerer(ctx context.Context, o Offer) (sdp string, ok bool) {
	sdp, err := r.Answer(ctx, o.SDP)
	if err != nil {
		r.log.Debug("a WebRTC offer was not answered", "community", o.Infohash, "tracker", o.Tracker, "peer", o.From, "err", err)
	}
	return sdp, err == nil
}

// PeerID is what the server calls itself on trackers and on the wire.
func (r *RTC) PeerID() PeerID { return r.peerID }

// begin makes room for a connection, which stands in pending until it is open,
// and counts the call of Answer in inFlight.
func (r *RTC) begin() (*rtcConn, error) {
	api := r.full
	if r.isReachable() {
		api = r.lite
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.handler == nil {
		return nil, ErrRTCClosed
	}
	if len(r.conns) >= r.bounds.open+maxRTCPending+maxRTCClosing || len(r.open) >= r.bounds.open && !r.evict() {
		r.busy++
		return nil, ErrRTCBusy
	}
	if len(r.pending) >= maxRTCPending {
		r.pending[0].closeLocked()
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{r.cert}})
	if err != nil {
		return nil, fmt.Errorf("make a WebRTC connection: %w", err)
	}
	c := newRTCConn(r, pc)
	r.conns[c] = struct{}{}
	r.pending = append(r.pending, c)
	r.inFlight.Add(1)
	return c, nil
}

// evict ends the open connection that has been idle for longest, if for long
// enough.
func (r *RTC) evict() bool {
	var oldest *rtcConn
	var since time.Time
	for c := range r.open {
		if at, idle := c.idleSince(); idle && (oldest == nil || at.Before(since)) {
			oldest, since = c, at
		}
	}
	if oldest == nil || time.Since(since) < r.bounds.evict {
		return false
	}
	oldest.closeLocked()
	return true
}

// opened counts a connection as open from a, if it may be.
func (r *RTC) opened(c *rtcConn, a netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.closing || len(r.open) >= r.bounds.open || !r.cfg.NoLimits && r.addrs[a] >= maxRTCAddr {
		return false
	}
	r.pending = slices.DeleteFunc(r.pending, func(p *rtcConn) bool { return p == c })
	r.open[c] = struct{}{}
	r.addrs[a]++
	r.everOpened++
	c.from = a
	return true
}

// room is how many bytes may be on their way to one asker.
func (r *RTC) room() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(min(maxBuffered, maxBufferedAll/max(1, len(r.open))))
}

// left forgets what counted c as pending or open. r.mu is held.
func (r *RTC) left(c *rtcConn) {
	r.pending = slices.DeleteFunc(r.pending, func(p *rtcConn) bool { return p == c })
	if _, ok := r.open[c]; ok {
		delete(r.open, c)
		if r.addrs[c.from]--; r.addrs[c.from] == 0 {
			delete(r.addrs, c.from)
		}
	}
}

// isReachable reports whether an own interface has the IPv4 address that others
// see: then there is no NAT, and nobody needs to be sent a packet before his
// own. (A firewall of an IPv6 network may need that; so its address says nothing.)
func (r *RTC) isReachable() bool {
	if r.forceLite {
		return true
	}
	own, err := r.ports.own()
	if err != nil {
		return false
	}
	for _, a := range r.cfg.PublicAddrs() {
		if a.Is4() && public(a) && slices.Contains(own, a) {
			return true
		}
	}
	return false
}

// outside are addresses to tell besides those of the own interfaces: the public
// ones, where the operator forwards the port, and those a NAT gave.
func (r *RTC) outside() (out []outside) {
	for _, a := range r.cfg.PublicAddrs() {
		at := netip.AddrPortFrom(a.Unmap(), r.ports.port)
		out = append(out, outside{addr: at}, outside{addr: at, tcp: true})
	}
	for _, s := range r.ports.sockets() {
		if a, ok := s.outside(); ok {
			out = append(out, outside{addr: a, nat: true})
		}
	}
	return out
}

// certificateHash is the SHA-256 of a certificate's DER: what fingerprints are.
func certificateHash(der []byte) [32]byte { return sha256.Sum256(der) }
