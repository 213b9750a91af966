package measure_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/comntr/comntr/internal/measure"
)

func TestHistogram(t *testing.T) {
	h := measure.New(10, 20, 40)
	for _, v := range []int64{-1, 0, 10, 11, 20, 21, 40, 41, 1000} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if want := []uint64{3, 2, 2, 2}; !slices.Equal(s.Counts, want) || s.Sum != 1142 || s.Count() != 9 {
		t.Errorf("%v, a sum of %d of %d; want %v, 1142 of 9", s.Counts, s.Sum, s.Count(), want)
	}
	h.Observe(5)
	if s.Count() != 9 {
		t.Error("a snapshot changed afterwards")
	}
}

func TestHistogramTogether(t *testing.T) {
	h := measure.New(measure.Durations()...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Observe(int64(i) * int64(time.Millisecond))
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count() != 8000 || s.Sum != 8*999*500*int64(time.Millisecond) {
		t.Errorf("%d values, a sum of %d", s.Count(), s.Sum)
	}
}

func TestBounds(t *testing.T) {
	d := measure.Durations()
	if !slices.IsSorted(d) || d[0] != int64(100*time.Microsecond) || d[len(d)-1] != int64(100*time.Second) {
		t.Errorf("durations: %v", d)
	}
	if got, want := measure.Exponential(1, 4, 5), []int64{1, 4, 16, 64, 256}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, bounds := range map[string][]int64{
		"not ascending": {1, 3, 2},
		"twice":         {1, 1},
		"too many":      measure.Exponential(1, 2, 33),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("taken")
				}
			}()
			measure.New(bounds...)
		})
	}
}

// TestObserveAllocates: it is on the path of every request.
func TestObserveAllocates(t *testing.T) {
	h := measure.New(measure.Durations()...)
	if n := testing.AllocsPerRun(100, func() { h.Observe(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	h := measure.New(measure.Durations()...)
	for b.Loop() {
		h.Observe(int64(300 * time.Microsecond))
	}
}
