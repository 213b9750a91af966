package comntr

import (
	"bytes"
	"crypto/sha512"
	"sync"

	"filippo.io/edwards25519"
)

// Verification of Ed25519 signatures as SPEC.md, "Signatures", fixes it,
// because RFC 8032 leaves room in which implementations differ ("Taming the
// many EdDSAs", Chalkias, Garillot, Nikolaenko, 2020): the key is encoded
// canonically and generates the prime-order subgroup, S < L, and [S]B-[k]A
// encodes to exactly the bytes of R, without the cofactor.

// minusOne is L-1, so that [L-1]A = -A shows that A has order L.
var minusOne = edwards25519.NewScalar().Negate(one())

func one() *edwards25519.Scalar {
	var b [32]byte
	b[0] = 1
	s, err := edwards25519.NewScalar().SetCanonicalBytes(b[:])
	if err != nil {
		panic(err)
	}
	return s
}

// keyCacheMax bounds the keys whose decoded points are kept, about 200 bytes
// each. When it is full it starts anew: a stranger who sends many keys makes
// others' keys be checked again, and nothing else.
const keyCacheMax = 1 << 14

var keyCache = struct {
	sync.RWMutex
	m map[[32]byte]*edwards25519.Point // nil: not a key
}{m: make(map[[32]byte]*edwards25519.Point)}

// decodeKey returns minus the key's point, or nil if the key may not sign.
func decodeKey(key [32]byte) *edwards25519.Point {
	keyCache.RLock()
	p, ok := keyCache.m[key]
	keyCache.RUnlock()
	if ok {
		return p
	}
	p = checkKey(key)
	keyCache.Lock()
	if len(keyCache.m) >= keyCacheMax {
		clear(keyCache.m)
	}
	keyCache.m[key] = p
	keyCache.Unlock()
	return p
}

func checkKey(key [32]byte) *edwards25519.Point {
	a, err := edwards25519.NewIdentityPoint().SetBytes(key[:])
	if err != nil || !bytes.Equal(a.Bytes(), key[:]) { // SetBytes takes y >= p, Bytes never gives it
		return nil
	}
	identity := edwards25519.NewIdentityPoint()
	if a.Equal(identity) == 1 {
		return nil
	}
	minusA := edwards25519.NewIdentityPoint().Negate(a)
	zero := edwards25519.NewScalar()
	if edwards25519.NewIdentityPoint().VarTimeDoubleScalarBaseMult(minusOne, a, zero).Equal(minusA) != 1 {
		return nil
	}
	return minusA
}

// verify reports whether sig is key's signature of message.
func verify(key [32]byte, message []byte, sig [64]byte) bool {
	minusA := decodeKey(key)
	if minusA == nil {
		return false
	}
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(key[:])
	h.Write(message)
	k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		return false
	}
	r := edwards25519.NewIdentityPoint().VarTimeDoubleScalarBaseMult(k, minusA, s)
	return bytes.Equal(r.Bytes(), sig[:32])
}
