package comntr_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/comntr/comntr"
)

// wilsonVectors are scores of order best. Two machines that agree on them to
// the bit sort alike.
func wilsonVectors() []wilsonVector {
	var out []wilsonVector
	add := func(up, down int) {
		low := comntr.Wilson(up, down)
		out = append(out, wilsonVector{up, down, low, fmt.Sprintf("%016x", math.Float64bits(low))})
	}
	for up := range 8 {
		for down := range 8 {
			add(up, down)
		}
	}
	for _, v := range [][2]int{{10, 0}, {0, 10}, {100, 1}, {600, 400}, {5500, 4500}, {99999, 1}, {1, 99999}, {33333, 66667}, {1 << 20, 1 << 19}, {1 << 26, 1<<26 + 1}} {
		add(v[0], v[1])
	}
	return out
}

// wilsonFused is the score as arm64 would have it without the conversions.
func wilsonFused(up, down int) float64 {
	u, d := float64(up), float64(down)
	n := u + d
	return math.FMA(-1.96, math.Sqrt(u*d/n+0.9604), u+1.9208) / (n + 3.8416)
}

// The score is the lower bound of Wilson's interval, here by the formula as
// it stands in books; and the vectors can tell one fused rounding.
func TestWilson(t *testing.T) {
	differ := 0
	for _, v := range wilsonVectors() {
		if v.Up+v.Down == 0 || v.Up == 0 {
			if v.Low != 0 {
				t.Errorf("%d up and %d down: %v", v.Up, v.Down, v.Low)
			}
			continue
		}
		const z = 1.96
		n := float64(v.Up + v.Down)
		p := float64(v.Up) / n
		want := (p + z*z/(2*n) - z*math.Sqrt((p*(1-p)+z*z/(4*n))/n)) / (1 + z*z/n)
		if math.Abs(v.Low-want) > 1e-9 {
			t.Errorf("%d up and %d down: %v, not %v", v.Up, v.Down, v.Low, want)
		}
		if wilsonFused(v.Up, v.Down) != v.Low {
			differ++
		}
	}
	if differ == 0 {
		t.Error("no vector would show that a rounding was left out")
	}
}

func TestParseOrder(t *testing.T) {
	for _, o := range []comntr.Order{comntr.Newest, comntr.Oldest, comntr.Best, comntr.Discussed} {
		if got, err := comntr.ParseOrder(o.String()); err != nil || got != o {
			t.Errorf("%v: %v, %v", o, got, err)
		}
	}
	for _, s := range []string{"", "Newest", "hot", "Order(4)"} {
		if o, err := comntr.ParseOrder(s); err == nil {
			t.Errorf("%q is %v", s, o)
		}
	}
	if s := comntr.Order(4).String(); s != "Order(4)" {
		t.Error(s)
	}
}
