package comntr_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

// removalCase is one case of removals.json: what arrives, and the names of the
// files that remain.
type removalCase struct {
	Name      string        `json:"name"`
	Why       string        `json:"why"`
	Documents []string      `json:"documents"`
	Remain    []comntr.Hash `json:"remain"`

	docs []*comntr.Document
}

type removalVectors struct {
	Rule  string        `json:"rule"`
	Topic string        `json:"topic"`
	Cases []removalCase `json:"cases"`
}

func removalCases(t testing.TB) []removalCase {
	type D = *comntr.Document
	var cases []removalCase
	// add says of each document whether it stays: those of gone do not.
	add := func(name, why string, stay []D, gone ...D) {
		c := removalCase{Name: name, Why: why, Remain: []comntr.Hash{}, docs: slices.Concat(stay, gone)}
		for _, d := range stay {
			c.Remain = append(c.Remain, d.ID())
		}
		slices.SortFunc(c.Remain, comntr.Hash.Compare)
		cases = append(cases, c)
	}
	stay := func(docs ...D) []D { return docs }
	id := func(d D) string { return d.ID().String() }
	del := func(of D, by string) D {
		return line{by: by, at: "10:00", kind: "delete", target: id(of), place: of.Place()}.doc(t)
	}
	edit := func(of D, by, body string) D {
		return line{by: by, at: "10:01", kind: "edit", target: id(of), body: body}.doc(t)
	}
	// raw has the headers as they are.
	raw := func(headers string) D {
		d, err := comntr.ParseDocument(news, []byte(signDoc(testKey("alice"), "Topic: "+news.String()+"\n"+headers+"\n")))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	one := line{by: "alice", at: "10:00", body: "a"}
	a, b := one.doc(t), line{by: "bob", at: "10:00", body: "b"}.doc(t)
	e := edit(a, "alice", "a2")
	plain := line{body: "Cool!"}.doc(t)

	add("no delete", "files stay", stay(a, b, e, plain))
	add("delete", "the file goes, the delete stays", stay(del(a, "alice"), b), a)
	add("delete with a body", "it may have one", stay(line{by: "alice", at: "10:00", kind: "delete", target: id(a), body: "sorry"}.doc(t)), a)
	add("delete of another date and Parent", "they say where the replies stand, and not whether it counts", stay(line{by: "alice", at: "2020-01-01T00:00:00Z", kind: "delete", target: id(a), parent: id(b)}.doc(t)), a)
	add("undated delete", "a delete needs no Date", stay(line{by: "alice", kind: "delete", target: id(a)}.doc(t)), a)
	add("two deletes", "deletes are files of their own", stay(del(a, "alice"), line{by: "alice", kind: "delete", target: id(a)}.doc(t)), a)
	add("delete by another key", "only the author deletes", stay(a, del(a, "mallory")))
	add("delete by another key and by the author", "one is enough", stay(del(a, "mallory"), del(a, "alice")), a)
	add("delete of an unknown id", "it stays, should the file come", stay(del(a, "alice"), b))
	add("delete of plain text", "it has no author", stay(plain, del(plain, "alice")))
	add("delete of a delete", "deletes are never removed, so what they removed never returns", stay(del(a, "alice"), del(del(a, "alice"), "alice")), a)
	add("delete of an edit", "the comment and the edits beside it stay", stay(a, e, del(edit(a, "alice", "a3"), "alice")), edit(a, "alice", "a3"))
	add("delete of a comment with edits", "they go with it", stay(del(a, "alice")), a, e, edit(a, "alice", "a3"))
	add("delete of a comment with another's edits", "what another wrote stays, though it edits nothing", stay(del(a, "alice"), edit(a, "bob", "b2")), a, e)
	add("delete of a comment that is not there, with edits", "an edit's Target says enough", stay(del(a, "alice")), e)
	add("delete of an edit of an edit's target", "an edit goes with what its Target names, whatever that is", stay(a, del(e, "alice")), e, edit(e, "alice", "a3"))
	add("delete of a comment, edit of its edit", "one step, no further", stay(del(a, "alice"), edit(e, "alice", "a3")), a, e)
	add("edit with a malformed Target", "it has none to go with", stay(del(a, "alice"), line{by: "alice", kind: "edit", target: strings.ToUpper(id(a))}.doc(t)), a)
	zeros := line{by: "alice", kind: "delete", target: comntr.Hash{}.String()}.doc(t)
	add("delete of forty zeros, edit without a Target", "none is not the same as zero", stay(zeros, line{by: "alice", kind: "edit", body: "x"}.doc(t)))
	add("comment with a Target", "only edits go with their target", stay(del(a, "alice"), line{by: "alice", target: id(a), body: "no edit"}.doc(t)), a)
	add("reply to what is deleted", "a Parent is no Target", stay(del(a, "alice"), line{by: "alice", parent: id(a), body: "r"}.doc(t)), a)
	votes := stay(line{by: "bob", kind: "vote", target: id(a), body: "up"}.doc(t), line{by: "alice", kind: "vote", target: id(a), body: "up"}.doc(t))
	add("votes on what is deleted", "only edits go with their target", append(stay(del(a, "alice")), votes...), a)
	add("delete of a vote", "anything signed but a delete can be deleted", stay(a, del(votes[0], "bob")), votes[0])
	poll := line{by: "alice", kind: "poll", body: "?"}.doc(t)
	add("delete of an unknown kind", "anything signed but a delete can be deleted", stay(del(poll, "alice")), poll)
	misspelt := line{by: "alice", kind: "Delete", target: id(a)}.doc(t)
	add("Kind misspelt", "Delete is no delete", stay(a, misspelt))
	add("delete of a misspelt delete", "that was none", stay(a, del(misspelt, "alice")), misspelt)
	add("kind in lower case", "it is a comment with a header that means nothing", stay(a, raw("kind: delete\nTarget: "+id(a)+"\n")))
	add("target in lower case", "the delete has no Target", stay(a, raw("Kind: delete\ntarget: "+id(a)+"\n")))
	add("Target in upper case", "it counts as absent", stay(a, raw("Kind: delete\nTarget: "+strings.ToUpper(id(a))+"\n")))
	add("Target cut short", "it counts as absent", stay(a, raw("Kind: delete\nTarget: "+id(a)[:39]+"\n")))
	add("no Target", "it deletes nothing", stay(a, raw("Kind: delete\n")))
	add("Target of a path", "an id alone is a Target", stay(a, raw("Kind: delete\nTarget: "+news.Topic.String()+"/"+id(a)+"\n")))
	var files []D
	for n := range 3 {
		l := one
		l.resign = n
		files = append(files, l.doc(t))
	}
	add("delete of an alias", "a delete names one file: the others of the act stay", stay(files[0], files[2], del(files[1], "alice")), files[1])
	add("delete of a file, edit of its alias", "an edit goes with the file that its Target names", stay(files[1], edit(files[1], "alice", "a2"), del(files[0], "alice")), files[0])
	for _, place := range []struct {
		name string
		comntr.Place
	}{
		{"topic", comntr.Place{Community: news.Community, Topic: comntr.NameHash("/r/gifs")}},
		{"community", comntr.Place{Community: comntr.NameHash("digg"), Topic: news.Topic}},
	} {
		add("delete in another "+place.name, "a document acts where it stands alone", stay(a, line{by: "alice", kind: "delete", target: id(a), place: place.Place}.doc(t)))
	}
	hide := line{by: "mod", kind: "hide", tag: "news", target: id(a), place: modPlace("mod", "news")}.doc(t)
	add("delete of a moderator's act", "acts are documents like all others", stay(a, del(hide, "mod")), hide)
	return cases
}

// arrive is a server: it keeps what comes, and applies the rule to each as it
// comes, whether it removes or is removed.
func arrive(docs []*comntr.Document) []comntr.Hash {
	var kept []*comntr.Document
	for _, d := range docs {
		kept = slices.DeleteFunc(kept, func(t *comntr.Document) bool { return d.Removes(t) || d.ID() == t.ID() })
		if !slices.ContainsFunc(kept, func(k *comntr.Document) bool { return k.Removes(d) }) {
			kept = append(kept, d)
		}
	}
	ids := []comntr.Hash{}
	for _, d := range kept {
		ids = append(ids, d.ID())
	}
	slices.SortFunc(ids, comntr.Hash.Compare)
	return ids
}

func TestRemovalVectors(t *testing.T) {
	v := removalVectors{
		Rule: "documents: valid documents as they are; the folder of each is its Topic header's, of plain text the topic's. " +
			"remain: the names of the files that remain, each in its folder, in whatever order they came and how often; the others answer 410. " +
			"Keys: the Ed25519 seed is the SHA-256 of a name such as \"alice\".",
		Topic: news.String(),
		Cases: removalCases(t),
	}
	for i := range v.Cases {
		c := &v.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 9))
			for range 20 {
				docs := append(slices.Clone(c.docs), c.docs[rng.IntN(len(c.docs))])
				rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
				if got := arrive(docs); !slices.Equal(got, c.Remain) {
					t.Fatalf("%s: %v remain, not %v", c.Why, got, c.Remain)
				}
			}
			byPlace := map[comntr.Place][]*comntr.Document{}
			for _, d := range c.docs {
				byPlace[d.Place()] = append(byPlace[d.Place()], d)
			}
			living := []comntr.Hash{}
			for _, docs := range byPlace {
				living = append(living, comntr.Living(docs, foldNow)...)
			}
			if slices.SortFunc(living, comntr.Hash.Compare); !slices.Equal(living, c.Remain) {
				t.Errorf("%s: the fold leaves %v, not %v", c.Why, living, c.Remain)
			}
			c.Documents = texts(c.docs)
			slices.Sort(c.Documents) // nobody may rely on an order
		})
	}
	if !t.Failed() {
		checkVectors(t, "removals.json", v)
	}
}

// The fold does not ask Removes of every two documents, and leaves out the
// same; and both say what the plainest words of the rule say.
func TestRemovesIsTheFoldsRule(t *testing.T) {
	removed := 0
	for seed := range uint64(60) {
		docs, lists := crowd(t, rand.New(rand.NewPCG(seed, 10)), 80)
		byPlace := map[comntr.Place][]*comntr.Document{news: docs}
		for _, d := range lists {
			byPlace[d.Place()] = append(byPlace[d.Place()], d)
		}
		for _, docs := range byPlace {
			now := slices.DeleteFunc(slices.Clone(docs), func(d *comntr.Document) bool { return d.Premature(foldNow) })
			var want []comntr.Hash
			for _, d := range now {
				is := slices.ContainsFunc(now, func(by *comntr.Document) bool { return by.Removes(d) })
				if is != deletedBy(docs, d) {
					t.Fatalf("seed %d: Removes is %t for %q", seed, is, d.Bytes())
				}
				if is {
					removed++
				} else if !slices.Contains(want, d.ID()) {
					want = append(want, d.ID())
				}
			}
			if got := comntr.Living(docs, foldNow); !slices.Equal(got, want) {
				t.Fatalf("seed %d: the fold leaves %d documents, not %d", seed, len(got), len(want))
			}
		}
	}
	if removed < 200 {
		t.Errorf("the crowds are too tame: %d documents were removed", removed)
	}
}
