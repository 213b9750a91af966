package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

// memory is a community without a disk, for tests under synctest, where a
// database's goroutines would keep the clock from moving, and for tests of
// what a store or folders may answer but never do on a good day.
type memory struct {
	id comntr.Hash

	mu      sync.Mutex
	topics  map[comntr.Hash]map[comntr.Hash][]byte
	events  []comntr.Event
	floor   uint64
	changed chan struct{}

	addErr   error                // answered by Add
	addPanic any                  // Add's panic
	gone     bool                 // answered by Has
	adding   chan struct{}        // if not nil, Add waits for it
	waiting  int                  // calls of Add that waited for it
	blockErr error                // answered by Block
	blockFn  func(cid.Cid) []byte // answers Block instead
	carErr   error                // answered by WriteCAR after carBytes
	carBytes int
	rootFn   func()
	topicErr error // answered by Topic
	topicFn  func()
	topicNew bool // Topic has none at hand

	// what blocks returns, nil after a change
	all     map[cid.Cid][]byte
	folders map[comntr.Hash]cid.Cid
	root    cid.Cid
}

func newMemory(name string) *memory {
	return &memory{id: comntr.NameHash(name), topics: map[comntr.Hash]map[comntr.Hash][]byte{}, changed: make(chan struct{})}
}

func (m *memory) Add(ctx context.Context, doc *comntr.Document, from string) (bool, error) {
	m.mu.Lock()
	adding := m.adding
	if adding != nil {
		m.waiting++
	}
	m.mu.Unlock()
	if adding != nil {
		select {
		case <-adding:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.addPanic != nil {
		panic(m.addPanic)
	}
	if m.addErr != nil {
		return false, m.addErr
	}
	topic := doc.Place().Topic
	if m.topics[topic] == nil {
		m.topics[topic] = map[comntr.Hash][]byte{}
	}
	if _, ok := m.topics[topic][doc.ID()]; ok {
		return false, nil
	}
	m.topics[topic][doc.ID()] = doc.Bytes()
	m.all = nil
	m.events = append(m.events, comntr.Event{Topic: topic, Comment: doc.ID()})
	close(m.changed)
	m.changed = make(chan struct{})
	return true, nil
}

func (m *memory) Active(int, time.Time) []store.Topic { return nil }

func (m *memory) WithPrefix(string, int) []store.Topic { return nil }

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

func (m *memory) Epoch() uint64 { return 0xe90c }

func (m *memory) Seq() uint64 { return uint64(m.count()) }

func (m *memory) Events(since uint64, max int, fn func(seq uint64, topic, comment comntr.Hash)) (uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since < m.floor || since > uint64(len(m.events)) {
		return 0, false
	}
	for max > 0 && since < uint64(len(m.events)) {
		e := m.events[since]
		since++
		max--
		fn(since, e.Topic, e.Comment)
	}
	return since, true
}

func (m *memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) Read(topic, comment comntr.Hash) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.topics[topic][comment]
	if !ok {
		return nil, store.ErrNotFound
	}
	return b, nil
}

func (m *memory) Has(topic, comment comntr.Hash) (held, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, held = m.topics[topic][comment]
	return held, m.gone
}

// blocks computes all blocks: of each topic, and the root's last.
func (m *memory) blocks() (all map[cid.Cid][]byte, topics map[comntr.Hash]cid.Cid, root cid.Cid) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all != nil {
		return m.all, m.folders, m.root
	}
	defer func() { m.all, m.folders, m.root = all, topics, root }()
	all = map[cid.Cid][]byte{}
	topics = map[comntr.Hash]cid.Cid{}
	v := comntr.Version(0)
	folder := func(n comntr.Node) cid.Cid {
		slices.SortFunc(n.Links, func(a, b comntr.Link) int { return bytes.Compare(a.Name[:], b.Name[:]) })
		b := n.Encode()
		all[v.FolderCID(b)] = b
		return v.FolderCID(b)
	}
	var rootNode comntr.Node
	for topic, comments := range m.topics {
		var n comntr.Node
		for id, b := range comments {
			leaf := v.LeafBlock(b)
			all[v.LeafCID(b)] = leaf
			n.Links = append(n.Links, comntr.Link{Name: id, CID: v.LeafCID(b), Size: uint64(len(leaf))})
		}
		topics[topic] = folder(n)
		rootNode.Links = append(rootNode.Links, comntr.Link{Name: topic, CID: topics[topic]})
	}
	return all, topics, folder(rootNode)
}

func (m *memory) Root(context.Context) (cid.Cid, error) {
	m.mu.Lock()
	fn := m.rootFn
	m.mu.Unlock()
	if fn != nil {
		fn()
	}
	_, _, root := m.blocks()
	return root, nil
}

func (m *memory) Topic(ctx context.Context, topic comntr.Hash) (cid.Cid, error) {
	m.mu.Lock()
	err, fn := m.topicErr, m.topicFn
	if err == nil && m.topicNew {
		err = ctx.Err()
	}
	m.mu.Unlock()
	if fn != nil {
		fn()
	}
	if err != nil {
		return cid.Undef, err
	}
	_, topics, _ := m.blocks()
	c, ok := topics[topic]
	if !ok {
		return cid.Undef, ipfs.ErrNoTopic
	}
	return c, nil
}

func (m *memory) Block(c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	blockErr, blockFn := m.blockErr, m.blockFn
	m.mu.Unlock()
	if blockFn != nil {
		return blockFn(c), nil
	}
	if blockErr != nil {
		return nil, blockErr
	}
	all, _, _ := m.blocks()
	b, ok := all[c]
	if !ok {
		return nil, ipfs.ErrNotHeld
	}
	return b, nil
}

func (m *memory) IsTopicFolder(c cid.Cid) bool {
	_, topics, _ := m.blocks()
	for _, t := range topics {
		if t == c {
			return true
		}
	}
	return false
}

// set changes what m answers from now on.
func (m *memory) set(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

func (m *memory) WriteCAR(_ context.Context, w io.Writer, root cid.Cid, zip bool) (size int64, err error) {
	if !zip {
		return 0, m.writeCAR(w, root)
	}
	z := gzip.NewWriter(w)
	if err := m.writeCAR(z, root); err != nil {
		return 0, err
	}
	return 0, z.Close()
}

func (m *memory) writeCAR(w io.Writer, root cid.Cid) error {
	m.mu.Lock()
	carErr, carBytes := m.carErr, m.carBytes
	m.mu.Unlock()
	all, _, _ := m.blocks()
	cw, err := comntr.NewCARWriter(w, root)
	if err != nil {
		return err
	}
	noise := make([]byte, carBytes) // which does not compress
	rand.NewChaCha8([32]byte{}).Read(noise)
	if _, err := w.Write(noise); err != nil {
		return err
	}
	if carErr != nil {
		return carErr
	}
	n, err := comntr.ParseNode(all[root])
	if err != nil {
		return err
	}
	if err := cw.Block(root, all[root]); err != nil {
		return err
	}
	for _, l := range n.Links {
		if err := cw.Block(l.CID, all[l.CID]); err != nil {
			return err
		}
	}
	return nil
}
