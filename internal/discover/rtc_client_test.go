package discover_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
)

// rtcClient is a browser, but for the browser: it offers, opens a data channel,
// and speaks SPEC.md's protocol on it. It is an http.RoundTripper.
type rtcClient struct {
	t           testing.TB
	pc          *webrtc.PeerConnection
	raw         datachannel.ReadWriteCloser
	in          io.Reader
	fingerprint [32]byte
	server      [32]byte // the fingerprint in the answer
	number      byte     // the server's for comntr

	mu      sync.Mutex
	writing sync.Mutex
	last    uint32
	answers map[uint32]*rtcAnswer
	err     error
	done    chan struct{}
	greeted chan comntr.ExtendedHandshake
}

// rtcAnswer is an answer as it comes.
type rtcAnswer struct {
	c      *rtcClient
	id     uint32
	head   chan comntr.FrameHead
	mu     sync.Mutex
	wake   chan struct{}
	data   bytes.Buffer
	err    error // io.EOF at the end
	unread int   // bytes read since credit was last given
}

// rtcOffer makes a peer connection with an offer of one data channel, complete.
func rtcOffer(t testing.TB, set func(*webrtc.SettingEngine), init *webrtc.DataChannelInit) (*webrtc.PeerConnection, *webrtc.DataChannel, string, [32]byte) {
	t.Helper()
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.DetachDataChannels()
	if set != nil {
		set(&s)
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := must(webrtc.GenerateCertificate(key))
	pc := must(webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}}))
	t.Cleanup(func() { pc.GracefulClose() })
	dc := must(pc.CreateDataChannel("a", init))
	offer := must(pc.CreateOffer(nil))
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	sdp := pc.LocalDescription().SDP
	return pc, dc, sdp, fingerprintIn(t, sdp)
}

// fingerprintIn reads the one fingerprint of an SDP, as SPEC.md says.
func fingerprintIn(t testing.TB, sdp string) [32]byte {
	t.Helper()
	var found string
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "a=fingerprint:sha-256 "); ok {
			if found != "" && found != v {
				t.Fatal("two fingerprints")
			}
			found = v
		}
	}
	b := must(hex.DecodeString(strings.ReplaceAll(found, ":", "")))
	return [32]byte(b)
}

// dialRTC offers to r and waits for the open data channel.
func dialRTC(t testing.TB, answer func(context.Context, string) (string, error), set func(*webrtc.SettingEngine)) *rtcClient {
	t.Helper()
	pc, dc, sdp, fp := rtcOffer(t, set, nil)
	c := &rtcClient{
		t: t, pc: pc, fingerprint: fp, answers: map[uint32]*rtcAnswer{}, number: comntr.WireExtension,
		done: make(chan struct{}), greeted: make(chan comntr.ExtendedHandshake, 4),
	}
	opened := make(chan datachannel.ReadWriteCloser, 1)
	dc.OnOpen(func() {
		raw, err := dc.Detach()
		if err != nil {
			t.Error(err)
			return
		}
		opened <- raw
	})
	a, err := answer(t.Context(), sdp)
	if err != nil {
		t.Fatal(err)
	}
	c.server = fingerprintIn(t, a)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a}); err != nil {
		t.Fatalf("%v in\n%s", err, a)
	}
	select {
	case c.raw = <-opened:
	case <-time.After(time.Minute):
		t.Fatalf("no data channel; the answer was\n%s", a)
	}
	c.in = &chunkReader{r: c.raw, buf: make([]byte, 64<<10)}
	return c
}

// chunkReader makes messages a stream.
type chunkReader struct {
	r         io.Reader
	buf, rest []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		n, err := r.r.Read(r.buf)
		if err != nil {
			return 0, err
		}
		r.rest = r.buf[:n]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (c *rtcClient) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		if _, err := c.raw.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// start speaks the handshakes; nonce may be nil. From then on frames are read.
func (c *rtcClient) start(infohash comntr.Hash, nonce []byte) {
	c.t.Helper()
	b := comntr.WireHandshake{Infohash: infohash, PeerID: [20]byte([]byte("-WW0203-abcdefghijkl")), Extended: true}.Append(nil)
	b = comntr.ExtendedHandshake{Extension: 7, Nonce: nonce}.Append(b)
	if err := c.write(b); err != nil {
		c.t.Fatal(err)
	}
	h, err := comntr.ReadWireHandshake(c.in)
	if err != nil || h.Infohash != infohash || !h.Extended {
		c.t.Fatalf("the server's handshake: %+v, %v", h, err)
	}
	go c.read()
}

// read takes the server's messages until the channel ends.
func (c *rtcClient) read() {
	var buf []byte
	var err error
	for err == nil {
		var m []byte
		if m, err = comntr.ReadWireMessage(c.in, buf, comntr.MaxWireAnswer); err == nil {
			buf = m
			err = c.message(m)
		}
	}
	c.mu.Lock()
	c.err = err
	all := c.answers
	c.answers = map[uint32]*rtcAnswer{}
	c.mu.Unlock()
	for _, a := range all {
		a.end(fmt.Errorf("the channel ended: %w", err))
	}
	close(c.done)
}

func (c *rtcClient) message(m []byte) error {
	switch {
	case len(m) == 0:
		return nil
	case len(m) < 2 || m[0] != comntr.WireExtended:
		return fmt.Errorf("message %d from a server", m[0])
	case m[1] == 0:
		h, err := comntr.ParseExtendedHandshake(bytes.Clone(m[2:]))
		if err == nil {
			c.greeted <- h
		}
		return err
	case m[1] != 7:
		return fmt.Errorf("extension %d was never named", m[1])
	}
	f, err := comntr.ParseFrame(m[2:])
	if err != nil {
		return err
	}
	c.mu.Lock()
	a := c.answers[f.Request]
	if f.Type == comntr.FrameEnd || f.Type == comntr.FrameCancel {
		delete(c.answers, f.Request)
	}
	c.mu.Unlock()
	if a == nil {
		return nil // canceled
	}
	switch f.Type {
	case comntr.FrameAnswer:
		h, err := comntr.ParseFrameHead(f.Type, f.Payload)
		if err != nil {
			return err
		}
		a.head <- h
	case comntr.FrameData:
		a.mu.Lock()
		a.data.Write(f.Payload)
		a.mu.Unlock()
		a.signal()
	case comntr.FrameEnd:
		a.end(io.EOF)
	case comntr.FrameCancel:
		a.end(errCut)
	}
	return nil
}

var errCut = errors.New("the server cut the answer off")

func (a *rtcAnswer) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *rtcAnswer) end(err error) {
	a.mu.Lock()
	a.err = err
	a.mu.Unlock()
	close(a.head)
	a.signal()
}

func (a *rtcAnswer) Read(p []byte) (int, error) {
	for {
		a.mu.Lock()
		n, _ := a.data.Read(p)
		err := a.err
		a.unread += n
		give := 0
		if a.unread >= comntr.FrameWindow/2 {
			give, a.unread = a.unread, 0
		}
		a.mu.Unlock()
		if give > 0 {
			a.c.credit(a.id, give)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		<-a.wake
	}
}

func (c *rtcClient) frame(f comntr.Frame) error { return c.write(f.Append(nil, c.number)) }

func (c *rtcClient) credit(id uint32, n int) {
	c.frame(comntr.Frame{Type: comntr.FrameCredit, Request: id, Payload: binary.BigEndian.AppendUint32(nil, uint32(n))})
}

func (a *rtcAnswer) Close() error {
	a.c.mu.Lock()
	_, running := a.c.answers[a.id]
	delete(a.c.answers, a.id)
	a.c.mu.Unlock()
	if running {
		a.c.frame(comntr.Frame{Type: comntr.FrameCancel, Request: a.id})
	}
	return nil
}

// ask sends a request and returns its answer as it comes.
func (c *rtcClient) ask(head comntr.FrameHead, body []byte) (*rtcAnswer, error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.last++
	a := &rtcAnswer{c: c, id: c.last, head: make(chan comntr.FrameHead, 1), wake: make(chan struct{}, 1)}
	c.answers[a.id] = a
	head.Length = len(body)
	b := comntr.Frame{Type: comntr.FrameRequest, Request: a.id, Payload: head.Append(nil)}.Append(nil, c.number)
	for len(body) > 0 {
		n := min(len(body), comntr.MaxFrameData)
		b = comntr.Frame{Type: comntr.FrameData, Request: a.id, Payload: body[:n]}.Append(b, c.number)
		body = body[n:]
	}
	err := c.write(b) // under the lock: numbers must arrive in order
	c.mu.Unlock()
	return a, err
}

func (c *rtcClient) RoundTrip(r *http.Request) (*http.Response, error) {
	head := comntr.FrameHead{Method: r.Method, Path: r.URL.RequestURI(), Header: map[string]string{}}
	for k, v := range r.Header {
		head.Header[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	a, err := c.ask(head, body)
	if err != nil {
		return nil, err
	}
	select {
	case h, ok := <-a.head:
		if !ok {
			return nil, a.err
		}
		resp := &http.Response{
			StatusCode: h.Status, Status: fmt.Sprintf("%d %s", h.Status, http.StatusText(h.Status)),
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: a, ContentLength: -1, Request: r,
		}
		for k, v := range h.Header {
			resp.Header.Set(k, v)
		}
		return resp, nil
	case <-r.Context().Done():
		a.Close()
		return nil, r.Context().Err()
	}
}

// http is a client for HTTP over the channel.
func (c *rtcClient) http() *http.Client { return &http.Client{Transport: c} }

// get asks for a path and returns the answer's status and body.
func (c *rtcClient) get(path string) (int, string) {
	c.t.Helper()
	resp, err := c.http().Get("http://rtc" + path)
	if err != nil {
		c.t.Fatalf("GET %s: %v", path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("GET %s: %v", path, err)
	}
	return resp.StatusCode, string(b)
}

// ended waits until the server has closed the connection.
func (c *rtcClient) ended() {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(9 * time.Second): // less than helloTime
		c.t.Fatal("the server keeps the connection")
	}
}

func sum256(s string) [32]byte { return sha256.Sum256([]byte(s)) }
