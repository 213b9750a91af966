package comntr

// Removes reports whether d takes t away: SPEC.md, "Threads", step 2, the one
// rule by which folds leave out and servers remove. Whether d is premature is
// the caller's to ask.
//
// It follows from the two alone, and nothing removes a delete. So the files
// that remain in a folder are the same whatever the order in which they came.
func (d *Document) Removes(t *Document) bool {
	return d.kind == KindDelete && d.hasTarget &&
		t.signed && t.kind != KindDelete && d.key == t.key && d.place == t.place &&
		(d.target == t.id || t.kind == KindEdit && t.hasTarget && d.target == t.target)
}
