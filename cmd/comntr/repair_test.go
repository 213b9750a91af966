package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// TestRepairHostile: a server that sends on and on, and never what is wanted, is
// left, though each of its answers would be borne with.
func TestRepairHostile(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for r.Context().Err() == nil {
			io.WriteString(w, ".")
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	}))
	defer s.Close()
	client, err := comntr.NewClient(s.URL, comntr.Guard{AllowPrivate: true}.HTTPClient())
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []int{1, repairWhole} {
		asked.Store(0)
		place := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}
		r := &repairs{
			e: &env{ctx: t.Context(), stdout: io.Discard, log: slog.New(slog.DiscardHandler)}, data: t.TempDir(), id: place.Community,
			patience: 100 * time.Millisecond, topics: []comntr.Place{place}, lost: map[comntr.Hash]map[comntr.Hash]*lostComment{place.Topic: {}}, count: lost,
		}
		for i := range lost {
			r.lost[place.Topic][comntr.NameHash(strings.Repeat("x", i))] = &lostComment{damage: true}
		}
		if _, err := r.ask(client); err == nil || !strings.Contains(err.Error(), "it brought nothing that is wanted for 100ms") {
			t.Errorf("%d lost: %v", lost, err)
		}
		if n := asked.Load(); n > 2 {
			t.Errorf("%d lost: it was asked %d times", lost, n)
		}
	}
}
