package comntr_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

var (
	helloNow    = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	helloNonce  = sha256.Sum256([]byte("nonce"))
	helloOrigin = "http://192.0.2.1:4080"
)

// helloOf is a good hello of a key.
func helloOf(key ed25519.PrivateKey) comntr.Hello {
	pub := key.Public().(ed25519.PublicKey)
	return comntr.Hello{
		Protocol:    comntr.ProtocolVersion,
		Software:    "comntr/1.0.0",
		Key:         hex.EncodeToString(pub),
		PeerID:      comntr.PeerID(pub),
		Expires:     helloNow.Add(time.Hour),
		Communities: []comntr.Hash{news.Community},
		URLs:        []string{helloOrigin},
		Multiaddrs:  []string{"/ip4/192.0.2.1/tcp/4081/p2p/" + comntr.PeerID(pub)},
		Limits:      comntr.Limits{MaxSize: comntr.MaxDocument, Rate: 2.5, NewWork: 16},
		Contact:     "mailto:op@example.org",
		Servers:     []string{"http://192.0.2.2:4080"},
		WebTransport: &comntr.WebTransport{Port: 4084, Hashes: []comntr.CertHash{
			{SHA256: strings.Repeat("ab", 32), From: helloNow, To: helloNow.Add(13 * 24 * time.Hour)},
		}},
	}
}

// envelope is the hello as it travels; the tests spoil it.
type envelope struct {
	Hello     string `json:"hello"`
	Nonce     string `json:"nonce"`
	Origin    string `json:"origin"`
	Signature string `json:"signature"`
}

// sealHello signs whatever it is given, by the rule as SPEC.md has it.
func sealHello(t testing.TB, key ed25519.PrivateKey, hello string, nonce [32]byte, origin string) []byte {
	sum := sha256.Sum256([]byte(hello))
	message := "comntr-hello-v1\n" + string(nonce[:]) + origin + string(sum[:])
	return must(json.Marshal(envelope{hello, hex.EncodeToString(nonce[:]), origin, hex.EncodeToString(ed25519.Sign(key, []byte(message)))}))
}

func TestHello(t *testing.T) {
	key := testKey("server")
	want := helloOf(key)
	b, err := comntr.SignHello(key, want, helloNonce, helloOrigin)
	if err != nil {
		t.Fatal(err)
	}
	// The signature is the one that the written rule gives.
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealHello(t, key, e.Hello, helloNonce, helloOrigin), b) {
		t.Error("a hello is signed in another way than is written")
	}
	if strings.Contains(e.Hello, "null") {
		t.Errorf("an empty list is null: %s", e.Hello)
	}
	h, err := comntr.OpenHello(b, helloNonce, helloOrigin, helloNow)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := must(json.Marshal(h)), e.Hello; string(got) != want {
		t.Errorf("the hello came back as %s, was %s", got, want)
	}
	// No flipped bit of the envelope is taken as another hello.
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if got, err := comntr.OpenHello(bad, helloNonce, helloOrigin, helloNow); err == nil && !bytes.Equal(must(json.Marshal(got)), []byte(e.Hello)) {
			t.Errorf("bit %d of byte %d (%q) flipped, and taken", i%8, i, b[i])
		}
	}
}

func TestOpenHelloRefuses(t *testing.T) {
	key := testKey("server")
	good := must(comntr.SignHello(key, helloOf(key), helloNonce, helloOrigin))
	// spoil signs a hello that was changed as JSON.
	spoil := func(change func(h map[string]any)) []byte {
		var e envelope
		var h map[string]any
		if json.Unmarshal(good, &e) != nil || json.Unmarshal([]byte(e.Hello), &h) != nil {
			t.Fatal("the good hello is not JSON")
		}
		change(h)
		return sealHello(t, key, string(must(json.Marshal(h))), helloNonce, helloOrigin)
	}
	set := func(name string, value any) []byte { return spoil(func(h map[string]any) { h[name] = value }) }
	list := func(n int, s string) []string {
		l := make([]string, n)
		for i := range l {
			l[i] = s
		}
		return l
	}
	cert := func(name string, value any) map[string]any {
		c := map[string]any{"sha256": strings.Repeat("ab", 32), "from": helloNow, "to": helloNow.Add(24 * time.Hour)}
		c[name] = value
		return c
	}
	certs := func(cs ...any) []byte { return set("webtransport", map[string]any{"port": 4084, "hashes": cs}) }
	if _, err := comntr.OpenHello(set("aFieldOfTheFuture", 1), helloNonce, helloOrigin, helloNow); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
	for _, ok := range [][]byte{
		set("urls", list(16, "x")), set("multiaddrs", list(32, "x")), set("trackers", list(16, "x")), set("servers", list(32, "x")),
		set("communities", list(64, news.Community.String())), set("contact", strings.Repeat("x", 256)), set("software", strings.Repeat("x", 256)),
		set("expires", helloNow.Add(24*time.Hour)), set("expires", helloNow.Add(time.Second)), set("urls", nil),
		set("limits", map[string]any{"maxSize": 65536, "rate": 2}), set("limits", map[string]any{"work": 256, "newWork": 256}),
		set("webtransport", nil), set("webtransport", map[string]any{"port": 1}), set("webtransport", map[string]any{"port": 65535, "hashes": nil}),
		certs(cert("to", helloNow.Add(14*24*time.Hour)), cert("more", 1), cert("from", helloNow.Add(-time.Hour)), cert("to", helloNow.Add(time.Second))),
	} {
		if _, err := comntr.OpenHello(ok, helloNonce, helloOrigin, helloNow); err != nil {
			t.Errorf("at its bound: %v", err)
		}
	}
	other := testKey("another server")
	var e envelope
	json.Unmarshal(good, &e)
	change := func(f func(e *envelope)) []byte { bad := e; f(&bad); return must(json.Marshal(bad)) }
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"not JSON", []byte("<html>")},
		{"JSON after JSON", append(bytes.Clone(good), "{}"...)},
		{"null", []byte("null")},
		{"another nonce", must(comntr.SignHello(key, helloOf(key), sha256.Sum256([]byte("another")), helloOrigin))},
		{"another nonce's signature", change(func(e *envelope) {
			var old envelope
			json.Unmarshal(must(comntr.SignHello(key, helloOf(key), sha256.Sum256([]byte("another")), helloOrigin)), &old)
			e.Signature = old.Signature
		})},
		{"nonce in upper case", change(func(e *envelope) { e.Nonce = strings.ToUpper(e.Nonce) })},
		{"changed origin", change(func(e *envelope) { e.Origin = "http://192.0.2.9:4080" })},
		{"changed hello", change(func(e *envelope) { e.Hello = strings.Replace(e.Hello, "1.0.0", "1.0.1", 1) })},
		{"no signature", change(func(e *envelope) { e.Signature = "" })},
		{"signature in upper case", change(func(e *envelope) { e.Signature = strings.ToUpper(e.Signature) })},
		{"a line after the signature", change(func(e *envelope) { e.Signature += "\n" })},
		{"another key's signature", sealHello(t, other, e.Hello, helloNonce, helloOrigin)},
		{"another key's peer id", set("peerId", comntr.PeerID(other.Public().(ed25519.PublicKey)))},
		{"another key", set("key", hex.EncodeToString(other.Public().(ed25519.PublicKey)))},
		{"no key", set("key", "")},
		{"key in upper case", set("key", strings.ToUpper(helloOf(key).Key))},
		{"key of small order", set("key", "01"+strings.Repeat("0", 62))},
		{"expired", set("expires", helloNow.Add(-time.Second))},
		{"expires now", set("expires", helloNow)},
		{"expires too far ahead", set("expires", helloNow.Add(24*time.Hour+time.Second))},
		{"no expiry", spoil(func(h map[string]any) { delete(h, "expires") })},
		{"expiry that is no time", set("expires", "tomorrow")},
		{"protocol 0", set("protocol", 0)},
		{"protocol 2", set("protocol", 2)},
		{"CID version 2", set("cidVersion", 2)},
		{"CID version -1", set("cidVersion", -1)},
		{"negative size", set("limits", map[string]any{"maxSize": -1})},
		{"negative rate", set("limits", map[string]any{"rate": -1})},
		{"negative work", set("limits", map[string]any{"work": -1})},
		{"more work than there is", set("limits", map[string]any{"work": 257})},
		{"negative work of unknown keys", set("limits", map[string]any{"newWork": -1})},
		{"more work of unknown keys than there is", set("limits", map[string]any{"newWork": 257})},
		{"rate too large for a number", []byte(strings.Replace(string(good), `\"rate\":2.5`, `\"rate\":1e999`, 1))},
		{"17 urls", set("urls", list(17, "x"))},
		{"33 multiaddrs", set("multiaddrs", list(33, "x"))},
		{"17 trackers", set("trackers", list(17, "x"))},
		{"33 servers", set("servers", list(33, "x"))},
		{"65 communities", set("communities", list(65, news.Community.String()))},
		{"a community by name", set("communities", []string{"reddit"})},
		{"a community null", set("communities", []any{nil})},
		{"a string of 257 bytes", set("contact", strings.Repeat("x", 257))},
		{"a url of 257 bytes", set("urls", list(1, strings.Repeat("x", 257)))},
		{"a line end", set("software", "a\nb")},
		{"an escape", set("servers", list(1, "\x1b[31m"))},
		{"a C1 control character", set("contact", "\u009b31m")},
		{"no port", set("webtransport", map[string]any{"hashes": []any{}})},
		{"port 65536", set("webtransport", map[string]any{"port": 65536})},
		{"port -1", set("webtransport", map[string]any{"port": -1})},
		{"webtransport of another kind", set("webtransport", true)},
		{"five certificates", certs(cert("x", 1), cert("x", 1), cert("x", 1), cert("x", 1), cert("x", 1))},
		{"a short hash", certs(cert("sha256", "abab"))},
		{"a hash in upper case", certs(cert("sha256", strings.Repeat("AB", 32)))},
		{"a certificate of 15 days", certs(cert("to", helloNow.Add(14*24*time.Hour+time.Second)))},
		{"a certificate that ends before it begins", certs(cert("to", helloNow.Add(-time.Second)))},
		{"a certificate without an end", certs(cert("to", nil))},
		{"a certificate that ends some day", certs(cert("to", "some day"))},
		{"too large", append(bytes.Repeat([]byte(" "), comntr.MaxHello), good...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := comntr.OpenHello(c.b, helloNonce, helloOrigin, helloNow)
			if err == nil {
				t.Fatalf("taken: %+v", h)
			}
			if errors.Is(err, comntr.ErrOrigin) {
				t.Errorf("ErrOrigin, though more than the origin is wrong: %v", err)
			}
		})
	}
	// A server that relays our nonce to another one gets that one's proof for
	// that one's origin: it does not count for the relay's.
	if _, err := comntr.OpenHello(good, helloNonce, "http://192.0.2.66:4080", helloNow); !errors.Is(err, comntr.ErrOrigin) {
		t.Errorf("signed for another origin: %v", err)
	}
}

func TestSignHelloRefuses(t *testing.T) {
	key := testKey("server")
	for _, c := range []struct {
		name   string
		change func(h *comntr.Hello)
	}{
		{"another key", func(h *comntr.Hello) { *h = helloOf(testKey("another server")) }},
		{"another peer id", func(h *comntr.Hello) { h.PeerID = "" }},
		{"protocol", func(h *comntr.Hello) { h.Protocol = 0 }},
		{"long contact", func(h *comntr.Hello) { h.Contact = strings.Repeat("x", 257) }},
		{"no port", func(h *comntr.Hello) { h.WebTransport.Port = 0 }},
		{"many servers", func(h *comntr.Hello) { h.Servers = make([]string, 33) }},
	} {
		h := helloOf(key)
		c.change(&h)
		if _, err := comntr.SignHello(key, h, helloNonce, helloOrigin); err == nil {
			t.Errorf("%s: signed", c.name)
		}
	}
	if _, err := comntr.SignHello(key, helloOf(key), helloNonce, "http://"+strings.Repeat("x", 300)); err == nil {
		t.Error("an origin of 300 bytes is signed for")
	}
	// The largest hello there can be fits, even if JSON has to escape all of it.
	h := helloOf(key)
	long := strings.Repeat("<", 256)
	for _, l := range []struct {
		list *[]string
		n    int
	}{{&h.URLs, 16}, {&h.Multiaddrs, 32}, {&h.Trackers, 16}, {&h.Servers, 32}} {
		*l.list = nil
		for range l.n {
			*l.list = append(*l.list, strings.ReplaceAll(long, "<", "/"))
		}
	}
	h.Communities = make([]comntr.Hash, 64)
	for i := range h.Communities {
		h.Communities[i] = comntr.Hash{1, byte(i)}
	}
	h.WebTransport.Hashes = append(h.WebTransport.Hashes, h.WebTransport.Hashes[0], h.WebTransport.Hashes[0], h.WebTransport.Hashes[0])
	b, err := comntr.SignHello(key, h, helloNonce, helloOrigin)
	if err != nil || len(b) > comntr.MaxHello {
		t.Errorf("the largest hello has %d bytes: %v", len(b), err)
	}
}

// The peer id of a key is libp2p's.
func TestPeerID(t *testing.T) {
	for range 10 {
		id := comntr.PeerID(testKey("server").Public().(ed25519.PublicKey))
		if !strings.HasPrefix(id, "12D3KooW") || len(id) != 52 {
			t.Fatalf("%s is no peer id of an Ed25519 key", id)
		}
	}
	// RFC 8032, test 1; the id is go-libp2p's, peer.IDFromPublicKey.
	const want = "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV"
	key := ed25519.NewKeyFromSeed(unhex(t, rfc8032[0].seed))
	if got := comntr.PeerID(key.Public().(ed25519.PublicKey)); got != want {
		t.Errorf("peer id %s, want %s", got, want)
	}
}

func TestCanonicalOrigin(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"http://192.0.2.1:4080", "http://192.0.2.1:4080"},
		{"http://192.0.2.1:4080/", "http://192.0.2.1:4080"},
		{"http://192.0.2.1", "http://192.0.2.1:80"},
		{"https://Example.ORG", "https://example.org:443"},
		{"HTTP://example.org:080", "http://example.org:80"},
		{"http://[2001:DB8:0::1]:4080", "http://[2001:db8::1]:4080"},
		{"http://[::ffff:192.0.2.1]:4080", "http://192.0.2.1:4080"},
		{"http://localhost:1", "http://localhost:1"},
		{"", ""},
		{"192.0.2.1:4080", ""},
		{"http://", ""},
		{"http://:80", ""},
		{"http://192.0.2.1:0", ""},
		{"http://192.0.2.1:65536", ""},
		{"http://192.0.2.1:x", ""},
		{"http://192.0.2.1:+80", ""},
		{"ftp://192.0.2.1:21", ""},
		{"http://192.0.2.1:80/path", ""},
		{"http://192.0.2.1:80/?", ""},
		{"http://192.0.2.1:80/#", ""},
		{"http://user@192.0.2.1:80", ""},
		{"http://user:pw@192.0.2.1:80", ""},
		{"http://[fe80::1%25lo]:80", ""},
		{"http://a b:80", ""},
		{"http://a%20b:80", ""},
		{"http://a\r\nHost: b:80", ""},
		{"http://\u00fcber.example:80", ""},
		{"http:opaque", ""},
		{"http://" + strings.Repeat("a", 254), ""},
		{"http://" + strings.Repeat("a", 1000) + ":80", ""},
	} {
		got, err := comntr.CanonicalOrigin(c.in)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, comntr.ErrBadOrigin) {
			t.Errorf("%.60q: %q, %v, want %q", c.in, got, err, c.want)
		}
		if err == nil {
			if again := must(comntr.CanonicalOrigin(got)); again != got {
				t.Errorf("%q is not its own canonical form, but %q", got, again)
			}
			if c := must(comntr.NewClient(c.in, nil)); c.Origin() != got {
				t.Errorf("the client's origin is %q", c.Origin())
			}
		} else if _, err := comntr.NewClient(c.in, nil); !errors.Is(err, comntr.ErrBadOrigin) {
			t.Errorf("a client of %.60q: %v", c.in, err)
		}
	}
}
