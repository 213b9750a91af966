package discover_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// server answers hellos over real HTTP; tests make it lie.
type server struct {
	key    ed25519.PrivateKey
	hello  comntr.Hello
	origin string // it signs for
	asked  atomic.Int64
	http   *httptest.Server
}

func serve(t *testing.T, handler func(s *server, w http.ResponseWriter, r *http.Request)) *server {
	pub, priv, _ := ed25519.GenerateKey(nil)
	s := &server{key: priv}
	s.hello = comntr.Hello{
		Protocol: comntr.ProtocolVersion, Software: "test/1", Key: hex.EncodeToString(pub), PeerID: comntr.PeerID(pub),
		Expires: time.Now().Add(time.Hour), Communities: []comntr.Hash{reddit},
	}
	if handler == nil {
		handler = (*server).answer
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		handler(s, w, r)
	}))
	s.origin = "http://" + s.http.Listener.Addr().String()
	s.http.Start()
	t.Cleanup(func() { s.http.CloseClientConnections(); s.http.Close() })
	return s
}

func (s *server) addr() netip.AddrPort {
	return netip.MustParseAddrPort(s.http.Listener.Addr().String())
}

func (s *server) url() string { return "http://" + s.addr().String() }

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	var nonce [32]byte
	hex.Decode(nonce[:], []byte(r.URL.Query().Get("nonce")))
	b, err := comntr.SignHello(s.key, s.hello, nonce, s.origin)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

// liars are servers whose hello must not count, each in its own way.
func liars(t *testing.T) map[string]*server {
	honest := serve(t, nil)
	return map[string]*server{
		"signs for another origin": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			s.origin = "http://192.0.2.1:80"
			s.answer(w, r)
		}),
		"passes on another's hello": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) { honest.answer(w, r) }),
		"claims another's key": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			s.answer(rec, r)
			var e map[string]string
			json.Unmarshal(rec.Body.Bytes(), &e)
			e["hello"] = strings.ReplaceAll(e["hello"], s.hello.Key, honest.hello.Key)
			json.NewEncoder(w).Encode(e)
		}),
		"repeats an old answer": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = "nonce=" + strings.Repeat("00", 32)
			s.answer(w, r)
		}),
		"redirects": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, honest.url()+r.URL.String(), http.StatusFound)
		}),
		"expired": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			s.hello.Expires = time.Now().Add(-time.Minute)
			s.answer(w, r)
		}),
		"another community": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			s.hello.Communities = []comntr.Hash{comntr.NameHash("another")}
			s.answer(w, r)
		}),
		"endless": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}),
		"nonsense": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }),
		"an error": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) }),
		"hangs up": serve(t, func(s *server, w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }),
	}
}

// addresses is a DHT that names them.
type addresses []netip.AddrPort

func (a addresses) Lookup(_ context.Context, _ comntr.Hash, fn func(netip.AddrPort)) error {
	for _, ap := range a {
		fn(ap)
	}
	return nil
}

var allowPrivate = comntr.Guard{AllowPrivate: true}

func TestLiarsNeverBecomeServers(t *testing.T) {
	t.Parallel()
	good := serve(t, nil)
	byName := liars(t)
	var named addresses
	for _, l := range byName {
		named = append(named, l.addr())
	}
	named = append(named, good.addr())
	book := discover.NewBook(discover.BookConfig{Communities: []comntr.Hash{reddit}, Guard: allowPrivate})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); book.Run(ctx, named) }()
	defer func() { cancel(); <-done }()
	eventually(t, "all asked", func() bool {
		for _, l := range byName {
			if l.asked.Load() == 0 {
				return false
			}
		}
		return len(book.Servers(reddit)) > 0
	})
	if got := book.Servers(reddit); len(got) != 1 || got[0].Origin != good.url() || got[0].Key != good.hello.Key {
		t.Errorf("servers %+v", got)
	}
	var found []string
	for s := range discover.Find(t.Context(), named, reddit, allowPrivate) {
		found = append(found, s.Origin)
	}
	if !slices.Equal(found, []string{good.url()}) {
		t.Errorf("Find found %v", found)
	}
}

// The guard judges what is dialled, whatever looks up.
func TestGuardedDials(t *testing.T) {
	t.Parallel()
	good := serve(t, nil)
	for s := range discover.Find(t.Context(), addresses{good.addr()}, reddit, comntr.Guard{}) {
		t.Errorf("found %v", s.Origin)
	}
	if good.asked.Load() > 0 {
		t.Error("a private address that a stranger named was dialled")
	}
}

// An address that a person named may be private, and go by another origin.
func TestNamedServerBehindAProxy(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.origin = "http://192.0.2.1:80"
	book := discover.NewBook(discover.BookConfig{Communities: []comntr.Hash{reddit}, Named: []string{s.url()}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); book.Run(ctx, addresses{}) }()
	defer func() { cancel(); <-done }()
	eventually(t, "found", func() bool { return len(book.Servers(reddit)) == 1 })
	if got := book.Servers(reddit)[0]; got.Origin != s.url() || !got.Named {
		t.Errorf("server %+v", got)
	}
}

func TestFindStopsWhenAsked(t *testing.T) {
	t.Parallel()
	stall := serve(t, func(_ *server, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var named addresses
	for range 5 {
		named = append(named, serve(t, nil).addr())
	}
	named = append(named, stall.addr())
	began := time.Now()
	for range discover.Find(t.Context(), named, reddit, allowPrivate) {
		break
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for s := range discover.Find(ctx, named, reddit, allowPrivate) {
		t.Errorf("found %v after the end", s.Origin)
	}
}

// All of it: servers announce on a private DHT; a book and a client that know
// only a node of it and the community's name find them.
func TestBookOverTheDHT(t *testing.T) {
	t.Parallel()
	boot := start(t, discover.DHTConfig{})
	var books []*discover.Book
	var servers []*server
	ctx, cancel := context.WithCancel(t.Context())
	var running []chan struct{}
	defer func() {
		cancel()
		for _, done := range running {
			<-done
		}
	}()
	for range 3 {
		s := serve(t, nil)
		d := start(t, discover.DHTConfig{}, boot)
		d.Announce(reddit, int(s.addr().Port()))
		b := discover.NewBook(discover.BookConfig{Communities: []comntr.Hash{reddit}, SelfKey: s.hello.Key, Guard: allowPrivate, Interval: time.Second})
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx, d) }()
		running = append(running, done)
		servers, books = append(servers, s), append(books, b)
	}
	began := time.Now()
	for i, b := range books {
		eventually(t, "two others found", func() bool { return len(b.Servers(reddit)) == 2 })
		for _, s := range b.Servers(reddit) {
			if s.Key == servers[i].hello.Key {
				t.Error("found itself")
			}
		}
	}
	t.Logf("all found each other after %v", time.Since(began).Round(time.Millisecond))
	client, err := discover.NewDHT(discover.DHTConfig{
		Listen: "127.0.0.1:0", Passive: true, Guard: allowPrivate, Bootstrap: []string{boot.Addr().String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	began = time.Now()
	n := 0
	for range discover.Find(t.Context(), client, reddit, allowPrivate) {
		if n++; n == 1 {
			t.Logf("a client found its first after %v", time.Since(began).Round(time.Millisecond))
		}
	}
	if n != 3 {
		t.Errorf("a client found %d", n)
	}
}
