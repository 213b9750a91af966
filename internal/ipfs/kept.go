package ipfs

import (
	"bytes"
	"io"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Bounds of the CARs that are kept in memory.
const (
	// maxKeptCAR is how many bytes of blocks a CAR has that is kept: 4,000
	// comments of common size. To make a larger one is the smaller part of sending it.
	maxKeptCAR = 1 << 20
	// maxKeptCARs is how many bytes all of them have, in both forms.
	maxKeptCARs = 8 << 20
	// maxKeptNumber is how many they are: each look goes through all of them, and of
	// folders with one comment there would be 30,000.
	maxKeptNumber = 512
)

// keptCARs are the CARs of present folders that were written last, so that the
// readers of a busy topic cost one reading of its files. One is given as long
// as nothing was listed, removed or denied in its topic since; what is not kept
// is only slower. A topic has one, and the one before goes.
type keptCARs struct {
	mu    sync.Mutex
	all   []*keptCAR // the one that was asked for last comes last
	bytes int
}

type keptCAR struct {
	root         cid.Cid
	topic        comntr.Hash
	seq          uint64    // of the topic, when it was made
	nodes        []cid.Cid // may be denied by name
	blocks, size int       // how many, and their bytes
	forms        [2][]byte // as it is and compressed; nil: nobody asked for that
}

// form is the place of a form in keptCAR.forms.
func form(zip bool) int {
	if zip {
		return 1
	}
	return 0
}

func (c *keptCAR) bytes() int { return len(c.forms[0]) + len(c.forms[1]) }

// current reports whether its topic is as it was.
func (c *keptCAR) current(src Source) bool {
	seq, ok := src.TopicSeq(c.topic)
	return ok && seq == c.seq
}

// get returns the CAR of a root with the form that is wanted, or nil.
func (k *keptCARs) get(src Source, root cid.Cid, zip bool) *keptCAR {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, c := range k.all {
		if !c.root.Equals(root) {
			continue
		}
		if !c.current(src) {
			k.drop(i)
			return nil
		}
		if c.forms[form(zip)] == nil {
			return nil
		}
		for _, n := range c.nodes {
			if src.DeniedBlock(n) {
				return nil
			}
		}
		k.all = append(append(k.all[:i], k.all[i+1:]...), c)
		given := *c // its forms may come in meanwhile, but none changes
		return &given
	}
	return nil
}

// add keeps what was written of p, unless its topic changed meanwhile.
func (k *keptCARs) add(src Source, p *carPlan, form int, car []byte) {
	c := &keptCAR{root: p.root, topic: p.topic, seq: p.seq, nodes: p.nodes, blocks: len(p.blocks), size: p.size}
	if !c.current(src) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, old := range k.all {
		if old.topic == c.topic {
			if old.root.Equals(c.root) && old.seq == c.seq {
				c.forms = old.forms
			}
			k.drop(i)
			break
		}
	}
	c.forms[form] = bytes.Clone(car) // it grew on the way, and has room that is not needed
	k.all = append(k.all, c)
	for k.bytes += c.bytes(); k.bytes > maxKeptCARs || len(k.all) > maxKeptNumber; {
		k.drop(0)
	}
}

// forget drops a topic's CAR: its bytes may be of what was removed.
func (k *keptCARs) forget(topic comntr.Hash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, c := range k.all {
		if c.topic == topic {
			k.drop(i)
			return
		}
	}
}

func (k *keptCARs) drop(i int) {
	k.bytes -= k.all[i].bytes()
	k.all = append(k.all[:i], k.all[i+1:]...)
}

// capture copies what is written through it.
type capture struct {
	w    io.Writer
	off  bool
	kept []byte
	n    int64
}

func (c *capture) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	if !c.off {
		c.kept = append(c.kept, b[:n]...)
	}
	return n, err
}
