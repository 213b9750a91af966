package comntr

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Header is one "Name: value" line of a signed document.
type Header struct{ Name, Value string }

// Draft is a signed document that is not signed yet. One draft and one key
// give one document, byte for byte: its headers stand in a fixed order
// (Public-Key, Topic, Date, Kind, Target, Parent, User, Name, Tag, those of
// Extra, Nonce), those of empty fields are left out, and Ed25519 signatures
// are deterministic.
type Draft struct {
	Place  Place
	Date   time.Time // cut to the second; the zero time, to the nanosecond: undated
	Kind   Kind      // empty: KindComment
	Target Hash      // what an act is on; zero: none
	Parent Hash      // the comment replied to; zero: none
	User   string    // what the author calls himself
	Name   string    // the topic's name in clear, which lists the topic
	Tag    string    // of a moderator's list
	Extra  []Header  // headers that no other field is for
	Nonce  string    // any value; SignWithWork puts its own in its place
	Body   []byte
}

// Deletion is the draft that deletes t, to be signed by t's own key. It has
// t's Parent and Date for its own, and not the time of the deletion: once the
// bytes of t are gone, the place and the date that t had in the thread are
// known from the delete alone.
func Deletion(t *Document) Draft {
	d := Draft{Place: t.Place(), Kind: KindDelete, Target: t.ID()}
	d.Parent, _ = t.Parent()
	if date, ok := t.Date(); ok {
		d.Date = date
		if date.IsZero() { // which a Draft takes for none, but not the nanosecond after
			d.Date = date.Add(1)
		}
	}
	return d
}

// Sign makes the document. The error is an *Invalid for what ParseDocument
// would refuse, and for what it would take though it could mean nothing: an
// edit of nothing, a Name that is not the topic's.
func (d Draft) Sign(key ed25519.PrivateKey) (*Document, error) {
	head, tail, err := d.parts(key)
	if err != nil {
		return nil, err
	}
	if d.Nonce != "" {
		head = append(append(head, noncePrefix...), d.Nonce...)
	}
	return signPart(d.Place, key, append(head, tail...))
}

// signPart signs part, all after the signature's line, and hands the whole to
// the gate that others' documents go through.
func signPart(place Place, key ed25519.PrivateKey, part []byte) (*Document, error) {
	b := make([]byte, 0, len(signaturePrefix)+2*ed25519.SignatureSize+1+len(part))
	b = append(b, signaturePrefix...)
	b = hex.AppendEncode(b, ed25519.Sign(key, part))
	b = append(b, '\n')
	return ParseDocument(place, append(b, part...))
}

const noncePrefix = "\nNonce: "

// knownHeaders are those that a Draft has fields for, or that Sign writes.
var knownHeaders = []string{"signature", "public-key", "topic", "date", "kind", "target", "parent", "user", "name", "tag", "nonce"}

// parts returns the signed part without a nonce, cut where one belongs: a line
// feed, "Nonce: " and its value go between head and tail.
func (d *Draft) parts(key ed25519.PrivateKey) (head, tail []byte, err error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, nil, fmt.Errorf("a private key has %d bytes, not %d", ed25519.PrivateKeySize, len(key))
	}
	if err := d.check(PublicKey(key)); err != nil {
		return nil, nil, err
	}
	lines := []Header{{"Public-Key", hex.EncodeToString(key[32:])}, {"Topic", d.Place.String()}}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, Header{name, value})
		}
	}
	if !d.Date.IsZero() {
		add("Date", d.Date.UTC().Format(DateFormat))
	}
	if d.Kind != KindComment {
		add("Kind", string(d.Kind))
	}
	if d.Target != (Hash{}) {
		add("Target", d.Target.String())
	}
	if d.Parent != (Hash{}) {
		add("Parent", d.Parent.String())
	}
	add("User", d.User)
	add("Name", d.Name)
	add("Tag", d.Tag)
	for i, h := range append(lines, d.Extra...) {
		// Checked here and not by ParseDocument alone: a line feed in a value
		// would make a header of its own, and that document would parse.
		if !headerName(h.Name) || !headerValue(h.Value) {
			return nil, nil, invalid(CodeBadHeader, "the header %q cannot have the value %q: headers are one line, and begin and end with no space", clip(h.Name, maxName), clip(h.Value, 100))
		}
		if i > 0 {
			head = append(head, '\n')
		}
		head = append(append(append(head, h.Name...), ": "...), h.Value...)
	}
	if d.Nonce != "" && !headerValue(d.Nonce) {
		return nil, nil, invalid(CodeBadHeader, "the header Nonce cannot have the value %q", clip(d.Nonce, 100))
	}
	return head, append([]byte("\n\n"), d.Body...), nil
}

// check refuses a draft that could mean nothing where it is to stand.
func (d *Draft) check(key [32]byte) error {
	kind := d.Kind
	if kind == "" {
		kind = KindComment
	}
	switch {
	case !slices.Contains(kinds[:], kind):
		return invalid(CodeBadHeader, "%q is no kind of document", clip(string(kind), maxName))
	case kind == KindComment && d.Target != (Hash{}):
		return invalid(CodeBadHeader, "a comment has no Target: a reply names its Parent")
	case (kind == KindEdit || kind == KindDelete || kind == KindVote) && d.Target == (Hash{}):
		return invalid(CodeBadHeader, "a document of kind %s needs a Target", kind)
	case kind != KindComment && kind != KindDelete && d.Parent != (Hash{}):
		return invalid(CodeBadHeader, "a document of kind %s has no Parent", kind)
	case kind.Moderates() && d.Tag == "":
		return invalid(CodeBadHeader, "a document of kind %s needs the Tag of its list", kind)
	case kind.Moderates() && ListTopic(key, d.Tag) != d.Place.Topic:
		return invalid(CodeBadHeader, "the topic is not that of this key's list %q: %s is", clip(d.Tag, 60), ListTopic(key, d.Tag))
	case d.Name != "" && NameHash(d.Name) != d.Place.Topic:
		return invalid(CodeBadHeader, "the topic's name is not %q: its SHA-1 is another", clip(d.Name, 60))
	}
	if kind == KindVote {
		if _, ok := ParseVote(string(d.Body)); !ok {
			return invalid(CodeBadHeader, "the body of a vote is up, down or none")
		}
	}
	if !d.Date.IsZero() {
		cut := d.Date.UTC().Truncate(time.Second)
		t, err := time.Parse(DateFormat, cut.Format(DateFormat))
		if err != nil || !t.Equal(cut) {
			return invalid(CodeBadHeader, "no Date header can say the year %d", cut.Year())
		}
	}
	seen := map[string]bool{}
	for _, h := range d.Extra {
		folded := strings.ToLower(h.Name)
		if slices.Contains(knownHeaders, folded) || seen[folded] {
			return invalid(CodeBadHeader, "the extra header %s stands twice or has a field of its own", clip(h.Name, maxName))
		}
		seen[folded] = true
	}
	return nil
}

// Bounds of the search for a nonce.
const (
	// MaxWork is the most work, in bits, that SignWithWork tries to pay: more
	// than all the nonces that it has would find.
	MaxWork = 63
	// workChunk is how many nonces a core takes at a time: a millisecond for a
	// vote, under a second for the longest body, after which ctx is looked at.
	workChunk = 1 << 12
	// workTick is how often progress is told.
	workTick = 100 * time.Millisecond
)

// SignWithWork is Sign with the smallest Nonce, a decimal number from 0 on,
// that gives the document at least the given bits of Work; with 0 bits it is
// Sign. It tries on all cores, 2^bits nonces on average, until ctx ends, and
// each costs one SHA-256 of the body: pay for short ones. progress, if not
// nil, is called now and then, from the caller's goroutine, with the number
// tried so far.
func (d Draft) SignWithWork(ctx context.Context, key ed25519.PrivateKey, bits int, progress func(tried uint64)) (*Document, error) {
	if bits <= 0 {
		return d.Sign(key)
	}
	if bits > MaxWork {
		return nil, fmt.Errorf("%d bits of work cannot be paid: at most %d are tried", bits, MaxWork)
	}
	// With the longest nonce it must be a document before anything is paid.
	d.Nonce = strconv.FormatUint(math.MaxUint64, 10)
	if _, err := d.Sign(key); err != nil {
		return nil, err
	}
	d.Nonce = ""
	head, tail, err := d.parts(key)
	if err != nil {
		return nil, err
	}
	head = append(head, noncePrefix...)
	nonce, err := findNonce(ctx, head, tail, bits, progress)
	if err != nil {
		return nil, fmt.Errorf("pay %d bits of work: %w", bits, err)
	}
	part := strconv.AppendUint(head, nonce, 10)
	return signPart(d.Place, key, append(part, tail...))
}

// findNonce returns the smallest n for which SHA-256(head, n in decimal, tail)
// begins with that many zero bits. It is the smallest, not the first that
// some core hits, so that equal drafts give equal documents everywhere.
func findNonce(ctx context.Context, head, tail []byte, bits int, progress func(uint64)) (uint64, error) {
	var next, tried atomic.Uint64 // the chunk to take; nonces tried
	var best atomic.Uint64
	best.Store(math.MaxUint64)
	var cores sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		cores.Go(func() {
			try := newTrier(head, tail)
			for ctx.Err() == nil {
				from := (next.Add(1) - 1) * workChunk
				if from >= best.Load() {
					return
				}
				n, found := from, false
				for ; n < from+workChunk && !found; n++ {
					found = Work(try(n)) >= bits
				}
				tried.Add(n - from)
				if !found {
					continue
				}
				for old := best.Load(); n-1 < old && !best.CompareAndSwap(old, n-1); {
					old = best.Load()
				}
				return // all that this core would take is greater
			}
		})
	}
	done := make(chan struct{})
	go func() { cores.Wait(); close(done) }()
	t := time.NewTicker(workTick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if progress != nil {
				progress(tried.Load())
			}
		case <-done:
			if progress != nil {
				progress(tried.Load())
			}
			// A core that was stopped may have left a smaller one untried.
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return best.Load(), nil
		}
	}
}

// newTrier returns the SHA-256 of head, a number in decimal, and tail, as a
// function of the number. head is hashed once, not for each number.
func newTrier(head, tail []byte) func(n uint64) [32]byte {
	h := sha256.New()
	h.Write(head)
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 promises that its state can be kept
	}
	restore := h.(encoding.BinaryUnmarshaler)
	rest := make([]byte, 0, 20+len(tail))
	var sum [32]byte
	return func(n uint64) [32]byte {
		if err := restore.UnmarshalBinary(state); err != nil {
			panic(err)
		}
		rest = append(strconv.AppendUint(rest[:0], n, 10), tail...)
		h.Write(rest)
		h.Sum(sum[:0])
		return sum
	}
}
