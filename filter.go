package comntr

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Filter is a moderator's list, with those of his delegates, as it stands.
// Readers and sites choose theirs; Fold marks what they say and drops nothing.
type Filter struct {
	// List is where the list stands; its Topic is what a thread names the
	// filter by.
	List Place
	// Key and Tag are whose list it is. They follow from the first valid act;
	// without any, Tag is "".
	Key [32]byte
	Tag string
	// Delegates are where the lists stand whose writers may act, too, smallest
	// first. Whoever wants them heard passes their documents to ParseFilter.
	Delegates []Place

	own       modList
	delegated []modList
}

// modKind is one of the things that a list switches on and off.
type modKind int

const (
	actHide modKind = iota
	actPin
	actLock
	actBan
	actDelegate
	modKinds
)

// modKindOf reads a Kind of a list.
func modKindOf(kind Kind) (k modKind, on, ok bool) {
	switch kind {
	case KindHide:
		return actHide, true, true
	case KindShow:
		return actHide, false, true
	case KindPin:
		return actPin, true, true
	case KindUnpin:
		return actPin, false, true
	case KindLock:
		return actLock, true, true
	case KindUnlock:
		return actLock, false, true
	case KindBan:
		return actBan, true, true
	case KindUnban:
		return actBan, false, true
	case KindDelegate:
		return actDelegate, true, true
	case KindUndelegate:
		return actDelegate, false, true
	}
	return 0, false, false
}

// modTarget is what an act is about: an id, for hide, pin and lock; a key, for
// a ban; a key and a tag, for a delegate.
type modTarget struct {
	id  Hash
	key [32]byte
	tag string
}

type modAct struct {
	on  bool
	doc *Document
}

// modList has the newest act on each target of one list. Acts of different
// lists are never compared, because their dates are their writers' claims.
type modList [modKinds]map[modTarget]modAct

// ParseFilter reads the list that stands at list, out of docs: documents of
// any places, in any order. Delegates are heard as far as their documents are
// there. It is pure; an act counts only where its key and its Tag give the
// topic that it stands in, and acts that are premature at now do not count.
func ParseFilter(list Place, docs []*Document, now time.Time) Filter {
	byPlace := map[Place][]*Document{}
	for _, d := range docs {
		if d.Signed() {
			byPlace[d.Place()] = append(byPlace[d.Place()], d)
		}
	}
	f := Filter{List: list}
	f.own, f.Key, f.Tag = readList(byPlace[list], now)
	for target, act := range f.own[actDelegate] {
		at := Place{list.Community, ListTopic(target.key, target.tag)}
		if act.on && at != list {
			f.Delegates = append(f.Delegates, at)
		}
	}
	slices.SortFunc(f.Delegates, func(a, b Place) int { return a.Topic.Compare(b.Topic) })
	for _, at := range f.Delegates {
		delegated, _, _ := readList(byPlace[at], now)
		delegated[actDelegate] = nil // one level deep
		f.delegated = append(f.delegated, delegated)
	}
	return f
}

// readList reads the acts of a list out of the documents of its place.
func readList(docs []*Document, now time.Time) (list modList, key [32]byte, tag string) {
	left := living(docs, now)
	for s := range left.all {
		d := s.doc
		kind, on, ok := modKindOf(s.kind)
		if !ok {
			continue
		}
		itsTag, ok := d.Tag()
		if !ok || ListTopic(d.Key(), itsTag) != d.Place().Topic {
			continue
		}
		var target modTarget
		switch kind {
		case actHide, actPin, actLock:
			target.id, ok = s.to, s.hasTo
		case actBan:
			target.key, ok = targetKeyOf(d)
		case actDelegate:
			if target.key, ok = targetKeyOf(d); ok {
				target.tag, ok = d.Header("Target-Tag")
			}
		}
		if !ok {
			continue
		}
		key, tag = d.Key(), itsTag
		if list[kind] == nil {
			list[kind] = map[modTarget]modAct{}
		}
		if was, ok := list[kind][target]; !ok || newer(d, was.doc) {
			list[kind][target] = modAct{on, d}
		}
	}
	return list, key, tag
}

func targetKeyOf(d *Document) (key [32]byte, ok bool) {
	v, _ := d.Header("Target-Key")
	raw, ok := lowerHex(v, 32)
	if !ok {
		return key, false
	}
	return [32]byte(raw), true
}

type verdict int

const (
	saysNothing verdict = iota
	saysYes
	saysNo // the owner took it back, and so overrules his delegates
)

// on is the list's word about one thing of several names: the newest act's.
func (l *modList) on(kind modKind, targets ...modTarget) (on, any bool) {
	var last modAct
	for _, t := range targets {
		if act, ok := l[kind][t]; ok && (last.doc == nil || newer(act.doc, last.doc)) {
			last = act
		}
	}
	return last.on, last.doc != nil
}

func (f *Filter) decide(kind modKind, targets ...modTarget) verdict {
	if on, any := f.own.on(kind, targets...); any {
		if on {
			return saysYes
		}
		return saysNo
	}
	for i := range f.delegated {
		if on, _ := f.delegated[i].on(kind, targets...); on {
			return saysYes
		}
	}
	return saysNothing
}

// verdict is the filter's word about the comment that has these ids.
func (f *Filter) verdict(kind modKind, ids []Hash) verdict {
	var room [4]modTarget
	targets := room[:0]
	for _, id := range ids {
		targets = append(targets, modTarget{id: id})
	}
	return f.decide(kind, targets...)
}

func (f *Filter) bans(key [32]byte) bool {
	return f.decide(actBan, modTarget{key: key}) == saysYes
}

// hides: the owner's word about the comment itself outweighs a ban.
func (f *Filter) hides(ids []Hash, key *[32]byte) bool {
	switch f.verdict(actHide, ids) {
	case saysYes:
		return true
	case saysNo:
		return false
	}
	return key != nil && f.bans(*key)
}

// Acts are the documents that make the filter's word: the owner's newest on
// each thing and, where he has none on it, those of delegates that say yes.
// Their order is fixed: by pair of kinds, then by what they act on. The Place
// of each tells whose it is.
func (f *Filter) Acts() []*Document {
	var acts []*Document
	for kind := range modKinds {
		for _, t := range f.targets(kind) {
			if act, ok := f.own[kind][t]; ok {
				acts = append(acts, act.doc)
				continue
			}
			for i := range f.delegated {
				if act, ok := f.delegated[i][kind][t]; ok && act.on {
					acts = append(acts, act.doc)
				}
			}
		}
	}
	return acts
}

// MarshalJSON writes the form of filters.json: what is in force, each list
// sorted. Shown are the comments that the owner's show keeps from being hidden.
func (f Filter) MarshalJSON() ([]byte, error) {
	v := struct {
		List      string   `json:"list"`
		Key       string   `json:"key,omitempty"`
		Tag       string   `json:"tag,omitempty"`
		Delegates []string `json:"delegates,omitempty"`
		Hidden    []Hash   `json:"hidden,omitempty"`
		Shown     []Hash   `json:"shown,omitempty"`
		Pinned    []Hash   `json:"pinned,omitempty"`
		Locked    []Hash   `json:"locked,omitempty"`
		Banned    []string `json:"banned,omitempty"`
	}{List: f.List.String(), Tag: f.Tag}
	if f.Tag != "" {
		v.Key = hex.EncodeToString(f.Key[:])
	}
	for _, at := range f.Delegates {
		v.Delegates = append(v.Delegates, at.String())
	}
	ids := func(kind modKind, want verdict) (out []Hash) {
		for _, t := range f.targets(kind) {
			if f.decide(kind, t) == want {
				out = append(out, t.id)
			}
		}
		return out
	}
	v.Hidden, v.Shown = ids(actHide, saysYes), ids(actHide, saysNo)
	v.Pinned, v.Locked = ids(actPin, saysYes), ids(actLock, saysYes)
	for _, t := range f.targets(actBan) {
		if f.bans(t.key) {
			v.Banned = append(v.Banned, hex.EncodeToString(t.key[:]))
		}
	}
	return json.Marshal(v)
}

// targets are all that the filter's lists have an act on, sorted.
func (f *Filter) targets(kind modKind) []modTarget {
	var all []modTarget
	for t := range f.own[kind] {
		all = append(all, t)
	}
	for i := range f.delegated {
		for t := range f.delegated[i][kind] {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b modTarget) int {
		return cmp.Or(a.id.Compare(b.id), bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.tag, b.tag))
	})
	return slices.Compact(all)
}
