package comntr_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

// filterCase is one case of filters.json. Want is what a person says is in
// force: kind and name, in any order.
type filterCase struct {
	Name      string          `json:"name"`
	Why       string          `json:"why"`
	Documents []string        `json:"documents"`
	Filter    json.RawMessage `json:"filter"`

	docs []*comntr.Document
	want comntrFilter
}

// comntrFilter is the JSON form of a Filter.
type comntrFilter struct {
	List      string   `json:"list"`
	Key       string   `json:"key"`
	Tag       string   `json:"tag"`
	Delegates []string `json:"delegates"`
	Hidden    []string `json:"hidden"`
	Shown     []string `json:"shown"`
	Pinned    []string `json:"pinned"`
	Locked    []string `json:"locked"`
	Banned    []string `json:"banned"`
}

type filterVectors struct {
	Rule  string          `json:"rule"`
	List  string          `json:"list"`
	Now   string          `json:"now"`
	Lists []modListVector `json:"lists"`
	Cases []filterCase    `json:"cases"`
}

type modListVector struct {
	Key   string `json:"key"`
	Tag   string `json:"tag"`
	Topic string `json:"topic"`
}

func filterCases(t testing.TB) []filterCase {
	type D = *comntr.Document
	mods, helper := modPlace("mod", "news"), modPlace("dan", "help")
	x, y := comntr.NameHash("x").String(), comntr.NameHash("y").String()
	mod := func(kind, at string, l line) D {
		l.by, l.tag, l.place, l.kind, l.at = "mod", "news", mods, kind, at
		return l.doc(t)
	}
	dan := func(kind, at string, l line) D {
		l.by, l.tag, l.place, l.kind, l.at = "dan", "help", helper, kind, at
		return l.doc(t)
	}
	on := func(id string) line { return line{target: id} }
	whom := func(name string) line { return line{targetKey: keyHex(name)} }
	delegation := line{targetKey: keyHex("dan"), targetTag: "help"}
	var cases []filterCase
	add := func(name, why string, want comntrFilter, docs ...D) {
		want.List = mods.String()
		cases = append(cases, filterCase{Name: name, Why: why, docs: docs, want: want})
	}
	owned := func(f comntrFilter) comntrFilter {
		f.Key, f.Tag = keyHex("mod"), "news"
		return f
	}
	ids := func(ids ...string) []string {
		slices.Sort(ids)
		return ids
	}
	add("nothing", "whose list it is follows from its acts", comntrFilter{})
	add("each kind", "what is on", owned(comntrFilter{Hidden: ids(x), Pinned: ids(y), Locked: ids(x, y), Banned: ids(keyHex("eve")), Delegates: ids(helper.String())}),
		mod("hide", "10:00", on(x)), mod("pin", "10:00", on(y)), mod("lock", "10:00", on(x)), mod("lock", "10:00", on(y)), mod("ban", "10:00", whom("eve")), mod("delegate", "10:00", delegation))
	add("each kind taken back", "what is off", owned(comntrFilter{Shown: ids(x)}),
		mod("hide", "10:00", on(x)), mod("show", "10:01", on(x)), mod("pin", "10:00", on(y)), mod("unpin", "10:01", on(y)), mod("lock", "10:00", on(x)), mod("unlock", "10:01", on(x)),
		mod("ban", "10:00", whom("eve")), mod("unban", "10:01", whom("eve")), mod("delegate", "10:00", delegation), mod("undelegate", "10:01", delegation))
	add("undated", "it is older than every dated one", owned(comntrFilter{Hidden: ids(x)}), mod("hide", "10:00", on(x)), mod("show", "", on(x)))
	add("another kind does not take back", "show is no unpin", owned(comntrFilter{Shown: ids(x), Pinned: ids(x)}), mod("pin", "10:00", on(x)), mod("show", "10:01", on(x)))
	add("another's acts", "2019: anyone's ban obeyed", comntrFilter{}, line{by: "eve", kind: "ban", at: "10:00", tag: "news", targetKey: keyHex("mod"), place: mods}.doc(t))
	add("another's delegation", "nobody makes himself a delegate", comntrFilter{}, line{by: "dan", kind: "delegate", at: "10:00", tag: "news", targetKey: keyHex("dan"), targetTag: "help", place: mods}.doc(t), dan("hide", "10:00", on(x)))
	add("another tag", "the topic is not that of this tag", comntrFilter{}, line{by: "mod", kind: "hide", at: "10:00", tag: "News", target: x, place: mods}.doc(t))
	add("no Tag", "without it nothing gives the topic", comntrFilter{}, line{by: "mod", kind: "hide", at: "10:00", target: x, place: mods}.doc(t))
	add("plain text in a list", "it says nothing", comntrFilter{}, func() D {
		d, err := comntr.ParseDocument(mods, []byte("hide everything"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}())
	add("comments and votes in a list", "they say nothing", comntrFilter{}, line{by: "mod", at: "10:00", tag: "news", place: mods, body: "About this list"}.doc(t), mod("vote", "10:00", on(x)))
	add("Target malformed", "it counts as absent", comntrFilter{}, mod("hide", "10:00", on(strings.ToUpper(x))), mod("pin", "10:00", line{}))
	add("Target-Key malformed", "it counts as absent", comntrFilter{}, mod("ban", "10:00", line{targetKey: keyHex("eve")[2:]}), mod("ban", "10:00", line{targetKey: strings.ToUpper(keyHex("eve"))}))
	add("delegate without Target-Tag", "both are needed", comntrFilter{}, mod("delegate", "10:00", whom("dan")))
	add("delegate of oneself", "the list itself is not heard twice", owned(comntrFilter{Hidden: ids(x)}), mod("delegate", "10:00", line{targetKey: keyHex("mod"), targetTag: "news"}), mod("hide", "10:00", on(x)))
	add("delegate", "his acts count as far as his documents are there", owned(comntrFilter{Hidden: ids(x), Banned: ids(keyHex("eve")), Delegates: ids(helper.String())}),
		mod("delegate", "11:00", delegation), dan("hide", "09:00", on(x)), dan("ban", "11:30", whom("eve")))
	add("delegate dismissed", "whatever the date of his acts", owned(comntrFilter{}), mod("delegate", "10:00", delegation), mod("undelegate", "10:30", delegation), dan("hide", "09:00", on(x)), dan("pin", "11:00", on(y)))
	add("delegate's delegate", "one level deep", owned(comntrFilter{Delegates: ids(helper.String())}), mod("delegate", "10:00", delegation),
		dan("delegate", "10:00", line{targetKey: keyHex("eve"), targetTag: "e"}), line{by: "eve", tag: "e", place: modPlace("eve", "e"), kind: "hide", target: x}.doc(t))
	add("owner overrules", "no dates are compared between lists", owned(comntrFilter{Hidden: ids(y), Shown: ids(x), Delegates: ids(helper.String())}), mod("delegate", "10:00", delegation),
		mod("show", "09:00", on(x)), dan("hide", "11:00", on(x)), mod("hide", "09:00", on(y)), dan("show", "11:00", on(y)))
	add("delegate's show", "it keeps nothing from being hidden by others", owned(comntrFilter{Delegates: ids(helper.String())}), mod("delegate", "10:00", delegation), dan("show", "11:00", on(x)))
	hide := mod("hide", "10:01", on(x))
	add("act deleted", "the one before it counts", owned(comntrFilter{Shown: ids(x)}), mod("show", "10:00", on(x)), hide, mod("delete", "10:01", on(hide.ID().String())))
	add("act deleted by another", "that does nothing", owned(comntrFilter{Hidden: ids(x)}), hide, line{by: "eve", kind: "delete", target: hide.ID().String(), place: mods}.doc(t))
	add("premature", "it does not count yet", owned(comntrFilter{Shown: ids(x)}), mod("show", "10:00", on(x)), mod("hide", "12:11", on(x)))
	return cases
}

func TestFilterVectors(t *testing.T) {
	v := filterVectors{
		Rule: "lists: the topic of each key's and tag's list. documents: valid documents, the place of each is its Topic header's; of plain text it is list. " +
			"filter: what is in force at now in the list that stands at list; ids and keys are sorted, members that are absent are empty.",
		List:  modPlace("mod", "news").String(),
		Now:   foldNow.Format(comntr.DateFormat),
		Cases: filterCases(t),
	}
	for _, l := range [][2]string{{"mod", "news"}, {"mod", "News"}, {"dan", "help"}, {"dan", "Привет"}, {"alice", "a b"}} {
		v.Lists = append(v.Lists, modListVector{keyHex(l[0]), l[1], comntr.ListTopic(keyOf(l[0]), l[1]).String()})
	}
	for i := range v.Cases {
		c := &v.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			f := comntr.ParseFilter(modPlace("mod", "news"), c.docs, foldNow)
			c.Documents, c.Filter = texts(c.docs), indented(t, f)
			var got comntrFilter
			if err := json.Unmarshal(c.Filter, &got); err != nil {
				t.Fatal(err)
			}
			if g, w := string(indented(t, got)), string(indented(t, c.want)); g != w {
				t.Errorf("%s: the filter is\n%s\nnot\n%s", c.Why, g, w)
			}
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for range 5 {
				docs := append(slices.Clone(c.docs), c.docs...)
				rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
				if again := indented(t, comntr.ParseFilter(modPlace("mod", "news"), docs, foldNow)); string(again) != string(c.Filter) {
					t.Fatalf("in another order it is\n%s", again)
				}
			}
		})
	}
	if !t.Failed() {
		checkVectors(t, "filters.json", v)
	}
}

// TestFilterActs: the documents that make the filter's word, in one order
// whatever that of the documents is.
func TestFilterActs(t *testing.T) {
	mods, helper := modPlace("mod", "news"), modPlace("dan", "help")
	x, y := comntr.NameHash("x").String(), comntr.NameHash("y").String()
	if x > y {
		x, y = y, x
	}
	mod := func(kind, at string, l line) *comntr.Document {
		l.by, l.tag, l.place, l.kind, l.at = "mod", "news", mods, kind, at
		return l.doc(t)
	}
	dan := func(kind, at string, l line) *comntr.Document {
		l.by, l.tag, l.place, l.kind, l.at = "dan", "help", helper, kind, at
		return l.doc(t)
	}
	want := []*comntr.Document{
		mod("show", "10:01", line{target: x}),
		dan("hide", "10:00", line{target: y}),
		mod("unban", "10:00", line{targetKey: keyHex("eve")}),
		mod("delegate", "10:00", line{targetKey: keyHex("dan"), targetTag: "a"}),
		mod("undelegate", "10:00", line{targetKey: keyHex("dan"), targetTag: "b"}),
		mod("delegate", "10:00", line{targetKey: keyHex("dan"), targetTag: "help"}),
	}
	docs := append([]*comntr.Document{
		mod("hide", "10:00", line{target: x}),                                    // an older word of the owner
		dan("hide", "11:00", line{target: x}),                                    // the owner has one
		dan("unpin", "10:00", line{target: x}),                                   // a delegate's no
		dan("delegate", "10:00", line{targetKey: keyHex("eve"), targetTag: "e"}), // one level deep
		line{by: "eve", kind: "hide", at: "10:00", tag: "news", target: y, place: mods}.doc(t),
	}, want...)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		f := comntr.ParseFilter(mods, docs, foldNow)
		if got := f.Acts(); !slices.Equal(got, want) {
			t.Fatalf("the acts are\n%s\nnot\n%s", strings.Join(texts(got), "\n\n"), strings.Join(texts(want), "\n\n"))
		}
	}
}
