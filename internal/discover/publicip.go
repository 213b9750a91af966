package discover

import "net/netip"

// Bounds of learning the own public address.
const (
	maxVotes = 16 // the newest replies that count, one for each neighbourhood
	minVotes = 3  // neighbourhoods that must agree before anything is believed
)

// neighbourhood is the part of the internet that one operator can be taken to
// hold: a /16 of IPv4, a /32 of IPv6. Limits on strangers count by it.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 16
	if a.Is6() {
		bits = 32
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

type vote struct {
	from netip.Prefix
	says netip.Addr
}

// votes learns the public address from the `ip` of DHT replies (BEP 42): the
// one that more than half of the newest maxVotes replies name, of which each
// neighbourhood has one, and at least minVotes of them. A liar with one network
// has one vote; an address that changed wins within a lookup or two.
type votes struct{ ring []vote }

// add counts a reply and returns the address agreed upon, invalid while there
// is none.
func (v *votes) add(from, says netip.Addr) netip.Addr {
	group := neighbourhood(from)
	for i := range v.ring {
		if v.ring[i].from == group {
			v.ring = append(v.ring[:i], v.ring[i+1:]...)
			break
		}
	}
	if len(v.ring) >= maxVotes {
		v.ring = v.ring[1:]
	}
	v.ring = append(v.ring, vote{group, says})
	count := map[netip.Addr]int{}
	for _, e := range v.ring {
		count[e.says]++
	}
	for a, n := range count {
		if n >= minVotes && 2*n > len(v.ring) {
			return a
		}
	}
	return netip.Addr{}
}
