package discover

import (
	"context"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/metainfo"

	"github.com/comntr/comntr"
)

// SetInterfaces replaces what d takes for the machine's addresses, and how
// often it looks.
func (d *DHT) SetInterfaces(every time.Duration, f func() ([]net.Addr, error)) {
	d.watch, d.interfaces = every, f
}

// Announced returns what others announced at d under h.
func (d *DHT) Announced(h comntr.Hash) (list []netip.AddrPort) {
	for _, n := range d.nodes {
		list = append(list, n.peers.peers(h, time.Now())...)
	}
	return list
}

// Inject gives d a packet as if it had come from loopback, and returns when the
// dht.Server has looked at it.
func (d *DHT) Inject(b []byte) {
	if !safePacket(b) {
		return
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)
	n := d.nodes[0]
	n.sock.packets <- packet{b, from}
	for len(n.sock.packets) > 0 {
		runtime.Gosched()
	}
	n.server().NumNodes() // waits for the server's lock
}

// Forget empties what others announced at d.
func (d *DHT) Forget() {
	for _, n := range d.nodes {
		n.peers.sweep(time.Now().Add(2 * peerTTL))
	}
}

func (d *DHT) ID() [20]byte { return d.nodes[0].id() }

// Told counts a reply of by that says what our address is.
func (d *DHT) Told(by, says netip.Addr) { d.nodes[0].toldAddress(by, says) }

// PeerStore is what others announced, without a network.
type PeerStore struct{ s *peerStore }

func NewPeerStore(v6, unlimited bool, self func(netip.Addr) (netip.Addr, bool)) PeerStore {
	return PeerStore{newPeerStore(v6, unlimited, self)}
}

func (p PeerStore) Own(h comntr.Hash, port uint16)       { p.s.setOwn(h, port) }
func (p PeerStore) Peers(h comntr.Hash) []netip.AddrPort { return p.s.peers(h, time.Now()) }
func (p PeerStore) Total() int                           { return p.s.total }
func (p PeerStore) Hashes() int                          { return len(p.s.hashes) }
func (p PeerStore) Add(h comntr.Hash, ip netip.Addr, port int) {
	p.s.AddPeer(metainfo.Hash(h), krpc.NodeAddr{IP: ip.AsSlice(), Port: port})
}

func (p PeerStore) Get(asker netip.Addr, h comntr.Hash) []krpc.NodeAddr {
	p.s.asking(asker, h)
	return p.s.GetPeers(metainfo.Hash{})
}

var NextAnnounce = nextAnnounce

// Flood counts how many of n queries of a within one second are answered.
func Flood(a netip.Addr, n int) (allowed int) {
	f := flood{seed: maphash.MakeSeed()}
	now := time.Now()
	for range n {
		if f.allow(a, now) {
			allowed++
		}
	}
	return allowed
}

// Known is how many addresses b remembers.
func (b *Book) Known() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.known)
}

// Sockets, Swarms, Outstanding and Queued are what t holds: sockets, swarms,
// offers that can be answered, bytes that wait to be sent.
func (t *Tracker) Sockets() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sockets)
}

func (t *Tracker) Swarms() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.swarms)
}

func (t *Tracker) Outstanding() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.sockets {
		n += len(s.offers)
	}
	return n
}

func (t *Tracker) Queued() int { return int(t.queued.Load()) }

// Age makes every offer older.
func (t *Tracker) Age(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.sockets {
		for i := range s.offers {
			s.offers[i].until = s.offers[i].until.Add(-d)
		}
	}
}

// Fill takes n sockets' places.
func (t *Tracker) Fill(n int) (leave func()) {
	for range n {
		t.places.enter(netip.Prefix{})
	}
	return func() {
		for range n {
			t.places.leave(netip.Prefix{})
		}
	}
}

// Once is one connection of c, which makes no other.
func (c *TrackerClient) Once(ctx context.Context) error {
	web := c.cfg.Guard.HTTPClient()
	defer web.CloseIdleConnections()
	return c.session(ctx, web)
}

var NextReconnect = nextReconnect

// CheckMessage parses b as a tracker and as its client, and returns what is
// wrong with what was taken. What a tracker passes on, a client must read as it
// was.
func CheckMessage(b []byte) error {
	if m := parseMessage(b); m != nil && m.Offer != nil && (len(m.Offer.SDP) > maxSDP || len(m.OfferID) > maxOfferID || m.PeerID == nil) {
		return fmt.Errorf("a client takes %+v", m)
	}
	r, err := parseRequest(b)
	switch {
	case err != nil:
		if len(err.Error()) > 300 {
			return fmt.Errorf("a refusal of %d bytes", len(err.Error()))
		}
		return nil
	case len(r.hashes) == 0 || len(r.hashes) > maxScrape || r.action == actionAnnounce && len(r.hashes) != 1:
		return fmt.Errorf("%d infohashes", len(r.hashes))
	case r.answer != nil && (len(r.answer.sdp) > maxSDP || len(r.answer.offerID) > maxOfferID):
		return fmt.Errorf("a tracker takes %+v", r.answer)
	case len(r.offers) > maxOffers:
		return fmt.Errorf("%d offers", len(r.offers))
	}
	for _, o := range r.offers {
		hash, from := binary(r.hashes[0]), binary(r.peer)
		m := parseMessage(encode(message{Action: actionAnnounce, InfoHash: &hash, PeerID: &from, OfferID: o.ID, Offer: o.Offer}))
		if m == nil || *m.InfoHash != hash || *m.PeerID != from || m.OfferID != o.ID || *m.Offer != *o.Offer {
			return fmt.Errorf("%+v is passed on as %+v", o, m)
		}
	}
	return nil
}
