package replica

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr/internal/measure"
	"github.com/comntr/comntr/internal/store"
)

// Counters are what replication did since it was made, with all servers
// together, and how it stands now. They are for who watches a server; nothing is
// decided by them.
type Counters struct {
	// RoundTime is in nanoseconds, of rounds that failed too.
	RoundTime            measure.Snapshot
	Rounds, FailedRounds uint64
	Nodes, Leaves        uint64 // folder nodes and comments fetched
	Bytes                uint64 // of these
	Missing              uint64 // of what servers named, what they did not give
	Created              uint64 // comments that were new here
	Events               uint64 // comments that servers told of
	LeftAlone            uint64 // how often a server was left alone for what it did
	Refused              []Refused
	Following            int // pairs of a server and a community
	Merged               int // of these, those of which all was here after the last round
}

// Refused counts what servers brought and was not taken.
type Refused struct {
	Reason string
	Count  uint64
}

// Why something that a server brought was not taken.
const (
	refusedInvalid = iota // it never becomes valid
	refusedSlot
	refusedGone
	refusedDenied
	refusedFull
	refusedBudget // that of a server which nobody named: it may be asked for later
	refusals
)

var refusedNames = [refusals]string{
	refusedInvalid: "invalid", refusedSlot: "slot-taken", refusedGone: "gone", refusedDenied: "denied", refusedFull: "full", refusedBudget: "budget",
}

// meter is what a Replica counts.
type meter struct {
	roundTime                     *measure.Histogram
	rounds, failedRounds          atomic.Uint64
	nodes, leaves, bytes, missing atomic.Uint64
	created, events, leftAlone    atomic.Uint64
	refused                       [refusals]atomic.Uint64
}

func newMeter() *meter { return &meter{roundTime: measure.New(measure.Durations()...)} }

// round counts a round that began then.
func (m *meter) round(began time.Time, res result, err error) {
	m.roundTime.Since(began)
	if err == nil {
		m.rounds.Add(1)
	} else {
		m.failedRounds.Add(1)
	}
	m.nodes.Add(uint64(res.nodes))
	m.leaves.Add(uint64(res.leavesGot))
	m.bytes.Add(uint64(res.took.bytes))
	m.missing.Add(uint64(res.missing))
	m.created.Add(uint64(res.created))
	m.refused[refusedInvalid].Add(uint64(res.invalid))
}

// named counts a comment that was fetched because an event named it.
func (m *meter) named(bytes int) {
	m.leaves.Add(1)
	m.bytes.Add(uint64(bytes))
}

func (m *meter) refuse(why int) { m.refused[why].Add(1) }

// judged counts a store's answer, where it is a refusal.
func (m *meter) judged(err error) {
	switch {
	case errors.Is(err, store.ErrSlotTaken):
		m.refuse(refusedSlot)
	case errors.Is(err, store.ErrGone):
		m.refuse(refusedGone)
	case errors.Is(err, store.ErrDenied):
		m.refuse(refusedDenied)
	case errors.Is(err, store.ErrFull):
		m.refuse(refusedFull)
	}
}

// Counters returns what was counted.
func (r *Replica) Counters() Counters {
	m := r.meter
	c := Counters{
		RoundTime: m.roundTime.Snapshot(), Rounds: m.rounds.Load(), FailedRounds: m.failedRounds.Load(),
		Nodes: m.nodes.Load(), Leaves: m.leaves.Load(), Bytes: m.bytes.Load(), Missing: m.missing.Load(),
		Created: m.created.Load(), Events: m.events.Load(), LeftAlone: m.leftAlone.Load(),
	}
	for i, name := range refusedNames {
		c.Refused = append(c.Refused, Refused{name, m.refused[i].Load()})
	}
	for _, s := range r.Status() {
		c.Following++
		if s.Merged {
			c.Merged++
		}
	}
	return c
}
