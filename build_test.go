package comntr_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"

	"github.com/comntr/comntr"
)

var (
	thatsBS  = comntr.NameHash("That's bs!")
	cool     = comntr.NameHash("Cool!")
	aliceDay = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

// listPlace is alice's list of the tag "spam", in the community of news.
func listPlace() comntr.Place {
	return comntr.Place{Community: news.Community, Topic: comntr.ListTopic(comntr.PublicKey(testKey("alice")), "spam")}
}

// draftVector is one case of drafts in acts.json.
type draftVector struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Place  string `json:"place"`
	Date   string `json:"date,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Target string `json:"target,omitempty"`
	Parent string `json:"parent,omitempty"`
	User   string `json:"user,omitempty"`
	// NameHeader is the draft's name, which "name" is not.
	NameHeader string      `json:"nameHeader,omitempty"`
	Tag        string      `json:"tag,omitempty"`
	Extra      [][2]string `json:"extra,omitempty"`
	Nonce      string      `json:"nonce,omitempty"`
	Body       string      `json:"body"`
	// What alice's key makes of it.
	Text string `json:"text"`
	ID   string `json:"id"`
	Act  string `json:"act"`
}

func draftCases() []struct {
	name, why string
	draft     comntr.Draft
} {
	type c = struct {
		name, why string
		draft     comntr.Draft
	}
	base := comntr.Draft{Place: news, Date: aliceDay, Body: []byte("Cool!\n")}
	with := func(f func(*comntr.Draft)) comntr.Draft { d := base; f(&d); return d }
	cases := []c{
		{"the least", "no header but Topic", comntr.Draft{Place: news, Body: []byte("Cool!\n")}},
		{"a comment", "no Kind header", with(func(d *comntr.Draft) { d.User = "Alice" })},
		{"a comment, said to be one", "Kind: comment is left out", with(func(d *comntr.Draft) { d.User, d.Kind = "Alice", comntr.KindComment })},
		{"a reply", "Parent", with(func(d *comntr.Draft) { d.Parent = thatsBS })},
		{"a comment that lists its topic", "Name", with(func(d *comntr.Draft) { d.Name = "/r/news" })},
		{"an empty body", "the grammar takes it", with(func(d *comntr.Draft) { d.Body = nil })},
		{"an edit", "Kind, Target", with(func(d *comntr.Draft) { d.Kind, d.Target = comntr.KindEdit, cool })},
		{"a delete", "the target's Parent and Date, not its own", with(func(d *comntr.Draft) {
			d.Kind, d.Target, d.Parent, d.Body = comntr.KindDelete, cool, thatsBS, nil
		})},
		{"a date in another zone, with a fraction", "UTC, whole seconds", with(func(d *comntr.Draft) {
			d.Date = time.Date(2026, 11, 22, 11, 30, 0, 999e6, time.FixedZone("", 90*60))
		})},
		{"a date in the first second of the year 1", "a date like any other", with(func(d *comntr.Draft) { d.Date = time.Date(1, 1, 1, 0, 0, 0, 5e8, time.UTC) })},
		{"a nonce", "the last header", with(func(d *comntr.Draft) { d.User, d.Nonce = "Alice", "1" })},
		{"extra headers", "after Tag, in their order", with(func(d *comntr.Draft) {
			d.Tag, d.Extra, d.Nonce = "t", []comntr.Header{{"Z", "1"}, {"A", "ü: 2"}}, "0"
		})},
		{"everything", "the order of all headers", with(func(d *comntr.Draft) {
			d.Kind, d.Target, d.Parent = comntr.KindDelete, cool, thatsBS
			d.User, d.Name, d.Tag, d.Nonce = "Älice 😀", "/r/news", "spam", "17"
			d.Extra = []comntr.Header{{"X-Mood", "good"}}
		})},
	}
	for _, v := range []comntr.Vote{comntr.VoteUp, comntr.VoteDown, comntr.VoteNone} {
		cases = append(cases, c{"a vote " + v.String(), "the body says it", with(func(d *comntr.Draft) {
			d.Kind, d.Target, d.Body = comntr.KindVote, cool, []byte(v.String())
		})})
	}
	for _, k := range []comntr.Kind{comntr.KindHide, comntr.KindShow, comntr.KindPin, comntr.KindUnpin, comntr.KindLock,
		comntr.KindUnlock, comntr.KindBan, comntr.KindUnban, comntr.KindDelegate, comntr.KindUndelegate} {
		cases = append(cases, c{"moderation: " + string(k), "in the topic of key and tag", with(func(d *comntr.Draft) {
			d.Place, d.Kind, d.Target, d.Tag, d.Body = listPlace(), k, cool, "spam", nil
		})})
	}
	return cases
}

func orEmpty(h comntr.Hash) string {
	if h == (comntr.Hash{}) {
		return ""
	}
	return h.String()
}

// checkSigned holds a document against the draft that it was made of.
func checkSigned(t testing.TB, d comntr.Draft, key ed25519.PrivateKey, doc *comntr.Document) {
	t.Helper()
	again, err := comntr.ParseDocument(d.Place, doc.Bytes())
	if err != nil {
		t.Fatalf("what was signed does not parse: %v", err)
	}
	wantKind := d.Kind
	if wantKind == "" {
		wantKind = comntr.KindComment
	}
	hash := func(what string, want comntr.Hash, got comntr.Hash, ok bool) {
		if ok != (want != comntr.Hash{}) || got != want {
			t.Errorf("%s is %v, %v, want %v", what, got, ok, want)
		}
	}
	text := func(what, want, got string, ok bool) {
		if ok != (want != "") || got != want {
			t.Errorf("%s is %q, %v, want %q", what, got, ok, want)
		}
	}
	if !again.Signed() || again.Key() != comntr.PublicKey(key) || again.Place() != d.Place || again.Kind() != wantKind || !bytes.Equal(again.Body(), d.Body) {
		t.Errorf("key, place, kind or body is not the draft's: %q", doc.Bytes())
	}
	target, ok := again.Target()
	hash("the target", d.Target, target, ok)
	parent, ok := again.Parent()
	hash("the parent", d.Parent, parent, ok)
	user, ok := again.User()
	text("the user", d.User, user, ok)
	name, ok := again.Name()
	text("the name", d.Name, name, ok)
	tag, ok := again.Tag()
	text("the tag", d.Tag, tag, ok)
	nonce, ok := again.Header("Nonce")
	text("the nonce", d.Nonce, nonce, ok)
	date, ok := again.Date()
	if ok == d.Date.IsZero() || ok && !date.Equal(d.Date.Truncate(time.Second)) {
		t.Errorf("the date is %v, %v, want %v", date, ok, d.Date)
	}
	for _, h := range d.Extra {
		if v, ok := again.Header(h.Name); !ok || v != h.Value {
			t.Errorf("the header %s is %q, %v, want %q", h.Name, v, ok, h.Value)
		}
	}
	_, rest, _ := strings.Cut(string(doc.Bytes()), "\n")
	if act := sha256.Sum256([]byte(rest)); act != doc.Act() || doc.Work() != comntr.Work(act) {
		t.Error("the act is not the SHA-256 of the signed part")
	}
}

// signAgain is another valid signature of doc's signed part by its own key, as
// whoever holds the key can make any number of: RFC 8032 with another r.
func signAgain(t testing.TB, key ed25519.PrivateKey, doc *comntr.Document, salt string) *comntr.Document {
	t.Helper()
	_, part, _ := bytes.Cut(doc.Bytes(), []byte("\n"))
	a, err := edwards25519.NewScalar().SetBytesWithClamping(sha512Sum(key.Seed())[:32])
	if err != nil {
		t.Fatal(err)
	}
	r, err := edwards25519.NewScalar().SetUniformBytes(sha512Sum([]byte(salt), part))
	if err != nil {
		t.Fatal(err)
	}
	bigR := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	k, err := edwards25519.NewScalar().SetUniformBytes(sha512Sum(bigR, key[32:], part))
	if err != nil {
		t.Fatal(err)
	}
	s := edwards25519.NewScalar().MultiplyAdd(k, a, r)
	text := "Signature: " + hex.EncodeToString(bigR) + hex.EncodeToString(s.Bytes()) + "\n" + string(part)
	out, err := comntr.ParseDocument(doc.Place(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// headerVector is one case of headers in acts.json.
type headerVector struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Text   string `json:"text"`
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
	Parent string `json:"parent,omitempty"`
	User   string `json:"user,omitempty"`
	// NameHeader is the proven name of the topic, which "name" is not.
	NameHeader string `json:"nameHeader,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Vote       string `json:"vote,omitempty"`
}

// headerCases are documents whose headers an author may have written any way.
func headerCases() []headerVector {
	alice := testKey("alice")
	topic := "Topic: " + news.String() + "\n"
	id := cool.String()
	var cases []headerVector
	add := func(name, why, headers, body string, want headerVector) {
		want.Name, want.Why, want.Text = name, why, signDoc(alice, topic+headers+"\n"+body)
		if want.Kind == "" {
			want.Kind = string(comntr.KindComment)
		}
		cases = append(cases, want)
	}
	add("no headers", "a comment", "", "Hi", headerVector{})
	add("Kind: comment", "the same as none", "Kind: comment\n", "Hi", headerVector{})
	add("all headers", "each is read", "Tag: spam\nUser: Alice\nName: /r/news\nParent: "+thatsBS.String()+"\nTarget: "+id+"\nKind: delete\n", "",
		headerVector{Kind: "delete", Target: id, Parent: thatsBS.String(), User: "Alice", NameHeader: "/r/news", Tag: "spam"})
	for _, k := range []string{"edit", "delete", "vote", "hide", "show", "pin", "unpin", "lock", "unlock", "ban", "unban", "delegate", "undelegate"} {
		add("Kind: "+k, "a known kind", "Kind: "+k+"\nTarget: "+id+"\n", "x", headerVector{Kind: k, Target: id})
	}
	for _, k := range []string{"Edit", "DELETE", "vote;", "poll", "comment2", "unknown"} {
		add("Kind: "+k, "of no known kind: kept, and shown nowhere", "Kind: "+k+"\n", "x", headerVector{Kind: "unknown"})
	}
	add("kind in lower case", "only Kind is the kind", "kind: delete\nTarget: "+id+"\n", "x", headerVector{Target: id})
	for _, v := range []struct{ value, why string }{
		{strings.ToUpper(id), "lower case alone"},
		{id[:39], "40 digits"},
		{id + "0", "40 digits"},
		{news.Topic.String() + "/" + id, "an id, not a path"},
		{"Cool!", "no hash"},
	} {
		add("Target: "+v.value, "malformed, so absent: "+v.why, "Kind: edit\nTarget: "+v.value+"\n", "x", headerVector{Kind: "edit"})
		add("Parent: "+v.value, "malformed, so absent: "+v.why, "Parent: "+v.value+"\n", "x", headerVector{})
	}
	add("another topic's name", "a name proves itself, or is absent", "Name: /r/gifs\n", "x", headerVector{})
	add("the topic's hash for a name", "a name proves itself, or is absent", "Name: "+news.Topic.String()+"\n", "x", headerVector{})
	for _, b := range []string{"up", "down", "none"} {
		add("vote "+b, "the body says it", "Kind: vote\nTarget: "+id+"\n", b, headerVector{Kind: "vote", Target: id, Vote: b})
	}
	for _, b := range []string{"", "up\n", "Up", "+1", "up down"} {
		add("vote "+strconv.Quote(b), "a body to the letter, or no vote", "Kind: vote\nTarget: "+id+"\n", b, headerVector{Kind: "vote", Target: id})
	}
	add("a comment that says up", "only votes vote", "", "up", headerVector{})
	cases = append(cases, headerVector{Name: "plain text", Why: "no headers, and a comment",
		Text: "Kind: delete\nTarget: " + id + "\n\nup", Kind: "comment"})
	return cases
}

// actVector is one act of acts.json and the files that it stands in.
type actVector struct {
	Name  string   `json:"name"`
	Act   string   `json:"act"`
	Texts []string `json:"texts"`
	IDs   []string `json:"ids"`
	// Shown is the smallest id: the others are its aliases.
	Shown string `json:"shown"`
}

func TestActVectors(t *testing.T) {
	alice := testKey("alice")
	v := struct {
		Rule    string         `json:"rule"`
		Place   string         `json:"place"`
		Drafts  []draftVector  `json:"drafts"`
		Headers []headerVector `json:"headers"`
		Acts    []actVector    `json:"acts"`
		Lists   []listVector   `json:"lists"`
	}{
		Rule: "The Ed25519 seeds are the SHA-256 of \"alice\" and \"bob\". drafts: alice signs the fields, text is the document, byte for byte, id and act are its. " +
			"headers: text is a document at place, kind to vote are what is read from it; what is not named is absent. " +
			"acts: texts are documents of one act, ids theirs, shown the one that a thread shows. lists: topic is that of the list of key and tag.",
		Place: news.String(),
	}
	for _, c := range draftCases() {
		t.Run(c.name, func(t *testing.T) {
			doc, err := c.draft.Sign(alice)
			if err != nil {
				t.Fatal(err)
			}
			checkSigned(t, c.draft, alice, doc)
			act, d := doc.Act(), c.draft
			out := draftVector{
				Name: c.name, Why: c.why, Place: d.Place.String(), Kind: string(d.Kind), Target: orEmpty(d.Target), Parent: orEmpty(d.Parent),
				User: d.User, NameHeader: d.Name, Tag: d.Tag, Nonce: d.Nonce, Body: string(d.Body),
				Text: string(doc.Bytes()), ID: doc.ID().String(), Act: hex.EncodeToString(act[:]),
			}
			if !d.Date.IsZero() {
				out.Date = d.Date.Format(time.RFC3339Nano)
			}
			for _, h := range d.Extra {
				out.Extra = append(out.Extra, [2]string{h.Name, h.Value})
			}
			v.Drafts = append(v.Drafts, out)
		})
	}
	v.Headers = headerCases()
	for _, c := range v.Headers {
		t.Run(c.Name, func(t *testing.T) {
			doc, err := comntr.ParseDocument(news, []byte(c.Text))
			if err != nil {
				t.Fatal(err)
			}
			got := headerVector{Name: c.Name, Why: c.Why, Text: c.Text, Kind: string(doc.Kind())}
			if id, ok := doc.Target(); ok {
				got.Target = id.String()
			}
			if id, ok := doc.Parent(); ok {
				got.Parent = id.String()
			}
			got.User, _ = doc.User()
			got.NameHeader, _ = doc.Name()
			got.Tag, _ = doc.Tag()
			if vote, ok := doc.Vote(); ok {
				got.Vote = vote.String()
			}
			if got != c {
				t.Errorf("read as %+v, want %+v (%s)", got, c, c.Why)
			}
		})
	}
	for _, c := range []struct {
		name  string
		draft comntr.Draft
		key   ed25519.PrivateKey
		salts []string
	}{
		{"signed once", comntr.Draft{Place: news, Date: aliceDay, Body: []byte("once")}, alice, nil},
		{"signed thrice by its author", comntr.Draft{Place: news, Date: aliceDay, Body: []byte("thrice")}, alice, []string{"1", "2"}},
		{"the same text by another key", comntr.Draft{Place: news, Date: aliceDay, Body: []byte("once")}, testKey("bob"), nil},
	} {
		doc, err := c.draft.Sign(c.key)
		if err != nil {
			t.Fatal(err)
		}
		act := doc.Act()
		out := actVector{Name: c.name, Act: hex.EncodeToString(act[:]), Texts: []string{string(doc.Bytes())}, IDs: []string{doc.ID().String()}, Shown: doc.ID().String()}
		for _, salt := range c.salts {
			alias := signAgain(t, c.key, doc, salt)
			if alias.Act() != act || alias.ID() == doc.ID() {
				t.Errorf("%s: signed again it is not another file of one act", c.name)
			}
			out.Texts, out.IDs = append(out.Texts, string(alias.Bytes())), append(out.IDs, alias.ID().String())
			out.Shown = min(out.Shown, alias.ID().String())
		}
		v.Acts = append(v.Acts, out)
	}
	for _, c := range []struct{ who, tag string }{{"alice", "spam"}, {"alice", "Spam"}, {"bob", "spam"}, {"alice", "модерация"}} {
		key := comntr.PublicKey(testKey(c.who))
		v.Lists = append(v.Lists, listVector{hex.EncodeToString(key[:]), c.tag, comntr.ListTopic(key, c.tag).String()})
	}
	if !t.Failed() {
		checkVectors(t, "acts.json", v)
	}
}

type listVector struct {
	Key   string `json:"key"`
	Tag   string `json:"tag"`
	Topic string `json:"topic"`
}

func TestWorkVectors(t *testing.T) {
	type actWork struct {
		Act  string `json:"act"`
		Work int    `json:"work"`
	}
	type docWork struct {
		Name  string `json:"name"`
		Bits  int    `json:"bits"`
		Draft string `json:"draft"`
		Nonce string `json:"nonce,omitempty"`
		Text  string `json:"text"`
		Work  int    `json:"work"`
	}
	v := struct {
		Rule      string    `json:"rule"`
		Place     string    `json:"place"`
		Acts      []actWork `json:"acts"`
		Documents []docWork `json:"documents"`
	}{
		Rule: "acts: work is the number of leading zero bits. documents: alice (seed: the SHA-256 of \"alice\") signs draft (all after the signature's line) with the header Nonce " +
			"put before the empty line; nonce is the smallest number for which the work is at least bits, text the document; plain text has no work.",
		Place: news.String(),
	}
	for _, bits := range []int{0, 1, 7, 8, 9, 17, 18, 64, 127, 255, 256} {
		for _, fill := range []byte{0, 0xff} { // what stands behind the first one bit
			var act [32]byte
			for i := range act {
				switch {
				case i == bits/8:
					act[i] = 0x80 >> (bits % 8)
					act[i] |= fill & (act[i] - 1)
				case i > bits/8:
					act[i] = fill
				}
			}
			if got := comntr.Work(act); got != bits {
				t.Errorf("the work of %x is %d, want %d", act, got, bits)
			}
			v.Acts = append(v.Acts, actWork{hex.EncodeToString(act[:]), bits})
			if bits == 256 {
				break
			}
		}
	}
	alice := testKey("alice")
	for _, c := range []struct {
		name  string
		bits  int
		draft comntr.Draft
	}{
		{"none asked for", 0, comntr.Draft{Place: news, Body: []byte("Cool!\n")}},
		{"one bit", 1, comntr.Draft{Place: news, Body: []byte("Cool!\n")}},
		{"a comment with 10 bits", 10, comntr.Draft{Place: news, Date: aliceDay, User: "Alice", Body: []byte("Cool!\n")}},
		{"a vote", comntr.VoteWork, comntr.Draft{Place: news, Date: aliceDay, Kind: comntr.KindVote, Target: cool, Body: []byte("up")}},
		{"a vote with a bit too few asked for", comntr.VoteWork - 6, comntr.Draft{Place: news, Date: aliceDay, Kind: comntr.KindVote, Target: thatsBS, Body: []byte("down")}},
	} {
		bare, err := c.draft.Sign(alice)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := c.draft.SignWithWork(t.Context(), alice, c.bits, nil)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Work() < c.bits {
			t.Errorf("%s: the work is %d, want %d", c.name, doc.Work(), c.bits)
		}
		_, part, _ := strings.Cut(string(bare.Bytes()), "\n")
		nonce, _ := doc.Header("Nonce")
		c.draft.Nonce = nonce
		checkSigned(t, c.draft, alice, doc)
		v.Documents = append(v.Documents, docWork{c.name, c.bits, part, nonce, string(doc.Bytes()), doc.Work()})
	}
	plain, err := comntr.ParseDocument(news, []byte("Cool!"))
	if err != nil {
		t.Fatal(err)
	}
	v.Documents = append(v.Documents, docWork{"plain text", 0, "", "", "Cool!", plain.Work()})
	if !t.Failed() {
		checkVectors(t, "work.json", v)
	}
}

// TestSignRefuses: what would be refused at a door, or mean nothing there, is
// not signed.
func TestSignRefuses(t *testing.T) {
	alice := testKey("alice")
	base := comntr.Draft{Place: news, Date: aliceDay, User: "Alice", Body: []byte("Cool!\n")}
	for _, c := range []struct {
		name, code string
		change     func(*comntr.Draft)
	}{
		{"a line feed in a value makes no header", "bad-header", func(d *comntr.Draft) { d.User = "Alice\nName: /r/news" }},
		{"an empty line in a value makes no body", "bad-header", func(d *comntr.Draft) { d.User = "Alice\n\nbody" }},
		{"a space before a value", "bad-header", func(d *comntr.Draft) { d.User = " Alice" }},
		{"a space after a value", "bad-header", func(d *comntr.Draft) { d.Tag = "spam " }},
		{"a tab", "bad-header", func(d *comntr.Draft) { d.User = "A\tlice" }},
		{"a nonce of two lines", "bad-header", func(d *comntr.Draft) { d.Nonce = "1\nUser: Bob" }},
		{"a value that is not UTF-8", "not-utf8", func(d *comntr.Draft) { d.User = "\xff" }},
		{"a NUL in a value", "bad-header", func(d *comntr.Draft) { d.User = "\x00" }},
		{"a body that is not UTF-8", "not-utf8", func(d *comntr.Draft) { d.Body = []byte("\xff") }},
		{"a body with a NUL", "nul", func(d *comntr.Draft) { d.Body = []byte("\x00") }},
		{"headers of more than 4 KiB", "bad-header", func(d *comntr.Draft) { d.User = strings.Repeat("u", comntr.MaxHeaders) }},
		{"more than 64 KiB", "too-large", func(d *comntr.Draft) { d.Body = make([]byte, comntr.MaxDocument) }},
		{"a kind of the future", "bad-header", func(d *comntr.Draft) { d.Kind = "poll" }},
		{"the kind unknown", "bad-header", func(d *comntr.Draft) { d.Kind = comntr.KindUnknown }},
		{"an edit of nothing", "bad-header", func(d *comntr.Draft) { d.Kind = comntr.KindEdit }},
		{"a delete of nothing", "bad-header", func(d *comntr.Draft) { d.Kind = comntr.KindDelete }},
		{"a vote on nothing", "bad-header", func(d *comntr.Draft) { d.Kind, d.Body = comntr.KindVote, []byte("up") }},
		{"a vote for something else", "bad-header", func(d *comntr.Draft) { d.Kind, d.Target = comntr.KindVote, cool }},
		{"a comment with a target", "bad-header", func(d *comntr.Draft) { d.Target = cool }},
		{"an edit with a parent", "bad-header", func(d *comntr.Draft) { d.Kind, d.Target, d.Parent = comntr.KindEdit, cool, thatsBS }},
		{"a name of another topic", "bad-header", func(d *comntr.Draft) { d.Name = "/r/gifs" }},
		{"a hide without a tag", "bad-header", func(d *comntr.Draft) { d.Place, d.Kind, d.Target = listPlace(), comntr.KindHide, cool }},
		{"a hide in no list's topic", "bad-header", func(d *comntr.Draft) { d.Kind, d.Target, d.Tag = comntr.KindHide, cool, "spam" }},
		{"a hide in another tag's topic", "bad-header", func(d *comntr.Draft) {
			d.Place, d.Kind, d.Target, d.Tag = listPlace(), comntr.KindHide, cool, "ham"
		}},
		{"the year 10000", "bad-header", func(d *comntr.Draft) { d.Date = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"a year before 0", "bad-header", func(d *comntr.Draft) { d.Date = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"an extra header with a field of its own", "bad-header", func(d *comntr.Draft) { d.Extra = []comntr.Header{{"parent", cool.String()}} }},
		{"an extra Signature", "bad-header", func(d *comntr.Draft) { d.Extra = []comntr.Header{{"Signature", "x"}} }},
		{"an extra header twice", "bad-header", func(d *comntr.Draft) { d.Extra = []comntr.Header{{"X", "1"}, {"x", "1"}} }},
		{"an extra header with a bad name", "bad-header", func(d *comntr.Draft) { d.Extra = []comntr.Header{{"X Y", "1"}} }},
		{"an extra header without a value", "bad-header", func(d *comntr.Draft) { d.Extra = []comntr.Header{{"X", ""}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := base
			c.change(&d)
			for how, sign := range map[string]func() (*comntr.Document, error){
				"Sign": func() (*comntr.Document, error) { return d.Sign(alice) },
				// Refused before the work, which nobody could pay.
				"SignWithWork": func() (*comntr.Document, error) { return d.SignWithWork(t.Context(), alice, comntr.MaxWork, nil) },
			} {
				if how == "SignWithWork" && d.Nonce != "" {
					continue // it puts its own there
				}
				doc, err := sign()
				var invalid *comntr.Invalid
				if !errors.As(err, &invalid) || invalid.Code != c.code || doc != nil {
					t.Errorf("%s: %v, want the code %s", how, err, c.code)
				}
			}
		})
	}
	if _, err := base.Sign(alice[:32]); err == nil {
		t.Error("signed with half a key")
	}
}

// TestDeletionLooksLikeItsTarget: from the delete alone follow the place and
// the date that the deleted comment had.
func TestDeletionLooksLikeItsTarget(t *testing.T) {
	alice := testKey("alice")
	for name, d := range map[string]comntr.Draft{
		"a reply":           {Place: news, Date: aliceDay, Parent: thatsBS, User: "Alice", Body: []byte("oops")},
		"without a parent":  {Place: news, Date: aliceDay, Body: []byte("oops")},
		"without a date":    {Place: news, Parent: thatsBS, Body: []byte("oops")},
		"of the year 1":     {Place: news, Date: time.Time{}.Add(1), Body: []byte("oops")},
		"an edit":           {Place: news, Date: aliceDay, Kind: comntr.KindEdit, Target: cool, Body: []byte("oops")},
		"malformed headers": {Place: news, Body: []byte("oops")},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := d.Sign(alice)
			if name == "malformed headers" {
				target, err = comntr.ParseDocument(news, []byte(signDoc(alice, "Topic: "+news.String()+"\nDate: yesterday\nParent: that one\n\noops")))
			}
			if err != nil {
				t.Fatal(err)
			}
			del, err := comntr.Deletion(target).Sign(alice)
			if err != nil {
				t.Fatal(err)
			}
			checkSigned(t, comntr.Draft{Place: news, Kind: comntr.KindDelete, Target: target.ID(), Date: d.Date, Parent: d.Parent}, alice, del)
		})
	}
}

// TestSignRandomDrafts: Sign and then ParseDocument give every field back.
func TestSignRandomDrafts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hash := func() (h comntr.Hash) {
		if r.IntN(2) == 0 {
			for i := range h {
				h[i] = byte(r.Uint32())
			}
		}
		return h
	}
	text := func(max int) string {
		var b strings.Builder
		for range r.IntN(max) {
			b.WriteRune([]rune("aZ0 :-ü\u202e😀")[r.IntN(9)])
		}
		return strings.Trim(b.String(), " ")
	}
	for range 2000 {
		key := testKey(strconv.Itoa(r.IntN(50)))
		d := comntr.Draft{
			Place:  comntr.Place{Community: hash(), Topic: hash()},
			Kind:   []comntr.Kind{"", comntr.KindComment, comntr.KindEdit, comntr.KindDelete, comntr.KindVote}[r.IntN(5)],
			Target: hash(), Parent: hash(), User: text(20), Tag: text(20), Nonce: text(10), Body: []byte(text(200)),
		}
		if r.IntN(2) == 0 {
			d.Date = time.Unix(r.Int64N(250e9), r.Int64N(1e9))
		}
		if r.IntN(3) == 0 {
			if d.Name = text(10); d.Name != "" {
				d.Place.Topic = comntr.NameHash(d.Name)
			}
		}
		for i := range r.IntN(3) {
			d.Extra = append(d.Extra, comntr.Header{Name: "X" + strconv.Itoa(i), Value: "x" + text(9)})
		}
		switch d.Kind {
		case comntr.KindEdit, comntr.KindVote:
			d.Target, d.Parent = cool, comntr.Hash{}
		case comntr.KindDelete:
			d.Target = cool
		default:
			d.Target = comntr.Hash{}
		}
		if d.Kind == comntr.KindVote {
			d.Body = []byte("up")
		}
		doc, err := d.Sign(key)
		if err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		checkSigned(t, d, key, doc)
		if t.Failed() {
			t.Fatalf("%+v", d)
		}
	}
}

// FuzzSign: whatever is put into a draft, either it is refused, or exactly
// that stands in the document. No input makes headers of its own.
func FuzzSign(f *testing.F) {
	f.Add("", "Alice", "", "spam", "X-Mood", "good", "1", []byte("Cool!"), int64(1795341600), uint8(0))
	f.Add("edit", "A\nKind: delete", "/r/news", "", "", "", "", []byte("\n\n"), int64(0), uint8(7))
	f.Add("vote", "", "", "", "kind", "delete", "\n", []byte("up"), int64(-1)<<40, uint8(1))
	f.Add("hide", "\u0085", "", "spam", "Nonce", "2", " ", []byte("Signature: "), int64(1)<<40, uint8(3))
	alice := testKey("alice")
	f.Fuzz(func(t *testing.T, kind, user, name, tag, extraName, extraValue, nonce string, body []byte, date int64, set uint8) {
		d := comntr.Draft{Place: news, Kind: comntr.Kind(kind), User: user, Name: name, Tag: tag, Nonce: nonce, Body: body}
		if set&1 != 0 {
			d.Target = cool
		}
		if set&2 != 0 {
			d.Parent = thatsBS
		}
		if set&4 != 0 {
			d.Date = time.Unix(date, 5)
		}
		if set&8 != 0 {
			d.Place = listPlace()
		}
		if extraName != "" {
			d.Extra = []comntr.Header{{Name: extraName, Value: extraValue}}
		}
		doc, err := d.Sign(alice)
		if err != nil {
			var invalid *comntr.Invalid
			if !errors.As(err, &invalid) || doc != nil {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		checkSigned(t, d, alice, doc)
		head := len(doc.Bytes()) - len(doc.Body())
		lines := 4 // Signature, Public-Key, Topic, the empty line
		for _, there := range []bool{!d.Date.IsZero(), doc.Kind() != comntr.KindComment, set&1 != 0, set&2 != 0, user != "", name != "", tag != "", extraName != "", nonce != ""} {
			if there {
				lines++
			}
		}
		if n := bytes.Count(doc.Bytes()[:head], []byte("\n")); n != lines {
			t.Fatalf("%d lines of headers, want %d: %q", n, lines, doc.Bytes()[:head])
		}
	})
}

// TestWorkIsTheSmallestNonce: however many cores search, equal drafts give
// equal documents.
func TestWorkIsTheSmallestNonce(t *testing.T) {
	alice := testKey("alice")
	const bits = 11
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for i := range 4 {
		d := comntr.Draft{Place: news, Body: fmt.Appendf(nil, "comment %d", i)}
		want := ""
		for n := 0; want == ""; n++ {
			d.Nonce = strconv.Itoa(n)
			if doc := must(d.Sign(alice)); doc.Work() >= bits {
				want = string(doc.Bytes())
			}
		}
		for _, cores := range []int{1, 3, 8} {
			runtime.GOMAXPROCS(cores)
			if doc := must(d.SignWithWork(t.Context(), alice, bits, nil)); string(doc.Bytes()) != want {
				t.Errorf("%d cores made another document than the smallest nonce does", cores)
			}
		}
	}
}

func TestWorkCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	d := comntr.Draft{Place: news, Body: []byte("never")}
	var last uint64
	doc, err := d.SignWithWork(ctx, testKey("alice"), comntr.MaxWork, func(tried uint64) {
		if tried < last {
			t.Errorf("%d nonces were tried, then %d", last, tried)
		}
		last = tried
		if tried > 0 {
			cancel(errors.New("enough"))
		}
	})
	if !errors.Is(err, context.Canceled) || doc != nil {
		t.Errorf("a search that was cancelled ended with %v, %v", doc, err)
	}
	if last == 0 {
		t.Error("progress was never told")
	}
	if _, err := d.SignWithWork(t.Context(), testKey("alice"), comntr.MaxWork+1, nil); err == nil {
		t.Error("more work than can be paid was tried")
	}
}

// BenchmarkSignWithWork is what a vote costs its voter.
func BenchmarkSignWithWork(b *testing.B) {
	alice := testKey("alice")
	for _, size := range []int{2, 1 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			var tried uint64
			for i := range b.N {
				d := comntr.Draft{Place: news, Date: aliceDay.Add(time.Duration(i) * time.Second), Body: bytes.Repeat([]byte("x"), size)}
				var now uint64
				must(d.SignWithWork(b.Context(), alice, comntr.VoteWork, func(n uint64) { now = n }))
				tried += now
			}
			b.ReportMetric(float64(tried)/b.Elapsed().Seconds(), "nonces/s")
		})
	}
}

func BenchmarkSign(b *testing.B) {
	alice := testKey("alice")
	d := comntr.Draft{Place: news, Date: aliceDay, User: "Alice", Parent: thatsBS, Body: bytes.Repeat([]byte("x"), 300)}
	for b.Loop() {
		must(d.Sign(alice))
	}
}
