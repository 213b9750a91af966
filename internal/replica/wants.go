package replica

import (
	"slices"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/comntr/comntr"
)

// wants are the topics of a community that this server's own readers asked for
// last. What peers have of them comes first.
type wants struct {
	topics *lru.Cache[comntr.Hash, struct{}]
	// lacking counts how often a topic came in that is not here: whoever
	// remembers the number of his last look sees whether to look again.
	lacking atomic.Uint64
}

func newWants() wants {
	topics, _ := lru.New[comntr.Hash, struct{}](maxWanted) // fails for a size below 1 only
	return wants{topics: topics}
}

// add notes that a topic was asked for; it reports whether it came in.
func (w *wants) add(topic comntr.Hash) bool {
	if _, known := w.topics.Get(topic); known {
		return false
	}
	w.topics.Add(topic, struct{}{})
	return true
}

func (w *wants) has(topic comntr.Hash) bool { return w.topics.Contains(topic) }

// Want says that a reader of this server asked for a topic: what peers have of
// it comes before all else, and a stranger's budget of new topics does not keep
// it away. Where it is not here, a round with each peer that has more than we
// do comes soon. It is cheap, and may be called from any goroutine.
func (r *Replica) Want(community, topic comntr.Hash) {
	for _, c := range r.communities {
		if c.hash == community && !c.store.Denied(topic) && c.wants.add(topic) {
			if _, held := c.store.TopicSeq(topic); !held {
				c.wants.lacking.Add(1) // before the links are looked at: see link.after
				r.lookSoon(community)
			}
		}
	}
}

// lookSoon asks for a round with each peer of a community whose last one left
// something. Of the others all is here, and what they get is told by events.
func (r *Replica) lookSoon(community comntr.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, l := range r.links {
		if key.community == community && l.left.Load() {
			l.walkSoon()
		}
	}
}

// sought are a community's wanted topics as a round began with them.
type sought struct {
	topics map[comntr.Hash]bool
	slots  []uint64 // of topics, sorted
}

func (w *wants) now() sought {
	s := sought{topics: make(map[comntr.Hash]bool)}
	for _, topic := range w.topics.Keys() {
		s.topics[topic] = true
		s.slots = append(s.slots, topic.Slot())
	}
	slices.Sort(s.slots)
	return s
}

// below reports whether a topic that is sought can stand below the shard of
// that path.
func (s sought) below(path []uint8) bool {
	var least uint64
	for _, index := range path {
		least = least<<8 | uint64(index)
	}
	shift := 8 * (comntr.MaxDepth - len(path))
	least <<= shift
	i, _ := slices.BinarySearch(s.slots, least)
	return i < len(s.slots) && s.slots[i]>>shift == least>>shift
}
