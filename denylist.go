package comntr

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Bounds of a deny list. What goes beyond one is told by a DenyError, and all
// that was read before it holds.
const (
	// MaxDenylist is how many bytes a list has at most. It stays in memory as
	// long as it is in force; this is room for a million rules.
	MaxDenylist = 64 << 20
	// maxDenyRules: a million of them, half comments and half double hashes,
	// hold 135 MiB, 56 of which are the text (BenchmarkDenylist).
	maxDenyRules  = 1 << 20
	maxDenyHeader = 1 << 20 // bytes of the header, its "---" included (IPIP-383)
	maxDenyLine   = 2 << 20 // bytes of a line, its LF included (IPIP-383)
	// maxDenyErrors: a file that is no list at all has an error a line.
	maxDenyErrors = 1000
	// maxDenyCID is how long a CID may be, in characters or bytes: reading and
	// writing base58 takes the square of it. The longest of use, SHA-512 in
	// hex, has 137.
	maxDenyCID = 256
	// maxDenyFunctions: each hash function that double hashes use, besides
	// SHA-256, costs a hash a lookup.
	maxDenyFunctions = 8
)

// Denylist is what an operator's server does not keep, serve, fetch or take.
// It never changes; a nil one denies nothing.
//
// It is read from the compact denylist format (IPIP-383), with lines of our
// own for comments, topics and keys. Of all rules that match something the
// last one in the file decides, whatever its kind: a rule after `!` or `+` is
// an exception, so that it must stand below what it excepts from.
type Denylist struct {
	text  string // what was read, for the rules' text
	lines []denyLine
	deny  int

	// Each maps to the last rule about its key: its index in lines and 1.
	comments map[Hash]uint32
	placed   map[placedComment]uint32
	topics   map[Hash]uint32
	places   map[Place]uint32
	keys     map[[32]byte]uint32
	blocks   multihashRules // by their multihash
	doubles  multihashRules // by a hash of their name
	// functions are those of doubles, without SHA-256.
	functions []uint64

	// The last exceptions that may keep a comment: by its bytes; by its name,
	// in any topic; by its name in one topic. See Topic and Comment.
	keptBytes, keptNames uint32
	keptIn               map[Place]uint32
}

// denyLine is where a rule stands. Twelve bytes: there may be a million.
type denyLine struct {
	line, off uint32
	size      uint32 // doubled; 1 more for an exception
}

type placedComment struct {
	place Place
	id    Hash
}

// multihashRules are rules by multihashes. Those of SHA-256, nearly all, have
// keys of a fixed size.
type multihashRules struct {
	sha256 map[[32]byte]uint32
	other  map[string]uint32
}

func (m *multihashRules) get(mh []byte) uint32 {
	if digest, ok := sha256Digest(mh); ok {
		return m.sha256[digest]
	}
	return m.other[string(mh)]
}

func sha256Digest(mh []byte) (digest [32]byte, ok bool) {
	if len(mh) == 34 && mh[0] == multihash.SHA2_256 && mh[1] == 32 {
		return [32]byte(mh[2:]), true
	}
	return digest, false
}

func (m *multihashRules) len() int { return len(m.sha256) + len(m.other) }

// DenyRule is the line that denies something.
type DenyRule struct {
	Line int    // in the file, from 1
	Text string // as written, without white space around it
}

// Hash is of what the rule means: the same in each spelling, whatever hints
// follow it and wherever it stands. It is for remembering why something went.
func (r DenyRule) Hash() uint64 {
	text := strings.Trim(r.Text, denySpace)
	if rule, err := parseDenyRule(text); err == nil && rule.kind != denyNothing {
		text = rule.String()
	}
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}

// DenyError is a line of a deny list that cannot be read, and so denies
// nothing.
type DenyError struct {
	Line   int    // in the file, from 1
	Text   string // as written, its beginning
	Detail string // what is wrong, and what is wanted
}

func (e DenyError) Error() string {
	return fmt.Sprintf("line %d, %q: %s", e.Line, e.Text, e.Detail)
}

// ParseDenylist reads a deny list. Lines that cannot be read are reported, in
// order, and the others hold. A list of another version of the format is
// refused as a whole: nothing of it holds. It keeps a copy of b.
func ParseDenylist(b []byte) (*Denylist, []DenyError) {
	l := &Denylist{
		comments: map[Hash]uint32{},
		placed:   map[placedComment]uint32{},
		topics:   map[Hash]uint32{},
		places:   map[Place]uint32{},
		keys:     map[[32]byte]uint32{},
		blocks:   multihashRules{map[[32]byte]uint32{}, map[string]uint32{}},
		doubles:  multihashRules{map[[32]byte]uint32{}, map[string]uint32{}},
		keptIn:   map[Place]uint32{},
	}
	cut := len(b) > MaxDenylist
	if cut {
		// Half a rule is none, or another one.
		b = b[:bytes.LastIndexByte(b[:MaxDenylist], '\n')+1]
	}
	l.text = strings.TrimPrefix(string(b), "\ufeff")
	var errs denyErrors
	off, line, err := denyHeader(l.text)
	if err != nil {
		l.text = ""
		return l, []DenyError{*err}
	}
	for off < len(l.text) {
		raw := l.text[off:]
		if i := strings.IndexByte(raw, '\n'); i >= 0 {
			raw = raw[:i+1]
		}
		line++
		start := off
		off += len(raw)
		text := strings.TrimLeft(raw, denySpace)
		start += len(raw) - len(text)
		text = strings.TrimRight(text, denySpace)
		switch {
		case len(raw) > maxDenyLine:
			errs.add(line, text, fmt.Sprintf("a line has at most %d bytes", maxDenyLine))
			continue
		case text == "" || text[0] == '#':
			continue
		}
		rule, err := parseDenyRule(text)
		if err == nil && rule.kind == denyNothing {
			continue
		}
		if err == nil && len(l.lines) == maxDenyRules {
			errs.add(line, text, fmt.Sprintf("a list has at most %d rules: this one and what follows do not hold", maxDenyRules))
			cut = false
			break
		}
		if err == nil {
			err = l.add(rule, denyLine{line: uint32(line), off: uint32(start), size: uint32(len(text)) << 1})
		}
		if err != nil {
			errs.add(line, text, err.Error())
		}
	}
	if cut {
		errs.add(line+1, "", fmt.Sprintf("a list has at most %d bytes: from this line on nothing holds", MaxDenylist))
	}
	l.finish()
	return l, errs.list()
}

// denySpace is what may stand around a line and between its parts.
const denySpace = " \t\r\n"

// denyErrors keeps the first maxDenyErrors.
type denyErrors struct {
	errs []DenyError
	more int
	line int // of the first of the more
}

func (e *denyErrors) add(line int, text, detail string) {
	if len(e.errs) == maxDenyErrors {
		if e.more == 0 {
			e.line = line
		}
		e.more++
		return
	}
	// Cloned, because the text would hold all of the list.
	e.errs = append(e.errs, DenyError{line, strings.Clone(clip(text, 100)), detail})
}

func (e *denyErrors) list() []DenyError {
	if e.more > 0 {
		return append(e.errs, DenyError{e.line, "", fmt.Sprintf("from this line on %d more cannot be read", e.more)})
	}
	return e.errs
}

// denyHeader finds the end of the header, YAML up to a line "---", and how
// many lines it has. Nothing in it but the version matters to us, so there is
// no YAML parser: what stands above is a header if its lines that are not
// indented look like members and none like a rule. If they do not, there is
// no header: rules above a stray "---" had better hold.
func denyHeader(text string) (end, lines int, err *DenyError) {
	var version *DenyError
	first := true
	for rest := text[:min(len(text), maxDenyHeader)]; ; {
		line, after, ok := strings.Cut(rest, "\n")
		trimmed := strings.TrimRight(line, denySpace)
		if !ok && len(text) > maxDenyHeader {
			return 0, 0, nil // past the bound
		}
		end += len(rest) - len(after)
		rest = after
		lines++
		if trimmed == "---" {
			if version != nil {
				return 0, 0, version
			}
			return end, lines, nil
		}
		if !ok {
			return 0, 0, nil
		}
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if strings.ContainsRune(denySpace, rune(trimmed[0])) {
			if first {
				return 0, 0, nil
			}
			continue
		}
		first = false
		name, value, ok := strings.Cut(trimmed, ":")
		if !ok || looksLikeRule(trimmed) {
			return 0, 0, nil
		}
		value, _, _ = strings.Cut(value, "#")
		value = strings.Trim(value, denySpace+`"'`)
		if strings.Trim(name, denySpace+`"'`) == "version" && value != "" && value != "1" {
			version = &DenyError{lines, strings.Clone(clip(trimmed, 100)), "version 1 of the compact denylist format is read here: nothing of this list holds"}
		}
	}
}

func looksLikeRule(line string) bool {
	field, _ := cutDenyField(line)
	field = strings.TrimLeft(field, "!+-")
	return strings.HasPrefix(field, "/") || field == "comment" || field == "topic" || field == "key"
}

// cutDenyField cuts off what stands before the first white space.
func cutDenyField(s string) (field, rest string) {
	if i := strings.IndexAny(s, denySpace); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], denySpace)
	}
	return s, ""
}

type denyKind uint8

const (
	denyNothing denyKind = iota // a rule about what no comntr server has
	denyComment
	denyCommentAt
	denyTopic
	denyTopicAt
	denyKey
	denyBlock
	denyDouble
)

// denyRule is what a line says.
type denyRule struct {
	kind  denyKind
	allow bool
	place Place    // of denyCommentAt and denyTopicAt
	hash  Hash     // of denyComment, denyCommentAt and denyTopic
	key   [32]byte // of denyKey
	// mh is a block's of denyBlock; of denyDouble that of its name. If that can
	// be read in both forms, mh2 is the other reading: both are denied.
	mh, mh2 multihash.Multihash
}

// String is the rule in one spelling.
func (r *denyRule) String() string {
	allow := ""
	if r.allow {
		allow = "!"
	}
	switch r.kind {
	case denyComment:
		return allow + "comment " + r.hash.String()
	case denyCommentAt:
		return allow + "comment " + r.place.String() + "/" + r.hash.String()
	case denyTopic:
		return allow + "topic " + r.hash.String()
	case denyTopicAt:
		return allow + "topic " + r.place.String()
	case denyKey:
		return allow + "key " + hex.EncodeToString(r.key[:])
	case denyBlock:
		return allow + "/ipfs/" + r.mh.B58String()
	case denyDouble:
		return allow + "//" + r.mh.B58String()
	}
	return ""
}

// parseDenyRule reads a line that is neither empty nor a comment and has no
// white space around it.
func parseDenyRule(text string) (r denyRule, err error) {
	if !utf8.ValidString(text) {
		return r, errors.New("a list is UTF-8, and this line is not")
	}
	field, rest := cutDenyField(text)
	rule := field
	if strings.IndexAny(field, "!+-") == 0 {
		r.allow, rule = true, field[1:]
		if rule == "" {
			return r, fmt.Errorf("what is excepted stands right behind the %s", field)
		}
	}
	path := func(prefix string) (string, bool) { return strings.CutPrefix(rule, prefix) }
	if s, ok := path("//"); ok {
		return r, r.parseDouble(s)
	}
	if s, ok := path("/ipfs/"); ok {
		return r, r.parseBlock(s)
	}
	if s, ok := path("/ipld/"); ok {
		return r, r.parseBlock(s)
	}
	if s, ok := path("/ipns/"); ok {
		return r, checkIPNS(s)
	}
	arg, hints := cutDenyField(rest)
	switch rule {
	case "comment":
		err = r.parseComment(arg)
	case "topic":
		err = r.parseTopic(arg)
	case "key":
		r.kind = denyKey
		var key []byte
		if key, err = denyHex(arg, 32); err != nil {
			return r, fmt.Errorf("wanted is `key <64 hex digits>`: %w", err)
		}
		r.key = [32]byte(key)
	default:
		return r, errors.New("no rule: a line is comment, topic or key and what it denies, or /ipfs/<CID>, or //<double hash>; remarks begin with #")
	}
	if err != nil {
		return r, err
	}
	// Two ids on a line would deny only the first.
	for hints != "" && hints[0] != '#' {
		field, hints = cutDenyField(hints)
		if !strings.ContainsAny(field, ":=") {
			return r, fmt.Errorf("%q is too much: one thing a line, then hints of the form name:value or a remark after #", clip(field, 60))
		}
	}
	return r, nil
}

func (r *denyRule) parseComment(arg string) error {
	hashes, err := denyHashes(arg)
	switch {
	case err != nil:
		return fmt.Errorf("wanted is `comment <40 hex digits>` or `comment <community>/<topic>/<comment>`: %w", err)
	case len(hashes) == 1:
		r.kind, r.hash = denyComment, hashes[0]
	case len(hashes) == 3:
		r.kind, r.place, r.hash = denyCommentAt, Place{hashes[0], hashes[1]}, hashes[2]
	default:
		return fmt.Errorf("wanted is `comment <40 hex digits>` or `comment <community>/<topic>/<comment>`: there are %d hashes", len(hashes))
	}
	return nil
}

func (r *denyRule) parseTopic(arg string) error {
	hashes, err := denyHashes(arg)
	switch {
	case err != nil:
		return fmt.Errorf("wanted is `topic <40 hex digits>` or `topic <community>/<topic>`: %w", err)
	case len(hashes) == 1:
		r.kind, r.hash = denyTopic, hashes[0]
	case len(hashes) == 2:
		r.kind, r.place = denyTopicAt, Place{hashes[0], hashes[1]}
	default:
		return fmt.Errorf("wanted is `topic <40 hex digits>` or `topic <community>/<topic>`: there are %d hashes", len(hashes))
	}
	return nil
}

func denyHashes(arg string) ([]Hash, error) {
	var hashes []Hash
	for _, s := range strings.SplitN(arg, "/", 5) { // a fifth is too much already
		raw, err := denyHex(s, 20)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, Hash(raw))
	}
	return hashes, nil
}

// denyHex reads n bytes in lower-case hex.
func denyHex(s string, n int) ([]byte, error) {
	if s == "" {
		return nil, errors.New("it is missing")
	}
	if raw, ok := lowerHex(s, n); ok {
		return raw, nil
	}
	if _, err := hex.DecodeString(s); err == nil && len(s) == 2*n {
		return nil, fmt.Errorf("%q is upper-case hex: write it in lower case", s)
	}
	return nil, fmt.Errorf("%q is not %d hex digits", clip(s, 2*n), 2*n)
}

// parseBlock reads what follows /ipfs/. A rule about a path below a CID is
// accepted and does nothing: we look blocks up, not paths. `/*` takes in the
// CID itself, which is all of it that we can deny.
func (r *denyRule) parseBlock(s string) error {
	s, path, _ := strings.Cut(s, "/")
	mh, err := denyMultihash(s)
	if err != nil {
		return err
	}
	path, _ = strings.CutSuffix(path, "*")
	path = strings.Trim(path, "/")
	if _, err := url.PathUnescape(path); err != nil {
		return fmt.Errorf("the path: %w", err)
	}
	if path != "" {
		return nil
	}
	if !r.allow && mh.B58String() == emptyFolder {
		return errors.New("this is the empty folder, which is never denied")
	}
	r.kind, r.mh = denyBlock, mh
	return nil
}

// emptyFolder is the multihash of the folder that is empty, in either CID
// version. A list that denies it, by mistake or by malice, must not take away
// what every empty topic is.
const emptyFolder = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"

// denyMultihash reads a CID, or a multihash in base58btc as the format has it.
func denyMultihash(s string) (multihash.Multihash, error) {
	if len(s) > maxDenyCID {
		return nil, fmt.Errorf("a CID has at most %d characters here", maxDenyCID)
	}
	c, err := cid.Decode(s)
	if err == nil {
		return c.Hash(), nil
	}
	if mh, err := multihash.FromB58String(s); err == nil {
		return mh, nil
	}
	return nil, fmt.Errorf("%q is no CID: %w", clip(s, 80), err)
}

func checkIPNS(s string) error {
	if s == "" {
		return errors.New("a name is missing after /ipns/")
	}
	if _, err := url.PathUnescape(s); err != nil {
		return fmt.Errorf("the name: %w", err)
	}
	return nil
}

// parseDouble reads what follows //: a multihash in base58btc, or a SHA-256
// in hex, as lists had it before the format. What can be read as both is both.
func (r *denyRule) parseDouble(s string) error {
	if len(s) > maxDenyCID {
		return fmt.Errorf("a double hash has at most %d characters here", maxDenyCID)
	}
	r.kind = denyDouble
	var readings []multihash.Multihash
	if digest, err := hex.DecodeString(s); err == nil && len(digest) == sha256.Size {
		mh, err := multihash.Encode(digest, multihash.SHA2_256)
		if err != nil {
			panic(err) // 32 bytes of SHA-256 always encode
		}
		readings = append(readings, mh)
	}
	mh, err := multihash.FromB58String(s)
	if err == nil {
		if err = checkDoubleHash(mh); err == nil {
			readings = append(readings, mh)
		}
	}
	switch len(readings) {
	case 0:
		return fmt.Errorf("a double hash is a multihash in base58btc, or 64 hex digits: %w", err)
	case 2:
		r.mh2 = readings[1]
	}
	r.mh = readings[0]
	return nil
}

// checkDoubleHash reports an error unless we can make such a hash.
func checkDoubleHash(mh multihash.Multihash) error {
	d, err := multihash.Decode(mh)
	if err != nil {
		return err
	}
	sum, err := multihash.Sum(nil, d.Code, -1)
	switch {
	case err != nil || d.Code == multihash.IDENTITY:
		return fmt.Errorf("the hash function %#x is none that can be computed here", d.Code)
	case len(sum) != len(mh):
		return fmt.Errorf("its hash of the function %#x has %d bytes, which is not the usual length", d.Code, d.Length)
	}
	return nil
}

// add puts the rule into force.
func (l *Denylist) add(r denyRule, at denyLine) error {
	if r.allow {
		at.size |= 1
	}
	for _, mh := range []multihash.Multihash{r.mh, r.mh2} {
		if r.kind != denyDouble || mh == nil {
			continue
		}
		d, err := multihash.Decode(mh)
		if err != nil {
			return err
		}
		if d.Code == multihash.SHA2_256 || slices.Contains(l.functions, d.Code) {
			continue
		}
		if len(l.functions) == maxDenyFunctions {
			return fmt.Errorf("the double hashes of a list use at most %d hash functions besides SHA-256", maxDenyFunctions)
		}
		l.functions = append(l.functions, d.Code)
	}
	l.lines = append(l.lines, at)
	switch r.kind {
	case denyComment:
		setDeny(l, l.comments, r.hash)
	case denyCommentAt:
		setDeny(l, l.placed, placedComment{r.place, r.hash})
	case denyTopic:
		setDeny(l, l.topics, r.hash)
	case denyTopicAt:
		setDeny(l, l.places, r.place)
	case denyKey:
		setDeny(l, l.keys, r.key)
	case denyBlock:
		l.blocks.set(l, r.mh)
	case denyDouble:
		l.doubles.set(l, r.mh)
		if r.mh2 != nil {
			l.doubles.set(l, r.mh2)
		}
	}
	return nil
}

func (m *multihashRules) set(l *Denylist, mh []byte) {
	if digest, ok := sha256Digest(mh); ok {
		setDeny(l, m.sha256, digest)
	} else {
		setDeny(l, m.other, string(mh))
	}
}

// setDeny has the newest rule decide about key, and counts what is denied.
func setDeny[K comparable](l *Denylist, m map[K]uint32, key K) {
	if old := m[key]; old != 0 && !l.allows(old) {
		l.deny--
	}
	n := uint32(len(l.lines))
	if !l.allows(n) {
		l.deny++
	}
	m[key] = n
}

func (l *Denylist) allows(n uint32) bool { return l.lines[n-1].size&1 == 1 }

// finish finds the last exceptions in force.
func (l *Denylist) finish() {
	l.keptBytes = max(lastAllowed(l, l.keys),
		lastAllowed(l, l.blocks.sha256), lastAllowed(l, l.blocks.other),
		lastAllowed(l, l.doubles.sha256), lastAllowed(l, l.doubles.other))
	l.keptNames = lastAllowed(l, l.comments)
	for c, n := range l.placed {
		if l.allows(n) {
			l.keptIn[c.place] = max(l.keptIn[c.place], n)
		}
	}
}

func lastAllowed[K comparable](l *Denylist, m map[K]uint32) (last uint32) {
	for _, n := range m {
		if l.allows(n) {
			last = max(last, n)
		}
	}
	return last
}

// Len is how many comments, topics, keys, CIDs and double hashes are denied.
func (l *Denylist) Len() int {
	if l == nil {
		return 0
	}
	return l.deny
}

// Topic tells whether the whole topic is denied. It is not if an exception
// below the topic's rule may keep one of its comments: then each comment is
// to be asked about.
func (l *Denylist) Topic(p Place) (DenyRule, bool) {
	if l == nil {
		return DenyRule{}, false
	}
	n := max(l.topics[p.Topic], l.places[p])
	if n < max(l.keptBytes, l.keptNames, l.keptIn[p]) {
		return DenyRule{}, false
	}
	return l.verdict(n)
}

// Comment tells whether a comment is denied whatever its bytes are: by its
// name or its topic. It is not if an exception below that rule may keep the
// comment for its bytes: then File decides.
func (l *Denylist) Comment(p Place, id Hash) (DenyRule, bool) {
	if l == nil {
		return DenyRule{}, false
	}
	n := l.named(p, id)
	if n < l.keptBytes {
		return DenyRule{}, false
	}
	return l.verdict(n)
}

// File tells whether a file of those bytes is denied: by its name, its topic,
// its author's key, or as the leaf that it is in a folder of either CID
// version. b need not be a valid document, and id is not checked against it.
func (l *Denylist) File(p Place, id Hash, b []byte) (DenyRule, bool) {
	if l == nil {
		return DenyRule{}, false
	}
	n := l.named(p, id)
	if len(l.keys) > 0 {
		if key, ok := claimedKey(b); ok {
			n = max(n, l.keys[key])
		}
	}
	if l.blocks.len()+l.doubles.len() > 0 {
		n = max(n, l.block(Version(0).LeafCID(b)), l.block(Version(1).LeafCID(b)))
	}
	return l.verdict(n)
}

// ByContent tells whether some rule, or an exception, needs a comment's
// bytes. If none does, Comment says all that File would.
func (l *Denylist) ByContent() bool {
	return l != nil && len(l.keys)+l.blocks.len()+l.doubles.len() > 0
}

// CID tells whether a block is denied by an /ipfs/ rule, which compares
// multihashes, or by a double hash of its name. Of a comment's leaf File knows
// more: its exceptions too.
func (l *Denylist) CID(c cid.Cid) (DenyRule, bool) {
	if l == nil || !c.Defined() {
		return DenyRule{}, false
	}
	return l.verdict(l.block(c))
}

// named is the last rule that matches a comment by its name or its topic.
func (l *Denylist) named(p Place, id Hash) uint32 {
	return max(l.topics[p.Topic], l.places[p], l.comments[id], l.placed[placedComment{p, id}])
}

// block is the last rule that matches a block.
func (l *Denylist) block(c cid.Cid) uint32 {
	mh := c.Hash()
	if len(mh) > maxDenyCID {
		return 0 // one that carries its bytes: no rule is that long
	}
	n := l.blocks.get(mh)
	if l.doubles.len() == 0 {
		return n
	}
	name := mh.B58String()
	if name == emptyFolder {
		return 0
	}
	// Lists from before the format hash the CID as it is in version 1, codec
	// included, and a slash.
	old := cid.NewCidV1(c.Prefix().Codec, mh).String() + "/"
	n = max(n, l.doubles.sha256[sha256.Sum256([]byte(name))], l.doubles.sha256[sha256.Sum256([]byte(old))])
	for _, code := range l.functions {
		// No error: checkDoubleHash has made one already.
		if sum, err := multihash.Sum([]byte(name), code, -1); err == nil {
			n = max(n, l.doubles.other[string(sum)])
		}
	}
	return n
}

// verdict is what the last rule that matches says; 0 is none.
func (l *Denylist) verdict(n uint32) (DenyRule, bool) {
	if n == 0 || l.allows(n) {
		return DenyRule{}, false
	}
	at := l.lines[n-1]
	return DenyRule{int(at.line), l.text[at.off : at.off+at.size>>1]}, true
}

// claimedKey is the key that signed b, as b says: nothing is verified.
func claimedKey(b []byte) (key [32]byte, ok bool) {
	const twoLines = len(signaturePrefix) + 128 + 1 + len("Public-Key: ") + 64 + 1
	_, rest, err := hexLine(string(b[:min(len(b), twoLines)]), signaturePrefix, 64, 1)
	if err != nil {
		return key, false
	}
	raw, _, err := hexLine(rest, "Public-Key: ", 32, 2)
	if err != nil {
		return key, false
	}
	return [32]byte(raw), true
}
