package replica_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
)

// node starts an IPFS node on this machine.
func node(t *testing.T, seed byte) *ipfs.Node {
	t.Helper()
	n, err := ipfs.NewNode(ipfs.Config{
		Key:       ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)),
		Listen:    []string{"/ip4/127.0.0.1/tcp/0"},
		Bootstrap: []string{},
		Guard:     comntr.Guard{AllowPrivate: true},
		NoLimits:  true,
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Every block comes over a real IPFS node where /blocks is refused, and a
// block that it does not have holds nothing up.
func TestOverIPFSAlone(t *testing.T) {
	w, clock := newWorld(t), newClock()
	there, here := node(t, 1), node(t, 2)
	a := w.serve("a", 0)
	b := w.serve("b", 1, clock.set, func(c *replica.Config) {
		c.Bitswap = func(ctx context.Context, addrs []string, fn func(replica.Session) error) error {
			return here.Fetch(ctx, addrs, func(s *ipfs.Session) error { return fn(s) })
		}
	})
	there.Add(a.folders)
	a.set(func() { a.noBlocks = true })
	a.postMany(2000, 100, "comment")
	server := a.as()
	server.Hello = &comntr.Hello{PeerID: there.PeerID(), Multiaddrs: there.Addrs()}
	merged, err := b.replica.Round(t.Context(), server, reddit)
	if err != nil || !merged {
		t.Fatalf("merged %v, err %v\n%s", merged, err, b.log)
	}
	checkSame(t, a, b)
	if _, blocks, _ := a.cost(); blocks != 0 {
		t.Errorf("%d blocks came over HTTP", blocks)
	}
}
