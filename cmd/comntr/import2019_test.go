package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
)

// author2019 is a user of the 2019 network.
type author2019 struct{ key ed25519.PrivateKey }

func newAuthor2019(seed byte) author2019 {
	return author2019{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

func (a author2019) pub() string { return hex.EncodeToString(a.key.Public().(ed25519.PublicKey)) }

// id is the user id by which topics named their owners.
func (a author2019) id() string { return comntr.NameHash(a.pub()).String() }

// sign signs a comment as the page did.
func (a author2019) sign(comment string) string {
	part := "Public-Key: " + a.pub() + "\n" + comment
	return "Signature: " + hex.EncodeToString(ed25519.Sign(a.key, []byte(part))) + "\n" + part
}

const postmarkLine2019 = `Postmark: {"pubkey":"q83vASN","time":"2019-07-28T10:00:00Z","sig":"` +
	"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA==" + `"}` + "\n"

// topicDir2019 is a topic's folder, in a shape such as 2, 2.
func topicDir2019(topic comntr.Hash, shape ...int) string {
	digits, path := topic.String(), ""
	for _, n := range shape {
		path, digits = filepath.Join(path, digits[:n]), digits[n:]
	}
	return filepath.Join(path, digits)
}

// put2019 writes a file, named by its SHA-1.
func put2019(t testing.TB, dir, text string) comntr.Hash {
	t.Helper()
	id := comntr.SumHash([]byte(text))
	putAs2019(t, filepath.Join(dir, id.String()), text)
	return id
}

func putAs2019(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sample2019 is what writeSample2019 wrote.
type sample2019 struct {
	blog, page, oldest, owned comntr.Hash // topics
	parent, reply, orphan     comntr.Hash // of blog
	left                      map[string]string
}

const comments2019 = 9 // of the sample, that its network's rules have nothing against

// writeSample2019 writes a data folder with topics in each shape, and with
// much that is none of its comments.
func writeSample2019(t testing.TB, dir string) sample2019 {
	alice, bob := newAuthor2019(1), newAuthor2019(2)
	s := sample2019{
		blog: comntr.NameHash("https://example.org/post/7"), page: comntr.NameHash("https://example.org/about"),
		oldest: comntr.NameHash("https://example.org/"), owned: comntr.NameHash("a list of bans"),
		left: make(map[string]string),
	}
	// The shape that the network ended with; a reply whose clock was wrong.
	blog := filepath.Join(dir, topicDir2019(s.blog, 2, 2))
	s.parent = put2019(t, blog, alice.sign(fmt.Sprintf("Date: 2019-07-20T10:00:00.123Z\nUser: alice\nParent: %s\n\nFirst.\n\nOf two paragraphs.", s.blog)))
	s.reply = put2019(t, blog, bob.sign(fmt.Sprintf("Date: 2019-07-20T09:00:00.456Z\nUser: bob\nParent: %s\n\nA reply to alice.", s.parent)))
	s.orphan = put2019(t, blog, bob.sign(fmt.Sprintf("Date: 2019-07-21T10:00:00.456Z\nUser: bob\nParent: %s\n\nA reply to nobody.", comntr.NameHash("gone"))))
	// The one before, with a postmark, and without a signature or a date.
	page := filepath.Join(dir, topicDir2019(s.page, 3, 3))
	put2019(t, page, postmarkLine2019+alice.sign(fmt.Sprintf("Date: 2019-07-28T10:00:00.000Z\nUser: alice\nParent: %s\n\nI have a brain.", s.page)))
	put2019(t, page, "User: nobody\n\nPosted by a program.")
	// The first, and the conversion from it that went wrong: some are in both.
	oldest := filepath.Join(dir, topicDir2019(s.oldest))
	put2019(t, oldest, fmt.Sprintf("Date: 2019-05-20T10:00:00.000Z\nUser: old\nParent: %s\n\nIn the days of JSON. Привет!", s.oldest))
	converted := filepath.Join(dir, topicDir2019(s.oldest, 3, 3), s.oldest.String())
	put2019(t, converted, fmt.Sprintf("Date: 2019-05-20T10:00:00.000Z\nUser: old\nParent: %s\n\nIn the days of JSON. Привет!", s.oldest))
	put2019(t, converted, fmt.Sprintf("Date: 2019-05-21T10:00:00.000Z\nUser: old\nParent: %s\n\nOf the next day.", s.oldest))
	// A topic that has an owner.
	owned := filepath.Join(dir, topicDir2019(s.owned, 2, 2))
	putAs2019(t, filepath.Join(owned, ".rules"), fmt.Sprintf(`{"owner":%q}`, alice.id()))
	put2019(t, owned, alice.sign(fmt.Sprintf("Date: 2019-07-22T10:00:00.000Z\nUser: alice\nParent: %s\nBlocked-User: %s\n\nHe spams.", s.parent, bob.id())))
	// Beyond the year, for nobody's clock is to be trusted: it is undated.
	put2019(t, oldest, "Date: tomorrow\nUser: old\n\nWhenever it was.")

	leave := func(dir, text, why string) {
		id := put2019(t, filepath.Join(dir), text)
		s.left[id.String()] = why
	}
	leave(blog, strings.Replace(alice.sign("Date: 2019-07-20T10:00:00.123Z\nUser: alice\n\nI say yes."), "yes", "no!", 1), "signature does not verify")
	leave(blog, strings.Replace(alice.sign("User: alice\n\nBy whom?"), alice.pub(), bob.pub(), 1), "signature does not verify")
	leave(blog, "User: eve\n"+alice.sign("User: alice\n\nWho said it?"), "does not begin with the lines")
	leave(blog, postmarkLine2019+postmarkLine2019+alice.sign("User: alice\n\nTwo stamps."), "does not begin with the lines")
	leave(blog, "Public-Key: "+alice.pub()+"\nUser: alice\n\nNot signed.", "does not begin with the lines")
	leave(blog, "User: x\n\n"+strings.Repeat("y", comntr.MaxDocument-9), "does not fit in a document")
	leave(blog, "User: x\n\n"+strings.Repeat("y", comntr.MaxDocument), "at most 65,536 fit")
	leave(blog, "just text", "no headers")
	leave(blog, "User: a b\n\nSpaces in a value.", "line 1 is not of the form")
	leave(blog, "User: x\n\nno", "shorter than 3")
	leave(blog, "User: x\n\nA line end at the end.\n", "shorter than 3")
	leave(blog, "User: x\n\nbin\xff\xfeary", "not UTF-8")
	leave(blog, "User: x\n\nnu\x00l", "byte 0")
	leave(blog, "Date: 9999-01-01T00:00:00Z\n\nFrom the future.", "lies ahead")
	leave(owned, bob.sign("User: bob\n\nMay I?"), "only the topic's owner")
	leave(owned, "User: alice\n\nI am the owner.", "only the topic's owner")
	leave(filepath.Join(dir, topicDir2019(s.owned, 3, 3)), "User: eve\n\nHe has no rules here.", "only the topic's owner")
	wrong := comntr.NameHash("another").String()
	putAs2019(t, filepath.Join(blog, wrong), "User: x\n\nNot its name.")
	s.left[wrong] = "not the SHA-1 of its bytes"
	putAs2019(t, filepath.Join(blog, "notes.txt"), "User: x\n\nNo name.")
	s.left["notes.txt"] = "40 hex digits"
	putAs2019(t, filepath.Join(dir, "README"), "what is this")
	s.left["README"] = "no folder"
	if err := os.MkdirAll(filepath.Join(dir, "zz", "top"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.left["zz"] = "no topic's folder"
	if err := os.Symlink("/etc/passwd", filepath.Join(blog, comntr.NameHash("link").String())); err != nil {
		t.Fatal(err)
	}
	s.left[comntr.NameHash("link").String()] = "not followed"
	if err := os.Symlink(blog, filepath.Join(dir, "ff")); err != nil {
		t.Fatal(err)
	}
	s.left["ff"] = "no folder"
	if err := syscall.Mkfifo(filepath.Join(blog, comntr.NameHash("pipe").String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s.left[comntr.NameHash("pipe").String()] = "no file"
	return s
}

// reader2019 collects what is left out.
type reader2019 map[string]string

func (r reader2019) left(path string, err error) {
	var rule invalid2019
	if !errors.As(err, &rule) {
		err = fmt.Errorf("FAILED: %w", err)
	}
	r[filepath.Base(path)] = err.Error()
}

func TestFolder2019(t *testing.T) {
	dir := t.TempDir()
	s := writeSample2019(t, dir)
	left := make(reader2019)
	f, err := list2019(dir, left.left)
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[comntr.Hash]int)
	signed, marked := 0, 0
	last := -1
	for n, c := range f.comments() {
		if n < last {
			t.Errorf("topic %d after topic %d", n, last)
		}
		last = n
		if at[c.id] != 0 {
			t.Errorf("%s came twice", c.path)
		}
		at[c.id] = len(at) + 1
		if c.key != nil {
			signed++
		}
		if c.postmarked {
			marked++
		}
		if comntr.SumHash(c.bytes) != c.id {
			t.Errorf("%s: not its bytes", c.path)
		}
	}
	// What is left for later, or for size, is a comment all the same.
	if got, want := len(at), comments2019+2; got != want {
		t.Errorf("%d comments, not %d", got, want)
	}
	if signed != 5 || marked != 1 {
		t.Errorf("%d signed, %d with a postmark, not 5 and 1", signed, marked)
	}
	if at[s.parent] == 0 || at[s.reply] < at[s.parent] {
		t.Errorf("the parent came as number %d, its reply as %d", at[s.parent], at[s.reply])
	}
	for name, why := range s.left {
		if strings.Contains(why, "lies ahead") || strings.Contains(why, "does not fit") {
			continue
		}
		if got := left[name]; !strings.Contains(got, why) {
			t.Errorf("%s was left out for %q, not for %q", name, got, why)
		}
		delete(left, name)
	}
	for name, why := range left {
		t.Errorf("%s was left out: %s", name, why)
	}
}

// TestSignatures2019: what the network's own library signed. The payload is of
// its tests, and so is that the user id is of the key's digits.
func TestSignatures2019(t *testing.T) {
	const user = "2a9f985ea5ca1f1e499a58b43a6a51d973d921f8"
	const digits = "bc15c5842aed5f6fe166914302d7e68aed32b6b7d5638143e9eaa903a9516ec3"
	key, _ := hex.DecodeString(digits)
	sig, _ := hex.DecodeString("98a2b4a0d0bac634e6809fdee67fe0660b66eed22ccf4cbefe4d8785760560c2411ee1e45cb39fd1d870585fbc044a9b18e39e8bbddce36f63299b8fe4b82701")
	if !ed25519.Verify(key, []byte(`{"owner":"`+user+`"}`), sig) {
		t.Error("it does not verify")
	}
	if got := comntr.NameHash(digits).String(); got != user {
		t.Errorf("the user id is %s", got)
	}
}

func TestParse2019(t *testing.T) {
	topic := comntr.NameHash("a topic")
	parse := func(text string) (*comment2019, error) {
		return parse2019(topic, "", comntr.SumHash([]byte(text)).String(), []byte(text))
	}
	parent := comntr.NameHash("a parent")
	for name, test := range map[string]struct {
		text   string
		date   string
		parent comntr.Hash
		user   string
	}{
		"all":                {"Date: 2019-06-01T02:03:04.567Z\nUser: a\nParent: " + parent.String() + "\n\ntext", "2019-06-01T02:03:04Z", parent, "a"},
		"a whole second":     {"Date: 2019-06-01T02:03:04Z\n\ntext", "2019-06-01T02:03:04Z", comntr.Hash{}, ""},
		"another zone":       {"Date: 2019-06-01T02:03:04+02:00\n\ntext", "2019-06-01T00:03:04Z", comntr.Hash{}, ""},
		"a date of nothing":  {"Date: yesterday\n\ntext", "", comntr.Hash{}, ""},
		"year 0":             {"Date: 0000-06-01T02:03:04Z\n\ntext", "", comntr.Hash{}, ""},
		"the last moment":    {"Date: 9999-12-31T23:59:59-01:00\n\ntext", "", comntr.Hash{}, ""},
		"none of ours":       {"X-Y-Z: 1\n_1: 2\n\ntext", "", comntr.Hash{}, ""},
		"twice":              {"User: a\nUser: b\n\ntext", "", comntr.Hash{}, "a"},
		"other case":         {"user: a\n\ntext", "", comntr.Hash{}, ""},
		"below the headers":  {"X: 1\n\nUser: b\nDate: 2019-06-01T02:03:04Z", "", comntr.Hash{}, ""},
		"a parent's name":    {"Parent: x\n\ntext", "", comntr.Hash{}, ""},
		"above a signature":  {postmarkLine2019 + newAuthor2019(1).sign("User: a\n\ntext"), "", comntr.Hash{}, "a"},
		"emoji count as two": {"X: 1\n\n😀a", "", comntr.Hash{}, ""},
	} {
		c, err := parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		date := ""
		if d := c.draft(comntr.Hash{}, comntr.Hash{}).Date; !d.IsZero() {
			date = d.Format(comntr.DateFormat)
		}
		if date != test.date || c.parent != test.parent || c.user != test.user {
			t.Errorf("%s: date %q, parent %s, user %q", name, date, c.parent, c.user)
		}
	}
	for name, text := range map[string]string{
		"no-break space": "User: a\u00a0b\n\ntext", "a mark of order": "X: 1\n\n\ufefftext", "an en quad": "X: 1\n\ntext\u2000",
		"no colon": "User a\n\ntext", "a hyphen at the end": "User-: a\n\ntext", "no value": "User: \n\ntext", "a line end": "User: a\r\n\r\ntext",
		"an emoji": "X: 1\n\n😀", "empty": "", "no headers": "\n\ntext", "a short key": "Signature: 00\nPublic-Key: 00\n\ntext",
		"no key below": "Signature: " + strings.Repeat("0", 128) + "\n\ntext",
	} {
		var rule invalid2019
		if _, err := parse(text); !errors.As(err, &rule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Caught before anything else is looked at.
	pdf, err := hex.DecodeString(shattered2019)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(string(pdf)); err == nil || !strings.Contains(err.Error(), "collision") {
		t.Errorf("a collision: %v", err)
	}
}

// shattered2019 are the first 320 bytes of one of the two PDFs of
// https://shattered.io, which have one SHA-1.
const shattered2019 = "" +
	"255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f" +
	"537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572" +
	"436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01" +
	"7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2" +
	"3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1"

// TestDraft2019: what a wrapped comment says, and that it always says it.
func TestDraft2019(t *testing.T) {
	topic, community, parent := comntr.NameHash("a topic"), comntr.NameHash("reddit"), comntr.NameHash("a parent")
	text := newAuthor2019(1).sign("Date: 2019-06-01T02:03:04.567Z\nUser: alice\nParent: " + parent.String() + "\n\ntext")
	c, err := parse2019(topic, "", comntr.SumHash([]byte(text)).String(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	key := newAuthor2019(9).key
	doc, err := c.draft(community, comntr.Hash{}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(doc.Bytes()), "\n\n")
	want := fmt.Sprintf("Public-Key: %x\nTopic: %s/%s\nDate: 2019-06-01T02:03:04Z\nParent: %s\nUser: alice\nOrigin: comntr-2019 %s", key[32:], community, topic, parent, c.id)
	if _, got, _ := strings.Cut(head, "\n"); got != want || body != text {
		t.Errorf("%s\n\n%s", got, body)
	}
	again, err := c.draft(community, comntr.Hash{}).Sign(key)
	if err != nil || again.ID() != doc.ID() {
		t.Errorf("the second is %v, %v", again, err)
	}
	mapped := c.draft(community, community)
	if mapped.Parent != community {
		t.Error("the parent's new id was not taken")
	}
	// A reply to the topic is none; a name that is none is left in the body.
	c.parent, c.user = topic, strings.Repeat("a", maxUser2019)
	if d := c.draft(community, comntr.Hash{}); d.Parent != (comntr.Hash{}) || d.User == "" {
		t.Errorf("parent %s, user %q", d.Parent, d.User)
	}
	for _, user := range []string{strings.Repeat("a", maxUser2019+1), "a\x1bb", "a\x7f"} {
		c.user = user
		if d := c.draft(community, comntr.Hash{}); d.User != "" {
			t.Errorf("user %q", d.User)
		}
	}
}

// TestBounds2019: a folder that somebody made costs a bounded amount.
func TestBounds2019(t *testing.T) {
	topic := func(i int) comntr.Hash { return comntr.NameHash(fmt.Sprint(i)) }
	text := func(i int) string { return fmt.Sprintf("User: x\n\ntext %d", i) }
	small := func(dir string, left reader2019) *folder2019 {
		return &folder2019{dir: dir, left: left.left, paths: make(map[comntr.Hash][]string), maxTopics: 4, maxFiles: 3, maxBytes: 45}
	}
	count := func(f *folder2019) (n int) {
		for range f.comments() {
			n++
		}
		return n
	}
	t.Run("topics", func(t *testing.T) {
		dir, left := t.TempDir(), make(reader2019)
		for i := range 4 {
			put2019(t, filepath.Join(dir, topicDir2019(topic(i))), text(i))
		}
		f := small(dir, left)
		if err := f.list(); err != nil || count(f) != 4 {
			t.Fatal(err)
		}
		put2019(t, filepath.Join(dir, topicDir2019(topic(4))), text(4))
		if err := small(dir, left).list(); err == nil {
			t.Error("a fifth topic was taken")
		}
	})
	t.Run("folders", func(t *testing.T) {
		dir := t.TempDir()
		put2019(t, filepath.Join(dir, topicDir2019(topic(0), 2, 2)), text(0))
		put2019(t, filepath.Join(dir, topicDir2019(topic(1), 2, 2)), text(1))
		if err := small(dir, make(reader2019)).list(); err == nil {
			t.Error("six folders were taken")
		}
	})
	t.Run("files", func(t *testing.T) {
		dir, left := t.TempDir(), make(reader2019)
		path := topicDir2019(topic(0))
		for i := range 4 {
			put2019(t, filepath.Join(dir, path), text(i))
		}
		f := small(dir, left)
		if err := f.list(); err != nil || count(f) != 0 || !strings.Contains(left[path], "FAILED: it holds more than 3") {
			t.Error(err, left)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		dir, left := t.TempDir(), make(reader2019)
		path := topicDir2019(topic(0))
		for i := range 3 {
			put2019(t, filepath.Join(dir, path), text(i)) // 15 bytes each
		}
		f := small(dir, left)
		if err := f.list(); err != nil || count(f) != 3 || len(left) != 0 {
			t.Error(err, left)
		}
		f.maxBytes--
		if count(f) != 2 || !strings.Contains(left[path], "FAILED: it holds more than") {
			t.Error(left)
		}
	})
	t.Run("levels", func(t *testing.T) {
		dir, left := t.TempDir(), make(reader2019)
		put2019(t, filepath.Join(dir, topicDir2019(topic(0), 1, 1, 1, 1)), text(0))
		f, err := list2019(dir, left.left)
		if err != nil || count(f) != 1 {
			t.Error(err, left)
		}
		put2019(t, filepath.Join(dir, topicDir2019(topic(1), 1, 1, 1, 1, 1)), text(0))
		f, err = list2019(dir, left.left)
		if err != nil || count(f) != 1 || len(left) != 1 {
			t.Error(err, left)
		}
	})
	t.Run("rules", func(t *testing.T) {
		dir, left := t.TempDir(), make(reader2019)
		path := filepath.Join(dir, topicDir2019(topic(0)))
		put2019(t, path, text(0))
		for rules, want := range map[string]int{`{}`: 1, `{"owner":null}`: 1, `{"owner":""}`: 1, `{"captcha":"x"}`: 1, `{"owner":"x"}`: 0, `{`: 0, `{"owner":7}`: 0,
			"{}" + strings.Repeat(" ", maxRules2019-2): 1, "{}" + strings.Repeat(" ", maxRules2019-1): 0} {
			putAs2019(t, filepath.Join(path, ".rules"), rules)
			f, err := list2019(dir, left.left)
			if err != nil || count(f) != want {
				t.Errorf("rules %.20q: %v, %v", rules, err, left)
			}
		}
	})
}

// TestParentsFirst: in any order of files, parents come first; what cannot be,
// a cycle, ends.
func TestParentsFirst(t *testing.T) {
	h := func(i int) comntr.Hash { return comntr.NameHash(fmt.Sprint(i)) }
	var cs []*comment2019
	for i := range 2000 { // a chain, dates going down
		cs = append(cs, &comment2019{id: h(i), parent: h(i + 1), date: time.Unix(int64(1e9-i), 0)})
	}
	cs = append(cs, &comment2019{id: h(5000), parent: h(5001)}, &comment2019{id: h(5001), parent: h(5000)}, &comment2019{id: h(6000), parent: h(6000)})
	sorted := parentsFirst(slices.Clone(cs))
	if len(sorted) != len(cs) {
		t.Fatalf("%d of %d came", len(sorted), len(cs))
	}
	at := make(map[comntr.Hash]int)
	for i, c := range sorted {
		at[c.id] = i
	}
	for i := range 1999 {
		if at[h(i)] < at[h(i+1)] {
			t.Fatalf("%d came before its parent", i)
		}
	}
}

// server2019 answers posts in a synctest bubble.
type server2019 func(doc []byte) (status, retryAfter int)

func (s server2019) RoundTrip(req *http.Request) (*http.Response, error) {
	doc, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	status, after := http.StatusNotFound, 0 // it has nothing of the topic
	if req.Method == http.MethodPost {
		status, after = s(doc)
	}
	r := &http.Response{StatusCode: status, Header: make(http.Header), Request: req}
	body := comntr.SumHash(doc).String() + "\n"
	if status >= 400 {
		r.Header.Set("Content-Type", "application/problem+json")
		b, _ := json.Marshal(comntr.Problem{Status: status, Code: map[int]string{404: comntr.CodeNotFound, 410: comntr.CodeGone, 507: comntr.CodeFull}[status], Detail: "no", RetryAfter: after})
		body = string(b)
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	return r, nil
}

func TestImportPost(t *testing.T) {
	for name, test := range map[string]struct {
		answers []int // of one post after another; the last stays
		after   int
		tries   int
		waited  time.Duration
		ok      bool
	}{
		"at once":        {[]int{201}, 0, 1, 0, true},
		"limits of rate": {[]int{429, 429, 201}, 7, 3, 14 * time.Second, true},
		"busy":           {[]int{503, 200}, 0, 2, time.Second, true},
		"for ever":       {[]int{429}, 1, maxImportWaits, maxImportWaits * time.Second, false},
		"the longest":    {[]int{429, 201}, int(maxImportWait.Seconds()), 2, maxImportWait, true},
		"longer":         {[]int{429, 201}, int(maxImportWait.Seconds()) + 1, 1, 0, false},
		"full":           {[]int{507}, 60, 1, 0, false},
		"refused":        {[]int{422}, 0, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				server := server2019(func([]byte) (int, int) {
					tries++
					return test.answers[min(tries, len(test.answers))-1], test.after
				})
				client, err := comntr.NewClient("http://192.0.2.1:1", &http.Client{Transport: server})
				if err != nil {
					t.Fatal(err)
				}
				r := &import2019{key: newAuthor2019(9).key, env: &env{ctx: t.Context()}}
				start := time.Now()
				_, _, err = r.post(t.Context(), client, comntr.Draft{Body: []byte("hello")})
				if (err == nil) != test.ok || tries != test.tries || time.Since(start) != test.waited {
					t.Errorf("%d tries in %s: %v", tries, time.Since(start), err)
				}
			})
		})
	}
}

// TestImportStops: a wait ends when the process is told to.
func TestImportStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := comntr.NewClient("http://192.0.2.1:1", &http.Client{Transport: server2019(func([]byte) (int, int) { return 429, 100 })})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r := &import2019{key: newAuthor2019(9).key, env: &env{ctx: ctx}}
		if _, _, err := r.post(ctx, client, comntr.Draft{Body: []byte("hello")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestImportGoesOn: one comment that a server refuses stops no other, one that
// was deleted is no failure, and after a server that is full the next goes on
// where it stopped.
func TestImportGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := writeSample2019(t, dir)
	var stdout, stderr bytes.Buffer
	e := &env{ctx: t.Context(), stdout: &stdout, stderr: &stderr, log: slog.New(slog.DiscardHandler)}
	r := newImport2019(&import2019Cmd{Dir: dir}, e, newAuthor2019(9).key)
	var err error
	if r.folder, err = list2019(dir, r.left); err != nil {
		t.Fatal(err)
	}
	posted, docs := make(map[string]int), make(map[string]string) // by what it was
	full := false
	client, err := comntr.NewClient("http://192.0.2.1:1", &http.Client{Transport: server2019(func(doc []byte) (int, int) {
		_, rest, _ := strings.Cut(string(doc), "\nOrigin: comntr-2019 ")
		origin := rest[:40]
		posted[origin]++
		docs[origin] = string(doc)
		switch {
		case origin == s.parent.String():
			return 410, 0
		case origin == s.orphan.String():
			return 422, 0
		case !full && origin == s.reply.String():
			full = true
			return 507, 0
		}
		return 201, 0
	})})
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range r.folder.comments() {
		if err := r.one(t.Context(), client, n, c); err != nil {
			if err = r.one(t.Context(), client, n, c); err != nil { // as the next server does
				t.Fatal(err)
			}
		}
	}
	if got, want := r.outcomes[imported2019], comments2019-2; got != want || !full {
		t.Errorf("%d were imported, not %d", got, want)
	}
	if wrapped := comntr.SumHash([]byte(docs[s.parent.String()])); !strings.Contains(docs[s.reply.String()], "\nParent: "+wrapped.String()+"\nUser: bob\nOrigin: ") {
		t.Errorf("the reply to what was deleted, %s, is\n%s", wrapped, docs[s.reply.String()])
	}
	if posted[s.reply.String()] != 2 {
		t.Errorf("what the full server did not take was posted %d times", posted[s.reply.String()])
	}
	if r.outcomes[failed2019] != 1 || !strings.Contains(stderr.String(), "failed") || !strings.Contains(stderr.String(), "deleted since") {
		t.Errorf("%v\n%s", r.outcomes, &stderr)
	}
	if err := r.summary(); err == nil || !strings.Contains(err.Error(), "1 file could not") {
		t.Errorf("summary: %v", err)
	}
}

// FuzzParse2019: whatever stands in a folder is an error, or a comment that
// fits in a document, or is too large for one.
func FuzzParse2019(f *testing.F) {
	f.Add([]byte(newAuthor2019(1).sign("Date: 2019-07-28T10:00:00.123Z\nUser: alice\n\ntext")))
	f.Add([]byte(postmarkLine2019 + newAuthor2019(1).sign("User: \u007fx\nX: 1\n\ntext")))
	f.Add([]byte("Date: 0001-01-01T00:00:00.5Z\n\ntext"))
	key := newAuthor2019(9).key
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse2019(comntr.NameHash("t"), "", comntr.SumHash(b).String(), b)
		if err != nil {
			return
		}
		doc, err := c.draft(comntr.NameHash("c"), comntr.Hash{}).Sign(key)
		var bad *comntr.Invalid
		if errors.As(err, &bad) && bad.Code == comntr.CodeTooLarge {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(doc.Body(), b) {
			t.Error("the body is not the comment")
		}
	})
}
