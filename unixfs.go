package comntr

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Folders as IPFS blocks: what `ipfs add -r` makes of them, profile
// unixfs-v0-2015 (IPIP-499), in CID version 0 (dag-pb leaves) or 1 (raw
// leaves). The encodings are dag-pb and UnixFS (specs.ipfs.tech/unixfs).

// Bounds of blocks. A folder whose links need no sharding stays under 400 KiB
// as a block; a shard has at most 256 links.
const (
	MaxNode = 512 << 10        // bytes of a directory node
	MaxLeaf = MaxDocument + 32 // bytes of a leaf: the document and its dag-pb frame
	// shardThreshold: a directory whose links' names and CIDs have more bytes
	// together is sharded.
	shardThreshold = 256 << 10
	// MaxDepth is how deep a HAMT can be: its slots are 64 bits, 8 a level.
	MaxDepth = 8
)

// Version is the CID version of a folder: 0 or 1.
type Version int

// FolderCID returns the CID of a directory node's block.
func (v Version) FolderCID(block []byte) cid.Cid {
	return sumCID(v, cid.DagProtobuf, block)
}

// LeafBlock returns the one block that a comment's bytes are in a folder:
// themselves in version 1; in version 0 a UnixFS file inside dag-pb.
func (v Version) LeafBlock(b []byte) []byte {
	if v == 1 {
		return b
	}
	size := uint64(len(b))
	inner := 2 + 1 + uvarintLen(size) + len(b) + 1 + uvarintLen(size)
	out := make([]byte, 0, v.LeafSize(len(b)))
	out = append(out, 0x0a)
	out = binary.AppendUvarint(out, uint64(inner))
	out = append(out, 0x08, 0x02, 0x12) // Type: File, Data
	out = binary.AppendUvarint(out, size)
	out = append(out, b...)
	out = append(out, 0x18) // filesize
	return binary.AppendUvarint(out, size)
}

// LeafSize is the length of LeafBlock of n bytes.
func (v Version) LeafSize(n int) int {
	if v == 1 {
		return n
	}
	length := uvarintLen(uint64(n))
	inner := 2 + 1 + length + n + 1 + length
	return 1 + uvarintLen(uint64(inner)) + inner
}

// LeafCID returns the CID of LeafBlock(b).
func (v Version) LeafCID(b []byte) cid.Cid {
	codec := uint64(cid.Raw)
	if v == 0 {
		codec = cid.DagProtobuf
	}
	return sumCID(v, codec, v.LeafBlock(b))
}

// Sharded reports whether a folder of n names is a HAMT. All names have 40
// bytes and all CIDs of a version the same length, so the number decides.
func (v Version) Sharded(n int) bool {
	return n*(40+v.cidLen()) > shardThreshold
}

func (v Version) cidLen() int {
	if v == 0 {
		return 34
	}
	return 36
}

func sumCID(v Version, codec uint64, block []byte) cid.Cid {
	sum := sha256.Sum256(block)
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // 32 bytes of SHA-256 always encode
	}
	if v == 0 {
		return cid.NewCidV0(mh)
	}
	return cid.NewCidV1(codec, mh)
}

// CheckBlock reports an error unless block hashes to c. Only the CIDs that
// comntr's folders consist of are taken: SHA-256, dag-pb or raw.
func CheckBlock(c cid.Cid, block []byte) error {
	if err := CheckCID(c); err != nil {
		return err
	}
	sum := sha256.Sum256(block)
	if !bytes.Equal(c.Hash()[2:], sum[:]) {
		return fmt.Errorf("a block's bytes do not hash to %s", c)
	}
	return nil
}

// CheckCID reports an error unless c is of a kind that comntr's folders
// consist of.
func CheckCID(c cid.Cid) error {
	if !c.Defined() {
		return errors.New("no CID")
	}
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != 32 || (p.Codec != cid.DagProtobuf && p.Codec != cid.Raw) {
		return fmt.Errorf("%s is no CID of a comntr folder: SHA-256 of dag-pb or raw is wanted", c)
	}
	return nil
}

// LeafBytes returns the comment's bytes in a leaf whose block has been
// checked. A version 0 leaf is taken only in the encoding LeafBlock gives.
func LeafBytes(c cid.Cid, block []byte) ([]byte, error) {
	if len(block) > MaxLeaf {
		return nil, fmt.Errorf("the leaf %s has %d bytes: at most %d are taken", c, len(block), MaxLeaf)
	}
	if c.Prefix().Codec == cid.Raw {
		return block, nil
	}
	data, ok := fileData(block)
	if !ok || !bytes.Equal(Version(0).LeafBlock(data), block) {
		return nil, fmt.Errorf("%s is no UnixFS file in one block", c)
	}
	return data, nil
}

// fileData returns what stands where LeafBlock puts a comment's bytes.
func fileData(block []byte) (data []byte, ok bool) {
	r := protoReader{b: block}
	tag, inner, ok := r.bytesField()
	if !ok || tag != 0x0a {
		return nil, false
	}
	r = protoReader{b: inner}
	if !r.expect(0x08, 0x02) {
		return nil, false
	}
	tag, data, ok = r.bytesField()
	return data, ok && tag == 0x12
}

// Link is an entry of a Node.
type Link struct {
	// Index is the place in a shard, 0 to 255; 0 in a plain directory.
	Index uint8
	// Child is true for a link to a shard one level down, which has no name.
	Child bool
	Name  Hash
	CID   cid.Cid
	// Size is the size in bytes of all blocks below, the link's Tsize. It is
	// what the sender says; nothing here relies on it.
	Size uint64
}

// Node is one block of a folder: a plain directory, or one shard of a HAMT.
// Links are sorted: by name, or in a shard by index.
type Node struct {
	Shard bool
	Links []Link
}

// Encode returns the node's canonical block: links sorted, then the data.
func (n *Node) Encode() []byte {
	size := 64
	for i := range n.Links {
		size += 64 + len(n.Links[i].CID.KeyString())
	}
	out := make([]byte, 0, size)
	var bitfield [32]byte
	for i := range n.Links {
		l := &n.Links[i]
		bitfield[31-l.Index/8] |= 1 << (l.Index % 8)
		var name [42]byte
		label := name[:0]
		if n.Shard {
			label = append(label, "0123456789ABCDEF"[l.Index>>4], "0123456789ABCDEF"[l.Index&15])
		}
		if !l.Child {
			label = hex.AppendEncode(label, l.Name[:])
		}
		c := l.CID.KeyString()
		out = append(out, 0x12)
		out = binary.AppendUvarint(out, uint64(1+uvarintLen(uint64(len(c)))+len(c)+2+len(label)+1+uvarintLen(l.Size)))
		out = append(out, 0x0a)
		out = binary.AppendUvarint(out, uint64(len(c)))
		out = append(out, c...)
		out = append(out, 0x12, byte(len(label)))
		out = append(out, label...)
		out = append(out, 0x18)
		out = binary.AppendUvarint(out, l.Size)
	}
	if !n.Shard {
		return append(out, 0x0a, 0x02, 0x08, 0x01) // Type: Directory
	}
	field := bytes.TrimLeft(bitfield[:], "\x00")
	out = append(out, 0x0a, byte(2+2+len(field)+2+3), 0x08, 0x05, 0x12, byte(len(field)))
	out = append(out, field...)
	return append(out, 0x28, 0x22, 0x30, 0x80, 0x02) // hashType murmur3-x64-64, fanout 256
}

// Size is the cumulative size of the node: its block of the given length and
// all below it; what a link to it carries as Size.
func (n *Node) Size(block int) uint64 {
	size := uint64(block)
	for i := range n.Links {
		size += n.Links[i].Size
	}
	return size
}

// ParseNode reads a directory node. It takes only what Encode gives for the
// result: names of 40 lower-case hex digits, sorted, none twice, the CIDs that
// CheckCID takes, nothing else in the block. It does not check the block
// against a CID: CheckBlock does.
func ParseNode(block []byte) (*Node, error) {
	if len(block) > MaxNode {
		return nil, fmt.Errorf("a directory node has %d bytes: at most %d are taken", len(block), MaxNode)
	}
	n := &Node{}
	r := protoReader{b: block}
	var data []byte
	for {
		tag, field, ok := r.bytesField()
		if !ok {
			return nil, errors.New("not a dag-pb node")
		}
		if tag == 0x0a {
			data = field
			break
		}
		if tag != 0x12 {
			return nil, errors.New("not a dag-pb node")
		}
		n.Links = append(n.Links, Link{})
		if err := n.Links[len(n.Links)-1].parse(field); err != nil {
			return nil, err
		}
	}
	n.Shard = len(data) > 2
	for i := range n.Links {
		l := &n.Links[i]
		if n.Shard != l.sharded() {
			return nil, errors.New("a directory node mixes the names of shards and of plain directories")
		}
		l.unmark()
		if i == 0 {
			continue
		}
		prev := &n.Links[i-1]
		if n.Shard && prev.Index >= l.Index || !n.Shard && prev.Name.Compare(l.Name) >= 0 {
			return nil, errors.New("a directory node's links are not in order")
		}
	}
	if !bytes.Equal(n.Encode(), block) {
		return nil, errors.New("a directory node is not in its canonical encoding")
	}
	return n, nil
}

// While a node is parsed, Size's top bit remembers that a name had an index.
const shardMark = 1 << 63

func (l *Link) sharded() bool { return l.Size&shardMark != 0 }
func (l *Link) unmark()       { l.Size &^= shardMark }

func (l *Link) parse(b []byte) error {
	r := protoReader{b: b}
	tag, c, ok := r.bytesField()
	tag2, name, ok2 := r.bytesField()
	if !ok || !ok2 || tag != 0x0a || tag2 != 0x12 || !r.expect(0x18) {
		return errors.New("a directory node's link is malformed")
	}
	size, ok := r.uvarint()
	if !ok || len(r.b) != 0 || size >= shardMark {
		return errors.New("a directory node's link is malformed")
	}
	var err error
	if l.CID, err = cid.Cast(c); err != nil {
		return fmt.Errorf("a directory node's link: %w", err)
	}
	if err := CheckCID(l.CID); err != nil {
		return err
	}
	l.Size = size
	if len(name) == 2 || len(name) == 42 {
		l.Size |= shardMark
		var index [1]byte
		if _, err := hex.Decode(index[:], name[:2]); err != nil {
			return fmt.Errorf("a directory node's name %q is malformed", name)
		}
		l.Index = index[0]
		name = name[2:]
		l.Child = len(name) == 0
		if l.Child && l.CID.Prefix().Codec != cid.DagProtobuf {
			return errors.New("a link to a shard is not dag-pb")
		}
	}
	if !l.Child {
		if l.Name, err = ParseHash(string(name)); err != nil {
			return fmt.Errorf("a directory node's name: %w", err)
		}
	}
	return nil
}

// CheckShard reports an error unless every link of a shard stands where its
// name's slot puts it. path is the indices from the root's shard to this one:
// empty for the root. It takes plain directories only as roots.
func (n *Node) CheckShard(path []uint8) error {
	if !n.Shard {
		if len(path) != 0 {
			return errors.New("a plain directory stands inside a HAMT")
		}
		return nil
	}
	if len(n.Links) == 0 {
		return errors.New("a shard is empty")
	}
	if len(path) >= MaxDepth {
		return errors.New("a HAMT is deeper than 8 levels")
	}
	for i := range n.Links {
		l := &n.Links[i]
		if l.Child {
			if len(path)+1 >= MaxDepth {
				return errors.New("a HAMT is deeper than 8 levels")
			}
			continue
		}
		var slot [8]byte
		binary.BigEndian.PutUint64(slot[:], l.Name.Slot())
		if !slices.Equal(slot[:len(path)], path) || slot[len(path)] != l.Index {
			return fmt.Errorf("the name %s stands in a shard that is not its own", l.Name)
		}
	}
	return nil
}

// At returns the link at an index of a shard.
func (n *Node) At(index uint8) (Link, bool) {
	i, ok := slices.BinarySearchFunc(n.Links, index, func(l Link, index uint8) int { return cmp.Compare(l.Index, index) })
	if !ok {
		return Link{}, false
	}
	return n.Links[i], true
}

// Lookup returns where a folder has name, seen from a node of it at that depth:
// the name's own link, or that of the shard below which it stands if anywhere.
func (n *Node) Lookup(name Hash, depth int) (Link, bool) {
	if n.Shard {
		l, ok := n.At(uint8(name.Slot() >> (56 - 8*depth)))
		return l, ok && (l.Child || l.Name == name)
	}
	i, ok := slices.BinarySearchFunc(n.Links, name, func(l Link, name Hash) int { return l.Name.Compare(name) })
	if !ok {
		return Link{}, false
	}
	return n.Links[i], true
}

// protoReader reads the few protobuf forms that dag-pb and UnixFS need.
type protoReader struct{ b []byte }

func (r *protoReader) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return 0, false
	}
	r.b = r.b[n:]
	return v, true
}

func (r *protoReader) expect(want ...byte) bool {
	if !bytes.HasPrefix(r.b, want) {
		return false
	}
	r.b = r.b[len(want):]
	return true
}

// bytesField reads a one-byte tag and its length-delimited value.
func (r *protoReader) bytesField() (tag byte, value []byte, ok bool) {
	if len(r.b) < 2 {
		return 0, nil, false
	}
	tag = r.b[0]
	r.b = r.b[1:]
	n, ok := r.uvarint()
	if !ok || n > uint64(len(r.b)) {
		return 0, nil, false
	}
	value, r.b = r.b[:n], r.b[n:]
	return tag, value, true
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
