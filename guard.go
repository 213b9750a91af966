package comntr

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefusedAddress is under every error of Guard.Control: a stranger named an
// address that is not on the public internet.
var ErrRefusedAddress = errors.New("the address is not one that a stranger may name")

// Guard decides which addresses may be dialled when a stranger named them (a
// DHT answer, another server's hello, a name in DNS). Without it, anyone could
// make a server send requests into its own private network. The zero Guard
// lets only addresses of the public internet pass.
//
// It judges addresses, never names: a name is judged by what it resolves to at
// the moment of the dial, so that a name that changes its mind gains nothing.
type Guard struct {
	// AllowPrivate lets private and loopback addresses pass too: for LANs and
	// tests, and for addresses that a person named.
	AllowPrivate bool
}

// notPublic are the ranges of the IANA special-purpose address registries (RFC
// 6890 and its updates) that nobody is reached at over the public internet, or
// only through a relay that hides whom.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("10.0.0.0/8"),      // private
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by a carrier's customers
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local, clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),   // private
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),  // private
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: an IPv4 address inside
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // all that IANA has given out (RFC 4291)
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address inside (RFC 6052)
)

// Allow reports whether a may be dialled when a stranger named it. IPv4
// addresses inside IPv6 ones (::ffff:0:0/96, 64:ff9b::/96) are judged as what
// they lead to.
func (g Guard) Allow(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if g.AllowPrivate {
		return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	if !a.IsValid() || a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Control is for [net.Dialer.Control] and [net.ListenConfig.Control]: it
// refuses, with ErrRefusedAddress, a resolved address that Allow refuses.
func (g Guard) Control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6", "udp4", "udp6":
	default:
		return fmt.Errorf("%w: network %s", ErrRefusedAddress, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !g.Allow(ap.Addr()) {
		return fmt.Errorf("%w: %s", ErrRefusedAddress, address)
	}
	return nil
}

// Bounds of HTTPClient. Bodies are bounded by Client.
const (
	dialTimeout       = 5 * time.Second  // a connection, each address of a name
	handshakeTimeout  = 5 * time.Second  // TLS
	headerTimeout     = 10 * time.Second // from the end of a request to the end of the answer's headers
	maxAnswerHeaders  = 64 << 10         // bytes
	idleTimeout       = 60 * time.Second // an unused connection is closed
	maxIdleConns      = 128              // unused connections, in all
	maxIdleConnsToOne = 4                // unused connections, to one server
)

// HTTPClient returns a client for servers that strangers named: every
// connection passes the guard, no redirect is followed, no proxy is used, no
// cookie is kept, and how long an answer's headers take and get is bounded. It
// keeps connections: make one and share it.
func (g Guard) HTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: g.Control}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial where the guard cannot look
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    handshakeTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: maxAnswerHeaders,
			MaxIdleConns:           maxIdleConns,
			MaxIdleConnsPerHost:    maxIdleConnsToOne,
			IdleConnTimeout:        idleTimeout,
		},
		CheckRedirect: noRedirect,
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
