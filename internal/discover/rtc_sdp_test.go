package discover_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

const testPrint = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99"

// goodOffer is one as Chromium writes it, with candidates of all kinds.
const goodOffer = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" +
	"a=candidate:1 1 udp 2113937151 7c2d0f5f-1b1a-4b5c-8f0d-3f9d2d1f3c11.local 51234 typ host generation 0 network-cost 999\r\n" +
	"a=candidate:2 1 udp 1677729535 198.35.26.96 51234 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999\r\n" +
	"a=candidate:3 1 udp 2113939711 2620:0:861:ed1a::1 51235 typ host generation 0\r\n" +
	"a=candidate:4 1 udp 2113937151 192.168.1.7 51236 typ host generation 0\r\n" +
	"a=candidate:5 1 tcp 1518280447 198.35.26.97 9 typ host tcptype active generation 0\r\n" +
	"a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-options:trickle\r\na=fingerprint:sha-256 " + testPrint + "\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"

func TestReadOffer(t *testing.T) {
	got, err := discover.ReadOffer(goodOffer, comntr.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	want := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" +
		"a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=fingerprint:sha-256 " + testPrint + "\r\n" +
		"a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n" +
		"a=candidate:2 1 udp 1677729535 198.35.26.96 51234 typ srflx raddr 0.0.0.0 rport 9\r\n" +
		"a=candidate:3 1 udp 2113939711 2620:0:861:ed1a::1 51235 typ host\r\n" +
		"a=end-of-candidates\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again, err := discover.ReadOffer(got, comntr.Guard{}); again != got {
		t.Errorf("read again: %v\n%s", err, again)
	}
	// A LAN's addresses are tried where the operator allows it.
	if got, err := discover.ReadOffer(goodOffer, comntr.Guard{AllowPrivate: true}); err != nil || !strings.Contains(got, " 192.168.1.7 51236 ") {
		t.Errorf("%v\n%s", err, got)
	}
	// A few of too many candidates are tried.
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "a=candidate:%d 1 udp 1 198.35.26.%d 5000 typ host\r\n", i, i)
	}
	if got, err := discover.ReadOffer(goodOffer+many.String(), comntr.Guard{}); err != nil || strings.Count(got, "a=candidate") != discover.MaxOffered {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestReadOfferRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodOffer, old, new, 1) }
	for _, c := range []struct{ name, sdp string }{
		{"nothing", ""},
		{"too long", goodOffer + strings.Repeat("a=x\r\n", 4000)},
		{"no medium", replace("m=application", "x=application")},
		{"video", replace("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=video 9 UDP/TLS/RTP/SAVPF 96")},
		{"video besides", goodOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"},
		{"two channels' sections", goodOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"},
		{"no ufrag", replace("a=ice-ufrag:8hhY\r\n", "")},
		{"a short ufrag", replace("8hhY", "8hh")},
		{"a ufrag with a colon", replace("8hhY", "8h:hY")},
		{"two ufrags", goodOffer + "a=ice-ufrag:other\r\n"},
		{"a short password", replace("asd88fgpdd777uzjYhagZg", "asd88fgpdd777uzjYhagZ")},
		{"a password of other characters", replace("asd88fgpdd777uzjYhagZg", "asd88fgpdd777uzjYhagZg\x00")},
		{"no fingerprint", replace("a=fingerprint", "a=nofingerprint")},
		{"a fingerprint by sha-1", replace("sha-256", "sha-1")},
		{"a short fingerprint", replace("AA:BB:", "")},
		{"two fingerprints", goodOffer + "a=fingerprint:sha-256 " + strings.ReplaceAll(testPrint, "AA", "AB") + "\r\n"},
		{"another setup", replace("actpass", "holdconn")},
		{"a mid that breaks a line", replace("a=mid:0", "a=mid:0\ra=x")},
		{"an empty mid", replace("a=mid:0", "a=mid:")},
		{"messages too small", replace("262144", "1000")},
		{"messages of no size", replace("262144", "lots")},
	} {
		if got, err := discover.ReadOffer(c.sdp, comntr.Guard{}); err == nil {
			t.Errorf("%s: taken as\n%s", c.name, got)
		}
	}
	for _, c := range []string{
		"a=candidate:1 2 udp 1 198.35.26.96 5000 typ host", "a=candidate:1 1 udp 1 198.35.26.96 0 typ host", "a=candidate:1 1 udp 1 198.35.26.96 65536 typ host",
		"a=candidate:1 1 udp x 198.35.26.96 5000 typ host", "a=candidate:1 1 udp 1 127.0.0.1 5000 typ host", "a=candidate:1 1 udp 1 ::ffff:10.0.0.1 5000 typ host",
		"a=candidate:1 1 udp 1 example.org 5000 typ host", "a=candidate:1 1 udp 1 fe80::1%lo 5000 typ host", "a=candidate:", "a=candidate:1 1 udp 1 198.35.26.96 5000 host typ",
		"a=candidate:1;x 1 udp 1 198.35.26.96 5000 typ host",
	} {
		got, err := discover.ReadOffer(replace("a=candidate:2 ", c+"\r\na=nocandidate:"), comntr.Guard{})
		if err != nil || strings.Count(got, "a=candidate") != 1 {
			t.Errorf("%s: %v\n%s", c, err, got)
		}
	}
}

// FuzzReadOffer: nothing panics, and what is taken is read the same again and
// has no line that was not meant.
func FuzzReadOffer(f *testing.F) {
	f.Add(goodOffer)
	f.Add(strings.ReplaceAll(goodOffer, "\r\n", "\n"))
	f.Fuzz(func(t *testing.T, sdp string) {
		got, err := discover.ReadOffer(sdp, comntr.Guard{})
		if err != nil {
			return
		}
		if again, err := discover.ReadOffer(got, comntr.Guard{}); err != nil || again != got {
			t.Errorf("%q is read again as %q, %v", got, again, err)
		}
		if strings.Count(got, "\nm=") != 1 || strings.Count(got, "a=fingerprint") != 1 || strings.Count(got, "\n") > 20+discover.MaxOffered {
			t.Errorf("%q", got)
		}
	})
}

// stunRequest is a binding request (RFC 8489).
func stunRequest(id string, attributes ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1}, uint16(len(attributes)))
	b = append(b, 0x21, 0x12, 0xa4, 0x42)
	b = append(b, id...)
	return append(b, attributes...)
}

// TestRTCAnswersSTUN: a plain question is answered with where it came from; what
// is no plain question, or one of too many, is not.
func TestRTCAnswersSTUN(t *testing.T) {
	r := serveRTC(t, http.NotFoundHandler(), func(c *discover.RTCConfig) { c.NoLimits = false })
	conn := must(net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Sockets()[0])))
	defer conn.Close()
	own := conn.LocalAddr().(*net.UDPAddr)
	ask := func(b []byte, within time.Duration) []byte {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(within))
		answer := make([]byte, 1500)
		n, err := conn.Read(answer)
		if err != nil {
			return nil
		}
		return answer[:n]
	}
	const id = "abcdefghijkl"
	a := ask(stunRequest(id), 10*time.Second)
	if len(a) != 32 || string(a[8:20]) != id || binary.BigEndian.Uint16(a) != 0x0101 || binary.BigEndian.Uint16(a[2:]) != 12 || binary.BigEndian.Uint16(a[20:]) != 0x20 {
		t.Fatalf("%x", a)
	}
	port := binary.BigEndian.Uint16(a[26:]) ^ 0x2112
	ip := binary.BigEndian.Uint32(a[28:]) ^ 0x2112a442
	if int(port) != own.Port || ip != 0x7f000001 {
		t.Errorf("told %x:%d, is %s", ip, port, own)
	}
	for name, b := range map[string][]byte{
		"garbage":             []byte("garbage"),
		"a check of no one's": stunRequest(id, 0, 6, 0, 4, 'a', ':', 'b', 'c'),
		"another cookie":      append(make([]byte, 4), make([]byte, 16)...),
		"an answer":           append([]byte{1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, id...),
	} {
		// Answered in order: were b answered, that would come first.
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		other := strings.ToUpper(id)
		if a := ask(stunRequest(other), 10*time.Second); len(a) != 32 || string(a[8:20]) != other {
			t.Errorf("%s is answered: %x", name, a)
		}
	}
	const batch = 50
	answered := 0
	for range 2000 / batch {
		for range batch {
			conn.Write(stunRequest(id))
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		for range batch {
			if _, err := conn.Read(make([]byte, 1500)); err != nil {
				break
			}
			answered++
		}
	}
	if answered == 0 || answered > 3*discover.STUNPerSource {
		t.Errorf("%d of 2000 questions at once were answered", answered)
	}
}

// TestRTCBehindNAT: what STUN servers and the DHT say of the own address is in
// the answer, each once, and only from a server that was asked.
func TestRTCBehindNAT(t *testing.T) {
	stun := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer stun.Close()
	r := serveRTC(t, http.NotFoundHandler(), func(c *discover.RTCConfig) {
		c.STUN = []string{stun.LocalAddr().String()}
		c.PublicAddrs = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("198.35.26.96")} }
	})
	b := make([]byte, 1500)
	n, from, err := stun.ReadFromUDP(b)
	if err != nil || n != 20 {
		t.Fatalf("%x, %v", b[:n], err)
	}
	answer := func(id []byte, addr [4]byte, port uint16) []byte {
		a := append([]byte{1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42}, id...)
		a = append(a, 0, 0x20, 0, 8, 0, 1)
		a = binary.BigEndian.AppendUint16(a, port^0x2112)
		return binary.BigEndian.AppendUint32(a, binary.BigEndian.Uint32(addr[:])^0x2112a442)
	}
	liar := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer liar.Close()
	liar.WriteToUDP(answer(b[8:20], [4]byte{198, 35, 26, 66}, 666), from)
	stun.WriteToUDP(answer([]byte("abcdefghijkl"), [4]byte{198, 35, 26, 67}, 667), from)
	stun.WriteToUDP(answer(b[8:20], [4]byte{198, 35, 26, 98}, 4100), from)
	var sdp string
	_, _, offer, _ := rtcOffer(t, nil, nil)
	eventually(t, "the NAT's address is told", func() bool {
		sdp = must(r.Answer(t.Context(), offer))
		return strings.Contains(sdp, " 198.35.26.98 4100 typ srflx ")
	})
	port := r.Addr().Port()
	for _, want := range []string{
		fmt.Sprintf(" udp 2130706431 198.35.26.96 %d typ host\r\n", port), fmt.Sprintf(" 198.35.26.96 %d typ host tcptype passive\r\n", port),
		fmt.Sprintf(" 127.0.0.1 %d typ host", port),
	} {
		if strings.Count(sdp, want) == 0 {
			t.Errorf("no %q in\n%s", want, sdp)
		}
	}
	if strings.Contains(sdp, "198.35.26.66") || strings.Contains(sdp, "198.35.26.67") || strings.Contains(sdp, "candidate:out0 2") || strings.Count(sdp, "198.35.26.98") != 1 {
		t.Errorf("in the answer:\n%s", sdp)
	}
}

// TestRTCGuard: without --allow-private no private address is told, and none is
// talked to.
func TestRTCGuard(t *testing.T) {
	r := serveRTC(t, http.NotFoundHandler(), func(c *discover.RTCConfig) { c.Guard = comntr.Guard{} })
	_, _, offer, _ := rtcOffer(t, nil, nil)
	sdp := must(r.Answer(t.Context(), offer))
	if strings.Contains(sdp, "a=candidate") {
		t.Errorf("the answer names\n%s", sdp)
	}
	conn := must(net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Sockets()[0])))
	defer conn.Close()
	conn.Write(stunRequest("abcdefghijkl"))
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1500)); err == nil {
		t.Errorf("a packet from loopback is answered with %d bytes", n)
	}
	tcp := must(net.Dial("tcp", r.Addr().String()))
	defer tcp.Close()
	tcp.SetReadDeadline(time.Now().Add(4 * time.Second)) // less than who says nothing has
	if _, err := tcp.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection from loopback is kept: %v", err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestRTCTCPIsBounded: of one address; who says nothing holds up no stop.
func TestRTCTCPIsBounded(t *testing.T) {
	r := serveRTC(t, http.NotFoundHandler(), func(c *discover.RTCConfig) { c.NoLimits = false })
	for range discover.MaxRTCTCPAddr {
		c := must(net.Dial("tcp", r.Addr().String()))
		defer c.Close()
	}
	c := must(net.Dial("tcp", r.Addr().String()))
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(4 * time.Second)) // less than the silent ones have
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("one too many is kept: %v", err)
	}
	began := time.Now()
	r.Close()
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("closing took %s", d)
	}
}

func TestRTCListen(t *testing.T) {
	r := serveRTC(t, http.NotFoundHandler())
	for _, c := range []struct{ listen, want string }{
		{r.Addr().String(), "--rtc-listen names another address"},
		{"nowhere", "WebRTC listen address"},
		{"example.org:0", "no IP address"},
	} {
		if _, err := discover.NewRTC(discover.RTCConfig{Listen: c.listen, STUN: []string{}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.listen, err)
		}
	}
	if _, err := discover.NewRTC(discover.RTCConfig{Listen: "127.0.0.1:0", STUN: []string{"nowhere"}}); err == nil {
		t.Error("a STUN server without a port is taken")
	}
}

// TestRTCReachable: ICE-lite is for who has the address that others see.
func TestRTCReachable(t *testing.T) {
	for _, c := range []struct {
		own, seen string
		want      bool
	}{
		{"198.35.26.96", "198.35.26.96", true},
		{"192.168.1.7", "198.35.26.96", false},
		{"198.35.26.96", "198.35.26.97", false},
		{"192.168.1.7", "192.168.1.7", false},
		{"2620:0:861:ed1a::1", "2620:0:861:ed1a::1", false},
		{"198.35.26.96", "", false},
	} {
		r := must(discover.NewRTC(discover.RTCConfig{
			Listen: ":0", STUN: []string{}, Guard: comntr.Guard{AllowPrivate: true},
			PublicAddrs: func() []netip.Addr {
				a, err := netip.ParseAddr(c.seen)
				if err != nil {
					return nil
				}
				return []netip.Addr{a}
			},
		}))
		r.SetInterfaces(func() ([]net.Addr, error) { return []net.Addr{&net.IPNet{IP: net.ParseIP(c.own)}}, nil })
		if got := r.Reachable(); got != c.want {
			t.Errorf("own %s, seen as %s: %v", c.own, c.seen, got)
		}
		r.Close()
	}
}
