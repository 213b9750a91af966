package main

import (
	"bytes"
	"io/fs"
	"os/exec"
	"testing"
	"time"

	"github.com/comntr/comntr/web"
)

// TestE2EPage: Chromium opens the page that a server gives, and a person reads,
// posts, answers, edits, deletes, votes and searches with it; web/e2e/page.mjs
// says how, and what must not be seen meanwhile.
func TestE2EPage(t *testing.T) {
	needsPage(t)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, t.TempDir(), "--tracker", "none")
	drive(t, 5*time.Minute, "e2e/page.mjs", s.http, chromium)
}

// The folder that make web makes finds servers as one that comntr page writes.
func TestPageConfig(t *testing.T) {
	want, err := (&pageCmd{}).config()
	if err != nil {
		t.Fatal(err)
	}
	got, err := fs.ReadFile(web.Page(), "config.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("web/config.json is\n%s\nnot\n%s", got, want)
	}
}
