package comntr_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// bigTopic is a topic of n documents: 7 of 10 comments, most of them replies,
// one vote in 10, one edit, one delete; by 1,000 keys.
var bigTopic = func() func(b *testing.B, n int) []*comntr.Document {
	var mu sync.Mutex
	made := map[int][]*comntr.Document{}
	return func(b *testing.B, n int) []*comntr.Document {
		mu.Lock()
		defer mu.Unlock()
		if made[n] != nil {
			return made[n]
		}
		rng := rand.New(rand.NewPCG(uint64(n), 0))
		docs := make([]*comntr.Document, 0, n)
		by := make([]string, 0, n)
		for i := range n {
			l := line{by: fmt.Sprint("key", rng.IntN(1000)), user: "Somebody", body: fmt.Sprint("This is the comment of the number ", i, ".")}
			l.at = foldNow.Add(time.Duration(i-n-1) * time.Second).Format(comntr.DateFormat)
			if i > 0 {
				of := rng.IntN(i)
				id := docs[of].ID().String()
				switch rng.IntN(10) {
				case 0:
					l.kind, l.target, l.body, l.work = "vote", id, "up", cheapWork
				case 1:
					l.kind, l.target, l.by = "edit", id, by[of]
				case 2:
					l.kind, l.target, l.by = "delete", id, by[of]
				case 3, 4, 5, 6, 7, 8:
					l.parent = id
				}
			}
			docs, by = append(docs, l.doc(b)), append(by, l.by)
		}
		rng.Shuffle(n, func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		made[n] = docs
		return docs
	}
}()

func benchmarkFold(b *testing.B, n int, filters []comntr.Filter) {
	docs := bigTopic(b, n)
	b.ReportAllocs()
	for b.Loop() {
		comntr.FoldWork(docs, filters, foldNow, comntr.Best, cheapWork)
	}
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1_000, 20_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkFold(b, n, nil) })
	}
}

// BenchmarkFoldFiltered is under two lists of 100 acts each.
func BenchmarkFoldFiltered(b *testing.B) {
	var lists []*comntr.Document
	for i := range 100 {
		for _, who := range []string{"mod", "carl"} {
			lists = append(lists, line{by: who, at: "10:00", kind: "ban", tag: "t", targetKey: keyHex(fmt.Sprint("key", 10*i)), place: modPlace(who, "t")}.doc(b))
		}
	}
	filters := crowdFilters(rand.New(rand.NewPCG(0, 0)), lists)
	for _, n := range []int{1_000, 20_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkFold(b, n, filters) })
	}
}
