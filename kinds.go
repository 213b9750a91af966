package comntr

import (
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
)

// Kind is what a signed document does: the value of its Kind header.
type Kind string

// The kinds. All but KindComment are acts on something else, which Target
// names.
const (
	KindComment Kind = "comment" // also where there is no Kind header
	KindEdit    Kind = "edit"    // the body is the target's new one
	KindDelete  Kind = "delete"  // removes the target, and its edits with it
	KindVote    Kind = "vote"    // the body is up, down or none

	// A moderator's list: valid only where key and tag give the topic.
	KindHide       Kind = "hide"
	KindShow       Kind = "show"
	KindPin        Kind = "pin"
	KindUnpin      Kind = "unpin"
	KindLock       Kind = "lock"
	KindUnlock     Kind = "unlock"
	KindBan        Kind = "ban"
	KindUnban      Kind = "unban"
	KindDelegate   Kind = "delegate"
	KindUndelegate Kind = "undelegate"

	// KindUnknown is every other value. Such a document is kept and shown
	// nowhere: it does what a later version of the protocol will say, and was
	// never meant to be read as a comment.
	KindUnknown Kind = "unknown"
)

// kinds are those that a document can say it is of.
var kinds = [...]Kind{
	KindComment, KindEdit, KindDelete, KindVote,
	KindHide, KindShow, KindPin, KindUnpin, KindLock, KindUnlock, KindBan, KindUnban, KindDelegate, KindUndelegate,
}

// parseKind reads a Kind header. It returns the constant, so that a document's
// kind is not a part of its bytes.
func parseKind(s string) Kind {
	for _, k := range kinds {
		if s == string(k) {
			return k
		}
	}
	return KindUnknown
}

// Moderates reports whether documents of this kind are a moderator's list.
func (k Kind) Moderates() bool {
	switch k {
	case KindHide, KindShow, KindPin, KindUnpin, KindLock, KindUnlock, KindBan, KindUnban, KindDelegate, KindUndelegate:
		return true
	}
	return false
}

// VoteWork is the work, in bits, without which a vote does not count.
const VoteWork = 18

// Vote is what a vote says. Its text form is the vote's body.
type Vote int8

const (
	VoteDown Vote = -1
	VoteNone Vote = 0 // takes an earlier vote back
	VoteUp   Vote = 1
)

func (v Vote) String() string {
	switch v {
	case VoteUp:
		return "up"
	case VoteDown:
		return "down"
	}
	return "none"
}

// ParseVote reads up, down or none, to the letter.
func ParseVote(s string) (v Vote, ok bool) {
	for _, v := range []Vote{VoteUp, VoteDown, VoteNone} {
		if s == v.String() {
			return v, true
		}
	}
	return VoteNone, false
}

// Kind is what the document does. Plain text and documents without a Kind
// header are comments; a value that no Kind constant has is KindUnknown.
func (d *Document) Kind() Kind { return d.kind }

// Target is the id that an edit, a delete, a vote or a moderator acts on. A
// malformed one is absent.
func (d *Document) Target() (id Hash, ok bool) { return d.target, d.hasTarget }

// Parent is the id of the comment that is replied to. A malformed one is
// absent. In a delete it is its target's.
func (d *Document) Parent() (id Hash, ok bool) { return d.parent, d.hasParent }

// User is what the author calls himself. It proves nothing: two keys may use
// one name, so show a KeyMark beside it.
func (d *Document) User() (name string, ok bool) { return d.Header("User") }

// Name is the topic's name in clear. A name proves itself: one whose SHA-1 is
// not the topic is absent.
func (d *Document) Name() (name string, ok bool) { return d.name, d.name != "" }

// Tag tells the lists of one moderator apart, see ListTopic.
func (d *Document) Tag() (tag string, ok bool) { return d.Header("Tag") }

// Vote is what a document of KindVote says; a body other than up, down or
// none says nothing, and no other kind votes.
func (d *Document) Vote() (v Vote, ok bool) { return d.vote, d.votes }

// Work is the number of leading zero bits of the document's act, 0 for plain
// text, which has none.
func (d *Document) Work() int {
	if !d.signed {
		return 0
	}
	return Work(d.act)
}

// maxWorkBits is the most work that there can be: an act has no more bits.
const maxWorkBits = 8 * sha256.Size

// Work is the number of leading zero bits of an act, maxWorkBits at most.
func Work(act [32]byte) int {
	for i, b := range act {
		if b != 0 {
			return 8*i + bits.LeadingZeros8(b)
		}
	}
	return maxWorkBits
}

// ListTopic is the topic that holds the moderator's list of a key and a tag:
// the SHA-1 of 80 bytes, the SHA-1 of the key's 32 bytes and the SHA-1 of the
// tag in UTF-8, each as 40 lower-case hex digits.
func ListTopic(key [32]byte, tag string) Hash {
	var b [80]byte
	k, t := sha1.Sum(key[:]), sha1.Sum([]byte(tag))
	hex.Encode(b[:40], k[:])
	hex.Encode(b[40:], t[:])
	return sha1.Sum(b[:])
}

// KeyMark is a key as people see it beside a name: the first 12 of its 64 hex
// digits. It tells people in one thread apart; to make sure who someone is,
// compare whole keys.
func KeyMark(key [32]byte) string { return hex.EncodeToString(key[:6]) }

// PublicKey is the public half of key, as documents carry it.
func PublicKey(key ed25519.PrivateKey) [32]byte {
	return [32]byte(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}
