package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"

	"github.com/comntr/comntr"
)

// signatureVector is one case of signatures.json.
type signatureVector struct {
	Name      string `json:"name"`
	Why       string `json:"why"`
	Key       string `json:"key"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Valid     bool   `json:"valid"`
	// Lax is what a verifier says that only checks S < L and compares the
	// encodings of R, as Go's crypto/ed25519 does: where it differs from
	// Valid, the case shows that a library's verify alone is not the rule.
	Lax bool `json:"lax"`
}

type signatureVectors struct {
	Rule  string            `json:"rule"`
	Cases []signatureVector `json:"cases"`
}

// curve has what the edge cases are made of.
type curve struct {
	tb      testing.TB
	torsion [8]*edwards25519.Point // multiples of a point of order 8
}

func newCurve(tb testing.TB) *curve {
	c := &curve{tb: tb}
	minusOne := scalarOf(tb, plusL(append([]byte{0xff}, bytes.Repeat([]byte{0xff}, 31)...), 1)) // L-1 mod 2^256
	for y := byte(2); ; y++ {
		p, err := new(edwards25519.Point).SetBytes(append([]byte{y}, make([]byte, 31)...))
		if err != nil {
			continue
		}
		// [L]P is in the torsion subgroup.
		t := new(edwards25519.Point).ScalarMult(minusOne, p)
		t.Add(t, p)
		c.torsion[0] = edwards25519.NewIdentityPoint()
		for i := 1; i < 8; i++ {
			c.torsion[i] = new(edwards25519.Point).Add(c.torsion[i-1], t)
		}
		if c.torsion[4].Equal(c.torsion[0]) == 0 {
			return c
		}
	}
}

func scalarOf(tb testing.TB, b []byte) *edwards25519.Scalar {
	s, err := edwards25519.NewScalar().SetCanonicalBytes(b)
	if err != nil {
		tb.Fatalf("%x is no canonical scalar", b)
	}
	return s
}

func (c *curve) scalar(parts ...[]byte) *edwards25519.Scalar {
	s, err := edwards25519.NewScalar().SetUniformBytes(sha512Sum(parts...))
	if err != nil {
		c.tb.Fatal(err)
	}
	return s
}

// forgery is a signature to make: for the key a*B + a8*T with the nonce r*B +
// r8*T, where T is the point of order 8.
type forgery struct {
	a, r   *edwards25519.Scalar
	a8, r8 int
	// Encodings in place of the canonical ones, and what is hashed in place
	// of the encodings; nil: the same.
	encA, encR   []byte
	hashA, hashR []byte
	// exact: [S]B - [k]A is R; else it is not, though 8 times it is 8R.
	exact bool
}

func (c *curve) point(s *edwards25519.Scalar, torsion int) *edwards25519.Point {
	p := new(edwards25519.Point).ScalarBaseMult(s)
	return p.Add(p, c.torsion[torsion])
}

func or(b, otherwise []byte) []byte {
	if b != nil {
		return b
	}
	return otherwise
}

// forge looks for a message for which the torsion parts come out as f wants.
func (c *curve) forge(f forgery) (key, message, sig []byte) {
	A, R := c.point(f.a, f.a8), c.point(f.r, f.r8)
	key, encR := or(f.encA, A.Bytes()), or(f.encR, R.Bytes())
	for n := uint32(0); n < 1000; n++ {
		message = binary.BigEndian.AppendUint32([]byte("comntr edge case "), n)
		k := c.scalar(or(f.hashR, encR), or(f.hashA, key), message)
		s := edwards25519.NewScalar().MultiplyAdd(k, f.a, f.r)
		// The torsion parts: -k*A8 must be R8, or must not.
		left := new(edwards25519.Point).Negate(new(edwards25519.Point).ScalarMult(k, c.torsion[f.a8]))
		if (left.Equal(c.torsion[f.r8]) == 1) == f.exact {
			return key, message, append(bytes.Clone(encR), s.Bytes()...)
		}
	}
	c.tb.Fatal("no message gives that case")
	return nil, nil, nil
}

func signatureCases(t testing.TB) []signatureVector {
	c := newCurve(t)
	a, r := c.scalar([]byte("a")), c.scalar([]byte("r"))
	zero := edwards25519.NewScalar()
	le := func(first byte, rest byte, last byte) []byte {
		b := bytes.Repeat([]byte{rest}, 32)
		b[0], b[31] = first, last
		return b
	}
	identity := le(1, 0, 0)
	identityPlusP := le(0xee, 0xff, 0x7f) // y = p+1, read modulo p
	identitySign := le(1, 0, 0x80)        // x = 0 with the sign of a negative x
	zeroPlusP := le(0xed, 0xff, 0x7f)     // y = p: a point of order 4
	order4 := -1                          // the multiple whose y is 0 and whose x's sign bit is 0
	for i, p := range c.torsion {
		if bytes.Equal(p.Bytes(), make([]byte, 32)) {
			order4 = i
		}
	}

	var cases []signatureVector
	add := func(valid, lax bool, name, why string, key, message, sig []byte) {
		cases = append(cases, signatureVector{name, why, hex.EncodeToString(key), hex.EncodeToString(message), hex.EncodeToString(sig), valid, lax})
	}
	forge := func(valid, lax bool, name, why string, f forgery) {
		key, message, sig := c.forge(f)
		add(valid, lax, name, why, key, message, sig)
	}

	for _, v := range rfc8032 {
		key := ed25519.NewKeyFromSeed(unhex(t, v.seed))
		add(true, true, "RFC 8032 "+v.name, "RFC 8032, 7.1", key.Public().(ed25519.PublicKey), unhex(t, v.message), unhex(t, v.signature))
	}

	// The cases of "Taming the many EdDSAs", 5.1, in its order (0 to 11).
	forge(false, true, "speccheck 0: small A and R, S = 0", "A is of small order: one signature for many messages", forgery{a: zero, r: zero, a8: 1, r8: 3, exact: true})
	forge(false, true, "speccheck 1: small A, mixed R", "A is of small order", forgery{a: zero, r: r, a8: 1, r8: 3, exact: true})
	forge(false, true, "speccheck 2: mixed A, small R", "A has a part of small order", forgery{a: a, r: zero, a8: 1, r8: 3, exact: true})
	forge(false, true, "speccheck 3: mixed A and R", "A has a part of small order", forgery{a: a, r: r, a8: 1, r8: 3, exact: true})
	forge(false, false, "speccheck 4: mixed A and R, cofactored", "holds only times 8", forgery{a: a, r: r, a8: 1, r8: 3})
	forge(false, false, "speccheck 5: mixed A, cofactored", "holds only times 8", forgery{a: a, r: r, a8: 1})
	key, message, sig := c.forge(forgery{a: a, r: r, exact: true})
	add(false, false, "speccheck 6: S + L", "S < L: else anyone makes a second signature", key, message, append(bytes.Clone(sig[:32]), plusL(sig[32:], 1)...))
	add(false, false, "speccheck 7: S + 14 L", "S < L, not only its high bits", key, message, append(bytes.Clone(sig[:32]), plusL(sig[32:], 14)...))
	forge(false, false, "speccheck 8: R not canonical, hashed as canonical", "R's bytes are compared; A is mixed too", forgery{a: a, r: zero, a8: 1, encR: identityPlusP, hashR: identity, exact: true})
	forge(false, false, "speccheck 9: R not canonical", "R's bytes are compared; A is mixed too", forgery{a: a, r: zero, a8: 1, encR: identityPlusP, exact: true})
	forge(false, false, "speccheck 10: A not canonical, hashed as canonical", "A is encoded as y = p", forgery{a: zero, r: r, a8: order4, encA: zeroPlusP, hashA: make([]byte, 32), exact: true})
	forge(false, true, "speccheck 11: A not canonical", "A is encoded as y = p", forgery{a: zero, r: r, a8: order4, encA: zeroPlusP, exact: true})

	// Each rule alone, with a key that is good where R or S is the fault.
	add(true, true, "good key, nothing wrong", "what the next cases spoil", key, message, sig)
	forge(true, true, "good key, R the identity", "A is good, and [S]B-[k]A is R to the byte: valid, odd as it is", forgery{a: a, r: zero, exact: true})
	forge(false, false, "good key, R = identity as y = p+1", "R's bytes are compared", forgery{a: a, r: zero, encR: identityPlusP, exact: true})
	forge(false, false, "good key, R = identity as y = p+1, hashed as canonical", "R's bytes are compared", forgery{a: a, r: zero, encR: identityPlusP, hashR: identity, exact: true})
	forge(false, false, "good key, R = identity with a sign", "R's bytes are compared", forgery{a: a, r: zero, encR: identitySign, exact: true})
	forge(false, false, "good key, mixed R", "holds only times 8", forgery{a: a, r: r, r8: 1})
	forge(false, false, "good key, R of order 2", "holds only times 8", forgery{a: a, r: zero, r8: 4})
	add(false, false, "good key, S = L", "S < L, and 0 is not written so", key, message, append(bytes.Clone(sig[:32]), groupOrder[:]...))
	add(false, false, "good key, S of all ones", "S < L", key, message, append(bytes.Clone(sig[:32]), bytes.Repeat([]byte{0xff}, 32)...))
	forge(false, true, "key mixed by order 8, R prime", "A has a part of small order, though k hides it", forgery{a: a, r: r, a8: 1, exact: true})
	forge(false, true, "key mixed by order 2, R prime", "A has a part of small order, though k hides it", forgery{a: a, r: r, a8: 4, exact: true})
	forge(false, true, "key the identity", "A is of small order: any R = [S]B signs anything", forgery{a: zero, r: r, exact: true})
	forge(false, true, "key the identity as y = p+1", "A is not canonical", forgery{a: zero, r: r, encA: identityPlusP, exact: true})
	forge(false, true, "key the identity with a sign", "A is not canonical", forgery{a: zero, r: r, encA: identitySign, exact: true})
	add(false, false, "key not on the curve", "no point has y = 2", le(2, 0, 0), message, sig)
	add(false, false, "another message", "k", key, append(bytes.Clone(message), '.'), sig)
	return cases
}

// Seeds, messages and signatures of RFC 8032, 7.1.
var rfc8032 = []struct{ name, seed, message, signature string }{
	{"test 1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
	{"test 2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
	{"test 3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	{"test SHA(abc)", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		"dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
}

func TestSignatureVectors(t *testing.T) {
	v := signatureVectors{
		Rule: "valid: the key is encoded canonically, not of small order and in the prime-order subgroup, S < L, and [S]B-[k]A encodes to exactly the bytes of R, k hashed over the bytes as sent. " +
			"The edge cases are those of \"Taming the many EdDSAs\" (Chalkias, Garillot, Nikolaenko, 2020), made anew, and each rule alone.",
		Cases: signatureCases(t),
	}
	for _, c := range v.Cases {
		key, message, sig := unhex(t, c.Key), unhex(t, c.Message), unhex(t, c.Signature)
		if got := comntr.Verify([32]byte(key), message, [64]byte(sig)); got != c.Valid {
			t.Errorf("%s: %v, want %v (%s)", c.Name, got, c.Valid, c.Why)
		}
		if got := ed25519.Verify(key, message, sig); got != c.Lax {
			t.Errorf("%s: crypto/ed25519 says %v, want %v: the case is not what it is called", c.Name, got, c.Lax)
		}
	}
	if !t.Failed() {
		checkVectors(t, "signatures.json", v)
	}
}

// Every encoding of the small-order points, and every non-canonical encoding of
// any point, is no key: y = p to 2^255-1, either sign.
func TestKeysThatMayNotSign(t *testing.T) {
	c := newCurve(t)
	for i, p := range c.torsion {
		if comntr.KeyMaySign([32]byte(p.Bytes())) {
			t.Errorf("small-order point %d may sign", i)
		}
		mixed := c.point(c.scalar([]byte("a")), i)
		if got := comntr.KeyMaySign([32]byte(mixed.Bytes())); got != (i == 0) {
			t.Errorf("a good key plus small-order point %d: may sign: %v", i, got)
		}
	}
	// -0: x = 0 with the sign of a negative x.
	for _, y := range []string{"01000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"} {
		for _, last := range []string{"80", "ff"} {
			if comntr.KeyMaySign([32]byte(unhex(t, y+last))) {
				t.Errorf("%s%s may sign", y, last)
			}
		}
	}
	decoded := 0
	for low := 0xed; low <= 0xff; low++ {
		for _, high := range []byte{0x7f, 0xff} {
			var key [32]byte
			for i := range key {
				key[i] = 0xff
			}
			key[0], key[31] = byte(low), high
			if _, err := new(edwards25519.Point).SetBytes(key[:]); err == nil {
				decoded++
			}
			if comntr.KeyMaySign(key) {
				t.Errorf("the non-canonical %x may sign", key)
			}
		}
	}
	if decoded == 0 {
		t.Error("no non-canonical encoding is decoded by the library: the test shows nothing")
	}
}

// On keys and signatures as honest software makes them the rule is RFC 8032's.
func TestVerifyAgreesWithStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var seed, message [32]byte
		for _, b := range [][]byte{seed[:], message[:]} {
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		}
		key := ed25519.NewKeyFromSeed(seed[:])
		pub := [32]byte(key.Public().(ed25519.PublicKey))
		msg := message[:random.IntN(len(message)+1)]
		sig := [64]byte(ed25519.Sign(key, msg))
		if !comntr.Verify(pub, msg, sig) {
			t.Fatalf("a good signature is refused: seed %x, message %x", seed, msg)
		}
		bad := sig
		bad[random.IntN(64)] ^= 1 << random.IntN(8)
		if comntr.Verify(pub, msg, bad) != ed25519.Verify(pub[:], msg, bad[:]) {
			t.Fatalf("another decision than crypto/ed25519: key %x, message %x, signature %x", pub, msg, bad)
		}
	}
}

// The keys that are remembered are bounded, whatever strangers send.
func TestKeyCacheIsBounded(t *testing.T) {
	var sig [64]byte
	for i := range uint32(comntr.KeyCacheMax + 100) {
		key := [32]byte{0: 2, 28: byte(i >> 16), 29: byte(i >> 8), 30: byte(i)}
		comntr.Verify(key, nil, sig)
	}
	if n := comntr.KeyCacheLen(); n > comntr.KeyCacheMax {
		t.Errorf("%d keys are remembered: at most %d may be", n, comntr.KeyCacheMax)
	}
}
