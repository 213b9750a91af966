package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestUnsealVectors: a key's file that the page made is opened here, as one of
// age's own is; web/test/shown.test.ts opens the same files.
func TestUnsealVectors(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "sealed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Seed, Passphrase string
		Files            []struct{ By, File string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Files) < 2 {
		t.Fatal("vectors are missing")
	}
	for _, f := range v.Files {
		words, err := unseal([]byte(f.File), v.Passphrase)
		if err != nil {
			t.Errorf("made by %s: %v", f.By, err)
			continue
		}
		seed, err := seedOf(words)
		if got := hex.EncodeToString(seed); err != nil || got != v.Seed {
			t.Errorf("made by %s: %s (%v), want %s", f.By, got, err, v.Seed)
		}
		if _, err := unseal([]byte(f.File), v.Passphrase+"."); err == nil {
			t.Errorf("made by %s: another passphrase opens it", f.By)
		}
	}
}
