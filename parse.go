package comntr

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Raw is a document's bytes that nobody has looked at, and where they are to
// stand.
type Raw struct {
	Place Place
	Bytes []byte
}

// parseShare is how many documents are worth a goroutine: to check the
// signatures of so few takes half a millisecond, to start one a thousandth.
const parseShare = 8

// ParseDocuments is ParseDocument for each of raw, on all cores, because a
// folder of 20,000 comments takes one core a second. It returns when all are
// looked at: for each i either docs[i] or errs[i], an *Invalid, and never both.
func ParseDocuments(raw []Raw) (docs []*Document, errs []error) {
	docs, errs = make([]*Document, len(raw)), make([]error, len(raw))
	var next atomic.Int64
	parse := func() {
		for i := next.Add(1) - 1; i < int64(len(raw)); i = next.Add(1) - 1 {
			docs[i], errs[i] = ParseDocument(raw[i].Place, raw[i].Bytes)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(raw)/parseShare) - 1 {
		others.Go(parse)
	}
	parse() // the caller's core is one of them
	others.Wait()
	return docs, errs
}
