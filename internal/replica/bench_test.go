package replica_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// BenchmarkFirstCopy copies 10,000 comments in 500 topics to an empty server.
func BenchmarkFirstCopy(b *testing.B) {
	for _, v := range []comntr.Version{0, 1} {
		b.Run(fmt.Sprint("from-version-", v), func(b *testing.B) {
			w := newWorld(b)
			w.onDisk = true
			a := w.serve("a", v)
			a.postMany(10_000, 500, "comment")
			a.root()
			a.cost()
			for b.Loop() {
				b.StopTimer()
				c := w.serve("c", 0)
				b.StartTimer()
				c.round(a)
				b.StopTimer()
				if n := c.store.Stats().Comments; n != 10_000 {
					b.Fatalf("%d comments came", n)
				}
				b.StartTimer()
			}
			report(b, a)
		})
	}
}

// BenchmarkCatchUp brings 100 new comments, each in a topic of its own, to a
// server that has 10,000.
func BenchmarkCatchUp(b *testing.B) {
	for _, v := range []comntr.Version{0, 1} {
		b.Run(fmt.Sprint("from-version-", v), func(b *testing.B) {
			w := newWorld(b)
			w.onDisk = true
			a, c := w.serve("a", v), w.serve("c", 0)
			a.postMany(10_000, 500, "comment")
			c.round(a)
			a.cost()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				a.postMany(100, 500, fmt.Sprint("new ", i))
				a.root()
				b.StartTimer()
				c.round(a)
			}
			report(b, a)
		})
	}
}

func report(b *testing.B, a *server) {
	requests, blocks, size := a.cost()
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
	b.ReportMetric(float64(blocks)/float64(b.N), "blocks/op")
	b.ReportMetric(float64(size)/float64(b.N), "B-served/op")
	b.ReportMetric(float64(b.Elapsed()/time.Microsecond)/float64(b.N)/1000, "ms/op")
}
