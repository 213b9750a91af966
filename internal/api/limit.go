package api

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds per client address; an IPv6 client is its /64, because that is the
// least that one customer is given.
const (
	// maxAddrs is how many addresses' buckets are remembered, about 200 bytes
	// each. The one not seen for longest is forgotten, which gives it full
	// buckets again: less harm than sharing one among all newcomers.
	maxAddrs = 65536
	// minBurst and burstSeconds: an address may post max(10, 10 s of its rate)
	// at once.
	minBurst     = 10
	burstSeconds = 10
	// byteRate and byteBurst bound what an address makes the server read or
	// send: CARs, blocks and posted bytes.
	byteRate  = 8 << 20 // bytes a second
	byteBurst = 256 << 20
)

// limiter holds two token buckets for each client address: posts and bytes. A
// nil limiter limits nothing.
type limiter struct {
	rate, burst float64 // posts

	mu    sync.Mutex
	addrs *table[netip.Addr, client]
}

type client struct{ posts, bytes bucket }

// bucket is a token bucket that may be overdrawn: then it must fill up to
// above zero again before anything more is given.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) fill(now time.Time, rate, burst float64) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(burst, b.tokens+rate*d.Seconds())
		b.at = now
	}
}

// wait is how long it takes until n tokens are there.
func (b *bucket) wait(n, rate float64) time.Duration {
	if b.tokens >= n {
		return 0
	}
	return time.Duration((n - b.tokens) / rate * float64(time.Second))
}

// newLimiter returns a limiter of rate posts a second and address, nil for 0.
func newLimiter(rate float64) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{
		rate:  rate,
		burst: max(minBurst, burstSeconds*rate),
		addrs: newTable[netip.Addr, client](maxAddrs),
	}
}

// post takes one post from the address's bucket. It returns how long to wait
// where there is none, and then takes nothing.
func (l *limiter) post(addr netip.Addr) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.client(addr, time.Now())
	wait := c.posts.wait(1, l.rate)
	if wait == 0 {
		c.posts.tokens--
	}
	return wait
}

// ready returns how long the address must wait before it may use bytes.
func (l *limiter) ready(addr netip.Addr) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client(addr, time.Now()).bytes.wait(1, byteRate)
}

// spend takes n bytes from the address's bucket, overdrawing it if need be.
func (l *limiter) spend(addr netip.Addr, n int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client(addr, time.Now()).bytes.tokens -= float64(n)
}

// client returns the address's buckets, filled up to now.
func (l *limiter) client(addr netip.Addr, now time.Time) *client {
	c := l.addrs.use(addr)
	if c == nil {
		return l.addrs.add(addr, client{
			posts: bucket{l.burst, now},
			bytes: bucket{byteBurst, now},
		})
	}
	c.posts.fill(now, l.rate, l.burst)
	c.bytes.fill(now, byteRate, byteBurst)
	return c
}

// gauge bounds what is under way at once, in all and for each address.
type gauge struct {
	max, each int // each 0: no bound for one address

	mu    sync.Mutex
	total int
	addrs map[netip.Addr]int
}

func newGauge(max, each int) *gauge {
	return &gauge{max: max, each: each, addrs: map[netip.Addr]int{}}
}

// enter reports whether there is a place; then leave must follow.
func (g *gauge) enter(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.max || g.each > 0 && g.addrs[addr] >= g.each {
		return false
	}
	g.total++
	g.addrs[addr]++
	return true
}

func (g *gauge) leave(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.addrs[addr]--; g.addrs[addr] == 0 {
		delete(g.addrs, addr)
	}
}

// clientAddr is the address that a connection's limits go by: IPv4, or the
// first of an IPv6 /64. It is the zero Addr where remote is no IP address.
func clientAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
