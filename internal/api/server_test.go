package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

var place = comntr.Place{Community: reddit, Topic: news}

func newClient(t testing.TB, addr string) *comntr.Client {
	t.Helper()
	c, err := comntr.NewClient("http://"+addr, client(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The protocol's own client finds everything as it expects it.
func TestClient(t *testing.T) {
	cfg := config(t, nil)
	addr := serve(t, api.New(cfg))
	c := newClient(t, addr)
	ctx := t.Context()

	h, err := c.Hello(ctx)
	if err != nil || h.Key != testHello().Key {
		t.Fatal(h, err)
	}

	listening, stop := context.WithCancel(ctx)
	defer stop()
	events := make(chan comntr.Event, 10000)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Events(listening, reddit, nil, "", func(e comntr.Event) error { events <- e; return nil })
	}()

	const n, posted = 4000, 200 // n make a HAMT
	var docs []*comntr.Document
	for i := posted; i < n; i++ {
		doc, err := comntr.ParseDocument(place, []byte(fmt.Sprint("comment ", i)))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	for _, r := range cfg.Communities[0].Store.(*store.Store).AddAll(ctx, docs, "") {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < posted; i += 16 {
				text := []byte(fmt.Sprint("comment ", i))
				id, created, err := c.Post(ctx, place, text)
				if err != nil || !created || id != comntr.SumHash(text) {
					t.Error(id, created, err)
				}
			}
		})
	}
	wg.Wait()
	root, err := c.Topic(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Folder(ctx, place)
	if err != nil || f.CID != root || len(f.Comments) != n {
		t.Fatalf("%v, %v", f, err)
	}
	b, err := c.Comment(ctx, place, f.Comments[0].ID)
	if err != nil || !bytes.Equal(b, f.Comments[0].Bytes) {
		t.Fatalf("%q, %v", b, err)
	}

	// All blocks, level by level.
	level, leaves := []cid.Cid{root}, 0
	for len(level) > 0 {
		var next []cid.Cid
		if err := c.Blocks(ctx, level, func(c cid.Cid, block []byte) error {
			node, err := comntr.ParseNode(block)
			if err != nil {
				leaves++
				return nil
			}
			for _, l := range node.Links {
				next = append(next, l.CID)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		level = next
	}
	if leaves != n {
		t.Errorf("%d leaves over /blocks", leaves)
	}

	// The folder's nodes alone, and the same with its leaves.
	for scope, want := range map[string]func(int) bool{
		"entity": func(n int) bool { return n > 200 && n < 1000 },
		"all":    func(got int) bool { return got > n },
		"block":  func(n int) bool { return n == 1 },
	} {
		r, err := client(t).Get(fmt.Sprintf("http://%s/ipfs/%s?format=car&dag-scope=%s", addr, root, scope))
		if err != nil {
			t.Fatal(err)
		}
		blocks := 0
		got, err := comntr.ReadCAR(r.Body, 1<<30, func(cid.Cid, []byte) error { blocks++; return nil })
		r.Body.Close()
		if err != nil || got != root || !want(blocks) {
			t.Errorf("%s: %d blocks, root %v, %v", scope, blocks, got, err)
		}
	}

	// The listener may have come late, but from its first event on misses nothing.
	last := comntr.NameHash("the last")
	if _, _, err := c.Post(ctx, place, []byte("the last")); err != nil {
		t.Fatal(err)
	}
	for got := 0; ; got++ {
		e := <-events
		if e.Topic != news {
			t.Fatal(e)
		}
		if e.Comment == last {
			break
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Who asks for a topic is told of, whether it is here or not; who posts, or
// asks for anything else, is not.
func TestWanted(t *testing.T) {
	m := newMemory("reddit")
	cfg := config(t, m)
	cfg.Communities = append(cfg.Communities, api.Community{ID: comntr.NameHash("other"), Store: m, Folders: m})
	var wanted []string
	cfg.Wanted = func(community, topic comntr.Hash) { wanted = append(wanted, "/"+community.String()+"/"+topic.String()) }
	addr := serve(t, api.New(cfg))
	here, absent := "/"+news.String(), "/"+comntr.NameHash("absent").String()
	other := "/" + comntr.NameHash("other").String()
	for _, tt := range []struct {
		method, path, accept string
		status               int
		want                 string // empty: nothing
	}{
		{"POST", here, "", 201, ""},
		{"GET", here, "", 200, "/" + reddit.String() + here},
		{"GET", here, "application/vnd.ipld.car", 200, "/" + reddit.String() + here},
		{"GET", absent, "", 404, "/" + reddit.String() + absent},
		{"GET", absent, "application/vnd.ipld.car", 404, "/" + reddit.String() + absent},
		{"GET", other + absent, "", 404, other + absent},
		{"GET", "/events?topic=" + absent[1:], "", 200, "/" + reddit.String() + absent},
		{"GET", other + "/events?topic=" + absent[1:], "", 200, other + absent},
		{"GET", "/events", "", 200, ""},
		{"GET", "/events?topic=nonsense", "", 400, ""},
		{"GET", "/", "", 200, ""},
		{"GET", here + absent, "", 404, ""},
		{"PUT", here, "", 405, ""},
	} {
		wanted = nil
		r, err := http.NewRequest(tt.method, "http://"+addr+tt.path, strings.NewReader("Cool!"))
		if err != nil {
			t.Fatal(err)
		}
		if tt.method != "POST" {
			r.Body, r.ContentLength = nil, 0
		}
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		answer, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != tt.status {
			t.Errorf("%s %s: %s", tt.method, tt.path, answer.Status)
		}
		if got := strings.Join(wanted, " "); got != tt.want {
			t.Errorf("%s %s: wanted %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestHelloOrigin(t *testing.T) {
	cfg := config(t, newMemory("reddit"))
	cfg.PublicAddrs = func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	}
	cfg.Port = 4081
	addr := serve(t, api.New(cfg))
	port := addr[strings.LastIndexByte(addr, ':'):]
	cfg.PublicURL = "https://example.org"
	proxied := serve(t, api.New(cfg))
	cfg.PublicURL, cfg.PublicAddrs = "", nil
	unknown := serve(t, api.New(cfg))
	for _, tt := range []struct{ addr, host, want string }{
		{addr, addr, "http://" + addr},
		{addr, "localhost" + port, "http://localhost" + port},
		{addr, "LocalHost" + port, "http://localhost" + port},
		{addr, "192.0.2.7:4081", "http://192.0.2.7:4081"},
		{addr, "[2001:db8::7]:4081", "http://[2001:db8::7]:4081"},
		{addr, "[2001:DB8:0::7]:4081", "http://[2001:db8::7]:4081"},
		// Not this server's, whatever the Host header says.
		{addr, "192.0.2.7" + port, "http://192.0.2.7:4081"},
		{addr, "192.0.2.66:4081", "http://192.0.2.7:4081"},
		{addr, "192.0.2.7", "http://192.0.2.7:4081"},
		{addr, "example.com", "http://192.0.2.7:4081"},
		{addr, "localhost", "http://192.0.2.7:4081"},
		{addr, "127.0.0.1:1", "http://192.0.2.7:4081"},
		{addr, "127.0.0.2" + port, "http://192.0.2.7:4081"},
		{addr, "", "http://192.0.2.7:4081"},
		{proxied, "example.org", "https://example.org:443"},
		{proxied, "example.org:443", "https://example.org:443"},
		{proxied, "EXAMPLE.org", "https://example.org:443"},
		{proxied, "192.0.2.7:4081", "http://192.0.2.7:4081"},
		{proxied, "example.com", "https://example.org:443"},
		{unknown, "example.com", "http://" + unknown},
	} {
		conn, err := net.Dial("tcp", tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		nonce := [32]byte{1, 2, 3}
		fmt.Fprintf(conn, "GET %s?nonce=%x HTTP/1.0\r\nHost: %s\r\n\r\n", comntr.HelloPath, nonce, tt.host)
		b, err := io.ReadAll(conn)
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		if !bytes.Contains(head, []byte("Content-Type: application/json\r\n")) || !bytes.Contains(head, []byte("Cache-Control: no-store\r\n")) {
			t.Errorf("%s: %s", tt.host, head)
		}
		if _, err := comntr.OpenHello(body, nonce, tt.want, time.Now()); err != nil {
			t.Errorf("Host: %s: want %s: %v", tt.host, tt.want, err)
		}
	}
}

func TestHelloThatCannotBeSigned(t *testing.T) {
	cfg := config(t, newMemory("reddit"))
	cfg.Hello = func() comntr.Hello { return comntr.Hello{} }
	cfg.Log = slog.New(slog.DiscardHandler)
	w := httptest.NewRecorder()
	api.New(cfg).Handler().ServeHTTP(w, httptest.NewRequest("GET", comntr.HelloPath+"?nonce="+strings.Repeat("00", 32), nil))
	wantProblem(t, w.Result(), 500, comntr.CodeInternal)
}

func wantProblem(t *testing.T, r *http.Response, status int, code string) *comntr.Problem {
	t.Helper()
	var p comntr.Problem
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		t.Fatalf("status %d: %v", r.StatusCode, err)
	}
	if r.StatusCode != status || p.Status != status || p.Code != code || p.Type != "about:blank" || p.Title == "" || p.Detail == "" ||
		r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %+v, want %d %s", r.StatusCode, r.Header, p, status, code)
	}
	return &p
}

// Every error that store and folders may answer, and what is said of it.
func TestProblems(t *testing.T) {
	gone := &ipfs.GoneError{Comments: []comntr.Hash{comntr.NameHash("a"), comntr.NameHash("b")}}
	for _, tt := range []struct {
		err    error
		status int
		code   string
		logged bool
	}{
		{store.ErrSlotTaken, 409, comntr.CodeSlotTaken, false},
		{store.ErrGone, 410, comntr.CodeGone, false},
		{gone, 410, comntr.CodeGone, false},
		{store.ErrFull, 507, comntr.CodeFull, false},
		{store.ErrStopping, 503, comntr.CodeStopping, false},
		{ipfs.ErrClosed, 503, comntr.CodeStopping, false},
		{store.ErrNotFound, 404, comntr.CodeNotFound, false},
		{ipfs.ErrNotHeld, 404, comntr.CodeNotFound, false},
		{ipfs.ErrNoTopic, 404, comntr.CodeNotFound, false},
		{ipfs.ErrTooLarge, 406, comntr.CodeNotAcceptable, false},
		{ipfs.ErrNotTopicFolder, 400, comntr.CodeBadRequest, false},
		{store.ErrDamaged, 500, comntr.CodeDamaged, true},
		{context.Canceled, 408, comntr.CodeTimeout, false},
		{context.DeadlineExceeded, 408, comntr.CodeTimeout, false},
		{errors.New("the password is 1234"), 500, comntr.CodeInternal, true},
	} {
		var log bytes.Buffer
		m := newMemory("reddit")
		m.addErr = fmt.Errorf("somewhere: %w", tt.err)
		cfg := config(t, m)
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		w := httptest.NewRecorder()
		api.New(cfg).Handler().ServeHTTP(w, httptest.NewRequest("POST", "/"+news.String(), strings.NewReader("x")))
		p := wantProblem(t, w.Result(), tt.status, tt.code)
		if logged := log.Len() > 0; logged != tt.logged {
			t.Errorf("%v: logged %q", tt.err, &log)
		}
		if strings.Contains(p.Detail, "1234") {
			t.Errorf("the detail tells too much: %s", p.Detail)
		}
		if tt.err == gone && !(strings.Contains(p.Detail, gone.Comments[0].String()) && strings.Contains(p.Detail, gone.Comments[1].String())) {
			t.Errorf("the detail does not name the comments: %s", p.Detail)
		}
	}
}

// What stands in the way of a CAR is said before its first byte; what comes up
// later cuts it, so that nobody takes a part for the whole.
func TestCARErrors(t *testing.T) {
	m := newMemory("reddit")
	addr := serve(t, api.New(config(t, m)))
	add(t, m, "/r/news", "Cool!")
	_, topics, _ := m.blocks()
	for _, url := range []string{
		"http://" + addr + "/" + news.String(),
		"http://" + addr + "/ipfs/" + topics[news].String() + "?format=car",
	} {
		for _, compressed := range []string{"identity", "gzip"} {
			get := func() (*http.Response, error) {
				req, err := http.NewRequest("GET", url, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", comntr.CARType)
				req.Header.Set("Accept-Encoding", compressed)
				return client(t).Do(req)
			}
			m.set(func() { m.carErr, m.carBytes = &ipfs.GoneError{Comments: []comntr.Hash{comntr.NameHash("Cool!")}}, 0 })
			r, err := get()
			if err != nil {
				t.Fatal(err)
			}
			p := wantProblem(t, r, http.StatusGone, comntr.CodeGone)
			r.Body.Close()
			if h := r.Header; h.Get("Etag") != "" || h.Get("Content-Encoding") != "" || h.Get("Content-Disposition") != "" || !strings.Contains(p.Detail, comntr.NameHash("Cool!").String()) {
				t.Errorf("%v %+v", h, p)
			}
			m.set(func() { m.carBytes = 1 << 20 })
			if r, err = get(); err == nil {
				_, err = io.ReadAll(r.Body)
				r.Body.Close()
			}
			if err == nil {
				t.Errorf("%s, %s: a cut CAR looks whole", url, compressed)
			}
		}
	}
}

func TestCompressedCAR(t *testing.T) {
	m := newMemory("reddit")
	addr := serve(t, api.New(config(t, m)))
	for i := range 100 {
		add(t, m, "/r/news", strings.Repeat(fmt.Sprint("comment ", i), 100))
	}
	var plain []byte
	for i := range 3 { // writers are used again
		for _, encoding := range []string{"identity", "gzip, br"} {
			req, err := http.NewRequest("GET", "http://"+addr+"/"+news.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", comntr.CARType)
			req.Header.Set("Accept-Encoding", encoding)
			r, err := client(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(r.Header.Get("Etag"), "W/") || r.Header.Get("Vary") != "Accept, Accept-Encoding" {
				t.Error(r.Header)
			}
			if encoding == "identity" {
				plain = b
				continue
			}
			if r.Header.Get("Content-Encoding") != "gzip" || len(b) > len(plain)/2 {
				t.Fatalf("%v, %d of %d bytes", r.Header, len(b), len(plain))
			}
			gz, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(gz); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("round %d: %d bytes, %v", i, len(got), err)
			}
		}
	}
}

// POST /blocks ends where the next block would be too much.
func TestBlocksAreBounded(t *testing.T) {
	m := newMemory("reddit")
	addr := serve(t, api.New(config(t, m)))
	var list strings.Builder
	for i := range 80 {
		text := fmt.Sprintf("%03d", i) + strings.Repeat("a", comntr.MaxDocument-3)
		add(t, m, "/r/news", text)
		fmt.Fprintln(&list, comntr.Version(0).LeafCID([]byte(text)))
	}
	r, err := client(t).Post("http://"+addr+"/blocks", "text/plain", strings.NewReader(list.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	total, blocks := 0, 0
	if _, err := comntr.ReadCAR(r.Body, 1<<30, func(_ cid.Cid, b []byte) error { total += len(b); blocks++; return nil }); err != nil {
		t.Fatal(err)
	}
	if total > comntr.MaxBlocksAnswer || total < comntr.MaxBlocksAnswer-comntr.MaxLeaf {
		t.Errorf("%d bytes in %d blocks", total, blocks)
	}
}

// A block that cannot be read is this server's fault, and said to be.
// TestConfining: without a connection of its own, too, an answer has the fields of
// its kind. (TestHTTP has them over HTTP.)
func TestConfining(t *testing.T) {
	h := api.New(config(t, nil)).Handler()
	topic := "/" + news.String()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", topic, strings.NewReader("Cool!")))
	comment := w.Header().Get("Location")
	for _, tt := range []struct {
		method, path string
		status       int
		confined     bool
	}{{"POST", topic, 200, false}, {"GET", topic, 200, false}, {"GET", "/", 200, false}, {"GET", comment, 200, true}, {"GET", "/none", 400, true}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader("Cool!")))
		got := w.Header()
		if w.Code != tt.status || got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, w.Code, got)
		}
		for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Resource-Policy", "Referrer-Policy"} {
			if (got.Get(name) != "") != tt.confined {
				t.Errorf("%s %s: %s: %q", tt.method, tt.path, name, got.Get(name))
			}
		}
	}
}

func TestBlockErrors(t *testing.T) {
	m := newMemory("reddit")
	cfg := config(t, m)
	cfg.Log = slog.New(slog.DiscardHandler)
	h := api.New(cfg).Handler()
	c := "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{{errors.New("read: input/output error"), 500, comntr.CodeInternal}, {&ipfs.GoneError{Comments: []comntr.Hash{news}}, 410, comntr.CodeGone}} {
		m.set(func() { m.blockErr = tt.err })
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/ipfs/"+c+"?format=raw", nil))
		wantProblem(t, w.Result(), tt.status, tt.code)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/blocks", strings.NewReader(c)))
		if tt.status == 410 { // of several blocks a removed one is only missing
			if w.Code != http.StatusOK {
				t.Error(w.Code)
			}
			continue
		}
		wantProblem(t, w.Result(), tt.status, tt.code)
	}
}

func TestPanic(t *testing.T) {
	m := newMemory("reddit")
	var log bytes.Buffer
	cfg := config(t, m)
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	addr := serve(t, api.New(cfg))
	m.set(func() { m.rootFn = func() { panic("oops") } })
	r, err := client(t).Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	p := wantProblem(t, r, http.StatusInternalServerError, comntr.CodeInternal)
	r.Body.Close()
	if strings.Contains(p.Detail, "oops") || !strings.Contains(log.String(), "oops") {
		t.Errorf("detail %q, log %q", p.Detail, &log)
	}
	m.set(func() { m.rootFn = nil })
	if r, err = client(t).Get("http://" + addr + "/"); err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	r.Body.Close()
}

// Shutdown ends the streams, and does not wait for them.
func TestShutdown(t *testing.T) {
	m := newMemory("reddit")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := api.New(config(t, m))
	s := a.Server()
	done := make(chan error, 1)
	go func() { done <- s.Serve(a.Listener(l)) }()
	r, err := client(t).Get("http://" + l.Addr().String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err != nil || !strings.HasPrefix(string(b), "retry: 3000\n") {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	cfg := config(t, newMemory("reddit"))
	cfg.Rate = 1
	addr := serve(t, api.New(cfg))
	hello := func(c net.Conn) (*http.Response, error) {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		return readResponse(b[:n])
	}
	var conns []net.Conn
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		return c
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 64 {
		if r, err := hello(dial()); err != nil || r.StatusCode != http.StatusOK {
			t.Fatal(r, err)
		}
	}
	extra := dial() // reads what it is told, without having asked
	b, err := io.ReadAll(extra)
	if err != nil {
		t.Fatal(err)
	}
	r, err := readResponse(b)
	if err != nil {
		t.Fatal(err)
	}
	var p comntr.Problem
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil || r.StatusCode != http.StatusServiceUnavailable || p.Code != comntr.CodeBusy || r.Header.Get("Retry-After") == "" {
		t.Errorf("%s, %+v, %v", r.Status, p, err)
	}
	conns[0].Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		r, err := hello(dial())
		if err == nil && r.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a closed connection gives no place:", r, err)
		}
	}
}

func TestRateZeroLiftsConnections(t *testing.T) {
	addr := serve(t, api.New(config(t, newMemory("reddit"))))
	for range 100 {
		r, err := client(t).Get("http://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
	}
}

// The page's own policy holds for each of its files: a worker takes the one
// that its script comes with. The page that is built says the same to hosts that
// send no headers.
func TestPage(t *testing.T) {
	h := api.New(config(t, newMemory("reddit"))).Handler()
	for path, accept := range map[string]string{"/": "text/html,application/xhtml+xml,*/*;q=0.8", "/abc/main.js": "*/*", "/abc/page.css": "text/css"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "require-trusted-types-for 'script'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		if w.Code != http.StatusOK || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Vary") == "" {
			t.Error(path, w.Code, w.Header())
		}
		plain := w.Body.String()
		w = httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", "gzip, br")
		h.ServeHTTP(w, r)
		gz, err := gzip.NewReader(w.Body)
		if err != nil || w.Header().Get("Content-Encoding") != "gzip" {
			t.Fatal(path, err, w.Header())
		}
		if b, err := io.ReadAll(gz); err != nil || string(b) != plain {
			t.Errorf("%s: %q compressed is %q, %v", path, plain, b, err)
		}
	}
}

// Readers, writers and listeners at once: what was acknowledged is in the
// folder that is answered afterwards.
func TestConcurrently(t *testing.T) {
	a := api.New(config(t, nil))
	addr := serve(t, a)
	c := newClient(t, addr)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg, listeners sync.WaitGroup
	for range 4 {
		listeners.Go(func() {
			err := c.Events(ctx, reddit, nil, "", func(comntr.Event) error { return nil })
			if !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
		})
	}
	for w := range 8 {
		wg.Go(func() {
			p := comntr.Place{Community: reddit, Topic: comntr.NameHash(fmt.Sprint("topic ", w%3))}
			for i := range 20 {
				text := []byte(fmt.Sprint(w, " ", i))
				id, _, err := c.Post(t.Context(), p, text)
				if err != nil {
					t.Error(err)
					return
				}
				f, err := c.Folder(t.Context(), p)
				if err != nil {
					t.Error(err)
					return
				}
				found := false
				for _, file := range f.Comments {
					found = found || file.ID == id
				}
				if !found {
					t.Errorf("%s was acknowledged, but is not in %s", id, f.CID)
				}
				if _, err := c.Root(t.Context(), reddit); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	listeners.Wait()
}

func benchmark(b *testing.B, h http.Handler, headers http.Header, status int) {
	r := httptest.NewRequest("GET", "/"+reddit.String()+"/"+news.String(), nil)
	r.Header = headers
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkID(b *testing.B) {
	h := api.New(config(b, nil)).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/"+news.String(), strings.NewReader("Cool!")))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/"+news.String(), nil))
	id, tag := w.Body.Bytes(), w.Header().Get("Etag")
	b.Run("bare", func(b *testing.B) {
		benchmark(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(id) }), nil, http.StatusOK)
	})
	b.Run("unchanged", func(b *testing.B) { benchmark(b, h, nil, http.StatusOK) })
	b.Run("not-modified", func(b *testing.B) {
		benchmark(b, h, http.Header{"If-None-Match": {tag}}, http.StatusNotModified)
	})
}

// BenchmarkTCP is BenchmarkID over connections that are kept.
func BenchmarkTCP(b *testing.B) {
	run := func(b *testing.B, addr, headers string) {
		b.SetParallelism(32)
		request := []byte("GET /" + reddit.String() + "/" + news.String() + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n")
		b.RunParallel(func(pb *testing.PB) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			buf := make([]byte, 4096)
			for pb.Next() {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if n, err := conn.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 ")) {
					b.Error(err)
					return
				}
			}
		})
	}
	a := api.New(config(b, nil))
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/"+news.String(), strings.NewReader("Cool!")))
	w = httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/"+news.String(), nil))
	addr := serve(b, a)
	bare := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.Write(w.Body.Bytes()) }))
	b.Cleanup(bare.Close)
	b.Run("bare", func(b *testing.B) { run(b, bare.Listener.Addr().String(), "") })
	b.Run("unchanged", func(b *testing.B) { run(b, addr, "") })
	b.Run("not-modified", func(b *testing.B) { run(b, addr, "If-None-Match: "+w.Header().Get("Etag")+"\r\n") })
}

// A folder that a peer made up never ends, or contains itself: the CAR of its
// nodes does.
func TestEndlessFolder(t *testing.T) {
	shard := func(children int, child func(i int) cid.Cid) []byte {
		n := comntr.Node{Shard: true}
		for i := range children {
			n.Links = append(n.Links, comntr.Link{Index: uint8(i), Child: true, CID: child(i)})
		}
		return n.Encode()
	}
	m := newMemory("reddit")
	cfg := config(t, m)
	cfg.Log = slog.New(slog.DiscardHandler)
	addr := serve(t, api.New(cfg))
	root := comntr.Version(0).FolderCID([]byte("root"))
	made := 0
	get := func(fn func(cid.Cid) []byte) (blocks int, err error) {
		m.set(func() { m.blockFn = fn })
		r, err := client(t).Get("http://" + addr + "/ipfs/" + root.String() + "?format=car&dag-scope=entity")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		n, err := io.Copy(io.Discard, r.Body)
		return int(n), err
	}
	if n, err := get(func(cid.Cid) []byte { return shard(256, func(int) cid.Cid { return root }) }); err != nil || n > 1<<20 {
		t.Errorf("a folder that contains itself: %d bytes, %v", n, err)
	}
	depth := map[cid.Cid]int{}
	if n, err := get(func(c cid.Cid) []byte {
		children := 256
		if depth[c] > 1 {
			children = 1
		}
		return shard(children, func(int) cid.Cid {
			made++
			child := comntr.Version(0).FolderCID(fmt.Append(nil, made))
			depth[child] = depth[c] + 1
			return child
		})
	}); err == nil {
		t.Errorf("an endless folder ended after %d bytes", n)
	}
	if made > 2*65536 {
		t.Errorf("%d nodes were named", made)
	}
}

// An answer over a connection, whose fields are not all in net/http's map, has
// those of an answer that a handler makes elsewhere, once each.
func TestFieldsOfConnections(t *testing.T) {
	m := newMemory("reddit")
	a := api.New(config(t, m))
	addr := serve(t, a)
	id := add(t, m, "/r/news", "Cool!")
	_, topics, _ := m.blocks()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for _, tt := range []struct {
		method, path, field string
		status              int
	}{
		{"GET", "/", "Accept: text/plain", 200},
		{"GET", "/", "Accept: text/html", 200},
		{"GET", "/" + reddit.String(), "", 200},
		{"GET", "/" + news.String(), "", 200},
		{"HEAD", "/" + news.String(), "", 200},
		{"GET", "/" + news.String(), `If-None-Match: "` + topics[news].String() + `"`, 304},
		{"HEAD", "/" + news.String(), `If-None-Match: W/"` + topics[news].String() + `"`, 304},
		{"GET", "/" + news.String(), `If-None-Match: "x"`, 200},
		{"GET", "/" + news.String(), "Accept: image/png", 406},
		{"GET", "/" + news.String(), "Accept: " + comntr.CARType, 200},
		{"GET", "/" + comntr.NameHash("none").String(), "", 404},
		{"GET", "/" + news.String() + "/" + id.String(), "", 200},
		{"GET", "/x", "", 400},
		{"OPTIONS", "/" + news.String(), "", 204},
		{"DELETE", "/" + news.String(), "", 405},
		{"POST", "/" + news.String(), "Content-Length: 0", 422},
		{"POST", "/" + news.String(), "Content-Length: 5\r\nExpect: 100-continue", 201},
		{"GET", "/" + news.String(), "", 200},
	} {
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", tt.method, tt.path, tt.field)
		if tt.field == "" {
			request = fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n\r\n", tt.method, tt.path)
		}
		if tt.status == 201 {
			request += "Cool?"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = conn.LocalAddr().String()
		fmt.Fprint(conn, request)
		got, err := http.ReadResponse(br, r)
		if err == nil && got.StatusCode == http.StatusContinue {
			if len(got.Header) > 0 {
				t.Errorf("100 Continue has fields: %v", got.Header)
			}
			got, err = http.ReadResponse(br, r)
		}
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		want := w.Result().Header
		got.Header.Del("Date")
		if got.ContentLength >= 0 && tt.status != 304 { // net/http sets it by itself where a body is short
			want.Set("Content-Length", strconv.Itoa(int(got.ContentLength)))
			got.Header.Set("Content-Length", strconv.Itoa(int(got.ContentLength)))
		}
		if tt.status != 201 { // the second is no new one
			if got.StatusCode != tt.status || w.Code != tt.status {
				t.Errorf("%s: %d, and %d, want %d", request, got.StatusCode, w.Code, tt.status)
			}
			if tt.method != "HEAD" && !bytes.Equal(body, w.Body.Bytes()) {
				t.Errorf("%s: %q, and %q", request, body, w.Body)
			}
		}
		if !reflect.DeepEqual(got.Header, want) {
			t.Errorf("%s:\n %v\n %v", request, got.Header, want)
		}
	}
}

// What net/http refuses by itself is a problem document too, on a connection's
// first request and later; and no comment can pass for such a refusal.
func TestRefusalsOfNetHTTP(t *testing.T) {
	m := newMemory("reddit")
	addr := serve(t, api.New(config(t, m)))
	fake := "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	texts := []string{fake}
	for i := range 64 { // so that a copy begins wherever one write may end
		texts = append(texts, strings.Repeat("a", i)+strings.Repeat(fake, 500))
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for _, text := range texts {
		id := add(t, m, "/r/news", text)
		fmt.Fprintf(conn, "GET /%s/%s HTTP/1.1\r\nHost: x\r\n\r\n", news, id)
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != text {
			t.Fatalf("%d of %d bytes, %v", len(b), len(text), err)
		}
	}
	fmt.Fprint(conn, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r, http.StatusBadRequest, comntr.CodeBadRequest)
}
