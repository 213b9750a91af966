package ipfs

import (
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// Comments that are listed, but whose bytes could not be read: they are left
// out of their folder, remembered, and tried again each retryMissed.

func (f *Folders) loadMissed() error {
	f.missedMu.Lock()
	defer f.missedMu.Unlock()
	f.missed = map[comntr.Hash]time.Time{}
	return f.db.scanPrefix([]byte{keyMissed}, func(k, _ []byte) bool {
		f.missed[comntr.Hash(k[1:21])] = time.Time{}
		return true
	})
}

// missedOf are the comments of a topic that could not be read the last time.
func (f *Folders) missedOf(topic comntr.Hash) (map[comntr.Hash]bool, error) {
	if !f.isMissed(topic) {
		return nil, nil
	}
	out := map[comntr.Hash]bool{}
	err := f.db.scanPrefix(key(keyMissed, topic[:]), func(k, _ []byte) bool {
		out[comntr.Hash(k[21:])] = true
		return true
	})
	return out, err
}

// settleMissed writes into b which of names are missed now, where they were
// not before, and the other way round.
func (f *Folders) settleMissed(b *pebble.Batch, topic comntr.Hash, names []named, before map[comntr.Hash]bool, missed []comntr.Hash) error {
	if len(before) == 0 && len(missed) == 0 {
		return nil
	}
	now := map[comntr.Hash]bool{}
	for _, c := range missed {
		now[c] = true
	}
	for _, n := range names {
		var err error
		c := n.comment
		switch k := key(keyMissed, topic[:], c[:]); {
		case now[c]:
			err = b.Set(k, nil, nil)
		case before[c]:
			err = b.Delete(k, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Folders) noteMissed(topic comntr.Hash, any bool) {
	f.missedMu.Lock()
	defer f.missedMu.Unlock()
	if any {
		f.missed[topic] = f.db.now()
	} else {
		delete(f.missed, topic)
	}
}

func (f *Folders) isMissed(topic comntr.Hash) bool {
	f.missedMu.Lock()
	defer f.missedMu.Unlock()
	_, ok := f.missed[topic]
	return ok
}

func (f *Folders) retryDue(topic comntr.Hash) bool {
	f.missedMu.Lock()
	defer f.missedMu.Unlock()
	at, ok := f.missed[topic]
	return ok && f.db.now().Sub(at) >= retryMissed
}

// missedListed are the topics, linked in the community's folder and not named
// anyway, whose unreadable files are due to be tried again.
func (f *Folders) missedListed(t tree, removed, listed []comntr.Hash) (out []comntr.Hash, err error) {
	f.missedMu.Lock()
	topics := slices.Collect(maps.Keys(f.missed))
	f.missedMu.Unlock()
	if len(topics) == 0 {
		return nil, nil
	}
	named := map[comntr.Hash]bool{}
	for _, topic := range slices.Concat(removed, listed) {
		named[topic] = true
	}
	e := newEdit(f.version, f.node)
	for _, topic := range topics {
		if named[topic] || !f.retryDue(topic) {
			continue
		}
		in, err := e.has(t, topic)
		if err != nil {
			return nil, err
		}
		if in {
			out = append(out, topic)
		}
	}
	return out, nil
}
