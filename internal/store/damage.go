package store

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/comntr/comntr"
)

// maxDamage is how many damaged comments an open store remembers, some 60 bytes
// each. Of a disk that lost more, the others are found again when the first are
// whole.
const maxDamage = 4096

// damage is what reading found damaged or missing, and nothing has made whole
// since. It is for replication to ask after: see Store.Damage.
type damage struct {
	some atomic.Bool // so that reading what is whole costs nothing

	mu    sync.Mutex
	found map[key]struct{}
}

func (d *damage) note(k key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		d.found = make(map[key]struct{})
	}
	if len(d.found) < maxDamage {
		d.found[k] = struct{}{}
	}
	d.some.Store(true)
}

func (d *damage) forget(k key) {
	if !d.some.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.found, k)
	d.some.Store(len(d.found) > 0)
}

// Damage calls fn with the comments that the store should hold and whose files
// were found damaged or missing when they were read, in order, until fn returns
// false. An Add of one of them makes it whole.
func (s *Store) Damage(fn func(topic, comment comntr.Hash) bool) {
	if !s.damage.some.Load() {
		return
	}
	s.damage.mu.Lock()
	keys := make([]key, 0, len(s.damage.found))
	for k := range s.damage.found {
		keys = append(keys, k)
	}
	s.damage.mu.Unlock()
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(a.topic.Compare(b.topic), a.comment.Compare(b.comment))
	})
	for _, k := range keys {
		if held, _ := s.Has(k.topic, k.comment); !held { // taken away since
			s.damage.forget(k)
		} else if !fn(k.topic, k.comment) {
			return
		}
	}
}

// unreadable tells a file whose bytes the disk no longer gives, or that is none,
// from one that could not be read just now: it is as good as damaged.
func unreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, errNoFile)
}
