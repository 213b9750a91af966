package ipfs_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bsclient "github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/message"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

var _ ipfs.Holder = (*ipfs.Folders)(nil)

// held is a Holder of blocks in memory.
type held struct {
	mu     sync.Mutex
	blocks map[cid.Cid][]byte
	roots  []cid.Cid
}

func (h *held) Block(c cid.Cid) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b, ok := h.blocks[c]; ok {
		return b, nil
	}
	return nil, ipfs.ErrNotHeld
}

func (h *held) Size(c cid.Cid) (int, error) {
	b, err := h.Block(c)
	return len(b), err
}

func (h *held) Roots() []cid.Cid {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.roots
}

func (h *held) setRoots(c ...cid.Cid) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.roots = c
}

// fill returns a Holder of n comments of about size bytes as version 0 leaves,
// and their CIDs.
func fill(n, size int) (*held, []cid.Cid) {
	h := &held{blocks: make(map[cid.Cid][]byte, n)}
	cids := make([]cid.Cid, n)
	for i := range n {
		b := fmt.Appendf(nil, "comment %d %s", i, strings.Repeat("x", size))
		cids[i] = comntr.Version(0).LeafCID(b)
		h.blocks[cids[i]] = comntr.Version(0).LeafBlock(b)
	}
	return h, cids
}

// loopback are listen addresses on loopback, of every transport.
var loopback = []string{
	"/ip4/127.0.0.1/tcp/0",
	"/ip4/127.0.0.1/udp/0/quic-v1",
	"/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
	"/ip4/127.0.0.1/udp/0/webrtc-direct",
	"/ip4/127.0.0.1/tcp/0/ws",
}

func config(t testing.TB) ipfs.Config {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ipfs.Config{
		Key: key, Listen: slices.Clone(loopback[:2]), Bootstrap: []string{}, Guard: comntr.Guard{AllowPrivate: true},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func newNode(t testing.TB, cfg ipfs.Config, hold ...ipfs.Holder) *ipfs.Node {
	t.Helper()
	n, err := ipfs.NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	for _, h := range hold {
		n.Add(h)
	}
	return n
}

// run runs n until the test ends.
func run(t testing.TB, n *ipfs.Node) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error("run:", err)
		}
	})
}

// fetch fetches cids from addrs and returns how many came.
func fetch(t testing.TB, n *ipfs.Node, addrs []string, cids []cid.Cid) (int, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	got := make(map[cid.Cid]bool)
	err := n.Fetch(ctx, addrs, func(s *ipfs.Session) error {
		return s.Blocks(ctx, cids, func(c cid.Cid, b []byte) error {
			if got[c] {
				t.Errorf("%s came twice", c)
			}
			got[c] = true
			return comntr.CheckBlock(c, b)
		})
	})
	return len(got), err
}

func TestFetchOverEachTransport(t *testing.T) {
	const n = 5000
	h, cids := fill(n, 200)
	cfg := config(t)
	cfg.Listen = loopback
	server := newNode(t, cfg, h)
	for _, c := range []struct{ name, has, ends string }{
		{"tcp", "/tcp/", "/tcp/"},
		{"quic", "/quic-v1", "/quic-v1"},
		{"webtransport", "/webtransport/", ""},
		{"webrtc-direct", "/webrtc-direct/", ""},
		{"websocket", "/ws", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var addrs []string
			for _, a := range server.Addrs() {
				at, _, _ := strings.Cut(a, "/p2p/")
				switch {
				case !strings.Contains(at, c.has), c.name == "tcp" && strings.Contains(at, "/ws"), c.name == "quic" && !strings.HasSuffix(at, "/quic-v1"):
				default:
					addrs = append(addrs, a)
				}
			}
			if len(addrs) == 0 {
				t.Fatalf("no such address among %v", server.Addrs())
			}
			client := config(t)
			client.Listen, client.ClientOnly = nil, true
			// A dial is lost where the machine stands still for as long as a
			// transport's handshake may take (ICE asks seven times within 1.4
			// seconds, then never again): a new client dials anew, as the next
			// round would.
			for try := 1; ; try++ {
				start := time.Now()
				got, err := fetch(t, newNode(t, client), addrs, cids)
				if err == nil && got == n {
					t.Logf("%d blocks in %s", n, time.Since(start).Round(time.Millisecond))
					return
				}
				if got > 0 || try == 3 {
					t.Fatalf("%d of %d blocks came: %v", got, n, err)
				}
				t.Log(err)
			}
		})
	}
}

func TestQUICAndItsLikeShareAPort(t *testing.T) {
	cfg := config(t)
	cfg.Listen = []string{loopback[3], loopback[2], loopback[1]} // in the wrong order
	ports := make(map[string]bool)
	addrs := newNode(t, cfg).Addrs()
	for _, a := range addrs {
		ports[strings.Split(a, "/")[4]] = true
	}
	if len(addrs) != 3 || len(ports) != 1 {
		t.Errorf("listens on %v", addrs)
	}
}

func TestFetchByTheDHT(t *testing.T) {
	hub := newNode(t, config(t))
	h, cids := fill(1000, 200)
	h.setRoots(cids[0])
	cfg := config(t)
	cfg.Bootstrap = hub.Addrs()
	server := newNode(t, cfg, h)
	run(t, server)

	cfg = config(t)
	cfg.Bootstrap, cfg.Listen, cfg.ClientOnly = hub.Addrs(), nil, true
	client := newNode(t, cfg)
	run(t, client)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	find := func(root cid.Cid) int {
		got := 0
		for got < len(cids) && ctx.Err() == nil {
			got = 0
			err := client.FetchAny(ctx, root, func(s *ipfs.Session) error {
				return s.Blocks(ctx, cids, func(cid.Cid, []byte) error { got++; return nil })
			})
			t.Log(got, err)
		}
		return got
	}
	if got := find(cids[0]); got != len(cids) {
		t.Fatalf("%d blocks came", got)
	}
	// A new root is told of at once.
	h.setRoots(cids[1], cids[0])
	server.Provide()
	if got := find(cids[1]); got != len(cids) {
		t.Fatalf("%d blocks came by the new root", got)
	}
}

// trap listens on loopback, returns the port, and fails the test when anyone
// comes.
func trap(t *testing.T) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Error("the guarded address was dialled")
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	return port
}

func TestGuardRefuses(t *testing.T) {
	h, cids := fill(10, 10)
	server := newNode(t, config(t), h)
	id := server.PeerID()
	strict := config(t)
	strict.Guard = comntr.Guard{}
	n := newNode(t, strict)

	port := trap(t)
	for _, a := range []string{
		"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + id,
		"/ip6/::ffff:127.0.0.1/tcp/" + port + "/p2p/" + id,
		"/ip6/64:ff9b::7f00:1/tcp/" + port + "/p2p/" + id,
		"/ip4/127.0.0.1/tcp/" + port + "/ws/p2p/" + id,
		"/ip4/0.0.0.0/tcp/" + port + "/p2p/" + id,
		"/dns4/localhost/tcp/" + port + "/p2p/" + id,
		"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + id + "/p2p-circuit/p2p/" + id,
	} {
		if _, err := fetch(t, n, []string{a}, cids); err == nil {
			t.Errorf("%s was not refused", a)
		} else {
			t.Log(err)
		}
	}
	if got, err := fetch(t, n, server.Addrs(), cids); err == nil || got != 0 {
		t.Errorf("%v were not refused", server.Addrs())
	}

	t.Run("named", func(t *testing.T) {
		strict := config(t)
		strict.Guard, strict.Trusted = comntr.Guard{}, server.Addrs()
		if got, err := fetch(t, newNode(t, strict), server.Addrs(), cids); err != nil || got != len(cids) {
			t.Errorf("%d blocks came: %v", got, err)
		}
	})
	t.Run("named by name", func(t *testing.T) {
		var byName []string
		for _, a := range server.Addrs() {
			byName = append(byName, strings.Replace(a, "/ip4/127.0.0.1/", "/dns4/localhost/", 1))
		}
		strict := config(t)
		strict.Guard, strict.Trusted = comntr.Guard{}, byName
		if got, err := fetch(t, newNode(t, strict), byName, cids); err != nil || got != len(cids) {
			t.Errorf("%d blocks came: %v", got, err)
		}
	})
	t.Run("trusted later", func(t *testing.T) {
		strict := config(t)
		strict.Guard = comntr.Guard{}
		n := newNode(t, strict)
		if err := n.Trust(id, netip.MustParseAddr("127.0.0.1")); err != nil {
			t.Fatal(err)
		}
		if got, err := fetch(t, n, server.Addrs(), cids); err != nil || got != len(cids) {
			t.Errorf("%d blocks came: %v", got, err)
		}
	})
	t.Run("a trusted peer elsewhere", func(t *testing.T) {
		strict := config(t)
		strict.Guard, strict.Trusted = comntr.Guard{}, []string{"/ip4/127.0.0.2/tcp/1/p2p/" + id}
		if _, err := fetch(t, newNode(t, strict), []string{"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + id}, cids); err == nil {
			t.Error("was not refused")
		}
	})
	t.Run("a stranger where a peer is trusted", func(t *testing.T) {
		other := config(t)
		o := newNode(t, other, h)
		strict := config(t)
		strict.Guard, strict.Trusted = comntr.Guard{}, server.Addrs()
		if _, err := fetch(t, newNode(t, strict), o.Addrs(), cids); err == nil {
			t.Error("was not refused")
		}
	})
}

func TestFetchAddresses(t *testing.T) {
	h, cids := fill(1, 1)
	a, b := newNode(t, config(t), h), newNode(t, config(t), h)
	n := newNode(t, config(t))
	for name, addrs := range map[string][]string{
		"none":         {},
		"no multiaddr": {"http://127.0.0.1:4080"},
		"no peer":      {"/ip4/127.0.0.1/tcp/4081"},
		"two peers":    {a.Addrs()[0], b.Addrs()[0]},
		"itself":       n.Addrs(),
		"the 33rd":     append(slices.Repeat([]string{"/ip4/127.0.0.1/tcp/" + freePort(t) + "/p2p/" + a.PeerID()}, ipfs.MaxDialAddrs), a.Addrs()...),
		"another key":  {strings.Replace(a.Addrs()[0], a.PeerID(), b.PeerID(), 1)},
	} {
		if _, err := fetch(t, n, addrs, cids); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got, err := fetch(t, n, append([]string{"/ip4/127.0.0.1/tcp/1/new-transport"}, a.Addrs()...), cids); err != nil || got != 1 {
		t.Errorf("with an unknown transport: %v", err)
	}
	off := config(t)
	off.Listen = nil
	o := newNode(t, off)
	if _, err := fetch(t, o, a.Addrs(), cids); !errors.Is(err, ipfs.ErrOff) {
		t.Errorf("off: %v", err)
	}
	if o.Addrs() != nil || o.PeerID() == "" {
		t.Errorf("off: addrs %v, peer %q", o.Addrs(), o.PeerID())
	}
}

func TestMissing(t *testing.T) {
	h, cids := fill(1500, 10)
	server := newNode(t, config(t), h)
	_, all := fill(2100, 10)
	got, err := fetch(t, newNode(t, config(t)), server.Addrs(), all)
	var missing *ipfs.MissingError
	if !errors.As(err, &missing) || got != len(cids) || len(missing.Missing) != 600 || missing.Peer != server.PeerID() {
		t.Errorf("%d came: %v", got, err)
	}
}

func TestFolderUnderItsOtherVersion(t *testing.T) {
	h, cids := fill(1, 10)
	server := newNode(t, config(t), h)
	v1 := cid.NewCidV1(cid.DagProtobuf, cids[0].Hash())
	if got, err := fetch(t, newNode(t, config(t)), server.Addrs(), []cid.Cid{v1}); err != nil || got != 1 {
		t.Errorf("%d came: %v", got, err)
	}
}

// peerThat is a libp2p host whose bitswap answers what reply says.
func peerThat(t *testing.T, reply func(m message.BitSwapMessage) message.BitSwapMessage) []string {
	h, err := libp2p.New(libp2p.ListenAddrStrings(loopback[0]), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.SetStreamHandler(bsnet.ProtocolBitswap, func(s network.Stream) {
		r := msgio.NewVarintReaderSize(s, network.MessageSizeMax)
		for {
			m, _, err := message.FromMsgReader(r)
			if err != nil {
				s.Reset()
				return
			}
			a := reply(m)
			if a == nil {
				continue
			}
			back, err := h.NewStream(context.Background(), s.Conn().RemotePeer(), bsnet.ProtocolBitswap)
			if err != nil {
				return
			}
			a.ToNetV1(back)
			back.Close()
		}
	})
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestPeersThatMisbehave(t *testing.T) {
	h, cids := fill(700, 10)
	huge := make([]byte, comntr.MaxNode+1)
	hugeCID := comntr.Version(1).LeafCID(huge)
	const stall = 300 * time.Millisecond
	asked := 0
	for _, c := range []struct {
		name  string
		cids  []cid.Cid
		reply func(message.BitSwapMessage) message.BitSwapMessage
		got   int
		err   func(error) bool
	}{
		{"silent", cids, func(message.BitSwapMessage) message.BitSwapMessage { return nil }, 0,
			func(err error) bool { return errors.Is(err, ipfs.ErrStalled) }},
		{"wrong bytes", cids, func(m message.BitSwapMessage) message.BitSwapMessage {
			a := message.New(false)
			b, _ := blocks.NewBlockWithCid([]byte("something else"), cids[0])
			a.AddBlock(b)
			return a
		}, 0, func(err error) bool { return errors.Is(err, ipfs.ErrStalled) }},
		{"not asked for", cids, func(m message.BitSwapMessage) message.BitSwapMessage {
			a := message.New(false)
			a.AddBlock(blocks.NewBlock([]byte("advertisement")))
			a.AddDontHave(hugeCID)
			return a
		}, 0, func(err error) bool { return errors.Is(err, ipfs.ErrStalled) }},
		{"huge block", []cid.Cid{hugeCID}, func(m message.BitSwapMessage) message.BitSwapMessage {
			a := message.New(false)
			b, _ := blocks.NewBlockWithCid(huge, hugeCID)
			a.AddBlock(b)
			return a
		}, 0, func(err error) bool { return err != nil && strings.Contains(err.Error(), "at most") }},
		{"half, then silent", cids[:100], func(m message.BitSwapMessage) message.BitSwapMessage {
			a := message.New(false)
			for _, c := range cids[:50] {
				b, _ := blocks.NewBlockWithCid(h.blocks[c], c)
				a.AddBlock(b)
			}
			return a
		}, 50, func(err error) bool {
			return errors.Is(err, ipfs.ErrStalled) && strings.Contains(err.Error(), "50 blocks are missing")
		}},
		{"answers the second time only", cids[:100], func(m message.BitSwapMessage) message.BitSwapMessage {
			if asked++; asked == 1 {
				return nil
			}
			a := message.New(false)
			for _, e := range m.Wantlist() {
				b, _ := blocks.NewBlockWithCid(h.blocks[e.Cid], e.Cid)
				a.AddBlock(b)
			}
			return a
		}, 100, func(err error) bool { return err == nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, config(t))
			n.SetStall(stall)
			start := time.Now()
			got, err := fetch(t, n, peerThat(t, c.reply), c.cids)
			if got != c.got || !c.err(err) {
				t.Errorf("%d came: %v", got, err)
			}
			if d := time.Since(start); d > time.Minute/2 {
				t.Errorf("it cost %s", d)
			}
		})
	}
}

func TestDrip(t *testing.T) {
	h, cids := fill(200, 10)
	n := newNode(t, config(t))
	n.SetStall(time.Second)
	n.SetWindowTimeout(500 * time.Millisecond)
	i := 0
	addrs := peerThat(t, func(m message.BitSwapMessage) message.BitSwapMessage {
		a := message.New(false)
		b, _ := blocks.NewBlockWithCid(h.blocks[cids[i]], cids[i])
		a.AddBlock(b)
		i++
		return a
	})
	// Nothing but the clock of the window ends this: each answer comes in time.
	if _, err := fetch(t, n, addrs, cids); !errors.Is(err, ipfs.ErrStalled) {
		t.Errorf("%v", err)
	}
}

func TestPeerGoesAway(t *testing.T) {
	h, cids := fill(3000, 10)
	server := newNode(t, config(t), h)
	n := newNode(t, config(t))
	var once sync.Once
	err := n.Fetch(t.Context(), server.Addrs(), func(s *ipfs.Session) error {
		return s.Blocks(t.Context(), cids, func(cid.Cid, []byte) error {
			once.Do(func() { server.Close() })
			return nil
		})
	})
	if err == nil || errors.Is(err, ipfs.ErrStalled) {
		t.Errorf("%v", err)
	}
}

func TestFnErrorEndsBlocks(t *testing.T) {
	h, cids := fill(3000, 10)
	server := newNode(t, config(t), h)
	n := newNode(t, config(t))
	enough := errors.New("enough")
	calls := 0
	err := n.Fetch(t.Context(), server.Addrs(), func(s *ipfs.Session) error {
		return s.Blocks(t.Context(), cids, func(cid.Cid, []byte) error { calls++; return enough })
	})
	if err != enough || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
	// The same peer serves the next session as if nothing had been.
	if got, err := fetch(t, n, server.Addrs(), cids); err != nil || got != len(cids) {
		t.Errorf("%d came: %v", got, err)
	}
}

func TestSessionsSideBySide(t *testing.T) {
	h, cids := fill(4000, 100)
	server := newNode(t, config(t), h)
	n := newNode(t, config(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := fetch(t, n, server.Addrs(), cids); err != nil || got != len(cids) {
				t.Errorf("%d came: %v", got, err)
			}
		})
	}
	wg.Wait()
}

// What sessions side by side want of one peer it is asked for once.
func TestSessionsAskOnce(t *testing.T) {
	h, cids := fill(100, 10)
	n := newNode(t, config(t))
	n.SetStall(10 * time.Minute)
	both := make(chan struct{})
	var mu sync.Mutex
	asked := map[cid.Cid]int{}
	addrs := peerThat(t, func(m message.BitSwapMessage) message.BitSwapMessage {
		<-both
		mu.Lock()
		defer mu.Unlock()
		a := message.New(false)
		for _, e := range m.Wantlist() {
			asked[e.Cid]++
			b, _ := blocks.NewBlockWithCid(h.blocks[e.Cid], e.Cid)
			a.AddBlock(b)
		}
		return a
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if got, err := fetch(t, n, addrs, cids); err != nil || got != len(cids) {
				t.Errorf("%d came: %v", got, err)
			}
		})
	}
	for n.Waiting(cids[99]) < 2 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	close(both)
	wg.Wait()
	for c, times := range asked {
		if times != 1 {
			t.Errorf("%s was asked for %d times", c, times)
		}
	}
}

func TestLargeBlocks(t *testing.T) {
	h, cids := fill(1000, 60<<10)
	for _, listen := range [][]string{loopback[:1], loopback[1:2]} {
		cfg := config(t)
		cfg.Listen = listen
		server := newNode(t, cfg, h)
		start := time.Now()
		if got, err := fetch(t, newNode(t, config(t)), server.Addrs(), cids); err != nil || got != len(cids) {
			t.Errorf("%v: %d came: %v", listen, got, err)
		}
		t.Log(listen, time.Since(start))
	}
}

func TestCloseWhileFetching(t *testing.T) {
	h, cids := fill(3000, 10)
	server := newNode(t, config(t), h)
	n := newNode(t, config(t))
	run(t, server)
	run(t, n)
	started := make(chan struct{})
	block := make(chan struct{})
	done := make(chan error, 2)
	var once sync.Once
	for i := range 2 {
		go func() {
			done <- n.Fetch(t.Context(), server.Addrs(), func(s *ipfs.Session) error {
				return s.Blocks(t.Context(), cids, func(cid.Cid, []byte) error {
					once.Do(func() { close(started) })
					if i == 0 {
						<-block
					}
					return nil
				})
			})
		}()
	}
	<-started
	start := time.Now()
	for _, n := range []*ipfs.Node{server, n} {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("close took %s", d)
	}
	close(block)
	<-done
	<-done
	if _, err := fetch(t, n, server.Addrs(), cids); err == nil {
		t.Error("a closed node fetched")
	}
}

func TestPortInUse(t *testing.T) {
	for _, c := range []struct{ name, listen string }{
		{"tcp", "/ip4/127.0.0.1/tcp/%s"},
		{"quic", "/ip4/127.0.0.1/udp/%s/quic-v1"},
		{"websocket", "/ip4/127.0.0.1/tcp/%s/ws"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The other is a node too: libp2p would share its port.
			cfg := config(t)
			cfg.Listen = []string{fmt.Sprintf(c.listen, "0")}
			port := strings.Split(newNode(t, cfg).Addrs()[0], "/")[4]
			cfg = config(t)
			cfg.Listen = []string{fmt.Sprintf(c.listen, port)}
			n, err := ipfs.NewNode(cfg)
			if err == nil {
				n.Close()
				t.Fatal("two nodes listen on one port")
			}
			if !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "--ipfs-listen") {
				t.Error(err)
			}
		})
	}
}

func TestBadConfig(t *testing.T) {
	for name, change := range map[string]func(*ipfs.Config){
		"no key":                   func(c *ipfs.Config) { c.Key = nil },
		"listen is no multiaddr":   func(c *ipfs.Config) { c.Listen = []string{":4081"} },
		"bootstrap is none":        func(c *ipfs.Config) { c.Bootstrap = []string{"127.0.0.1:4081"} },
		"bootstrap without a peer": func(c *ipfs.Config) { c.Bootstrap = []string{"/ip4/127.0.0.1/tcp/4081"} },
		"trusted is none":          func(c *ipfs.Config) { c.Trusted = []string{"localhost"} },
	} {
		cfg := config(t)
		change(&cfg)
		if n, err := ipfs.NewNode(cfg); err == nil {
			n.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(fmt.Sprint(err), string(cfg.Key)) && cfg.Key != nil {
			t.Errorf("%s: the key is in the error", name)
		}
	}
}

func TestPublish(t *testing.T) {
	listened := []ma.Multiaddr{
		addr(t, "/ip4/127.0.0.1/tcp/4081"), addr(t, "/ip4/192.168.1.5/tcp/4081"), addr(t, "/ip4/192.168.1.5/udp/4081/quic-v1"),
		addr(t, "/ip6/::1/tcp/4081"), addr(t, "/ip6/2606:4700::1111/tcp/4081"),
	}
	public := func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2606:4700::1111")}
	}
	for _, c := range []struct {
		name    string
		private bool
		ips     func() []netip.Addr
		listen  []ma.Multiaddr
		want    string
	}{
		{"a network of its own", true, public, listened[:2], "/ip4/127.0.0.1/tcp/4081 /ip4/192.168.1.5/tcp/4081"},
		{"loopback alone", false, public, listened[:1], "/ip4/127.0.0.1/tcp/4081"},
		{"nothing learnt", false, nil, listened[:2], "/ip4/192.168.1.5/tcp/4081"},
		{"at home", false, public, listened[:3],
			"/ip4/192.168.1.5/tcp/4081 /ip4/192.168.1.5/udp/4081/quic-v1 /ip4/8.8.8.8/tcp/4081 /ip4/8.8.8.8/udp/4081/quic-v1"},
		{"on the internet", false, public, listened[3:], "/ip6/2606:4700::1111/tcp/4081"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t)
			cfg.Guard.AllowPrivate, cfg.PublicIPs = c.private, c.ips
			var got []string
			for _, a := range newNode(t, cfg).Publish(c.listen) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestAddrsAreBounded(t *testing.T) {
	cfg := config(t)
	cfg.Listen, cfg.Guard = cfg.Listen[:1], comntr.Guard{AllowPrivate: true}
	for range 2 * comntr.MaxHelloMultiaddrs {
		cfg.Listen = append(cfg.Listen, cfg.Listen[0])
	}
	if n := len(newNode(t, cfg).Addrs()); n != comntr.MaxHelloMultiaddrs {
		t.Errorf("%d addresses", n)
	}
}

// freePort returns a TCP port where nobody listens.
func freePort(t testing.TB) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	return port
}

// messages is a slog.Handler that passes the messages of a level on.
type messages struct {
	level slog.Level
	to    chan string
}

func (m messages) Enabled(_ context.Context, l slog.Level) bool { return l == m.level }
func (m messages) WithAttrs([]slog.Attr) slog.Handler           { return m }
func (m messages) WithGroup(string) slog.Handler                { return m }
func (m messages) Handle(_ context.Context, r slog.Record) error {
	m.to <- r.Message
	return nil
}

// Kubo and its like fetch with boxo's client.
func TestServesBoxo(t *testing.T) {
	const n = 2000
	h, cids := fill(n, 200)
	cfg := config(t)
	server := newNode(t, cfg, h)
	host, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DefaultTransports, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	net := bsnet.NewFromIpfsHost(host)
	client := bsclient.New(t.Context(), net, nil, blockstore.NewBlockstore(dssync.MutexWrap(ds.NewMapDatastore())))
	net.Start(client)
	t.Cleanup(func() { net.Stop(); client.Close() })
	info, err := peer.AddrInfoFromString(server.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Connect(t.Context(), *info); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	session := client.NewSession(ctx)
	got := 0
	for chunk := range slices.Chunk(cids, 512) {
		ch, err := session.GetBlocks(ctx, chunk)
		if err != nil {
			t.Fatal(err)
		}
		for range ch {
			got++
		}
	}
	if got != n {
		t.Errorf("%d of %d blocks came", got, n)
	}
}

func BenchmarkFetch(b *testing.B) {
	const n = 20_000
	h, cids := fill(n, 300)
	for _, c := range []struct{ name, listen string }{{"tcp", loopback[0]}, {"quic", loopback[1]}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := config(b)
			cfg.Listen = []string{c.listen}
			server := newNode(b, cfg, h)
			for b.Loop() {
				client := newNode(b, config(b))
				if got, err := fetch(b, client, server.Addrs(), cids); err != nil || got != n {
					b.Fatal(got, err)
				}
				client.Close()
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
