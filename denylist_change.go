package comntr

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Sum tells lists apart: 0 is that of an empty one.
func (l *Denylist) Sum() uint64 {
	if l.Len() == 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(l.text))
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// Loosens reports whether l may allow something that old denies. It does not if
// it is old with more lines below, none of which is an exception.
func (l *Denylist) Loosens(old *Denylist) bool {
	switch {
	case old.Len() == 0:
		return false
	case l == nil || !strings.HasPrefix(l.text, old.text):
		return true
	case len(l.text) > len(old.text) && !strings.HasSuffix(old.text, "\n"):
		return true // its last line may have grown
	}
	for i := len(old.lines); i < len(l.lines); i++ {
		if l.allows(uint32(i + 1)) {
			return true
		}
	}
	return false
}
