package discover_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rtcKey is a server's key.
var rtcKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func rtcHello(nonce, server, asker [32]byte) (hello, signature []byte, err error) {
	pub := rtcKey.Public().(ed25519.PublicKey)
	return comntr.SignHelloRTC(rtcKey, comntr.Hello{
		Protocol: comntr.ProtocolVersion, Software: "test/1", Key: hex.EncodeToString(pub), PeerID: comntr.PeerID(pub),
		Expires: time.Now().Add(time.Hour), Communities: []comntr.Hash{reddit},
	}, nonce, server, asker)
}

// serveRTC runs a server on loopback. change may change its configuration.
func serveRTC(t testing.TB, h http.Handler, change ...func(*discover.RTCConfig)) *discover.RTC {
	t.Helper()
	r, run := openRTC(t, h, change...)
	run()
	return r
}

// openRTC is serveRTC in two steps: what it returns runs the server.
func openRTC(t testing.TB, h http.Handler, change ...func(*discover.RTCConfig)) (*discover.RTC, func()) {
	t.Helper()
	cfg := discover.RTCConfig{
		Listen: "127.0.0.1:0", Communities: []comntr.Hash{reddit},
		Guard: comntr.Guard{AllowPrivate: true}, STUN: []string{}, NoLimits: true,
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := discover.NewRTC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx, h, rtcHello) }()
		t.Cleanup(func() {
			cancel()
			<-done
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if all, open := r.Connections(); all != 0 || open != 0 {
				t.Errorf("%d connections, %d of them open, are left after Close", all, open)
			}
		})
		for { // Answer works as soon as Run has begun
			if _, err := r.Answer(context.Background(), ""); !errors.Is(err, discover.ErrRTCClosed) {
				return
			}
		}
	}
}

func TestRTCHello(t *testing.T) {
	r := serveRTC(t, http.NotFoundHandler())
	c := dialRTC(t, r.Answer, nil)
	nonce := sum256("nonce")
	c.start(reddit, nonce[:])
	h := <-c.greeted
	if h.Extension != comntr.WireExtension {
		t.Errorf("the server's number for comntr is %d", h.Extension)
	}
	got, err := comntr.OpenHelloRTC(h.Hello, h.Signature, nonce, c.server, c.fingerprint, time.Now())
	if err != nil || got.Key != hex.EncodeToString(rtcKey.Public().(ed25519.PublicKey)) {
		t.Fatalf("the hello: %+v, %v", got, err)
	}
	// Nobody in between can show it as his own: he would stand in one of the
	// two certificates' place.
	for _, other := range [][2][32]byte{{sum256("another"), c.fingerprint}, {c.server, sum256("another")}, {c.fingerprint, c.server}} {
		if _, err := comntr.OpenHelloRTC(h.Hello, h.Signature, nonce, other[0], other[1], time.Now()); err == nil {
			t.Error("a hello between other certificates is taken")
		}
	}
}

// echo answers with what it was asked.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-From", r.RemoteAddr)
	w.Header().Add("X-Two", "1")
	w.Header().Add("X-Two", "2")
	w.WriteHeader(http.StatusTeapot)
	fmt.Fprintf(w, "%s %s %d %s\n%s", r.Method, r.URL, r.ContentLength, r.Header.Get("Accept"), body)
})

func TestRTCRequests(t *testing.T) {
	r := serveRTC(t, echo)
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	for _, c2 := range []struct{ method, path, body, want string }{
		{"GET", "/a/b?c=d%20e", "", "GET /a/b?c=d%20e 0 text/x\n"},
		{"POST", "/", "Cool!", "POST / 5 text/x\nCool!"},
		{"POST", "/big", strings.Repeat("x", comntr.MaxFrameBody), "POST /big 65536 text/x\n" + strings.Repeat("x", comntr.MaxFrameBody)},
		{"HEAD", "/", "", ""},
	} {
		req := must(http.NewRequest(c2.method, "http://rtc"+c2.path, strings.NewReader(c2.body)))
		req.Header.Set("Accept", "text/x")
		resp, err := c.http().Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", c2.method, c2.path, err)
		}
		b := must(io.ReadAll(resp.Body))
		if resp.StatusCode != http.StatusTeapot || string(b) != c2.want {
			t.Errorf("%s %s: %d %.80q, want %.80q", c2.method, c2.path, resp.StatusCode, b, c2.want)
		}
		if from, err := netip.ParseAddrPort(resp.Header.Get("X-From")); err != nil || from.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("the handler took %q for the asker's address", resp.Header.Get("X-From"))
		}
		if two := resp.Header.Get("X-Two"); two != "1, 2" {
			t.Errorf("two values of one field came as %q", two)
		}
	}
}

// TestRTCAtOnce: many requests share the channel, larger than any window, and
// every byte comes back to its own.
func TestRTCAtOnce(t *testing.T) {
	const size = comntr.FrameWindow * 3 / 2
	r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var gz io.Writer = w
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			gz = z
		}
		for range size / 1024 {
			fmt.Fprintf(gz, "%-1023s\n", r.URL.Path)
		}
	}))
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	var wg sync.WaitGroup
	for i := range discover.MaxRequests {
		wg.Go(func() {
			path := fmt.Sprintf("/%d", i)
			req := must(http.NewRequest("GET", "http://rtc"+path, nil))
			if i%2 == 1 {
				req.Header.Set("Accept-Encoding", "gzip")
			}
			resp, err := c.http().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			var body io.Reader = resp.Body
			if i%2 == 1 {
				body = must(gzip.NewReader(body))
			}
			b, err := io.ReadAll(body)
			if err != nil || string(b) != strings.Repeat(fmt.Sprintf("%-1023s\n", path), size/1024) {
				t.Errorf("request %d: %d bytes, %v", i, len(b), err)
			}
		})
	}
	wg.Wait()
}

// TestRTCStream: what is flushed arrives at once, and a cancel reaches the
// handler.
func TestRTCStream(t *testing.T) {
	next, gone := make(chan string), make(chan struct{})
	r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		defer close(gone)
		for {
			select {
			case s := <-next:
				rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
				io.WriteString(w, s)
				if err := rc.Flush(); err != nil {
					t.Error(err)
				}
			case <-r.Context().Done():
				return
			}
		}
	}))
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	a := must(c.ask(comntr.FrameHead{Method: "GET", Path: "/events"}, nil))
	for _, s := range []string{"one", "two", "three"} {
		next <- s
		b := make([]byte, len(s))
		if _, err := io.ReadFull(a, b); err != nil || string(b) != s {
			t.Fatalf("%q, %v", b, err)
		}
	}
	a.Close()
	<-gone
	// The connection is as good as before.
	if _, err := c.ask(comntr.FrameHead{Method: "GET", Path: "/"}, nil); err != nil {
		t.Error(err)
	}
}

// TestRTCCut: a handler that aborts does not look like one that ended.
func TestRTCCut(t *testing.T) {
	r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	resp := must(c.http().Get("http://rtc/"))
	if b, err := io.ReadAll(resp.Body); !errors.Is(err, errCut) || string(b) != "half" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestRTCDeadlines: what internal/api sets holds as over TCP.
func TestRTCDeadlines(t *testing.T) {
	errs := make(chan error, 1)
	r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		var err error
		if r.Method == "POST" {
			err = rc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if err == nil {
				_, err = io.ReadAll(r.Body)
			}
		} else {
			err = rc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			for err == nil {
				_, err = w.Write(make([]byte, comntr.MaxFrameData))
			}
		}
		errs <- err
		panic(http.ErrAbortHandler)
	}))
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	for _, f := range []comntr.Frame{
		{Type: comntr.FrameRequest, Request: 1, Payload: comntr.FrameHead{Method: "POST", Path: "/", Length: 5}.Append(nil)}, // and no body
		{Type: comntr.FrameRequest, Request: 2, Payload: comntr.FrameHead{Method: "GET", Path: "/"}.Append(nil)},             // and no credit
	} {
		if err := c.frame(f); err != nil {
			t.Fatal(err)
		}
		var err error
		select {
		case err = <-errs:
		case <-time.After(9 * time.Second): // less than sendStall
			t.Fatalf("%s: no deadline passed", f.Payload)
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v", f.Payload, err)
		}
	}
	c.last = 2
	if a, err := c.ask(comntr.FrameHead{Method: "POST", Path: "/"}, []byte("x")); err != nil {
		t.Errorf("the connection did not outlive it: %v", err)
	} else if _, ok := <-a.head; ok {
		t.Error("an answer")
	}
}

func TestRTCLite(t *testing.T) {
	r, run := openRTC(t, echo)
	r.Lite()
	run()
	var answer string
	c := dialRTC(t, func(ctx context.Context, sdp string) (a string, err error) {
		answer, err = r.Answer(ctx, sdp)
		return answer, err
	}, nil)
	c.start(reddit, nil)
	if status, _ := c.get("/"); status != http.StatusTeapot {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(answer, "a=ice-lite\r\n") {
		t.Errorf("the answer is not ICE-lite's:\n%s", answer)
	}
}

// TestRTCOverTCP: who has no UDP comes by ICE-TCP.
func TestRTCOverTCP(t *testing.T) {
	r := serveRTC(t, echo)
	c := dialRTC(t, func(ctx context.Context, sdp string) (string, error) {
		a, err := r.Answer(ctx, sdp)
		var tcp []string
		for line := range strings.Lines(a) {
			if !strings.Contains(line, "a=candidate") || strings.Contains(line, " tcp ") {
				tcp = append(tcp, line)
			}
		}
		return strings.Join(tcp, ""), err
	}, func(s *webrtc.SettingEngine) {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	})
	c.start(reddit, nil)
	if status, _ := c.get("/"); status != http.StatusTeapot {
		t.Errorf("status %d", status)
	}
}

func TestRTCOverIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Log("no IPv6 on this machine:", err)
		return
	}
	l.Close()
	r := serveRTC(t, echo, func(c *discover.RTCConfig) { c.Listen = "[::1]:0"; c.NoLimits = false })
	c := dialRTC(t, r.Answer, func(s *webrtc.SettingEngine) { s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6}) })
	c.start(reddit, nil)
	resp, err := c.http().Get("http://rtc/")
	if err != nil {
		t.Fatal(err)
	}
	if from, err := netip.ParseAddrPort(resp.Header.Get("X-From")); err != nil || !from.Addr().Is6() {
		t.Errorf("the asker's address is %q", resp.Header.Get("X-From"))
	}
}
