package discover

import (
	"context"
	"math/rand/v2"
	"net/netip"

	"github.com/comntr/comntr"
)

// swarm is who announces one infohash. The Tracker's lock guards it.
type swarm struct {
	hash comntr.Hash
	ids  map[PeerID]*peer
	// The peers by what they are worth to a newcomer: those of this process,
	// seeds, the others.
	ranks [ranks][]*peer
}

const (
	rankLocal = iota
	rankSeed
	rankLeecher
	ranks
)

// peer is one member of a swarm: a socket's, or one of this process.
type peer struct {
	id     PeerID
	swarm  *swarm
	socket *webSocket // nil: local is set
	local  *localPeer // nil: socket is set
	rank   int
	at     int // index in its rank
}

func (s *swarm) add(p *peer, rank int) {
	s.ids[p.id] = p
	s.rank(p, rank)
}

func (s *swarm) rank(p *peer, rank int) {
	p.rank, p.at = rank, len(s.ranks[rank])
	s.ranks[rank] = append(s.ranks[rank], p)
}

// move gives p another rank.
func (s *swarm) move(p *peer, rank int) {
	if p.rank != rank {
		s.unrank(p)
		s.rank(p, rank)
	}
}

func (s *swarm) remove(p *peer) {
	delete(s.ids, p.id)
	s.unrank(p)
}

func (s *swarm) unrank(p *peer) {
	list := s.ranks[p.rank]
	last := len(list) - 1
	s.swap(p.rank, p.at, last)
	list[last] = nil
	s.ranks[p.rank] = list[:last]
}

func (s *swarm) swap(rank, i, j int) {
	list := s.ranks[rank]
	list[i], list[j] = list[j], list[i]
	list[i].at, list[j].at = i, j
}

func (s *swarm) complete() int   { return len(s.ranks[rankLocal]) + len(s.ranks[rankSeed]) }
func (s *swarm) incomplete() int { return len(s.ranks[rankLeecher]) }

// choose returns up to n peers to pass offers of from on to, each at most
// once: those of this process, then seeds, then the others, in each rank at
// random and of each address one first, so that no single stranger with many
// seeds gets all offers. Peers that cannot take an offer now are left out.
//
// Seeds come first because what is wanted is a server or a page that has the
// comments: by chance alone, a server among 40 idle readers is hardly ever hit
// (TestTrackerSeedsFirst).
func (s *swarm) choose(n int, from *peer) []*peer {
	var chosen []*peer
	addrs := map[netip.Prefix]bool{}
	for rank, list := range s.ranks {
		var again []*peer
		for i := 0; i < len(list) && len(chosen) < n; i++ {
			s.swap(rank, i, i+rand.IntN(len(list)-i))
			p := list[i]
			switch {
			case p.socket == from.socket || !p.free(from.socket.addr):
			case p.local != nil:
				chosen = append(chosen, p)
			case addrs[p.socket.addr]:
				if len(again) < n {
					again = append(again, p)
				}
			default:
				addrs[p.socket.addr] = true
				chosen = append(chosen, p)
			}
		}
		chosen = append(chosen, again[:min(len(again), n-len(chosen))]...)
	}
	return chosen
}

// free reports whether the peer can take an offer that comes from addr.
func (p *peer) free(addr netip.Prefix) bool {
	if p.local != nil {
		return p.local.places.free(addr)
	}
	return p.socket.free()
}

// Offer is a stranger's wish for a WebRTC connection, that a tracker passed on.
type Offer struct {
	// Infohash is the swarm that it was made in.
	Infohash comntr.Hash
	// PeerID is what its maker calls itself, which proves nothing.
	PeerID PeerID
	// SDP is its session description, at most 16 KiB that nobody has looked
	// into. The addresses in it are a stranger's: see comntr.Guard.
	SDP string
	// From is the address that it came from, or the zero Addr where it came by
	// somebody else's tracker. Tracker is that tracker's URL, "" for our own.
	From    netip.Addr
	Tracker string
}

// Answerer answers an offer with a session description, which has all its
// candidates because there is no second message, or not at all. It is called
// in a goroutine of its own, of which there are few at once; ctx ends when an
// answer would come too late.
type Answerer func(ctx context.Context, o Offer) (sdp string, ok bool)

// localPeer is a member of a swarm in this process.
type localPeer struct {
	answer Answerer
	places *room // answers being made
}
