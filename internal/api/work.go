package api

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// MaxMinWork is the most work, in bits, that an operator may ask of every
// post: seconds for a program on all cores, half a minute and more for a page
// on a phone. Beyond it a server would keep people out, not floods.
const MaxMinWork = 24

// What strangers pay. A stranger is plain text, a key that this server does not
// know, and a key that it knows but that posts much.
const (
	// Posts come fast when strangers' posts, averaged over paceTime, are more
	// than fastAddrs addresses may make, and more than fastPace a second. Two
	// addresses, so that none alone can make all others pay.
	paceTime  = time.Minute
	fastAddrs = 2
	fastPace  = 1.0
	// fastWork is what strangers pay then, and a bit more for each doubling of
	// the pace, up to maxNewWork. Less than fastWork is no price: 2^16 hashes
	// take a program some ms. maxNewWork is reached at 64 times the pace, and
	// takes a page on a phone ten seconds; who has 10^8 hashes a second then
	// posts 24 times a second, from however many addresses.
	fastWork   = 16
	maxNewWork = 22
	// honourTime is how long a demand that was told is enough, though it has
	// grown meanwhile: who pays maxNewWork for a comment of 5 KB on two cores
	// needs 20 s on average.
	honourTime = 2 * time.Minute
)

// What makes a key known. It all is in memory: after a start all are strangers,
// which costs them something only while posts come fast.
const (
	// knownAfter is how old a key's first post must be: keys that are made for
	// a flood are not known during it.
	knownAfter = 10 * time.Minute
	// maxKnown keys are remembered, and one more gets known each knownEvery on
	// average, knownBurst at once. So to push out a key takes 7.5 days in which
	// it does not post, whatever others do and pay (TestKnownKeysArePushedOutSlowly).
	maxKnown   = 65536
	knownEvery = 10 * time.Second
	knownBurst = 60
	// A known key posts ownBurst at once and one each ownEvery as such. Above
	// that it pays as a stranger: else one key would be a pass for any flood.
	ownEvery = 10 * time.Second
	ownBurst = 20
	// maxWaiting keys are remembered that are not old enough. To push one out
	// before its time takes 109 posts a second, by then at 20 bits each.
	maxWaiting = 65536
)

// maxSpent is how many acts are remembered that have paid. One key can sign one
// act many times, and each is another file; but its work was paid once. (Who
// pays for more acts than that may use them twice. Threads show each once.)
const maxSpent = 65536

// toll decides what work a post must carry. The zero min and fast ask for
// none.
//
// The demand of strangers is a function of the pace alone, which only posts
// that were taken, and paid for, drive up; it never falls as the pace grows.
type toll struct {
	min  int     // bits of every post
	fast float64 // strangers' posts a second from which on they pay more; 0: never

	mu      sync.Mutex
	posts   float64 // strangers' that were taken, each worth e^-(age/paceTime)
	at      time.Time
	told    [MaxMinWork + 1]time.Time     // when a stranger was last judged by that many bits
	waiting *table[[32]byte, time.Time]   // when a key's first post was taken
	known   *table[[32]byte, bucket]      // what a key may still post as known
	getting bucket                        // keys that may get known
	spent   *table[[32]byte, comntr.Hash] // the file that an act's work was spent on
}

// newToll returns the toll of a server that takes rate posts a second and
// address. Without a rate there are no limits, and strangers pay what all pay.
func newToll(minWork int, rate float64) *toll {
	t := &toll{
		min:     min(max(minWork, 0), MaxMinWork),
		waiting: newTable[[32]byte, time.Time](maxWaiting),
		known:   newTable[[32]byte, bucket](maxKnown),
		getting: bucket{knownBurst, time.Now()},
		spent:   newTable[[32]byte, comntr.Hash](maxSpent),
	}
	if rate > 0 {
		t.fast = max(fastAddrs*rate, fastPace)
	}
	return t
}

// payer is what a toll looks at of a document.
type payer struct {
	id       comntr.Hash
	act, key [32]byte
	signed   bool
	work     int
}

func payerOf(d *comntr.Document) payer {
	return payer{id: d.ID(), act: d.Act(), key: d.Key(), signed: d.Signed(), work: d.Work()}
}

// enter lets a post pass or refuses it. Of what passed, leave must be told.
func (t *toll) enter(p payer) (stranger bool, refusal *comntr.Problem) {
	if t.min == 0 && t.fast == 0 {
		return false, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	need := t.min
	var own *bucket
	if t.fast > 0 {
		own = t.account(p, now)
		stranger = own == nil
	}
	if stranger {
		need = t.newWork(now)
		t.told[need] = now
	}
	if p.work < need && !(stranger && t.honours(p.work, now)) {
		return false, workNeeded(p, need, need > t.min)
	}
	if need > 0 {
		switch file := t.spent.use(p.act); {
		case file == nil:
			t.spent.add(p.act, p.id)
		case *file != p.id:
			return false, spentWork(need)
		}
	}
	// Counted before it is stored: many that come at once must not all find the
	// pace of before.
	if stranger {
		t.posts++
	} else if own != nil {
		own.tokens--
	}
	return stranger, nil
}

// leave is told what became of a post that passed: whether it was stored, and
// was new. What added nothing is not counted: else anybody could raise the
// demand by posting one comment again and again, or use up what a known key may
// post by posting what that key wrote.
func (t *toll) leave(p payer, stranger, created bool) {
	if t.fast == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	own := t.known.peek(p.key)
	switch {
	case created && stranger && p.signed && own == nil && t.waiting.peek(p.key) == nil:
		t.waiting.add(p.key, now)
	case created:
	case stranger:
		t.decay(now)
		t.posts = max(0, t.posts-1)
	case own != nil:
		own.tokens++
	}
}

// limits are what a hello says: the work of every post, and that of strangers
// now. It need not be noted as told: posts alone make the demand rise, and the
// first of them was judged by what the hello said, or by less.
func (t *toll) limits() (work, newWork int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.min, t.newWork(time.Now())
}

// account returns what a post's key may still post as known, nil where the
// post is a stranger's.
func (t *toll) account(p payer, now time.Time) *bucket {
	if !p.signed {
		return nil
	}
	own := t.known.use(p.key)
	if own == nil {
		first := t.waiting.peek(p.key)
		if first == nil || now.Sub(*first) < knownAfter {
			return nil
		}
		t.getting.fill(now, 1/knownEvery.Seconds(), knownBurst)
		if t.getting.tokens < 1 {
			return nil
		}
		t.getting.tokens--
		t.waiting.drop(p.key)
		own = t.known.add(p.key, bucket{ownBurst, now})
	}
	own.fill(now, 1/ownEvery.Seconds(), ownBurst)
	if own.tokens < 1 {
		return nil
	}
	return own
}

// newWork is what a stranger must pay now.
func (t *toll) newWork(now time.Time) int {
	t.decay(now)
	pace := t.posts / paceTime.Seconds()
	if t.fast == 0 || pace <= t.fast {
		return t.min
	}
	bits := max(fastWork, t.min+1) + int(math.Log2(pace/t.fast))
	return max(t.min, min(bits, maxNewWork))
}

func (t *toll) decay(now time.Time) {
	if d := now.Sub(t.at); d > 0 {
		t.posts *= math.Exp(-d.Seconds() / paceTime.Seconds())
		t.at = now
	}
}

// honours reports whether a stranger was lately told that this much work is
// enough.
func (t *toll) honours(work int, now time.Time) bool {
	for bits := t.min + 1; bits <= min(work, MaxMinWork); bits++ {
		if now.Sub(t.told[bits]) <= honourTime {
			return true
		}
	}
	return false
}

// workNeeded refuses a post that carries too little; fast is where strangers
// pay more than others.
func workNeeded(p payer, need int, fast bool) *comntr.Problem {
	of := "every comment"
	if fast {
		of = "comments of keys that it does not know well, while they come as fast as now"
	}
	has := fmt.Sprintf("and this one has %d: nothing was stored; sign it with a Nonce that gives %d", p.work, need)
	if !p.signed {
		has = "and plain text has none: nothing was stored; sign it with a key and a Nonce that gives them, as comntr post --anonymous does"
	}
	return needWork(need, "this server wants %d bits of work of %s, %s, or post to another server", need, of, has)
}

// spentWork refuses another file of an act that paid for one.
func spentWork(need int) *comntr.Problem {
	return needWork(need, "the work of this act was spent on another file of it, under another signature: nothing was stored; sign it with another Nonce that gives %d bits", need)
}

func needWork(bits int, format string, args ...any) *comntr.Problem {
	p := problem(http.StatusUnprocessableEntity, comntr.CodeWorkNeeded, format, args...)
	p.Work = bits
	return p
}
