package comntr_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// serve starts a server on loopback and returns a client of it.
func serve(t testing.TB, h http.HandlerFunc) *comntr.Client {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return must(comntr.NewClient(s.URL, s.Client()))
}

// answer is a handler that answers everything with body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const emptyV0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"

// What the client sends is what SPEC.md says: method, path as sent, headers.
func TestClientRequests(t *testing.T) {
	cool := []byte("Cool!")
	var last *http.Request
	var body []byte
	var reply []byte
	status := 200
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(status)
		w.Write(reply)
	})
	ctx := t.Context()
	check := func(what, method, uri, accept, wantBody string) {
		t.Helper()
		if got := last.Method + " " + last.RequestURI; got != method+" "+uri {
			t.Errorf("%s: %s, want %s %s", what, got, method, uri)
		}
		if got := last.Header.Get("Accept"); got != accept {
			t.Errorf("%s: Accept: %s, want %s", what, got, accept)
		}
		if string(body) != wantBody {
			t.Errorf("%s: body %q, want %q", what, body, wantBody)
		}
	}
	community, topic := news.Community.String(), news.Topic.String()

	reply = []byte(emptyV0 + "\n")
	if id, err := c.Root(ctx, news.Community); err != nil || id.String() != emptyV0 {
		t.Errorf("Root: %s, %v", id, err)
	}
	check("Root", "GET", "/"+community, "text/plain", "")
	if id, err := c.Topic(ctx, news); err != nil || id.String() != emptyV0 {
		t.Errorf("Topic: %s, %v", id, err)
	}
	check("Topic", "GET", "/"+community+"/"+topic, "text/plain", "")

	reply = cool
	id := comntr.SumHash(cool)
	if b, err := c.Comment(ctx, news, id); err != nil || !bytes.Equal(b, cool) {
		t.Errorf("Comment: %q, %v", b, err)
	}
	check("Comment", "GET", "/"+community+"/"+topic+"/"+id.String(), "text/plain", "")

	reply = []byte(id.String() + "\n")
	for _, want := range []struct {
		status  int
		created bool
	}{{201, true}, {200, false}} {
		status = want.status
		if got, created, err := c.Post(ctx, news, cool); err != nil || got != id || created != want.created {
			t.Errorf("Post: %s, %v, %v", got, created, err)
		}
		check("Post", "POST", "/"+community+"/"+topic, "text/plain", "Cool!")
	}
	status = 200

	root, car := sampleCAR(t, 0)
	reply = car
	f, err := c.Folder(ctx, news)
	if err != nil || !f.CID.Equals(root) || len(f.Comments) != 2 || string(f.Comments[0].Bytes) != "Cool!" || string(f.Comments[1].Bytes) != "That's bs!" {
		t.Errorf("Folder: %+v, %v", f, err)
	}
	check("Folder", "GET", "/"+community+"/"+topic, "application/vnd.ipld.car", "")

	a, b := comntr.Version(0).LeafCID(cool), comntr.Version(0).LeafCID([]byte("That's bs!"))
	var got []cid.Cid
	reply = newCAR(t, a, comntr.Version(0).LeafBlock(cool), b, comntr.Version(0).LeafBlock([]byte("That's bs!")))
	err = c.Blocks(ctx, []cid.Cid{a, b, a}, func(c cid.Cid, _ []byte) error { got = append(got, c); return nil })
	if err != nil || len(got) != 2 {
		t.Errorf("Blocks: %v, %v", got, err)
	}
	check("Blocks", "POST", "/blocks", "application/vnd.ipld.car", a.String()+"\n"+b.String()+"\n")
	if ct := last.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("Blocks: Content-Type: %s", ct)
	}
	if err := c.Blocks(ctx, nil, nil); err != nil {
		t.Errorf("no blocks: %v", err)
	}
}

// newCAR is a CAR of CIDs and blocks by turns, whose root is the first CID.
func newCAR(t testing.TB, parts ...any) []byte {
	var b bytes.Buffer
	w := must(comntr.NewCARWriter(&b, parts[0].(cid.Cid)))
	for i := 0; i+1 < len(parts); i += 2 {
		if err := w.Block(parts[i].(cid.Cid), parts[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A server that lies is found out, whatever it was asked.
func TestClientRefusesLies(t *testing.T) {
	root := func(ctx context.Context, c *comntr.Client) error { _, err := c.Root(ctx, news.Community); return err }
	comment := func(ctx context.Context, c *comntr.Client) error {
		_, err := c.Comment(ctx, news, comntr.SumHash([]byte("Cool!")))
		return err
	}
	post := func(ctx context.Context, c *comntr.Client) error {
		_, _, err := c.Post(ctx, news, []byte("Cool!"))
		return err
	}
	folder := func(ctx context.Context, c *comntr.Client) error { _, err := c.Folder(ctx, news); return err }
	leafA, leafB := comntr.Version(1).LeafCID([]byte("a")), comntr.Version(1).LeafCID([]byte("b"))
	blocks := func(ctx context.Context, c *comntr.Client) error {
		return c.Blocks(ctx, []cid.Cid{leafA}, func(id cid.Cid, b []byte) error {
			if !id.Equals(leafA) || string(b) != "a" {
				return fmt.Errorf("given %s, %q", id, b)
			}
			return nil
		})
	}
	huge := strings.Repeat("x", comntr.MaxDocument+1)
	hello := func(ctx context.Context, c *comntr.Client) error { _, err := c.Hello(ctx); return err }
	_, car := sampleCAR(t, 1)
	flip := func(i int) string { b := bytes.Clone(car); b[i] ^= 1; return string(b) }
	sample := newTree(1)
	wrongName := sample.leaf([]byte("Cool!"))
	wrongName.Name = comntr.NameHash("x")
	wrongRoot := sample.folder(comntr.Hash{}, []comntr.Link{wrongName}).CID
	endless := func(prefix, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Write(prefix)
			io.Copy(w, &repeat{b: body})
		}
	}
	carHead := car[:bytes.Index(car, []byte("version\x01"))+8]
	block := newCAR(t, leafA, []byte("a"))
	for _, c := range []struct {
		name string
		call func(context.Context, *comntr.Client) error
		do   http.HandlerFunc
		is   error
	}{
		{"id empty", root, answer(200, ""), comntr.ErrBadAnswer},
		{"id of a web page", root, answer(200, "<html>"), comntr.ErrBadAnswer},
		{"id with a line before", root, answer(200, "\n"+emptyV0), comntr.ErrBadAnswer},
		{"id with two line ends", root, answer(200, emptyV0+"\n\n"), comntr.ErrBadAnswer},
		{"id of a leaf", root, answer(200, leafA.String()), comntr.ErrBadAnswer},
		{"id of SHA-512", root, answer(200, must(cid.Cast(cidBytes(t, cid.DagProtobuf, 0x13, 64))).String()), comntr.ErrBadAnswer},
		{"id in another base", root, answer(200, "f01701220"+strings.Repeat("00", 32)), comntr.ErrBadAnswer},
		{"id as a path", root, answer(200, "/ipfs/"+emptyV0), comntr.ErrBadAnswer},
		{"id without end", root, endless(nil, []byte(emptyV0)), comntr.ErrBadAnswer},
		{"id without end, compressed", root, gzipped(bytes.Repeat([]byte("Q"), 1<<22)), comntr.ErrBadAnswer},
		{"redirect", root, http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP, comntr.ErrBadAnswer},
		{"permanent redirect", post, http.RedirectHandler("http://127.0.0.1:1/", http.StatusPermanentRedirect).ServeHTTP, comntr.ErrBadAnswer},
		{"204", root, answer(204, ""), comntr.ErrBadAnswer},
		{"304 unasked", root, answer(304, ""), comntr.ErrBadAnswer},

		{"another comment", comment, answer(200, "Cool?"), comntr.ErrBadAnswer},
		{"comment cut", comment, answer(200, "Cool"), comntr.ErrBadAnswer},
		{"comment larger than any", func(ctx context.Context, c *comntr.Client) error {
			_, err := c.Comment(ctx, news, comntr.SumHash([]byte(huge)))
			return err
		}, answer(200, huge), comntr.ErrTooLarge},
		{"comment without end", comment, endless(nil, []byte("Cool!")), comntr.ErrBadAnswer},

		{"post: another id", post, answer(201, comntr.SumHash([]byte("x")).String()+"\n"), comntr.ErrBadAnswer},
		{"post: no id", post, answer(201, "thanks"), comntr.ErrBadAnswer},
		{"post: id without end", post, endless(nil, []byte("0")), comntr.ErrBadAnswer},

		{"folder: a web page", folder, answer(200, "<html>"+strings.Repeat(" ", 100)), comntr.ErrBadAnswer},
		{"folder: cut inside of a block", folder, answer(200, string(car[:len(car)-1])), io.ErrUnexpectedEOF},
		{"folder: cut between blocks", folder, answer(200, string(car[:len(car)-1-36-len("That's bs!")])), comntr.ErrIncomplete},
		{"folder: connection cut", folder, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(car)))
			w.Write(car[:60])
		}, io.ErrUnexpectedEOF},
		{"folder: flipped bit in the header", folder, answer(200, flip(30)), comntr.ErrBadAnswer},
		{"folder: flipped bit in a node", folder, answer(200, flip(len(carHead)+50)), comntr.ErrBadAnswer},
		{"folder: flipped bit in a leaf", folder, answer(200, flip(len(car)-1)), comntr.ErrBadAnswer},
		{"folder: a leaf alone", folder, answer(200, string(block)), comntr.ErrBadAnswer},
		{"folder: names that are not the bytes'", folder, answer(200, string(sample.car(t, wrongRoot))), comntr.ErrBadAnswer},

		{"blocks: bytes of another", blocks, answer(200, string(newCAR(t, leafA, []byte("b")))), comntr.ErrBadAnswer},
		{"blocks: one not asked for", blocks, answer(200, string(newCAR(t, leafA, []byte("a"), leafB, []byte("b")))), comntr.ErrBadAnswer},
		{"blocks: another root", blocks, answer(200, string(newCAR(t, leafB))), comntr.ErrBadAnswer},
		{"blocks: one without end", blocks, endless(block, block[len(block)-1-36-1:]), comntr.ErrTooLarge},

		{"hello: not JSON", hello, answer(200, "<html>"), comntr.ErrBadAnswer},
		{"hello: without end", hello, endless([]byte(`{"hello":"`), []byte("x")), comntr.ErrBadAnswer},
		{"hello: replayed", hello, answer(200, string(must(comntr.SignHello(testKey("server"), helloOf(testKey("server")), helloNonce, helloOrigin)))), comntr.ErrBadAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call(t.Context(), serve(t, c.do))
			if !errors.Is(err, c.is) {
				t.Errorf("%v, want %v", err, c.is)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
	// Honest after all.
	if err := blocks(t.Context(), serve(t, answer(200, string(block)))); err != nil {
		t.Error(err)
	}
	// The same block twice in an answer is given once.
	n := 0
	twice := serve(t, answer(200, string(newCAR(t, leafA, []byte("a"), leafA, []byte("a")))))
	if err := twice.Blocks(t.Context(), []cid.Cid{leafA}, func(cid.Cid, []byte) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("a block that came twice was given %d times: %v", n, err)
	}
}

// gzipped answers with b compressed, as a transport unpacks it unasked.
func gzipped(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(b)
		z.Close()
	}
}

// The parts of an answer that was cut, and what the server lacks.
func TestClientBlocksAsksAgain(t *testing.T) {
	const total, perAnswer = 700, 100
	held := map[string][]byte{}
	var all []cid.Cid
	for i := range total {
		b := comment(i)
		all = append(all, comntr.Version(1).LeafCID(b))
		if i%7 != 0 { // every seventh is not there
			held[all[i].String()] = b
		}
	}
	requests := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		body := string(must(io.ReadAll(r.Body)))
		lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
		if len(lines) > comntr.MaxBlockCIDs {
			t.Errorf("%d CIDs are asked for at once", len(lines))
		}
		car := must(comntr.NewCARWriter(w, must(cid.Decode(lines[0]))))
		sent := 0
		for _, l := range lines {
			if b, ok := held[l]; ok && sent < perAnswer {
				car.Block(must(cid.Decode(l)), b)
				sent++
			}
		}
	})
	got := map[string]int{}
	err := c.Blocks(t.Context(), all, func(id cid.Cid, b []byte) error {
		if !bytes.Equal(held[id.String()], b) {
			t.Errorf("%s has other bytes", id)
		}
		got[id.String()]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(held) {
		t.Errorf("%d blocks came, %d are held", len(got), len(held))
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("%s was given %d times", id, n)
		}
	}
	// 512: 438 held, 5 answers and one without; 188: 162 held, 2 and one.
	if requests != 5+1+2+1 {
		t.Errorf("%d requests", requests)
	}
	// fn's error ends it, as it is.
	stop := errors.New("stop")
	if err := c.Blocks(t.Context(), all, func(cid.Cid, []byte) error { return stop }); err != stop {
		t.Errorf("fn's error comes back as %v", err)
	}
	if err := c.Blocks(t.Context(), []cid.Cid{cid.Undef}, nil); err == nil {
		t.Error("an undefined CID is asked for")
	}
}

// The bound of an answer has room for what an honest server may send.
func TestBlocksBoundHasRoom(t *testing.T) {
	tr := newTree(1)
	var cids []cid.Cid
	size := comntr.MaxBlocksAnswer / comntr.MaxBlockCIDs
	for i := range comntr.MaxBlockCIDs {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2)
		cids = append(cids, tr.leaf(b).CID)
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		car := must(comntr.NewCARWriter(w, cids[0]))
		for _, c := range cids {
			car.Block(c, tr.blocks[c])
		}
	})
	n := 0
	if err := c.Blocks(t.Context(), cids, func(cid.Cid, []byte) error { n++; return nil }); err != nil || n != comntr.MaxBlockCIDs {
		t.Errorf("%d blocks of %d bytes: %v", n, size, err)
	}
}

func TestClientProblems(t *testing.T) {
	problem := func(status int, contentType, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	const pj = "application/problem+json"
	for _, c := range []struct {
		name string
		do   http.HandlerFunc
		want comntr.Problem
	}{
		{"gone", problem(410, pj, `{"type":"about:blank","title":"Gone","status":410,"code":"gone","detail":"removed by its author"}`),
			comntr.Problem{Type: "about:blank", Title: "Gone", Status: 410, Code: "gone", Detail: "removed by its author"}},
		{"charset", problem(404, pj+"; charset=utf-8", `{"title":"Not Found","code":"not-found","detail":"x"}`),
			comntr.Problem{Title: "Not Found", Status: 404, Code: "not-found", Detail: "x"}},
		{"status that lies", problem(429, pj, `{"title":"OK","status":200,"detail":"x"}`, "Retry-After", "7"),
			comntr.Problem{Title: "OK", Status: 429, Detail: "x", RetryAfter: 7}},
		{"retry in a million years", problem(503, pj, `{"title":"t","detail":"x","retryAfter":99999999}`),
			comntr.Problem{Title: "t", Status: 503, Detail: "x", RetryAfter: 86400}},
		{"retry in the past", problem(503, pj, `{"title":"t","detail":"x"}`, "Retry-After", "-5"),
			comntr.Problem{Title: "t", Status: 503, Detail: "x"}},
		{"terminal escapes", problem(422, pj, `{"title":"\u001b[2J","code":"a\nb","detail":"\u001b]0;title\u0007\u009b1m\u202e\r\nok"}`),
			comntr.Problem{Title: "\uFFFD[2J", Status: 422, Code: "a\uFFFDb", Detail: "\uFFFD]0;title\uFFFD\uFFFD1m\uFFFD\uFFFD\uFFFDok"}},
		{"not a problem document", problem(502, "text/html", "<html>\x1b"),
			comntr.Problem{Title: "Bad Gateway", Status: 502, Detail: "status 502 Bad Gateway"}},
		{"not JSON", problem(500, pj, "{"), comntr.Problem{Title: "Internal Server Error", Status: 500, Detail: "status 500 Internal Server Error"}},
		{"of another type", problem(500, pj, `{"detail":5,"code":"internal"}`), comntr.Problem{Title: "Internal Server Error", Status: 500, Detail: "status 500 Internal Server Error"}},
		{"too large", problem(500, pj, `{"detail":"`+strings.Repeat("x", 1<<20)+`"}`), comntr.Problem{Title: "Internal Server Error", Status: 500, Detail: "status 500 Internal Server Error"}},
		{"work", problem(422, pj, `{"title":"t","code":"work-needed","detail":"x","work":20}`), comntr.Problem{Title: "t", Status: 422, Code: comntr.CodeWorkNeeded, Detail: "x", Work: 20}},
		{"work without end", problem(422, pj, `{"title":"t","detail":"x","work":257}`), comntr.Problem{Title: "t", Status: 422, Detail: "x", Work: 256}},
		{"work of less than nothing", problem(422, pj, `{"title":"t","detail":"x","work":-1}`), comntr.Problem{Title: "t", Status: 422, Detail: "x"}},
		{"a status nobody knows", problem(599, "text/plain", ""), comntr.Problem{Status: 599, Detail: "status 599"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := serve(t, c.do).Post(t.Context(), news, []byte("x"))
			var p *comntr.Problem
			if !errors.As(err, &p) {
				t.Fatalf("%v is no *Problem", err)
			}
			if *p != c.want {
				t.Errorf("got  %+v\nwant %+v", *p, c.want)
			}
			if errors.Is(err, comntr.ErrBadAnswer) {
				t.Error("a refusal is no lie")
			}
		})
	}
	// Long but within the bound of the document: cut.
	_, err := serve(t, problem(422, pj, `{"detail":"`+strings.Repeat("\u00fc", 4000)+`"}`)).Root(t.Context(), news.Community)
	var p *comntr.Problem
	if !errors.As(err, &p) || len(p.Detail) > 1100 || strings.ContainsRune(p.Detail, '\uFFFD') {
		t.Errorf("a long detail: %v", err)
	}
}

func TestClientHello(t *testing.T) {
	key := testKey("server")
	var c *comntr.Client
	signFor := ""
	nonces := map[string]bool{}
	c = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != comntr.HelloPath || r.Method != "GET" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		nonce := r.URL.Query().Get("nonce")
		nonces[nonce] = true
		h := helloOf(key)
		h.Expires = time.Now().Add(time.Hour)
		w.Write(must(comntr.SignHello(key, h, [32]byte(unhex(t, nonce)), signFor)))
	})
	signFor = c.Origin()
	for range 2 {
		h, err := c.Hello(t.Context())
		if err != nil || h.Key != hex.EncodeToString(key.Public().(ed25519.PublicKey)) {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	if len(nonces) != 2 {
		t.Error("a nonce was used twice")
	}
	// Another origin: not for a stranger's address, but for a person's.
	signFor = "http://192.0.2.7:4080"
	if _, err := c.Hello(t.Context()); !errors.Is(err, comntr.ErrOrigin) {
		t.Errorf("signed for another origin: %v", err)
	}
	if h, err := c.HelloAny(t.Context()); err != nil || h.Protocol != 1 {
		t.Errorf("HelloAny: %v", err)
	}
}

// stalling is a transport whose answer sends prefix and then nothing, until
// the request is given up.
func stalling(contentType, prefix string) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		pr, pw := io.Pipe()
		go func() {
			io.WriteString(pw, prefix)
			<-r.Context().Done()
			pw.CloseWithError(r.Context().Err())
		}()
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: pr, Request: r}, nil
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// calls are all ways to ask, for tests of what holds for each.
var calls = map[string]func(context.Context, *comntr.Client) error{
	"Root":  func(ctx context.Context, c *comntr.Client) error { _, err := c.Root(ctx, news.Community); return err },
	"Topic": func(ctx context.Context, c *comntr.Client) error { _, err := c.Topic(ctx, news); return err },
	"Post": func(ctx context.Context, c *comntr.Client) error {
		_, _, err := c.Post(ctx, news, []byte("x"))
		return err
	},
	"Comment": func(ctx context.Context, c *comntr.Client) error {
		_, err := c.Comment(ctx, news, comntr.Hash{})
		return err
	},
	"Folder": func(ctx context.Context, c *comntr.Client) error { _, err := c.Folder(ctx, news); return err },
	"Blocks": func(ctx context.Context, c *comntr.Client) error {
		return c.Blocks(ctx, []cid.Cid{comntr.Version(0).LeafCID(nil)}, func(cid.Cid, []byte) error { return nil })
	},
	"Hello":    func(ctx context.Context, c *comntr.Client) error { _, err := c.Hello(ctx); return err },
	"HelloAny": func(ctx context.Context, c *comntr.Client) error { _, err := c.HelloAny(ctx); return err },
	"Events": func(ctx context.Context, c *comntr.Client) error {
		return c.Events(ctx, news.Community, nil, "", func(comntr.Event) error { return nil })
	},
}

// A server that stops in the middle of an answer is given up in time.
func TestClientStalled(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := must(comntr.NewClient(helloOrigin, &http.Client{Transport: stalling("text/event-stream", "1")}))
				start := time.Now()
				err := call(t.Context(), c)
				want := comntr.StallTime
				if name == "Events" {
					want = comntr.EventSilence
				}
				if took := time.Since(start); !errors.Is(err, comntr.ErrStalled) || took != want {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

// A server that never answers at all is given up too, whatever the transport.
func TestClientNoAnswer(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})}))
				start := time.Now()
				if err := call(t.Context(), c); !errors.Is(err, comntr.ErrStalled) || time.Since(start) != comntr.StallTime {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

// A server that sends a byte now and then is given up too.
func TestClientTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(trickle{r.Context(), comntr.StallTime - time.Second}), Request: r}, nil
		})}))
		start := time.Now()
		_, err := c.Comment(t.Context(), news, comntr.Hash{})
		if took := time.Since(start); !errors.Is(err, comntr.ErrStalled) || took != comntr.CallTime {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// trickle gives a byte each time every has passed, in a synctest bubble.
type trickle struct {
	ctx   context.Context
	every time.Duration
}

func (r trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(r.every):
		p[0] = 'x'
		return 1, nil
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// What the caller does with a block does not count against the server.
func TestClientSlowCaller(t *testing.T) {
	leaf := comntr.Version(1).LeafCID([]byte("a"))
	car := newCAR(t, leaf, []byte("a"))
	synctest.Test(t, func(t *testing.T) {
		c := must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			// A byte at a time, and none once the request was given up.
			return &http.Response{StatusCode: 200, Body: io.NopCloser(&whileAlive{r.Context(), iotest.OneByteReader(bytes.NewReader(car))}), Request: r}, nil
		})}))
		err := c.Blocks(t.Context(), []cid.Cid{leaf}, func(cid.Cid, []byte) error {
			time.Sleep(2 * comntr.StallTime) // in the bubble: no time passes
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

type whileAlive struct {
	ctx context.Context
	r   io.Reader
}

func (w *whileAlive) Read(p []byte) (int, error) {
	synctest.Wait() // for what ends the context
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

func TestClientContext(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c := must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				cancel()
				return stalling("text/event-stream", "1").RoundTrip(r)
			})}))
			if err := call(ctx, c); !errors.Is(err, context.Canceled) || errors.Is(err, comntr.ErrBadAnswer) {
				t.Errorf("%v", err)
			}
			if err := call(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("with a dead context: %v", err)
			}
		})
	}
}

// The client keeps no cookie and follows no redirect, whatever the
// http.Client that it was given does.
func TestClientHasNoState(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.Header.Get("Cookie") != "" {
			t.Error("a cookie came back")
		}
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer s.Close()
	c := must(comntr.NewClient(s.URL, &http.Client{Jar: jar{}, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}))
	for range 2 {
		if _, err := c.Root(t.Context(), news.Community); !errors.Is(err, comntr.ErrBadAnswer) {
			t.Error(err)
		}
	}
	if requests != 2 {
		t.Errorf("%d requests", requests)
	}
}
