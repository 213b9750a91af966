package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

func TestDocumentIsItsOwnCopy(t *testing.T) {
	b := []byte("Cool!")
	doc := must(comntr.ParseDocument(news, b))
	b[0] = 'F'
	if string(doc.Bytes()) != "Cool!" || comntr.SumHash(doc.Bytes()) != doc.ID() {
		t.Error("a document changes with the bytes it was parsed from")
	}
}

// The seed's own names.
func TestSeedNames(t *testing.T) {
	for _, c := range []struct {
		got  comntr.Hash
		want string
	}{
		{comntr.NameHash("reddit"), "27aa67d11878da3049675f218f9822318d27bf67"},
		{comntr.NameHash("/r/news"), "84d5fcc43a5a888643930cfa216833309b3dd96c"},
		{comntr.NameHash("/r/gifs"), "1f02420b6caff248bfbadbf3c9e8589d153b990e"},
		{must(comntr.ParseDocument(news, []byte("That's bs!"))).ID(), "c8083ac61a18ad57abdb8127129ed6a423cd731a"},
		{must(comntr.ParseDocument(news, []byte("Cool!"))).ID(), "33754244c02265dc24dfec91d64a48410ec24831"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s, the seed says %s", c.got, c.want)
		}
	}
}

func TestDocumentReading(t *testing.T) {
	key := testKey("alice")
	text := signDoc(key, "Topic: "+news.String()+"\nDate: 2026-11-22T10:00:00Z\nUser: Alice\nX-Other: c\n\nHi\n")
	doc := must(comntr.ParseDocument(news, []byte(text)))
	for _, h := range []struct{ name, want string }{
		{"User", "Alice"}, {"X-Other", "c"}, {"Date", "2026-11-22T10:00:00Z"}, {"Topic", news.String()},
	} {
		if got, ok := doc.Header(h.name); !ok || got != h.want {
			t.Errorf("%s: %q, %v", h.name, got, ok)
		}
	}
	for _, name := range []string{"user", "USER", "Signature", "Public-Key", "", "Parent"} {
		if got, ok := doc.Header(name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	if key := doc.Key(); !slices.Equal(key[:], testKey("alice").Public().(ed25519.PublicKey)) {
		t.Errorf("key %x", key)
	}
	if string(doc.Body()) != "Hi\n" {
		t.Errorf("body %q", doc.Body())
	}
	plain := must(comntr.ParseDocument(news, []byte("User: Alice\n\nHi")))
	if _, ok := plain.Header("User"); ok || plain.Signed() || plain.Key() != [32]byte{} || plain.Act() != [32]byte{} {
		t.Error("plain text has an author or headers")
	}
	if _, ok := plain.Date(); ok {
		t.Error("plain text has a date")
	}
}

// One part, signed by its key's holder with two nonces: two files, one act.
func TestActIsOfTheSignedPart(t *testing.T) {
	c := newCurve(t)
	a := c.scalar([]byte("author"))
	part := "Public-Key: " + hex.EncodeToString(c.point(a, 0).Bytes()) + "\nTopic: " + news.String() + "\n\nVote for me"
	sign := func(nonce string) *comntr.Document {
		r := c.scalar([]byte(nonce))
		R := c.point(r, 0).Bytes()
		s := c.scalar(R, c.point(a, 0).Bytes(), []byte(part))
		s.MultiplyAdd(s, a, r)
		return must(comntr.ParseDocument(news, []byte(fmt.Sprintf("Signature: %x%x\n%s", R, s.Bytes(), part))))
	}
	one, two := sign("1"), sign("2")
	if one.ID() == two.ID() || one.Act() != two.Act() {
		t.Error("two signatures of one part are not two files of one act")
	}
}

func TestPremature(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		date string
		want bool
	}{
		{"2026-11-22T09:00:00Z", false},
		{"2026-11-22T10:10:00Z", false},
		{"2026-11-22T10:10:01Z", true},
		{"9999-12-31T23:59:59Z", true},
		{"2026-11-22T11:00:00+00:00", false}, // of another form: absent
		{"0001-01-01T00:00:00Z", false},
	} {
		doc := must(comntr.ParseDocument(news, []byte(signDoc(testKey("alice"), "Topic: "+news.String()+"\nDate: "+c.date+"\n\nHi"))))
		if got := doc.Premature(now); got != c.want {
			t.Errorf("%s: %v", c.date, got)
		}
	}
	// Of the first second of the year 1 a date lies ahead, and none does not.
	first := must(comntr.ParseDocument(news, []byte(signDoc(testKey("alice"), "Topic: "+news.String()+"\nDate: 0001-01-01T00:00:00Z\n\nHi"))))
	if date, ok := first.Date(); !ok || !date.IsZero() || !first.Premature(time.Time{}.Add(-time.Hour)) {
		t.Errorf("the zero time as a date is %v, %v", date, ok)
	}
	if must(comntr.ParseDocument(news, []byte("Hi"))).Premature(time.Time{}) {
		t.Error("plain text is premature")
	}
}

// A document of as many headers as fit is parsed in time that its size bounds.
func manyHeaders() []byte {
	var b strings.Builder
	b.WriteString("Topic: " + news.String() + "\n")
	for i := 0; b.Len() < comntr.MaxHeaders-250; i++ {
		fmt.Fprintf(&b, "H%d: v\n", i)
	}
	return []byte(signDoc(testKey("alice"), b.String()+"\nbody"))
}

func BenchmarkParseDocument(b *testing.B) {
	signed := signDoc(testKey("alice"), "Topic: "+news.String()+"\nDate: 2026-11-22T10:00:00Z\nUser: Alice\n\n"+strings.Repeat("lorem ipsum ", 20))
	for _, c := range []struct {
		name string
		doc  []byte
	}{
		{"plain 200 B", comment(1)},
		{"plain 64 KiB", bytes.Repeat([]byte("lorem ipsum dolo"), comntr.MaxDocument/16)},
		{"signed 240 B", []byte(signed)},
		{"signed, many headers", manyHeaders()},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := comntr.ParseDocument(news, c.doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadFolder(b *testing.B) {
	tr := newTree(1)
	root := tr.topic(comntr.Hash{}, comments(1000)...).CID
	b.ReportAllocs()
	for b.Loop() {
		if _, err := comntr.ReadFolder(root, tr.get); err != nil {
			b.Fatal(err)
		}
	}
}
