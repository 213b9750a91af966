package ipfs

import (
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// How a node lies in the database: two thirds of its block, whose names are hex
// and whose links repeat what they are. It is what the block is made of, so that
// nothing is parsed where only the node is wanted.
//
//	length of the block (uvarint)
//	kind: 0 a plain directory, 1 a shard; besides kindMixed, or the mark that
//	all links have, times 4
//	of each link: if they are mixed its mark, in a shard its index, unless it
//	is a child the name (20), the digest (32), its size (uvarint)

const (
	kindShard = 1
	kindMixed = 2
)

// Marks of a link: the form of its CID, and whether it is a child.
const (
	cidV0     = 0
	cidV1     = 1 // of a directory node
	cidRaw    = 2
	markChild = 4
)

func markOf(l *comntr.Link) (mark byte) {
	switch p := l.CID.Prefix(); {
	case p.Codec == cid.Raw:
		mark = cidRaw
	case p.Version == 1:
		mark = cidV1
	}
	if l.Child {
		mark |= markChild
	}
	return mark
}

// pack is how n lies in the database.
func (n sized) pack() []byte {
	b := make([]byte, 0, n.packed())
	b = binary.AppendUvarint(b, uint64(n.block))
	kind := n.kind()
	b = append(b, kind)
	for i := range n.Links {
		l := &n.Links[i]
		if kind&kindMixed != 0 {
			b = append(b, markOf(l))
		}
		if n.Shard {
			b = append(b, l.Index)
		}
		if !l.Child {
			b = append(b, l.Name[:]...)
		}
		b = append(b, l.CID.Hash()[2:]...)
		b = binary.AppendUvarint(b, l.Size)
	}
	return b
}

func (n sized) kind() (kind byte) {
	if n.Shard {
		kind = kindShard
	}
	for i := range n.Links {
		mark := markOf(&n.Links[i]) << 2
		if i == 0 {
			kind |= mark
		} else if mark != kind&^kindShard {
			return kind&kindShard | kindMixed
		}
	}
	return kind
}

// packed is the length of pack's bytes.
func (n sized) packed() int {
	size := uvarintLen(uint64(n.block)) + 1
	each := len(digest{})
	if n.Shard {
		each++
	}
	if n.kind()&kindMixed != 0 {
		each++
	}
	for i := range n.Links {
		l := &n.Links[i]
		size += each + uvarintLen(l.Size)
		if !l.Child {
			size += len(l.Name)
		}
	}
	return size
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// unpack reads what pack made. It keeps nothing of b.
func unpack(b []byte) (sized, error) {
	fail := fmt.Errorf("%w: a directory node", errDamaged)
	block, i := binary.Uvarint(b)
	if i <= 0 || len(b) == i || block > comntr.MaxNode {
		return sized{}, fail
	}
	kind := b[i]
	n := sized{&comntr.Node{Shard: kind&kindShard != 0}, int(block)}
	b = b[i+1:]
	n.Links = make([]comntr.Link, 0, len(b)/(1+len(comntr.Hash{})+len(digest{}))+1)
	var c [36]byte // the longest CID
	for len(b) > 0 {
		var l comntr.Link
		mark := kind >> 2
		if kind&kindMixed != 0 {
			mark, b = b[0], b[1:]
		}
		l.Child = mark&markChild != 0
		need := len(digest{})
		if n.Shard {
			need++
		}
		if !l.Child {
			need += len(l.Name)
		}
		if len(b) <= need {
			return sized{}, fail
		}
		if n.Shard {
			l.Index, b = b[0], b[1:]
		}
		if !l.Child {
			copy(l.Name[:], b)
			b = b[len(l.Name):]
		}
		head := c[:0]
		switch mark &^ markChild {
		case cidV0:
		case cidV1:
			head = append(head, 1, cid.DagProtobuf)
		case cidRaw:
			head = append(head, 1, cid.Raw)
		default:
			return sized{}, fail
		}
		head = append(head, 0x12, byte(len(digest{}))) // SHA-256
		_, id, err := cid.CidFromBytes(append(head, b[:len(digest{})]...))
		if err != nil {
			return sized{}, fail
		}
		l.CID, b = id, b[len(digest{}):]
		if l.Size, i = binary.Uvarint(b); i <= 0 {
			return sized{}, fail
		}
		b = b[i:]
		n.Links = append(n.Links, l)
	}
	return n, nil
}
