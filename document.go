package comntr

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pjbgf/sha1cd"
)

// Bounds of a document. They are constants of the protocol: a function of the
// bytes alone, the same at every door of every server.
const (
	MaxDocument = 64 << 10 // bytes in all
	MaxHeaders  = 4 << 10  // bytes of a signed document before its body, the empty line included
	maxName     = 64       // bytes of a header's name
)

// MaxAhead is how far in the future a document's Date may lie when it is
// posted. A replica leaves such a file for later instead of refusing it.
const MaxAhead = 10 * time.Minute

// DateFormat is the one form of a Date header, in UTC.
const DateFormat = "2006-01-02T15:04:05Z"

// Document is a comment's bytes that have passed every rule of validity for
// the place they were parsed for. Only ParseDocument makes one, so holding a
// Document is holding the proof. It never changes.
//
// A document is signed, or it is plain text: plain text has no author, no
// date and no headers.
type Document struct {
	// What a fold asks of each lies together and is read once, because of a
	// hundred thousand documents most lie outside the processor's caches.
	id        Hash
	signed    bool
	dated     bool
	hasTarget bool
	hasParent bool
	votes     bool // it says what its vote is
	vote      Vote
	target    Hash
	parent    Hash
	date      int64 // Unix seconds
	kind      Kind  // one of the constants
	key       [32]byte
	act       [32]byte
	name      string // proven; "" if there is none

	place   Place
	bytes   []byte
	headers []header
	body    []byte
}

type header struct{ name, value string }

// Invalid says why bytes are no document. Code is one of the Code constants.
type Invalid struct {
	Code   string
	Detail string
}

func (e *Invalid) Error() string { return e.Detail }

func invalid(code, format string, args ...any) error {
	return &Invalid{Code: code, Detail: fmt.Sprintf(format, args...)}
}

const signaturePrefix = "Signature: "

// ParseDocument checks b against every rule of SPEC.md, "Documents", for a
// file that is to stand at place, and returns the document. It keeps a copy
// of b. An error is an *Invalid.
func ParseDocument(place Place, b []byte) (*Document, error) {
	switch {
	case len(b) == 0:
		return nil, invalid(CodeEmpty, "the document is empty: send at least one byte")
	case len(b) > MaxDocument:
		return nil, invalid(CodeTooLarge, "the document has %d bytes: at most %d are taken", len(b), MaxDocument)
	}
	// Before UTF-8: a collision block is binary, and whoever sends one should
	// hear about the attack, not about the encoding.
	d := sha1cd.New().(sha1cd.CollisionResistantHash)
	d.Write(b)
	sum, collision := d.CollisionResistantSum(nil)
	if collision {
		return nil, invalid(CodeCollision, "the document carries a SHA-1 collision attack: its name would not be its own")
	}
	if !utf8.Valid(b) {
		return nil, invalid(CodeNotUTF8, "the document is not UTF-8: send text")
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return nil, invalid(CodeNUL, "byte %d of the document is NUL: send text without it", i)
	}
	doc := &Document{id: Hash(sum), kind: KindComment, place: place, bytes: bytes.Clone(b)}
	if !bytes.HasPrefix(b, []byte(signaturePrefix)) {
		doc.body = doc.bytes
		return doc, nil
	}
	if err := doc.parseSigned(); err != nil {
		return nil, err
	}
	return doc, nil
}

func (d *Document) parseSigned() error {
	rest := string(d.bytes)
	sig, rest, err := hexLine(rest, signaturePrefix, 64, 1)
	if err != nil {
		return err
	}
	signedPart := d.bytes[len(d.bytes)-len(rest):]
	key, rest, err := hexLine(rest, "Public-Key: ", 32, 2)
	if err != nil {
		return err
	}
	d.signed = true
	d.key = [32]byte(key)
	seen := map[string]bool{"signature": true, "public-key": true}
	for n := 3; ; n++ {
		// The header block, its empty line included, must end within
		// MaxHeaders; looking no further keeps a hostile document cheap.
		line, after, ok := strings.Cut(rest, "\n")
		if end := len(d.bytes) - len(after); !ok || end > MaxHeaders {
			return invalid(CodeBadHeader, "the headers do not end with an empty line within %d bytes", MaxHeaders)
		}
		rest = after
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || !headerName(name) || !headerValue(value) {
			return invalid(CodeBadHeader, "line %d is not of the form \"Name: value\"", n)
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return invalid(CodeBadHeader, "line %d: the header %s stands twice", n, name)
		}
		seen[folded] = true
		d.headers = append(d.headers, header{name, value})
	}
	d.body = d.bytes[len(d.bytes)-len(rest):]
	topic, ok := d.Header("Topic")
	if !ok {
		return invalid(CodeBadHeader, "a signed document needs a Topic header: %s here", d.place)
	}
	if topic != d.place.String() {
		return invalid(CodeWrongTopic, "the document was signed for the topic %s, not for %s", clip(topic, 90), d.place)
	}
	if !verify(d.key, signedPart, [64]byte(sig)) {
		return invalid(CodeBadSignature, "the signature does not verify under Public-Key %x", key)
	}
	d.act = sha256.Sum256(signedPart)
	d.readForFold()
	return nil
}

// readForFold reads what a fold asks every document for.
func (d *Document) readForFold() {
	if v, ok := d.Header("Date"); ok {
		// time.Parse alone would take fractions of seconds.
		if t, err := time.Parse(DateFormat, v); err == nil && t.Format(DateFormat) == v {
			d.date, d.dated = t.Unix(), true
		}
	}
	if v, ok := d.Header("Kind"); ok {
		d.kind = parseKind(v)
	}
	d.target, d.hasTarget = d.hashHeader("Target")
	d.parent, d.hasParent = d.hashHeader("Parent")
	if v, ok := d.Header("Name"); ok && NameHash(v) == d.place.Topic {
		d.name = v
	}
	if d.kind == KindVote {
		d.vote, d.votes = ParseVote(string(d.body))
	}
}

func (d *Document) hashHeader(name string) (Hash, bool) {
	v, ok := d.Header(name)
	if !ok {
		return Hash{}, false
	}
	h, err := ParseHash(v)
	return h, err == nil
}

// hexLine reads one line of a fixed prefix and n bytes in lower-case hex.
func hexLine(s, prefix string, n, lineNo int) (raw []byte, rest string, err error) {
	line, rest, ok := strings.Cut(s, "\n")
	if digits, found := strings.CutPrefix(line, prefix); ok && found {
		if raw, ok = lowerHex(digits, n); ok {
			return raw, rest, nil
		}
	}
	return nil, "", invalid(CodeBadHeader, "line %d of a signed document must be %q and %d lower-case hex digits", lineNo, prefix, 2*n)
}

// lowerHex reads n bytes in lower-case hex, and nothing else.
func lowerHex(s string, n int) ([]byte, bool) {
	raw, err := hex.DecodeString(s)
	return raw, err == nil && len(raw) == n && s == strings.ToLower(s)
}

func headerName(s string) bool {
	if len(s) == 0 || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

func headerValue(s string) bool {
	if s == "" || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// ID is the SHA-1 of the bytes: the comment's name.
func (d *Document) ID() Hash { return d.id }

// Place is the topic that the document was parsed for.
func (d *Document) Place() Place { return d.place }

// Bytes are the document's bytes to the letter. Do not change them.
func (d *Document) Bytes() []byte { return d.bytes }

// Size is len(Bytes()).
func (d *Document) Size() int { return len(d.bytes) }

// Signed tells a signed document from plain text.
func (d *Document) Signed() bool { return d.signed }

// Key is the author's Ed25519 public key; zero for plain text.
func (d *Document) Key() [32]byte { return d.key }

// Act is the SHA-256 of the signed part, all after the signature's line; zero
// for plain text. One act may stand in several files, because a key's holder
// can sign one part many times.
func (d *Document) Act() [32]byte { return d.act }

// Body is the text after the headers; of plain text all of it.
func (d *Document) Body() []byte { return d.body }

// Date is when the author says it was written; ok is false where there is no
// Date or one of another form than DateFormat, and for plain text. Ask ok, not
// t.IsZero: 0001-01-01T00:00:00Z is a date like any other.
func (d *Document) Date() (t time.Time, ok bool) {
	if !d.dated {
		return time.Time{}, false
	}
	return time.Unix(d.date, 0).UTC(), true
}

// Header returns the value of the signed document's header of that very name,
// other than Signature and Public-Key. Plain text has none.
func (d *Document) Header(name string) (value string, ok bool) {
	for _, h := range d.headers {
		if h.name == name {
			return h.value, true
		}
	}
	return "", false
}

// Premature reports whether the Date lies more than MaxAhead after now.
func (d *Document) Premature(now time.Time) bool {
	t, dated := d.Date()
	return dated && t.After(now.Add(MaxAhead))
}
