package comntr_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// The sizes of topics that benchmarks measure.
var sizes = []int{1_000, 20_000, 100_000}

// makeTopic makes a topic of n documents: 7 of 10 comments, most of them
// replies, one vote in 10, one edit, one delete; by 1,000 keys. What a document
// acts on stands before it.
func makeTopic(t testing.TB, n int) []*comntr.Document {
	rng := rand.New(rand.NewPCG(1, 0))
	docs := make([]*comntr.Document, 0, n)
	by := make([]string, 0, n)
	for len(docs) < n {
		// Those of one round know those before alone, so that all cores can
		// sign them; each round has as many as all before.
		round := make([]line, min(max(1, len(docs)), n-len(docs)))
		for i := range round {
			no := len(docs) + i
			l := line{by: fmt.Sprint("key", rng.IntN(1000)), user: "Somebody", body: fmt.Sprint("This is the comment of the number ", no, ".")}
			l.at = foldNow.Add(time.Duration(no-n-1) * time.Second).Format(comntr.DateFormat)
			if len(docs) > 0 {
				of := rng.IntN(len(docs))
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
			round[i], by = l, append(by, l.by)
		}
		raw := make([]comntr.Raw, len(round))
		onAllCores(len(round), func(i int) { raw[i] = comntr.Raw{Place: news, Bytes: []byte(round[i].text(t))} })
		made, errs := comntr.ParseDocuments(raw)
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		docs = append(docs, made...)
	}
	return docs
}

func onAllCores(n int, do func(int)) {
	var next atomic.Int64
	var cores sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		cores.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	cores.Wait()
}

var biggest struct {
	sync.Once
	docs []*comntr.Document
}

// bigTopic is a topic of n documents, shuffled. All sizes are the beginning of
// one topic, which is made once.
func bigTopic(t testing.TB, n int) []*comntr.Document {
	biggest.Do(func() { biggest.docs = makeTopic(t, slices.Max(sizes)) })
	docs := slices.Clone(biggest.docs[:n])
	rand.New(rand.NewPCG(uint64(n), 0)).Shuffle(n, func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	return docs
}

// benchmarkSizes measures do, which does something with each of docs.
func benchmarkSizes(b *testing.B, do func(b *testing.B, docs []*comntr.Document)) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			docs := bigTopic(b, n)
			b.ReportAllocs()
			do(b, docs)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/doc")
		})
	}
}

func rawOf(docs []*comntr.Document) []comntr.Raw {
	raw := make([]comntr.Raw, len(docs))
	for i, d := range docs {
		raw[i] = comntr.Raw{Place: d.Place(), Bytes: d.Bytes()}
	}
	return raw
}

func BenchmarkParseEach(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, docs []*comntr.Document) {
		raw := rawOf(docs)
		for b.Loop() {
			for _, r := range raw {
				if _, err := comntr.ParseDocument(r.Place, r.Bytes); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkParseDocuments is BenchmarkParseEach on all cores.
func BenchmarkParseDocuments(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, docs []*comntr.Document) {
		raw := rawOf(docs)
		for b.Loop() {
			if made, _ := comntr.ParseDocuments(raw); len(made) != len(raw) || slices.Contains(made, nil) {
				b.Fatal("a document was refused")
			}
		}
	})
}

// BenchmarkVerify is the signatures' part of BenchmarkParseEach.
func BenchmarkVerify(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, docs []*comntr.Document) {
		sigs := make([][64]byte, len(docs))
		parts := make([][]byte, len(docs))
		for i, d := range docs {
			sigs[i], parts[i] = signatureOf(b, d)
		}
		for b.Loop() {
			for i, d := range docs {
				if !comntr.Verify(d.Key(), parts[i], sigs[i]) {
					b.Fatal("a signature does not verify")
				}
			}
		}
	})
}

func signatureOf(t testing.TB, d *comntr.Document) (sig [64]byte, part []byte) {
	const prefix = len("Signature: ")
	return [64]byte(unhex(t, string(d.Bytes()[prefix:prefix+128]))), d.Bytes()[prefix+129:]
}

func benchmarkFold(b *testing.B, filters []comntr.Filter) {
	benchmarkSizes(b, func(b *testing.B, docs []*comntr.Document) {
		for b.Loop() {
			comntr.FoldWork(docs, filters, foldNow, comntr.Best, cheapWork)
		}
	})
}

func BenchmarkFold(b *testing.B) { benchmarkFold(b, nil) }

// BenchmarkFoldFiltered is under two lists of 100 acts each.
func BenchmarkFoldFiltered(b *testing.B) {
	var lists []*comntr.Document
	for i := range 100 {
		for _, who := range []string{"mod", "carl"} {
			lists = append(lists, line{by: who, at: "10:00", kind: "ban", tag: "t", targetKey: keyHex(fmt.Sprint("key", 10*i)), place: modPlace(who, "t")}.doc(b))
		}
	}
	benchmarkFold(b, crowdFilters(rand.New(rand.NewPCG(0, 0)), lists))
}
