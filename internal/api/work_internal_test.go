package api

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
)

// payers makes posts that differ in all but their work.
type payers uint64

func (n *payers) plain() payer {
	*n++
	var p payer
	binary.BigEndian.PutUint64(p.id[:], uint64(*n))
	return p
}

func (n *payers) of(key byte, work int) payer {
	p := n.plain()
	p.signed, p.work = true, work
	p.key[0] = key
	binary.BigEndian.PutUint64(p.act[:], uint64(*n))
	return p
}

func (n *payers) stranger(work int) payer {
	p := n.of(0, work)
	binary.BigEndian.PutUint64(p.key[8:], uint64(*n))
	return p
}

// take is a post that is stored if it passes; the demand where it does not.
func take(t *toll, p payer) (refused int) {
	stranger, refusal := t.enter(p)
	if refusal != nil {
		return refusal.Work
	}
	t.leave(p, stranger, true)
	return 0
}

// rush lets strangers who pay enough post until the pace is that many times
// the one from which on posts come fast.
func rush(tl *toll, n *payers, times float64) {
	for range int(math.Ceil(times * tl.fast * paceTime.Seconds())) {
		take(tl, n.stranger(comntr.MaxWork))
	}
}

func TestMinWork(t *testing.T) {
	var n payers
	for _, c := range []struct{ asked, min int }{{-1, 0}, {0, 0}, {10, 10}, {24, 24}, {25, 24}} {
		tl := newToll(c.asked, 0)
		if work, newWork := tl.limits(); work != c.min || newWork != c.min {
			t.Errorf("--min-work %d: %d and %d are told", c.asked, work, newWork)
		}
		rush(tl, &n, 100)
		if got := take(tl, n.of(1, c.min)); got != 0 {
			t.Errorf("--min-work %d: %d bits are refused, %d wanted", c.asked, c.min, got)
		}
		if c.min == 0 {
			continue
		}
		if got := take(tl, n.of(1, c.min-1)); got != c.min {
			t.Errorf("--min-work %d: of %d bits %d are wanted", c.asked, c.min-1, got)
		}
		if got := take(tl, n.plain()); got != c.min {
			t.Errorf("--min-work %d: of plain text %d are wanted", c.asked, got)
		}
	}
}

// The demand by the pace: a bit for each doubling, and never less for more.
func TestStrangersPayByThePace(t *testing.T) {
	for _, c := range []struct {
		min  int
		want []int // at the pace from which on posts come fast, and each doubling of it
	}{
		{0, []int{16, 17, 18, 19, 20, 21, 22, 22, 22}},
		{10, []int{16, 17, 18, 19, 20, 21, 22, 22, 22}},
		{18, []int{19, 20, 21, 22, 22}},
		{22, []int{22, 22, 22}},
		{24, []int{24, 24, 24}},
	} {
		synctest.Test(t, func(t *testing.T) {
			tl, n := newToll(c.min, 2), payers(0)
			rush(tl, &n, 1)
			if _, got := tl.limits(); got != c.min {
				t.Errorf("min %d: at the pace itself %d are wanted", c.min, got)
			}
			last := c.min
			for i, want := range c.want {
				take(tl, n.stranger(comntr.MaxWork))
				_, got := tl.limits()
				if got != want {
					t.Errorf("min %d: at 2^%d times the pace %d are wanted, not %d", c.min, i, got, want)
				}
				for range int(tl.posts) {
					take(tl, n.stranger(comntr.MaxWork))
					_, got := tl.limits()
					if got < last {
						t.Fatalf("min %d: the demand fell from %d to %d as the pace grew", c.min, last, got)
					}
					last = got
				}
			}
			time.Sleep(time.Duration(math.Log(512)*float64(paceTime)) + time.Second)
			if _, got := tl.limits(); got != c.min {
				t.Errorf("min %d: after a rest %d are wanted", c.min, got)
			}
			if got := take(tl, n.stranger(c.min)); got != 0 {
				t.Errorf("min %d: after a rest a stranger must pay %d", c.min, got)
			}
		})
	}
}

func TestOneAddressRaisesNothing(t *testing.T) {
	for _, rate := range []float64{0.001, 0.1, 0.5, 1, 2, 20} {
		synctest.Test(t, func(t *testing.T) {
			tl, l, n := newToll(0, rate), newLimiter(rate), payers(0)
			for start := time.Now(); time.Since(start) < 5*time.Minute; {
				if wait := l.post(alice); wait > 0 {
					time.Sleep(wait)
				} else if got := take(tl, n.plain()); got != 0 {
					t.Fatalf("rate %v: one address alone made all others pay %d bits", rate, got)
				}
			}
		})
	}
}

func TestKnownKeysPayTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl, n := newToll(4, 2), payers(0)
		if take(tl, n.of(1, 4)) != 0 || take(tl, n.of(2, 3)) == 0 || take(tl, n.of(3, 4)) != 0 {
			t.Fatal("calm: 4 bits are enough")
		}
		failed := n.of(4, 4)
		stranger, _ := tl.enter(failed)
		tl.leave(failed, stranger, false)
		time.Sleep(knownAfter - time.Second)
		rush(tl, &n, 1.5)
		if got := take(tl, n.of(1, 4)); got != 16 {
			t.Errorf("too early: %d bits are wanted", got)
		}
		time.Sleep(time.Second)
		if got := take(tl, n.of(1, 4)); got != 0 {
			t.Errorf("a key known for ten minutes pays %d", got)
		}
		if got := take(tl, n.of(1, 3)); got != 4 {
			t.Errorf("of a known key's 3 bits %d are wanted", got)
		}
		for key, why := range map[byte]string{2: "of which a post was refused", 4: "of which a post was not stored", 5: "never seen"} {
			if got := take(tl, n.of(key, 4)); got != 16 {
				t.Errorf("a key %s pays %d", why, got)
			}
		}
		if got := take(tl, n.plain()); got != 16 {
			t.Errorf("plain text pays %d", got)
		}
		time.Sleep(30 * 24 * time.Hour)
		rush(tl, &n, 1.5)
		if take(tl, n.of(1, 4)) != 0 || take(tl, n.of(3, 4)) != 0 {
			t.Error("a key was forgotten though there is room")
		}
	})
}

func TestKnownKeyIsNoPassForAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl, n := newToll(0, 2), payers(0)
		take(tl, n.of(1, 0))
		time.Sleep(knownAfter)
		rush(tl, &n, 1.5)
		posts := tl.posts
		for i := range ownBurst {
			if got := take(tl, n.of(1, 0)); got != 0 {
				t.Fatalf("post %d of a known key pays %d", i, got)
			}
		}
		if tl.posts != posts {
			t.Error("a known key's posts count as strangers'")
		}
		if got := take(tl, n.of(1, 0)); got != 16 {
			t.Errorf("above its burst a known key pays %d", got)
		}
		if take(tl, n.of(1, 16)); tl.posts != posts+1 {
			t.Error("above its burst a known key's posts count for nothing")
		}
		if tl.waiting.peek([32]byte{1}) != nil {
			t.Error("a known key waits to get known")
		}
		time.Sleep(ownEvery)
		rush(tl, &n, 1.5)
		if take(tl, n.of(1, 0)) != 0 || take(tl, n.of(1, 0)) == 0 {
			t.Error("not one more post for each 10 s")
		}
	})
}

func TestKnownKeysArePushedOutSlowly(t *testing.T) {
	if d := (maxKnown - knownBurst) * knownEvery; d < 7*24*time.Hour {
		t.Errorf("a key can be pushed out within %v", d)
	}
	synctest.Test(t, func(t *testing.T) {
		tl, n := newToll(0, 2), payers(0)
		tl.known.max = knownBurst
		tl.fast = 1000
		for key := range byte(knownBurst + 3) {
			take(tl, n.of(key, 0))
		}
		time.Sleep(knownAfter)
		for key := range byte(knownBurst + 3) { // key 0 is the one not seen for longest
			take(tl, n.of(key, 0))
		}
		known := func(key byte) bool { return tl.known.peek([32]byte{key}) != nil }
		if len(tl.known.entries) != knownBurst || !known(0) || known(knownBurst) {
			t.Fatalf("%d keys got known at once", len(tl.known.entries))
		}
		time.Sleep(knownEvery)
		take(tl, n.of(0, 0)) // is seen, so that key 1 is the one now
		take(tl, n.of(knownBurst, 0))
		take(tl, n.of(knownBurst+1, 0))
		if !known(0) || known(1) || !known(knownBurst) || known(knownBurst+1) || len(tl.known.entries) != knownBurst {
			t.Error("not one more key for each 10 s, in the place of the one not seen for longest")
		}
	})
}

// Others can post again what a known key wrote: that must not use up what the
// key may post.
func TestReplaysDoNotUseUpAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl, n := newToll(4, 2), payers(0)
		take(tl, n.of(1, 4))
		time.Sleep(knownAfter)
		rush(tl, &n, 1.5)
		for range 10 * ownBurst {
			p := n.of(1, 4)
			stranger, refusal := tl.enter(p)
			if stranger || refusal != nil {
				t.Fatalf("a replay made the key a stranger: %v", refusal)
			}
			tl.leave(p, stranger, false)
			if got := take(tl, n.of(1, 3)); got != 4 { // of before the server asked for more
				t.Fatalf("of 3 bits %d are wanted", got)
			}
		}
		for i := range ownBurst + 1 {
			if got := take(tl, n.of(1, 4)); (got == 0) != (i < ownBurst) {
				t.Fatalf("post %d of the key: %d are wanted", i, got)
			}
		}
	})
}

func TestTollTablesAreBounded(t *testing.T) {
	tl, n := newToll(1, 2), payers(0)
	if tl.waiting.max != 65536 || tl.known.max != 65536 || tl.spent.max != 65536 {
		t.Errorf("%d, %d and %d are remembered", tl.waiting.max, tl.known.max, tl.spent.max)
	}
	tl.waiting.max, tl.spent.max = 100, 100
	for range 1000 {
		take(tl, n.stranger(comntr.MaxWork))
		if len(tl.waiting.entries) > 100 || len(tl.spent.entries) > 100 {
			t.Fatalf("%d keys wait, %d acts are spent", len(tl.waiting.entries), len(tl.spent.entries))
		}
	}
}

func TestDemandIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl, n := newToll(0, 2), payers(0)
		rush(tl, &n, 1.9)
		if _, told := tl.limits(); told != 16 {
			t.Fatalf("told %d", told)
		}
		rush(tl, &n, 40) // 21 bits and more
		time.Sleep(honourTime / 2)
		rush(tl, &n, 40)
		for work, ok := range map[int]bool{0: false, 15: false, 16: true, 17: true, 21: true} {
			if got := take(tl, n.stranger(work)); (got == 0) != ok {
				t.Errorf("%d bits, a minute after 16 were told: %d are wanted", work, got)
			}
		}
		time.Sleep(honourTime/2 + time.Second)
		rush(tl, &n, 40)
		if got := take(tl, n.stranger(16)); got < 21 {
			t.Errorf("16 bits, long after 16 were told: %d are wanted", got)
		}
	})
}

// One who can hash pays as he is told, as often as he can, for an hour.
func TestFloodSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hashes = 1e6 // a second
		tl, n := newToll(0, 2), payers(0)
		budget, taken, refused := 0.0, 0, 0
		least, most := math.MaxInt, 0
		for second := range 3600 {
			_, bits := tl.limits()
			for budget = min(budget, hashes) + hashes; bits > 0 && budget >= math.Exp2(float64(bits)); budget -= math.Exp2(float64(bits)) {
				if take(tl, n.stranger(bits)) != 0 {
					refused++
				} else if second >= 1800 {
					taken++
				}
			}
			for i := 0; i < 1000 && bits == 0; i++ {
				take(tl, n.stranger(0))
				_, bits = tl.limits()
			}
			if second >= 1800 {
				least, most = min(least, bits), max(most, bits)
			}
		}
		if refused > 0 {
			t.Errorf("%d that paid as told were refused", refused)
		}
		// hashes = pace * 2^16 * pace/fast
		if pace, want := float64(taken)/1800, math.Sqrt(hashes*tl.fast/(1<<fastWork)); pace > 1.5*want {
			t.Errorf("%.1f posts a second are taken, not about %.1f", pace, want)
		}
		if most-least > 1 {
			t.Errorf("the demand goes between %d and %d bits", least, most)
		}
	})
}

func TestWorkIsSpentOnce(t *testing.T) {
	tl, n := newToll(10, 0), payers(0)
	p := n.of(1, 10)
	again := p // signed once more: another file
	again.id[0] = 1
	for range 2 { // the same file may come twice
		if got := take(tl, p); got != 0 {
			t.Fatalf("%d are wanted", got)
		}
	}
	_, refusal := tl.enter(again)
	if refusal == nil || refusal.Work != 10 || !strings.Contains(refusal.Detail, "another Nonce that gives 10 bits") {
		t.Errorf("the same act in another file: %+v", refusal)
	}
	if tl := newToll(0, 2); take(tl, p) != 0 || take(tl, again) != 0 {
		t.Error("where nothing is wanted nothing is spent")
	}
}

func TestWhatIsNotStoredDoesNotCount(t *testing.T) {
	tl, n := newToll(0, 2), payers(0)
	for range 10000 {
		p := n.plain()
		stranger, refusal := tl.enter(p)
		if refusal != nil {
			t.Fatal("posts that added nothing made all others pay")
		}
		tl.leave(p, stranger, false)
	}
}
