package api

import (
	"crypto/tls"
	"net/http"
)

// Bounds that tests reach.
const (
	MaxRequests     = maxRequests
	MaxStreams      = maxStreams
	MaxSessionsAddr = maxSessionsAddr
	MaxSessions     = maxSessions
	MaxHandshakes   = maxHandshakes
)

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

// Present is the certificate that is shown now.
func (c *Certificates) Present() (*tls.Certificate, error) { return c.present(nil) }

// ParseHead reads a request's head.
func ParseHead(b []byte) (*http.Request, error) {
	r := &http.Request{Header: http.Header{}}
	return r, parseHead(r, b)
}
