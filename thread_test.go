package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"github.com/comntr/comntr"
)

// line is a document in the words of a test; at is a time of the day 22
// November 2026, or a Date's value as it is.
type line struct {
	by, at, kind, target, parent, user, name, tag, targetKey, targetTag, body string

	work   int // at least so many bits; -n: exactly n
	resign int // other than 0: another signature of the same act
	place  comntr.Place
}

func keyHex(name string) string {
	return hex.EncodeToString(testKey(name).Public().(ed25519.PublicKey))
}

func keyOf(name string) [32]byte { return [32]byte(testKey(name).Public().(ed25519.PublicKey)) }

func (l line) headers() string {
	var b strings.Builder
	header := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	header("Topic", l.stands().String())
	if len(l.at) == len("10:00") {
		l.at = "2026-11-22T" + l.at + ":00Z"
	}
	header("Date", l.at)
	header("Kind", l.kind)
	header("Target", l.target)
	header("Parent", l.parent)
	header("User", l.user)
	header("Name", l.name)
	header("Tag", l.tag)
	header("Target-Key", l.targetKey)
	header("Target-Tag", l.targetTag)
	return b.String()
}

// stands is the document's place.
func (l line) stands() comntr.Place {
	if l.place == (comntr.Place{}) {
		return news
	}
	return l.place
}

// text signs; without by it is plain text.
func (l line) text(t testing.TB) string {
	t.Helper()
	text := l.body
	if l.by != "" {
		key := testKey(l.by)
		rest := l.headers()
		if l.work != 0 {
			rest += "Nonce: " + nonce(t, "Public-Key: "+keyHex(l.by)+"\n"+rest, l.body, l.work) + "\n"
		}
		text = signDoc(key, rest+"\n"+l.body)
		if l.resign != 0 {
			text = resign(key, text, l.resign)
		}
	}
	return text
}

func (l line) doc(t testing.TB) *comntr.Document {
	t.Helper()
	text := l.text(t)
	d, err := comntr.ParseDocument(l.stands(), []byte(text))
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return d
}

// resign gives the same signed part another valid signature, as a key's
// holder can who does not derive R as RFC 8032 says.
func resign(key ed25519.PrivateKey, text string, n int) string {
	_, part, _ := strings.Cut(text, "\n")
	h := sha512.Sum512(key.Seed())
	secret, _ := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	r, _ := edwards25519.NewScalar().SetUniformBytes(sha512Sum(h[32:], []byte(strconv.Itoa(n)), []byte(part)))
	R := edwards25519.NewIdentityPoint().ScalarBaseMult(r).Bytes()
	k, _ := edwards25519.NewScalar().SetUniformBytes(sha512Sum(R, key.Public().(ed25519.PublicKey), []byte(part)))
	S := edwards25519.NewScalar().MultiplyAdd(k, secret, r).Bytes()
	return "Signature: " + hex.EncodeToString(R) + hex.EncodeToString(S) + "\n" + part
}

// paid are the nonces of the committed vectors, by the SHA-256 of what stands
// around them, so that only new vectors have to be paid for.
var paid = sync.OnceValue(func() map[[32]byte]string {
	m := map[[32]byte]string{}
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", "folds.json"))
	if err != nil {
		return m
	}
	var v foldVectors
	if json.Unmarshal(b, &v) != nil {
		return m
	}
	for _, c := range v.Cases {
		for _, text := range c.Documents {
			_, part, _ := strings.Cut(text, "\n")
			head, body, _ := strings.Cut(part, "\n\n")
			if head, n, ok := strings.Cut(head, "\nNonce: "); ok {
				m[sha256.Sum256([]byte(head+"\n\n"+body))] = n
			}
		}
	}
	return m
})

func nonce(t testing.TB, head, body string, work int) string {
	enough := func(n string) bool {
		got := comntr.Work(sha256.Sum256([]byte(head + "Nonce: " + n + "\n\n" + body)))
		return got == -work || work > 0 && got >= work
	}
	if n, ok := paid()[sha256.Sum256([]byte(head+"\n"+body))]; ok && enough(n) {
		return n
	}
	h := sha256.New()
	h.Write([]byte(head + "Nonce: "))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i := 0; ; i++ {
		h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
		b = append(strconv.AppendInt(b[:0], int64(i), 10), "\n\n"+body...)
		h.Write(b)
		got := comntr.Work([32]byte(h.Sum(b[:0])))
		if got == -work || work > 0 && got >= work {
			return strconv.Itoa(i)
		}
	}
}

// foldNow is the time that the vectors are looked at.
var foldNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// foldCase is one case of folds.json. Outline is what a person says the
// thread must look like, see outline.
type foldCase struct {
	Name      string          `json:"name"`
	Why       string          `json:"why"`
	Order     string          `json:"order"`
	Documents []string        `json:"documents"`
	Filters   []foldFilter    `json:"filters,omitempty"`
	Outline   []string        `json:"outline"`
	Thread    json.RawMessage `json:"thread"`

	docs []*comntr.Document
}

type foldFilter struct {
	List      string   `json:"list"`
	Documents []string `json:"documents"`

	place comntr.Place
	docs  []*comntr.Document
}

type wilsonVector struct {
	Up    int     `json:"up"`
	Down  int     `json:"down"`
	Low   float64 `json:"low"`
	Float string  `json:"float"` // the 64 bits of low, in hex
}

type foldVectors struct {
	Rule   string         `json:"rule"`
	Topic  string         `json:"topic"`
	Now    string         `json:"now"`
	Cases  []foldCase     `json:"cases"`
	Wilson []wilsonVector `json:"wilson"`
}

// outline is a thread as a person would write it down: a line for each
// comment, two spaces for each level, its text, and what is marked.
func outline(thread *comntr.Thread) []string {
	lines := []string{}
	if thread.Name != "" {
		lines = append(lines, "= "+thread.Name)
	}
	if len(thread.Locked) > 0 {
		lines = append(lines, fmt.Sprintf("= locked %d", len(thread.Locked)))
	}
	for i := range thread.Comments {
		c := &thread.Comments[i]
		s := strings.Repeat("  ", c.Depth) + string(c.Body())
		if c.Deleted {
			s += "deleted"
		}
		mark := func(ok bool, format string, args ...any) {
			if ok {
				s += " [" + fmt.Sprintf(format, args...) + "]"
			}
		}
		mark(c.Up > 0, "+%d", c.Up)
		mark(c.Down > 0, "-%d", c.Down)
		mark(c.Edit != nil, "edited")
		mark(len(c.Aliases) > 0, "also %d", len(c.Aliases))
		mark(c.Missing, "missing parent")
		mark(len(c.Hidden) > 0, "hidden %d", len(c.Hidden))
		mark(len(c.Pinned) > 0, "pinned %d", len(c.Pinned))
		mark(len(c.Locked) > 0, "locked %d", len(c.Locked))
		lines = append(lines, s)
	}
	return lines
}

func texts(docs []*comntr.Document) []string {
	out := []string{}
	for _, d := range docs {
		out = append(out, string(d.Bytes()))
	}
	return out
}

func (c *foldCase) filters() []comntr.Filter {
	var out []comntr.Filter
	for _, f := range c.Filters {
		out = append(out, comntr.ParseFilter(f.place, f.docs, foldNow))
	}
	return out
}

func (c *foldCase) order(t testing.TB) comntr.Order {
	o, err := comntr.ParseOrder(c.Order)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func foldJSON(t testing.TB, thread *comntr.Thread) string {
	t.Helper()
	b, err := json.Marshal(thread)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkThread holds what every thread must be, whatever was folded.
func checkThread(t testing.TB, thread *comntr.Thread) {
	t.Helper()
	var above []int // the comments that the current one stands below
	replies := make([]int, len(thread.Comments))
	names := map[comntr.Hash]int{}
	total := 0
	for i := range thread.Comments {
		c := &thread.Comments[i]
		if c.Depth > len(above) {
			t.Fatalf("comment %d has depth %d after depth %d", i, c.Depth, len(above)-1)
		}
		above = above[:c.Depth]
		for _, id := range append([]comntr.Hash{c.ID}, c.Aliases...) {
			if was, twice := names[id]; twice {
				t.Fatalf("%v stands twice: %d and %d", id, was, i)
			}
			names[id] = i
		}
		for j, alias := range c.Aliases {
			if j == 0 && alias.Compare(c.ID) <= 0 || j > 0 && alias.Compare(c.Aliases[j-1]) <= 0 {
				t.Fatalf("the ids of %v are not sorted", c.ID)
			}
		}
		switch {
		case c.Deleted != (c.Document == nil):
			t.Fatalf("%v: deleted is %t with document %v", c.ID, c.Deleted, c.Document)
		case c.Deleted && (c.Replies == 0 && i+1 == len(thread.Comments) || c.Edit != nil || c.Up+c.Down > 0):
			t.Fatalf("%v is deleted and has something", c.ID)
		case c.Depth == 0 && !c.Missing && c.Parent != (comntr.Hash{}):
			t.Fatalf("%v stands at top level with a parent", c.ID)
		case c.Missing && (c.Depth != 0 || c.Parent == comntr.Hash{}):
			t.Fatalf("%v misses a parent and stands at depth %d", c.ID, c.Depth)
		case c.Depth > 0 && thread.Comments[above[c.Depth-1]].ID != c.Parent:
			t.Fatalf("%v does not stand under its parent", c.ID)
		}
		if !c.Deleted && len(c.Hidden) == 0 {
			total++
			for _, a := range above {
				replies[a]++
			}
		}
		above = append(above, i)
	}
	for i, c := range thread.Comments {
		if c.Replies != replies[i] {
			t.Fatalf("%v has %d replies, not %d", c.ID, replies[i], c.Replies)
		}
		if c.Deleted && (i+1 == len(thread.Comments) || thread.Comments[i+1].Depth != c.Depth+1) {
			t.Fatalf("%v is deleted and has no reply", c.ID)
		}
	}
	if total != thread.Total {
		t.Fatalf("the total is %d, not %d", total, thread.Total)
	}
}

// checkFold holds what every fold must be: the same for any order of the
// documents, for some twice, and for any of the deleted ones gone.
func checkFold(t testing.TB, seed uint64, docs []*comntr.Document, filters []comntr.Filter, order comntr.Order, work int) *comntr.Thread {
	t.Helper()
	thread := comntr.FoldWork(docs, filters, foldNow, order, work)
	checkThread(t, thread)
	want := foldJSON(t, thread)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 3 {
		other := slices.Clone(docs)
		for _, d := range docs {
			if rng.IntN(4) == 0 {
				other = append(other, d)
			}
		}
		rng.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		if got := foldJSON(t, comntr.FoldWork(other, filters, foldNow, order, work)); got != want {
			t.Fatalf("seed %d: another order gives\n%s\nnot\n%s", seed, got, want)
		}
		other = slices.DeleteFunc(other, func(d *comntr.Document) bool { return rng.IntN(2) == 0 && deletedBy(docs, d) })
		if got := foldJSON(t, comntr.FoldWork(other, filters, foldNow, order, work)); got != want {
			t.Fatalf("seed %d: with deleted bytes gone it is\n%s\nnot\n%s", seed, got, want)
		}
	}
	return thread
}

// deletedBy is the rule by which stores remove, in its plainest words.
func deletedBy(docs []*comntr.Document, t *comntr.Document) bool {
	return slices.ContainsFunc(docs, func(d *comntr.Document) bool {
		kind, _ := d.Header("Kind")
		target, _ := d.Header("Target")
		itsKind, _ := t.Header("Kind")
		itsTarget, _ := t.Header("Target")
		return kind == "delete" && itsKind != "delete" && t.Signed() && d.Key() == t.Key() && !d.Premature(foldNow) &&
			(target == t.ID().String() || itsKind == "edit" && target == itsTarget && target != "")
	})
}

func TestFoldVectors(t *testing.T) {
	v := foldVectors{
		Rule: "documents of the topic and of the filters' lists are valid documents as they are; the place of each is its Topic header's, of plain text the topic's. " +
			"thread: what Fold gives for them at now, in JSON: equal as values; members that are absent are empty. outline: the same for people. " +
			"wilson: the score of order best for so many votes; float is its IEEE 754 bits. Keys: the Ed25519 seed is the SHA-256 of a name such as \"alice\".",
		Topic: news.String(),
		Now:   foldNow.Format(comntr.DateFormat),
		Cases: foldCases(t),
	}
	if len(v.Cases) < 60 {
		t.Errorf("%d cases", len(v.Cases))
	}
	names := map[string]bool{}
	for i := range v.Cases {
		c := &v.Cases[i]
		if names[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			thread := checkFold(t, uint64(i), c.docs, c.filters(), c.order(t), comntr.VoteWork)
			if got := outline(thread); !slices.Equal(got, c.Outline) {
				t.Errorf("%s: the thread is\n%s\nnot\n%s", c.Why, strings.Join(got, "\n"), strings.Join(c.Outline, "\n"))
			}
			c.Documents = texts(c.docs)
			slices.Sort(c.Documents) // nobody may rely on an order
			for j := range c.Filters {
				f := &c.Filters[j]
				f.List, f.Documents = f.place.String(), texts(f.docs)
			}
			c.Thread = indented(t, thread)
		})
	}
	v.Wilson = wilsonVectors()
	if !t.Failed() {
		checkVectors(t, "folds.json", v)
	}
}

// indented is JSON without HTML's escapes, as checkVectors writes it.
func indented(t testing.TB, v any) json.RawMessage {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
