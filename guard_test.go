package comntr_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		addr            string
		public, private bool // what the zero Guard and AllowPrivate say
	}{
		{"1.1.1.1", true, true},
		{"8.8.8.8", true, true},
		{"100.63.255.255", true, true},
		{"100.128.0.1", true, true},
		{"172.15.255.255", true, true},
		{"172.32.0.1", true, true},
		{"192.0.1.1", true, true},
		{"198.17.255.255", true, true},
		{"223.255.255.255", true, true},
		{"2606:4700:4700::1111", true, true},
		{"2a00:1450::1", true, true},
		{"2001:200::1", true, true},
		{"::ffff:1.1.1.1", true, true},
		{"64:ff9b::1.1.1.1", true, true},

		{"0.0.0.0", false, false},
		{"::", false, false},
		{"::ffff:0.0.0.0", false, false},
		{"64:ff9b::0.0.0.0", false, false},
		{"224.0.0.1", false, false},
		{"239.255.255.255", false, false},
		{"255.255.255.255", false, false},
		{"ff02::1", false, false},
		{"::ffff:224.0.0.1", false, false},

		{"0.0.0.1", false, true},
		{"10.0.0.1", false, true},
		{"10.255.255.255", false, true},
		{"100.64.0.1", false, true},
		{"100.127.255.255", false, true},
		{"127.0.0.1", false, true},
		{"127.255.255.254", false, true},
		{"169.254.169.254", false, true},
		{"172.16.0.1", false, true},
		{"172.31.255.255", false, true},
		{"192.0.0.1", false, true},
		{"192.0.2.1", false, true},
		{"192.88.99.1", false, true},
		{"192.168.1.1", false, true},
		{"198.18.0.1", false, true},
		{"198.19.255.255", false, true},
		{"198.51.100.1", false, true},
		{"203.0.113.1", false, true},
		{"240.0.0.1", false, true},
		{"::1", false, true},
		{"::127.0.0.1", false, true}, // IPv4-compatible, long dead
		{"::ffff:127.0.0.1", false, true},
		{"::ffff:10.0.0.1", false, true},
		{"::ffff:169.254.169.254", false, true},
		{"64:ff9b::127.0.0.1", false, true},
		{"64:ff9b::10.0.0.1", false, true},
		{"64:ff9b:1::1", false, true}, // NAT64 of a site
		{"100::1", false, true},
		{"2001::1", false, true}, // Teredo
		{"2001:db8::1", false, true},
		{"2002:7f00:1::", false, true}, // 6to4 of 127.0.0.1
		{"2002:a00:1::", false, true},  // 6to4 of 10.0.0.1
		{"3fff::1", false, true},
		{"5f00::1", false, true},
		{"fc00::1", false, true},
		{"fd12:3456:789a::1", false, true},
		{"fe80::1", false, true},
		{"fe80::1%lo", false, true},
		{"fec0::1", false, true},
	} {
		a := netip.MustParseAddr(c.addr)
		for _, g := range []struct {
			guard comntr.Guard
			want  bool
		}{{comntr.Guard{}, c.public}, {comntr.Guard{AllowPrivate: true}, c.private}} {
			if got := g.guard.Allow(a); got != g.want {
				t.Errorf("%s with %+v: %v, want %v", c.addr, g.guard, got, g.want)
			}
			network, address := "tcp4", netip.AddrPortFrom(a, 80).String()
			if a.Is6() {
				network = "tcp6"
			}
			if err := g.guard.Control(network, address, nil); (err == nil) != g.want || err != nil && !errors.Is(err, comntr.ErrRefusedAddress) {
				t.Errorf("%s with %+v: Control says %v", address, g.guard, err)
			}
		}
	}
	for _, g := range []comntr.Guard{{}, {AllowPrivate: true}} {
		if g.Allow(netip.Addr{}) {
			t.Error("the zero address is let through")
		}
		for _, bad := range [][2]string{{"unix", "/run/x.sock"}, {"tcp4", "localhost:80"}, {"tcp4", "1.1.1.1"}, {"ip4:icmp", "1.1.1.1"}} {
			if err := g.Control(bad[0], bad[1], nil); !errors.Is(err, comntr.ErrRefusedAddress) {
				t.Errorf("%v: %v", bad, err)
			}
		}
	}
}

// The guard looks at what a name resolves to, and no redirect gets around it.
func TestGuardHTTPClient(t *testing.T) {
	asked := 0
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++ }))
	defer inner.Close()
	port := inner.URL[strings.LastIndex(inner.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		hc := comntr.Guard{}.HTTPClient()
		_, err := hc.Get("http://" + host + port + "/")
		if !errors.Is(err, comntr.ErrRefusedAddress) {
			t.Errorf("%s: %v", host, err)
		}
		c := must(comntr.NewClient("http://"+host+port, nil))
		if _, err := c.Root(context.Background(), news.Community); !errors.Is(err, comntr.ErrRefusedAddress) {
			t.Errorf("a client without http.Client, %s: %v", host, err)
		}
	}
	if asked != 0 {
		t.Errorf("%d requests came through", asked)
	}
	// A proxy would dial for us, unguarded.
	t.Setenv("HTTP_PROXY", inner.URL)
	if tr := (comntr.Guard{}).HTTPClient().Transport.(*http.Transport); tr.Proxy != nil {
		t.Error("a proxy is used")
	}
	redirect := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusFound))
	defer redirect.Close()
	r, err := comntr.Guard{AllowPrivate: true}.HTTPClient().Get(redirect.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusFound || asked != 0 {
		t.Errorf("the redirect was followed: status %d", r.StatusCode)
	}
}
