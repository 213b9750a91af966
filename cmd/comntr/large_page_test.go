package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

const (
	// forestKeys is how many people write a forest.
	forestKeys = 200
	// forestSample is how many of its comments are compared letter by letter.
	forestSample = 200
)

// grown is a comment of a forest, as web/e2e/large.mjs reads it.
type grown struct {
	ID   comntr.Hash `json:"id"`
	Text string      `json:"text"`
	user string
}

// forest is a topic of n signed comments by forestKeys keys, half of them
// replies, down to some twenty levels, and what a test asks of it.
type forest struct {
	place    comntr.Place
	comments []grown // the oldest first
	docs     [][]byte
	replies  []int // below each, at any depth
	roots    []int
}

func growForest(t *testing.T, topic string, n int) *forest {
	t.Helper()
	f := &forest{place: comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(topic)}, replies: make([]int, n)}
	keys := make([]ed25519.PrivateKey, forestKeys)
	for i := range keys {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i)
		keys[i] = ed25519.NewKeyFromSeed(seed)
	}
	r := rand.New(rand.NewPCG(1, uint64(n)))
	start := time.Now().Add(-time.Duration(n) * time.Minute)
	parents := make([]int, n)
	for i := range n {
		who := i % len(keys)
		d := comntr.Draft{
			Place: f.place, Date: start.Add(time.Duration(i) * time.Minute), User: "Person " + strconv.Itoa(who), Name: topic,
			Body: fmt.Appendf(nil, "Comment %d says word%dz, and that %d is not %d.", i, i, r.IntN(1000), r.IntN(1000)),
		}
		parents[i] = -1
		if i > 0 && r.IntN(2) == 0 {
			// Mostly to one of the last hundred, so that it grows deep, too.
			parents[i] = max(0, i-1-r.IntN(min(i, 100)))
			d.Parent = f.comments[parents[i]].ID
		} else {
			f.roots = append(f.roots, i)
		}
		doc, err := d.Sign(keys[who])
		if err != nil {
			t.Fatal(err)
		}
		f.comments = append(f.comments, grown{ID: doc.ID(), Text: string(d.Body), user: d.User})
		f.docs = append(f.docs, doc.Bytes())
	}
	for i := n - 1; i >= 0; i-- {
		if p := parents[i]; p >= 0 {
			f.replies[p] += f.replies[i] + 1
		}
	}
	return f
}

// each is what postEach posts.
func (f *forest) each(i int) (comntr.Place, []byte) { return f.place, f.docs[i] }

// facts are what the scenario is told.
func (f *forest) facts() facts {
	// The branch that is collapsed: the largest.
	branch := slices.MaxFunc(f.roots, func(a, b int) int { return f.replies[a] - f.replies[b] })
	var sample []grown
	for i := range forestSample {
		sample = append(sample, f.comments[i*len(f.comments)/forestSample])
	}
	text, err := json.Marshal(map[string]any{
		"count": len(f.comments), "sample": sample,
		"branch": map[string]any{"id": f.comments[branch].ID, "replies": f.replies[branch]},
		"oldest": f.comments[0], "deep": f.comments[len(f.comments)/2],
	})
	if err != nil {
		panic(err) // of such values never
	}
	return facts{"forest": string(text)}
}

// TestE2EPageLarge: topics of 1,000 and of 20,000 comments are shown whole, can
// be collapsed, searched and linked into, and are there again when every server
// is gone.
func TestE2EPageLarge(t *testing.T) {
	needsPage(t)
	for _, n := range []int{1000, 20_000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			a := serve(t, t.TempDir())
			topic := "forest of " + strconv.Itoa(n)
			grove := growForest(t, topic, n)
			start := time.Now()
			postEach(t, a, len(grove.docs), grove.each)
			t.Logf("%d comments posted in %s", n, time.Since(start).Round(time.Millisecond))
			f := grove.facts()
			f["topic"], f["a"], f["session"] = topic, a.http, a.webTransport
			f["site"] = site(t, httptest.NewServer, []string{a.http}, nil)
			play(t, "large.mjs", "forest", f, acts{
				"kill": func(string) (string, error) { a.kill(); return "", nil },
			})
		})
	}
}

// roundTrip is what every answer is held back in TestE2EPageRoundTrips: more
// than a loaded machine takes to run the page between two requests.
const roundTrip = time.Second

// maxRoundTrips is how many requests may wait for one another until the first
// comment is shown, on a first visit to a page that its server gives: the
// document; what that names, config.json and all scripts; the topic's folder,
// for which is asked along with the server's hello. This is a gate: what makes
// it fewer lowers it.
const maxRoundTrips = 3

// TestE2EPageRoundTrips counts them, on the wire: a browser does not tell of all
// that its workers and its CORS checks ask for.
func TestE2EPageRoundTrips(t *testing.T) {
	needsPage(t)
	var late running
	far := &farAway{}
	at := proxy(t, func(h http.Handler) *httptest.Server { return httptest.NewServer(far.hold(h)) }, late.http, nil)
	a := serve(t, t.TempDir(), "--public-url", at)
	late.Store(a)
	const topic = "forest of 1000"
	grove := growForest(t, topic, 1000)
	postEach(t, a, len(grove.docs), grove.each)
	f := grove.facts()
	f["topic"], f["a"], f["site"] = topic, at, at+"/"
	play(t, "large.mjs", "first", f, acts{
		"shown": func(string) (string, error) {
			chain, all := far.chain(time.Now())
			t.Logf("%d round trips of: %s", chain, all)
			if chain > maxRoundTrips {
				t.Errorf("%d round trips before the first comment, of at most %d: %s", chain, maxRoundTrips, all)
			}
			return "", nil
		},
	})
}

// farAway holds each answer back, and remembers what was asked when.
type farAway struct {
	mu    sync.Mutex
	asked []exchange // in the order of the answers
}

type exchange struct {
	what     string
	from, to time.Time
}

func (f *farAway) hold(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := time.Now()
		select {
		case <-time.After(roundTrip):
		case <-r.Context().Done():
			return
		}
		f.mu.Lock()
		f.asked = append(f.asked, exchange{r.Method + " " + r.URL.Path, from, time.Now()})
		f.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// chain is the length of the longest row of requests of which each began when
// the one before was answered, among those answered by then, and says all of
// them. Answers are held back for so long that what waited for none of them was
// asked for meanwhile.
func (f *farAway) chain(then time.Time) (length int, all string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last, first time.Time
	var said []string
	for _, e := range f.asked {
		if e.to.After(then) {
			break
		}
		if length == 0 {
			first = e.from
		}
		if !e.from.Before(last) {
			length, last = length+1, e.to
		}
		said = append(said, fmt.Sprintf("%s (%d to %d ms)", e.what, e.from.Sub(first).Milliseconds(), e.to.Sub(first).Milliseconds()))
	}
	return length, strings.Join(said, ", ")
}
