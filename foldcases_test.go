package comntr_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

// modPlace is where the list of a test's key and a tag stands.
func modPlace(by, tag string) comntr.Place {
	return comntr.Place{Community: news.Community, Topic: comntr.ListTopic(keyOf(by), tag)}
}

// sorted are documents by name, so that a case can say which is the smaller.
func sorted(docs ...*comntr.Document) []*comntr.Document {
	slices.SortFunc(docs, func(a, b *comntr.Document) int { return a.ID().Compare(b.ID()) })
	return docs
}

// foldCases are the cases of folds.json: what is posted, and what people see.
func foldCases(t testing.TB) []foldCase {
	type D = *comntr.Document
	var cases []foldCase
	add := func(name, why string, want []string, docs ...D) *foldCase {
		cases = append(cases, foldCase{Name: name, Why: why, Order: "newest", Outline: want, docs: docs})
		return &cases[len(cases)-1]
	}
	is := func(lines ...string) []string { return append([]string{}, lines...) }
	plain := func(text string) D { return line{body: text}.doc(t) }
	say := func(by, at, body string) D { return line{by: by, at: at, body: body}.doc(t) }
	reply := func(to D, by, at, body string) D {
		return line{by: by, at: at, parent: to.ID().String(), body: body}.doc(t)
	}
	edit := func(of D, by, at, body string) D {
		return line{by: by, at: at, kind: "edit", target: of.ID().String(), body: body}.doc(t)
	}
	// del repeats Parent and Date of its target, as SPEC.md wants it.
	del := func(of D, by string) D {
		l := line{by: by, kind: "delete", target: of.ID().String()}
		l.parent, _ = of.Header("Parent")
		l.at, _ = of.Header("Date")
		return l.doc(t)
	}
	vote := func(on D, by, at, what string) D {
		return line{by: by, at: at, kind: "vote", target: on.ID().String(), body: what, work: comntr.VoteWork}.doc(t)
	}
	id := func(d D) string { return d.ID().String() }

	// What a comment is.
	add("nothing", "no documents, no thread", is())
	add("plain text", "it has no author and no date", is("Cool!"), plain("Cool!"))
	two := sorted(plain("Cool!"), plain("That's bs!"))
	add("plain texts", "what is undated is sorted by SHA-1", is(string(two[0].Body()), string(two[1].Body())), two...)
	add("signed", "without a Kind it is a comment", is("a"), line{by: "alice", at: "10:00", user: "Alice", body: "a"}.doc(t))
	add("Kind: comment", "the same said in full", is("a"), line{by: "alice", at: "10:00", kind: "comment", body: "a"}.doc(t))
	add("unknown kind", "it does what a later version will say", is("a"), say("alice", "10:00", "a"), line{by: "alice", at: "10:01", kind: "poll", body: "b"}.doc(t))
	add("kind of another case", "Comment is not comment", is("a"), say("alice", "10:00", "a"), line{by: "alice", at: "10:01", kind: "Comment", body: "b"}.doc(t))
	add("empty body", "nothing said is a comment too", is(""), say("alice", "10:00", ""))
	{
		a := say("alice", "10:00", "a")
		add("twice", "a set has nothing twice", is("a"), a, a)
	}
	add("one text by two", "keys tell them apart", is("a", "a"), say("alice", "10:00", "a"), say("bob", "10:01", "a"))
	add("premature", "more than 10 minutes ahead is not shown yet", is("a"), say("alice", "10:00", "a"), say("alice", "2026-11-22T12:10:01Z", "later"))
	add("10 minutes ahead", "the bound itself is shown", is("b", "a"), say("alice", "10:00", "a"), say("alice", "12:10", "b"))
	add("malformed Date", "it counts as absent, and what is undated comes last", is("b", "a"), say("alice", "yesterday", "a"), say("alice", "10:00", "b"))
	add("very old", "years are compared as numbers, not as text with a sign", is("b", "a"), say("alice", "0000-01-01T00:00:00Z", "a"), say("alice", "1969-12-31T23:59:59Z", "b"))
	first := "0001-01-01T00:00:00Z"
	add("the year 1", "no date is another name for none", is("a", "u"), say("alice", first, "a"), say("bob", "", "u"))
	add("the year 1, edited", "what is dated is newer than what is not, and says so", is("x [edited]"), say("alice", "", "a"),
		edit(say("alice", "", "a"), "alice", "", "u"), edit(say("alice", "", "a"), "alice", first, "x"))
	add("the year 1, deleted", "the delete says its target's date", is("deleted", "  b", "deleted", "  c"),
		del(say("alice", first, "a"), "alice"), reply(say("alice", first, "a"), "bob", "10:01", "b"), del(say("alice", "", "a"), "alice"), reply(say("alice", "", "a"), "bob", "10:01", "c"))
	add("Name", "a name proves itself", is("= /r/news", "a"), line{by: "alice", at: "10:00", name: "/r/news", body: "a"}.doc(t))
	add("Name of another topic", "its SHA-1 is not the topic", is("a"), line{by: "alice", at: "10:00", name: "/r/gifs", body: "a"}.doc(t))
	add("Name in an act", "any living signed document may prove it", is("= /r/news"), line{by: "alice", at: "10:00", kind: "vote", name: "/r/news", body: "up"}.doc(t))

	// Acts and aliases.
	one := line{by: "alice", at: "10:00", body: "a"}
	files := func() []D {
		var docs []D
		for n := range 3 {
			l := one
			l.resign = n
			docs = append(docs, l.doc(t))
		}
		return sorted(docs...)
	}()
	add("one act in three files", "the smallest SHA-1 is the id, the others are aliases", is("a [also 2]"), files...)
	add("reply to an alias", "an alias means its comment", is("a [also 1]", "  b"), files[0], files[2], reply(files[2], "bob", "10:01", "b"))
	add("edit of an alias", "an alias means its comment", is("b [edited] [also 1]"), files[0], files[2], edit(files[2], "alice", "10:01", "b"))
	add("vote for id and alias", "one key has one vote for a comment", is("a [+1] [also 1]"), files[0], files[1], vote(files[0], "bob", "10:01", "down"), vote(files[1], "bob", "10:02", "up"))
	add("delete of an alias", "a delete removes one file: the others live on", is("a"), files[0], files[2], del(files[2], "alice"))
	add("delete of the smallest file", "then the next one is the id, and who replied to the first replied to a deleted comment", is("a", "deleted", "  b"),
		files[0], files[2], del(files[0], "alice"), reply(files[0], "bob", "10:01", "b")).Order = "newest"
	fixLast := func(want ...string) { cases[len(cases)-1].Outline = want }
	// Both have the date 10:00; the smaller id comes first.
	if files[0].ID().Compare(files[2].ID()) < 0 {
		fixLast("deleted", "  b", "a")
	}
	add("delete of all files", "nothing is left", is(), files[0], files[1], files[2], del(files[0], "alice"), del(files[1], "alice"), del(files[2], "alice"))

	// Replies.
	a := say("alice", "10:00", "a")
	b := reply(a, "bob", "10:01", "b")
	c := reply(b, "carol", "10:02", "c")
	add("reply", "it stands under its parent", is("a", "  b"), a, b)
	add("reply to a reply", "depth is not bounded", is("a", "  b", "    c"), a, b, c)
	add("replies oldest first", "at every level but the top", is("a", "  b", "    c", "  d"), a, b, c, reply(a, "dave", "10:03", "d"))
	ties := sorted(reply(a, "bob", "10:01", "x"), reply(a, "carol", "10:01", "y"))
	add("replies of one date", "the smaller SHA-1 is first", is("a", "  "+string(ties[0].Body()), "  "+string(ties[1].Body())), a, ties[0], ties[1])
	add("undated reply", "it comes last", is("a", "  b", "  u"), a, b, line{by: "bob", parent: id(a), body: "u"}.doc(t))
	add("reply dated before its parent", "dates are claims; the parent is a fact", is("a", "  b"), a, reply(a, "bob", "09:00", "b"))
	add("reply to plain text", "anything can be replied to", is("Cool!", "  b"), plain("Cool!"), reply(plain("Cool!"), "bob", "10:00", "b"))
	add("plain text with headers", "plain text has none, so it is no reply", is("a", "Parent: "+id(a)+"\n\nb"), a, plain("Parent: "+id(a)+"\n\nb"))
	add("missing parent", "it stands at top level until the parent comes", is("c [missing parent]", "a"), a, c)
	add("missing parent, replies", "they stay under it", is("b [missing parent]", "  c"), b, c)
	add("malformed Parent", "it counts as absent", is("b"), line{by: "bob", at: "10:00", parent: "the first one", body: "b"}.doc(t))
	add("Parent in upper case", "lower-case hex alone is a hash", is("b", "a"), a, line{by: "bob", at: "10:01", parent: strings.ToUpper(id(a)), body: "b"}.doc(t))
	v := vote(a, "bob", "10:01", "up")
	add("reply to a vote", "only comments are parents", is("b [missing parent]", "a [+1]"), a, v, reply(v, "carol", "10:02", "b"))
	e := edit(a, "alice", "10:01", "a2")
	add("reply to an edit", "the id of a comment is meant, not that of its edit", is("b [missing parent]", "a2 [edited]"), a, e, reply(e, "bob", "10:02", "b"))
	late := say("alice", "13:00", "late")
	add("reply to a premature comment", "the parent is not there yet", is("b [missing parent]"), late, reply(late, "bob", "10:00", "b"))

	// Edits.
	add("edit", "it changes the body", is("a2 [edited]"), a, e)
	add("two edits", "the newest wins", is("a3 [edited]"), a, e, edit(a, "alice", "10:02", "a3"))
	es := sorted(edit(a, "alice", "10:05", "x"), edit(a, "alice", "10:05", "y"))
	add("two edits of one date", "the greater SHA-1 wins", is(string(es[1].Body())+" [edited]"), a, es[0], es[1])
	add("undated edit", "it is older than every dated one", is("a2 [edited]"), a, e, edit(a, "alice", "", "u"))
	add("undated edit alone", "it is an edit all the same", is("u [edited]"), a, edit(a, "alice", "", "u"))
	add("edit dated before its target", "an edit never loses to what it edits", is("x [edited]"), a, edit(a, "alice", "09:00", "x"))
	add("edit by another key", "only the author edits", is("a"), a, edit(a, "bob", "10:01", "b"))
	add("edit of plain text", "it has no author", is("Cool!"), plain("Cool!"), edit(plain("Cool!"), "alice", "10:01", "b"))
	add("edit of an edit", "an edit names the comment", is("a2 [edited]"), a, e, edit(e, "alice", "10:02", "a3"))
	add("edit of an unknown id", "it waits for its target", is(), e)
	add("edit without a Target", "it says nothing", is("a"), a, line{by: "alice", at: "10:01", kind: "edit", body: "x"}.doc(t))
	add("edit with a Parent", "nothing moves", is("b", "a2 [edited]"), a, say("bob", "10:02", "b"),
		line{by: "alice", at: "10:01", kind: "edit", target: id(a), parent: id(say("bob", "10:02", "b")), user: "Al", body: "a2"}.doc(t))
	add("edit to nothing", "an empty body is shown as such", is(" [edited]"), a, edit(a, "alice", "10:01", ""))
	add("premature edit", "it does not count yet", is("a"), a, edit(a, "alice", "13:00", "x"))

	// Deletes.
	add("deleted", "without replies nothing stays", is(), a, del(a, "alice"))
	add("deleted, with a reply", "it keeps its place", is("deleted", "  b"), a, b, del(a, "alice"))
	add("deleted, bytes gone", "the thread looks the same", is("deleted", "  b"), b, del(a, "alice"))
	add("deleted reply, bytes gone", "the delete says the parent", is("a", "  deleted", "    c", "  d"), a, c, del(b, "bob"), reply(a, "dave", "10:03", "d"))
	add("deleted, other Parent and Date", "the delete is believed before the bytes are gone, because it is after", is("a", "deleted", "  c"), a, b, c,
		line{by: "bob", at: "09:00", kind: "delete", target: id(b)}.doc(t))
	add("delete by another key", "it does nothing", is("a", "  b"), a, b, del(a, "bob"))
	add("delete of an id not yet seen", "it blocks nothing: here the bytes have come", is("a"), del(a, "mallory"), a)
	add("delete of an unknown id", "alone it shows nothing", is(), del(a, "mallory"))
	add("delete by another key, bytes not there", "nobody can tell whose it was", is("deleted", "  b"), del(a, "mallory"), b)
	add("delete of plain text", "nobody can", is("Cool!"), plain("Cool!"), del(plain("Cool!"), "alice"))
	add("delete of an edit", "the edit before it shows again", is("a2 [edited]"), a, e, edit(a, "alice", "10:02", "a3"), del(edit(a, "alice", "10:02", "a3"), "alice"))
	add("delete with edits", "they go with the comment", is("deleted", "  b"), a, b, e, del(a, "alice"))
	add("edit after the delete", "it is deleted too", is(), a, del(a, "alice"), edit(a, "alice", "11:00", "back"))
	d := del(a, "alice")
	add("delete of a delete", "deletes are never removed", is("deleted", "  b"), a, b, d, del(d, "alice"))
	add("reply to a delete", "only comments are parents", is("r [missing parent]"), a, d, reply(d, "bob", "10:02", "r"))
	add("deleted under deleted", "both keep their places for the living one below", is("deleted", "  deleted", "    c"), c, del(a, "alice"), del(b, "bob"))
	add("deleted under deleted, none living", "nothing stays", is(), a, b, del(a, "alice"), del(b, "bob"))
	add("deleted, parent unknown", "it stands at top level with what is below", is("deleted [missing parent]", "  c"), c, del(b, "bob"))
	add("deleted, votes", "they go with the comment", is("deleted", "  b"), a, b, vote(a, "carol", "10:03", "up"), del(a, "alice"))
	add("two deletes", "the newest says the place", is("x", "  deleted", "    b"), b, say("dave", "08:00", "x"),
		line{by: "alice", at: "09:00", kind: "delete", target: id(a)}.doc(t),
		line{by: "alice", at: "09:30", kind: "delete", target: id(a), parent: id(say("dave", "08:00", "x"))}.doc(t))
	add("stranger's newer delete", "what he says of the place is believed with the bytes there or gone, so that both look the same; a deleted comment has no author",
		is("deleted", "  b", "x"), a, b, d, say("dave", "08:00", "x"),
		line{by: "mallory", at: "10:30", kind: "delete", target: id(a)}.doc(t))
	add("premature delete", "it does not count yet", is("a", "  b"), a, b, line{by: "alice", at: "13:00", kind: "delete", target: id(a)}.doc(t))
	add("delete of oneself as parent", "a cycle of one: cut", is("deleted", "  b"), b, line{by: "mallory", at: "10:00", kind: "delete", target: id(a), parent: id(a)}.doc(t))
	add("delete under its own reply", "a cycle with a living comment: the deleted one is cut", is("deleted", "  b"), b, line{by: "mallory", at: "10:00", kind: "delete", target: id(a), parent: id(b)}.doc(t))
	{
		// x and y are deleted, each is the other's parent, and each has a reply.
		xy := sorted(say("eve", "08:00", "x"), say("eve", "08:01", "y"))
		x, y := xy[0], xy[1]
		dx := line{by: "eve", at: "08:00", kind: "delete", target: id(x), parent: id(y)}.doc(t)
		dy := line{by: "eve", at: "08:01", kind: "delete", target: id(y), parent: id(x)}.doc(t)
		add("two deleted, each other's parent", "the smaller id is cut", is("deleted", "  deleted", "    r"), dx, dy, reply(y, "bob", "10:00", "r"))
		add("two deleted, each other's parent, other reply", "the smaller id is cut, and the other has nothing living below", is("deleted", "  r"), dx, dy, reply(x, "bob", "10:00", "r"))
	}

	// Votes.
	add("vote", "up", is("a [+1]"), a, v)
	add("votes", "each key has one", is("a [+1] [-2]"), a, v, vote(a, "carol", "10:02", "down"), vote(a, "dave", "10:02", "down"))
	add("vote without work", "it does not count", is("a"), a, line{by: "bob", at: "10:01", kind: "vote", target: id(a), body: "up"}.doc(t))
	add("vote with 17 bits", "one too few", is("a"), a, line{by: "bob", at: "10:01", kind: "vote", target: id(a), body: "up", work: -17}.doc(t))
	add("vote twice", "one key counts once", is("a [+1]"), a, v, vote(a, "bob", "10:02", "up"))
	add("vote changed", "the newest counts", is("a [-1]"), a, v, vote(a, "bob", "10:02", "down"))
	add("vote withdrawn", "none counts nothing", is("a"), a, v, vote(a, "bob", "10:02", "none"))
	add("vote withdrawn without work", "that does not count either", is("a [+1]"), a, v, line{by: "bob", at: "10:02", kind: "vote", target: id(a), body: "none"}.doc(t))
	vs := sorted(v, vote(a, "bob", "10:01", "down"))
	add("votes of one date", "the greater SHA-1 wins", is(map[bool]string{true: "a [+1]", false: "a [-1]"}[vs[1] == v]), a, vs[0], vs[1])
	add("undated vote", "it is older than every dated one", is("a [+1]"), a, v, vote(a, "bob", "", "down"))
	add("vote on one's own", "it does not count", is("a"), a, vote(a, "alice", "10:01", "up"))
	add("vote on one's own alias", "it does not count", is("a [also 1]"), files[0], files[1], vote(files[1], "alice", "10:01", "up"))
	add("vote on plain text", "it is nobody's own", is("Cool! [+1]"), plain("Cool!"), vote(plain("Cool!"), "alice", "10:01", "up"))
	add("vote that says nothing", "up, down and none to the letter; it does not replace one that does", is("a [+1]"), a, v, vote(a, "bob", "10:03", "up\n"), vote(a, "bob", "10:04", "Down"))
	add("vote on a reply", "each comment has its own", is("a", "  b [+1]"), a, b, vote(b, "alice", "10:02", "up"))
	add("vote on an unknown id", "it waits for its target", is(), v)
	add("vote on an edit", "the comment is voted on", is("a2 [edited]"), a, e, vote(e, "bob", "10:02", "up"))
	add("vote deleted", "the one before it counts again", is("a [+1]"), a, v, vote(a, "bob", "10:02", "down"), del(vote(a, "bob", "10:02", "down"), "bob"))
	add("premature vote", "it does not count yet", is("a [+1]"), a, v, vote(a, "bob", "13:00", "down"))

	// Moderation. The list is mod's, with the tag news.
	mods := modPlace("mod", "news")
	act := func(kind, at string, l line) D {
		l.kind, l.at = kind, at
		l.by, l.tag = cmp.Or(l.by, "mod"), cmp.Or(l.tag, "news")
		if l.place == (comntr.Place{}) {
			l.place = mods
		}
		return l.doc(t)
	}
	on := func(d D) line { return line{target: id(d)} }
	whom := func(name string) line { return line{targetKey: keyHex(name)} }
	// with adds a case under the filter that stands at mods.
	with := func(name, why string, want []string, list []D, docs ...D) *foldCase {
		c := add(name, why, want, docs...)
		c.Filters = []foldFilter{{place: mods, docs: list}}
		return c
	}
	list := func(docs ...D) []D { return docs }
	m := say("mallory", "10:30", "m")
	with("filter of nothing", "an empty list says nothing", is("a"), nil, a)
	with("hide", "marked and not dropped", is("m [hidden 1]", "a"), list(act("hide", "11:00", on(m))), a, m)
	with("hide without a Target", "it says nothing", is("a"), list(act("hide", "11:00", whom("alice"))), a)
	with("hide, then show", "the newest counts", is("m"), list(act("hide", "11:00", on(m)), act("show", "11:01", on(m))), m)
	with("show, then hide", "the newest counts", is("m [hidden 1]"), list(act("show", "11:00", on(m)), act("hide", "11:01", on(m))), m)
	hs := sorted(act("hide", "11:00", on(m)), act("show", "11:00", on(m)))
	kind, _ := hs[1].Header("Kind")
	with("hide and show of one date", "the greater SHA-1 wins", is(map[string]string{"hide": "m [hidden 1]", "show": "m"}[kind]), hs, m)
	with("hide by alias", "an alias means its comment", is("a [also 1] [hidden 1]"), list(act("hide", "11:00", on(files[1]))), files[0], files[1])
	with("hide and show by aliases", "the newest act on any name of a comment counts", is("a [also 1]"), list(act("hide", "11:00", on(files[1])), act("show", "11:01", on(files[0]))), files[0], files[1])
	with("hidden with replies", "replies are not hidden with it", is("a [hidden 1]", "  b"), list(act("hide", "11:00", on(a))), a, b)
	with("hide of a deleted comment", "its id is all that is needed", is("deleted [hidden 1]", "  b"), list(act("hide", "11:00", on(a))), a, b, d)
	with("premature hide", "it does not count yet", is("m"), list(act("hide", "13:00", on(m))), m)
	with("deleted hide", "acts of a list can be deleted like all else", is("m"),
		list(act("hide", "11:00", on(m)), line{by: "mod", at: "11:00", kind: "delete", target: id(act("hide", "11:00", on(m))), place: mods}.doc(t)), m)
	with("ban", "all that the key wrote, whatever its date", is("m2 [hidden 1]", "m [hidden 1]", "a"), list(act("ban", "11:00", whom("mallory"))), a, m, say("mallory", "11:59", "m2"))
	with("ban, votes", "those of a banned key do not count", is("a [+1]"), list(act("ban", "11:00", whom("mallory"))), a, v, vote(a, "mallory", "10:05", "down"))
	with("ban, then unban", "the newest counts", is("m"), list(act("ban", "11:00", whom("mallory")), act("unban", "11:01", whom("mallory"))), m)
	with("ban, but show", "a word about one comment outweighs one about its author", is("m2 [hidden 1]", "m"),
		list(act("ban", "11:00", whom("mallory")), act("show", "10:00", on(m))), m, say("mallory", "11:59", "m2"))
	with("ban of a malformed key", "it says nothing", is("m"), list(act("ban", "11:00", line{targetKey: strings.ToUpper(keyHex("mallory"))})), m)
	with("ban by Target", "a key is named by Target-Key", is("m"), list(act("ban", "11:00", on(m))), m)
	with("anyone's ban", "2019: in the list's topic, by another key, with the same tag", is("a"), list(act("ban", "11:00", line{by: "mallory", targetKey: keyHex("alice")})), a)
	with("ban under another tag", "the topic is that of another tag", is("a"), list(act("ban", "11:00", line{tag: "sports", targetKey: keyHex("alice")})), a)
	with("ban without a Tag", "it is needed", is("a"), list(line{by: "mod", at: "11:00", kind: "ban", targetKey: keyHex("alice"), place: mods}.doc(t)), a)
	with("ban in another community", "the list stands in one", is("a"),
		list(act("ban", "11:00", line{targetKey: keyHex("alice"), place: comntr.Place{Community: comntr.NameHash("digg"), Topic: mods.Topic}})), a)
	add("ban in the topic itself", "nobody chose it as a list", is("a"), a, line{by: "mod", at: "11:00", kind: "ban", tag: "news", targetKey: keyHex("alice")}.doc(t))
	with("pin", "pinned comments come first", is("a [pinned 1]", "m"), list(act("pin", "11:00", on(a))), a, m)
	with("unpin", "the newest counts", is("m", "a"), list(act("pin", "11:00", on(a)), act("unpin", "11:01", on(a))), a, m)
	with("pin of a reply", "replies keep their order", is("a", "  b", "  d [pinned 1]"), list(act("pin", "11:00", on(reply(a, "dave", "10:03", "d")))), a, b, reply(a, "dave", "10:03", "d"))
	with("pinned and hidden", "what is hidden is not lifted", is("m", "a [hidden 1] [pinned 1]"), list(act("pin", "11:00", on(a)), act("hide", "11:00", on(a))), a, m)
	with("two pinned", "in the order asked for", is("m [pinned 1]", "a [pinned 1]", "x"), list(act("pin", "11:01", on(a)), act("pin", "11:00", on(m))), a, m, say("bob", "11:00", "x"))
	with("lock", "the topic's id: a mark for clients and doors, nothing is dropped", is("= locked 1", "m", "a"), list(act("lock", "10:10", line{target: news.Topic.String()})), a, m)
	with("unlock", "the newest counts", is("a"), list(act("lock", "10:10", line{target: news.Topic.String()}), act("unlock", "10:11", line{target: news.Topic.String()})), a)
	with("lock of a comment", "it holds for all below", is("m", "a [locked 1]", "  b [locked 1]", "    c [locked 1]"), list(act("lock", "10:10", on(a))), a, b, c, m)
	with("lock of a reply", "what is above stays open", is("a", "  b [locked 1]", "    c [locked 1]"), list(act("lock", "10:10", on(b))), a, b, c)
	// Delegates. dan's own list has the tag help.
	helper := modPlace("dan", "help")
	dan := func(kind, at string, l line) D {
		l.by, l.tag, l.place = "dan", "help", helper
		return act(kind, at, l)
	}
	delegation := line{targetKey: keyHex("dan"), targetTag: "help"}
	with("delegate", "his own list counts too", is("m [hidden 1]"), list(act("delegate", "11:00", delegation), dan("hide", "10:00", on(m))), m)
	with("delegate not named", "a list that nobody named is not heard", is("m"), list(dan("hide", "10:00", on(m))), m)
	with("delegate's other list", "key and tag are named together", is("m"), list(act("delegate", "11:00", line{targetKey: keyHex("dan"), targetTag: "other"}), dan("hide", "10:00", on(m))), m)
	with("delegate without Target-Tag", "both are needed", is("m"), list(act("delegate", "11:00", line{targetKey: keyHex("dan")}), dan("hide", "10:00", on(m))), m)
	with("delegate dismissed", "whatever the date of his acts", is("m"), list(act("delegate", "10:00", delegation), act("undelegate", "11:00", delegation), dan("hide", "10:30", on(m))), m)
	with("delegate dismissed, back-dated act", "he cannot act by an old date", is("m"), list(act("delegate", "10:00", delegation), act("undelegate", "11:00", delegation), dan("ban", "2020-01-01T00:00:00Z", whom("mallory"))), m)
	with("delegate taken back", "then all of his list counts", is("m [hidden 1]"),
		list(act("delegate", "10:00", delegation), act("undelegate", "11:00", delegation), act("delegate", "11:30", delegation), dan("hide", "10:30", on(m))), m)
	with("delegate's delegate", "one level deep", is("m"),
		list(act("delegate", "10:00", delegation), dan("delegate", "10:00", line{targetKey: keyHex("eve"), targetTag: "e"}), act("hide", "10:30", line{by: "eve", tag: "e", place: modPlace("eve", "e"), target: id(m)})), m)
	with("stranger in the delegate's list", "the key must be the delegate's", is("m"),
		list(act("delegate", "10:00", delegation), act("hide", "10:30", line{by: "eve", tag: "help", place: helper, target: id(m)})), m)
	with("owner's show over delegate's hide", "without comparing dates", is("m"), list(act("delegate", "10:00", delegation), act("show", "09:00", on(m)), dan("hide", "10:30", on(m))), m)
	with("delegate's show under owner's hide", "without comparing dates", is("m [hidden 1]"), list(act("delegate", "10:00", delegation), act("hide", "09:00", on(m)), dan("show", "10:30", on(m))), m)
	with("owner's unban over delegate's ban", "without comparing dates", is("m"), list(act("delegate", "10:00", delegation), act("unban", "09:00", whom("mallory")), dan("ban", "10:30", whom("mallory"))), m)
	with("delegate's show under owner's ban", "it takes back his own hide, no more", is("m [hidden 1]"), list(act("delegate", "10:00", delegation), act("ban", "09:00", whom("mallory")), dan("show", "10:30", on(m))), m)
	with("two delegates disagree", "one that hides is enough", is("m [hidden 1]"),
		list(act("delegate", "10:00", delegation), act("delegate", "10:00", line{targetKey: keyHex("eve"), targetTag: "e"}),
			dan("hide", "10:30", on(m)), act("show", "10:31", line{by: "eve", tag: "e", place: modPlace("eve", "e"), target: id(m)})), m)
	// Several.
	other := modPlace("carl", "strict")
	carl := func(kind string, l line) D {
		l.by, l.tag, l.place = "carl", "strict", other
		return act(kind, "11:00", l)
	}
	with("two filters", "each marks by itself", is("m [hidden 2]", "a [hidden 1]"), list(act("hide", "11:00", on(m))), a, m)
	both := &cases[len(cases)-1]
	both.Filters = append(both.Filters, foldFilter{place: other, docs: list(carl("ban", whom("mallory")), carl("hide", on(a)))})
	with("two filters, one left out", "nothing of it stays", is("m [hidden 1]", "a"), list(act("hide", "11:00", on(m))), a, m)
	with("show in another filter", "filters do not overrule one another", is("m [hidden 1]"), list(act("hide", "11:00", on(m))), m)
	shown := &cases[len(cases)-1]
	shown.Filters = append(shown.Filters, foldFilter{place: other, docs: list(carl("show", on(m)))})
	with("locks of two filters", "below both hold", is("a [locked 1]", "  b [locked 2]"), list(act("lock", "11:00", on(b))), a, b)
	locks := &cases[len(cases)-1]
	locks.Filters = append(locks.Filters, foldFilter{place: other, docs: list(carl("lock", on(a)))})

	// Order.
	x, y, z := say("xena", "09:00", "x"), say("yuri", "09:30", "y"), say("zoe", "09:45", "z")
	u := plain("u")
	add("order newest", "undated last", is("z", "y", "x", "u"), x, y, z, u)
	add("order oldest", "undated last", is("x", "y", "z", "u"), x, y, z, u).Order = "oldest"
	up := func(on D, names ...string) []D {
		var docs []D
		for _, name := range names {
			docs = append(docs, vote(on, name, "10:00", "up"))
		}
		return docs
	}
	best := slices.Concat(list(x, y, z, u), up(x, "v1", "v2", "v3"), up(y, "v1"), list(vote(x, "v4", "10:00", "down"), vote(z, "v1", "10:00", "down")))
	add("order best", "3 of 4 is 0.30 at least, 1 of 1 is 0.21, and who has only been voted down comes last", is("x [+3] [-1]", "y [+1]", "u", "z [-1]"), best...).Order = "best"
	add("order discussed", "by all that is below, then the newest", is("x", "  x1", "    x2", "y", "  y1", "z"), x, y, z,
		reply(x, "bob", "10:00", "x1"), reply(reply(x, "bob", "10:00", "x1"), "carol", "10:01", "x2"), reply(y, "bob", "10:00", "y1")).Order = "discussed"
	with("order discussed, hidden replies", "what is hidden is no discussion", is("y", "  y1", "x", "  x1 [hidden 1]", "  x2 [hidden 1]"), list(act("ban", "11:00", whom("mallory"))),
		x, y, reply(x, "mallory", "10:00", "x1"), reply(x, "mallory", "10:01", "x2"), reply(y, "bob", "10:00", "y1")).Order = "discussed"
	with("order best, pinned", "a pin comes first in every order", is("z [-1] [pinned 1]", "x [+3] [-1]", "y [+1]", "u"), list(act("pin", "11:00", on(z))), best...).Order = "best"
	with("order oldest, pinned", "a pin comes first in every order", is("z [pinned 1]", "x", "y"), list(act("pin", "11:00", on(z))), x, y, z).Order = "oldest"
	same := sorted(say("xena", "09:00", "p"), say("yuri", "09:00", "q"))
	for _, order := range []string{"newest", "oldest", "best", "discussed"} {
		add("order "+order+", one date", "then the smaller SHA-1 is first", is(string(same[0].Body()), string(same[1].Body())), same...).Order = order
	}
	add("order oldest, missing parent", "it is sorted like the others", is("x", "c [missing parent]"), x, c).Order = "oldest"
	return cases
}
