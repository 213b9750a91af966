package store_test

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// BenchmarkAdd is the durable append: 64 writers, each waiting for its answer.
func BenchmarkAdd(b *testing.B) {
	for _, topics := range []int{1, 500} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			s := open(b, b.TempDir(), store.Options{})
			defer closeStore(b, s)
			hashes := make([]comntr.Hash, topics)
			for i := range hashes {
				hashes[i] = comntr.NameHash(strconv.Itoa(i))
			}
			docs := make([]*comntr.Document, b.N)
			for i := range docs {
				docs[i] = doc(b, hashes[i%topics], fmt.Sprintf("A comment of usual length, say two hundred bytes, numbered %d so that no two are alike. %0120d", i, i))
			}
			var next atomic.Int64
			b.ResetTimer()
			b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Add(b.Context(), docs[next.Add(1)-1], ""); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
		})
	}
}

// BenchmarkAddAll is what a replica does.
func BenchmarkAddAll(b *testing.B) {
	s := open(b, b.TempDir(), store.Options{})
	defer closeStore(b, s)
	docs := make([]*comntr.Document, b.N)
	for i := range docs {
		docs[i] = doc(b, comntr.NameHash(strconv.Itoa(i%500)), fmt.Sprintf("comment %d %0120d", i, i))
	}
	b.ResetTimer()
	for _, r := range s.AddAll(b.Context(), docs, "ab") {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
}

// BenchmarkRead reads comments whose files are in the system's cache.
func BenchmarkRead(b *testing.B) {
	s := open(b, b.TempDir(), store.Options{})
	defer closeStore(b, s)
	ids := make([]comntr.Hash, 1000)
	for i := range ids {
		ids[i] = add(b, s, news, fmt.Sprintf("comment %d", i))
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Read(news, ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}
