package ipfs_test

import (
	"net/netip"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

func addr(t testing.TB, s string) ma.Multiaddr {
	t.Helper()
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestGate(t *testing.T) {
	named, other := peer.ID("named"), peer.ID("other")
	strict := ipfs.NewGate(comntr.Guard{})
	strict.Trust(named, netip.MustParseAddr("192.168.1.5"))
	strict.Trust("", netip.MustParseAddr("10.1.1.1"))
	lax := ipfs.NewGate(comntr.Guard{AllowPrivate: true})
	for _, c := range []struct {
		gate ipfs.Gate
		peer peer.ID
		addr string
		want bool
	}{
		{strict, other, "/ip4/8.8.8.8/tcp/4081", true},
		{strict, other, "/ip4/8.8.8.8/udp/4081/quic-v1", true},
		{strict, other, "/ip6/2606:4700::1111/tcp/4082/ws", true},
		{strict, other, "/ip4/127.0.0.1/tcp/4081", false},
		{strict, other, "/ip4/192.168.1.5/udp/4081/quic-v1", false},
		{strict, named, "/ip4/192.168.1.5/udp/4081/quic-v1", true},
		{strict, named, "/ip4/192.168.1.6/udp/4081/quic-v1", false},
		{strict, named, "/ip6/::ffff:192.168.1.5/tcp/4081", true},
		{strict, named, "/ip6/64:ff9b::c0a8:105/tcp/4081", false},
		{strict, other, "/ip4/10.1.1.1/tcp/1", true},
		{strict, other, "/ip4/169.254.169.254/tcp/80", false},
		{strict, other, "/ip4/100.64.0.1/tcp/80", false},
		{strict, other, "/ip6/::1/tcp/4081", false},
		{strict, other, "/ip6/fe80::1/tcp/4081", false},
		{strict, other, "/ip6zone/eth0/ip6/fe80::1/tcp/4081", false},
		{strict, other, "/ip6/fd00::1/tcp/4081", false},
		{strict, other, "/ip6/::ffff:127.0.0.1/tcp/4081", false},
		{strict, other, "/ip6/64:ff9b::7f00:1/tcp/4081", false},
		{strict, other, "/dns4/example.com/tcp/4081", false}, // libp2p resolves before it asks
		{strict, other, "/ip4/8.8.8.8/tcp/4001/p2p-circuit", false},
		{strict, other, "/unix/tmp/socket", false},
		{lax, other, "/ip4/127.0.0.1/tcp/4081", true},
		{lax, other, "/ip6/fd00::1/tcp/4081", true},
		{lax, other, "/ip4/0.0.0.0/tcp/4081", false},
		{lax, other, "/unix/tmp/socket", false},
	} {
		if got := c.gate.Dial(c.peer, addr(t, c.addr)); got != c.want {
			t.Errorf("%s at %s: %v", c.peer, c.addr, got)
		}
	}
	kept := strict.Filter([]ma.Multiaddr{
		addr(t, "/ip4/8.8.8.8/tcp/1"), addr(t, "/ip4/10.0.0.1/tcp/1"), addr(t, "/dns/a.example/tcp/1"), addr(t, "/ip4/8.8.8.8/tcp/1/p2p-circuit"),
	})
	if len(kept) != 2 {
		t.Errorf("kept %v", kept)
	}
}

func TestTrustIsBounded(t *testing.T) {
	g := ipfs.NewGate(comntr.Guard{})
	first := netip.MustParseAddr("10.0.0.0")
	ip := first
	for range ipfs.MaxTrusted {
		g.Trust("p", ip)
		ip = ip.Next()
	}
	at := func(ip netip.Addr) bool { return g.Dial("p", addr(t, "/ip4/"+ip.String()+"/tcp/1")) }
	if !at(first) {
		t.Error("the first is forgotten too early")
	}
	g.Trust("p", ip)
	if at(first) || !at(ip) || !at(first.Next()) {
		t.Error("not the oldest one alone is forgotten")
	}
}
