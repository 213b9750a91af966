package api

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

func TestPostsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2)
		for i := range 20 { // 10 s of the rate
			if wait := l.post(alice); wait != 0 {
				t.Fatalf("post %d waits %v", i, wait)
			}
		}
		if wait := l.post(alice); wait != 500*time.Millisecond {
			t.Fatalf("post 21 waits %v", wait)
		}
		if wait := l.post(bob); wait != 0 {
			t.Fatalf("another address waits %v", wait)
		}
		time.Sleep(500 * time.Millisecond)
		if wait := l.post(alice); wait != 0 {
			t.Fatalf("after waiting as told: %v", wait)
		}
		time.Sleep(time.Hour)
		for i := range 20 {
			if l.post(alice) != 0 {
				t.Fatalf("an idle hour gives %d posts", i)
			}
		}
		if l.post(alice) == 0 {
			t.Fatal("an idle hour gives more than the burst")
		}
	})
	if l := newLimiter(0.1); l.burst != minBurst {
		t.Errorf("the burst of a low rate is %v", l.burst)
	}
}

func TestBytesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		l.spend(alice, byteBurst-1)
		if wait := l.ready(alice); wait != 0 {
			t.Fatalf("within the burst: wait %v", wait)
		}
		l.spend(alice, 1+2*byteRate) // the last answer may overdraw
		wait := l.ready(alice)
		if wait < 2*time.Second || wait > 2*time.Second+time.Millisecond {
			t.Fatalf("overdrawn by 2 s: wait %v", wait)
		}
		if l.ready(bob) != 0 {
			t.Fatal("another address waits")
		}
		time.Sleep(wait + time.Microsecond)
		if wait := l.ready(alice); wait != 0 {
			t.Fatalf("after waiting as told: %v", wait)
		}
	})
}

func TestNoRateNoLimits(t *testing.T) {
	l := newLimiter(0)
	l.spend(alice, 1<<40)
	for range 1000 {
		if l.post(alice) != 0 || l.ready(alice) != 0 {
			t.Fatal("limited")
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	l := newLimiter(1)
	if l.addrs.max != 65536 {
		t.Errorf("max is %d", l.addrs.max)
	}
	l.addrs.max = 100
	for i := range uint32(1000) {
		l.post(alice) // stays, because it is always among the last seen
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x0a000000+i)
		l.post(netip.AddrFrom4(b))
		n := 0
		for e := l.addrs.newest; e != nil; e = e.older {
			n++
		}
		if n != len(l.addrs.entries) || n > l.addrs.max {
			t.Fatalf("%d in the list, %d in the table", n, len(l.addrs.entries))
		}
	}
	if l.post(alice) == 0 {
		t.Error("an address that posts all the time was forgotten")
	}
}

func TestGauge(t *testing.T) {
	g := newGauge(3, 2)
	for _, want := range []bool{true, true, false} {
		if g.enter(alice) != want {
			t.Error("two of one address may enter")
		}
	}
	if !g.enter(bob) || g.enter(bob) {
		t.Error("three may enter")
	}
	g.leave(alice)
	if !g.enter(bob) {
		t.Error("a place was not given back")
	}
	g.leave(alice)
	g.leave(bob)
	g.leave(bob)
	if g.total != 0 || len(g.addrs) != 0 {
		t.Errorf("%d, %v are left", g.total, g.addrs)
	}
	free := newGauge(100, 0)
	for range 100 {
		if !free.enter(alice) {
			t.Fatal("one address is limited")
		}
	}
	if free.enter(bob) {
		t.Error("no limit in all")
	}
}

func TestClientAddr(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:4080":                 "192.0.2.1",
		"[::ffff:192.0.2.1]:4080":        "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:4080":    "2001:db8:1:2::",
		"[2001:db8:1:2:ffff::1%eth0]:80": "2001:db8:1:2::",
		"[2001:db8:1:3::]:4080":          "2001:db8:1:3::",
		"pipe":                           "invalid IP",
		"":                               "invalid IP",
	} {
		if got := clientAddr(remote).String(); got != want {
			t.Errorf("clientAddr(%q) = %s, want %s", remote, got, want)
		}
	}
}
