package discover_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// handshake is the wire's, then an extended handshake with our number 7.
func handshake(infohash comntr.Hash) []byte {
	b := comntr.WireHandshake{Infohash: infohash, Extended: true}.Append(nil)
	return comntr.ExtendedHandshake{Extension: 7}.Append(b)
}

// silence drains what the server says until it closes the channel.
func (c *rtcClient) silence() {
	go func() {
		io.Copy(io.Discard, c.in)
		close(c.done)
	}()
	c.ended()
}

// TestRTCBrokenProtocol: who breaks the protocol is dropped at once, and the
// next asker is served.
func TestRTCBrokenProtocol(t *testing.T) {
	request := func(id uint32, length int) comntr.Frame {
		return comntr.Frame{Type: comntr.FrameRequest, Request: id, Payload: comntr.FrameHead{Method: "POST", Path: "/", Length: length}.Append(nil)}
	}
	frames := func(list ...comntr.Frame) []byte {
		b := handshake(reddit)
		for _, f := range list {
			b = f.Append(b, comntr.WireExtension)
		}
		return b
	}
	idle := comntr.ExtendedHandshake{}.Append(comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil))
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: rtc\r\n\r\n" + strings.Repeat(" ", comntr.WireHandshakeSize))},
		{"another community", handshake(comntr.NameHash("another"))},
		{"a message too large", append(handshake(reddit), 0xff, 0xff, 0xff, 0xff)},
		{"a message a byte too large", binary.BigEndian.AppendUint32(handshake(reddit), comntr.MaxWireRequest+1)},
		{"an extended handshake that is none", append(comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil), 0, 0, 0, 3, 20, 0, 'x')},
		{"a nonce of another size", comntr.ExtendedHandshake{Nonce: []byte("short")}.Append(comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil))},
		{"a frame before the extended handshake", request(1, 0).Append(comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil), comntr.WireExtension)},
		{"a frame of who has no number", request(1, 0).Append(idle, comntr.WireExtension)},
		{"a frame that is none", append(handshake(reddit), 0, 0, 0, 3, 20, comntr.WireExtension, 9)},
		{"a head that is none", frames(comntr.Frame{Type: comntr.FrameRequest, Request: 1, Payload: []byte("x")})},
		{"a number twice", frames(request(5, 1), request(5, 1))},
		{"a number smaller than before", frames(request(5, 1), request(4, 1))},
		{"data of no request", frames(comntr.Frame{Type: comntr.FrameData, Request: 1, Payload: []byte("x")})},
		{"credit of no request", frames(comntr.Frame{Type: comntr.FrameCredit, Request: 1, Payload: make([]byte, 4)})},
		{"more data than was said", frames(request(1, 1), comntr.Frame{Type: comntr.FrameData, Request: 1, Payload: []byte("xx")})},
		{"a server's frame", frames(request(1, 1), comntr.Frame{Type: comntr.FrameEnd, Request: 1})},
		{"keep-alives without end", append(handshake(reddit), make([]byte, 4*(discover.MaxStray+2))...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.ReadAll(r.Body) // and so waits for it
			}))
			bad := dialRTC(t, r.Answer, nil)
			if err := bad.write(c.b); err != nil {
				t.Fatal(err)
			}
			bad.silence()
			good := dialRTC(t, r.Answer, nil)
			good.start(reddit, nil)
			if status, _ := good.get("/"); status != http.StatusOK {
				t.Errorf("the next one is answered with %d", status)
			}
		})
	}
}

// TestRTCChannels: there is one data channel, reliable and ordered.
func TestRTCChannels(t *testing.T) {
	r := serveRTC(t, echo)
	no, zero := false, uint16(0)
	for name, init := range map[string]*webrtc.DataChannelInit{
		"unordered": {Ordered: &no}, "no retransmits": {MaxRetransmits: &zero}, "no lifetime": {MaxPacketLifeTime: &zero},
	} {
		pc, _, sdp, _ := rtcOffer(t, nil, init)
		gone := make(chan struct{})
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateDisconnected || s == webrtc.PeerConnectionStateFailed {
				select {
				case <-gone:
				default:
					close(gone)
				}
			}
		})
		a := must(r.Answer(t.Context(), sdp))
		if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-gone:
		case <-time.After(9 * time.Second): // less than helloTime
			t.Errorf("%s: the connection stands", name)
		}
	}
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	must(c.pc.CreateDataChannel("second", nil))
	c.ended()
}

// TestRTCLargeMessage: a message of the data channel larger than the answer
// allows ends the connection, however its sender came by the idea.
func TestRTCLargeMessage(t *testing.T) {
	r := serveRTC(t, echo)
	c := dialRTC(t, func(ctx context.Context, sdp string) (string, error) {
		a, err := r.Answer(ctx, sdp)
		if !strings.Contains(a, "a=max-message-size:20480\r\n") {
			t.Errorf("the answer does not say how large a message may be:\n%s", a)
		}
		return strings.Replace(a, "a=max-message-size:20480", "a=max-message-size:1000000", 1), err
	}, nil)
	c.start(reddit, nil)
	if _, err := c.raw.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	c.ended()
}

// TestRTCSilent: who says nothing, or nothing of comntr, is dropped; an
// ordinary WebTorrent client gets a handshake and no more.
func TestRTCSilent(t *testing.T) {
	bounds := discover.RTCBounds{Hello: 300 * time.Millisecond, Speak: time.Second, Idle: 300 * time.Millisecond}
	r, run := openRTC(t, echo)
	r.Bound(bounds)
	run()
	t.Run("no handshake", func(t *testing.T) { dialRTC(t, r.Answer, nil).silence() })
	t.Run("half a handshake", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		c.write(handshake(reddit)[:40])
		c.silence()
	})
	t.Run("a WebTorrent client", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		b := comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil)
		ext := "d1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei31235ee"
		b = append(binary.BigEndian.AppendUint32(b, uint32(2+len(ext))), 20, 0)
		b = append(b, ext...)
		b = append(b, 0, 0, 0, 1, 2) // interested
		c.write(b)
		began := time.Now()
		h, err := comntr.ReadWireHandshake(c.in)
		if err != nil || h.Infohash != reddit || !h.Extended {
			t.Fatalf("%+v, %v", h, err)
		}
		m, err := comntr.ReadWireMessage(c.in, nil, comntr.MaxWireAnswer)
		if want := (comntr.ExtendedHandshake{Extension: comntr.WireExtension}).Append(nil)[4:]; err != nil || !slices.Equal(m, want) {
			t.Errorf("%q, %v", m, err)
		}
		if m, err := comntr.ReadWireMessage(c.in, nil, comntr.MaxWireAnswer); err == nil {
			t.Errorf("a WebTorrent client was told %q", m)
		}
		if d := time.Since(began); d < bounds.Speak-bounds.Hello {
			t.Errorf("it was dropped after %s", d)
		}
	})
	t.Run("idle", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		c.start(reddit, nil)
		c.get("/")
		c.ended()
	})
}

// TestRTCRequestsAreBounded: requests beyond the bounds are refused by a
// problem document, and the others go on.
func TestRTCRequestsAreBounded(t *testing.T) {
	release := make(chan struct{})
	r := serveRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		io.Copy(w, r.Body)
	}))
	for _, c2 := range []struct {
		name string
		n    int
		body string
	}{
		{"requests", discover.MaxRequests, ""},
		{"bodies", discover.MaxBodies / comntr.MaxFrameBody, strings.Repeat("x", comntr.MaxFrameBody)},
	} {
		t.Run(c2.name, func(t *testing.T) {
			c := dialRTC(t, r.Answer, nil)
			c.start(reddit, nil)
			var running []*rtcAnswer
			for range c2.n {
				running = append(running, must(c.ask(comntr.FrameHead{Method: "POST", Path: "/"}, []byte(c2.body))))
			}
			body := c2.body
			if body == "" {
				body = "x"
			}
			resp, err := c.http().Post("http://rtc/", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b := must(io.ReadAll(resp.Body))
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(b), `"code":"busy"`) {
				t.Errorf("one too many: %d %s", resp.StatusCode, b)
			}
			go func() {
				for range c2.n {
					release <- struct{}{}
				}
			}()
			for _, a := range running {
				if b, err := io.ReadAll(a); err != nil || string(b) != c2.body {
					t.Errorf("%d bytes, %v", len(b), err)
				}
			}
		})
	}
	t.Run("a flood", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		c.start(reddit, nil)
		busy := 0
		var all []*rtcAnswer
		for range 2000 {
			all = append(all, must(c.ask(comntr.FrameHead{Method: "GET", Path: "/"}, nil)))
		}
		for _, a := range all[discover.MaxRequests:] {
			if h := <-a.head; h.Status == http.StatusServiceUnavailable {
				busy++
			}
		}
		if busy != len(all)-discover.MaxRequests {
			t.Errorf("%d of %d were refused", busy, len(all)-discover.MaxRequests)
		}
	})
}

// TestRTCReaderThatDoesNotRead: an answer that nobody takes costs a bounded
// number of bytes, whether credit is lacking or the channel is full.
func TestRTCReaderThatDoesNotRead(t *testing.T) {
	var written atomic.Int64
	failed := make(chan error, 1)
	r, run := openRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			n, err := w.Write(make([]byte, 10_000))
			written.Add(int64(n))
			if err != nil {
				failed <- err
				return
			}
		}
	}))
	r.Bound(discover.RTCBounds{Stall: time.Second})
	run()
	t.Run("no credit", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		c.start(reddit, nil)
		resp := must(c.http().Get("http://rtc/"))
		<-failed
		if got := written.Swap(0); got > comntr.FrameWindow+2*comntr.MaxFrameData {
			t.Errorf("%d bytes were written for who has taken none", got)
		}
		// That answer is cut off, the connection lives.
		if n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, comntr.FrameWindow)); n != comntr.FrameWindow || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, errCut) {
			t.Error(err)
		}
		select {
		case <-c.done:
			t.Error("the connection ended")
		default:
		}
	})
	t.Run("credit, and nothing is read", func(t *testing.T) {
		c := dialRTC(t, r.Answer, nil)
		b := handshake(reddit)
		head := comntr.FrameHead{Method: "GET", Path: "/"}.Append(nil)
		b = comntr.Frame{Type: comntr.FrameRequest, Request: 1, Payload: head}.Append(b, comntr.WireExtension)
		for range 8 { // and no overflow
			b = comntr.Frame{Type: comntr.FrameCredit, Request: 1, Payload: []byte{0xff, 0xff, 0xff, 0xff}}.Append(b, comntr.WireExtension)
		}
		if err := c.write(b); err != nil {
			t.Fatal(err)
		}
		<-failed
		// pion's own receive buffer takes a MiB before it says stop.
		if got := written.Swap(0); got > discover.MaxBuffered+1<<20+1<<18 {
			t.Errorf("%d bytes were written for who reads none", got)
		}
		eventually(t, "the connection ends", func() bool {
			_, open := r.Connections()
			return open == 0
		})
	})
}

// TestRTCGone: an asker that vanishes without a word is noticed, while an
// answer waits for something to say.
func TestRTCGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	r, run := openRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	r.Bound(discover.RTCBounds{Failed: 2 * time.Second})
	run()
	// A relay that stops.
	server := net.UDPAddrFromAddrPort(r.Sockets()[0])
	relay := newRelay(t, server)
	c := dialRTC(t, func(ctx context.Context, sdp string) (string, error) {
		a, err := r.Answer(ctx, withoutCandidates(sdp))
		return strings.ReplaceAll(a, fmt.Sprintf(" %d typ host", server.Port), fmt.Sprintf(" %d typ host", relay.port())), err
	}, nil)
	c.start(reddit, nil)
	must(c.ask(comntr.FrameHead{Method: "GET", Path: "/"}, nil))
	<-began
	relay.stop()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the handler still waits")
	}
}

// withoutCandidates takes them out of an SDP, as of a browser that has told
// .local names alone.
func withoutCandidates(sdp string) string {
	var b strings.Builder
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, "a=candidate") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// relay passes UDP packets on between one client and a server.
type relay struct {
	near, far *net.UDPConn
	stopped   atomic.Bool
}

func newRelay(t testing.TB, server *net.UDPAddr) *relay {
	r := &relay{
		near: must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})),
		far:  must(net.DialUDP("udp4", nil, server)),
	}
	var client atomic.Pointer[netip.AddrPort]
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 4096)
		for {
			n, from, err := r.near.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			client.Store(&from)
			if !r.stopped.Load() {
				r.far.Write(b[:n])
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 4096)
		for {
			n, err := r.far.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if to := client.Load(); err == nil && to != nil && !r.stopped.Load() {
				r.near.WriteToUDPAddrPort(b[:n], *to)
			}
		}
	}()
	t.Cleanup(func() { r.near.Close(); r.far.Close(); <-done; <-done })
	return r
}

func (r *relay) port() int { return r.near.LocalAddr().(*net.UDPAddr).Port }
func (r *relay) stop()     { r.stopped.Store(true) }

// TestRTCOffersAreBounded: a flood of offers that nobody follows up ends the
// oldest of them, and does not keep an honest asker out.
func TestRTCOffersAreBounded(t *testing.T) {
	r := serveRTC(t, echo)
	_, _, sdp, _ := rtcOffer(t, nil, nil)
	sdp = withoutCandidates(sdp)
	for range 3 * discover.MaxRTCPending {
		if _, err := r.Answer(t.Context(), sdp); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the oldest are gone", func() bool {
		all, _ := r.Connections()
		return all == discover.MaxRTCPending
	})
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	if status, _ := c.get("/"); status != http.StatusTeapot {
		t.Errorf("status %d", status)
	}
}

// TestRTCOfferIsForgotten: nobody need follow it up.
func TestRTCOfferIsForgotten(t *testing.T) {
	r, run := openRTC(t, echo)
	r.Bound(discover.RTCBounds{Connect: 500 * time.Millisecond})
	run()
	_, _, sdp, _ := rtcOffer(t, nil, nil)
	must(r.Answer(t.Context(), withoutCandidates(sdp)))
	if all, open := r.Connections(); all != 1 || open != 0 {
		t.Errorf("%d connections, %d open", all, open)
	}
	eventually(t, "the offer is forgotten", func() bool {
		all, _ := r.Connections()
		return all == 0
	})
}

// TestRTCWrongCertificate: who holds another certificate than the offer says
// does not get in.
func TestRTCWrongCertificate(t *testing.T) {
	r, run := openRTC(t, echo)
	r.Bound(discover.RTCBounds{Connect: 2 * time.Second})
	run()
	pc, dc, sdp, fp := rtcOffer(t, nil, nil)
	dc.OnOpen(func() { t.Error("the channel opened") })
	wrong := sum256("another")
	a := must(r.Answer(t.Context(), strings.ReplaceAll(sdp, colons(fp), colons(wrong))))
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection ends", func() bool {
		all, _ := r.Connections()
		return all == 0
	})
}

func colons(f [32]byte) string {
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", f[:]), " ", ":"))
}

// TestRTCConnectionsAreBounded: of one address, and in all; who is idle makes
// room.
func TestRTCConnectionsAreBounded(t *testing.T) {
	t.Run("of one address", func(t *testing.T) {
		// Of the machine's addresses it is else chance from which one comes.
		here := func(s *webrtc.SettingEngine) {
			s.SetIPFilter(func(ip net.IP) bool { return ip.String() == "127.0.0.1" })
		}
		r := serveRTC(t, echo, func(c *discover.RTCConfig) { c.NoLimits = false })
		var all []*rtcClient
		for range discover.MaxRTCAddr {
			c := dialRTC(t, r.Answer, here)
			c.start(reddit, nil)
			c.get("/")
			all = append(all, c)
		}
		over := dialRTC(t, r.Answer, here)
		if err := over.write(handshake(reddit)); err == nil {
			if h, err := comntr.ReadWireHandshake(over.in); err == nil {
				t.Errorf("one too many is answered: %+v", h)
			}
		}
		for _, c := range all {
			c.get("/")
		}
		all[0].pc.GracefulClose()
		eventually(t, "a place is free", func() bool {
			_, open := r.Connections()
			return open < discover.MaxRTCAddr
		})
		c := dialRTC(t, r.Answer, here)
		c.start(reddit, nil)
		c.get("/")
	})
	t.Run("in all", func(t *testing.T) {
		began, hold := make(chan struct{}, 2), make(chan struct{})
		r, run := openRTC(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				began <- struct{}{}
				select {
				case <-hold:
				case <-r.Context().Done():
				}
			}
		}))
		r.Bound(discover.RTCBounds{Open: 2, Evict: time.Millisecond})
		run()
		busy, idle := dialRTC(t, r.Answer, nil), dialRTC(t, r.Answer, nil)
		busy.start(reddit, nil)
		a := must(busy.ask(comntr.FrameHead{Method: "GET", Path: "/hold"}, nil))
		<-began
		idle.start(reddit, nil)
		idle.get("/")
		newcomer := dialRTC(t, func(ctx context.Context, sdp string) (a string, err error) {
			for err = discover.ErrRTCBusy; errors.Is(err, discover.ErrRTCBusy); { // until the other one is idle
				a, err = r.Answer(ctx, sdp)
			}
			return a, err
		}, nil)
		newcomer.start(reddit, nil)
		newcomer.get("/")
		idle.ended()
		b := must(newcomer.ask(comntr.FrameHead{Method: "GET", Path: "/hold"}, nil))
		<-began
		_, _, sdp, _ := rtcOffer(t, nil, nil)
		eventually(t, "all are busy", func() bool {
			_, err := r.Answer(t.Context(), sdp)
			return errors.Is(err, discover.ErrRTCBusy)
		})
		close(hold)
		for _, x := range []*rtcAnswer{a, b} {
			if _, err := io.ReadAll(x); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRTCStop: what runs is given its time, and nothing new begins.
func TestRTCStop(t *testing.T) {
	r := must(discover.NewRTC(discover.RTCConfig{
		Listen: "127.0.0.1:0", Communities: []comntr.Hash{reddit}, Guard: comntr.Guard{AllowPrivate: true}, STUN: []string{}, NoLimits: true,
	}))
	defer r.Close()
	began, finish := make(chan struct{}, 2), make(chan struct{})
	var running atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		began <- struct{}{}
		if r.URL.Path == "/short" {
			<-finish
		} else {
			<-r.Context().Done()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx, h, rtcHello) }()
	c := dialRTC(t, func(ctx context.Context, sdp string) (a string, err error) {
		for err = discover.ErrRTCClosed; errors.Is(err, discover.ErrRTCClosed); {
			a, err = r.Answer(ctx, sdp)
		}
		return a, err
	}, nil)
	c.start(reddit, nil)
	short := must(c.ask(comntr.FrameHead{Method: "GET", Path: "/short"}, nil))
	must(c.ask(comntr.FrameHead{Method: "GET", Path: "/long"}, nil))
	<-began
	<-began
	cancel()
	eventually(t, "nothing new is taken", func() bool {
		_, err := r.Answer(t.Context(), "")
		return errors.Is(err, discover.ErrRTCClosed)
	})
	a := must(c.ask(comntr.FrameHead{Method: "GET", Path: "/"}, nil))
	if h := <-a.head; h.Status != http.StatusServiceUnavailable {
		t.Errorf("a request of a server that stops: %d", h.Status)
	}
	close(finish)
	if _, err := io.ReadAll(short); err != nil {
		t.Errorf("the request that needed a moment more: %v", err)
	}
	<-done
	if n := running.Load(); n != 0 {
		t.Errorf("%d handlers run after Run", n)
	}
	c.ended()
}
