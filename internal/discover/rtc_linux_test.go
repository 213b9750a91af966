package discover_test

import (
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/comntr/comntr/internal/discover"
)

// TestRTCAddressesComeAndGo: sockets follow the machine's addresses. (Elsewhere
// loopback has one.)
func TestRTCAddressesComeAndGo(t *testing.T) {
	r := serveRTC(t, echo, func(c *discover.RTCConfig) { c.Listen = ":0" })
	set := func(addrs ...string) {
		t.Helper()
		if err := r.SetInterfaces(func() (list []net.Addr, err error) {
			for _, a := range addrs {
				list = append(list, &net.IPNet{IP: net.ParseIP(a), Mask: net.CIDRMask(8, 32)})
			}
			return list, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	set("127.0.0.1")
	if s := r.Sockets(); len(s) != 1 || s[0].Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("sockets on %v", s)
	}
	set("127.0.0.2", "127.0.0.3")
	if s := r.Sockets(); len(s) != 2 {
		t.Errorf("sockets on %v", s)
	}
	c := dialRTC(t, r.Answer, nil)
	c.start(reddit, nil)
	if status, _ := c.get("/"); status != http.StatusTeapot {
		t.Errorf("status %d", status)
	}
}
