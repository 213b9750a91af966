package main

import (
	"net/http/httptest"
	"testing"
)

// TestE2EPageLanguages: the page in German and in Arabic, each screen of it: no
// English word, from right to left where that is the way, accessible in both
// themes, no wider than a phone; and which language a reader gets.
func TestE2EPageLanguages(t *testing.T) {
	needsPage(t)
	for _, scenario := range []string{"german", "arabic", "chosen"} {
		t.Run(scenario, func(t *testing.T) {
			a := serve(t, t.TempDir())
			const text = "Posted from the command line."
			newAuthor(t, "Ann").mustSay(t, a, text)
			play(t, "languages.mjs", scenario, facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http, "text": text},
				acts{"signed": soon(a.signed)})
		})
	}
}
