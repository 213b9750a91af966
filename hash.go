package comntr

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"

	"github.com/spaolacci/murmur3"
)

// Hash is a SHA-1: the name of a comment (of its bytes), of a topic or of a
// community (of its name in UTF-8). In paths, URLs and folders it is written
// as 40 lower-case hex digits, and no other spelling is one.
type Hash [20]byte

// SumHash returns the SHA-1 of b. It does not look for collision attacks:
// ParseDocument does.
func SumHash(b []byte) Hash { return sha1.Sum(b) }

// NameHash returns the hash that stands for a community's or a topic's name,
// such as "reddit" or "/r/news".
func NameHash(name string) Hash { return sha1.Sum([]byte(name)) }

// ParseHash reads exactly 40 lower-case hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 40 {
		return h, fmt.Errorf("%q is no hash: 40 lower-case hex digits are wanted", clip(s, 60))
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return h, fmt.Errorf("%q is no hash: 40 lower-case hex digits are wanted", s)
		}
	}
	hex.Decode(h[:], []byte(s))
	return h, nil
}

// HashOrName reads what a person typed for a topic or a community: 40
// lower-case hex digits are the hash itself, everything else is a name.
func HashOrName(s string) Hash {
	if h, err := ParseHash(s); err == nil {
		return h
	}
	return NameHash(s)
}

// String returns the 40 lower-case hex digits.
func (h Hash) String() string {
	var b [40]byte // on the stack: a post writes a dozen of them
	hex.Encode(b[:], h[:])
	return string(b[:])
}

// Compare orders hashes as plain directories order names: by bytes.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// MarshalText writes the 40 hex digits, for JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote, by ParseHash.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// Slot is where a name stands in a sharded folder: 64 bits of
// murmur3-x64-128 of its 40 hex digits, as UnixFS HAMTs use them, most
// significant byte first. Of two names with one slot a folder lists only one
// (SPEC.md, "Folders"): a HAMT has no place for the second.
func (h Hash) Slot() uint64 {
	var b [40]byte
	hex.Encode(b[:], h[:])
	return murmur3.Sum64(b[:])
}

// Place is where a comment stands: a topic of a community. Its text form,
// community/topic, is the value of a document's Topic header.
type Place struct {
	Community Hash
	Topic     Hash
}

func (p Place) String() string { return p.Community.String() + "/" + p.Topic.String() }

// Infohash is what browsers that read the topic meet under at trackers, where
// no server gives it any more: the SHA-1 of the community's and the topic's
// hashes as 80 hex digits. Servers are looked for under Community, never here.
func (p Place) Infohash() Hash { return SumHash([]byte(p.Community.String() + p.Topic.String())) }

// clip shortens what a stranger sent, for an error message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
