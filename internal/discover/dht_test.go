package discover_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	"go.uber.org/goleak"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var reddit = comntr.NameHash("reddit")

// start runs a DHT node on loopback that bootstraps from others.
func start(t *testing.T, cfg discover.DHTConfig, from ...*discover.DHT) *discover.DHT {
	t.Helper()
	d := open(t, cfg, from...)
	run(t, d)
	return d
}

func open(t *testing.T, cfg discover.DHTConfig, from ...*discover.DHT) *discover.DHT {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Bootstrap == nil {
		cfg.NoBootstrap = len(from) == 0
		for _, f := range from {
			cfg.Bootstrap = append(cfg.Bootstrap, f.Addr().String())
		}
	}
	cfg.Guard.AllowPrivate = true
	d, err := discover.NewDHT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func run(t *testing.T, d *discover.DHT) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil && !errors.Is(err, discover.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		began := time.Now()
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// patience is how long a test waits for what takes milliseconds on a machine
// that has nothing else to do.
const patience = time.Minute

// lookup looks h up until want is found; the network is real, so there is
// nothing but trying again.
func lookup(t *testing.T, d *discover.DHT, h comntr.Hash, want ...netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	var got map[netip.AddrPort]bool
	for ctx.Err() == nil {
		got = map[netip.AddrPort]bool{}
		d.Lookup(ctx, h, func(ap netip.AddrPort) {
			if got[ap] {
				t.Errorf("%v was given twice", ap)
			}
			got[ap] = true
		})
		if !slices.ContainsFunc(want, func(ap netip.AddrPort) bool { return !got[ap] }) {
			t.Logf("found after %v", time.Since(began).Round(time.Millisecond))
			return
		}
		wait(ctx, 20*time.Millisecond)
	}
	t.Fatalf("found %v, not all of %v, within %v", got, want, patience)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("not within %v: %s", patience, what)
		}
		wait(ctx, 10*time.Millisecond)
	}
}

func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
}

func TestThreeFreshNodesFindEachOther(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	b := start(t, discover.DHTConfig{}, a)
	c := start(t, discover.DHTConfig{}, a)
	a.Announce(reddit, 5001)
	b.Announce(reddit, 5002)
	c.Announce(reddit, 5003)
	for _, d := range []*discover.DHT{a, b, c} {
		eventually(t, "two nodes in each table", func() bool { return d.Nodes() >= 2 })
	}
	lookup(t, a, reddit, at(5002), at(5003))
	lookup(t, b, reddit, at(5001), at(5003))
	lookup(t, c, reddit, at(5001), at(5002))
}

// A announces before anybody is there; nothing is lost.
func TestAnnounceBeforeAnyNodeIsKnown(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	a.Announce(reddit, 5001)
	b := start(t, discover.DHTConfig{}, a)
	lookup(t, b, reddit, at(5001))
	// It is announced at b, too, and not only told by a itself.
	eventually(t, "announced at b", func() bool { return slices.Contains(b.Announced(reddit), at(5001)) })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	lookup(t, b, reddit, at(5001))
}

// A client that is no node finds the only server there is, from that server.
func TestLookupAtTheOnlyNode(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", ":0"} {
		a := start(t, discover.DHTConfig{Listen: listen})
		a.Announce(reddit, 5001)
		client, err := discover.NewDHT(discover.DHTConfig{
			Listen: "127.0.0.1:0", Passive: true, Guard: comntr.Guard{AllowPrivate: true},
			Bootstrap: []string{a.Addr().String()},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		lookup(t, client, reddit, at(5001))
		if a.Nodes() != 0 {
			t.Error("a passive node is in another's table")
		}
	}
}

func TestFiveNodesWithoutTheBootstrap(t *testing.T) {
	t.Parallel()
	boot := start(t, discover.DHTConfig{})
	var nodes []*discover.DHT
	for range 4 {
		nodes = append(nodes, start(t, discover.DHTConfig{}, boot))
	}
	for _, n := range nodes {
		eventually(t, "four nodes in each table", func() bool { return n.Nodes() >= 4 })
	}
	if err := boot.Close(); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		n.Announce(reddit, 6000+i)
	}
	for i, n := range nodes {
		var want []netip.AddrPort
		for j := range nodes {
			if j != i {
				want = append(want, at(6000+j))
			}
		}
		lookup(t, n, reddit, want...)
	}
}

func TestAnotherPortIsAnnouncedAtOnce(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	b := start(t, discover.DHTConfig{}, a)
	a.Announce(reddit, 5001)
	lookup(t, b, reddit, at(5001))
	a.Announce(reddit, 5009)
	lookup(t, b, reddit, at(5009))
}

func TestNodesOfTheLastRunAreEnough(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "dht")
	a := start(t, discover.DHTConfig{})
	a.Announce(reddit, 5001)
	b := start(t, discover.DHTConfig{StateFile: state}, a)
	eventually(t, "a node in the table", func() bool { return b.Nodes() > 0 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(state); err != nil || string(got) != a.Addr().String()+"\n" {
		t.Fatalf("state file: %q, %v", got, err)
	}
	b = start(t, discover.DHTConfig{StateFile: state})
	lookup(t, b, reddit, at(5001))
}

func TestHostileStateFile(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "dht")
	junk := strings.Repeat("nonsense\n\x00\n1.2.3.4:0\n", 20_000)
	if err := os.WriteFile(state, []byte(junk), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, discover.DHTConfig{StateFile: state})
	if d.Nodes() != 0 {
		t.Error("nonsense became a node")
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	_, err := discover.NewDHT(discover.DHTConfig{Listen: a.Addr().String(), NoBootstrap: true})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), a.Addr().String()) ||
		!strings.Contains(err.Error(), "choose another") {
		t.Errorf("error: %v", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for listen, ok := range map[string]bool{
		":0": true, "[::]:0": true, "0.0.0.0:0": true, "localhost:0": true,
		"nonsense": false, "127.0.0.1": false, "127.0.0.1:65536": false,
	} {
		d, err := discover.NewDHT(discover.DHTConfig{Listen: listen, NoBootstrap: true})
		if (err == nil) != ok {
			t.Errorf("%s: error %v", listen, err)
		}
		if err != nil {
			continue
		}
		if a := d.Addr(); a.Addr() != netip.MustParseAddr("127.0.0.1") || a.Port() == 0 {
			t.Errorf("%s: address %v", listen, a)
		}
		d.Close()
	}
}

func TestBadBootstrap(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"", "host", "host:0", ":6881", "host:99999", "host:http"} {
		if _, err := discover.NewDHT(discover.DHTConfig{Listen: "127.0.0.1:0", Bootstrap: []string{b}}); err == nil {
			t.Errorf("%q was taken", b)
		}
	}
}

// A changed address of the machine is announced at once: b, which forgot, is
// told again long before 15 minutes.
func TestChangedInterfacesAnnounceAgain(t *testing.T) {
	t.Parallel()
	b := start(t, discover.DHTConfig{})
	a := open(t, discover.DHTConfig{}, b)
	var changed atomic.Bool
	a.SetInterfaces(10*time.Millisecond, func() ([]net.Addr, error) {
		if changed.Load() {
			return []net.Addr{&net.IPNet{IP: net.IPv4(10, 0, 0, 2), Mask: net.CIDRMask(24, 32)}}, nil
		}
		return []net.Addr{&net.IPNet{IP: net.IPv4(10, 0, 0, 1), Mask: net.CIDRMask(24, 32)}}, nil
	})
	run(t, a)
	a.Announce(reddit, 5001)
	told := func() bool { return len(b.Announced(reddit)) > 0 }
	eventually(t, "announced", told)
	b.Forget()
	changed.Store(true)
	eventually(t, "announced again", told)
}

// A public address that enough others agree on gives the node an id that
// proves it (BEP 42), on the same port, and announces anew; where private
// addresses are allowed the id stays.
func TestPublicAddress(t *testing.T) {
	t.Parallel()
	said := []string{"198.41.0.4", "199.9.14.201", "192.33.4.12", "199.7.91.13", "192.203.230.10"}
	ours := netip.MustParseAddr("93.184.216.34")
	for _, private := range []bool{false, true} {
		d, err := discover.NewDHT(discover.DHTConfig{Listen: "127.0.0.1:0", NoBootstrap: true, Guard: comntr.Guard{AllowPrivate: private}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, d)
		addr, id := d.Addr(), d.ID()
		for range 20 { // one voice, however loud
			d.Told(netip.MustParseAddr("5.6.7.8"), netip.MustParseAddr("9.9.9.9"))
		}
		d.Told(netip.MustParseAddr("5.6.7.8"), netip.MustParseAddr("127.0.0.1"))
		if len(d.PublicAddrs()) > 0 {
			t.Errorf("one voice was believed: %v", d.PublicAddrs())
		}
		for _, by := range said {
			d.Told(netip.MustParseAddr(by), ours)
		}
		if got := d.PublicAddrs(); len(got) != 1 || got[0] != ours {
			t.Errorf("public addresses %v", got)
		}
		if private {
			if d.ID() != id {
				t.Error("another id, where ids prove nothing")
			}
			continue
		}
		eventually(t, "a new id", func() bool { return d.ID() != id })
		if !dht.NodeIdSecure(d.ID(), ours.AsSlice()) {
			t.Error("the new id does not prove the address")
		}
		if d.Addr() != addr {
			t.Error("another port")
		}
		// On an address change the newest voices win.
		next := netip.MustParseAddr("93.184.220.1")
		id = d.ID()
		for i := range 16 {
			d.Told(netip.AddrFrom4([4]byte{20, byte(i), 1, 1}), next)
		}
		if got := d.PublicAddrs(); len(got) != 1 || got[0] != next {
			t.Errorf("public addresses %v", got)
		}
		eventually(t, "a new id", func() bool { return d.ID() != id })
	}
}

// Nobody answers: it is said once, with what is tried, and tried on.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago: bound and closed.
	gone := start(t, discover.DHTConfig{})
	addr := gone.Addr().String()
	gone.Close()
	var logs lines
	d := start(t, discover.DHTConfig{Bootstrap: []string{addr}, Log: slog.New(slog.NewTextHandler(&logs, nil))})
	d.Announce(reddit, 5001)
	if err := d.Lookup(t.Context(), reddit, func(netip.AddrPort) {}); !errors.Is(err, discover.ErrNobody) {
		t.Errorf("Lookup: %v", err)
	}
	said := func() int { return strings.Count(logs.String(), "nobody was reached") }
	eventually(t, "said so", func() bool { return said() > 0 })
	if !strings.Contains(logs.String(), addr) {
		t.Errorf("the log does not say what is tried: %s", logs.String())
	}
	// Somebody comes up there, and nothing was lost.
	b := start(t, discover.DHTConfig{Listen: addr})
	lookup(t, b, reddit, at(5001))
	if said() != 1 {
		t.Errorf("said %d times", said())
	}
}

// lines is a buffer for logs of several goroutines.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	d := start(t, discover.DHTConfig{})
	d.Announce(reddit, 5001)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := d.Run(t.Context()); !errors.Is(err, discover.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	if err := d.Lookup(t.Context(), reddit, nil); !errors.Is(err, discover.ErrClosed) {
		t.Errorf("Lookup: %v", err)
	}
	d.Announce(reddit, 5002)
	d.Nodes()
	d.PublicAddrs()
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		c.Close()
	}
	a := start(t, discover.DHTConfig{Listen: "[::1]:0"})
	b := start(t, discover.DHTConfig{Listen: "[::1]:0"}, a)
	a.Announce(reddit, 5001)
	b.Announce(reddit, 5002)
	lookup(t, a, reddit, netip.MustParseAddrPort("[::1]:5002"))
	lookup(t, b, reddit, netip.MustParseAddrPort("[::1]:5001"))
	// One port for both families where any will do.
	both := start(t, discover.DHTConfig{Listen: ":0", Bootstrap: []string{a.Addr().String()}})
	lookup(t, both, reddit, netip.MustParseAddrPort("[::1]:5001"))
}

// A table full of nodes that are gone keeps nobody from the bootstrap nodes.
func TestAllKnownNodesAreGone(t *testing.T) {
	t.Parallel()
	spare := start(t, discover.DHTConfig{})
	addr := spare.Addr().String()
	spare.Close()
	boot := start(t, discover.DHTConfig{})
	d := start(t, discover.DHTConfig{Bootstrap: []string{boot.Addr().String(), addr}})
	others := []*discover.DHT{boot}
	for range 9 {
		others = append(others, start(t, discover.DHTConfig{}, boot))
	}
	eventually(t, "a full table", func() bool { return d.Nodes() >= 9 })
	for _, o := range others {
		o.Close()
	}
	start(t, discover.DHTConfig{Listen: addr}).Announce(reddit, 5001)
	lookup(t, d, reddit, at(5001))
}
