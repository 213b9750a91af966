package api

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/comntr/comntr"
)

// Bounds of WebTransport. A connection has one session, a stream one request.
const (
	maxSessions     = 1024 // in all, those that are not open yet among them
	maxSessionsAddr = 32   // of one address
	// maxHandshakes is how many connections may be without proof that they come
	// from where they say: beyond it each new one must prove that first (RFC
	// 9000, 8.1.2), which costs it a round trip and us nothing to remember.
	maxHandshakes = 64
	handshakeTime = 5 * time.Second // without a packet; twice that in all
	// handshakeCost is what a connection costs of an address's bytes.
	handshakeCost = 16 << 10
	openTime      = 10 * time.Second // for a session to be opened
	silenceTime   = time.Minute      // without any packet of the client's
	// maxRequests of a session are answered at once, and with those that wait
	// there are maxStreams, its own among them. The difference is room for pages:
	// browsers do not wait for QUIC's count but fail, and it comes late, a round
	// trip after the answer that made room.
	maxRequests = 32
	maxStreams  = 128
	// maxUniStreams are HTTP/3's own three, and some that a client may try
	// (RFC 9114, 6.2.3). Those of a session are never read.
	maxUniStreams = 8
	// bodyWindow and connWindow are what a client may send ahead of us. A body
	// is 64 KiB at most.
	bodyWindow = 64 << 10
	connWindow = 256 << 10
	// lastRequests is how long requests may go on after a stop, lastWords how
	// long the last answer has to arrive: who ends a connection of QUIC throws
	// away what is under way in it.
	lastRequests = 3 * time.Second
	lastWords    = 500 * time.Millisecond
)

// WebTransport serves the API to browsers by streams of WebTransport over
// HTTP/3 (SPEC.md, "WebTransport"), with a certificate that pages know by its
// hash: so a page on https reaches a server that has an address and no name.
type WebTransport struct {
	api      *API
	certs    *Certificates
	socket   *quic.Transport
	server   webtransport.Server
	sessions *gauge
	unproven atomic.Int64 // connections without proof of their address

	mu       sync.Mutex
	requests int           // under way
	answered time.Time     // when the last one was over
	stopping chan struct{} // not nil: closed when no request is under way
}

// WebTransport returns a server on conn, which remains the caller's to close.
func (a *API) WebTransport(conn net.PacketConn, certs *Certificates) *WebTransport {
	w := &WebTransport{
		api:      a,
		certs:    certs,
		sessions: a.sessions,
	}
	w.socket = &quic.Transport{
		Conn:                conn,
		ConnContext:         w.admit,
		VerifySourceAddress: func(net.Addr) bool { return w.unproven.Load() >= maxHandshakes },
	}
	w.server = webtransport.Server{
		H3: &http3.Server{
			Handler:         http.HandlerFunc(w.connect),
			MaxHeaderBytes:  maxHeaderBytes,
			EnableDatagrams: true,
		},
		CheckOrigin: func(*http.Request) bool { return true }, // any page may ask, as over HTTP
	}
	return w
}

// Run serves until ctx ends; then requests under way have lastRequests to
// finish. The API must have been stopped by then.
func (w *WebTransport) Run(ctx context.Context) error {
	l, err := w.socket.ListenEarly(&tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{http3.NextProtoH3},
		GetCertificate: w.certs.present,
		// A resumed session would have outlived its certificate.
		SessionTicketsDisabled: true,
	}, &quic.Config{
		HandshakeIdleTimeout:             handshakeTime,
		MaxIdleTimeout:                   silenceTime,
		InitialStreamReceiveWindow:       bodyWindow,
		MaxStreamReceiveWindow:           bodyWindow,
		InitialConnectionReceiveWindow:   connWindow,
		MaxConnectionReceiveWindow:       connWindow,
		MaxIncomingStreams:               maxStreams,
		MaxIncomingUniStreams:            maxUniStreams,
		EnableDatagrams:                  true, // WebTransport wants both
		EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			l.Close()
			gone := make(chan struct{})
			go func() { conns.Wait(); close(gone) }()
			if ctx.Err() != nil {
				err = nil
				w.finish(gone)
			}
			w.server.Close()
			<-gone
			return errors.Join(err, w.socket.Close())
		}
		wc := connOf(c.Context())
		wc.quic = c // first: close reads it, and no other thing orders the two
		wc.idle = time.AfterFunc(openTime, wc.close)
		conns.Go(func() {
			if err := w.server.ServeQUICConn(c); err != nil {
				c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeGeneralProtocolError), "")
			}
		})
		conns.Go(wc.follow)
	}
}

// finish waits for the requests under way and for their answers to arrive, for
// a time, or until all clients are gone.
func (w *WebTransport) finish(gone <-chan struct{}) {
	w.mu.Lock()
	w.stopping = make(chan struct{})
	if w.requests == 0 {
		close(w.stopping)
	}
	w.mu.Unlock()
	late := time.NewTimer(lastRequests)
	defer late.Stop()
	select {
	case <-w.stopping:
	case <-late.C:
	case <-gone:
	}
	w.mu.Lock()
	words := time.NewTimer(time.Until(w.answered.Add(lastWords)))
	w.mu.Unlock()
	defer words.Stop()
	select {
	case <-words.C:
	case <-gone:
	}
}

// count counts a request under way, or one that is over.
func (w *WebTransport) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests += n
	if n < 0 {
		w.answered = time.Now()
	}
	if w.requests == 0 && w.stopping != nil {
		select {
		case <-w.stopping:
		default:
			close(w.stopping)
		}
	}
}

// wtConn is a connection, from its first packet on.
type wtConn struct {
	w      *WebTransport
	addr   netip.Addr
	proved func() // its address: once

	// set before it is served
	quic *quic.Conn
	idle *time.Timer // ends it where no session is opened in time, or none is used

	opened atomic.Bool // a session

	mu       sync.Mutex
	requests int
	ended    bool
}

type wtConnKey struct{}

func connOf(ctx context.Context) *wtConn { return ctx.Value(wtConnKey{}).(*wtConn) }

// errTooMany refuses a connection before it has cost anything.
var errTooMany = errors.New("too many connections, or too many bytes, in all or of one address")

// admit decides on a client's first packet (quic.Transport.ConnContext).
func (w *WebTransport) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	addr := clientAddr(info.RemoteAddr.String())
	if w.api.limits.ready(addr) > 0 || !w.sessions.enter(addr) {
		return nil, errTooMany
	}
	c := &wtConn{w: w, addr: addr, proved: func() {}}
	if !info.AddrVerified {
		c.proved = sync.OnceFunc(func() { w.unproven.Add(-1) })
		if w.unproven.Add(1) > maxHandshakes { // several came at once
			c.proved()
			w.sessions.leave(addr)
			return nil, errTooMany
		}
	}
	context.AfterFunc(ctx, func() {
		c.proved()
		w.sessions.leave(addr)
	})
	return context.WithValue(ctx, wtConnKey{}, c), nil
}

// follow sees the connection to its end.
func (c *wtConn) follow() {
	select {
	case <-c.quic.HandshakeComplete():
		c.proved()
		c.w.api.limits.spend(c.addr, handshakeCost) // not before: the address could be another's
	case <-c.quic.Context().Done():
	}
	<-c.quic.Context().Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true // a timer would keep what the connection held
	c.idle.Stop()
}

func (c *wtConn) close() {
	c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// count counts a request under way, or one that is over.
func (c *wtConn) count(n int) {
	c.mu.Lock()
	c.requests += n
	switch {
	case c.requests > 0:
		c.idle.Stop()
	case !c.ended:
		c.idle.Reset(idleTime)
	}
	c.mu.Unlock()
	c.w.count(n)
}

// connect answers requests of HTTP/3: it opens sessions and does nothing else.
func (w *WebTransport) connect(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.URL == nil || r.URL.Path != comntr.WebTransportPath {
		refuse(rw, r, problem(http.StatusNotFound, comntr.CodeNotFound,
			"over HTTP/3 there are only sessions of WebTransport here, at %s, and requests in their streams", comntr.WebTransportPath))
		return
	}
	c := connOf(r.Context())
	if c.opened.Swap(true) {
		refuse(rw, r, problem(http.StatusBadRequest, comntr.CodeBadRequest, "a connection has one session, and this one has had it: connect anew"))
		return
	}
	session, err := w.server.Upgrade(rw, r)
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest) // it speaks no WebTransport
		return
	}
	defer c.close()
	var requests sync.WaitGroup
	defer requests.Wait()
	c.count(0)
	places := make(chan struct{}, maxRequests)
	for {
		select {
		case places <- struct{}{}:
		case <-session.Context().Done():
			return
		}
		stream, err := session.AcceptStream(session.Context())
		if err != nil {
			return
		}
		c.count(1)
		requests.Go(func() {
			defer func() { c.count(-1); <-places }()
			w.answer(session, stream, r)
		})
	}
}

// refuse answers where no handler does.
func refuse(rw http.ResponseWriter, r *http.Request, p *comntr.Problem) {
	w := &answer{ResponseWriter: rw}
	w.always()
	writeProblem(w, r, p)
}

// answer answers the request that a stream holds.
func (w *WebTransport) answer(session *webtransport.Session, stream *webtransport.Stream, connect *http.Request) {
	ctx, cancel := context.WithCancel(session.Context())
	defer cancel()
	defer context.AfterFunc(stream.Context(), cancel)() // the client wants no answer any more
	x := newExchange(stream)
	stream.SetReadDeadline(time.Now().Add(headerTime))
	r, refusal, err := x.readRequest()
	if err != nil {
		x.abort()
		return
	}
	r.Host = connect.Host
	r.RemoteAddr = session.RemoteAddr().String()
	r = r.WithContext(context.WithValue(ctx, wtRequestKey{}, true))
	if refusal != nil {
		refuse(x, r, refusal)
		x.end()
		return
	}
	stream.SetReadDeadline(time.Time{})
	x.serve(w.api.Handler(), r)
}

// wtRequestKey is where a request's context says that it came over WebTransport.
type wtRequestKey struct{}

func overWebTransport(r *http.Request) bool { return r.Context().Value(wtRequestKey{}) != nil }
