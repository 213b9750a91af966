package main

import "testing"

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 4400}, {1 << 20, 4400}, {9 << 20, 400}, {15 << 20, 200}, {30 << 20, gcPercent}, {smallHeap, gcPercent}, {1 << 40, gcPercent},
	} {
		if p := growth(c.live); p != c.want {
			t.Errorf("of %d bytes: %d %%, want %d", c.live, p, c.want)
		}
	}
}
