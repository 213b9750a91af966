package api

// table is a map of at most max entries. For a new one the one that was not
// used for longest makes room.
type table[K comparable, V any] struct {
	max            int
	entries        map[K]*entry[K, V]
	newest, oldest *entry[K, V] // ends of a list by last use
}

type entry[K comparable, V any] struct {
	key          K
	value        V
	newer, older *entry[K, V]
}

func newTable[K comparable, V any](max int) *table[K, V] {
	return &table[K, V]{max: max, entries: map[K]*entry[K, V]{}}
}

// use returns the key's value, nil where it has none, and counts as a use.
func (t *table[K, V]) use(k K) *V {
	e := t.entries[k]
	if e == nil {
		return nil
	}
	t.unlink(e)
	t.link(e)
	return &e.value
}

// peek is use that does not count.
func (t *table[K, V]) peek(k K) *V {
	if e := t.entries[k]; e != nil {
		return &e.value
	}
	return nil
}

// add enters a key that is not there.
func (t *table[K, V]) add(k K, v V) *V {
	if len(t.entries) >= t.max {
		t.drop(t.oldest.key)
	}
	e := &entry[K, V]{key: k, value: v}
	t.entries[k] = e
	t.link(e)
	return &e.value
}

func (t *table[K, V]) drop(k K) {
	if e := t.entries[k]; e != nil {
		t.unlink(e)
		delete(t.entries, k)
	}
}

func (t *table[K, V]) link(e *entry[K, V]) {
	e.older, e.newer = t.newest, nil
	if t.newest != nil {
		t.newest.newer = e
	} else {
		t.oldest = e
	}
	t.newest = e
}

func (t *table[K, V]) unlink(e *entry[K, V]) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		t.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		t.oldest = e.newer
	}
}
