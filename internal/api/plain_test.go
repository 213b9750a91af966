package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/store"
)

// plainCase is what is done to a server over one connection.
type plainCase struct {
	pieces [][]byte // written one after another
	mode   int      // of plainModes
	rush   bool     // without waiting until what was written before is worked on
	pause  time.Duration
}

// plainModes are what a request may find.
var plainModes = []func(*api.Config, *memory){
	func(*api.Config, *memory) {},
	func(c *api.Config, _ *memory) { c.Rate = 1 },
	func(c *api.Config, _ *memory) { c.MinWork = 8 },
	func(c *api.Config, _ *memory) { c.MaxSize = 20 },
	func(_ *api.Config, m *memory) { m.addErr = store.ErrFull },
	func(_ *api.Config, m *memory) { m.addErr = store.ErrGone },
	func(_ *api.Config, m *memory) { m.addErr = errors.New("a fault") },
	func(_ *api.Config, m *memory) { m.addPanic = "oops" },
	func(c *api.Config, _ *memory) { c.Page = nil },
	func(c *api.Config, _ *memory) { c.Gateway = false },
	func(_ *api.Config, m *memory) { m.topicErr = errors.New("a fault") },
	func(_ *api.Config, m *memory) { m.topicFn = func() { panic("oops") } },
	plainNew: func(_ *api.Config, m *memory) { m.topicNew = true },
}

// plainNew is the mode in which each topic has changed since it was asked for.
const plainNew = 12

// outcome is what is seen of a server.
type outcome struct {
	answers []byte        // all that it wrote
	closed  time.Duration // when it closed the connection
	stored  map[comntr.Hash]map[comntr.Hash][]byte
	counted map[string]uint64
	wanted  int64
	log     string
	byHTTP  int64 // requests that reached net/http's handler; not compared
}

// plainMemory has a topic, so that there is an id.
func plainMemory(t *testing.T) *memory {
	m := newMemory("reddit")
	doc, err := comntr.ParseDocument(place, []byte("The first."))
	if err == nil {
		_, err = m.Add(t.Context(), doc, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// plainTag is the entity tag of the topic of plainMemory.
func plainTag(t *testing.T) string {
	c, err := plainMemory(t).Topic(t.Context(), news)
	if err != nil {
		t.Fatal(err)
	}
	return `"` + c.String() + `"`
}

// run lets a server of its own answer the case. It is called in a bubble of
// synctest.
func (c plainCase) run(t *testing.T, listen func(*api.API, net.Listener) net.Listener) (o outcome) {
	m := plainMemory(t)
	cfg := config(t, m)
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "err" { // a panic's has the stack
			a.Value = slog.StringValue(strings.SplitN(a.Value.String(), "\n", 2)[0])
		}
		return a
	}}))
	var wanted atomic.Int64
	cfg.Wanted = func(comntr.Hash, comntr.Hash) { wanted.Add(1) }
	plainModes[c.mode%len(plainModes)](&cfg, m)
	a := api.New(cfg)
	s := a.Server()
	var byHTTP atomic.Int64
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		byHTTP.Add(1)
		handler.ServeHTTP(w, r)
	})
	p := newPipes()
	done := make(chan error, 1)
	go func() { done <- s.Serve(listen(a, p)) }()
	client := p.dial()
	read := make(chan struct{})
	var answers bytes.Buffer
	go func() {
		defer close(read)
		io.Copy(&answers, client)
	}()
	start := time.Now()
	const enough = time.Hour + time.Second // after which only a stream of events goes on
	client.SetWriteDeadline(start.Add(enough))
	for i, piece := range c.pieces {
		if i > 0 {
			time.Sleep(c.pause)
		}
		client.Write(piece) // an error is the server's going away
		if !c.rush {
			synctest.Wait()
		}
	}
	select {
	case <-read:
	case <-time.After(time.Until(start.Add(enough))):
	}
	o.closed = time.Since(start)
	client.Close()
	<-read
	a.Stop() // ends streams of events
	s.Close()
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
	synctest.Wait()
	o.answers, o.stored, o.counted, o.wanted = answers.Bytes(), m.topics, counted(a.Counters()), wanted.Load()
	o.log, o.byHTTP = log.String(), byHTTP.Load()
	if n := a.Counters().Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
	return o
}

// plainAgrees runs a case with plain requests and without, and returns how many
// requests reached net/http's handler with them and without.
func plainAgrees(t *testing.T, c plainCase) (with, without int64) {
	t.Helper()
	var got, want outcome
	synctest.Test(t, func(t *testing.T) { got = c.run(t, (*api.API).Listener) })
	synctest.Test(t, func(t *testing.T) { want = c.run(t, (*api.API).WholeListener) })
	with, without = got.byHTTP, want.byHTTP
	got.byHTTP, want.byHTTP = 0, 0
	// Where plain requests follow one another it closes a second earlier (extendEvery).
	if d := got.closed - want.closed; d <= 0 && d >= -time.Second {
		got.closed = want.closed
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("mode %d, %q:\n got %q, after %v, %v, %d topics, %d wanted, log %s\nwant %q, after %v, %v, %d topics, %d wanted, log %s", c.mode, c.pieces,
			got.answers, got.closed, got.counted, len(got.stored), got.wanted, got.log, want.answers, want.closed, want.counted, len(want.stored), want.wanted, want.log)
	}
	return with, without
}

const plainFields = "Host: x\r\n"

func get(path string) []byte { return gets(path, plainFields) }

// gets is a GET with these fields.
func gets(path, fields string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\n" + fields + "\r\n")
}

// posts is a post with these fields; {n} is the body's length.
func posts(target, fields, body string) []byte {
	return []byte("POST " + target + " HTTP/1.1\r\n" + strings.ReplaceAll(fields, "{n}", fmt.Sprint(len(body))) + "\r\n" + body)
}

// signedPost carries all that a document may.
func signedPost() []byte {
	body := sign(seed, place, "Date: 2000-01-01T00:00:00Z\nUser: Alice\n", "Signed, sealed.")
	return posts("/"+reddit.String()+"/"+news.String(), "Host: localhost:4080\r\nContent-Length: {n}\r\n", string(body))
}

// plainRequests are requests that are plain, and others that look like it.
func plainRequests(tag string) (plain, others map[string][]byte) {
	topic := "/" + news.String()
	usual := plainFields + "Content-Length: {n}\r\n"
	plain = map[string][]byte{
		"post":            posts(topic, usual, "Cool!"),
		"community":       posts("/"+reddit.String()+topic, usual, "Cooler!"),
		"signed":          signedPost(),
		"not ahead":       posts(topic, usual, string(sign(seed, place, "Date: 2999-01-01T00:00:00Z\n", "From the future."))),
		"bad signature":   posts(topic, usual, strings.Replace(string(sign(seed, place, "", "Signed.")), "Signed.", "Forged.", 1)),
		"not UTF-8":       posts(topic, usual, "Cool\xff!"),
		"NUL":             posts(topic, usual, "\x00"),
		"keep-alive":      posts(topic, "host: x\r\nconnection: Keep-Alive\r\ncontent-length: {n}\r\n", "Kept."),
		"browser":         posts(topic, "Host: [::1]:4080\r\nConnection: keep-alive\r\nContent-Length: {n}\r\nsec-ch-ua: \"Chromium\";v=\"130\"\r\nUser-Agent: Mozilla/5.0 (X11)\r\nContent-Type: text/plain;charset=UTF-8\r\nAccept: */*\r\nOrigin: null\r\nReferer: http://x/\r\nAccept-Encoding: gzip\r\n", "Browsed."),
		"spaces":          posts(topic, "Host:x\r\nContent-Length: \t {n} \r\nX: \r\nY:\r\n", "Spaced."),
		"a request in it": posts(topic, usual, string(posts(topic, usual, "inner"))),
		"an answer in it": posts(topic, usual, "HTTP/1.1 400 Bad Request\r\n\r\n"),
		"blank lines":     posts(topic, usual, "\r\n\r\n"),
		"many bytes":      posts(topic, usual, strings.Repeat("x", 3900)),
		"get":             get(topic),
		"get, community":  get("/" + reddit.String() + topic),
		"get, browser":    gets(topic, "Host: [::1]:4080\r\nConnection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"130\"\r\nUser-Agent: Mozilla/5.0 (X11)\r\nAccept: */*\r\nOrigin: null\r\nReferer: http://x/\r\nAccept-Encoding: gzip, br\r\nCache-Control: max-age=0\r\nIf-None-Match: \"x\"\r\n"),
		"get, tagged":     gets(topic, plainFields+"If-None-Match: W/\"x\", "+tag+"\r\n"),
		"get, tags":       gets(topic, plainFields+"If-None-Match: \"x\"\r\nif-none-match:\t"+tag+" \r\n"),
		"get, tags, last": gets(topic, plainFields+"If-None-Match: "+tag+"\r\nIf-None-Match: \"x\"\r\n"),
		"get, any tag":    gets(topic, plainFields+"If-None-Match: *\r\n"),
		"get, bad tags":   gets(topic, plainFields+"If-None-Match: x, "+tag+"\r\nIf-None-Match:\r\n"),
		"get, range":      gets(topic, plainFields+"Range: bytes=0-1\r\nIf-Match: \"x\"\r\nIf-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n"),
		"get, accepts":    gets(topic, plainFields+"Accept: */*\r\naccept:*/*\r\nAccept: text/plain\r\n"),
		"get, text":       gets(topic, plainFields+"Accept: text/plain\r\n"),
		"no semantics":    posts(topic, usual+"Cookie: a\r\nCache-Control: no-cache\r\nPragma: no-cache\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nRange: bytes=0-1\r\nIf-None-Match: *\r\nAccept: x/y\r\nVia: 1.1 x\r\nKeep-Alive: 1\r\n", "Fine."),
	}
	others = map[string][]byte{
		"get of none":              get("/" + reddit.String()[:39] + "0"),
		"get of 1.0 of it":         bytes.Replace(get(topic), []byte("1.1"), []byte("1.0"), 1),
		"get, CAR":                 gets(topic, plainFields+"Accept: application/vnd.ipld.car\r\n"),
		"get, CAR first":           gets(topic, plainFields+"Accept: */*\r\nAccept: application/vnd.ipld.car\r\n"),
		"get, some text":           gets(topic, plainFields+"Accept: text/*\r\n"),
		"get, text and CAR":        gets(topic, plainFields+"Accept: text/plain\r\nAccept: application/vnd.ipld.car\r\n"),
		"get, no type":             gets(topic, plainFields+"Accept: x/y\r\n"),
		"get, empty accept":        gets(topic, plainFields+"Accept:\r\n"),
		"get, no host":             gets(topic, "X: y\r\n"),
		"get, two hosts":           gets(topic, plainFields+plainFields),
		"get, length 0":            gets(topic, plainFields+"Content-Length: 0\r\n"),
		"get, query":               get(topic + "?x"),
		"get, slash":               get(topic + "/"),
		"get of a comment":         get(topic + topic),
		"get of the page":          get("/index.html"),
		"get, lone LF":             gets(topic, plainFields+"X: a\nb: c\r\n"),
		"get, folded field":        gets(topic, plainFields+"Accept: */*\r\n ,x/y\r\n"),
		"get, upgrade":             gets(topic, plainFields+"Connection: upgrade\r\nUpgrade: h2c\r\n"),
		"get, prior":               gets("*", plainFields),
		"root":                     get("/"),
		"head":                     []byte("HEAD " + topic + " HTTP/1.1\r\n" + plainFields + "\r\n"),
		"options":                  []byte("OPTIONS " + topic + " HTTP/1.1\r\n" + plainFields + "\r\n"),
		"get with a body":          []byte("GET " + topic + " HTTP/1.1\r\n" + plainFields + "Content-Length: 5\r\n\r\nCool!"),
		"get with a body's length": []byte("GET " + topic + " HTTP/1.1\r\n" + plainFields + "Content-Length: 5\r\n\r\n"),
		"get in chunks":            []byte("GET " + topic + " HTTP/1.1\r\n" + plainFields + "Transfer-Encoding: chunked\r\n\r\n"),
		"get that expects":         []byte("GET " + topic + " HTTP/1.1\r\n" + plainFields + "Expect: 100-continue\r\n\r\n"),
		"get and a line feed":      []byte("GET / HTTP/1.1\nHost: x\n\nPOST " + topic + " HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"),
		"get by line feeds":        []byte("GET / HTTP/1.1\nHost: x\n\n"),
		"get, folded":              []byte("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
		"get, blank first":         []byte("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"get of 1.0":               []byte("GET / HTTP/1.0\r\n\r\n"),
		"get of 1.0, kept":         []byte("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
		"get, closed":              []byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"two gets":                 append(get("/"), get(topic)...),
		"get and a letter":         append(get("/"), 'P'),
		"get and two":              append(get("/"), "PO"...),
		"two posts":                append(posts(topic, usual, "1st"), posts(topic, usual, "2nd")...),
		"post and a letter":        append(posts(topic, usual, "1st"), 'X'),
		"get of events":            get("/events"),
		"blocks":                   posts("/blocks", usual, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"),
		"counts":                   posts("/counts", usual, "84d5\n"),
		"nonsense":                 posts("/r/news", usual, "Cool!"),
		"comment":                  posts(topic+topic, usual, "Cool!"),
		"root post":                posts("/", usual, "Cool!"),
		"folder post":              posts("/"+reddit.String(), usual, "Cool!"),
		"slash":                    posts(topic+"/", usual, "Cool!"),
		"query":                    posts(topic+"?", usual, "Cool!"),
		"escape":                   posts("/%38"+topic[2:], usual, "Cool!"),
		"upper case":               posts(strings.ToUpper(topic), usual, "Cool!"),
		"absolute":                 posts("http://x"+topic, usual, "Cool!"),
		"empty":                    posts(topic, usual, ""),
		"no length":                posts(topic, plainFields, "Cool!"),
		"two lengths":              posts(topic, usual+"Content-Length: {n}\r\n", "Cool!"),
		"other lengths":            posts(topic, usual+"Content-Length: 1\r\n", "Cool!"),
		"length +":                 posts(topic, plainFields+"Content-Length: +{n}\r\n", "Cool!"),
		"length 0":                 posts(topic, plainFields+"Content-Length: 0{n}\r\n", "Cool!"),
		"length ,":                 posts(topic, plainFields+"Content-Length: {n}, {n}\r\n", "Cool!"),
		"length huge":              posts(topic, plainFields+"Content-Length: 18446744073709551621\r\n", "Cool!"),
		"too short":                posts(topic, plainFields+"Content-Length: 10\r\n", "Cool!"),
		"too long":                 posts(topic, plainFields+"Content-Length: 4\r\n", "Cool!"),
		"chunks":                   posts(topic, plainFields+"Transfer-Encoding: chunked\r\n", "5\r\nCool!\r\n0\r\n\r\n"),
		"chunks and a length":      posts(topic, usual+"Transfer-Encoding: chunked\r\n", "5\r\nCool!\r\n0\r\n\r\n"),
		"chunks, blank":            posts(topic, usual+"Transfer-Encoding : chunked\r\n", "5\r\nCool!\r\n0\r\n\r\n"),
		"identity":                 posts(topic, usual+"Transfer-Encoding: identity\r\n", "Cool!"),
		"gzip":                     posts(topic, usual+"Content-Encoding: gzip\r\n", "Cool!"),
		"identity content":         posts(topic, usual+"Content-Encoding: identity\r\n", "Cool!"),
		"expects":                  posts(topic, usual+"Expect: 100-continue\r\n", "Cool!"),
		"expects else":             posts(topic, usual+"Expect: more\r\n", "Cool!"),
		"upgrade":                  posts(topic, usual+"Connection: upgrade\r\nUpgrade: h2c\r\n", "Cool!"),
		"closes":                   posts(topic, usual+"Connection: close\r\n", "Cool!"),
		"closes later":             posts(topic, usual+"Connection: keep-alive\r\nConnection: close\r\n", "Cool!"),
		"closes in a list":         posts(topic, usual+"Connection: keep-alive, close\r\n", "Cool!"),
		"trailer":                  posts(topic, usual+"Trailer: X\r\n", "Cool!"),
		"no host":                  posts(topic, "Content-Length: {n}\r\n", "Cool!"),
		"two hosts":                posts(topic, usual+"Host: y\r\n", "Cool!"),
		"empty host":               posts(topic, "Host:\r\nContent-Length: {n}\r\n", "Cool!"),
		"bad host":                 posts(topic, "Host: x\"y\r\nContent-Length: {n}\r\n", "Cool!"),
		"worse host":               posts(topic, "Host: x\x01\r\nContent-Length: {n}\r\n", "Cool!"),
		"bad name":                 posts(topic, usual+"X Y: z\r\n", "Cool!"),
		"no name":                  posts(topic, usual+": z\r\n", "Cool!"),
		"no colon":                 posts(topic, usual+"X\r\n", "Cool!"),
		"folded":                   posts(topic, usual+"X: y\r\n z\r\n", "Cool!"),
		"bad value":                posts(topic, usual+"X: \x00\r\n", "Cool!"),
		"DEL":                      posts(topic, usual+"X: \x7f\r\n", "Cool!"),
		"lone CR":                  posts(topic, usual+"X: a\rb\r\n", "Cool!"),
		"lone LF":                  posts(topic, usual+"X: a\nb: c\r\n", "Cool!"),
		"Latin-1":                  posts(topic, usual+"X: \xe9\r\n", "Cool!"),
		"LF":                       bytes.ReplaceAll(posts(topic, usual, "Cool!"), []byte("\r\n"), []byte("\n")),
		"1.0":                      bytes.Replace(posts(topic, usual, "Cool!"), []byte("1.1"), []byte("1.0"), 1),
		"1.2":                      bytes.Replace(posts(topic, usual, "Cool!"), []byte("1.1"), []byte("1.2"), 1),
		"two spaces":               bytes.Replace(posts(topic, usual, "Cool!"), []byte("POST "), []byte("POST  "), 1),
		"put":                      bytes.Replace(posts(topic, usual, "Cool!"), []byte("POST"), []byte("PUT"), 1),
		"XPOST":                    bytes.Replace(posts(topic, usual, "Cool!"), []byte("POST"), []byte("XPOST"), 1),
		"lower case":               bytes.Replace(posts(topic, usual, "Cool!"), []byte("POST"), []byte("post"), 1),
		"too many bytes":           posts(topic, usual, strings.Repeat("x", 5000)),
		"a part":                   []byte("POST "),
		"nothing":                  {},
	}
	return plain, others
}

// Each request is answered as net/http answers it, and some in each mode: as a
// connection's first, after a GET, after a plain post, and before both.
func TestPlain(t *testing.T) {
	plain, others := plainRequests(plainTag(t))
	get, post := plain["get"], plain["post"]
	for mode := range plainModes {
		requests := map[string][]byte{"post": plain["post"], "signed": plain["signed"], "bad signature": plain["bad signature"], "get": plain["get"], "tagged": plain["get, any tag"]}
		if mode == 0 {
			maps.Copy(requests, plain)
			maps.Copy(requests, others)
		}
		for name, request := range requests {
			t.Run(fmt.Sprint(mode, " ", name), func(t *testing.T) {
				plainAgrees(t, plainCase{pieces: [][]byte{request, post, post, get}, mode: mode})
				plainAgrees(t, plainCase{pieces: [][]byte{post, request, post, get}, mode: mode})
				plainAgrees(t, plainCase{pieces: [][]byte{get, post, post, request, request, post, post, get, post, post}, mode: mode})
				plainAgrees(t, plainCase{pieces: [][]byte{post, get, get, request, request, get, get, post, get, get}, mode: mode})
			})
		}
	}
}

// What takes several requests to go wrong.
func TestPlainStreams(t *testing.T) {
	topic, usual := "/"+news.String(), plainFields+"Content-Length: {n}\r\n"
	first, second := posts(topic, usual, "1st"), posts(topic, usual, "2nd")
	var many [][]byte
	for i := range 14 { // more than an address may at once, in the second mode
		many = append(many, posts(topic, usual, fmt.Sprint("Comment ", i)))
	}
	// A second request, which ends within the one that is read next.
	hidden := fmt.Appendf(nil, "GET / HTTP/1.1\nHost: x\n\nPOST %s HTTP/1.1\r\nHost: x\r\nX: y\nContent-Length: %d\r\n\r\n", topic, len(first)-2)
	for mode := range plainModes {
		for name, pieces := range map[string][][]byte{
			"many":                many,
			"refused by net/http": {first, first, first, get("/%zz")},
			"hidden":              {first, hidden, first, second, second},
			"grown and read":      {first, get(topic), get(topic), second, first, get(topic), gets(topic, plainFields+"If-None-Match: *\r\n"), get(topic)},
			"blank after a get":   {first, get(topic), get(topic), []byte("\r\n"), get(topic)},
			"blank after a post":  {get(topic), first, second, []byte("\r\n"), first},
			"grown":               {first, first, posts(topic, usual, "A longer one"), second, posts(topic, usual, "3rd")},
		} {
			t.Run(fmt.Sprint(mode, " ", name), func(t *testing.T) {
				plainAgrees(t, plainCase{pieces: pieces, mode: mode})
				plainAgrees(t, plainCase{pieces: pieces, mode: mode, rush: true})
				// Longer than an answer may take, and nearly as long as a client may rest.
				plainAgrees(t, plainCase{pieces: pieces, mode: mode, pause: 40 * time.Second})
				plainAgrees(t, plainCase{pieces: pieces, mode: mode, pause: 118 * time.Second})
			})
		}
	}
}

// Who does not take the answer loses the connection, as with net/http.
func TestPlainAnswerNotTaken(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, a *api.API) {
		conn := dial()
		defer conn.Close()
		br := bufio.NewReader(conn)
		request := posts("/"+news.String(), plainFields+"Content-Length: {n}\r\n", "Cool!")
		for range 2 {
			conn.Write(request)
			r, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r.Body)
			synctest.Wait() // until net/http has the connection for an idle one
		}
		start := time.Now()
		conn.Write(request)
		time.Sleep(40 * time.Second)
		if n := a.Counters().Connections; n != 0 {
			t.Errorf("%d connections after %v", n, time.Since(start))
		}
	})
}

// panics is a log that cannot be written.
type panics struct{}

func (panics) Write([]byte) (int, error) { panic("no log") }

// A panic that not even the log takes ends the connection, and nothing else.
func TestPlainPanicsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("reddit")
		cfg := config(t, m)
		cfg.Log = slog.New(slog.NewTextHandler(panics{}, &slog.HandlerOptions{Level: slog.LevelError}))
		a := api.New(cfg)
		s := a.Server()
		p := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.Serve(a.Listener(p)) }()
		conn := p.dial()
		go io.Copy(io.Discard, conn)
		post := posts("/"+news.String(), plainFields+"Content-Length: {n}\r\n", "Cool!")
		conn.Write(post)
		synctest.Wait()
		m.set(func() { m.addPanic = "oops" })
		conn.Write(post)
		synctest.Wait()
		if n := a.Counters().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
		conn.Close()
		s.Close()
		<-done
	})
}

// A plain post under way is answered before the server is down, and net/http's
// taking its connection for an idle one does not cut it.
func TestPlainShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("reddit")
		a := api.New(config(t, m))
		s := a.Server()
		p := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.Serve(a.Listener(p)) }()
		conn := p.dial()
		br := bufio.NewReader(conn)
		post := func(body string) {
			conn.Write(posts("/"+news.String(), plainFields+"Content-Length: {n}\r\n", body))
		}
		answered := func(status int) {
			t.Helper()
			r, err := http.ReadResponse(br, nil)
			if err != nil || r.StatusCode != status {
				t.Fatal(r, err)
			}
			io.Copy(io.Discard, r.Body)
		}
		post("1st")
		answered(http.StatusCreated)
		synctest.Wait() // until net/http has the connection for an idle one
		m.set(func() { m.adding = make(chan struct{}) })
		post("2nd")
		synctest.Wait()
		down := make(chan error, 1)
		start := time.Now()
		go func() { down <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		time.Sleep(time.Minute)
		select {
		case err := <-down:
			t.Fatal("down before the answer: ", err)
		default:
		}
		m.adding <- struct{}{}
		answered(http.StatusCreated)
		if err := <-down; err != nil || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
		if b, err := io.ReadAll(br); len(b) > 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if n := a.Counters().Connections; n != 0 || m.count() != 2 {
			t.Errorf("%d connections, %d comments", n, m.count())
		}
		<-done
	})
}

// Plain requests do pass net/http by where they should, and nothing else does.
func TestPlainIsPlain(t *testing.T) {
	plain, others := plainRequests(plainTag(t))
	for name, request := range plain {
		t.Run(name, func(t *testing.T) {
			same, other := plain["post"], plain["get"]
			if bytes.HasPrefix(request, []byte("GET")) {
				same, other = other, same
			}
			two := append(bytes.Clone(other), other...)
			for _, tt := range []struct {
				pieces     [][]byte
				with, http int64
			}{
				{[][]byte{request, request}, 1, 2}, // net/http has the first of a connection
				{[][]byte{request, request, request}, 1, 3},
				{[][]byte{other, request, request}, 2, 3}, // and the first after something else
				{[][]byte{other, request, request, other, request, request, same, other, same}, 6, 9},
				{[][]byte{same, request[:40], request[40:]}, 2, 2},
				{[][]byte{same, append(bytes.Clone(request), other...)}, 3, 3}, // not alone in its read
				// What net/http had to tell apart once, it has from then on.
				{[][]byte{same, two, same, request, request}, 6, 6},
			} {
				if with, without := plainAgrees(t, plainCase{pieces: tt.pieces}); with != tt.with || without != tt.http {
					t.Errorf("%q: %d by net/http, and %d of all; want %d and %d", tt.pieces, with, without, tt.with, tt.http)
				}
			}
		})
	}
	// What must be waited for is net/http's, which sees a client go.
	if with, without := plainAgrees(t, plainCase{pieces: [][]byte{plain["get"], plain["get"], plain["get"]}, mode: plainNew}); with != without {
		t.Errorf("%d of %d by net/http, of ids that are not at hand", with, without)
	}
	for name, request := range others {
		for _, first := range [][]byte{plain["post"], plain["get"]} {
			if with, without := plainAgrees(t, plainCase{pieces: [][]byte{first, request}}); with != without {
				t.Errorf("%s is taken for a plain request", name)
			}
		}
	}
}

// Streams of such requests, cut and spoiled anywhere.
func TestPlainRandomly(t *testing.T) {
	plain, others := plainRequests(plainTag(t))
	var all [][]byte
	for _, requests := range []map[string][]byte{plain, others} {
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			all = append(all, requests[name])
		}
	}
	const spoilt = "\r\n :\x00P/1"
	runs := 1000
	if testing.Short() {
		runs = 100
	}
	for seed := range runs {
		r := rand.New(rand.NewPCG(uint64(seed), 0))
		c := plainCase{mode: r.IntN(len(plainModes)), rush: r.IntN(2) == 0, pieces: [][]byte{plain["post"]}}
		if r.IntN(2) == 0 {
			c.pieces = append(c.pieces, plain["get"])
		}
		for range 1 + r.IntN(5) {
			request := bytes.Clone(all[r.IntN(len(all))])
			for r.IntN(4) == 0 && len(request) > 0 {
				switch at := r.IntN(len(request)); r.IntN(3) {
				case 0:
					request[at] = spoilt[r.IntN(len(spoilt))]
				case 1:
					request = append(request[:at], request[at+1:]...)
				case 2:
					request = append(request[:at], append([]byte("\r\n\r\n"), request[at:]...)...)
				}
			}
			for r.IntN(4) == 0 && len(request) > 0 {
				at := 1 + r.IntN(len(request))
				c.pieces = append(c.pieces, request[:at])
				request = request[at:]
			}
			if n := len(c.pieces) - 1; r.IntN(6) == 0 {
				c.pieces[n] = append(bytes.Clone(c.pieces[n]), request...)
			} else {
				c.pieces = append(c.pieces, request)
			}
		}
		if plainAgrees(t, c); t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

func FuzzPlain(f *testing.F) {
	plain, others := plainRequests(`"x"`)
	for _, requests := range []map[string][]byte{plain, others} {
		for _, request := range requests {
			f.Add(request, uint16(0), byte(0))
			f.Add(append(bytes.Clone(request), request...), uint16(len(request)), byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16, mode byte) {
		if len(stream) > 16<<10 {
			return
		}
		at := min(int(cut), len(stream))
		pieces := [][]byte{plain["post"], stream[:at], stream[at:]}
		if mode&2 != 0 {
			pieces = slices.Insert(pieces, 1, plain["get"])
		}
		plainAgrees(t, plainCase{pieces: pieces, mode: int(mode >> 2), rush: mode&1 == 1})
	})
}
