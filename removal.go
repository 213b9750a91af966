package comntr

// Removes reports whether d, a delete, removes t for good (SPEC.md, "Threads",
// step 2): both stand in one topic and have one Public-Key, t is no delete, and
// d's Target is t's id or, for an edit t, t's own Target. Servers take the
// bytes of t away, whatever came first.
func (d *Document) Removes(t *Document) bool {
	if d.Kind() != KindDelete || !t.signed || t.Kind() == KindDelete || d.place != t.place || d.key != t.key {
		return false
	}
	target, ok := d.Target()
	if !ok {
		return false
	}
	if target == t.id {
		return true
	}
	of, ok := t.Target()
	return ok && t.Kind() == KindEdit && of == target
}
