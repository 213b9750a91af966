package comntr_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"

	"github.com/comntr/comntr"
)

// readAll reads a CAR whole.
func readAll(b []byte, max int64) (root cid.Cid, cids []cid.Cid, err error) {
	root, err = comntr.ReadCAR(bytes.NewReader(b), max, func(c cid.Cid, block []byte) error {
		cids = append(cids, c)
		return nil
	})
	return root, cids, err
}

// sampleCAR is the seed's /r/news with its two comments: three blocks.
func sampleCAR(t testing.TB, v comntr.Version) (root cid.Cid, car []byte) {
	tr := newTree(v)
	root = tr.topic(news.Topic, []byte("That's bs!"), []byte("Cool!")).CID
	return root, tr.car(t, root)
}

func TestCAR(t *testing.T) {
	for _, v := range versions {
		want, b := sampleCAR(t, v)
		root, cids, err := readAll(b, int64(len(b)))
		if err != nil || !root.Equals(want) || len(cids) != 3 || !cids[0].Equals(want) {
			t.Fatalf("v%d: root %s, blocks %v, error %v", v, root, cids, err)
		}
		// One byte at a time is as good.
		if _, err := comntr.ReadCAR(iotest.OneByteReader(bytes.NewReader(b)), 1<<20, func(cid.Cid, []byte) error { return nil }); err != nil {
			t.Errorf("v%d: read byte by byte: %v", v, err)
		}
	}
}

// The other software that reads and writes CARs in Go agrees with ours.
func TestCARAgreesWithGoCAR(t *testing.T) {
	for _, v := range versions {
		root, b := sampleCAR(t, v)
		r, err := carv2.NewBlockReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if r.Version != 1 || len(r.Roots) != 1 || !r.Roots[0].Equals(root) {
			t.Errorf("v%d: go-car reads version %d, roots %v", v, r.Version, r.Roots)
		}
		_, cids, _ := readAll(b, 1<<20)
		for i := 0; ; i++ {
			block, err := r.Next()
			if err == io.EOF {
				if i != len(cids) {
					t.Errorf("v%d: go-car reads %d blocks of %d", v, i, len(cids))
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !block.Cid().Equals(cids[i]) {
				t.Errorf("v%d: block %d is %s to go-car, %s to us", v, i, block.Cid(), cids[i])
			}
		}
	}
}

// The example of SPEC.md, "CAR".
func TestCARHeaderBytes(t *testing.T) {
	var b bytes.Buffer
	root := comntr.Version(1).FolderCID([]byte{0x0a, 0x02, 0x08, 0x01})
	if _, err := comntr.NewCARWriter(&b, root); err != nil {
		t.Fatal(err)
	}
	want := "3aa265726f6f747381d82a582500" + hex.EncodeToString(root.Bytes()) + "6776657273696f6e01"
	if got := hex.EncodeToString(b.Bytes()); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
}

// Wherever a CAR is cut it is known to be cut, but between two blocks.
func TestReadCARCut(t *testing.T) {
	_, b := sampleCAR(t, 1)
	whole := 0
	for n := range b {
		_, cids, err := readAll(b[:n], 1<<20)
		if err == nil {
			whole++
			continue
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
		if len(cids) > 2 {
			t.Errorf("cut at %d: %d blocks", n, len(cids))
		}
	}
	if whole != 3 { // after the header, the first and the second block
		t.Errorf("%d cuts were not seen, want 3", whole)
	}
}

// No single flipped bit is taken: each is in a length, a CID or a block.
func TestReadCARBitFlips(t *testing.T) {
	for _, v := range versions {
		root, b := sampleCAR(t, v)
		for i := range b {
			for bit := range 8 {
				bad := bytes.Clone(b)
				bad[i] ^= 1 << bit
				got, cids, err := readAll(bad, 1<<20)
				if err != nil {
					continue
				}
				// A flip in the header's CID gives another root, a flip from
				// dag-pb to raw another CID of the same bytes; both are
				// caught by whoever knows what was asked for.
				if got.Equals(root) && len(cids) == 3 {
					known := newTree(v)
					known.topic(news.Topic, []byte("That's bs!"), []byte("Cool!"))
					for _, c := range cids {
						if _, ok := known.get(c); !ok {
							got = cid.Undef
						}
					}
				}
				if got.Equals(root) {
					t.Errorf("v%d: bit %d of byte %d flipped, and taken", v, bit, i)
				}
			}
		}
	}
}

func TestReadCARRefuses(t *testing.T) {
	root, good := sampleCAR(t, 1)
	header := func() []byte {
		var b bytes.Buffer
		if _, err := comntr.NewCARWriter(&b, root); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}()
	section := func(c cid.Cid, block string) []byte {
		var b bytes.Buffer
		w, err := comntr.NewCARWriter(&b, root)
		if err == nil {
			err = w.Block(c, []byte(block))
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, c := range []struct {
		name string
		car  []byte
		is   error
	}{
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"text", []byte("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n"), nil},
		{"version 2", append([]byte{0x0a, 0xa1, 0x67}, "version\x02"...), nil},
		{"header of version 1 with version 3", bytes.Replace(good, []byte("version\x01"), []byte("version\x03"), 1), nil},
		{"no roots", append([]byte{17, 0xa2, 0x65}, "roots\x80\x67version\x01"...), nil},
		{"header of 2^35 bytes", []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, nil},
		{"length with six bytes", append(bytes.Clone(header), 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), nil},
		{"length with a byte too many", append(append(bytes.Clone(header), good[len(header)]|0x80, good[len(header)+1]|0x80, 0), good[len(header)+2:]...), nil},
		{"length 0", append(bytes.Clone(header), 0), nil},
		{"section larger than any block", append(bytes.Clone(header), 0x80, 0x80, 0x80, 0x01), nil},
		{"section without a CID", append(bytes.Clone(header), 1, 1), nil},
		{"bytes of another block", section(comntr.Version(1).LeafCID([]byte("a")), "b"), nil},
		{"identity CID", section(must(cid.Cast(cidBytes(t, cid.Raw, 0, 1))), "\x00"), nil},
		{"too large by one", good, comntr.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			max := int64(1 << 20)
			if c.is == comntr.ErrTooLarge {
				max = int64(len(c.car)) - 1
			}
			_, cids, err := readAll(c.car, max)
			if err == nil {
				t.Fatalf("taken, with %d blocks", len(cids))
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
	// A CAR that never ends costs its bound.
	endless := io.MultiReader(bytes.NewReader(header), &repeat{b: good[len(header):]})
	counted := &counter{r: endless}
	_, err := comntr.ReadCAR(counted, 1<<20, func(cid.Cid, []byte) error { return nil })
	if !errors.Is(err, comntr.ErrTooLarge) || counted.n != 1<<20+1 {
		t.Errorf("an endless CAR: %d bytes read, error %v", counted.n, err)
	}
	// fn's error ends it, as it is.
	stop := fmt.Errorf("stop")
	if _, err := comntr.ReadCAR(bytes.NewReader(good), 1<<20, func(cid.Cid, []byte) error { return stop }); err != stop {
		t.Errorf("fn's error comes back as %v", err)
	}
	broken := errors.New("broken")
	if _, err := comntr.ReadCAR(io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), 1<<20, func(cid.Cid, []byte) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("the reader's error comes back as %v", err)
	}
}

// repeat is b without end.
type repeat struct {
	b []byte
	i int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.i:])
	r.i = (r.i + n) % len(r.b)
	return n, nil
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
