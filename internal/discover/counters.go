package discover

// Counters are whom the parts of this package know now, and how often they
// asked. They are for who watches a server; nothing is decided by them.

// BookCounters are those of a Book.
type BookCounters struct {
	Known   int    // addresses remembered, good or bad
	Working int    // servers that proved who they are and are used
	Asking  int    // that are asked for their hello now
	Proved  uint64 // hellos that were good, since the start
	Failed  uint64 // hellos that did not come
}

// Counters returns what was counted.
func (b *Book) Counters() BookCounters {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := BookCounters{Known: len(b.known), Asking: b.asking, Proved: b.proved, Failed: b.failed}
	for _, e := range b.known {
		if e.working {
			c.Working++
		}
	}
	return c
}

// Nodes is how many nodes of the DHT the routing tables of both families have.
func (d *DHT) Nodes() (n int) {
	for _, node := range d.nodes {
		n += node.count()
	}
	return n
}

// TrackerCounters are those of a Tracker.
type TrackerCounters struct {
	Sockets, Swarms, Peers int // now; Peers in all swarms, our own too
}

// Counters returns what was counted.
func (t *Tracker) Counters() TrackerCounters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := TrackerCounters{Sockets: len(t.sockets), Swarms: len(t.swarms)}
	for _, s := range t.swarms {
		c.Peers += len(s.ids)
	}
	return c
}

// RTCCounters are those of an RTC.
type RTCCounters struct {
	Open, Pending int    // connections now
	Opened        uint64 // connections that opened
	Busy          uint64 // offers for which there was no room
}

// Counters returns what was counted.
func (r *RTC) Counters() RTCCounters {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RTCCounters{Open: len(r.open), Pending: len(r.pending), Opened: r.everOpened, Busy: r.busy}
}
