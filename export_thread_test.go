package comntr

import "time"

// FoldWork is Fold that counts votes of another work, for tests with many.
func FoldWork(docs []*Document, filters []Filter, now time.Time, order Order, work int) *Thread {
	return fold(docs, filters, now, order, work)
}

// Wilson is wilson.
var Wilson = wilson
