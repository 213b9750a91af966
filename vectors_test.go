package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/comntr/comntr"
)

var update = flag.Bool("update", false, "write testdata/vectors/documents.json and signatures.json anew")

// readVectors reads testdata/vectors/name into v.
func readVectors(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// checkVectors holds what the tests make against the committed file, so that
// the file that the TypeScript tests read is what the Go tests mean.
func checkVectors(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "vectors", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	on, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(on, b.Bytes()) {
		t.Errorf("%s is not what this test makes: if the rules changed on purpose, run go test . -run Vectors -update", path)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// news is the place that the document vectors stand at.
var news = comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}

// testKey is a key that anyone can make: its seed is SHA-256(name). Each is
// made once, because that costs as much as a signature.
func testKey(name string) ed25519.PrivateKey {
	if key, ok := testKeys.Load(name); ok {
		return key.(ed25519.PrivateKey)
	}
	seed := sha256.Sum256([]byte(name))
	key, _ := testKeys.LoadOrStore(name, ed25519.NewKeyFromSeed(seed[:]))
	return key.(ed25519.PrivateKey)
}

var testKeys sync.Map

// signDoc puts Signature and Public-Key above rest (headers, empty line, body).
func signDoc(key ed25519.PrivateKey, rest string) string {
	part := "Public-Key: " + hex.EncodeToString(key.Public().(ed25519.PublicKey)) + "\n" + rest
	return "Signature: " + hex.EncodeToString(ed25519.Sign(key, []byte(part))) + "\n" + part
}

// documentVector is one case of documents.json.
type documentVector struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	// The bytes: Text in UTF-8 or Hex, then Pad repeated up to PadTo bytes.
	Text  string `json:"text,omitempty"`
	Hex   string `json:"hex,omitempty"`
	Pad   string `json:"pad,omitempty"`
	PadTo int    `json:"padTo,omitempty"`
	// Code is that of the refusal; empty: it is a document, and what follows
	// is its reading.
	Code   string `json:"code,omitempty"`
	ID     string `json:"id,omitempty"`
	Signed bool   `json:"signed,omitempty"`
	Key    string `json:"key,omitempty"`
	Act    string `json:"act,omitempty"`
	Date   string `json:"date,omitempty"` // absent where there is none or a malformed one
	Body   int    `json:"body,omitempty"` // the byte that the body begins at
}

type documentVectors struct {
	Rule      string           `json:"rule"`
	Community string           `json:"community"`
	Topic     string           `json:"topic"`
	Cases     []documentVector `json:"cases"`
}

func (v *documentVector) bytes(t testing.TB) []byte {
	b := []byte(v.Text)
	if v.Hex != "" {
		b = unhex(t, v.Hex)
	}
	if n := v.PadTo - len(b); n > 0 {
		b = append(b, strings.Repeat(v.Pad, n)[:n]...)
	}
	return b
}

// signedPadded is a document with a body of pad, so that it has to bytes.
func signedPadded(key ed25519.PrivateKey, rest, pad string, to int) documentVector {
	empty := signDoc(key, rest)
	full := signDoc(key, rest+strings.Repeat(pad, to-len(empty)))
	return documentVector{Text: full[:len(empty)], Pad: pad, PadTo: to}
}

func documentCases(t testing.TB) []documentVector {
	alice, bob := testKey("alice"), testKey("bob")
	topic := "Topic: " + news.String() + "\n"
	const date = "Date: 2026-11-22T10:00:00Z\n"
	full := topic + date + "Parent: c8083ac61a18ad57abdb8127129ed6a423cd731a\nUser: Alice\n"
	good := signDoc(alice, full+"\nMarkdown *text*\n")
	sigLine, rest, _ := strings.Cut(good, "\n")
	keyLine, afterKey, _ := strings.Cut(rest, "\n")
	sig := strings.TrimPrefix(sigLine, "Signature: ")
	key := strings.TrimPrefix(keyLine, "Public-Key: ")
	resigned := func(part string) string {
		return "Signature: " + hex.EncodeToString(ed25519.Sign(alice, []byte(part))) + "\n" + part
	}
	// header is a document with one more header line.
	header := func(line string) string { return signDoc(alice, topic+line+"\n\nbody") }
	var cases []documentVector
	add := func(code, name, why, text string) {
		cases = append(cases, documentVector{Name: name, Why: why, Text: text, Code: code})
	}
	addAs := func(code, name, why string, v documentVector) {
		v.Code, v.Name, v.Why = code, name, why
		cases = append(cases, v)
	}

	// Plain text.
	add("", "seed 1", "the seed's first comment", "That's bs!")
	add("", "seed 2", "the seed's second comment", "Cool!")
	add("", "one byte", "nothing is too short but nothing", "x")
	add("", "white space", "plain text has no grammar", " \r\n\t")
	add("", "unicode", "any UTF-8", "Привет, 世界 \U0001F600")
	add("", "byte order mark", "nothing is stripped", "\ufeffSignature: not at the beginning")
	add("", "signature without a space", "only the very bytes \"Signature: \" begin a signed document", "Signature:"+sig)
	add("", "signature in lower case", "only the very bytes \"Signature: \" begin a signed document", "signature: "+sig)
	add("", "signature on line 2", "only the first bytes count", "\n"+good)
	add("", "headers without a signature", "plain text has no author, date or headers", rest)
	addAs("", "plain 64 KiB", "the bound itself is taken", documentVector{Text: "a", Pad: "a", PadTo: comntr.MaxDocument})

	// Signed.
	add("", "signed", "design: all usual headers", good)
	add("", "signed, only Topic", "no other header is needed", signDoc(alice, topic+"\nHi"))
	add("", "signed, empty body", "the body may be empty", signDoc(alice, topic+"\n"))
	add("", "signed, body begins with an empty line", "the first empty line ends the headers", signDoc(alice, topic+"\n\nSignature: x\n"))
	add("", "signed, CRLF in the body", "only the headers are LF", signDoc(alice, topic+"\na\r\nb\r\n"))
	add("", "signed by another key", "any key may sign", signDoc(bob, full+"\nMarkdown *text*\n"))
	add("", "unknown headers", "unknown names are kept", header("X-Mood2: good: really; \u00fc\u0085"))
	add("", "header of another case", "user is not User, and may stand for itself", header("user: Alice"))
	add("", "name of 64 bytes", "the bound itself is taken", header(strings.Repeat("N", 64)+": v"))
	add("", "date 29 February", "a date that there was", header("Date: 2028-02-29T23:59:59Z"))
	for _, d := range []struct{ date, why string }{
		{"2026-02-29T10:00:00Z", "there was no such day"},
		{"2026-11-22T10:00:00.5Z", "no fractions"},
		{"2026-11-22T10:00:00.000Z", "no fractions"},
		{"2026-11-22T10:00:00+00:00", "Z alone"},
		{"2026-11-22t10:00:00z", "upper case"},
		{"2026-11-22 10:00:00Z", "T, not a space"},
		{"2026-11-22T24:00:00Z", "there is no hour 24"},
		{"2026-11-22T10:00:60Z", "no leap seconds"},
		{"2026-1-2T1:00:00Z", "two digits each"},
		{"yesterday", "no date at all"},
	} {
		add("", "malformed date "+d.date, "a Date of another form is absent: "+d.why, header("Date: "+d.date))
	}
	add("", "date in the year 1", "a date like any other", header("Date: 0001-01-01T00:00:00Z"))
	add("", "date in the year 0", "a date like any other", header("Date: 0000-01-01T00:00:00Z"))
	add("", "date in the far future", "a Date never makes a document invalid", header("Date: 9999-12-31T23:59:59Z"))
	// Headers that end at exactly MaxHeaders, and one byte later.
	frame := len(signDoc(alice, topic+"User: \n\n"))
	add("", "headers of 4 KiB", "the bound itself is taken", signDoc(alice, topic+"User: "+strings.Repeat("u", comntr.MaxHeaders-frame)+"\n\nbody"))
	add("bad-header", "headers of 4 KiB and 1", "more than the bound", signDoc(alice, topic+"User: "+strings.Repeat("u", comntr.MaxHeaders-frame+1)+"\n\nbody"))
	addAs("", "signed 64 KiB", "the bound itself is taken", signedPadded(alice, topic+"\n", "b", comntr.MaxDocument))

	// Not even text.
	add("empty", "empty", "at least one byte", "")
	addAs("too-large", "plain 64 KiB and 1", "more than the bound", documentVector{Text: "a", Pad: "a", PadTo: comntr.MaxDocument + 1})
	addAs("too-large", "signed 64 KiB and 1", "more than the bound", signedPadded(alice, topic+"\n", "b", comntr.MaxDocument+1))
	addAs("too-large", "too large and not UTF-8", "size is looked at first", documentVector{Hex: "ff", Pad: "a", PadTo: comntr.MaxDocument + 1})
	for i, p := range shattered {
		addAs("sha1-collision", "SHAttered prefix "+string(rune('1'+i)), "shattered.io: the first 320 bytes of the two PDFs have one SHA-1; looked for before UTF-8", documentVector{Hex: p})
	}
	addAs("sha1-collision", "SHAttered prefix and text", "the attack stands before what differs nowhere", documentVector{Hex: shattered[0], Pad: "a", PadTo: 1000})
	addAs("not-utf8", "lone continuation byte", "not UTF-8", documentVector{Hex: "4180"})
	addAs("not-utf8", "overlong", "not UTF-8", documentVector{Hex: "c0af"})
	addAs("not-utf8", "surrogate", "not UTF-8", documentVector{Hex: "eda080"})
	addAs("not-utf8", "above U+10FFFF", "not UTF-8", documentVector{Hex: "f4908080"})
	addAs("not-utf8", "cut rune", "not UTF-8", documentVector{Hex: "e282"})
	addAs("not-utf8", "signed, Latin-1", "not UTF-8, though signed", documentVector{Hex: hex.EncodeToString([]byte(signDoc(alice, topic+"\n\xfc")))})
	add("nul", "NUL", "text has none", "a\x00b")
	add("nul", "signed, NUL", "text has none, though signed", signDoc(alice, topic+"\na\x00b"))

	// Not of the grammar.
	add("bad-header", "signature alone", "bytes that begin \"Signature: \" are no plain text", "Signature: ")
	add("bad-header", "signature talked about", "bytes that begin \"Signature: \" are no plain text", "Signature: who needs one?\n")
	add("bad-header", "signature without a line end", "the line is not to the letter", sigLine)
	add("bad-header", "signature of 126 digits", "the line is not to the letter", sigLine[:len(sigLine)-2]+"\n"+rest)
	add("bad-header", "signature of 130 digits", "the line is not to the letter", sigLine+"00\n"+rest)
	add("bad-header", "signature in upper case hex", "lower case alone", "Signature: "+strings.ToUpper(sig)+"\n"+rest)
	add("bad-header", "signature not hex", "the line is not to the letter", "Signature: g"+sig[1:]+"\n"+rest)
	add("bad-header", "signature with a space after", "the line is not to the letter", sigLine+" \n"+rest)
	add("bad-header", "CRLF after the signature", "LF only", sigLine+"\r\n"+rest)
	add("bad-header", "two spaces before the signature", "the line is not to the letter", "Signature:  "+sig+"\n"+rest)
	add("bad-header", "no Public-Key", "the second line is not to the letter", resigned(afterKey))
	add("bad-header", "Public-Key on line 3", "the second line is not to the letter", resigned(topic+keyLine+"\n\nbody"))
	add("bad-header", "Public-Key in upper case hex", "lower case alone", resigned("Public-Key: "+strings.ToUpper(key)+"\n"+afterKey))
	add("bad-header", "Public-Key of 62 digits", "the line is not to the letter", resigned(keyLine[:len(keyLine)-2]+"\n"+afterKey))
	add("bad-header", "public-key in lower case", "the line is not to the letter", resigned("public-key: "+key+"\n"+afterKey))
	add("bad-header", "CRLF after Public-Key", "LF only", resigned(keyLine+"\r\n"+afterKey))
	add("bad-header", "nothing after Public-Key", "headers end with an empty line", resigned(keyLine+"\n"))
	add("bad-header", "no empty line", "headers end with an empty line", signDoc(alice, topic))
	add("bad-header", "no empty line, long", "the empty line is looked for within 4 KiB", signDoc(alice, topic+strings.Repeat("x", comntr.MaxHeaders)+"\n\nbody"))
	add("bad-header", "no Topic", "without one a document could be moved", signDoc(alice, "User: Alice\n\nbody"))
	add("bad-header", "topic in lower case", "only Topic is the topic", signDoc(alice, "t"+topic[1:]+"\nbody"))
	add("bad-header", "Topic twice", "no name twice", header(strings.TrimSuffix(topic, "\n")))
	add("bad-header", "User twice", "no name twice", header("User: a\nUser: b"))
	add("bad-header", "User twice in different case", "no name twice, in whatever case", header("User: a\nUSER: b"))
	add("bad-header", "Signature twice", "no name twice", header(sigLine))
	add("bad-header", "Public-Key twice", "no name twice, in whatever case", header("PUBLIC-KEY: "+key))
	add("bad-header", "no space after the colon", "Name: value", header("User:Alice"))
	add("bad-header", "space before the colon", "a name has letters, digits and hyphens", header("User : Alice"))
	add("bad-header", "no colon", "Name: value", header("User"))
	add("bad-header", "no value", "a value has at least one byte", header("User: "))
	add("bad-header", "no name", "a name has at least one byte", header(": Alice"))
	add("bad-header", "value begins with a space", "no second spelling of a header", header("User:  Alice"))
	add("bad-header", "value ends with a space", "no second spelling of a header", header("User: Alice "))
	add("bad-header", "folded line", "no continuation lines", header("User: Alice\n and Bob"))
	add("bad-header", "CRLF after a header", "LF only", header("User: Alice\r"))
	add("bad-header", "tab in a value", "no control characters", header("User: A\tB"))
	add("bad-header", "escape in a value", "no control characters", header("User: \x1b[31m"))
	add("bad-header", "DEL in a value", "no control characters", header("User: \x7f"))
	add("bad-header", "name begins with a digit", "a name begins with a letter", header("2User: Alice"))
	add("bad-header", "name begins with a hyphen", "a name begins with a letter", header("-User: Alice"))
	add("bad-header", "name with an underscore", "a name has letters, digits and hyphens", header("User_Name: Alice"))
	add("bad-header", "name not ASCII", "a name has letters, digits and hyphens", header("\u00dcser: Alice"))
	add("bad-header", "name of 65 bytes", "more than the bound", header(strings.Repeat("N", 65)+": v"))

	// Of another place.
	for _, w := range []struct{ name, topic string }{
		{"another topic", news.Community.String() + "/" + comntr.NameHash("/r/gifs").String()},
		{"another community", comntr.NameHash("digg").String() + "/" + news.Topic.String()},
		{"the two exchanged", news.Topic.String() + "/" + news.Community.String()},
		{"topic alone", news.Topic.String()},
		{"upper case", strings.ToUpper(news.String())},
		{"names in clear", "reddit//r/news"},
		{"a slash after", news.String() + "/"},
	} {
		add("wrong-topic", "Topic: "+w.name, "signed for another place", signDoc(alice, "Topic: "+w.topic+"\n\nbody"))
	}

	// Tampered with.
	add("bad-signature", "changed body", "the signature covers it", strings.Replace(good, "Markdown", "Markdowm", 1))
	add("bad-signature", "body grown", "the signature covers all to the end", good+"\n")
	add("bad-signature", "body cut", "the signature covers all to the end", good[:len(good)-1])
	add("bad-signature", "changed header", "the signature covers it", strings.Replace(good, "User: Alice", "User: Alicf", 1))
	add("bad-signature", "header added", "the signature covers the headers", strings.Replace(good, "User: ", "Name: /r/news\nUser: ", 1))
	add("bad-signature", "header removed", "the signature covers the headers", strings.Replace(good, date, "", 1))
	add("bad-signature", "headers exchanged", "the signature covers their order", strings.Replace(good, topic+date, date+topic, 1))
	add("bad-signature", "another's key", "the signature covers the key", strings.Replace(good, key, hex.EncodeToString(bob.Public().(ed25519.PublicKey)), 1))
	add("bad-signature", "flipped bit in R", "R is compared", "Signature: "+flipHex(t, sig, 0)+"\n"+rest)
	add("bad-signature", "flipped bit in S", "S is used", "Signature: "+flipHex(t, sig, 40)+"\n"+rest)
	add("bad-signature", "S plus L", "S < L", "Signature: "+sig[:64]+hex.EncodeToString(plusL(unhex(t, sig[64:]), 1))+"\n"+rest)
	add("bad-signature", "signature of the body alone", "the headers are signed too", "Signature: "+hex.EncodeToString(ed25519.Sign(alice, []byte("Markdown *text*\n")))+"\n"+rest)
	add("bad-signature", "zero key", "a key of small order verifies anything", "Signature: "+strings.Repeat("0", 128)+"\nPublic-Key: "+strings.Repeat("0", 64)+"\n"+topic+"\nbody")
	add("bad-signature", "identity key", "a key of small order verifies anything", "Signature: 01"+strings.Repeat("0", 126)+"\nPublic-Key: 01"+strings.Repeat("0", 62)+"\n"+topic+"\nbody")
	return cases
}

func flipHex(t testing.TB, s string, i int) string {
	b := unhex(t, s)
	b[i] ^= 1
	return hex.EncodeToString(b)
}

// groupOrder is L = 2^252 + 27742317777372353535851937790883648493,
// little-endian (RFC 8032, 5.1).
var groupOrder = [32]byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
}

// plusL returns s + n*L.
func plusL(s []byte, n int) []byte {
	out := bytes.Clone(s)
	carry := 0
	for i := range out {
		carry += int(s[i]) + n*int(groupOrder[i])
		out[i] = byte(carry)
		carry >>= 8
	}
	return out
}

func TestDocumentVectors(t *testing.T) {
	v := documentVectors{
		Rule: "bytes: text (UTF-8) or hex, then pad repeated up to padTo bytes. code: the refusal's; without one it is a valid document of that topic, " +
			"and id, signed, key, act, date and body (the offset of its first byte) are what is read from it. Keys: the Ed25519 seed is the SHA-256 of \"alice\" or \"bob\".",
		Community: news.Community.String(),
		Topic:     news.Topic.String(),
		Cases:     documentCases(t),
	}
	for i := range v.Cases {
		c := &v.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			b := c.bytes(t)
			doc, err := comntr.ParseDocument(news, b)
			code := ""
			if err != nil {
				invalid, ok := err.(*comntr.Invalid)
				if !ok {
					t.Fatalf("the error is a %T, not an *Invalid", err)
				}
				code = invalid.Code
				if invalid.Detail == "" || len(invalid.Detail) > 400 {
					t.Errorf("the detail has %d bytes", len(invalid.Detail))
				}
			}
			if code != c.Code {
				t.Fatalf("code %q, want %q (%s); error %v", code, c.Code, c.Why, err)
			}
			if err != nil {
				return
			}
			if !bytes.Equal(doc.Bytes(), b) || doc.Size() != len(b) || doc.Place() != news {
				t.Error("the document is not the bytes and the place it was parsed from")
			}
			c.ID = doc.ID().String()
			c.Signed = doc.Signed()
			c.Body = len(b) - len(doc.Body())
			if date, ok := doc.Date(); ok {
				c.Date = date.Format(comntr.DateFormat)
			}
			if doc.Signed() {
				key, act := doc.Key(), doc.Act()
				c.Key, c.Act = hex.EncodeToString(key[:]), hex.EncodeToString(act[:])
			}
		})
	}
	if !t.Failed() {
		checkVectors(t, "documents.json", v)
	}
}

func sha512Sum(parts ...[]byte) []byte {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
