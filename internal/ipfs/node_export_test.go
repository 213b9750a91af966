package ipfs

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/zap/zapcore"

	"github.com/comntr/comntr"
)

const (
	MaxTrusted     = maxTrusted
	MaxDialAddrs   = maxDialAddrs
	MaxDetail      = maxDetail
	ProvideEvery   = provideEvery
	ReprovideEvery = reprovideEvery
	SmallTable     = smallTable
)

// SetStall sets how long a peer may answer nothing.
func (n *Node) SetStall(d time.Duration) { n.x.stall = d }

// Waiting returns how many sessions wait for c, whoever is asked for it.
func (n *Node) Waiting(c cid.Cid) (all int) {
	n.x.mu.Lock()
	defer n.x.mu.Unlock()
	for _, m := range n.x.wants {
		all += len(m[c])
	}
	return all
}

// SetWindowTimeout sets how long a peer may take for a window's answers.
func (n *Node) SetWindowTimeout(d time.Duration) { n.x.slow = d }

// Publish is what others are told where libp2p knows addrs.
func (n *Node) Publish(addrs []ma.Multiaddr) []ma.Multiaddr { return n.publish(addrs) }

// Gate is the dial guard.
type Gate struct{ g *gater }

func NewGate(g comntr.Guard) Gate                     { return Gate{newGater(g)} }
func (g Gate) Trust(p peer.ID, ip netip.Addr)         { g.g.trust(p, ip) }
func (g Gate) Dial(p peer.ID, a ma.Multiaddr) bool    { return g.g.InterceptAddrDial(p, a) }
func (g Gate) Filter(a []ma.Multiaddr) []ma.Multiaddr { return g.g.filter(a) }

// NewRecords is the DHT's store of at most max records.
func NewRecords(max int) ds.Batching { return newRecords(max) }

// Libraries are the log handlers of the libraries.
func Libraries(next slog.Handler) (slog.Handler, zapcore.Core) {
	h := libraries{next}
	return h, core{h}
}

// Due reports whether what was told of at that time to a table of that size is
// to be told of again.
func Due(at time.Time, table int, ok bool, now time.Time) bool {
	return provided{at: at, table: table, ok: ok}.due(now)
}
