package ipfs_test

import (
	"bytes"
	"testing"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// TestFolderCounters: each moves when the thing happens.
func TestFolderCounters(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	if c := f.Counters(); c.TopicTime.Count() != 0 || c.Made != 0 || c.Given != 0 || c.GraceBytes != 0 || c.Retained != 0 {
		t.Errorf("%+v", c)
	}
	f.src.add(topic, []byte("Cool!"))
	first := f.topic(topic)
	f.topic(topic) // has not changed
	c := f.Counters()
	if c.TopicTime.Count() != 1 || c.TopicTime.Sum <= 0 || c.Made != 1 || c.RootTime.Count() != 0 || c.Given != 0 || c.GraceBytes != 0 {
		t.Errorf("%+v", c)
	}
	block, err := f.Block(first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Size(first); err != nil { // gives nothing
		t.Fatal(err)
	}
	if _, err := f.Block(comntr.Version(1).LeafCID([]byte("nobody's"))); err == nil {
		t.Fatal("given")
	}
	if c = f.Counters(); c.Given != 1 || c.GivenBytes != uint64(len(block)) {
		t.Errorf("%+v, a block of %d bytes", c, len(block))
	}
	var car bytes.Buffer
	if _, err := f.WriteCAR(t.Context(), &car, first, false); err != nil {
		t.Fatal(err)
	}
	if c = f.Counters(); c.Given != 3 || c.GivenBytes >= uint64(car.Len()+len(block)) || c.GivenBytes < uint64(2*len(block)) {
		t.Errorf("%+v, a CAR of %d bytes", c, car.Len())
	}
	f.src.add(topic, []byte("Nice!"))
	f.root()
	if c = f.Counters(); c.TopicTime.Count() != 2 || c.RootTime.Count() != 1 || c.Made != 3 || c.GraceBytes == 0 || c.GraceBytes >= int64(len(block)) {
		t.Errorf("%+v", c)
	}
	f.Close()
	if c = f.Counters(); c.Given != 3 || c.DiskBytes != 0 {
		t.Errorf("after Close: %+v", c)
	}
}

// TestNodeCounters: a node without libp2p counts nothing, and says so.
func TestNodeCounters(t *testing.T) {
	n, err := ipfs.NewNode(ipfs.Config{Key: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if c := n.Counters(); c != (ipfs.NodeCounters{}) {
		t.Errorf("%+v", c)
	}
}
