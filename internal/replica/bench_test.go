package replica_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// BenchmarkFirstCopy copies 10,000 comments in 500 topics to an empty server.
func BenchmarkFirstCopy(b *testing.B) {
	for _, c := range []struct {
		name   string
		v      comntr.Version
		signed bool
	}{{"from-version-0", 0, false}, {"from-version-1", 1, false}, {"signed", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			w.onDisk = true
			a := w.serve("a", c.v)
			if c.signed {
				a.postSigned(b, 10_000, 500)
			} else {
				a.postMany(10_000, 500, "comment")
			}
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

// postSigned posts n signed comments, spread over topics.
func (s *server) postSigned(b *testing.B, n, topics int) {
	raw := make([]comntr.Raw, n)
	for i := range raw {
		topic := fmt.Sprint("/r/", i%topics)
		raw[i].Place = comntr.Place{Community: reddit, Topic: comntr.NameHash(topic)}
		raw[i].Bytes = []byte(signed(b, topic, time.Unix(0, 0), fmt.Sprint("comment ", i)))
	}
	docs, errs := comntr.ParseDocuments(raw)
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	for _, r := range s.store.AddAll(b.Context(), docs, "") {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

func report(b *testing.B, a *server) {
	requests, blocks, size := a.cost()
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
	b.ReportMetric(float64(blocks)/float64(b.N), "blocks/op")
	b.ReportMetric(float64(size)/float64(b.N), "B-served/op")
	b.ReportMetric(float64(b.Elapsed()/time.Microsecond)/float64(b.N)/1000, "ms/op")
}
