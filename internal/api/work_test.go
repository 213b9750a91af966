package api_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/store"
)

// postFrom posts a body to /r/news from an address of its own.
func postFrom(h http.Handler, addr int, body []byte) *http.Response {
	r := httptest.NewRequest("POST", "/"+news.String(), strings.NewReader(string(body)))
	r.RemoteAddr = fmt.Sprintf("[2001:db8:%x:%x::1]:4080", addr>>16, addr&0xffff)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// limitsOf are those of the server's hello.
func limitsOf(t *testing.T, h http.Handler, origin string) comntr.Limits {
	t.Helper()
	nonce := [32]byte{1}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", comntr.HelloPath+"?nonce="+hex.EncodeToString(nonce[:]), nil))
	hello, err := comntr.OpenHello(w.Body.Bytes(), nonce, origin, testHello().Expires.Add(-1))
	if err != nil {
		t.Fatal(err)
	}
	return hello.Limits
}

// What is held, or was, may be posted again by anybody.
func TestPostingAgainNeedsNoWork(t *testing.T) {
	m := newMemory("reddit")
	cfg := config(t, m)
	cfg.MinWork = 20
	h := api.New(cfg).Handler()
	add(t, m, "/r/news", "Cool!")
	if r := postFrom(h, 1, []byte("Cool!")); r.StatusCode != http.StatusOK {
		t.Errorf("held: %s", r.Status)
	}
	if p := wantProblem(t, postFrom(h, 1, []byte("Cool")), 422, comntr.CodeWorkNeeded); p.Work != 20 {
		t.Errorf("not held: %+v", p)
	}
	m.set(func() { m.gone, m.addErr = true, store.ErrGone })
	wantProblem(t, postFrom(h, 1, []byte("Was here")), http.StatusGone, comntr.CodeGone)
}

// From many addresses together posts come fast: then strangers pay, who are
// told how much, and what they pay is enough.
func TestFastPostsNeedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fast = 2 * 2 * 60 // posts: twice the rate, averaged over a minute
		m := newMemory("reddit")
		cfg := config(t, m)
		cfg.Rate, cfg.PublicURL = 2, "http://192.0.2.1:4080"
		h := api.New(cfg).Handler()
		for i := range 10 * fast { // adds nothing, counts for nothing
			postFrom(h, i, []byte("Cool!"))
		}
		if l := limitsOf(t, h, cfg.PublicURL); l.Work != 0 || l.NewWork != 0 || m.count() != 1 {
			t.Fatalf("%d stored, %+v", m.count(), l)
		}
		for i := range fast {
			if r := postFrom(h, i, fmt.Append(nil, i)); r.StatusCode != http.StatusCreated {
				t.Fatalf("post %d: %s", i, r.Status)
			}
		}
		if l := limitsOf(t, h, cfg.PublicURL); l.Work != 0 || l.NewWork != 16 {
			t.Fatalf("the hello says %+v", l)
		}
		p := wantProblem(t, postFrom(h, fast, []byte("plain")), 422, comntr.CodeWorkNeeded)
		if p.Work != 16 || !strings.Contains(p.Detail, "plain text has none") || !strings.Contains(p.Detail, "while they come as fast as now") {
			t.Errorf("plain text: %+v", p)
		}
		draft := comntr.Draft{Place: place, Body: []byte("signed")}
		doc, err := draft.Sign(seed)
		if err != nil {
			t.Fatal(err)
		}
		p = wantProblem(t, postFrom(h, fast, doc.Bytes()), 422, comntr.CodeWorkNeeded)
		if doc, err = draft.SignWithWork(t.Context(), seed, p.Work, nil); err != nil {
			t.Fatal(err)
		}
		if r := postFrom(h, fast, doc.Bytes()); r.StatusCode != http.StatusCreated {
			t.Errorf("paid: %s", r.Status)
		}
	})
}
