package main

import "testing"

func TestSlope(t *testing.T) {
	for _, c := range []struct {
		ys   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{7}, 0},
		{[]float64{1, 3}, 2},
		{[]float64{5, 5, 5}, 0},
		{[]float64{0, 2, 4, 6, 8}, 2},
		{[]float64{3, 0, 3, 0, 3}, 0},
		{[]float64{9, 6, 3, 0}, -3},
	} {
		if got := slope(c.ys); got != c.want {
			t.Errorf("%v: %g, want %g", c.ys, got, c.want)
		}
	}
}
