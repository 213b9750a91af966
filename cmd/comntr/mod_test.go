package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// TestManyDelegates: of a list with more delegates than are read the first
// count, and the reader is told which do not.
func TestManyDelegates(t *testing.T) {
	s := serve(t, t.TempDir())
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	pub := comntr.PublicKey(key)
	post := func(d comntr.Draft) {
		t.Helper()
		doc, err := d.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.client.Post(context.Background(), d.Place, doc.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	at := func(tag string) comntr.Place {
		return comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.ListTopic(pub, tag)}
	}
	// Each delegate would hide one comment; his list is the key's, too.
	topic := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}
	var tags []string
	for i := range maxLists + 1 {
		tags = append(tags, "tag "+strconv.Itoa(i))
	}
	slices.SortFunc(tags, func(a, b string) int { return comntr.ListTopic(pub, a).Compare(comntr.ListTopic(pub, b)) })
	for i, tag := range tags {
		post(comntr.Draft{Place: at("all"), Kind: comntr.KindDelegate, Tag: "all", Extra: []comntr.Header{{Name: "Target-Key", Value: hex.EncodeToString(pub[:])}, {Name: "Target-Tag", Value: tag}}})
		if i != 0 && i < maxLists-2 {
			continue // a list that nobody wrote in costs a request, too
		}
		text := []byte("comment " + strconv.Itoa(i))
		id, _, err := s.client.Post(context.Background(), topic, text)
		if err != nil {
			t.Fatal(err)
		}
		post(comntr.Draft{Place: at(tag), Kind: comntr.KindHide, Tag: tag, Target: id})
	}
	stdout, stderr, code := output(t, "", "get", "/r/news", "--server", s.http, "--filter", at("all").Topic.String())
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	// The owner's list is one of maxLists.
	for i, hidden := range map[int]bool{0: true, maxLists - 2: true, maxLists - 1: false, maxLists: false} {
		if got := !strings.Contains(stdout, "comment "+strconv.Itoa(i)+"\n"); got != hidden {
			t.Errorf("delegate %d hides: %v, want %v\n%s", i, got, hidden, stdout)
		}
	}
	if want := "not heard from " + at(tags[maxLists-1]).Topic.String() + " on"; !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("standard error has %q, want one line with %q", stderr, want)
	}
}

// fakeServer knows no topic, and answers the nth POST, from 0 on, as refuse
// says; where that is nil it takes it.
func fakeServer(t *testing.T, refuse func(n int) *comntr.Problem) (origin string, posts *atomic.Int32) {
	posts = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &comntr.Problem{Status: 404, Code: comntr.CodeNotFound}
		if r.Method == "POST" {
			p = refuse(int(posts.Add(1)) - 1)
		}
		if p == nil {
			b, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, comntr.SumHash(b).String())
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		json.NewEncoder(w).Encode(p)
	}))
	t.Cleanup(s.Close)
	return s.URL, posts
}

// newKey makes a config folder with a key in it.
func newKey(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if _, stderr, code := output(t, "", "key", "new"); code != 0 {
		t.Fatal(stderr)
	}
}

// TestModRefused: an act that is refused does not keep the others from being
// posted.
func TestModRefused(t *testing.T) {
	newKey(t)
	origin, posts := fakeServer(t, func(n int) *comntr.Problem {
		if n == 1 {
			return &comntr.Problem{Status: 409, Code: comntr.CodeSlotTaken, Detail: "the slot is taken"}
		}
		return nil
	})
	ids := []string{comntr.NameHash("a").String(), comntr.NameHash("b").String(), comntr.NameHash("c").String()}
	stdout, stderr, code := output(t, "", append([]string{"mod", "hide", "news", "--server", origin}, ids...)...)
	if code != exitFailed || posts.Load() != 3 {
		t.Errorf("exit %d after %d posts", code, posts.Load())
	}
	if strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, ids[0]) || !strings.Contains(stdout, ids[2]) {
		t.Errorf("printed %q", stdout)
	}
	for _, want := range []string{"hide " + ids[1] + ": ", "the slot is taken\n", "1 of 3 acts were refused\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
}

// TestModWaits: a server that always wants to be asked later is given up on.
func TestModWaits(t *testing.T) {
	newKey(t)
	for _, c := range []struct {
		name       string
		retryAfter int
		posts      int32
	}{
		{"for a moment, some times", 1, maxWaits + 1},
		{"too long", maxWait + 1, 1},
		{"no time said", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			origin, posts := fakeServer(t, func(int) *comntr.Problem {
				return &comntr.Problem{Status: 429, Code: comntr.CodeRateLimited, Detail: "too many posts", RetryAfter: c.retryAfter}
			})
			start := time.Now()
			_, stderr, code := output(t, "", "mod", "hide", "news", "--server", origin, comntr.NameHash("a").String())
			if code != exitFailed || posts.Load() != c.posts || !strings.Contains(stderr, "too many posts") {
				t.Errorf("exit %d after %d posts, not %d: %s", code, posts.Load(), c.posts, stderr)
			}
			if least := time.Duration(c.posts-1) * time.Second; time.Since(start) < least {
				t.Errorf("it asked again sooner than it was told to")
			}
		})
	}
}
