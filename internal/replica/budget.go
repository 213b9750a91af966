package replica

import (
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// Budget is what a peer that nobody named may bring in a day. It delays and
// never refuses: the rest comes the next day, or from another peer.
type Budget struct {
	Bytes  int64 // of comments fetched, valid or not
	Files  int   // comments fetched
	Topics int   // topics new to this server
}

// The budget where the operator gave none.
const (
	DefaultBytes  = 256 << 20
	DefaultFiles  = 50_000
	DefaultTopics = 5_000
	// maxDayNodeBytes bounds the folder nodes fetched from a peer in a day: an
	// ever-changing folder must not keep our line busy.
	maxDayNodeBytes = 1 << 30

	day = 24 * time.Hour
)

func (b Budget) withDefaults() Budget {
	if b.Bytes <= 0 {
		b.Bytes = DefaultBytes
	}
	if b.Files <= 0 {
		b.Files = DefaultFiles
	}
	if b.Topics <= 0 {
		b.Topics = DefaultTopics
	}
	return b
}

// window is what one address brought in the present day of its own: it begins
// with the first thing taken and ends 24 h later.
type window struct {
	unlimited bool
	limit     Budget
	now       func() time.Time

	mu    sync.Mutex
	start time.Time
	used  Budget // Topics: those charged that are no longer in topics
	// topics are those charged, so that one whose comments do not come is not
	// charged again in each round.
	topics map[comntr.Hash]bool
	beyond int // topics of these that the budget had no room for, and readers wanted
	nodes  int64
	full   bool // a comment was refused
}

// budgetAddress is what budgets are kept by: the address and not the key,
// because a key costs nothing. Servers at one public address share a budget,
// and so do those of one IPv6 /64. On private addresses the port counts too:
// whoever allows them knows his own network.
func budgetAddress(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return origin
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return u.Hostname()
	}
	if !(comntr.Guard{}).Allow(a) {
		return u.Host
	}
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// roll begins a new day where the last one is over; w.mu is held.
func (w *window) roll() {
	now := w.now()
	if w.start.IsZero() || now.Sub(w.start) >= day || now.Before(w.start) {
		w.start, w.used, w.topics = now, Budget{}, make(map[comntr.Hash]bool)
		w.beyond, w.nodes, w.full = 0, 0, false
	}
}

// takeTopic charges a new topic if the budget has it, or if readers want it.
func (w *window) takeTopic(topic comntr.Hash, wanted bool) bool {
	if w.unlimited {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll()
	if !w.topics[topic] && w.used.Topics+len(w.topics) >= w.limit.Topics {
		if !wanted || w.beyond >= maxWanted {
			return false
		}
		w.beyond++
	}
	w.topics[topic] = true
	return true
}

// takeFile charges one comment of n bytes if the budget has it.
func (w *window) takeFile(n int) bool {
	if w.unlimited {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll()
	if w.full = w.full || w.used.Files >= w.limit.Files || w.used.Bytes+int64(n) > w.limit.Bytes; w.full {
		return false
	}
	w.used.Files++
	w.used.Bytes += int64(n)
	return true
}

// files returns how many comments may still be asked for.
func (w *window) files() int {
	if w.unlimited {
		return chunk
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll()
	if w.full {
		return 0
	}
	return w.limit.Files - w.used.Files
}

// takeNode charges a folder node's n bytes if the budget has them.
func (w *window) takeNode(n int) bool {
	if w.unlimited {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll()
	w.nodes += int64(n)
	return w.nodes <= maxDayNodeBytes
}

// over reports whether the day is over, or nothing was taken in it.
func (w *window) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.start.IsZero() || w.now().Sub(w.start) >= day
}

// shrink forgets which topics were charged, and not how many: windows are kept
// of far more addresses than there are servers followed.
func (w *window) shrink() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.topics) > 0 {
		w.used.Topics += len(w.topics)
		w.topics = make(map[comntr.Hash]bool)
	}
}

// until is when the present day ends.
func (w *window) until() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll()
	return w.start.Add(day)
}
