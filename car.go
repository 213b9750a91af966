package comntr

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// CARs (ipld.io/specs/transport/car/carv1): a root's CID, then blocks, each
// with its CID. It is how a whole folder travels in one answer.

// CARType is the media type of a CAR (IANA).
const CARType = "application/vnd.ipld.car"

// Bounds of a CAR's parts.
const (
	maxCARHeader = 128     // bytes: one root
	maxCID       = 36      // bytes: version 1 of SHA-256
	maxBlock     = MaxNode // bytes: the largest kind of block
	maxVarint    = 5       // bytes of a section's length
)

// A CAR's header is DAG-CBOR: {"roots": [CID(bytes)], "version": 1}.
const (
	carHeaderA = "\xa2\x65roots\x81\xd8\x2a\x58"
	carHeaderB = "\x67version\x01"
)

// ErrTooLarge: more bytes came than may.
var ErrTooLarge = errors.New("more bytes than are taken")

// CARWriter writes a CAR. It trusts its caller that blocks and CIDs agree.
type CARWriter struct {
	w   io.Writer
	buf []byte
}

// NewCARWriter writes the header of a CAR (version 1) with one root.
func NewCARWriter(w io.Writer, root cid.Cid) (*CARWriter, error) {
	c := &CARWriter{w: w}
	_, err := w.Write(carHeader(root))
	return c, err
}

func carHeader(root cid.Cid) []byte {
	c := root.KeyString()
	h := append([]byte(carHeaderA), byte(1+len(c)), 0) // 0: the identity multibase
	h = append(append(h, c...), carHeaderB...)
	return append(binary.AppendUvarint(nil, uint64(len(h))), h...)
}

// Block writes one block.
func (c *CARWriter) Block(id cid.Cid, block []byte) error {
	key := id.KeyString()
	c.buf = binary.AppendUvarint(c.buf[:0], uint64(len(key)+len(block)))
	c.buf = append(append(c.buf, key...), block...)
	_, err := c.w.Write(c.buf)
	return err
}

// ReadCAR reads a CAR of one root and at most maxBytes, and calls fn for each
// block, in order, once the block was checked against its CID by CheckBlock.
// fn may keep the block. It takes only what CARWriter writes, for the kinds of
// CID that CheckCID takes; blocks may come twice and need not belong to the
// root. The error is io.ErrUnexpectedEOF where the CAR ends inside of a block,
// ErrTooLarge past maxBytes, else fn's, r's or one that tells what is wrong.
func ReadCAR(r io.Reader, maxBytes int64, fn func(c cid.Cid, block []byte) error) (root cid.Cid, err error) {
	left := &io.LimitedReader{R: r, N: maxBytes + 1} // the one more shows that there is more
	br := bufio.NewReader(left)
	head, err := readSection(br, maxCARHeader)
	if err == nil {
		root, err = parseCARHeader(head)
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	for err == nil {
		var section []byte
		if section, err = readSection(br, maxCID+maxBlock); err != nil {
			break
		}
		n, c, cidErr := cid.CidFromBytes(section)
		if cidErr != nil {
			err = cidErr
		} else if err = CheckBlock(c, section[n:]); err == nil {
			if err := fn(c, section[n:]); err != nil {
				return cid.Undef, err
			}
		}
	}
	switch {
	case left.N == 0:
		return cid.Undef, fmt.Errorf("read CAR: %w: %d", ErrTooLarge, maxBytes)
	case err == io.EOF:
		return root, nil
	}
	return cid.Undef, fmt.Errorf("read CAR: %w", err)
}

func parseCARHeader(head []byte) (cid.Cid, error) {
	errHeader := errors.New("not a CAR of version 1 with one root of a comntr folder")
	start := len(carHeaderA) + 2 // a byte of length, one of multibase
	if len(head) < start {
		return cid.Undef, errHeader
	}
	_, root, err := cid.CidFromBytes(head[start:])
	if err != nil || CheckCID(root) != nil {
		return cid.Undef, errHeader
	}
	if want := carHeader(root); !bytes.Equal(want[1:], head) {
		return cid.Undef, errHeader
	}
	return root, nil
}

// readSection reads a length and as many bytes. The error is io.EOF where r
// ends before the length, io.ErrUnexpectedEOF where it ends later.
func readSection(r *bufio.Reader, maxLen uint64) ([]byte, error) {
	n, shift := uint64(0), 0
	for {
		b, err := r.ReadByte()
		if err == io.EOF && shift > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 { // an empty section, or a length with a byte too many
				return nil, errors.New("a section's length is malformed")
			}
			break
		}
		if shift += 7; shift >= 7*maxVarint {
			return nil, errors.New("a section's length is malformed")
		}
	}
	if n > maxLen {
		return nil, fmt.Errorf("a section has %d bytes: at most %d are taken", n, maxLen)
	}
	section := make([]byte, n)
	if _, err := io.ReadFull(r, section); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return section, nil
}
