package ipfs

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DefaultListen returns the addresses that a server's IPFS node listens on:
// 4081 TCP and UDP (QUIC, WebTransport and WebRTC-direct share the UDP port),
// 4082 WebSocket. WebSocket has a port of its own because libp2p fails without
// a word when it shares TCP's.
func DefaultListen() []string {
	return []string{
		"/ip4/0.0.0.0/tcp/4081",
		"/ip6/::/tcp/4081",
		"/ip4/0.0.0.0/udp/4081/quic-v1",
		"/ip6/::/udp/4081/quic-v1",
		"/ip4/0.0.0.0/udp/4081/quic-v1/webtransport",
		"/ip6/::/udp/4081/quic-v1/webtransport",
		"/ip4/0.0.0.0/udp/4081/webrtc-direct",
		"/ip6/::/udp/4081/webrtc-direct",
		"/ip4/0.0.0.0/tcp/4082/ws",
		"/ip6/::/tcp/4082/ws",
	}
}

// listen listens on all addresses or says which it cannot.
func (n *Node) listen(addrs []ma.Multiaddr) error {
	ports := make(map[string]string) // of UDP port 0, by IP: QUIC and its like share one
	for _, a := range addrs {
		ip, udp0 := udpPort0(a)
		if port, ok := ports[ip]; udp0 && ok {
			a = withUDPPort(a, port)
		}
		if err := free(a); err != nil {
			return listenError(a, err)
		}
		before := n.host.Network().ListenAddresses()
		err := n.host.Network().Listen(a)
		if err == nil {
			if udp0 && ports[ip] == "" {
				ports[ip] = newUDPPort(before, n.host.Network().ListenAddresses())
			}
			continue
		}
		if v6, _ := a.ValueForProtocol(ma.P_IP6); v6 == "::" && !isInUse(err) {
			// A machine without IPv6.
			n.log.Info("IPFS does not listen on this address", "addr", a.String(), "err", err)
			continue
		}
		return listenError(a, err)
	}
	return nil
}

func listenError(a ma.Multiaddr, err error) error {
	if isInUse(err) {
		return fmt.Errorf("IPFS cannot listen on %s: another program, or another of these addresses, uses that port: stop it, or choose another with --ipfs-listen: %w", a, err)
	}
	return fmt.Errorf("IPFS cannot listen on %s: %w", a, err)
}

func isInUse(err error) bool {
	// libp2p does not keep the errors of its transports.
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
}

// free reports an error where a's TCP port is in use. libp2p shares ports by
// SO_REUSEPORT: it would listen on another comntr's without a word and get
// half of its connections.
func free(a ma.Multiaddr) error {
	if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
		return nil
	}
	netw, host, err := manet.DialArgs(a)
	if err != nil || strings.HasSuffix(host, ":0") {
		return nil
	}
	l, err := net.Listen(netw, host)
	if err != nil {
		if isInUse(err) {
			return err
		}
		return nil // libp2p will say it
	}
	return l.Close()
}

// udpPort0 returns a's IP where its port is UDP and any.
func udpPort0(a ma.Multiaddr) (ip string, ok bool) {
	port, err := a.ValueForProtocol(ma.P_UDP)
	if err != nil || port != "0" || len(a) == 0 {
		return "", false
	}
	return a[0].String(), true
}

func withUDPPort(a ma.Multiaddr, port string) ma.Multiaddr {
	b, err := ma.NewMultiaddr(strings.Replace(a.String(), "/udp/0", "/udp/"+port, 1))
	if err != nil {
		return a
	}
	return b
}

func newUDPPort(before, after []ma.Multiaddr) string {
	for _, a := range after {
		if port, err := a.ValueForProtocol(ma.P_UDP); err == nil && !slices.ContainsFunc(before, a.Equal) {
			return port
		}
	}
	return ""
}

// parseListen reads multiaddrs to listen on and puts those that open a port
// before those that share it.
func parseListen(in []string) ([]ma.Multiaddr, error) {
	out, err := parseAddrs(in)
	if err != nil {
		return nil, fmt.Errorf("IPFS listen address: %w", err)
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return cmp.Compare(shares(a), shares(b)) })
	return out, nil
}

func shares(a ma.Multiaddr) int {
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_WEBTRANSPORT:
			return 1
		case ma.P_WEBRTC_DIRECT:
			return 2
		}
	}
	return 0
}
