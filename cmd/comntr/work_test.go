package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/comntr/comntr"
)

// wanting is a server that wants work of each post, as many bits as want says
// of the work that it has, and takes none; asked counts the posts.
func wanting(t *testing.T, want func(has int) int) (url string, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		place := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}
		doc, err := comntr.ParseDocument(place, body)
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		json.NewEncoder(w).Encode(comntr.Problem{Code: comntr.CodeWorkNeeded, Detail: "so it is", Work: want(doc.Work())})
		asked.Add(1)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// What a server may make its client pay is bounded.
func TestPaymentsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  func(has int) int
		asked int32
		says  string
	}{
		{"more each time", func(has int) int { return has + 1 }, maxPayments + 1, "wanted more work each time that it was paid"},
		{"too much", func(int) int { return maxPaid + 1 }, 1, "wants 29 bits of work, and more than 28 are not paid: name another server by --server"},
		{"without end", func(int) int { return 1 << 40 }, 1, "wants 256 bits of work"},
		{"what it has", func(has int) int { return has }, 1, "refuses work that is what it asks for: so it is"},
		{"nothing", func(int) int { return 0 }, 1, "refuses work that is what it asks for: so it is"},
	} {
		url, asked := wanting(t, c.want)
		stdout, stderr, code := output(t, "", "post", "/r/news", "x", "--anonymous", "--server", url)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", c.name, code, stdout, stderr)
		}
		if n := asked.Load(); n != c.asked {
			t.Errorf("%s: posted %d times, not %d", c.name, n, c.asked)
		}
	}
}
