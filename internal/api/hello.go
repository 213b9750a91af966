package api

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/comntr/comntr"
)

// helloCost is what a hello costs of an address's bytes: it is put together
// and signed anew for each asker.
const helloCost = 16 << 10

// Hello is what the server says of itself now, and the work that it wants now.
func (a *API) Hello() comntr.Hello {
	h := a.cfg.Hello()
	h.Limits.Work, h.Limits.NewWork = a.toll.limits()
	return h
}

// hello answers with the signed hello, for the origin that the asker used if
// that is truly this server's.
func (a *API) hello(w *answer, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	v := query.Get("nonce")
	raw, err := hex.DecodeString(v)
	if err != nil || len(raw) != 32 || v != strings.ToLower(v) {
		return problem(http.StatusBadRequest, comntr.CodeBadRequest,
			"the hello is signed for who asks: add ?nonce= and 32 random bytes as 64 lower-case hex digits, and check the signature over them")
	}
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return err
	}
	a.limits.spend(addr, helloCost)
	b, err := comntr.SignHello(a.cfg.Key, a.Hello(), [32]byte(raw), a.origin(r))
	if err != nil {
		return fmt.Errorf("sign the hello: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, r, http.StatusOK, "application/json", append(b, '\n'))
	return nil
}

// origin returns the origin to sign for. It is the one in the Host header only
// where that is known to be this server's: signing whatever a Host header says
// would let anybody pass this server's hello on as that of his own address
// (TestHelloOrigin). Otherwise it is the best known one, and the asker sees
// that it is not the one he asked.
func (a *API) origin(r *http.Request) string {
	local := localAddr(r)
	scheme, port := "http", a.cfg.Port
	if overWebTransport(r) {
		scheme, port = "https", a.cfg.WebTransportPort
	}
	asked, err := comntr.CanonicalOrigin(scheme + "://" + r.Host)
	if a.publicURL != "" {
		https, err2 := comntr.CanonicalOrigin("https://" + r.Host)
		if err == nil && asked == a.publicURL || err2 == nil && https == a.publicURL {
			return a.publicURL
		}
	}
	var own []string
	if a.cfg.PublicAddrs != nil {
		for _, addr := range a.cfg.PublicAddrs() {
			own = append(own, originAt(scheme, addr.Unmap().String(), port))
		}
	}
	if u, err := url.Parse(a.publicURL); err == nil && a.publicURL != "" && overWebTransport(r) {
		own = append(own, originAt(scheme, u.Hostname(), port)) // the name is his machine's at this port too
	}
	if local.IsValid() {
		own = append(own, originAt(scheme, local.Addr().String(), local.Port()))
		if local.Addr().IsLoopback() {
			own = append(own, originAt(scheme, "localhost", local.Port()))
		}
	}
	if err == nil && slices.Contains(own, asked) {
		return asked
	}
	if a.publicURL != "" {
		return a.publicURL
	}
	if len(own) > 0 {
		return own[0]
	}
	return originAt(scheme, "localhost", port)
}

func originAt(scheme, host string, port uint16) string {
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// localAddr is the address of this end of the connection.
func localAddr(r *http.Request) netip.AddrPort {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
