package discover

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/comntr/comntr"
)

// Bounds of an offer. A browser's has 1 to 3 KiB.
const (
	maxOffered       = 16       // that are tried; a browser with many interfaces has a dozen
	minRemoteMessage = 16 << 10 // bytes of a data channel's message that the asker must take
	maxRemoteMessage = 64 << 10 // that we make use of; RFC 8841's default
)

// errOffer is under every error of parseOffer.
var errOffer = errors.New("the offer is not one for a data channel alone")

// offer is what is taken of an SDP offer. A stranger wrote it, and pion reads
// far more of SDP than is needed here: so pion gets what is written anew from
// these fields and nothing else.
type offer struct {
	ufrag, pwd  string
	fingerprint [32]byte // of the asker's certificate
	setup       string
	mid         string
	maxMessage  int
	candidates  []candidate
}

// candidate is an address of the asker to try: UDP, and an address that the
// guard lets a stranger name. Names are not looked up: browsers offer .local
// ones, which mean something on their own network alone, and dial in.
type candidate struct {
	foundation string
	priority   uint32
	addr       netip.AddrPort
	typ        string
}

// parseOffer reads an offer of one data-channel section, as browsers write it
// (RFC 8829, RFC 8841).
func parseOffer(sdp string, guard comntr.Guard) (offer, error) {
	bad := func(what string) (offer, error) { return offer{}, fmt.Errorf("%w: %s", errOffer, what) }
	if len(sdp) > maxSDP {
		return bad(fmt.Sprintf("more than %d bytes", maxSDP))
	}
	o := offer{setup: "actpass", mid: "0", maxMessage: maxRemoteMessage}
	sections, prints := 0, 0
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if m, ok := strings.CutPrefix(line, "m="); ok {
			f := strings.Fields(m)
			if sections++; sections > 1 || len(f) != 4 || f[0] != "application" || f[3] != "webrtc-datachannel" {
				return bad("another medium than webrtc-datachannel")
			}
			continue
		}
		a, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		name, v, _ := strings.Cut(a, ":")
		switch name {
		case "ice-ufrag", "ice-pwd":
			field, least := &o.ufrag, 4
			if name == "ice-pwd" {
				field, least = &o.pwd, 22
			}
			if *field != "" && *field != v || len(v) < least || len(v) > 256 || !iceChars(v) {
				return bad(name)
			}
			*field = v
		case "fingerprint":
			// With two, a stranger in between could have one of them meant by
			// us and the other one by the asker.
			algorithm, digits, _ := strings.Cut(v, " ")
			b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
			if !strings.EqualFold(algorithm, "sha-256") || err != nil || len(b) != 32 || prints > 0 && o.fingerprint != [32]byte(b) {
				return bad("there must be one fingerprint, by sha-256")
			}
			o.fingerprint = [32]byte(b)
			prints++
		case "setup":
			if v != "actpass" && v != "active" && v != "passive" {
				return bad(name)
			}
			o.setup = v
		case "mid":
			if v == "" || len(v) > 32 || !iceChars(strings.Map(midChar, v)) {
				return bad(name)
			}
			o.mid = v
		case "max-message-size":
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil || n > 0 && n < minRemoteMessage {
				return bad(name)
			}
			if n > 0 && n < maxRemoteMessage {
				o.maxMessage = int(n)
			}
		case "candidate":
			if c, ok := parseCandidate(v); ok && len(o.candidates) < maxOffered && guard.Allow(c.addr.Addr()) {
				o.candidates = append(o.candidates, c)
			}
		}
	}
	if sections == 0 || o.ufrag == "" || o.pwd == "" || prints == 0 {
		return bad("it lacks its medium, its ICE credentials or its fingerprint")
	}
	return o, nil
}

// iceChars reports whether s is of RFC 8839's ice-char alone.
func iceChars(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

// midChar makes the other characters that stand in mids ones that iceChars
// knows.
func midChar(r rune) rune {
	if r == '-' || r == '_' || r == '.' {
		return '+'
	}
	return r
}

// parseCandidate reads a candidate of UDP with an address.
func parseCandidate(s string) (candidate, bool) {
	f := strings.Fields(s)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") || f[6] != "typ" {
		return candidate{}, false
	}
	priority, err := strconv.ParseUint(f[3], 10, 32)
	a, err2 := netip.ParseAddr(f[4])
	port, err3 := strconv.ParseUint(f[5], 10, 16)
	if err != nil || err2 != nil || err3 != nil || port == 0 || a.Zone() != "" || len(f[0]) > 32 || !iceChars(f[0]) {
		return candidate{}, false
	}
	typ := f[7]
	if typ != "srflx" && typ != "relay" {
		typ = "host"
	}
	return candidate{f[0], uint32(priority), netip.AddrPortFrom(a.Unmap(), uint16(port)), typ}, true
}

// sdp writes the offer anew.
func (o offer) sdp() string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE %[1]s\r\n"+
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"+
		"a=ice-ufrag:%[2]s\r\na=ice-pwd:%[3]s\r\na=fingerprint:sha-256 %[4]s\r\na=setup:%[5]s\r\na=mid:%[1]s\r\n"+
		"a=sctp-port:5000\r\na=max-message-size:%[6]d\r\n",
		o.mid, o.ufrag, o.pwd, fingerprintText(o.fingerprint), o.setup, o.maxMessage)
	for _, c := range o.candidates {
		fmt.Fprintf(&b, "a=candidate:%s 1 udp %d %s %d typ %s", c.foundation, c.priority, c.addr.Addr(), c.addr.Port(), c.typ)
		if c.typ != "host" {
			b.WriteString(" raddr 0.0.0.0 rport 9")
		}
		b.WriteString("\r\n")
	}
	b.WriteString("a=end-of-candidates\r\n")
	return b.String()
}

func fingerprintText(f [32]byte) string {
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", f[:]), " ", ":"))
}

// outside is an address at which others reach one of our ports though no
// interface has it: that of a router that forwards, or that a NAT gave us.
type outside struct {
	addr netip.AddrPort
	tcp  bool
	nat  bool // given by a NAT, which may give another to another peer
}

// answerCandidates puts into an answer what the asker is to try: of the local
// addresses those that a stranger may be told, and those outside. Component 2
// is pion's habit from the days of RTCP.
func answerCandidates(sdp string, guard comntr.Guard, others []outside) string {
	var b strings.Builder
	told := map[string]bool{}
	write := func() {
		for i, o := range others {
			a := o.addr.Addr().Unmap()
			transport, extra, preference := "udp", "", 65535
			if o.tcp {
				// RFC 6544: below UDP, as everything over TCP.
				transport, extra, preference = "tcp", " tcptype passive", 8191
			}
			if key := transport + o.addr.String(); told[key] || !guard.Allow(a) {
				continue
			} else {
				told[key] = true
			}
			kind, related := 126, "host"
			if o.nat {
				zero := netip.IPv4Unspecified()
				if a.Is6() {
					zero = netip.IPv6Unspecified()
				}
				kind, related = 100, fmt.Sprintf("srflx raddr %s rport 9", zero)
			}
			// RFC 8445, section 5.1.2.1, of component 1.
			fmt.Fprintf(&b, "a=candidate:out%d 1 %s %d %s %d typ %s%s\r\n",
				i, transport, kind<<24|(preference-i)<<8|255, a, o.addr.Port(), related, extra)
		}
		others = nil
	}
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			f := strings.Fields(v)
			if len(f) < 8 || f[1] != "1" {
				continue
			}
			a, err := netip.ParseAddr(f[4])
			if err != nil || !guard.Allow(a) {
				continue
			}
			port, _ := strconv.ParseUint(f[5], 10, 16)
			told[strings.ToLower(f[2])+netip.AddrPortFrom(a.Unmap(), uint16(port)).String()] = true
		}
		if strings.HasPrefix(line, "a=end-of-candidates") {
			write()
		}
		b.WriteString(line)
	}
	write()
	return b.String()
}
