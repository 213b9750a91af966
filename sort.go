package comntr

import (
	"cmp"
	"fmt"
	"math"
)

// Order is how a thread's top level is sorted. Replies are always oldest first.
type Order int

// The orders. In each, what is undated comes last among what is otherwise
// equal, and pinned comments come first.
const (
	Newest    Order = iota
	Oldest          // like replies
	Best            // by the lower bound of Wilson's interval over its votes
	Discussed       // by how many comments stand below it
)

var orderNames = [...]string{"newest", "oldest", "best", "discussed"}

// ParseOrder reads newest, oldest, best or discussed.
func ParseOrder(s string) (Order, error) {
	for i, name := range orderNames {
		if s == name {
			return Order(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no order: use newest, oldest, best or discussed", clip(s, 40))
}

func (o Order) String() string {
	if o < 0 || int(o) >= len(orderNames) {
		return fmt.Sprintf("Order(%d)", int(o))
	}
	return orderNames[o]
}

// compare orders the top level. It is total, so that no sorting algorithm can
// make two implementations differ.
func (o Order) compare(a, b *node) int {
	if x, y := a.first(), b.first(); x != y {
		if x {
			return -1
		}
		return 1
	}
	c := 0
	switch o {
	case Oldest:
		return a.compareOldest(&b.when)
	case Best:
		c = cmp.Or(cmp.Compare(wilson(b.up, b.down), wilson(a.up, a.down)), cmp.Compare(a.down, b.down))
	case Discussed:
		c = cmp.Compare(b.replies, a.replies)
	}
	return cmp.Or(c, a.compareNewest(&b.when))
}

// first: a pin does not lift what is not shown.
func (n *node) first() bool { return len(n.pinned) > 0 && len(n.hidden) == 0 && n.doc != nil }

// when is what comments are sorted by, if nothing else.
type when struct {
	date  int64 // seconds; meaningless if !dated
	dated bool
	id    Hash
}

func (a *when) compareOldest(b *when) int { return a.compare(b, 1) }
func (a *when) compareNewest(b *when) int { return a.compare(b, -1) }

// compare puts what is undated last, whatever the sign of the direction.
func (a *when) compare(b *when, sign int) int {
	if a.dated != b.dated {
		if a.dated {
			return -1
		}
		return 1
	}
	if a.dated && a.date != b.date {
		return sign * cmp.Compare(a.date, b.date)
	}
	return a.id.Compare(b.id)
}

// wilson is the lower bound of Wilson's 95 % interval for the share of up
// among all votes (Wilson, 1927), 0 if there is none:
//
//	(u + z^2/2 - z sqrt(u d / n + z^2/4)) / (n + z^2), z = 1.96
//
// Only + - * / and sqrt, which IEEE 754 rounds correctly, so that every
// machine and JavaScript get the same bits. Do not remove the conversions,
// because without them Go fuses x*y + z into one rounding on arm64
// (TestWilson).
func wilson(up, down int) float64 {
	if up == 0 {
		return 0
	}
	u, d := float64(up), float64(down)
	n := float64(u + d)
	spread := float64(float64(u*d) / n)
	root := math.Sqrt(float64(spread + 0.9604))
	low := float64(float64(u+1.9208) - float64(1.96*root))
	return float64(low / float64(n+3.8416))
}
