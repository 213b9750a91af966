package comntr_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/comntr/comntr"
)

// ParseDocuments gives what ParseDocument gives one by one: the same documents
// and the same refusals, in the same order, for any number of them on any
// number of cores. The bubble ends when every goroutine has, and the race
// detector sees one that is not waited for.
func TestParseDocumentsIsParseDocument(t *testing.T) {
	places := []comntr.Place{news, {Community: news.Community, Topic: comntr.NameHash("/r/gifs")}}
	cases := documentCases(t)
	codes := map[string]bool{}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for seed, n := range []int{0, 1, 7, 8, 15, 16, 17, 64, 300} {
		rng := rand.New(rand.NewPCG(uint64(seed), 8))
		var raw []comntr.Raw
		for range n {
			c := &cases[rng.IntN(len(cases))]
			raw = append(raw, comntr.Raw{Place: places[rng.IntN(5)/4], Bytes: c.bytes(t)})
		}
		before := slices.Clone(raw)
		for i := range before {
			before[i].Bytes = bytes.Clone(raw[i].Bytes)
		}
		for _, cores := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(cores)
			synctest.Test(t, func(t *testing.T) {
				docs, errs := comntr.ParseDocuments(raw)
				if len(docs) != n || len(errs) != n {
					t.Fatalf("%d documents and %d errors for %d", len(docs), len(errs), n)
				}
				for i, r := range raw {
					doc, err := comntr.ParseDocument(r.Place, r.Bytes)
					if !reflect.DeepEqual(docs[i], doc) || !reflect.DeepEqual(errs[i], err) {
						t.Fatalf("%d of %d on %d cores: %v, %v; alone %v, %v", i, n, cores, docs[i], errs[i], doc, err)
					}
					if (docs[i] == nil) == (errs[i] == nil) {
						t.Fatalf("%d of %d: document %v and error %v", i, n, docs[i], errs[i])
					}
					if invalid, ok := err.(*comntr.Invalid); ok {
						codes[invalid.Code] = true
					}
				}
			})
		}
		if !reflect.DeepEqual(raw, before) {
			t.Errorf("the %d raw documents were changed", n)
		}
	}
	for _, code := range []string{"empty", "too-large", "sha1-collision", "not-utf8", "nul", "bad-header", "wrong-topic", "bad-signature"} {
		if !codes[code] {
			t.Errorf("no document was refused as %s: the test is too tame", code)
		}
	}
}
