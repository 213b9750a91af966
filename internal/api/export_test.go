package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"github.com/quic-go/quic-go"
)

// Bounds that tests reach.
const (
	MaxRequests     = maxRequests
	MaxStreams      = maxStreams
	MaxSessionsAddr = maxSessionsAddr
	MaxSessions     = maxSessions
	MaxHandshakes   = maxHandshakes
)

// WholeListener is Listener without plain requests: net/http reads all.
func (a *API) WholeListener(l net.Listener) net.Listener { return wholeListener{a.Listener(l)} }

type wholeListener struct{ net.Listener }

func (l wholeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		c.(*conn).begins = false
	}
	return c, err
}

// Listeners is how many listen to events.
func (a *API) Listeners() int {
	a.listeners.mu.Lock()
	defer a.listeners.mu.Unlock()
	return a.listeners.total
}

// SpendBytes takes bytes from what remote may move.
func (a *API) SpendBytes(remote string, n int) { a.limits.spend(clientAddr(remote), n) }

// Connections are all that there are, sessions or not, and those without proof
// of their address.
func (w *WebTransport) Connections() (all, unproven int) {
	w.sessions.mu.Lock()
	defer w.sessions.mu.Unlock()
	return w.sessions.total, int(w.unproven.Load())
}

// Admit decides on a first packet.
func (w *WebTransport) Admit(ctx context.Context, from netip.AddrPort, verified bool) error {
	_, err := w.admit(ctx, &quic.ClientInfo{RemoteAddr: net.UDPAddrFromAddrPort(from), AddrVerified: verified})
	return err
}

// Requests are those under way.
func (w *WebTransport) Requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// Present is the certificate that is shown now.
func (c *Certificates) Present() (*tls.Certificate, error) { return c.present(nil) }

// ParseHead reads a request's head.
func ParseHead(b []byte) (*http.Request, error) {
	r := &http.Request{Header: http.Header{}}
	return r, parseHead(r, b)
}
