package comntr_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/comntr/comntr"
)

// denyVector is one case of denylist.json.
type denyVector struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	List string `json:"list"`
	// Errors are the lines that cannot be read.
	Errors    []int      `json:"errors,omitempty"`
	Len       int        `json:"len"`
	ByContent bool       `json:"byContent"`
	Asked     []denyAsk  `json:"asked"`
	lookups   []denyLook // as written in denyCases
}

// denyAsk is one question, and the line that denies it; 0 if none does.
type denyAsk struct {
	Ask   string `json:"ask"` // topic, comment, file or cid
	Place string `json:"place,omitempty"`
	ID    string `json:"id,omitempty"`   // of a comment
	Text  string `json:"text,omitempty"` // of a file
	CID   string `json:"cid,omitempty"`
	Line  int    `json:"line"`
}

type denyVectors struct {
	Rule  string       `json:"rule"`
	Cases []denyVector `json:"cases"`
}

// denyLook asks all that can be asked about a file, or about a CID.
type denyLook struct {
	place                comntr.Place
	text                 string
	topic, comment, file int
	cid                  string
	line                 int
}

var gifs = comntr.Place{Community: news.Community, Topic: comntr.NameHash("/r/gifs")}

// elsewhere has the topic of news in another community.
var elsewhere = comntr.Place{Community: comntr.NameHash("lemmy"), Topic: news.Topic}

func signedAt(p comntr.Place, name, body string) string {
	return signDoc(testKey(name), "Topic: "+p.String()+"\n\n"+body)
}

// doubleHash is the double hash of s in the form of the format.
func doubleHash(t testing.TB, s string, code uint64) string {
	t.Helper()
	mh, err := multihash.Sum([]byte(s), code, -1)
	if err != nil {
		t.Fatal(err)
	}
	return mh.B58String()
}

func denyCases(t testing.TB) []denyVector {
	const cool, bs = "Cool!", "That's bs!"
	coolID, bsID := comntr.SumHash([]byte(cool)).String(), comntr.SumHash([]byte(bs)).String()
	alice, bob := signedAt(news, "alice", "Hi"), signedAt(news, "bob", "Hi")
	aliceID := comntr.SumHash([]byte(alice)).String()
	aliceKey, bobKey := keyHex("alice"), keyHex("bob")
	v0, v1 := comntr.Version(0).LeafCID([]byte(cool)), comntr.Version(1).LeafCID([]byte(cool))
	// What else the blocks of the leaves may be called.
	v0as1 := cid.NewCidV1(cid.DagProtobuf, v0.Hash()).String()
	oldHash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	const folder, empty = "QmPmG7jMA6DBeAnU2PQa7kFLRSsStqUui4fsUS8ozDR6Gc", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
	folder1 := cid.NewCidV1(cid.DagProtobuf, cid.MustParse(folder).Hash()).String()

	var cases []denyVector
	add := func(name, why, list string, n int, byContent bool, errors []int, lookups ...denyLook) {
		cases = append(cases, denyVector{Name: name, Why: why, List: list, Errors: errors, Len: n, ByContent: byContent, lookups: lookups})
	}
	// file is a file that nothing needs the bytes of; at each question, the line.
	file := func(p comntr.Place, text string, topic, comment, file int) denyLook {
		return denyLook{place: p, text: text, topic: topic, comment: comment, file: file}
	}
	block := func(c string, line int) denyLook { return denyLook{cid: c, line: line} }

	// What the list looks like.
	add("empty", "nothing is denied", "", 0, false, nil, file(news, cool, 0, 0, 0), block(folder, 0))
	add("remarks and empty lines", "lines are counted from 1, all of them", "\n# remark\n\t\n  # indented\n   comment "+coolID+"  \n", 1, false, nil,
		file(news, cool, 0, 5, 5), file(news, bs, 0, 0, 0))
	add("no LF at the end", "the last line is one too", "comment "+coolID, 1, false, nil, file(news, cool, 0, 1, 1))
	add("CRLF", "editors write it", "# a\r\ncomment "+coolID+"\r\n\r\n/ipfs/"+folder+"\r\n", 2, true, nil, file(news, cool, 0, 2, 2), block(folder, 4))
	add("byte order mark", "editors write it", "\ufeffcomment "+coolID+"\n", 1, false, nil, file(news, cool, 0, 1, 1))
	add("header", "YAML until a line ---", "version: 1\nname: A list\nhints:\n  comment: "+bsID+"\n# remark\n---\ncomment "+coolID+"\n", 1, false, nil,
		file(news, cool, 0, 7, 7), file(news, bs, 0, 0, 0))
	add("header with CRLF and byte order mark", "editors write it", "\ufeffversion: 1\r\n---\r\ncomment "+coolID+"\r\n", 1, false, nil, file(news, cool, 0, 3, 3))
	add("empty header", "--- alone", "---\ncomment "+coolID+"\n", 1, false, nil, file(news, cool, 0, 2, 2))
	add("version 2", "what is not understood as a whole is refused as a whole", "version: 2\n---\ncomment "+coolID+"\n", 0, false, []int{1}, file(news, cool, 0, 0, 0))
	add("rules above ---", "rules make no header: they hold, and --- is an error", "comment "+coolID+" why:spam\n---\ncomment "+bsID+"\n", 2, false, []int{2},
		file(news, cool, 0, 1, 1), file(news, bs, 0, 3, 3))
	add("two lists in one", "the header of the second cannot be read, its rules can", "version: 1\n---\ncomment "+coolID+"\nversion: 1\n---\ncomment "+bsID+"\n", 2, false, []int{4, 5},
		file(news, cool, 0, 3, 3), file(news, bs, 0, 6, 6))
	add("hints", "name:value after a rule, and what follows #, mean nothing here", "comment "+coolID+" reason:spam seen=3 # by hand\n/ipfs/"+folder+" anything goes\n", 2, true, nil,
		file(news, cool, 0, 1, 1), block(folder, 2))
	add("bad lines", "the others hold", strings.Join([]string{
		"comment " + strings.ToUpper(coolID), // 1
		"comment",
		"comment " + coolID[1:],
		"comment " + coolID + " " + bsID, // would deny one of two
		"comment " + news.String(),       // 5
		"topic " + news.String() + "/" + coolID,
		"key " + strings.ToUpper(aliceKey),
		"key " + coolID,
		"Comment " + coolID,
		"/r/news", // 10
		"! comment " + coolID,
		"!!comment " + coolID,
		"/ipfs/",
		"/ipfs/" + folder + "*",
		"/ipfs/" + folder + "/%zz", // 15
		"/ipns/",
		"//",
		"//" + folder[1:],
		"comment " + coolID + "\u00e9",
		"comment " + bsID, // 20
	}, "\n"), 1, false, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
		file(news, cool, 0, 0, 0), file(news, bs, 0, 20, 20), file(news, alice, 0, 0, 0), block(folder, 0))
	add("what no server of comments has", "is read and does nothing", "/ipns/domain.example\n/ipns/domain.example/%C3%A9*\n/ipfs/"+folder+"/"+coolID+"\n/ipfs/"+folder+"/a*\n/ipfs/"+folder+"/**\n/ipfs/"+folder+"/%2A\n", 0, false, nil,
		file(news, cool, 0, 0, 0), block(folder, 0))

	// Our own lines.
	add("a comment anywhere", "its id, in any topic", "comment "+coolID, 1, false, nil,
		file(news, cool, 0, 1, 1), file(gifs, cool, 0, 1, 1), file(news, bs, 0, 0, 0))
	add("a comment in one topic", "community/topic/comment", "comment "+news.String()+"/"+coolID, 1, false, nil,
		file(news, cool, 0, 1, 1), file(gifs, cool, 0, 0, 0), file(elsewhere, cool, 0, 0, 0))
	add("a topic in any community", "its hash alone", "topic "+news.Topic.String(), 1, false, nil,
		file(news, cool, 1, 1, 1), file(elsewhere, cool, 1, 1, 1), file(gifs, cool, 0, 0, 0))
	add("a topic of one community", "community/topic", "topic "+news.String(), 1, false, nil,
		file(news, cool, 1, 1, 1), file(elsewhere, cool, 0, 0, 0), file(gifs, cool, 0, 0, 0))
	add("a key", "needs the bytes", "key "+aliceKey, 1, true, nil,
		file(news, alice, 0, 0, 1), file(news, bob, 0, 0, 0), file(news, cool, 0, 0, 0),
		// What is said of the author counts: nothing is verified.
		file(gifs, alice, 0, 0, 1),
		file(news, strings.Replace(alice, "Hi", "Ho", 1), 0, 0, 1),
		file(news, strings.Split(alice, "Topic")[0], 0, 0, 1),
		// Not the grammar of the first two lines.
		file(news, strings.TrimSuffix(strings.Split(alice, "Topic")[0], "\n"), 0, 0, 0),
		file(news, strings.Replace(alice, aliceKey, strings.ToUpper(aliceKey), 1), 0, 0, 0),
		file(news, strings.Replace(alice, "\nPublic", "\r\nPublic", 1), 0, 0, 0),
		file(news, strings.Replace(alice, "Signature: ", "Signature: 0", 1), 0, 0, 0),
		file(news, "x"+alice, 0, 0, 0), file(news, "Signature: ", 0, 0, 0))
	add("one thing twice", "counts once, and its last line is told", "comment "+coolID+"\ncomment "+coolID+"\n", 1, false, nil, file(news, cool, 0, 2, 2))

	// Blocks.
	add("a folder", "by its multihash, in either version", "/ipfs/"+folder, 1, true, nil,
		block(folder, 1), block(folder1, 1), block(cid.NewCidV1(cid.Raw, cid.MustParse(folder).Hash()).String(), 1), block(v0.String(), 0), file(news, cool, 0, 0, 0))
	add("a folder and all below", "denies the folder's node: what is below it is known by its own names", "/ipfs/"+folder1+"/*", 1, true, nil, block(folder, 1), block(folder1, 1))
	add("a CID and a slash", "the same as without", "/ipfs/"+folder+"/", 1, true, nil, block(folder1, 1))
	add("ipld", "the same as ipfs", "/ipld/"+folder1, 1, true, nil, block(folder, 1))
	add("the empty folder", "is never denied: every empty topic is it", "/ipfs/"+empty+"\n//"+doubleHash(t, empty, multihash.SHA2_256)+"\n", 1, true, []int{1}, block(empty, 0))
	add("a leaf of version 0", "the comment in it, whatever version the server has", "/ipfs/"+v0.String(), 1, true, nil,
		file(news, cool, 0, 0, 1), file(gifs, cool, 0, 0, 1), file(news, bs, 0, 0, 0), block(v0as1, 1), block(v1.String(), 0))
	add("a leaf of version 1", "the comment in it, whatever version the server has", "/ipfs/"+v1.String(), 1, true, nil,
		file(news, cool, 0, 0, 1), file(news, bs, 0, 0, 0), block(v0.String(), 0), block(v1.String(), 1))
	add("a double hash", "of the multihash in base58", "//"+doubleHash(t, v1.Hash().B58String(), multihash.SHA2_256), 1, true, nil,
		file(news, cool, 0, 0, 1), file(news, bs, 0, 0, 0), block(v1.String(), 1), block(v0.String(), 0))
	add("a double hash of another function", "any that the server can compute", "//"+doubleHash(t, folder, multihash.BLAKE3)+"\n//"+doubleHash(t, v0.String(), multihash.SHA2_512), 2, true, nil,
		block(folder, 1), block(folder1, 1), file(news, cool, 0, 0, 2), file(news, bs, 0, 0, 0))
	add("an old double hash", "SHA-256 of the CID in version 1 and a slash: it has the codec", "//"+oldHash(v0as1+"/")+"\n//"+strings.ToUpper(oldHash(folder1+"/")), 2, true, nil,
		file(news, cool, 0, 0, 1), block(v0.String(), 1), block(v1.String(), 0), block(folder, 2), block(folder1, 2),
		block(cid.NewCidV1(cid.Raw, cid.MustParse(folder).Hash()).String(), 0))
	add("old double hashes of paths", "do nothing", "//"+oldHash(folder1+"/"+coolID)+"\n//"+oldHash(folder+"/"), 2, true, nil, block(folder, 0), file(news, cool, 0, 0, 0))
	add("the format's own example", "published values", `/ipfs/bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq
//QmX9dhRcQcKUw3Ws8485T5a9dtjrSCQaUAHnG4iK9i4ceM
//gW813G35CnLsy7gRYYHuf63hrz71U1xoLFDVeV7actx6oX
//d9d295bde21f422d471a90f2a37ec53049fdf3e5fa3ee2e8f20e10003da429e7
//c555c4de78827ba42527dd3dc5398db38d6c0a8c345a88e0158b2d100f317e50
//3f8b9febd851873b3774b937cce126910699ceac56e72e64b866f8e258d09572
`, 6, true, nil,
		block("bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq", 1), block("bafkreihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq", 1),
		block("QmesfgDQ3q6prBy2Kg2gKbW4MAGuWiRP2DVuGA5MZSERLo", 1),
		block("QmVTF1yEejXd9iMgoRTFDxBv7HAz9kuZcQNBzHrceuK9HR", 2), block("bafybeidjwik6im54nrpfg7osdvmx7zojl5oaxqel5cmsz46iuelwf5acja", 2),
		block("bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a", 0), // its path alone
		block("bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e", 4), block("bafkreiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e", 0))

	// Exceptions: the last rule that matches decides.
	add("taken back", "lists only grow: an exception undoes", "comment "+coolID+"\n!comment "+coolID+"\n", 0, false, nil, file(news, cool, 0, 0, 0))
	add("exception above", "an exception only holds against what stands above it", "!comment "+coolID+"\ncomment "+coolID+"\n", 1, false, nil, file(news, cool, 0, 2, 2))
	add("denied again", "the last decides", "comment "+coolID+"\n!comment "+coolID+"\ncomment "+coolID+"\n", 1, false, nil, file(news, cool, 0, 3, 3))
	add("three prefixes", "! is the format's; + and - are taken for it, as others do", "comment "+coolID+"\n+comment "+coolID+"\n/ipfs/"+folder+"\n-/ipfs/"+folder1+"\n//"+doubleHash(t, folder, multihash.SHA2_256)+"\n!/ipfs/"+folder+"/*\n", 1, true, nil,
		file(news, cool, 0, 0, 0), block(folder, 0))
	add("a comment of a denied topic", "the topic is not denied as a whole then", "topic "+news.String()+"\n!comment "+coolID+"\n", 1, false, nil,
		file(news, cool, 0, 0, 0), file(news, bs, 0, 1, 1))
	add("a comment there and of a denied topic", "other topics are denied as a whole", "topic "+news.Topic.String()+"\n!comment "+news.String()+"/"+coolID+"\n", 1, false, nil,
		file(news, cool, 0, 0, 0), file(news, bs, 0, 1, 1), file(elsewhere, cool, 1, 1, 1))
	above := ""
	for i := range 9 {
		above += "!comment " + news.String() + "/" + comntr.NameHash(string(rune('a'+i))).String() + "\n"
	}
	add("exceptions on both sides of a denied topic", "those above it keep nothing, the one below does", above+"topic "+news.String()+"\n!comment "+news.String()+"/"+coolID+"\n", 1, false, nil,
		file(news, cool, 0, 0, 0), file(news, "a", 0, 10, 10), file(news, bs, 0, 10, 10))
	add("a topic of a denied name", "one community's is kept", "topic "+news.Topic.String()+"\n!topic "+news.String()+"\n", 1, false, nil,
		file(news, cool, 0, 0, 0), file(elsewhere, cool, 1, 1, 1))
	add("a denied comment and then its topic kept", "the last decides, however wide it is", "comment "+coolID+"\n!topic "+news.String()+"\n", 1, false, nil,
		file(news, cool, 0, 0, 0), file(gifs, cool, 0, 1, 1))
	add("a key in a denied topic", "only the bytes tell what is kept, so that the id alone does not", "topic "+news.String()+"\n!key "+aliceKey+"\n", 1, true, nil,
		file(news, alice, 0, 0, 0), file(news, bob, 0, 0, 1), file(news, cool, 0, 0, 1))
	add("a key above a denied topic", "is no exception from it", "!key "+aliceKey+"\ntopic "+news.String()+"\n", 1, true, nil,
		file(news, alice, 2, 2, 2), file(news, bob, 2, 2, 2))
	add("a key that is kept and then not", "an exception that was taken back keeps nothing", "topic "+news.String()+"\n!key "+aliceKey+"\nkey "+aliceKey+"\n", 2, true, nil,
		file(news, alice, 1, 1, 3), file(news, bob, 1, 1, 1))
	add("a comment of a denied key", "one is kept", "key "+aliceKey+"\nkey "+bobKey+"\n!comment "+aliceID+"\n", 2, true, nil,
		file(news, alice, 0, 0, 0), file(news, bob, 0, 0, 2))
	add("a leaf of a denied topic", "by the CID of either version", "topic "+news.String()+"\n!/ipfs/"+v0.String()+"\n", 1, true, nil,
		file(news, cool, 0, 0, 0), file(news, bs, 0, 0, 1))
	add("a comment whose leaf is denied", "the file is kept; its block alone cannot tell", "/ipfs/"+v0.String()+"\n!comment "+coolID+"\n", 1, true, nil,
		file(news, cool, 0, 0, 0), block(v0.String(), 1))
	add("a double hash taken back", "in its own form, or by the CID", "//"+doubleHash(t, folder, multihash.SHA2_256)+"\n!/ipfs/"+folder1+"\n", 1, true, nil, block(folder, 0))
	for i := range cases {
		c := &cases[i]
		for _, k := range c.lookups {
			if k.cid != "" {
				c.Asked = append(c.Asked, denyAsk{Ask: "cid", CID: k.cid, Line: k.line})
				continue
			}
			c.Asked = append(c.Asked,
				denyAsk{Ask: "topic", Place: k.place.String(), Line: k.topic},
				denyAsk{Ask: "comment", Place: k.place.String(), ID: comntr.SumHash([]byte(k.text)).String(), Line: k.comment},
				denyAsk{Ask: "file", Place: k.place.String(), Text: k.text, Line: k.file})
		}
	}
	return cases
}

func parsePlace(t testing.TB, s string) comntr.Place {
	t.Helper()
	community, topic, _ := strings.Cut(s, "/")
	return comntr.Place{Community: must(comntr.ParseHash(community)), Topic: must(comntr.ParseHash(topic))}
}

func TestDenylistVectors(t *testing.T) {
	cases := denyCases(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			l, errs := comntr.ParseDenylist([]byte(c.List))
			var lines []int
			for _, e := range errs {
				lines = append(lines, e.Line)
			}
			if !slices.Equal(lines, c.Errors) {
				t.Errorf("errors %v, want lines %v", errs, c.Errors)
			}
			if l.Len() != c.Len || l.ByContent() != c.ByContent {
				t.Errorf("%d denied, by content %v; want %d, %v", l.Len(), l.ByContent(), c.Len, c.ByContent)
			}
			text := strings.Split(c.List, "\n")
			for _, a := range c.Asked {
				var rule comntr.DenyRule
				var denied bool
				switch a.Ask {
				case "topic":
					rule, denied = l.Topic(parsePlace(t, a.Place))
				case "comment":
					rule, denied = l.Comment(parsePlace(t, a.Place), must(comntr.ParseHash(a.ID)))
				case "file":
					rule, denied = l.File(parsePlace(t, a.Place), comntr.SumHash([]byte(a.Text)), []byte(a.Text))
				case "cid":
					rule, denied = l.CID(cid.MustParse(a.CID))
				}
				if rule.Line != a.Line || denied != (a.Line > 0) {
					t.Errorf("%+v: denied %v by %+v", a, denied, rule)
				}
				if want := strings.Trim(text[max(a.Line, 1)-1], "\ufeff \t\r"); denied && rule.Text != want {
					t.Errorf("%+v: by %q, which is %q", a, rule.Text, want)
				}
			}
		})
	}
	checkVectors(t, "denylist.json", denyVectors{
		Rule: "list: the text of a deny.txt. errors: the lines, from 1, that cannot be read. len: how many things it denies. byContent: whether some rule or exception is about a key or a CID. " +
			"asked: what was asked and the line that denies it, 0 if none does. topic: whether all of it is denied, whatever stands there. comment: whether it is, whatever its bytes are. file: with its bytes, its id is their SHA-1. " +
			"cid: the block. A list is local to a server: what another one denies by it is its own matter.",
		Cases: cases,
	})
}

// TestDenyErrors: the error says what is wrong and what is wanted.
func TestDenyErrors(t *testing.T) {
	id := comntr.SumHash([]byte("Cool!")).String()
	for _, c := range []struct{ line, detail string }{
		{"comment " + strings.ToUpper(id), "upper-case hex: write it in lower case"},
		{"topic " + strings.ToUpper(news.String()), "upper-case hex"},
		{"key " + strings.ToUpper(keyHex("alice")), "upper-case hex"},
		{"comment", "it is missing"},
		{"comment 12", "\"12\" is not 40 hex digits"},
		{"comment " + news.String(), "there are 2 hashes"},
		{"topic " + news.String() + "/" + id, "there are 3 hashes"},
		{"key " + id, "is not 64 hex digits"},
		{"comment " + id + " " + id, "one thing a line"},
		{"coment " + id, "no rule"},
		{"! comment " + id, "right behind the !"},
		{"comment \xff", "UTF-8"},
		{"/ipfs/foo", "\"foo\" is no CID"},
		{"/ipfs/" + strings.Repeat("z", comntr.MaxDenyCID+1), "at most 256 characters"},
		{"//" + strings.Repeat("z", comntr.MaxDenyCID+1), "at most 256 characters"},
		{"//12D3KooWDkNqEJNmreF3NYYFK1ws7Ra2fuW6cHBTu567SPV3LdYA", "none that can be computed"},
		{"//" + multihash.Multihash(must(multihash.Encode(make([]byte, 20), multihash.SHA2_256))).B58String(), "has 20 bytes"},
		{"//" + multihash.Multihash(must(multihash.Encode(make([]byte, 32), 0x300001))).B58String(), "none that can be computed"},
		{"/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "the empty folder"},
		{"version: 1", "no rule"},
	} {
		l, errs := comntr.ParseDenylist([]byte("# a remark\n" + c.line + "\n"))
		if len(errs) != 1 || errs[0].Line != 2 || !strings.Contains(errs[0].Detail, c.detail) || !strings.HasPrefix(errs[0].Error(), "line 2, ") || l.Len() != 0 {
			t.Errorf("%q: %v", c.line, errs)
		}
	}
}

// TestDenyRuleHash: one for each spelling of a rule, another for another rule.
func TestDenyRuleHash(t *testing.T) {
	id := comntr.SumHash([]byte("Cool!")).String()
	c := cid.MustParse("QmPmG7jMA6DBeAnU2PQa7kFLRSsStqUui4fsUS8ozDR6Gc")
	c1 := cid.NewCidV1(cid.DagProtobuf, c.Hash()).String()
	sum := sha256.Sum256([]byte(c1 + "/"))
	seen := map[uint64]string{}
	for _, same := range [][]string{
		{"comment " + id, " comment\t" + id + "\r", "comment " + id + " reason:spam"},
		{"comment " + news.String() + "/" + id},
		{"comment " + gifs.String() + "/" + id},
		{"topic " + id},
		{"topic " + news.String(), "topic " + news.String() + " # why"},
		{"key " + keyHex("alice")},
		{"/ipfs/" + c.String(), "/ipfs/" + c1, "/ipfs/" + c1 + "/*", "/ipld/" + c.String() + "/ x:y"},
		{"//" + hex.EncodeToString(sum[:]), "//" + strings.ToUpper(hex.EncodeToString(sum[:])), "//" + multihash.Multihash(append([]byte{0x12, 32}, sum[:]...)).B58String()},
		{"/ipfs/" + c.String() + "/a"}, {""}, {"anything"},
	} {
		want := comntr.DenyRule{Text: same[0]}.Hash()
		if other, ok := seen[want]; ok {
			t.Errorf("%q and %q have one hash", same[0], other)
		}
		seen[want] = same[0]
		for i, s := range same {
			if got := (comntr.DenyRule{Line: i, Text: s}).Hash(); got != want {
				t.Errorf("%q has another hash than %q", s, same[0])
			}
		}
	}
	if got := (comntr.DenyRule{Text: "comment " + id}).Hash(); got != 0x46272264ff5c6d2e {
		t.Errorf("the hash is %#x: what a server remembers would mean nothing after an update", got)
	}
}

// denyUniverse is a few comments in a few topics, and rules about them with a
// second, plain reading: which comments and blocks each matches.
type denyUniverse struct {
	places []comntr.Place
	texts  []string
	rules  []denyModel
}

type denyModel struct {
	text      string
	content   bool
	matches   func(p comntr.Place, text string) bool
	byName    func(p comntr.Place, id comntr.Hash) bool
	wholly    func(p comntr.Place) bool
	multihash string
}

func newDenyUniverse(t testing.TB) *denyUniverse {
	u := &denyUniverse{places: []comntr.Place{news, gifs, elsewhere}, texts: []string{"Cool!", "That's bs!"}}
	for _, name := range []string{"alice", "bob"} {
		u.texts = append(u.texts, signedAt(news, name, "a"), signedAt(news, name, "b"))
	}
	no := func(comntr.Place, comntr.Hash) bool { return false }
	for _, p := range u.places {
		u.rules = append(u.rules,
			denyModel{text: "topic " + p.Topic.String(), byName: func(q comntr.Place, _ comntr.Hash) bool { return q.Topic == p.Topic },
				wholly: func(q comntr.Place) bool { return q.Topic == p.Topic }},
			denyModel{text: "topic " + p.String(), byName: func(q comntr.Place, _ comntr.Hash) bool { return q == p },
				wholly: func(q comntr.Place) bool { return q == p }})
	}
	for _, text := range u.texts {
		id := comntr.SumHash([]byte(text))
		u.rules = append(u.rules,
			denyModel{text: "comment " + id.String(), byName: func(_ comntr.Place, i comntr.Hash) bool { return i == id }},
			denyModel{text: "comment " + news.String() + "/" + id.String(), byName: func(q comntr.Place, i comntr.Hash) bool { return i == id && q == news }})
		for _, v := range versions {
			c := v.LeafCID([]byte(text))
			for _, rule := range []string{"/ipfs/" + c.String(), "//" + doubleHash(t, c.Hash().B58String(), multihash.SHA2_256), "//" + doubleHash(t, c.Hash().B58String(), multihash.BLAKE3)} {
				u.rules = append(u.rules, denyModel{text: rule, content: true, byName: no, multihash: c.Hash().B58String(),
					matches: func(_ comntr.Place, s string) bool { return s == text }})
			}
		}
	}
	for _, name := range []string{"alice", "bob"} {
		key := keyHex(name)
		u.rules = append(u.rules, denyModel{text: "key " + key, content: true, byName: no,
			matches: func(_ comntr.Place, s string) bool { return strings.Contains(s, "Public-Key: "+key) }})
	}
	return u
}

// denyPick is a line of a random list: a rule, or an exception.
type denyPick struct {
	denyModel
	allow bool
}

func (u *denyUniverse) pick(r *rand.Rand, n int, allow float64) []denyPick {
	var list []denyPick
	for range n {
		m := u.rules[r.IntN(len(u.rules))]
		if r.IntN(3) == 0 {
			m = u.rules[r.IntN(6)] // a topic's, so that some are denied as a whole
		}
		list = append(list, denyPick{m, r.Float64() < allow})
	}
	return list
}

func denyText(list []denyPick) string {
	var b strings.Builder
	for _, p := range list {
		if p.allow {
			b.WriteByte("!+-"[len(p.text)%3])
		}
		b.WriteString(p.text + "\n")
	}
	return b.String()
}

// line is the last rule of the list that matches, as one reads it by hand.
func denyLine(list []denyPick, matches func(denyPick) bool) int {
	for i := len(list) - 1; i >= 0; i-- {
		if matches(list[i]) {
			if list[i].allow {
				return 0
			}
			return i + 1
		}
	}
	return 0
}

// TestDenylistModel holds random lists against a reading of them rule by rule.
func TestDenylistModel(t *testing.T) {
	u := newDenyUniverse(t)
	r := rand.New(rand.NewPCG(1, 2))
	var topics, comments, undecided int
	for range 400 {
		list := u.pick(r, 1+r.IntN(12), 0.35)
		text := denyText(list)
		l, errs := comntr.ParseDenylist([]byte(text))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, p := range u.places {
			_, whole := l.Topic(p)
			if whole {
				topics++
			}
			for _, s := range u.texts {
				id := comntr.SumHash([]byte(s))
				want := denyLine(list, func(k denyPick) bool { return k.byName(p, id) || k.matches != nil && k.matches(p, s) })
				rule, denied := l.File(p, id, []byte(s))
				if rule.Line != want || denied != (want > 0) {
					t.Fatalf("%s\n%s at %s: denied by line %d, want %d", text, id, p, rule.Line, want)
				}
				_, byName := l.Comment(p, id)
				if byName {
					comments++
				}
				switch {
				case whole && !byName || byName && !denied:
					t.Fatalf("%s\n%s at %s: the topic is denied: %v, the comment: %v, the file: %v", text, id, p, whole, byName, denied)
				case !l.ByContent() && byName != denied:
					t.Fatalf("%s\n%s at %s: no rule needs the bytes, and they made a difference", text, id, p)
				}
				if denied && !byName {
					undecided++
				}
			}
		}
		for _, s := range u.texts {
			for _, v := range versions {
				c := v.LeafCID([]byte(s))
				want := denyLine(list, func(k denyPick) bool { return k.multihash == c.Hash().B58String() })
				if rule, denied := l.CID(c); rule.Line != want || denied != (want > 0) {
					t.Fatalf("%s\n%s: denied by line %d, want %d", text, c, rule.Line, want)
				}
			}
		}
		inForce := map[string]bool{}
		for _, k := range list {
			inForce[k.text] = !k.allow
		}
		n := 0
		for _, deny := range inForce {
			if deny {
				n++
			}
		}
		if l.Len() != n {
			t.Fatalf("%s\n%d are denied, want %d", text, l.Len(), n)
		}
	}
	if topics < 100 || comments < 1000 || undecided < 1000 {
		t.Errorf("only %d whole topics, %d comments by name, %d by their bytes: the lists try too little", topics, comments, undecided)
	}
}

// verdicts is all that a list says of the universe, without the lines.
func (u *denyUniverse) verdicts(l *comntr.Denylist) string {
	var b strings.Builder
	say := func(_ comntr.DenyRule, denied bool) { fmt.Fprint(&b, denied, " ") }
	for _, p := range u.places {
		say(l.Topic(p))
		for _, s := range u.texts {
			say(l.Comment(p, comntr.SumHash([]byte(s))))
			say(l.File(p, comntr.SumHash([]byte(s)), []byte(s)))
		}
	}
	for _, s := range u.texts {
		for _, v := range versions {
			say(l.CID(v.LeafCID([]byte(s))))
		}
	}
	return b.String()
}

// TestDenylistOrder: rules alone, and exceptions alone below them, are sets.
func TestDenylistOrder(t *testing.T) {
	u := newDenyUniverse(t)
	r := rand.New(rand.NewPCG(3, 4))
	parse := func(list []denyPick) *comntr.Denylist {
		l, errs := comntr.ParseDenylist([]byte(denyText(list)))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return l
	}
	for range 100 {
		rules, exceptions := u.pick(r, 8, 0), u.pick(r, r.IntN(4), 1)
		l := parse(slices.Concat(rules, exceptions))
		before := u.verdicts(l)
		r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		r.Shuffle(len(exceptions), func(i, j int) { exceptions[i], exceptions[j] = exceptions[j], exceptions[i] })
		again := parse(slices.Concat(rules, exceptions))
		if u.verdicts(again) != before || again.Len() != l.Len() || again.ByContent() != l.ByContent() {
			t.Fatalf("in another order it says something else:\n%s", denyText(slices.Concat(rules, exceptions)))
		}
		// Of rules and exceptions above them only the rules are left.
		if u.verdicts(parse(slices.Concat(exceptions, rules))) != u.verdicts(parse(slices.Concat(exceptions, rules, rules))) {
			t.Fatal("a list twice is another one")
		}
	}
}

// TestDenylistConcatenation: of two lists in one file the second decides
// where it says something.
func TestDenylistConcatenation(t *testing.T) {
	u := newDenyUniverse(t)
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		a, b := u.pick(r, r.IntN(8), 0.3), u.pick(r, r.IntN(8), 0.3)
		la, _ := comntr.ParseDenylist([]byte(denyText(a)))
		lb, _ := comntr.ParseDenylist([]byte(denyText(b)))
		both, errs := comntr.ParseDenylist([]byte(denyText(a) + denyText(b)))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, p := range u.places {
			for _, s := range u.texts {
				id := comntr.SumHash([]byte(s))
				want, denied := lb.File(p, id, []byte(s))
				said := slices.ContainsFunc(b, func(k denyPick) bool { return k.byName(p, id) || k.matches != nil && k.matches(p, s) })
				if denied {
					want.Line += len(a)
				} else if !said {
					want, _ = la.File(p, id, []byte(s))
				}
				if got, _ := both.File(p, id, []byte(s)); got != want {
					t.Fatalf("%s---\n%s\n%s at %s: %+v, want %+v", denyText(a), denyText(b), id, p, got, want)
				}
			}
		}
	}
}

func TestNoDenylist(t *testing.T) {
	var l *comntr.Denylist
	for _, l := range []*comntr.Denylist{l, new(comntr.Denylist)} {
		_, topic := l.Topic(news)
		_, comment := l.Comment(news, comntr.Hash{})
		_, file := l.File(news, comntr.Hash{}, nil)
		_, block := l.CID(comntr.Version(0).LeafCID(nil))
		_, undefined := l.CID(cid.Undef)
		if topic || comment || file || block || undefined || l.Len() != 0 || l.ByContent() {
			t.Error("no list denies something")
		}
	}
}

// TestDenylistBounds reaches each bound, and what was read before it holds.
func TestDenylistBounds(t *testing.T) {
	cool := comntr.SumHash([]byte("Cool!"))
	rule := "comment " + cool.String() + "\n"
	// parse wants the line of cool's rule, and of the errors.
	parse := func(t *testing.T, b []byte, line int, want ...int) []comntr.DenyError {
		t.Helper()
		l, errs := comntr.ParseDenylist(b)
		if r, _ := l.Comment(news, cool); r.Line != line {
			t.Errorf("denied by line %d, want %d", r.Line, line)
		}
		var lines []int
		for _, e := range errs {
			lines = append(lines, e.Line)
			if len(e.Text) > 103 {
				t.Errorf("an error with a text of %d bytes", len(e.Text))
			}
		}
		if !slices.Equal(lines, want) {
			t.Errorf("errors in lines %v, want %v", lines, want)
		}
		return errs
	}
	t.Run("bytes", func(t *testing.T) {
		b := []byte(rule)
		for len(b) < comntr.MaxDenylist-1<<20 {
			b = append(append(b, '#'), make([]byte, 1<<20-2)...)
			b = append(b, '\n')
		}
		b = append(b, make([]byte, comntr.MaxDenylist-len(b))...)
		b[len(b)-1] = '\n'
		lines := strings.Count(string(b), "\n")
		b[len(b)-len(rule)-1] = '\n'
		for i := len(b) - len(rule) - 2; b[i] == 0; i-- {
			b[i] = '#'
		}
		copy(b[len(b)-len(rule):], rule)
		parse(t, b, lines+1)
		parse(t, append(b, '#'), lines+1, lines+2)
		// Cut inside of the last line, which then is none.
		b = append([]byte("\n\n"), b...)
		parse(t, b, 3, lines+3)
	})
	t.Run("line", func(t *testing.T) {
		hint := func(n int) string {
			r := strings.TrimSuffix(rule, "\n") + " hint:"
			return r + strings.Repeat("x", n-len(r)-1) + "\n"
		}
		parse(t, []byte(hint(comntr.MaxDenyLine)), 1)
		parse(t, []byte(rule+hint(comntr.MaxDenyLine+1)+"# end\n"), 1, 2)
	})
	t.Run("header", func(t *testing.T) {
		header := func(n int) []byte {
			return []byte("a:\n" + strings.Repeat(" b: c\n", (n-3-4)/6) + strings.Repeat("\n", (n-3-4)%6) + "---\n" + rule)
		}
		lines := func(b []byte) int { return strings.Count(string(b), "\n") }
		b := header(comntr.MaxDenyHeader)
		parse(t, b, lines(b))
		b = header(comntr.MaxDenyHeader + 1)
		l, errs := comntr.ParseDenylist(b)
		if r, _ := l.Comment(news, cool); r.Line != lines(b) || len(errs) != comntr.MaxDenyErrors+1 {
			t.Errorf("a header that is too large: denied by line %d, %d errors", r.Line, len(errs))
		}
	})
	t.Run("errors", func(t *testing.T) {
		b := []byte(strings.Repeat("x\n", comntr.MaxDenyErrors))
		if _, errs := comntr.ParseDenylist(b); len(errs) != comntr.MaxDenyErrors {
			t.Errorf("%d errors", len(errs))
		}
		_, errs := comntr.ParseDenylist(append(b, rule+"x\nx\nx\n"...))
		if len(errs) != comntr.MaxDenyErrors+1 || errs[comntr.MaxDenyErrors].Line != comntr.MaxDenyErrors+2 || !strings.Contains(errs[comntr.MaxDenyErrors].Detail, "3 more") {
			t.Errorf("%d errors, the last one %v", len(errs), errs[len(errs)-1])
		}
	})
	t.Run("functions", func(t *testing.T) {
		var b strings.Builder
		n := 0
		for code := uint64(multihash.BLAKE2B_MIN); n <= comntr.MaxDenyFunctions; code++ {
			mh, err := multihash.Sum([]byte(comntr.Version(0).LeafCID([]byte("Cool!")).String()), code, -1)
			if err != nil {
				continue
			}
			n++
			b.WriteString("//" + mh.B58String() + "\n!//" + mh.B58String() + "\n")
		}
		_, errs := comntr.ParseDenylist([]byte(b.String()))
		if len(errs) != 2 || errs[0].Line != 2*comntr.MaxDenyFunctions+1 {
			t.Error(errs)
		}
	})
	t.Run("rules", func(t *testing.T) {
		b := []byte(strings.Repeat(rule, comntr.MaxDenyRules))
		b = append(b, "\n/ipns/x\n!"+rule+"x\n"...)
		// Too many bytes as well: that is not told again.
		b = append(b, strings.Repeat("\n", comntr.MaxDenylist)...)
		parse(t, b, comntr.MaxDenyRules, comntr.MaxDenyRules+3)
	})
	t.Run("CID that carries its bytes", func(t *testing.T) {
		l, _ := comntr.ParseDenylist([]byte("//" + doubleHash(t, "x", multihash.SHA2_256)))
		if _, denied := l.CID(cid.NewCidV1(cid.Raw, must(multihash.Encode(make([]byte, 2<<20), multihash.IDENTITY)))); denied {
			t.Error("denied")
		}
	})
}

// millionRules is a list as large as they come: half comments, the rest
// old double hashes, as public lists have them.
func millionRules() []byte {
	b := make([]byte, 0, comntr.MaxDenylist)
	for i := range 500_000 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		b = fmt.Appendf(b, "comment %x\n//%x\n", sum[:20], sum)
	}
	return b
}

func BenchmarkDenylist(b *testing.B) {
	text := millionRules()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l, errs := comntr.ParseDenylist(text)
	if len(errs) > 0 || l.Len() != 1_000_000 {
		b.Fatal(l.Len(), errs)
	}
	held := heap() - before
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			comntr.ParseDenylist(text)
		}
		b.ReportMetric(float64(held)/(1<<20), "MiB-held") // the text's copy included
	})
	doc := []byte(signedAt(news, "alice", strings.Repeat("word ", 100)))
	id := comntr.SumHash(doc)
	b.Run("Topic", func(b *testing.B) {
		for b.Loop() {
			l.Topic(news)
		}
	})
	b.Run("Comment", func(b *testing.B) {
		for b.Loop() {
			l.Comment(news, id)
		}
	})
	b.Run("File", func(b *testing.B) {
		for b.Loop() {
			l.File(news, id, doc)
		}
	})
	names, _ := comntr.ParseDenylist([]byte("comment " + news.Topic.String() + "\nkey " + keyHex("bob")))
	b.Run("FileWithoutCIDs", func(b *testing.B) {
		for b.Loop() {
			names.File(news, id, doc)
		}
	})
}
