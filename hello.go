package comntr

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/multiformats/go-multihash"
)

// HelloPath is where a server answers ?nonce=<64 hex digits> with its signed
// hello.
const HelloPath = "/.well-known/comntr.json"

// WebTransportPath is where a server that names a WebTransport port opens
// sessions.
const WebTransportPath = "/webtransport"

// ProtocolVersion is the Hello.Protocol of this package. A hello of another is
// refused.
const ProtocolVersion = 1

// Bounds of a hello, the same for who signs and who opens one.
const (
	MaxHello            = 64 << 10       // bytes of the envelope
	MaxHelloAhead       = 24 * time.Hour // how far ahead Expires may lie
	MaxHelloString      = 256            // bytes of each string
	MaxHelloURLs        = 16
	MaxHelloMultiaddrs  = 32
	MaxHelloCommunities = 64
	MaxHelloTrackers    = 16
	MaxHelloServers     = 32
	MaxHelloCerts       = 4 // hashes of certificates
	// MaxCertLife is how long a certificate that browsers pin may be valid (W3C
	// WebTransport).
	MaxCertLife = 14 * 24 * time.Hour
)

var (
	// ErrOrigin: the hello is good, but was signed for another origin than the
	// one it was fetched from, so it says nothing about that one.
	ErrOrigin = errors.New("the hello was signed for another origin")
	// ErrBadOrigin: not of the form http://HOST:PORT.
	ErrBadOrigin = errors.New("not an origin: http://HOST:PORT is wanted")
)

// Limits are what a server's POST takes, which may be less than what is valid.
type Limits struct {
	MaxSize int     `json:"maxSize"` // bytes of a document
	Rate    float64 `json:"rate"`    // posts a second and address; 0: no limit
	// Work is the bits of work that every post needs; NewWork those that a post
	// needs now if it is plain text or its key is unknown to the server. Both
	// are but a hint: the refusal of a post (CodeWorkNeeded) says what it needs.
	Work    int `json:"work,omitempty"`
	NewWork int `json:"newWork,omitempty"`
}

// Hello is what a server says of itself, signed anew for every asker, so that
// it is proof and not just data: whoever answers at that origin holds Key now.
// What it says of others (Trackers, Servers) proves nothing: they are
// candidates.
type Hello struct {
	Protocol    int       `json:"protocol"` // ProtocolVersion
	Software    string    `json:"software"` // name/version
	Key         string    `json:"key"`      // the server's Ed25519 public key, 64 lower-case hex digits
	PeerID      string    `json:"peerId"`   // PeerID(Key)
	Expires     time.Time `json:"expires"`  // at most MaxHelloAhead ahead
	CIDVersion  int       `json:"cidVersion"`
	Communities []Hash    `json:"communities"` // the first is meant where a path names none
	URLs        []string  `json:"urls"`        // further origins of this server
	Multiaddrs  []string  `json:"multiaddrs"`  // of its IPFS node
	Limits      Limits    `json:"limits"`
	Contact     string    `json:"contact"`
	Trackers    []string  `json:"trackers"`
	Servers     []string  `json:"servers"` // origins of other servers
	// WebTransport is nil where the server does not speak it.
	WebTransport *WebTransport `json:"webtransport,omitempty"`
}

// WebTransport says how a page on https reaches the server: at the hosts of its
// origins, on UDP port Port.
type WebTransport struct {
	Port uint16 `json:"port"`
	// Hashes are of the certificates that the server shows or will show there.
	// Without any, its certificate is one that browsers trust.
	Hashes []CertHash `json:"hashes"`
}

// CertHash pins a certificate. It holds from From to To, however old the hello
// is.
type CertHash struct {
	SHA256 string    `json:"sha256"` // of its DER, 64 lower-case hex digits
	From   time.Time `json:"from"`
	To     time.Time `json:"to"` // at most MaxCertLife after From
}

// helloEnvelope is a hello as it travels. Hello holds the hello's JSON as a
// string, so that what was signed is there to the byte.
type helloEnvelope struct {
	Hello     string `json:"hello"`
	Nonce     string `json:"nonce"`
	Origin    string `json:"origin"`
	Signature string `json:"signature"`
}

// helloMessage is what a hello's signature covers. The parts need no
// separators: nonce and digest have fixed lengths.
func helloMessage(nonce [32]byte, origin, hello string) []byte {
	m := append([]byte("comntr-hello-v1\n"), nonce[:]...)
	m = append(m, origin...)
	sum := sha256.Sum256([]byte(hello))
	return append(m, sum[:]...)
}

// RTCOrigin is what stands for the origin in a hello's signature where it was
// asked for over a WebRTC data channel: both ends' DTLS certificates, each as
// the SHA-256 of its DER, which is its sha-256 fingerprint in SDP. Whoever
// passes offers and answers on cannot pass the hello on as his own: he would
// need one of the two keys.
func RTCOrigin(server, asker [32]byte) string {
	return "webrtc:" + hex.EncodeToString(server[:]) + ":" + hex.EncodeToString(asker[:])
}

// PeerID returns the libp2p peer id of a key: base58 of the identity multihash
// of the key's protobuf (libp2p specs, peer-ids), such as 12D3KooW....
func PeerID(key ed25519.PublicKey) string {
	mh, err := multihash.Encode(append([]byte{0x08, 0x01, 0x12, 0x20}, key...), multihash.IDENTITY)
	if err != nil {
		panic(err) // the identity of 36 bytes always encodes
	}
	return multihash.Multihash(mh).B58String()
}

// SignHello returns the answer to a request for a hello: h, for whoever sent
// nonce, at origin, which the signer must know to be its own. It refuses an h
// that OpenHello would refuse, but for Expires, and writes times in whole
// seconds of UTC.
func SignHello(key ed25519.PrivateKey, h Hello, nonce [32]byte, origin string) ([]byte, error) {
	if len(origin) > MaxHelloString {
		return nil, fmt.Errorf("an origin has %d bytes: at most %d are taken", len(origin), MaxHelloString)
	}
	inner, sig, err := signHello(key, h, nonce, origin)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(helloEnvelope{
		Hello:     string(inner),
		Nonce:     hex.EncodeToString(nonce[:]),
		Origin:    origin,
		Signature: hex.EncodeToString(sig),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the hello: %w", err)
	}
	if len(b) > MaxHello {
		return nil, fmt.Errorf("the hello has %d bytes: at most %d are taken", len(b), MaxHello)
	}
	return b, nil
}

// SignHelloRTC is SignHello for who asked over a data channel: the bytes of the
// hello and its signature, as they stand in an ExtendedHandshake.
func SignHelloRTC(key ed25519.PrivateKey, h Hello, nonce, server, asker [32]byte) (hello, signature []byte, err error) {
	hello, signature, err = signHello(key, h, nonce, RTCOrigin(server, asker))
	if err == nil && len(hello) > MaxHello {
		err = fmt.Errorf("the hello has %d bytes: at most %d are taken", len(hello), MaxHello)
	}
	return hello, signature, err
}

func signHello(key ed25519.PrivateKey, h Hello, nonce [32]byte, origin string) (inner, signature []byte, err error) {
	h.Expires = h.Expires.UTC().Truncate(time.Second)
	h.Communities = append([]Hash{}, h.Communities...) // JSON [], never null
	for _, list := range []*[]string{&h.URLs, &h.Multiaddrs, &h.Trackers, &h.Servers} {
		*list = append([]string{}, *list...)
	}
	if w := h.WebTransport; w != nil {
		h.WebTransport = w.canonical()
	}
	if err := h.check(); err != nil {
		return nil, nil, err
	}
	if pub := key.Public().(ed25519.PublicKey); h.Key != hex.EncodeToString(pub) {
		return nil, nil, errors.New("the hello names another key than its signer's")
	}
	if inner, err = json.Marshal(h); err != nil {
		return nil, nil, fmt.Errorf("encode the hello: %w", err)
	}
	return inner, ed25519.Sign(key, helloMessage(nonce, origin, string(inner))), nil
}

// OpenHello verifies an answer to a request for a hello that was sent with
// nonce to origin: signature, nonce, expiry, every bound. The error is
// ErrOrigin where everything holds but the origin.
func OpenHello(b []byte, nonce [32]byte, origin string, now time.Time) (*Hello, error) {
	h, signedFor, err := openHello(b, nonce, now)
	if err != nil {
		return nil, err
	}
	if signedFor != origin {
		return nil, fmt.Errorf("%w: %s, not %s", ErrOrigin, printable(signedFor), origin)
	}
	return h, nil
}

func openHello(b []byte, nonce [32]byte, now time.Time) (h *Hello, origin string, err error) {
	if len(b) > MaxHello {
		return nil, "", fmt.Errorf("the hello has more than %d bytes", MaxHello)
	}
	var e helloEnvelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, "", fmt.Errorf("the hello's envelope: %w", err)
	}
	if e.Nonce != hex.EncodeToString(nonce[:]) {
		return nil, "", errors.New("the hello answers another nonce")
	}
	sig, ok := lowerHex(e.Signature, 64)
	if !ok {
		return nil, "", errors.New("the hello's signature is not 128 lower-case hex digits")
	}
	h, err = verifyHello(e.Hello, [64]byte(sig), nonce, e.Origin, now)
	return h, e.Origin, err
}

// OpenHelloRTC verifies a hello that came over a data channel between these two
// certificates (RTCOrigin), asked for with nonce. The certificates must be those
// that the DTLS connection was made with, from its own end's knowledge.
func OpenHelloRTC(hello, signature []byte, nonce, server, asker [32]byte, now time.Time) (*Hello, error) {
	if len(hello) > MaxHello {
		return nil, fmt.Errorf("the hello has more than %d bytes", MaxHello)
	}
	if len(signature) != 64 {
		return nil, errors.New("the hello's signature has not 64 bytes")
	}
	return verifyHello(string(hello), [64]byte(signature), nonce, RTCOrigin(server, asker), now)
}

func verifyHello(hello string, sig [64]byte, nonce [32]byte, origin string, now time.Time) (*Hello, error) {
	h := &Hello{}
	if err := json.Unmarshal([]byte(hello), h); err != nil {
		return nil, fmt.Errorf("the hello: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	key, _ := lowerHex(h.Key, 32) // checked above
	if !verify([32]byte(key), helloMessage(nonce, origin, hello), sig) {
		return nil, errors.New("the hello's signature does not verify")
	}
	switch ahead := h.Expires.Sub(now); {
	case ahead <= 0:
		return nil, errors.New("the hello has expired")
	case ahead > MaxHelloAhead:
		return nil, errors.New("the hello expires more than 24 h ahead")
	}
	return h, nil
}

// check holds h to every bound that does not depend on the time.
func (h *Hello) check() error {
	key, ok := lowerHex(h.Key, ed25519.PublicKeySize)
	switch {
	case h.Protocol != ProtocolVersion:
		return fmt.Errorf("the hello speaks protocol %d, not %d", h.Protocol, ProtocolVersion)
	case !ok:
		return errors.New("the hello's key is not 64 lower-case hex digits")
	case h.PeerID != PeerID(key):
		return errors.New("the hello's peer id is not its key's")
	case h.CIDVersion != 0 && h.CIDVersion != 1:
		return fmt.Errorf("the hello's CID version is %d, neither 0 nor 1", h.CIDVersion)
	case h.Limits.MaxSize < 0 || h.Limits.Rate < 0:
		return errors.New("a limit in the hello is negative")
	case h.Limits.Work < 0 || h.Limits.Work > maxWorkBits || h.Limits.NewWork < 0 || h.Limits.NewWork > maxWorkBits:
		return fmt.Errorf("the work in the hello is not 0 to %d bits", maxWorkBits)
	case len(h.Communities) > MaxHelloCommunities:
		return fmt.Errorf("the hello has more than %d communities", MaxHelloCommunities)
	case slices.Contains(h.Communities, Hash{}): // JSON's null
		return errors.New("a community in the hello is null")
	}
	if err := h.WebTransport.check(); err != nil {
		return err
	}
	for _, l := range []struct {
		name string
		max  int
		list []string
	}{
		{"software", 1, []string{h.Software}},
		{"contact", 1, []string{h.Contact}},
		{"urls", MaxHelloURLs, h.URLs},
		{"multiaddrs", MaxHelloMultiaddrs, h.Multiaddrs},
		{"trackers", MaxHelloTrackers, h.Trackers},
		{"servers", MaxHelloServers, h.Servers},
	} {
		if len(l.list) > l.max {
			return fmt.Errorf("the hello has more than %d %s", l.max, l.name)
		}
		for _, s := range l.list {
			if len(s) > MaxHelloString || strings.ContainsFunc(s, unicode.IsControl) {
				return fmt.Errorf("a string of the hello's %s is longer than %d bytes or has control characters", l.name, MaxHelloString)
			}
		}
	}
	return nil
}

// canonical returns w as it is signed: times in whole seconds of UTC.
func (w *WebTransport) canonical() *WebTransport {
	out := &WebTransport{Port: w.Port, Hashes: []CertHash{}}
	for _, c := range w.Hashes {
		c.From, c.To = c.From.UTC().Truncate(time.Second), c.To.UTC().Truncate(time.Second)
		out.Hashes = append(out.Hashes, c)
	}
	return out
}

func (w *WebTransport) check() error {
	switch {
	case w == nil:
		return nil
	case w.Port == 0:
		return errors.New("the hello's WebTransport has no port")
	case len(w.Hashes) > MaxHelloCerts:
		return fmt.Errorf("the hello has more than %d hashes of certificates", MaxHelloCerts)
	}
	for _, c := range w.Hashes {
		if _, ok := lowerHex(c.SHA256, sha256.Size); !ok {
			return errors.New("the hash of a certificate in the hello is not 64 lower-case hex digits")
		}
		if life := c.To.Sub(c.From); life <= 0 || life > MaxCertLife {
			return fmt.Errorf("a certificate in the hello is not valid for up to %d days", MaxCertLife/(24*time.Hour))
		}
	}
	return nil
}

// CanonicalOrigin returns the one spelling of an origin that hellos are signed
// for: scheme (http or https), host in lower case, an IP address in its
// shortest form (IPv6 in brackets), and always the port: http://192.0.2.1:80.
// A path of / is dropped, any other refused with ErrBadOrigin.
func CanonicalOrigin(s string) (string, error) {
	bad := fmt.Errorf("%w: %q", ErrBadOrigin, clip(s, 100))
	if len(s) > MaxHelloString {
		return "", bad
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" || u.Path != "" && u.Path != "/" || strings.ContainsAny(s, "?#") {
		return "", bad
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	switch {
	case u.Scheme == "http" && port == "":
		port = "80"
	case u.Scheme == "https" && port == "":
		port = "443"
	case u.Scheme != "http" && u.Scheme != "https":
		return "", bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", bad
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		host = a.Unmap().String()
	} else if !hostName(host) {
		return "", bad
	}
	origin := u.Scheme + "://" + net.JoinHostPort(host, strconv.FormatUint(n, 10))
	if len(origin) > MaxHelloString { // by the port that it lacked
		return "", bad
	}
	return origin, nil
}

func hostName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 253 // RFC 1035
}
