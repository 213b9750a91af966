package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// newCertificates are some that nobody keeps.
func newCertificates() *api.Certificates {
	return api.NewCertificates(nil, func([]byte) error { return nil }, nil, slog.New(slog.DiscardHandler))
}

// runWT serves a over WebTransport on conn until the test ends, or stop.
func runWT(t testing.TB, a *api.API, conn net.PacketConn, certs *api.Certificates) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.WebTransport(conn, certs).Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		a.Stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	}
	t.Cleanup(stop)
	return stop
}

// serveWT starts a server on a free port of 127.0.0.1.
func serveWT(t testing.TB, a *api.API, certs *api.Certificates) (addr string, stop func()) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return conn.LocalAddr().String(), runWT(t, a, conn, certs)
}

// pinned is TLS as a browser does it by serverCertificateHashes: of the key's
// kind, of the life, and of the hashes; nothing else counts.
func pinned(h *comntr.WebTransport, now func() time.Time) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         []string{http3.NextProtoH3},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			leaf, err := x509.ParseCertificate(raw[0])
			if err != nil {
				return err
			}
			sum := sha256.Sum256(raw[0])
			switch life := leaf.NotAfter.Sub(leaf.NotBefore); {
			case leaf.PublicKeyAlgorithm != x509.ECDSA || life > 14*24*time.Hour:
				return fmt.Errorf("%s for %s", leaf.PublicKeyAlgorithm, life)
			case now().Before(leaf.NotBefore) || now().After(leaf.NotAfter):
				return errors.New("not valid now")
			case !slices.ContainsFunc(h.Hashes, func(c comntr.CertHash) bool { return c.SHA256 == hex.EncodeToString(sum[:]) }):
				return errors.New("another certificate")
			}
			return nil
		},
	}
}

var quicClient = &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true}

// dialWT opens a session.
func dialWT(t testing.TB, addr string, h *comntr.WebTransport) (*webtransport.Session, error) {
	t.Helper()
	tr := &webtransport.Transport{TLSClientConfig: pinned(h, time.Now), QUICConfig: quicClient}
	t.Cleanup(func() { tr.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, session, err := tr.Dial(ctx, "https://"+addr+comntr.WebTransportPath, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { session.CloseWithError(0, "") })
	return session, nil
}

func mustDialWT(t testing.TB, addr string, h *comntr.WebTransport) *webtransport.Session {
	t.Helper()
	s, err := dialWT(t, addr, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wtHead is a head as it goes over the wire.
func wtHead(method, path string, headers map[string]string) []byte {
	b, err := json.Marshal(map[string]any{"method": method, "path": path, "headers": headers})
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// wtAnswer is an answer's head.
type wtAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
}

// readWTHead reads an answer's head from a stream.
func readWTHead(r io.Reader) (wtAnswer, error) {
	var a wtAnswer
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return a, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return a, err
	}
	return a, json.Unmarshal(b, &a)
}

// send opens a stream, writes what it is given and ends it.
func send(t testing.TB, s *webtransport.Session, b []byte) *webtransport.Stream {
	t.Helper()
	stream, err := s.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(b); err != nil {
		t.Fatal(err)
	}
	stream.Close()
	return stream
}

// ask asks over a session and returns the whole answer.
func ask(t testing.TB, s *webtransport.Session, method, path string, headers map[string]string, body string) (wtAnswer, []byte, error) {
	t.Helper()
	stream := send(t, s, append(wtHead(method, path, headers), body...))
	a, err := readWTHead(stream)
	if err != nil {
		return a, nil, err
	}
	b, err := io.ReadAll(stream)
	return a, b, err
}

func TestWebTransportLikeHTTP(t *testing.T) {
	c := config(t, nil)
	a := api.New(c)
	certs := newCertificates()
	web := "http://" + serve(t, a)
	addr, _ := serveWT(t, a, certs)
	session := mustDialWT(t, addr, certs.Hello(1))
	topic := "/" + reddit.String() + "/" + news.String()
	post := func(text string) {
		t.Helper()
		head, body, err := ask(t, session, "POST", topic, nil, text)
		id := comntr.NameHash(text).String()
		if err != nil || head.Status != http.StatusCreated || string(body) != id+"\n" || head.Headers["location"] != topic+"/"+id {
			t.Fatalf("%+v %q %v", head, body, err)
		}
	}
	post("Cool!")
	post(strings.Repeat("x", 60000)) // a CAR with it fills more than one buffer
	for _, tt := range []struct {
		method, path string
		headers      map[string]string
		body         string
	}{
		{"GET", "/", nil, ""},
		{"GET", "/", map[string]string{"accept": "text/html"}, ""},
		{"GET", topic, nil, ""},
		{"HEAD", topic, nil, ""},
		{"GET", topic, map[string]string{"accept": comntr.CARType}, ""},
		{"GET", topic, map[string]string{"accept": comntr.CARType, "accept-encoding": "gzip"}, ""},
		{"HEAD", topic, map[string]string{"accept": comntr.CARType}, ""},
		{"GET", topic + "/" + comntr.NameHash("Cool!").String(), nil, ""},
		{"GET", topic + "/" + comntr.NameHash("Cool!").String(), map[string]string{"if-none-match": `"` + comntr.NameHash("Cool!").String() + `"`}, ""},
		{"POST", topic, nil, "Cool!"},
		{"POST", topic, nil, ""},
		{"POST", topic, nil, "Cool\xff!"},
		{"POST", topic, nil, strings.Repeat("a", comntr.MaxDocument+1)},
		{"POST", topic, map[string]string{"content-encoding": "gzip"}, "Cool!"},
		{"POST", "/blocks", nil, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n"},
		{"POST", "/counts", nil, news.String() + "\n"},
		{"OPTIONS", topic, nil, ""},
		{"DELETE", topic, nil, ""},
		{"GET", "/nowhere/at/all/here", nil, ""},
		{"GET", "/topics?x=%zz", nil, ""},
		{"GET", topic + "?a=b", nil, ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, web+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tt.headers {
				r.Header.Set(k, v)
			}
			resp, err := client(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			want, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			head, got, err := ask(t, session, tt.method, tt.path, tt.headers, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if head.Status != resp.StatusCode || !bytes.Equal(got, want) {
				t.Errorf("%d and %d bytes; over HTTP %d and %d", head.Status, len(got), resp.StatusCode, len(want))
			}
			resp.Header.Del("Date")
			if _, ok := head.Headers["content-length"]; !ok {
				resp.Header.Del("Content-Length") // net/http's own
			}
			for k, v := range resp.Header {
				if k == "Connection" {
					continue
				}
				if got := head.Headers[strings.ToLower(k)]; got != strings.Join(v, ", ") {
					t.Errorf("%s: %q; over HTTP %q", k, got, v)
				}
				delete(head.Headers, strings.ToLower(k))
			}
			if len(head.Headers) > 0 {
				t.Errorf("besides what HTTP answers: %v", head.Headers)
			}
		})
	}
}

func TestWebTransportPinned(t *testing.T) {
	a := api.New(config(t, newMemory("reddit")))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	if _, err := dialWT(t, addr, newCertificates().Hello(1)); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("with the hashes of another server: %v", err)
	}
	h := certs.Hello(1)
	h.Hashes = h.Hashes[:1]
	s := mustDialWT(t, addr, h)
	if head, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil || head.Status != http.StatusOK {
		t.Errorf("%+v %v", head, err)
	}
}

// Over WebTransport the hello is signed for the origin of the session's URL, and
// for no other that a Host could name.
func TestWebTransportHello(t *testing.T) {
	certs := newCertificates()
	c := config(t, newMemory("reddit"))
	c.PublicURL = "http://comments.example:8080"
	c.Port, c.WebTransportPort = 4080, 4084
	c.Hello = func() comntr.Hello {
		h := testHello()
		h.WebTransport = certs.Hello(4084)
		return h
	}
	a := api.New(c)
	addr, _ := serveWT(t, a, certs)
	_, port, _ := net.SplitHostPort(addr)
	nonce := [32]byte{1}
	path := comntr.HelloPath + "?nonce=" + hex.EncodeToString(nonce[:])
	for _, tt := range []struct{ host, origin string }{
		{addr, "https://" + addr},
		{"localhost:" + port, "https://localhost:" + port},
		{"comments.example:4084", "https://comments.example:4084"},
		{"comments.example:4080", "http://comments.example:8080"},
		{"evil.example:4084", "http://comments.example:8080"},
	} {
		tr := &webtransport.Transport{TLSClientConfig: pinned(certs.Hello(1), time.Now), QUICConfig: quicClient}
		tr.DialAddr = func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, addr, tc, qc)
		}
		_, s, err := tr.Dial(t.Context(), "https://"+tt.host+comntr.WebTransportPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		head, body, err := ask(t, s, "GET", path, map[string]string{"host": "127.0.0.1:4080"}, "")
		if err != nil || head.Status != http.StatusOK {
			t.Fatalf("%+v %v", head, err)
		}
		h, err := comntr.OpenHello(body, nonce, tt.origin, time.Now())
		if err != nil {
			t.Errorf("%s: %v", tt.host, err)
		} else if h.WebTransport == nil || h.WebTransport.Port != 4084 || len(h.WebTransport.Hashes) != 2 {
			t.Errorf("%s: %+v", tt.host, h.WebTransport)
		}
		s.CloseWithError(0, "")
		tr.Close()
	}
}

func TestWebTransportEvents(t *testing.T) {
	m := newMemory("reddit")
	a := api.New(config(t, m))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	s := mustDialWT(t, addr, certs.Hello(1))
	events := send(t, s, wtHead("GET", "/events", nil))
	if head, err := readWTHead(events); err != nil || head.Headers["content-type"] != "text/event-stream" {
		t.Fatalf("%+v %v", head, err)
	}
	until := func(word string) {
		t.Helper()
		events.SetReadDeadline(time.Now().Add(20 * time.Second))
		var got strings.Builder
		b := make([]byte, 1)
		for !strings.Contains(got.String(), word) {
			if _, err := events.Read(b); err != nil {
				t.Fatalf("%q, then %v", got.String(), err)
			}
			got.Write(b)
		}
	}
	until("id: ")
	if head, _, err := ask(t, s, "POST", "/"+reddit.String()+"/"+news.String(), nil, "Cool!"); err != nil || head.Status != http.StatusCreated {
		t.Fatalf("%+v %v", head, err)
	}
	until(comntr.NameHash("Cool!").String())
}

// waitFor waits for what another goroutine does at once.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

func TestWebTransportHeads(t *testing.T) {
	a := api.New(config(t, newMemory("reddit")))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	s := mustDialWT(t, addr, certs.Hello(1))
	head := func(text string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)
	}
	long := strings.Repeat("x", 16<<10-len(`{"method":"GET","path":"/topics","x":""}`))
	for _, tt := range []struct {
		name   string
		sent   []byte
		status int // 0: the stream is reset
	}{
		{"good", head(`{"method":"GET","path":"/topics"}`), 200},
		{"unknown fields", head(`{"method":"GET","path":"/topics","x":[1]}`), 200},
		{"as large as may be", head(`{"method":"GET","path":"/topics","x":"` + long + `"}`), 200},
		{"a byte more", head(`{"method":"GET","path":"/topics","x":"x` + long + `"}`), 431},
		{"too large, and not sent", []byte{0xff, 0xff}, 431},
		{"nothing", nil, 0},
		{"half a length", []byte{0}, 0},
		{"half a head", head(`{"method":"GET","path":"/topics"}`)[:20], 0},
		{"empty", head(""), 400},
		{"no JSON", head("GET / HTTP/1.1"), 400},
		{"deep", head(strings.Repeat("[", 16000)), 400},
		{"null", head("null"), 400},
		{"no path", head(`{"method":"GET"}`), 400},
		{"no method", head(`{"path":"/"}`), 400},
		{"a method of two words", head(`{"method":"GET /","path":"/"}`), 400},
		{"another server's", head(`{"method":"GET","path":"http://example.com/"}`), 400},
		{"a broken escape", head(`{"method":"GET","path":"/%zz"}`), 400},
		{"a number", head(`{"method":"GET","path":"/","headers":{"accept":1}}`), 400},
		{"upper case", head(`{"method":"GET","path":"/","headers":{"Accept":"*/*"}}`), 400},
		{"no name", head(`{"method":"GET","path":"/","headers":{"":"x"}}`), 400},
		{"a space in the path", head(`{"method":"GET","path":"/a b"}`), 400},
		{"a path beyond ASCII", head(`{"method":"GET","path":"/é"}`), 400},
		{"an escape", head(`{"method":"GET","path":"/","headers":{"accept":"\u001b[31m"}}`), 400},
		{"a line break", head(`{"method":"GET","path":"/","headers":{"accept":"a\nb: c"}}`), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream := send(t, s, tt.sent)
			stream.SetReadDeadline(time.Now().Add(20 * time.Second))
			got, err := readWTHead(stream)
			if tt.status == 0 {
				if e := new(webtransport.StreamError); !errors.As(err, &e) {
					t.Fatalf("%+v %v", got, err)
				}
				return
			}
			if err != nil || got.Status != tt.status {
				t.Fatalf("%+v %v", got, err)
			}
			body, err := io.ReadAll(stream)
			if err != nil {
				t.Fatal(err)
			}
			var p comntr.Problem
			if tt.status >= 400 && (json.Unmarshal(body, &p) != nil || p.Code != comntr.CodeBadRequest || p.Status != tt.status || got.Headers["access-control-allow-origin"] != "*") {
				t.Errorf("%v %s", got.Headers, body)
			}
		})
	}
}

// A body that is cut off is not stored.
func TestWebTransportCutBody(t *testing.T) {
	m := newMemory("reddit")
	a := api.New(config(t, m))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	s := mustDialWT(t, addr, certs.Hello(1))
	stream, err := s.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	stream.Write(append(wtHead("POST", "/"+reddit.String()+"/"+news.String(), nil), "Coo"...))
	stream.CancelWrite(0)
	head, err := readWTHead(stream)
	// The reset may overtake the head.
	if err == nil && head.Status != http.StatusBadRequest {
		t.Errorf("%+v", head)
	}
	if m.count() != 0 {
		t.Errorf("%d comments are stored", m.count())
	}
}

// An answer that breaks off in the middle does not end like a whole one.
func TestWebTransportCutAnswer(t *testing.T) {
	m := newMemory("reddit")
	a := api.New(config(t, m))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	s := mustDialWT(t, addr, certs.Hello(1))
	topic := "/" + reddit.String() + "/" + news.String()
	if _, _, err := ask(t, s, "POST", topic, nil, "Cool!"); err != nil {
		t.Fatal(err)
	}
	m.set(func() { m.carErr, m.carBytes = errors.New("damaged"), 100_000 })
	head, body, err := ask(t, s, "GET", topic, map[string]string{"accept": comntr.CARType}, "")
	if e := new(webtransport.StreamError); !errors.As(err, &e) {
		t.Errorf("%+v, %d bytes, %v", head, len(body), err)
	}
}

func TestWebTransportWrongDoors(t *testing.T) {
	a := api.New(config(t, newMemory("reddit")))
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	tr := &webtransport.Transport{TLSClientConfig: pinned(certs.Hello(1), time.Now), QUICConfig: quicClient}
	defer tr.Close()
	for _, path := range []string{"/", "/webtransport/", "/topics"} {
		resp, s, err := tr.Dial(t.Context(), "https://"+addr+path, nil)
		if err == nil {
			s.CloseWithError(0, "")
		}
		if resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
	// Plain HTTP/3 finds nothing, not even what the API would answer.
	h3 := &http3.Transport{TLSClientConfig: pinned(certs.Hello(1), time.Now)}
	defer h3.Close()
	for _, path := range []string{"/topics", comntr.WebTransportPath} {
		resp, err := (&http.Client{Transport: h3}).Get("https://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var p comntr.Problem
		if resp.StatusCode != http.StatusNotFound || json.Unmarshal(body, &p) != nil || p.Code != comntr.CodeNotFound {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	// A connection has one session.
	conn, err := quic.DialAddr(t.Context(), addr, pinned(certs.Hello(1), time.Now), quicClient)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	cc, err := tr.NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		resp, s, err := cc.Dial(t.Context(), "https://"+addr+comntr.WebTransportPath, nil)
		if resp == nil || (resp.StatusCode == http.StatusOK) != (i == 0) {
			t.Errorf("session %d: %v %v", i, resp, err)
		}
		if err == nil {
			defer s.CloseWithError(0, "")
		}
	}
}

func TestWebTransportSessionsAreBounded(t *testing.T) {
	c := config(t, newMemory("reddit"))
	c.Rate = 2
	a := api.New(c)
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	h := certs.Hello(1)
	var sessions []*webtransport.Session
	for range api.MaxSessionsAddr {
		sessions = append(sessions, mustDialWT(t, addr, h))
	}
	_, err := dialWT(t, addr, h)
	if e := new(quic.TransportError); !errors.As(err, &e) || e.ErrorCode != quic.ConnectionRefused {
		t.Fatalf("one more: %v", err)
	}
	sessions[0].CloseWithError(0, "")
	waitFor(t, func() bool { _, err := dialWT(t, addr, h); return err == nil })
}

// An address that has used up its bytes opens no sessions.
func TestWebTransportByteLimits(t *testing.T) {
	c := config(t, newMemory("reddit"))
	c.Rate = 2
	a := api.New(c)
	certs := newCertificates()
	addr, _ := serveWT(t, a, certs)
	s := mustDialWT(t, addr, certs.Hello(1))
	a.SpendBytes("127.0.0.1:1", 1<<30)
	head, _, err := ask(t, s, "GET", comntr.HelloPath+"?nonce="+strings.Repeat("00", 32), nil, "")
	if err != nil || head.Status != http.StatusTooManyRequests || head.Headers["retry-after"] == "" {
		t.Errorf("%+v %v", head, err)
	}
	if _, err := dialWT(t, addr, certs.Hello(1)); err == nil {
		t.Error("a session is opened")
	}
}

// FuzzRequestHead: what a head makes is what net/http could have made.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		`{"method":"GET","path":"/topics","headers":{"accept":"text/html"}}`, `{"method":"POST","path":"/a/b?c=d"}`,
		`{"method":"GET","path":"//x"}`, `{"method":"GET","path":"/%2e%2e"}`, `{"method":"GET","path":"/","headers":{"x":"\u0000"}}`, `null`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := api.ParseHead(b)
		if err != nil {
			return
		}
		if r.Method == "" || strings.ContainsAny(r.Method, " \r\n") || r.RequestURI[0] != '/' || strings.ContainsAny(r.RequestURI, " \r\n\x00") || r.URL.Host != "" && !strings.HasPrefix(r.RequestURI, "//") {
			t.Fatalf("%q %q %+v", r.Method, r.RequestURI, r.URL)
		}
		var wire bytes.Buffer
		fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: x\r\n", r.Method, r.RequestURI)
		for k, v := range r.Header {
			if http.CanonicalHeaderKey(k) != k || len(v) != 1 {
				t.Fatalf("%q: %q", k, v)
			}
			fmt.Fprintf(&wire, "%s: %s\r\n", k, v[0])
		}
		wire.WriteString("\r\n")
		same, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("net/http does not take it: %v", err)
		}
		if same.Method != r.Method || same.URL.EscapedPath() != r.URL.EscapedPath() || same.URL.RawQuery != r.URL.RawQuery {
			t.Fatalf("net/http reads %s %s, not %s %s", same.Method, same.URL, r.Method, r.URL)
		}
	})
}
