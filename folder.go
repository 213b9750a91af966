package comntr

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
)

// ErrIncomplete: a block of the folder is not among those given.
var ErrIncomplete = errors.New("a block of the folder is missing")

// Folder is a topic's folder, verified: CID is that of a folder of these
// comments, and each comment's bytes hash to its name. Whether the folder was
// sharded at the right size is not checked: it changes no comment, only the id.
type Folder struct {
	CID      cid.Cid
	Comments []FolderFile // sorted by ID
}

// FolderFile is a comment as a file. Its bytes are those of its name; that
// they are a valid document ParseDocument tells.
type FolderFile struct {
	ID    Hash
	Bytes []byte
}

// ReadFolder walks the topic folder of that id and verifies all of it: each
// node is canonical and stands where its names put it, each comment hashes to
// its name. block returns a block that was checked by CheckBlock, or false.
// The error is ErrIncomplete where a block is missing.
//
// A hostile folder costs no more than its blocks: the bottom of a HAMT names
// its own path, so that a node which stands in two places fails at the second.
func ReadFolder(root cid.Cid, block func(cid.Cid) ([]byte, bool)) (*Folder, error) {
	if err := CheckCID(root); err != nil {
		return nil, err
	}
	if root.Prefix().Codec != cid.DagProtobuf {
		return nil, fmt.Errorf("%s is a leaf, no folder", root)
	}
	w := folderWalk{version: Version(root.Version()), block: block}
	if err := w.node(root, nil); err != nil {
		return nil, fmt.Errorf("folder %s: %w", root, err)
	}
	slices.SortFunc(w.files, func(a, b FolderFile) int { return a.ID.Compare(b.ID) })
	return &Folder{CID: root, Comments: w.files}, nil
}

type folderWalk struct {
	version Version
	block   func(cid.Cid) ([]byte, bool)
	files   []FolderFile
}

func (w *folderWalk) node(c cid.Cid, path []uint8) error {
	b, ok := w.block(c)
	if !ok {
		return fmt.Errorf("%w: %s", ErrIncomplete, c)
	}
	n, err := ParseNode(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	if err := n.CheckShard(path); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	for i := range n.Links {
		l := &n.Links[i]
		if Version(l.CID.Version()) != w.version {
			return fmt.Errorf("%s: a link of another CID version", c)
		}
		if l.Child {
			err = w.node(l.CID, append(path[:len(path):len(path)], l.Index))
		} else {
			err = w.leaf(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *folderWalk) leaf(l *Link) error {
	block, ok := w.block(l.CID)
	if !ok {
		return fmt.Errorf("%w: %s of comment %s", ErrIncomplete, l.CID, l.Name)
	}
	if (l.CID.Prefix().Codec == cid.Raw) != (w.version == 1) {
		return fmt.Errorf("the leaf of comment %s is not of its folder's CID version", l.Name)
	}
	b, err := LeafBytes(l.CID, block)
	if err != nil {
		return err
	}
	if SumHash(b) != l.Name {
		return fmt.Errorf("the bytes of comment %s do not hash to its name", l.Name)
	}
	w.files = append(w.files, FolderFile{l.Name, b})
	return nil
}
