package discover_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

func nobody(netip.Addr) (netip.Addr, bool) { return netip.Addr{}, false }

// ip4 is the i-th of distinct addresses.
func ip4(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x01000000+uint32(i))
	return netip.AddrFrom4(b)
}

func hash(i int) (h comntr.Hash) {
	binary.BigEndian.PutUint32(h[:], uint32(i))
	return h
}

func TestPeerStoreExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := discover.NewPeerStore(false, false, nobody)
		s.Add(reddit, ip4(1), 80)
		time.Sleep(30 * time.Minute)
		s.Add(reddit, ip4(2), 80)
		s.Add(reddit, ip4(2), 81) // the same machine, another server
		s.Add(reddit, ip4(2), 81)
		if n := len(s.Peers(reddit)); n != 3 {
			t.Errorf("%d peers", n)
		}
		time.Sleep(20 * time.Minute)
		if n := len(s.Get(ip4(1), reddit)); n != 2 {
			t.Errorf("%d peers after 50 min", n)
		}
		time.Sleep(time.Hour)
		s.Add(hash(1), ip4(3), 80)
		if s.Total() != 1 || s.Hashes() != 1 {
			t.Errorf("%d peers of %d infohashes are kept", s.Total(), s.Hashes())
		}
	})
}

func TestPeerStoreBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fill   func(s discover.PeerStore)
		peers  int // under reddit
		hashes int
		total  int
	}{
		"peers of an infohash": {func(s discover.PeerStore) {
			for i := range 3000 {
				s.Add(reddit, ip4(i), 80)
			}
		}, 1000, 1, 1000},
		"ports of an address": {func(s discover.PeerStore) {
			for i := range 100 {
				s.Add(reddit, ip4(1), 1000+i)
			}
		}, 16, 1, 16},
		"announces of an address": {func(s discover.PeerStore) {
			for i := range 3000 {
				s.Add(hash(i), ip4(1), 80)
			}
		}, 0, 1000, 1000},
		"infohashes": {func(s discover.PeerStore) {
			for i := range 30_000 {
				s.Add(hash(i), ip4(i), 80)
			}
		}, 0, 20_000, 20_000},
		"peers in all": {func(s discover.PeerStore) {
			for i := range 150 {
				for j := range 1000 {
					s.Add(hash(i), ip4(i<<10|j), 80)
				}
			}
		}, 0, 100, 100_000},
		"bad ports": {func(s discover.PeerStore) {
			for _, port := range []int{-1, 0, 65536, 1 << 40} {
				s.Add(reddit, ip4(1), port)
			}
		}, 0, 0, 0},
		"the other family": {func(s discover.PeerStore) { s.Add(reddit, netip.MustParseAddr("2001:db8::1"), 80) }, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := discover.NewPeerStore(false, false, nobody)
			c.fill(s)
			if len(s.Peers(reddit)) != c.peers || s.Hashes() != c.hashes || s.Total() != c.total {
				t.Errorf("%d peers, %d infohashes, %d in all; want %d, %d, %d",
					len(s.Peers(reddit)), s.Hashes(), s.Total(), c.peers, c.hashes, c.total)
			}
			if n := len(s.Get(ip4(1), reddit)); n > 100 {
				t.Errorf("an answer names %d", n)
			}
		})
	}
}

// A flood of others' infohashes leaves room for our own communities.
func TestPeerStoreOwnInfohashInAFlood(t *testing.T) {
	t.Parallel()
	s := discover.NewPeerStore(false, false, nobody)
	s.Own(reddit, 4080)
	for i := range 30_000 {
		s.Add(hash(i), ip4(i), 80)
	}
	s.Add(reddit, ip4(1<<20), 80)
	if len(s.Peers(reddit)) != 1 {
		t.Error("an announce of our own community was refused")
	}
}

func TestPeerStoreV6CountsBy64(t *testing.T) {
	t.Parallel()
	s := discover.NewPeerStore(true, false, nobody)
	a := netip.MustParseAddr("2a00:1:2:3::1")
	for range 200 {
		s.Add(reddit, a, 80)
		a = a.Next()
	}
	s.Add(reddit, netip.MustParseAddr("2a00:1:2:4::1"), 80)
	if n := len(s.Peers(reddit)); n != 17 {
		t.Errorf("%d peers", n)
	}
}

func TestPeerStoreNamesItself(t *testing.T) {
	t.Parallel()
	asker := netip.MustParseAddr("127.0.0.1")
	s := discover.NewPeerStore(false, false, func(a netip.Addr) (netip.Addr, bool) { return a, a == asker })
	s.Own(reddit, 4080)
	for i := range 200 {
		s.Add(reddit, ip4(i), 80)
	}
	if got := s.Get(asker, reddit); len(got) != 100 || got[0].String() != "127.0.0.1:4080" {
		t.Errorf("%d peers, %v first", len(got), got[0])
	}
	if got := s.Get(ip4(1), reddit); len(got) != 100 || got[0].Port != 80 {
		t.Errorf("%d peers, %v first", len(got), got[0])
	}
	s.Own(reddit, 0)
	if got := s.Get(asker, reddit); got[0].Port != 80 {
		t.Errorf("%v first, which is announced no more", got[0])
	}
}

func TestNextAnnounce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		took, tries int
		min, max    time.Duration
	}{
		"enough nodes":        {8, 0, 13 * time.Minute, 17 * time.Minute},
		"a small net":         {2, 0, 54 * time.Second, 66 * time.Second},
		"none, first":         {0, 1, 4 * time.Second, 6 * time.Second},
		"none, second":        {0, 2, 9 * time.Second, 11 * time.Second},
		"none, for long":      {0, 50, 4 * time.Minute, 330 * time.Second},
		"none, for very long": {0, 1 << 40, 4 * time.Minute, 330 * time.Second},
	} {
		spread := map[time.Duration]bool{}
		for range 200 {
			d := discover.NextAnnounce(now, c.took, c.tries).Sub(now)
			spread[d] = true
			if d < c.min || d > c.max {
				t.Fatalf("%s: %v", name, d)
			}
		}
		if len(spread) < 100 {
			t.Errorf("%s: no jitter", name)
		}
	}
}

func TestQueriesOfOneAddress(t *testing.T) {
	t.Parallel()
	if n := discover.Flood(ip4(1), 10_000); n != 50 {
		t.Errorf("%d answered in a second", n)
	}
}
