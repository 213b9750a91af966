package discover

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	peer_store "github.com/anacrolix/dht/v2/peer-store"

	"github.com/comntr/comntr"
)

// Bounds of what others may announce at us.
const (
	// peerTTL is how long an announce is remembered. BEP 5 names no time;
	// clients announce again every 15 to 30 min, so that 45 min survive a lost
	// packet, and a server that died is forgotten within the hour.
	peerTTL          = 45 * time.Minute
	maxHashPeers     = 1_000   // peers of one infohash
	maxHashes        = 20_000  // infohashes that are not our own communities
	maxStoredPeers   = 100_000 // peers of all those infohashes (about 10 MB)
	maxHashPeersOfIP = 16      // ports of one address (an IPv6 /64) under one infohash
	maxPeersOfIP     = 1_000   // announces of one address (an IPv6 /64) in all
	// An answer must fit a packet that is not fragmented (1,400 bytes), and be
	// no more of an amplifier than the DHT's own: 8 and 21 bytes a peer.
	maxReturned4 = 100
	maxReturned6 = 40
	sweepEvery   = time.Minute // expired peers are dropped at most this often
)

// peerStore remembers who announced what at one of our sockets, by address and
// port, each for peerTTL. It implements peer_store.Interface; the stock
// in-memory one returns nothing and keeps one port for an address.
//
// Where a bound is reached the new announce is refused and no old one dropped:
// honest servers announce again in time and so keep their places in a flood.
type peerStore struct {
	v6        bool
	unlimited bool // no bounds for one address: NoLimits
	// self gives our own address as asker would reach it.
	self func(asker netip.Addr) (netip.Addr, bool)

	mu     sync.Mutex
	hashes map[comntr.Hash]map[netip.AddrPort]time.Time // when each expires
	ofIP   map[netip.Prefix]int
	total  int
	own    map[comntr.Hash]uint16 // what we announce ourselves: its port
	swept  time.Time
	asker  netip.Addr  // who sent the query that is being answered
	asked  comntr.Hash // for what
}

var _ peer_store.Interface = (*peerStore)(nil)

func newPeerStore(v6, unlimited bool, self func(netip.Addr) (netip.Addr, bool)) *peerStore {
	return &peerStore{
		v6: v6, unlimited: unlimited, self: self,
		hashes: map[comntr.Hash]map[netip.AddrPort]time.Time{},
		ofIP:   map[netip.Prefix]int{},
		own:    map[comntr.Hash]uint16{},
	}
}

// setOwn remembers that this process announces infohash with port; 0 ends it.
func (s *peerStore) setOwn(infohash comntr.Hash, port uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if port == 0 {
		delete(s.own, infohash)
	} else {
		s.own[infohash] = port
	}
}

// asking is called with the source and the infohash of a query before GetPeers
// is. What GetPeers itself is given is not to be relied on (node.onQuery).
func (s *peerStore) asking(source netip.Addr, infohash comntr.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asker, s.asked = source, infohash
}

// source is what the bounds for one address count by: whoever has an IPv6
// address has its /64.
func source(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// AddPeer takes an announce whose token was checked. It has no answer: what
// does not fit or makes no sense is dropped.
func (s *peerStore) AddPeer(infohash peer_store.InfoHash, peer krpc.NodeAddr) {
	a, ok := netip.AddrFromSlice(peer.IP)
	a = a.Unmap()
	if !ok || a.Is6() != s.v6 || peer.Port < 1 || peer.Port > 65535 {
		return
	}
	s.add(comntr.Hash(infohash), netip.AddrPortFrom(a, uint16(peer.Port)), time.Now())
}

func (s *peerStore) add(h comntr.Hash, peer netip.AddrPort, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= sweepEvery {
		s.sweep(now)
	}
	peers := s.hashes[h]
	from := source(peer.Addr())
	if _, again := peers[peer]; !again {
		_, ours := s.own[h]
		if len(peers) >= maxHashPeers {
			return
		}
		if !ours && (s.total >= maxStoredPeers || peers == nil && len(s.hashes) >= maxHashes) {
			return
		}
		if !s.unlimited {
			if s.ofIP[from] >= maxPeersOfIP || s.ofIP[from] >= maxHashPeersOfIP && countFrom(peers, from) >= maxHashPeersOfIP {
				return
			}
		}
		if peers == nil {
			peers = map[netip.AddrPort]time.Time{}
			s.hashes[h] = peers
		}
		s.ofIP[from]++
		s.total++
	}
	peers[peer] = now.Add(peerTTL)
}

func countFrom(peers map[netip.AddrPort]time.Time, from netip.Prefix) (n int) {
	for p := range peers {
		if source(p.Addr()) == from {
			n++
		}
	}
	return n
}

func (s *peerStore) sweep(now time.Time) {
	s.swept = now
	for h, peers := range s.hashes {
		for p, expires := range peers {
			if now.Before(expires) {
				continue
			}
			delete(peers, p)
			s.total--
			from := source(p.Addr())
			if s.ofIP[from]--; s.ofIP[from] == 0 {
				delete(s.ofIP, from)
			}
		}
		if len(peers) == 0 {
			delete(s.hashes, h)
		}
	}
}

// peers returns who announced h and has not expired, in random order.
func (s *peerStore) peers(h comntr.Hash, now time.Time) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []netip.AddrPort
	for p, expires := range s.hashes[h] {
		if now.Before(expires) {
			list = append(list, p)
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// GetPeers answers a get_peers query: a random choice of those who announced at
// us, and ourselves first where we announce that infohash. Nobody else can
// have told the asker of us when we are the only node it knows
// (TestLookupAtTheOnlyNode).
func (s *peerStore) GetPeers(peer_store.InfoHash) []krpc.NodeAddr {
	s.mu.Lock()
	h := s.asked
	s.mu.Unlock()
	list := s.peers(h, time.Now())
	limit := maxReturned4
	if s.v6 {
		limit = maxReturned6
	}
	s.mu.Lock()
	port, ours := s.own[h]
	asker := s.asker
	s.mu.Unlock()
	if ours {
		if a, ok := s.self(asker); ok && a.Is6() == s.v6 {
			list = append([]netip.AddrPort{netip.AddrPortFrom(a, port)}, list...)
		}
	}
	list = list[:min(len(list), limit)]
	out := make([]krpc.NodeAddr, 0, len(list))
	for _, p := range list {
		out = append(out, krpc.NodeAddr{IP: p.Addr().AsSlice(), Port: int(p.Port())})
	}
	return out
}
