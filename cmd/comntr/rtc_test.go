package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
)

// binaryText is 20 bytes as trackers' JSON has them: a character each.
func binaryText(b [20]byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// TestWebRTC is a browser's way to a server that it knows no address of: a
// tracker, an offer, the data channel, the hello, and over it a comment.
func TestWebRTC(t *testing.T) {
	announce := func(s *server) string { return "ws" + strings.TrimPrefix(s.http, "http") + "/announce" }
	t.Run("by its own tracker", func(t *testing.T) {
		s := serve(t, t.TempDir())
		overWebRTC(t, s, announce(s))
	})
	t.Run("by another's", func(t *testing.T) {
		other := serve(t, t.TempDir(), "--rtc-listen", "none")
		tracker := announce(other)
		s := serve(t, t.TempDir(), "--tracker", tracker, "--no-embedded-tracker")
		h, err := s.client.Hello(t.Context())
		if err != nil || !slices.Equal(h.Trackers, []string{tracker}) {
			t.Errorf("the hello's trackers are %q, %v", h.Trackers, err)
		}
		overWebRTC(t, s, tracker)
	})
}

func overWebRTC(t *testing.T, s *server, tracker string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reddit, topic := comntr.NameHash("reddit"), comntr.NameHash("/r/news")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.DetachDataChannels()
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	check(err)
	defer pc.GracefulClose()
	dc, err := pc.CreateDataChannel("comntr", nil)
	check(err)
	opened := make(chan datachannel.ReadWriteCloser, 1)
	dc.OnOpen(func() {
		raw, err := dc.Detach()
		if err != nil {
			t.Error(err)
		}
		opened <- raw
	})
	offer, err := pc.CreateOffer(nil)
	check(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	check(pc.SetLocalDescription(offer))
	<-gathered

	ws, _, err := websocket.Dial(ctx, tracker, nil)
	check(err)
	defer ws.CloseNow()
	answers := make(chan string, 1)
	go func() {
		for {
			_, b, err := ws.Read(ctx)
			if err != nil {
				return
			}
			var m struct {
				Answer struct {
					SDP string `json:"sdp"`
				} `json:"answer"`
			}
			if json.Unmarshal(b, &m) == nil && m.Answer.SDP != "" {
				select {
				case answers <- m.Answer.SDP:
				default:
				}
			}
		}
	}()
	var answer string
	for id := byte(0); answer == ""; id++ { // until the server has come
		check(wsSend(ctx, ws, map[string]any{
			"action": "announce", "info_hash": binaryText(reddit), "peer_id": binaryText([20]byte{1}), "event": "started", "left": 1, "numwant": 1,
			"offers": []any{map[string]any{"offer_id": binaryText([20]byte{id}), "offer": map[string]string{"type": "offer", "sdp": pc.LocalDescription().SDP}}},
		}))
		select {
		case answer = <-answers:
		case <-time.After(time.Second):
		case <-ctx.Done():
			t.Fatal("no answer")
		}
	}
	check(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	var raw datachannel.ReadWriteCloser
	select {
	case raw = <-opened:
	case <-ctx.Done():
		t.Fatalf("no data channel; the answer was\n%s", answer)
	}

	// All that the page says goes out at once.
	nonce := sha256.Sum256([]byte("nonce"))
	path := "/" + reddit.String() + "/" + topic.String()
	b := comntr.WireHandshake{Infohash: reddit, Extended: true}.Append(nil)
	b = comntr.ExtendedHandshake{Extension: 1, Nonce: nonce[:]}.Append(b)
	b = comntr.Frame{Type: comntr.FrameRequest, Request: 1, Payload: comntr.FrameHead{Method: "POST", Path: path, Length: 5}.Append(nil)}.Append(b, comntr.WireExtension)
	b = comntr.Frame{Type: comntr.FrameData, Request: 1, Payload: []byte("Cool!")}.Append(b, comntr.WireExtension)
	_, err = raw.Write(b)
	check(err)

	in := &stream{r: raw}
	h, err := comntr.ReadWireHandshake(in)
	check(err)
	if h.Infohash != reddit {
		t.Errorf("the server shook hands for %s", h.Infohash)
	}
	var status int
	var body strings.Builder
	for done := false; !done; {
		m, err := comntr.ReadWireMessage(in, nil, comntr.MaxWireAnswer)
		check(err)
		if m[1] == 0 {
			e, err := comntr.ParseExtendedHandshake(m[2:])
			check(err)
			hello, err := comntr.OpenHelloRTC(e.Hello, e.Signature, nonce, fingerprint(t, answer), fingerprint(t, pc.LocalDescription().SDP), time.Now())
			check(err)
			over, err := s.client.Hello(ctx)
			check(err)
			if hello.Key != over.Key {
				t.Errorf("the key is %s over WebRTC, %s over HTTP", hello.Key, over.Key)
			}
			continue
		}
		f, err := comntr.ParseFrame(m[2:])
		check(err)
		switch f.Type {
		case comntr.FrameAnswer:
			head, err := comntr.ParseFrameHead(f.Type, f.Payload)
			check(err)
			status = head.Status
		case comntr.FrameData:
			body.Write(f.Payload)
		default:
			done = true
		}
	}
	const cool = "33754244c02265dc24dfec91d64a48410ec24831"
	if status != 201 || body.String() != cool+"\n" {
		t.Errorf("the post over WebRTC: %d %q", status, body.String())
	}
	id, err := comntr.ParseHash(cool)
	check(err)
	got, err := s.client.Comment(ctx, comntr.Place{Community: reddit, Topic: topic}, id)
	if err != nil || string(got) != "Cool!" {
		t.Errorf("over HTTP it is %q, %v", got, err)
	}
}

func wsSend(ctx context.Context, ws *websocket.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return ws.Write(ctx, websocket.MessageText, b)
}

// stream makes a data channel's messages a stream.
type stream struct {
	r    io.Reader
	rest []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		b := make([]byte, 64<<10)
		n, err := s.r.Read(b)
		if err != nil {
			return 0, err
		}
		s.rest = b[:n]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// fingerprint is that of an SDP.
func fingerprint(t *testing.T, sdp string) [32]byte {
	t.Helper()
	_, rest, ok := strings.Cut(sdp, "a=fingerprint:sha-256 ")
	line, _, _ := strings.Cut(rest, "\r\n")
	b, err := hex.DecodeString(strings.ReplaceAll(line, ":", ""))
	if !ok || err != nil || len(b) != 32 {
		t.Fatalf("no fingerprint in\n%s", sdp)
	}
	return [32]byte(b)
}
