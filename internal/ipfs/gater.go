package ipfs

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/comntr/comntr"
)

// maxTrusted bounds the pairs of peer and address that a person's words made
// dialable; past it the oldest are forgotten.
const maxTrusted = 1024

// gater is the dial guard of libp2p: everything that is dialled, by whatever
// part of libp2p, passes InterceptAddrDial after names were resolved. What the
// guard refuses is dialled only where a person named that peer at that
// address: a trusted peer's other addresses come from strangers like all
// others (TestGuardRefuses).
//
// Inbound connections are not judged by address: who comes from a private
// address is on our network already.
type gater struct {
	guard comntr.Guard

	mu      sync.Mutex
	trusted map[trust]struct{}
	order   []trust
}

// trust is a peer at an address; an empty peer stands for any.
type trust struct {
	peer peer.ID
	ip   netip.Addr
}

func newGater(g comntr.Guard) *gater {
	return &gater{guard: g, trusted: make(map[trust]struct{})}
}

func (g *gater) trust(p peer.ID, ip netip.Addr) {
	t := trust{p, ip.Unmap()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.trusted[t]; ok {
		return
	}
	if len(g.order) >= maxTrusted {
		delete(g.trusted, g.order[0])
		g.order = g.order[1:]
	}
	g.trusted[t] = struct{}{}
	g.order = append(g.order, t)
}

// allows reports whether p may be dialled at a. An address without an IP in
// front (a name, a relay) is not one that can be judged.
func (g *gater) allows(p peer.ID, a ma.Multiaddr) bool {
	ip, ok := addrIP(a)
	if !ok {
		return false
	}
	if g.guard.Allow(ip) {
		return true
	}
	ip = ip.Unmap()
	g.mu.Lock()
	defer g.mu.Unlock()
	_, named := g.trusted[trust{p, ip}]
	if !named {
		_, named = g.trusted[trust{"", ip}]
	}
	return named
}

// filter keeps the addresses that the guard allows for anyone, and names: what
// they lead to is judged at the dial.
func (g *gater) filter(addrs []ma.Multiaddr) []ma.Multiaddr {
	out := make([]ma.Multiaddr, 0, len(addrs))
	for _, a := range addrs {
		if ip, ok := addrIP(a); ok && g.guard.Allow(ip) || isName(a) {
			out = append(out, a)
		}
	}
	return out
}

// isName reports whether a begins with a name of the DNS.
func isName(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return true
	}
	return false
}

// addrIP returns the address in front of a; !ok where there is none, where it
// has a zone, or where the rest goes through a relay.
func addrIP(a ma.Multiaddr) (netip.Addr, bool) {
	if len(a) == 0 || (a[0].Protocol().Code != ma.P_IP4 && a[0].Protocol().Code != ma.P_IP6) {
		return netip.Addr{}, false
	}
	for _, c := range a {
		if c.Protocol().Code == ma.P_CIRCUIT {
			return netip.Addr{}, false
		}
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	out, ok := netip.AddrFromSlice(ip)
	if a[0].Protocol().Code == ma.P_IP4 {
		out = out.Unmap()
	}
	return out, ok
}

// InterceptPeerDial lets every peer pass: addresses decide.
func (g *gater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial is asked for each resolved address before it is dialled.
func (g *gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool { return g.allows(p, a) }

// InterceptAccept lets everyone in; the resource manager counts them.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured lets everyone pass.
func (g *gater) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// InterceptUpgraded lets everyone pass.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
