package comntr_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

// Votes in these tests need no more than this, so that they cost nothing.
const cheapWork = 1

// crowd is a topic as a seeded crowd of honest and hostile people makes it:
// ids that do not exist, deletes of others' comments, cycles, aliases, dates
// of every kind; and the lists of two moderators and a delegate.
func crowd(t testing.TB, rng *rand.Rand, n int) (docs, lists []*comntr.Document) {
	people := []string{"alice", "bob", "carol", "mallory"}
	pick := func(s []string) string { return s[rng.IntN(len(s))] }
	at := func() string {
		switch rng.IntN(12) {
		case 0:
			return ""
		case 1:
			return "13:00" // premature
		}
		return fmt.Sprintf("10:%02d", rng.IntN(20)) // many of one date
	}
	var known []line // in step with docs
	anID := func() string {
		if len(docs) == 0 || rng.IntN(15) == 0 {
			return comntr.NameHash(fmt.Sprint(rng.IntN(8))).String() // of nothing
		}
		return docs[rng.IntN(len(docs))].ID().String()
	}
	for range n {
		l := line{by: pick(people), at: at(), body: fmt.Sprint(rng.IntN(30))}
		switch rng.IntN(20) {
		case 0:
			l = line{body: fmt.Sprint(rng.IntN(1000))}
		case 1, 2, 3:
			l.kind, l.target = "edit", anID()
		case 4, 5, 6:
			l.kind, l.target = "delete", anID()
			if len(docs) == 0 {
				break
			}
			switch i := rng.IntN(len(docs)); rng.IntN(4) {
			case 0, 1: // an honest one
				l = known[i]
				if l.by == "" {
					l.by = "mallory"
				}
				l.kind, l.target, l.resign, l.work, l.body = "delete", docs[i].ID().String(), 0, 0, ""
			case 2:
				l.parent = anID()
			}
		case 7, 8, 9:
			l.kind, l.target, l.body, l.work = "vote", anID(), pick([]string{"up", "down", "none", "maybe"}), cheapWork
		case 10: // an alias of what is there
			if len(known) > 0 {
				if k := known[rng.IntN(len(known))]; k.by != "" {
					l = k
					l.resign = 1 + rng.IntN(2)
				}
			}
		case 11, 12:
			// top level
		default:
			l.parent = anID()
		}
		docs, known = append(docs, l.doc(t)), append(known, l)
	}
	kinds := []string{"hide", "show", "pin", "unpin", "lock", "unlock", "ban", "unban", "delegate", "undelegate"}
	for range n / 4 {
		who := pick([]string{"mod", "dan", "carl", "mallory"})
		place := modPlace(pick([]string{"mod", "dan", "carl"}), "t")
		if who != "mallory" {
			place = modPlace(who, "t")
		}
		lists = append(lists, line{
			by: who, at: at(), kind: pick(kinds), tag: "t", target: anID(), place: place,
			targetKey: keyHex(pick(append(people, "dan"))), targetTag: "t",
		}.doc(t))
	}
	lists = append(lists, line{by: "mod", at: "10:10", kind: "delegate", tag: "t", targetKey: keyHex("dan"), targetTag: "t", place: modPlace("mod", "t")}.doc(t))
	return docs, lists
}

func crowdFilters(rng *rand.Rand, lists []*comntr.Document) []comntr.Filter {
	lists = slices.Clone(lists)
	rng.Shuffle(len(lists), func(i, j int) { lists[i], lists[j] = lists[j], lists[i] })
	return []comntr.Filter{
		comntr.ParseFilter(modPlace("mod", "t"), lists, foldNow),
		comntr.ParseFilter(modPlace("carl", "t"), lists, foldNow),
	}
}

var orders = []comntr.Order{comntr.Newest, comntr.Oldest, comntr.Best, comntr.Discussed}

// fold(shuffle(x)) = fold(x), with some documents twice, and the thread looks
// the same with the bytes of what was deleted there or gone.
func TestFoldForgetsOrder(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		docs, lists := crowd(t, rng, 10+rng.IntN(80))
		for _, order := range orders {
			thread := checkFold(t, seed, docs, crowdFilters(rng, lists), order, cheapWork)
			for _, c := range thread.Comments {
				for what, is := range map[string]bool{
					"deleted": c.Deleted, "missing": c.Missing, "edited": c.Edit != nil, "alias": len(c.Aliases) > 0, "voted": c.Up+c.Down > 0,
					"hidden": len(c.Hidden) > 0, "pinned": len(c.Pinned) > 0, "locked": len(c.Locked) > 0, "deep": c.Depth > 2,
				} {
					if is {
						seen[what]++
					}
				}
			}
		}
	}
	for _, what := range []string{"deleted", "missing", "edited", "alias", "voted", "hidden", "pinned", "locked", "deep"} {
		if seen[what] < 20 {
			t.Errorf("the crowds are too tame: %s was seen %d times", what, seen[what])
		}
	}
}

// Each document added, one by one, to both a fold that has the bytes of what
// was deleted and one that has not: they never differ.
func TestFoldForgetsDeletedBytes(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		docs, lists := crowd(t, rng, 60)
		filters := crowdFilters(rng, lists)
		for n := range docs {
			all := docs[:n+1]
			left := slices.DeleteFunc(slices.Clone(all), func(d *comntr.Document) bool { return deletedBy(all, d) })
			with := foldJSON(t, comntr.FoldWork(all, filters, foldNow, comntr.Best, cheapWork))
			without := foldJSON(t, comntr.FoldWork(left, filters, foldNow, comntr.Best, cheapWork))
			if with != without {
				t.Fatalf("seed %d, %d documents: with the bytes\n%s\nwithout\n%s", seed, n+1, with, without)
			}
		}
	}
}

// However the documents were split over servers, each server removes what is
// deleted as it learns of it, and their union is the same thread.
func TestFoldOfUnion(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 4))
		docs, lists := crowd(t, rng, 60)
		filters := crowdFilters(rng, lists)
		order := orders[rng.IntN(len(orders))]
		want := foldJSON(t, comntr.FoldWork(docs, filters, foldNow, order, cheapWork))
		servers := make([][]*comntr.Document, 3)
		for _, d := range docs {
			first := rng.IntN(len(servers))
			for i := range servers {
				if i == first || rng.IntN(3) == 0 {
					servers[i] = append(servers[i], d)
				}
			}
		}
		var union []*comntr.Document
		for _, i := range rng.Perm(len(servers)) {
			s := servers[i]
			s = slices.DeleteFunc(slices.Clone(s), func(d *comntr.Document) bool { return deletedBy(s, d) })
			union = append(union, s...)
		}
		if got := foldJSON(t, comntr.FoldWork(union, filters, foldNow, order, cheapWork)); got != want {
			t.Fatalf("seed %d: the union is\n%s\nnot\n%s", seed, got, want)
		}
	}
}

// What a filter hides it hides with others beside it or alone, and left out it
// leaves nothing behind: no comment is dropped.
func TestFiltersStack(t *testing.T) {
	hidden := func(thread *comntr.Thread, by comntr.Hash) (ids []comntr.Hash) {
		for _, c := range thread.Comments {
			if slices.Contains(c.Hidden, by) {
				ids = append(ids, c.ID)
			}
		}
		return ids
	}
	seen := [2]int{}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		docs, lists := crowd(t, rng, 60)
		filters := crowdFilters(rng, lists)
		none := comntr.FoldWork(docs, nil, foldNow, comntr.Oldest, cheapWork)
		both := comntr.FoldWork(docs, filters, foldNow, comntr.Oldest, cheapWork)
		if len(none.Comments) != len(both.Comments) {
			t.Fatalf("seed %d: filters drop comments: %d are left of %d", seed, len(both.Comments), len(none.Comments))
		}
		for _, c := range none.Comments {
			if len(c.Hidden)+len(c.Pinned)+len(c.Locked) > 0 {
				t.Errorf("seed %d: %v is marked without a filter", seed, c.ID)
			}
		}
		for i, f := range filters {
			alone := hidden(comntr.FoldWork(docs, filters[i:i+1], foldNow, comntr.Oldest, cheapWork), f.List.Topic)
			beside := hidden(both, f.List.Topic)
			slices.SortFunc(alone, comntr.Hash.Compare)
			slices.SortFunc(beside, comntr.Hash.Compare)
			if !slices.Equal(alone, beside) {
				t.Errorf("seed %d: filter %d hides %d alone and %d beside another", seed, i, len(alone), len(beside))
			}
			seen[i] += len(alone)
		}
	}
	if seen[0] < 20 || seen[1] < 20 {
		t.Errorf("the filters are too tame: they hide %v", seen)
	}
}

// A vote cast 1,000 times by one key counts once, without work not at all.
func TestVoteThousandTimes(t *testing.T) {
	a := line{by: "alice", at: "10:00", body: "a thousand times"}.doc(t)
	docs := []*comntr.Document{a}
	for i := range 1000 {
		docs = append(docs, line{by: "bob", at: fmt.Sprintf("2026-11-22T10:%02d:%02dZ", i/60, i%60), kind: "vote", target: a.ID().String(), body: "up", work: 2}.doc(t))
	}
	if c := checkFold(t, 0, docs, nil, comntr.Best, 2).Comments[0]; c.Up != 1 || c.Down != 0 {
		t.Errorf("they count %d up, %d down", c.Up, c.Down)
	}
	if c := comntr.Fold(docs, nil, foldNow, comntr.Best).Comments[0]; c.Up != 0 || c.Down != 0 {
		t.Errorf("without work they count %d up, %d down", c.Up, c.Down)
	}
}

// Can parents make a cycle? Of living comments no: a Parent is a SHA-1 of
// bytes that hold the next Parent, so the first of a cycle would have to be
// known before it is made, aliases included. With deletes yes, since a delete
// says its target's Parent freely; then the fold ends, shows every living
// comment once, and moves none of those outside.
func TestCycleOfParents(t *testing.T) {
	const n = 50
	var docs []*comntr.Document
	for i := range n {
		gone := comntr.NameHash(fmt.Sprint("gone", i)).String()
		before := comntr.NameHash(fmt.Sprint("gone", (i+1)%n)).String()
		docs = append(docs, line{by: "mallory", at: "10:00", kind: "delete", target: gone, parent: before}.doc(t))
		docs = append(docs, line{by: "bob", at: "10:00", parent: gone, body: fmt.Sprint(i)}.doc(t))
	}
	thread := checkFold(t, 7, docs, nil, comntr.Newest, comntr.VoteWork)
	if thread.Total != n || len(thread.Comments) != 2*n || thread.Comments[0].Depth != 0 || thread.Comments[1].Depth != 1 {
		t.Errorf("%d comments of %d are shown", thread.Total, n)
	}
	for _, c := range thread.Comments[1:] {
		if c.Depth == 0 {
			t.Errorf("%v was cut off, too", c.ID)
		}
	}
}

// A thread 10,000 deep, of living and of deleted comments.
func TestDeepThread(t *testing.T) {
	const deep = 10_000
	docs := make([]*comntr.Document, 0, deep)
	parent := ""
	for i := range deep {
		l := line{by: "alice", at: "10:00", parent: parent, body: fmt.Sprint(i)}
		d := l.doc(t)
		parent = d.ID().String()
		if i%2 == 1 && i != deep-1 { // its bytes are gone
			l.kind, l.target, l.body = "delete", parent, ""
			d = l.doc(t)
		}
		docs = append(docs, d)
	}
	thread := checkFoldOnce(t, docs)
	if last := thread.Comments[deep-1]; len(thread.Comments) != deep || last.Depth != deep-1 || thread.Comments[0].Replies != deep/2 {
		t.Errorf("%d comments, the last at depth %d", len(thread.Comments), last.Depth)
	}
}

func checkFoldOnce(t *testing.T, docs []*comntr.Document) *comntr.Thread {
	thread := comntr.Fold(docs, nil, foldNow, comntr.Newest)
	rand.New(rand.NewPCG(0, 0)).Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	if foldJSON(t, thread) != foldJSON(t, comntr.Fold(docs, nil, foldNow, comntr.Newest)) {
		t.Error("another order gives another thread")
	}
	return thread
}

// Fold must not write to what it is given: the same documents are folded
// again and again, and by many at once.
func TestFoldLeavesItsInput(t *testing.T) {
	docs, lists := crowd(t, rand.New(rand.NewPCG(2, 6)), 60)
	filters := crowdFilters(rand.New(rand.NewPCG(2, 7)), lists)
	was := slices.Clone(docs)
	done := make(chan string)
	for range 4 {
		go func() {
			done <- foldJSON(t, comntr.FoldWork(docs, filters, foldNow, comntr.Best, cheapWork))
		}()
	}
	first := <-done
	for range 3 {
		if <-done != first {
			t.Error("two folds differ")
		}
	}
	if !slices.Equal(docs, was) {
		t.Error("the documents were moved")
	}
}

// FuzzFold: whatever a crowd does, the fold is a function of the set, and
// deleted bytes change nothing.
func FuzzFold(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint8(10*seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		docs, lists := crowd(t, rng, int(n))
		checkFold(t, seed, docs, crowdFilters(rng, lists), orders[rng.IntN(len(orders))], cheapWork)
	})
}

// FuzzParseFilter: no header of a list makes it obey another key, whatever is
// written in it.
func FuzzParseFilter(f *testing.F) {
	f.Add("hide", "news", "33754244c02265dc24dfec91d64a48410ec24831", keyHex("eve"), "help", true)
	f.Add("ban", "news", "", keyHex("eve"), "", true)
	f.Add("delegate", "news", "", keyHex("dan"), "help", true)
	f.Add("ban", "news", "", keyHex("mod"), "", false)
	f.Add("undelegate", "News", "", keyHex("dan"), " ", true)
	f.Fuzz(func(t *testing.T, kind, tag, target, targetKey, targetTag string, owner bool) {
		l := line{by: "eve", at: "10:00", kind: kind, tag: tag, target: target, targetKey: targetKey, targetTag: targetTag, place: modPlace("mod", "news")}
		if owner {
			l.by = "mod"
		}
		d, err := comntr.ParseDocument(l.place, []byte(signDoc(testKey(l.by), l.headers()+"\n")))
		if err != nil {
			return
		}
		filter := comntr.ParseFilter(l.place, []*comntr.Document{d}, foldNow)
		said := string(indented(t, filter))
		itsTag, _ := d.Header("Tag")
		itsKind := d.Kind()
		if heard := filter.Tag != ""; heard && (!owner || itsTag != "news" || !itsKind.Moderates()) {
			t.Errorf("it was obeyed: %s", said)
		}
		comntr.Fold(nil, []comntr.Filter{filter}, foldNow, comntr.Newest)
	})
}

// FuzzFilters: whatever stands in lists, in their delegates' and beside them,
// a filter is a function of the set of documents.
//
// The input is documents, split at NUL: a byte for the key, one for the place,
// then the headers after Topic and the body, to be signed; $mod is mod's key in
// hex, $x an id, likewise the others. What is no document is left out.
func FuzzFilters(f *testing.F) {
	people := []string{"mod", "dan", "carl", "eve"}
	places := []comntr.Place{news}
	var vars []string
	for _, who := range people {
		places = append(places, modPlace(who, "t"))
		vars = append(vars, "$"+who, keyHex(who))
	}
	for _, id := range []string{"x", "y"} {
		vars = append(vars, "$"+id, line{body: id}.doc(f).ID().String())
	}
	words := strings.NewReplacer(vars...)
	x := line{body: "x"}.doc(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		docs := []*comntr.Document{}
		for text := range strings.SplitSeq(string(b), "\x00") {
			if len(docs) == 50 {
				break // a signature each
			}
			if len(text) < 2 {
				continue
			}
			who, place := testKey(people[int(text[0])%len(people)]), places[int(text[1])%len(places)]
			text = "Topic: " + place.String() + "\n" + words.Replace(text[2:])
			if d, err := comntr.ParseDocument(place, []byte(signDoc(who, text))); err == nil {
				docs = append(docs, d)
			}
		}
		said := func(docs []*comntr.Document) string {
			filter := comntr.ParseFilter(modPlace("mod", "t"), docs, foldNow)
			onNews := []*comntr.Document{x}
			for _, d := range docs {
				if d.Place() == news {
					onNews = append(onNews, d)
				}
			}
			thread := comntr.Fold(onNews, []comntr.Filter{filter}, foldNow, comntr.Newest)
			checkThread(t, thread)
			return string(indented(t, filter)) + foldJSON(t, thread)
		}
		want := said(docs)
		rng := rand.New(rand.NewPCG(uint64(len(b)), 11))
		for range 3 {
			other := docs
			if len(docs) > 0 {
				other = append(slices.Clone(docs), docs[rng.IntN(len(docs))])
			}
			rng.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			if got := said(other); got != want {
				t.Fatalf("in another order it is\n%s\nnot\n%s", got, want)
			}
		}
	})
}
