package main

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWorkLine(t *testing.T) {
	for _, c := range []struct {
		tried uint64
		want  string
	}{
		{0, "paying 18 bits of work [..............................]   0%"},
		{1 << 17, "paying 18 bits of work [###########...................]  39%"},
		{1 << 18, "paying 18 bits of work [##################............]  63%"},
		{1 << 20, "paying 18 bits of work [#############################.]  98%"},
		{math.MaxUint64, "paying 18 bits of work [##############################] 100%"},
	} {
		if got := workLine(18, c.tried); got != c.want {
			t.Errorf("after %d nonces: %q, want %q", c.tried, got, c.want)
		}
	}
}

// FuzzUnseal: a file that somebody sends in place of a key's is an error, and
// no more than that.
func FuzzUnseal(f *testing.F) {
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\n\n--- AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Contains(string(b), "-> scrypt") {
			return // seconds each
		}
		if !looksSealed(b) {
			return
		}
		if text, err := unseal(b, "x"); err == nil {
			t.Errorf("opened: %q", text)
		}
	})
}

func FuzzSeedOf(f *testing.F) {
	f.Add(strings.Repeat("abandon ", 23) + "art")
	f.Add(strings.Repeat("zoo ", 23) + "vote")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, words string) {
		seed, err := seedOf(words)
		if (err == nil) != (len(seed) == 32) {
			t.Fatalf("a seed of %d bytes, %v", len(seed), err)
		}
		if err != nil && !utf8.ValidString(err.Error()) {
			t.Fatal(err)
		}
	})
}
