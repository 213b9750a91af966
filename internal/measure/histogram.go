// Package measure counts how long things take and how large they are.
//
// Its invariant: to observe is two atomic additions, without a lock, an
// allocation or a look-up, so that what is on the path of every request may do
// it. Who shows the figures, and in what format, is not known here.
package measure

import (
	"math"
	"sync/atomic"
	"time"
)

// maxBounds is how many bounds a Histogram may have: each is a line of every
// scrape, for each label.
const maxBounds = 32

// Histogram counts values by bounds that never change. Make one with New; it is
// safe for concurrent use.
type Histogram struct {
	bounds []int64 // ascending; a value counts under the first that is not less
	counts []atomic.Uint64
	sum    atomic.Int64
}

// New returns a Histogram of these bounds, ascending. It panics where they are
// not, or are too many, which is this program's own.
func New(bounds ...int64) *Histogram {
	if len(bounds) > maxBounds {
		panic("too many bounds")
	}
	for i := range bounds[1:] {
		if bounds[i] >= bounds[i+1] {
			panic("bounds that do not ascend")
		}
	}
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Exponential are n bounds, each factor times the one before.
func Exponential(first int64, factor float64, n int) []int64 {
	bounds := make([]int64, n)
	for i := range bounds {
		bounds[i] = int64(math.Round(float64(first) * math.Pow(factor, float64(i))))
	}
	return bounds
}

// Durations are the bounds of what takes 100 µs to 100 s, three a decade.
func Durations() []int64 {
	var bounds []int64
	for d := 100 * time.Microsecond; d < 100*time.Second; d *= 10 {
		bounds = append(bounds, int64(d), int64(d)*5/2, int64(d)*5)
	}
	return append(bounds, int64(100*time.Second))
}

// Observe counts a value. It is for what is cheap beside it: there are at most
// maxBounds bounds, and small values, which come most often, are found first.
func (h *Histogram) Observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

// Since counts the nanoseconds since start.
func (h *Histogram) Since(start time.Time) { h.Observe(int64(time.Since(start))) }

// Snapshot is what a Histogram counted up to now. While values are being
// observed Sum may have some that Counts has not, and the other way round.
type Snapshot struct {
	Bounds []int64  // not to be changed
	Counts []uint64 // one more than there are Bounds: the last is of what is above all of them
	Sum    int64
}

// Count is how many values there were.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Snapshot returns what was counted.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: h.sum.Load()}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}
