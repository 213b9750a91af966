package store

import (
	"testing"
	"testing/synctest"
	"time"
)

func oneItem() *request { return &request{items: make([]item, 1), results: make([]Result, 1)} }

// Who posts alone never waits; of a crowd, half is waited for, a moment.
func TestGather(t *testing.T) {
	for _, test := range []struct {
		name    string
		crowd   int // before
		waiting int // beside the first
		late    int // that come in time
		closed  bool
		want    int
		waits   time.Duration
		after   int // the crowd
	}{
		{"alone", 0, 0, 0, false, 1, 0, 1},
		{"two at a time", 2, 0, 0, false, 1, 0, 1},
		{"all that wait", 0, 7, 0, false, 8, 0, 8},
		{"three at a time", 3, 0, 0, false, 1, 0, 2},
		{"enough wait", 10, 4, 0, false, 5, 0, 9},
		{"more than enough wait", 10, 20, 0, false, 21, 0, 21},
		{"enough come", 10, 1, 3, false, 5, gatherTime / 2, 9},
		{"too few come", 10, 1, 2, false, 4, gatherTime, 9},
		{"nobody comes", 64, 0, 0, false, 1, gatherTime, 60},
		{"the store is closed", 64, 2, 0, true, 3, 0, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Store{requests: make(chan *request, maxRequests), crowd: test.crowd}
				some := func(n int) {
					for range n {
						s.requests <- oneItem()
					}
				}
				some(test.waiting)
				if test.closed {
					close(s.requests)
				}
				if test.late > 0 {
					go func() {
						time.Sleep(gatherTime / 2)
						some(test.late)
					}()
				}
				start := time.Now()
				g := s.gather(oneItem())
				if took := time.Since(start); len(g.requests) != test.want || len(g.batch) != test.want || took != test.waits {
					t.Errorf("gather took %d requests and %d items after %v, want %d after %v", len(g.requests), len(g.batch), took, test.want, test.waits)
				}
				if s.crowd != test.after || g.crowd != test.after {
					t.Errorf("the crowd is %d, the group's %d, want %d", s.crowd, g.crowd, test.after)
				}
			})
		})
	}
}

// A crowd that has gone is waited for no more.
func TestGatherForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{requests: make(chan *request, maxRequests), crowd: maxRequests}
		start := time.Now()
		for range 100 {
			s.gather(oneItem())
		}
		waited := time.Since(start)
		s.gather(oneItem())
		if s.crowd != 1 || time.Since(start) != waited {
			t.Errorf("after 100 posts of one the crowd is %d, and a post waits %v", s.crowd, time.Since(start)-waited)
		}
	})
}

// What is begun to be written at once, and is in a checkpoint sooner, is what a few
// have posted, not a copy's files nor those of a crowd.
func TestFew(t *testing.T) {
	for _, test := range []struct {
		files, crowd int
		want         bool
	}{
		{1, 1, true},
		{maxFewFiles, maxFewCrowd, true},
		{maxFewFiles + 1, 1, false},
		{1, maxFewCrowd + 1, false},
	} {
		g := &group{plan: &plan{files: make([]file, test.files)}, crowd: test.crowd}
		if got := g.few(); got != test.want {
			t.Errorf("%d files, %d at a time: few is %v", test.files, test.crowd, got)
		}
	}
}
