package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// channelVectors are testdata/vectors/channel.json.
type channelVectors struct {
	Rule      string            `json:"rule"`
	Handshake []handshakeVector `json:"handshakes"`
	Extended  []extendedVector  `json:"extended"`
	Hello     helloVector       `json:"hello"`
	Frames    []frameVector     `json:"frames"`
	Refused   []refusedVector   `json:"refused"`
}

type handshakeVector struct {
	Why      string      `json:"why"`
	Infohash comntr.Hash `json:"infohash"`
	PeerID   string      `json:"peerId"`
	Extended bool        `json:"extended"`
	Topic    string      `json:"topic,omitempty"` // whose readers' swarm it is
	Hex      string      `json:"hex"`
}

type extendedVector struct {
	Why       string `json:"why"`
	Extension byte   `json:"extension"`
	Nonce     string `json:"nonce,omitempty"`
	Hello     string `json:"hello,omitempty"`
	Signature string `json:"signature,omitempty"`
	Hex       string `json:"hex"`
	Foreign   bool   `json:"foreign,omitempty"` // other programs write it so: it is read, not written
}

type helloVector struct {
	Seed      string `json:"seed"`
	Nonce     string `json:"nonce"`
	Server    string `json:"server"`
	Asker     string `json:"asker"`
	Now       string `json:"now"`
	Origin    string `json:"origin"`
	Message   string `json:"message"`
	Hello     string `json:"hello"`
	Signature string `json:"signature"`
}

type frameVector struct {
	Why       string            `json:"why"`
	Extension byte              `json:"extension"`
	Type      string            `json:"type"`
	Request   uint32            `json:"request"`
	Method    string            `json:"method,omitempty"`
	Path      string            `json:"path,omitempty"`
	Length    int               `json:"length,omitempty"`
	Status    int               `json:"status,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Credit    int               `json:"credit,omitempty"`
	Data      string            `json:"data,omitempty"`
	Hex       string            `json:"hex"`
}

type refusedVector struct {
	Why string `json:"why"`
	As  string `json:"as"` // handshake, extended, frame
	Hex string `json:"hex"`
}

var frameNames = []string{"request", "answer", "data", "end", "cancel", "credit"}

// wireCertificate stands for a certificate: its fingerprint.
func wireCertificate(name string) [32]byte { return sha256.Sum256([]byte(name)) }

// newsPath is the seed's topic as a path.
var newsPath = "/" + news.Community.String() + "/" + news.Topic.String()

func makeChannelVectors(t *testing.T) channelVectors {
	v := channelVectors{Rule: "hex is what stands on the stream: of a handshake its 68 bytes, else a whole message with its length. refused: the bytes after a message's length are no such thing (of a handshake: the 68 bytes). hello: the key is of that Ed25519 seed; server and asker are SHA-256 of certificates."}
	peer := "-CM0100-abcdefghijkl"
	add := func(why string, h comntr.WireHandshake) *handshakeVector {
		v.Handshake = append(v.Handshake, handshakeVector{why, h.Infohash, string(h.PeerID[:]), h.Extended, "", hex.EncodeToString(h.Append(nil))})
		return &v.Handshake[len(v.Handshake)-1]
	}
	add("of the community reddit", comntr.WireHandshake{Infohash: news.Community, PeerID: [20]byte([]byte(peer)), Extended: true})
	add("of who does not speak BEP 10", comntr.WireHandshake{Infohash: news.Community, PeerID: [20]byte([]byte(peer))})
	add("of a reader of the seed's /r/news, to another reader's page", comntr.WireHandshake{Infohash: news.Infohash(), PeerID: [20]byte([]byte(peer)), Extended: true}).Topic = news.String()

	seed := make([]byte, 32)
	var nonce [32]byte
	for i := range seed {
		seed[i], nonce[i] = byte(i), byte(0x20+i)
	}
	key := ed25519.NewKeyFromSeed(seed)
	server, asker := wireCertificate("server"), wireCertificate("asker")
	h := helloOf(key)
	h.Software, h.URLs, h.Multiaddrs, h.Contact, h.Servers = "comntr/0.1.0", nil, nil, "", nil
	h.Limits, h.WebTransport = comntr.Limits{MaxSize: comntr.MaxDocument, Rate: 2}, nil
	h.Expires = helloNow.Add(12 * time.Hour) // the hello of SPEC.md, section 5
	hello, signature, err := comntr.SignHelloRTC(key, h, nonce, server, asker)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(hello)
	message := append([]byte("comntr-hello-v1\n"), nonce[:]...)
	message = append(append(message, comntr.RTCOrigin(server, asker)...), sum[:]...)
	v.Hello = helloVector{
		hex.EncodeToString(seed), hex.EncodeToString(nonce[:]), hex.EncodeToString(server[:]), hex.EncodeToString(asker[:]),
		helloNow.Format("2006-01-02T15:04:05Z"), comntr.RTCOrigin(server, asker), hex.EncodeToString(message), string(hello), hex.EncodeToString(signature),
	}
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, signature) {
		t.Error("the hello is signed in another way than is written")
	}
	ext := func(why string, e comntr.ExtendedHandshake) {
		v.Extended = append(v.Extended, extendedVector{
			Why: why, Extension: e.Extension, Nonce: hex.EncodeToString(e.Nonce), Hello: string(e.Hello),
			Signature: hex.EncodeToString(e.Signature), Hex: hex.EncodeToString(e.Append(nil)),
		})
	}
	ext("the asker's", comntr.ExtendedHandshake{Extension: 1, Nonce: nonce[:]})
	ext("the server's, with its hello", comntr.ExtendedHandshake{Extension: comntr.WireExtension, Hello: hello, Signature: signature})
	ext("the server's, where no hello was asked for", comntr.ExtendedHandshake{Extension: comntr.WireExtension})
	for _, f := range []struct {
		why  string
		ext  byte
		body string
	}{
		{"of a WebTorrent client that knows nothing of comntr", 0, "d1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei31235e1:v16:WebTorrent/2.5.1e"},
		{"eight deep", 0, strings.Repeat("d1:a", 7) + "0:" + strings.Repeat("e", 7)},
		{"keys that are not sorted", 9, "d1:v1:x1:md6:comntri9eee"},
		{"lists, negative numbers, other types where ours would be", 0, "d1:mle6:comntri-5e1:zld1:aleee1:yi-1ee"},
	} {
		b := append([]byte{0, 0, 0, byte(2 + len(f.body)), comntr.WireExtended, 0}, f.body...)
		v.Extended = append(v.Extended, extendedVector{Why: f.why, Extension: f.ext, Hex: hex.EncodeToString(b), Foreign: true})
	}

	for _, f := range []frameVector{
		{Why: "ask for the topic's folder", Type: "request", Request: 1, Method: "GET", Path: newsPath, Headers: map[string]string{"accept": "application/vnd.ipld.car", "accept-encoding": "gzip"}},
		{Why: "post a comment", Type: "request", Request: 2, Method: "POST", Path: newsPath, Length: 5},
		{Why: "its body", Type: "data", Request: 2, Data: "Cool!"},
		{Why: "more may come", Type: "credit", Request: 1, Credit: 131072},
		{Why: "nobody wants it any more", Type: "cancel", Request: 1},
		{Why: "an answer", Extension: 7, Type: "answer", Request: 2, Status: 201, Headers: map[string]string{"content-type": "text/plain; charset=utf-8", "content-length": "41", "location": newsPath + "/33754244c02265dc24dfec91d64a48410ec24831"}},
		{Why: "its body", Extension: 7, Type: "data", Request: 2, Data: "33754244c02265dc24dfec91d64a48410ec24831\n"},
		{Why: "it is whole", Extension: 7, Type: "end", Request: 2},
	} {
		if f.Extension == 0 {
			f.Extension = comntr.WireExtension
		}
		f.Hex = hex.EncodeToString(frameOf(t, f).Append(nil, f.Extension))
		v.Frames = append(v.Frames, f)
	}

	refuse := func(why, as string, b ...string) {
		v.Refused = append(v.Refused, refusedVector{why, as, hex.EncodeToString([]byte(strings.Join(b, "")))})
	}
	refuse("another protocol", "handshake", "\x13BitTorrent protocoX", strings.Repeat("\x00", 48))
	const extended = "\x14\x00"
	for _, b := range []struct{ why, body string }{
		{"nothing", ""}, {"a list", "le"}, {"not ended", "d1:m"}, {"something after the end", "dee"}, {"a string longer than all", "d1:a9:xe"},
		{"a number with a zero in front", "d1:ai01ee"}, {"minus zero", "d1:ai-0ee"}, {"no number", "d1:aiee"}, {"a length with a zero in front", "d01:a1:xe"},
		{"one key twice", "d1:a1:x1:a1:xe"}, {"a key that is a number", "di1e1:xe"}, {"a key without a value", "d1:ae"},
		{"nine deep", strings.Repeat("d1:a", 8) + "0:" + strings.Repeat("e", 8)}, {"513 values", "d1:al" + strings.Repeat("0:", 511) + "ee"}, {"a number for comntr above 255", "d1:md6:comntri256eee"},
		{"a number below 0", "d1:md6:comntri-1eee"}, {"a nonce of 31 bytes", "d6:comntrd5:nonce31:" + strings.Repeat("x", 31) + "ee"},
	} {
		refuse(b.why, "extended", extended, b.body)
	}
	const frame = "\x14\x01"
	request := func(s string) string { return "\x00\x00\x00\x00\x01" + s }
	for _, b := range []struct{ why, body string }{
		{"nothing", ""}, {"cut within the number", "\x03\x00\x00\x00"}, {"an unknown type", "\x06\x00\x00\x00\x01"},
		{"no data", "\x02\x00\x00\x00\x01"}, {"too much data", "\x02\x00\x00\x00\x01" + strings.Repeat("x", comntr.MaxFrameData+1)},
		{"an end with something", "\x03\x00\x00\x00\x01x"}, {"a cancel with something", "\x04\x00\x00\x00\x01x"},
		{"a credit of 3 bytes", "\x05\x00\x00\x00\x01\x00\x00\x01"},
		{"a request without a method", request("d7:headersde4:path1:/e")}, {"a method with a space", request("d7:headersde6:method3:A B4:path1:/e")},
		{"a path without a slash", request("d7:headersde6:method3:GET4:path1:ae")}, {"a body too long", request("d7:headersde6:lengthi65537e6:method4:POST4:path1:/e")},
		{"a negative length", request("d6:lengthi-1e6:method4:POST4:path1:/e")}, {"a field in upper case", request("d7:headersd6:Accept1:xe6:method3:GET4:path1:/e")},
		{"a line end in a field", request("d7:headersd1:a2:x\ne6:method3:GET4:path1:/e")}, {"a number in a field", request("d7:headersd1:ai1ee6:method3:GET4:path1:/e")},
		{"an answer without a status", "\x01\x00\x00\x00\x01de"}, {"a status of 100", "\x01\x00\x00\x00\x01d6:statusi100ee"}, {"a status of 600", "\x01\x00\x00\x00\x01d6:statusi600ee"},
	} {
		refuse(b.why, "frame", frame, b.body)
	}
	return v
}

func frameOf(t *testing.T, v frameVector) comntr.Frame {
	f := comntr.Frame{Request: v.Request}
	for i, n := range frameNames {
		if n == v.Type {
			f.Type = comntr.FrameType(i)
		}
	}
	switch f.Type {
	case comntr.FrameRequest, comntr.FrameAnswer:
		f.Payload = comntr.FrameHead{Method: v.Method, Path: v.Path, Length: v.Length, Status: v.Status, Header: v.Headers}.Append(nil)
	case comntr.FrameData:
		f.Payload = []byte(v.Data)
	case comntr.FrameCredit:
		f.Payload = []byte{byte(v.Credit >> 24), byte(v.Credit >> 16), byte(v.Credit >> 8), byte(v.Credit)}
	}
	return f
}

// message reads one message from hex, which must be all of it.
func wireMessage(t *testing.T, s string) []byte {
	t.Helper()
	r := bytes.NewReader(unhex(t, s))
	m, err := comntr.ReadWireMessage(r, nil, comntr.MaxWireAnswer)
	if err != nil || r.Len() > 0 {
		t.Fatalf("%.80s: %v, %d bytes left", s, err, r.Len())
	}
	return m
}

func TestChannelVectors(t *testing.T) {
	t.Run("are what this test makes", func(t *testing.T) { checkVectors(t, "channel.json", makeChannelVectors(t)) })
	var v channelVectors
	readVectors(t, "channel.json", &v)
	if len(v.Handshake) == 0 || len(v.Extended) == 0 || len(v.Frames) == 0 || len(v.Refused) == 0 {
		t.Fatal("a part of channel.json is empty")
	}
	for _, c := range v.Handshake {
		if c.Topic != "" {
			if got := parsePlace(t, c.Topic).Infohash(); got != c.Infohash {
				t.Errorf("%s: %v", c.Why, got)
			}
		}
		h, err := comntr.ReadWireHandshake(bytes.NewReader(unhex(t, c.Hex)))
		if err != nil || h != (comntr.WireHandshake{Infohash: c.Infohash, PeerID: [20]byte([]byte(c.PeerID)), Extended: c.Extended}) {
			t.Errorf("%s: %+v, %v", c.Why, h, err)
		}
	}
	for _, c := range v.Extended {
		m := wireMessage(t, c.Hex)
		h, err := comntr.ParseExtendedHandshake(m[2:])
		if err != nil || m[0] != comntr.WireExtended || m[1] != 0 || h.Extension != c.Extension || hex.EncodeToString(h.Nonce) != c.Nonce ||
			string(h.Hello) != c.Hello || hex.EncodeToString(h.Signature) != c.Signature {
			t.Errorf("%s: %+v, %v", c.Why, h, err)
		}
		if got := hex.EncodeToString(h.Append(nil)); !c.Foreign && got != c.Hex {
			t.Errorf("%s: written as %s", c.Why, got)
		}
	}
	for _, c := range v.Frames {
		m := wireMessage(t, c.Hex)
		f, err := comntr.ParseFrame(m[2:])
		want := frameOf(t, c)
		if err != nil || m[1] != c.Extension || f.Type != want.Type || f.Request != want.Request || !bytes.Equal(f.Payload, want.Payload) {
			t.Errorf("%s: %+v, %v", c.Why, f, err)
			continue
		}
		if f.Type <= comntr.FrameAnswer {
			h, err := comntr.ParseFrameHead(f.Type, f.Payload)
			if err != nil || h.Method != c.Method || h.Path != c.Path || h.Length != c.Length || h.Status != c.Status || !maps.Equal(h.Header, c.Headers) {
				t.Errorf("%s: %+v, %v", c.Why, h, err)
			}
		}
	}
	for _, c := range v.Refused {
		b := unhex(t, c.Hex)
		var err error
		switch c.As {
		case "handshake":
			_, err = comntr.ReadWireHandshake(bytes.NewReader(b))
		case "extended":
			_, err = comntr.ParseExtendedHandshake(b[2:])
		case "frame":
			var f comntr.Frame
			if f, err = comntr.ParseFrame(b[2:]); err == nil && f.Type <= comntr.FrameAnswer {
				_, err = comntr.ParseFrameHead(f.Type, f.Payload)
			}
		}
		if err == nil {
			t.Errorf("%s is taken: %s, %q", c.As, c.Why, b)
		}
	}
	h := v.Hello
	got, err := comntr.OpenHelloRTC([]byte(h.Hello), unhex(t, h.Signature), [32]byte(unhex(t, h.Nonce)), [32]byte(unhex(t, h.Server)), [32]byte(unhex(t, h.Asker)), helloNow)
	if err != nil || got.Software != "comntr/0.1.0" {
		t.Errorf("the hello: %+v, %v", got, err)
	}
}

func TestOpenHelloRTCRefuses(t *testing.T) {
	key := testKey("server")
	server, asker := wireCertificate("server"), wireCertificate("asker")
	hello, sig, err := comntr.SignHelloRTC(key, helloOf(key), helloNonce, server, asker)
	if err != nil {
		t.Fatal(err)
	}
	open := func(hello, sig []byte, nonce, server, asker [32]byte) error {
		_, err := comntr.OpenHelloRTC(hello, sig, nonce, server, asker, helloNow)
		return err
	}
	if err := open(hello, sig, helloNonce, server, asker); err != nil {
		t.Fatal(err)
	}
	other := wireCertificate("a tracker's")
	for name, err := range map[string]error{
		"another nonce":     open(hello, sig, other, server, asker),
		"another server":    open(hello, sig, helloNonce, other, asker),
		"another asker":     open(hello, sig, helloNonce, server, other),
		"the two in turn":   open(hello, sig, helloNonce, asker, server),
		"another hello":     open(bytes.Replace(hello, []byte("mailto:op"), []byte("mailto:xx"), 1), sig, helloNonce, server, asker),
		"a short signature": open(hello, sig[:63], helloNonce, server, asker),
		"too long":          open(append(bytes.Clone(hello), bytes.Repeat([]byte(" "), comntr.MaxHello)...), sig, helloNonce, server, asker),
		"an hour later": func() error {
			_, err := comntr.OpenHelloRTC(hello, sig, helloNonce, server, asker, helloNow.Add(2*time.Hour))
			return err
		}(),
		"one that was signed for an origin": func() error {
			b := must(comntr.SignHello(key, helloOf(key), helloNonce, helloOrigin))
			if _, err := comntr.OpenHello(b, helloNonce, comntr.RTCOrigin(server, asker), helloNow); err == nil {
				return nil
			}
			return errors.New("refused")
		}(),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A message too long is refused before its bytes are waited for, and one that
// ends early is no message.
func TestReadWireMessageBounds(t *testing.T) {
	r := strings.NewReader("\x00\x00\x00\x05hello\x00\x00\x00\x00\x00\x00\x00\x06hello!\x00\x00\x00\x05hel")
	buf := make([]byte, 2)
	for _, want := range []string{"hello", ""} {
		m, err := comntr.ReadWireMessage(r, buf, 5)
		if err != nil || string(m) != want {
			t.Fatalf("%q, %v", m, err)
		}
		buf = m
	}
	if _, err := comntr.ReadWireMessage(r, buf, 5); err == nil {
		t.Error("6 bytes are taken where 5 are allowed")
	}
	r.Seek(-7, io.SeekEnd)
	if _, err := comntr.ReadWireMessage(r, buf, 5); err != io.ErrUnexpectedEOF {
		t.Errorf("half a message: %v", err)
	}
}

// FuzzWire: nothing panics, and what parses is written as it was read.
func FuzzWire(f *testing.F) {
	var v channelVectors
	readVectors(f, "channel.json", &v)
	for _, c := range v.Extended {
		f.Add(unhex(f, c.Hex)[6:])
	}
	for _, c := range v.Frames {
		f.Add(unhex(f, c.Hex)[6:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := comntr.ParseExtendedHandshake(b); err == nil {
			again, err := comntr.ParseExtendedHandshake(h.Append(nil)[6:])
			if err != nil || again.Extension != h.Extension || !bytes.Equal(again.Nonce, h.Nonce) {
				t.Errorf("%q became %+v, %v", b, again, err)
			}
		}
		fr, err := comntr.ParseFrame(b)
		if err != nil {
			return
		}
		if !bytes.Equal(fr.Append(nil, 1)[6:], b) {
			t.Errorf("%q was written as %q", b, fr.Append(nil, 1))
		}
		for _, as := range []comntr.FrameType{comntr.FrameRequest, comntr.FrameAnswer} {
			h, err := comntr.ParseFrameHead(as, fr.Payload)
			if err != nil {
				continue
			}
			again, err := comntr.ParseFrameHead(as, h.Append(nil))
			if err != nil || again.Method != h.Method || again.Path != h.Path || again.Length != h.Length || again.Status != h.Status || !maps.Equal(again.Header, h.Header) {
				t.Errorf("%q became %+v, %v", fr.Payload, again, err)
			}
		}
	})
}
