package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/web"
)

// pagePlace is where the comments of pageTopic stand.
var pagePlace = comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(pageTopic)}

// author writes with a key of his own.
type author struct {
	name string
	key  ed25519.PrivateKey
}

func newAuthor(t *testing.T, name string) author {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return author{name, key}
}

// says posts a signed comment to pageTopic, an answer if parent is not zero.
func (a author) says(s *server, text string, parent comntr.Hash) (comntr.Hash, error) {
	d := comntr.Draft{Place: pagePlace, Date: time.Now(), User: a.name, Name: pageTopic, Parent: parent, Body: []byte(text)}
	doc, err := d.Sign(a.key)
	if err != nil {
		return comntr.Hash{}, err
	}
	id, _, err := s.client.Post(context.Background(), pagePlace, doc.Bytes())
	return id, err
}

func (a author) mustSay(t *testing.T, s *server, text string) comntr.Hash {
	t.Helper()
	id, err := a.says(s, text, comntr.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// document is the one of pageTopic that says a text.
func (s *server) document(text string) (*comntr.Document, error) {
	f, err := s.client.Folder(context.Background(), pagePlace)
	if err != nil {
		return nil, err
	}
	for _, c := range f.Comments {
		b, err := s.client.Comment(context.Background(), pagePlace, c.ID)
		if err != nil {
			return nil, err
		}
		if bytes.HasSuffix(b, []byte("\n\n"+text)) {
			return comntr.ParseDocument(pagePlace, b)
		}
	}
	return nil, fmt.Errorf("none of the %d documents says %q", len(f.Comments), text)
}

// soon is an act that is tried until it succeeds: what a page shows it may still
// be sending.
func soon(act func(text string) (string, error)) func(string) (string, error) {
	return func(text string) (answer string, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = until(ctx, func() error {
			answer, err = act(text)
			return err
		})
		return answer, err
	}
}

// signed is an error unless a document says a text and has an author.
func (s *server) signed(text string) (string, error) {
	doc, err := s.document(text)
	if err != nil {
		return "", err
	}
	if !doc.Signed() {
		return "", fmt.Errorf("%q is not signed", text)
	}
	return doc.ID().String(), nil
}

// lacks is an error as long as a document says a text.
func (s *server) lacks(text string) (string, error) {
	if doc, err := s.document(text); err == nil {
		return "", fmt.Errorf("%s still says %q", doc.ID(), text)
	}
	return "", nil
}

// TestE2EPageNotSecure: a page at http:// and an address, where browsers keep
// half of what they can do to themselves, reads, posts, answers, votes, edits
// and deletes.
func TestE2EPageNotSecure(t *testing.T) {
	needsPage(t)
	var late running
	// The browser is told that this address of nobody (RFC 5737) is here.
	at := strings.Replace(proxy(t, httptest.NewServer, late.http, nil), "127.0.0.1", "192.0.2.1", 1)
	a := serve(t, t.TempDir(), "--public-url", at)
	late.Store(a)
	const text = "Posted from the command line."
	newAuthor(t, "Ann").mustSay(t, a, text)
	play(t, "states.mjs", "plain", facts{"site": at + "/", "text": text}, acts{"signed": soon(a.signed), "lacks": soon(a.lacks)})
}

// TestE2EPageOnOneServer: what two minutes later only one of two servers has is
// marked.
func TestE2EPageOnOneServer(t *testing.T) {
	needsPage(t)
	a, b := serve(t, t.TempDir()), serve(t, t.TempDir())
	const text = "On both."
	for s, texts := range map[*server][]string{a: {text, "Only on A."}, b: {text}} {
		for _, each := range texts {
			if _, _, err := s.client.Post(t.Context(), pagePlace, []byte(each)); err != nil {
				t.Fatal(err)
			}
		}
	}
	play(t, "states.mjs", "alone", facts{
		"site": site(t, httptest.NewServer, []string{a.http, b.http}, nil), "a": a.http, "b": b.http, "text": text,
	}, nil)
}

// TestE2EPageLateServer: what a server brings that answers long after another
// one is new, moves nothing, and is no reason to warn.
func TestE2EPageLateServer(t *testing.T) {
	needsPage(t)
	a, b := serve(t, t.TempDir()), serve(t, t.TempDir())
	const text = "On both."
	ann := newAuthor(t, "Ann")
	id := ann.mustSay(t, a, text)
	doc, err := a.client.Comment(t.Context(), pagePlace, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.client.Post(t.Context(), pagePlace, doc); err != nil {
		t.Fatal(err)
	}
	newAuthor(t, "Bob").mustSay(t, b, "Only on B.")
	// Who follows a server's events has all that it has.
	heard := make(chan struct{})
	var once sync.Once
	quick := proxy(t, func(next http.Handler) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				once.Do(func() { close(heard) })
			}
			next.ServeHTTP(w, r)
		}))
	}, func() string { return a.http }, nil)
	h := newHolder()
	h.hold()
	slow := proxy(t, func(next http.Handler) *httptest.Server { return httptest.NewServer(h.before(next, "")) }, func() string { return b.http }, nil)
	play(t, "states.mjs", "late", facts{
		"site": site(t, httptest.NewServer, []string{quick, slow}, nil), "a": quick, "b": slow, "text": text,
	}, acts{"heard": func(string) (string, error) { return "", awaited(heard) }, "late": func(string) (string, error) { h.free(); return "", nil }})
}

// awaited is an error if a channel is not closed soon.
func awaited(c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-time.After(time.Minute):
		return errors.New("it did not come")
	}
}

// holder keeps requests waiting.
type holder struct {
	mu    sync.Mutex
	gate  chan struct{} // closed: they pass
	first chan struct{} // closed when one waits
	once  sync.Once
}

func newHolder() *holder {
	open := make(chan struct{})
	close(open)
	return &holder{gate: open, first: make(chan struct{})}
}

func (h *holder) hold() { h.mu.Lock(); h.gate = make(chan struct{}); h.mu.Unlock() }
func (h *holder) free() { h.mu.Lock(); close(h.gate); h.mu.Unlock() }

// before holds the requests of a method, or all, before they reach a handler.
func (h *holder) before(next http.Handler, method string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method == "" || r.Method == method {
			h.mu.Lock()
			gate := h.gate
			h.mu.Unlock()
			select {
			case <-gate:
			default:
				h.once.Do(func() { close(h.first) })
				select {
				case <-gate:
				case <-r.Context().Done():
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// TestE2EPageModerated: a list that a moderator keeps by command hides a comment
// for a reader who chose it, and the reader can look at it all the same. He can
// mute a name, and learns whom to tell of a comment.
func TestE2EPageModerated(t *testing.T) {
	needsPage(t)
	const contact = "abuse@operator.example"
	a := serve(t, t.TempDir(), "--contact", "mailto:"+contact)
	const text = "Worth reading."
	newAuthor(t, "Ann").mustSay(t, a, text)
	spam := newAuthor(t, "Eve").mustSay(t, a, "Buy things.")
	newAuthor(t, "Mallory").mustSay(t, a, "Mute me.")
	newKey(t)
	play(t, "states.mjs", "moderated", facts{
		"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http, "text": text, "contact": contact,
	}, acts{
		"hide": func(string) (string, error) {
			if _, stderr, code := output(t, "", "mod", "hide", "news mods", "--server", a.http, "--allow-private", spam.String()); code != 0 {
				return "", fmt.Errorf("mod hide exits with %d: %s", code, stderr)
			}
			list, stderr, code := output(t, "", "mod", "new", "news mods")
			if code != 0 {
				return "", fmt.Errorf("mod new exits with %d: %s", code, stderr)
			}
			return pagePlace.Community.String() + "/" + strings.TrimSpace(list), nil
		},
	})
}

// TestE2EPageReplies: who is answered learns of it by the title, by a
// notification where he looks elsewhere, and in the list of topics; and that the
// page itself was replaced.
func TestE2EPageReplies(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "Posted before."
	bob := newAuthor(t, "Bob")
	bob.mustSay(t, a, text)
	answer := func(who author) func(string) (string, error) {
		return func(text string) (string, error) {
			asked, err := a.document("Who answers me?")
			if err != nil {
				return "", err
			}
			id, err := who.says(a, text, asked.ID())
			return id.String(), err
		}
	}
	var newer atomic.Bool
	pages := site(t, func(next http.Handler) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if newer.Load() && strings.HasSuffix(r.URL.Path, "/") {
				index, err := web.Page().Open("index.html")
				if err != nil {
					t.Error(err)
					return
				}
				defer index.Close()
				b, err := io.ReadAll(index)
				if err != nil {
					t.Error(err)
					return
				}
				w.Header().Set("Content-Type", "text/html")
				w.Write(bytes.ReplaceAll(b, []byte(scriptsFolder(t)), []byte("0123456789ab")))
				return
			}
			next.ServeHTTP(w, r)
		}))
	}, []string{a.http}, nil)
	play(t, "states.mjs", "replies", facts{"site": pages, "a": a.http, "text": text}, acts{
		"reply": answer(bob),
		"other": answer(newAuthor(t, "Cid")),
		"newer": func(string) (string, error) { newer.Store(true); return "", nil },
	})
}

// scriptsFolder is the folder of the page whose name follows from what is in it.
func scriptsFolder(t *testing.T) string {
	all, err := os.ReadDir(filepath.Join("..", "..", "web", "dist"))
	if err != nil {
		t.Error(err)
	}
	for _, each := range all {
		if each.IsDir() {
			return each.Name()
		}
	}
	t.Error("the page has no folder of scripts")
	return ""
}

// TestE2EPageWork: the page pays the work that a server asks for, shows how far
// it is where that takes long, and lets go of it.
func TestE2EPageWork(t *testing.T) {
	needsPage(t)
	const bits = 12
	for scenario, flag := range map[string]string{"work": fmt.Sprint(bits), "toil": fmt.Sprint(api.MaxMinWork)} {
		t.Run(scenario, func(t *testing.T) {
			a := serve(t, t.TempDir(), "--min-work", flag)
			play(t, "states.mjs", scenario, facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http}, acts{
				"paid": func(text string) (string, error) {
					doc, err := a.document(text)
					if err == nil && doc.Work() < bits {
						err = fmt.Errorf("%d bits were paid, not %d", doc.Work(), bits)
					}
					return "", err
				},
			})
		})
	}
}

// TestE2EPageRefused: what a server does not take stays where it was written,
// and the page says why; what it takes later is sent at a word.
func TestE2EPageRefused(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	list := filepath.Join(a.data, "deny.txt")
	play(t, "states.mjs", "refused", facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http}, acts{
		"deny": func(text string) (string, error) {
			doc, err := a.document(text)
			if err != nil {
				return "", err
			}
			key := doc.Key()
			if err := os.WriteFile(list, []byte("key "+hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
				return "", err
			}
			return soon(a.lacks)(text)
		},
		"allow": func(string) (string, error) { return "", os.Remove(list) },
		"has":   soon(a.signed),
	})
}

// TestE2EPageLimited: who posts too fast is told when to go on.
func TestE2EPageLimited(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir(), "--rate", "0.01")
	play(t, "states.mjs", "limited", facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http}, nil)
}

// TestE2EPageOffline: without a network the page shows what it has and keeps
// what is written; when the network is back it sends what was left.
func TestE2EPageOffline(t *testing.T) {
	needsPage(t)
	// What a browser is told of being offline does not hold for WebTransport.
	a := serve(t, t.TempDir(), "--webtransport-listen", "none")
	const text = "Posted before."
	newAuthor(t, "Ann").mustSay(t, a, text)
	play(t, "states.mjs", "offline", facts{
		"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http, "text": text,
	}, acts{"has": soon(a.signed), "lacks": soon(a.lacks)})
}

// TestE2EPageClosed: what is on its way when the page is closed is sent when it
// is opened again.
func TestE2EPageClosed(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "Posted before."
	newAuthor(t, "Ann").mustSay(t, a, text)
	h := newHolder()
	at := proxy(t, func(next http.Handler) *httptest.Server { return httptest.NewServer(h.before(next, http.MethodPost)) }, func() string { return a.http }, nil)
	play(t, "states.mjs", "closed", facts{
		"site": site(t, httptest.NewServer, []string{at}, nil), "a": at, "text": text,
	}, acts{
		"hold": func(string) (string, error) { h.hold(); return "", nil },
		"held": func(string) (string, error) {
			return "", awaited(h.first)
		},
		"free": func(string) (string, error) { h.free(); return "", nil },
		"has":  soon(a.signed),
	})
}

// TestE2EPageByKeyboard: all of the page is reached and operated by keys alone,
// and what is closed gives the focus back.
func TestE2EPageByKeyboard(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "The first."
	ann := newAuthor(t, "Ann")
	if _, err := newAuthor(t, "Bob").says(a, "An answer.", ann.mustSay(t, a, text)); err != nil {
		t.Fatal(err)
	}
	play(t, "states.mjs", "keyboard", facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http, "text": text}, nil)
}

// TestE2EPageCostly: a topic of many comments that each cost a lexer or a layout
// much is shown whole, under names that try to look like others, and the page
// goes on answering.
func TestE2EPageCostly(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	play(t, "states.mjs", "costly", facts{"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http}, acts{
		"say": func(said string) (string, error) {
			var c struct{ User, Text string }
			if err := json.Unmarshal([]byte(said), &c); err != nil {
				return "", err
			}
			id, err := newAuthor(t, c.User).says(a, c.Text, comntr.Hash{})
			return id.String(), err
		},
	})
}

// over is a file system before another one.
type over struct{ first, rest fs.FS }

func (o over) Open(name string) (fs.File, error) {
	if f, err := o.first.Open(name); err == nil && name != "." {
		return f, nil
	}
	return o.rest.Open(name)
}

// TestE2EPageScreens: the screens that the other tests do not come by, looked at
// by axe-core: servers that do not answer, active topics, search, no server.
func TestE2EPageScreens(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "A needle."
	newAuthor(t, "Ann").mustSay(t, a, text)
	away := nowhere(t)
	play(t, "states.mjs", "screens", facts{
		"site": site(t, httptest.NewServer, []string{a.http, away}, nil), "a": a.http, "b": away,
		"lonely": site(t, httptest.NewServer, nil, nil), "text": text,
	}, nil)
}
