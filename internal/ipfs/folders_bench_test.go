package ipfs_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/comntr/comntr"
)

// One new comment and one less, then the id of the topic's folder.
func BenchmarkAddTopic(b *testing.B) {
	for _, n := range []int{100, 1_000, 3_500, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := open(b, 0)
			topic := comntr.NameHash("topic")
			for i := range n {
				f.src.add(topic, vectorDoc(i))
			}
			f.topic(topic)
			last := comntr.SumHash(vectorDoc(0))
			for i := 0; b.Loop(); i++ {
				// One goes, so that the size stays.
				f.src.remove(topic, last)
				last = f.src.add(topic, vectorDoc(n+i))
				f.topic(topic)
			}
		})
	}
}

// One new comment in one of many topics, then the id of the community.
func BenchmarkAddRoot(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := open(b, 0)
			for i := range n {
				f.src.add(comntr.NameHash(fmt.Sprint(i)), vectorDoc(i))
			}
			f.root()
			for i := 0; b.Loop(); i++ {
				f.src.add(comntr.NameHash(fmt.Sprint(i%n)), vectorDoc(n+i))
				f.root()
			}
		})
	}
}

// A topic that did not change.
func BenchmarkTopicUnchanged(b *testing.B) {
	f := open(b, 0)
	topic := comntr.NameHash("topic")
	for i := range 10_000 {
		f.src.add(topic, vectorDoc(i))
	}
	for b.Loop() {
		f.topic(topic)
	}
}

// Everything from nothing: after a wipe.
func BenchmarkRebuild(b *testing.B) {
	f := open(b, 0)
	for i := range 10_000 {
		f.src.add(comntr.NameHash(fmt.Sprint(i%500)), vectorDoc(i))
	}
	for b.Loop() {
		f.src.restart()
		f.reopen()
		f.root()
	}
}

// A whole folder of 1,000 comments as a CAR.
func BenchmarkWriteCAR(b *testing.B) {
	f := open(b, 0)
	topic := comntr.NameHash("topic")
	for i := range 1_000 {
		f.src.add(topic, vectorDoc(i))
	}
	root := f.topic(topic)
	for b.Loop() {
		f.ForgetCARs()
		if _, err := f.WriteCAR(b.Context(), io.Discard, root, false); err != nil {
			b.Fatal(err)
		}
	}
}
