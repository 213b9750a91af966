package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"
)

// The embedded tracker is on, and named in the hello, unless it is turned off.
func TestEmbeddedTracker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		flags  []string
		status int // of a GET that opens no WebSocket
		want   []string
	}{
		{"http", []string{"--public-url", "http://192.0.2.1:8080"}, http.StatusUpgradeRequired, []string{"ws://192.0.2.1:8080/announce"}},
		{"https", []string{"--public-url", "https://comments.example"}, http.StatusUpgradeRequired, []string{"wss://comments.example:443/announce"}},
		{"off", []string{"--public-url", "http://192.0.2.1:8080", "--no-embedded-tracker"}, http.StatusNotFound, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, filepath.Join(t.TempDir(), "data"), tt.flags...)
			defer s.kill()
			h, err := s.client.HelloAny(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.Trackers, tt.want) {
				t.Errorf("trackers %q; want %q", h.Trackers, tt.want)
			}
			r, err := http.Get(s.client.Origin() + "/announce")
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != tt.status {
				t.Errorf("GET /announce: %s", r.Status)
			}
		})
	}
}
