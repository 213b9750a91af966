package ipfs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/measure"
)

// FolderCounters are what a community's Folders did since they were opened, and
// what they hold now. They are for who watches a server; nothing is decided by
// them.
type FolderCounters struct {
	// TopicTime is in nanoseconds: to bring a topic's folder up to date, where it
	// had changed. RootTime is that of the folder of topics, with all topics
	// that had changed; it is looked at each time. Failures count too.
	TopicTime, RootTime measure.Snapshot
	Made                uint64 // directory nodes made for own folders
	// Given are blocks that were read for readers and other servers, one by one
	// or in CARs.
	Given, GivenBytes uint64
	DiskBytes         uint64 // of the block database
	GraceBytes        int64  // of nodes that were replaced and wait to be collected
	RetainedBytes     int64  // of other servers' trees
	Retained          int    // such trees
}

// folderMeter is what Folders count.
type folderMeter struct {
	topicTime, rootTime     *measure.Histogram
	made, given, givenBytes atomic.Uint64
}

func newFolderMeter() folderMeter {
	return folderMeter{topicTime: measure.New(measure.Durations()...), rootTime: measure.New(measure.Durations()...)}
}

func (m *folderMeter) gave(bytes int) {
	m.given.Add(1)
	m.givenBytes.Add(uint64(bytes))
}

func (m *folderMeter) gaveAll(blocks, bytes int) {
	m.given.Add(uint64(blocks))
	m.givenBytes.Add(uint64(bytes))
}

// timed brings a topic's folder up to date, and counts how long it took.
func (f *Folders) timed(ctx context.Context, topic comntr.Hash, rec record, seq uint64) (record, error) {
	defer f.meter.topicTime.Since(time.Now())
	return f.flushTopic(ctx, topic, rec, seq)
}

// Counters returns what was counted.
func (f *Folders) Counters() FolderCounters {
	c := FolderCounters{
		TopicTime:  f.meter.topicTime.Snapshot(),
		RootTime:   f.meter.rootTime.Snapshot(),
		Made:       f.meter.made.Load(),
		Given:      f.meter.given.Load(),
		GivenBytes: f.meter.givenBytes.Load(),
	}
	f.gate.RLock()
	defer f.gate.RUnlock()
	if f.db == nil {
		return c // closed, or being built anew
	}
	c.DiskBytes = f.db.db.Metrics().DiskSpaceUsage()
	f.db.mu.Lock()
	c.GraceBytes = f.db.graceBytes
	f.db.mu.Unlock()
	f.peersMu.Lock()
	defer f.peersMu.Unlock()
	c.Retained = len(f.peers)
	for _, p := range f.peers {
		c.RetainedBytes += p.size
	}
	return c
}

// NodeCounters are what the IPFS node did since it was started, and whom it
// knows now. All are 0 where libp2p is off.
type NodeCounters struct {
	Peers        int    // connected
	DHTNodes     int    // in the routing table
	SentBlocks   uint64 // by bitswap's server
	SentBytes    uint64 // of these blocks
	CameBlocks   uint64 // asked for over bitswap, and verified
	CameBytes    uint64
	AskedByPeers int // peers that bitswap's server works for
}

// came counts a block that a session got.
func (x *exchange) came(bytes int) {
	x.cameBlocks.Add(1)
	x.cameBytes.Add(uint64(bytes))
}

// Counters returns what was counted.
func (n *Node) Counters() NodeCounters {
	var c NodeCounters
	if n.host == nil || n.dht == nil || n.x == nil {
		return c
	}
	c.Peers = len(n.host.Network().Peers())
	c.DHTNodes = n.dht.RoutingTable().Size()
	c.CameBlocks, c.CameBytes = n.x.cameBlocks.Load(), n.x.cameBytes.Load()
	if n.server == nil {
		return c
	}
	if s, err := n.server.Stat(); err == nil {
		c.SentBlocks, c.SentBytes, c.AskedByPeers = s.BlocksSent, s.DataSent, len(s.Peers)
	}
	return c
}
