package comntr

import "time"

// FoldWork is Fold that counts votes of another work, for tests with many.
func FoldWork(docs []*Document, filters []Filter, now time.Time, order Order, work int) *Thread {
	return fold(docs, filters, now, order, work)
}

// Wilson is wilson.
var Wilson = wilson

// Living are the names of what a fold of docs leaves to its later steps.
func Living(docs []*Document, now time.Time) []Hash {
	var ids []Hash
	r := living(docs, now)
	for d := range r.all {
		ids = append(ids, d.id)
	}
	return ids
}
