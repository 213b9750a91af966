package comntr_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

func FuzzParseDocument(f *testing.F) {
	for _, c := range documentCases(f) {
		if b := c.bytes(f); len(b) < 1<<10 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		doc, err := comntr.ParseDocument(news, b)
		if !bytes.Equal(b, before) {
			t.Fatal("parsing changed the bytes")
		}
		if err != nil {
			var invalid *comntr.Invalid
			if !errors.As(err, &invalid) || invalid.Code == "" || doc != nil {
				t.Fatalf("refused with %#v and a document %v", err, doc)
			}
			return
		}
		if !bytes.Equal(doc.Bytes(), b) || doc.ID() != comntr.SumHash(b) || doc.Place() != news {
			t.Fatal("what parsed does not give its bytes back")
		}
		if !bytes.HasSuffix(b, doc.Body()) || !doc.Signed() && len(doc.Body()) != len(b) {
			t.Fatal("the body is not the end of the bytes")
		}
		if doc.Signed() != bytes.HasPrefix(b, []byte("Signature: ")) {
			t.Fatal("signed and plain are confused")
		}
		again, err := comntr.ParseDocument(news, doc.Bytes())
		if err != nil || !reflect.DeepEqual(again, doc) {
			t.Fatalf("parsed again it is another document: %v", err)
		}
		// Whatever stands elsewhere is either plain or refused.
		elsewhere := comntr.Place{Community: news.Community, Topic: comntr.NameHash("/r/gifs")}
		if _, err := comntr.ParseDocument(elsewhere, b); (err == nil) == doc.Signed() {
			t.Fatalf("in another topic: %v", err)
		}
	})
}

func FuzzParseNode(f *testing.F) {
	for _, v := range versions {
		tr := newTree(v)
		tr.topic(comntr.Hash{}, comments(3)...)
		for _, b := range tr.blocks {
			f.Add(b)
		}
		// A shard with two names and a child.
		c := v.FolderCID(nil)
		n := comntr.Node{Shard: true, Links: []comntr.Link{
			{Index: 0, Name: comntr.NameHash("a"), CID: c, Size: 300},
			{Index: 15, Child: true, CID: c, Size: 1},
			{Index: 255, Name: comntr.NameHash("b"), CID: c},
		}}
		f.Add(n.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := comntr.ParseNode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(n.Encode(), b) {
			t.Fatal("what parsed is encoded to other bytes")
		}
		for i := range n.Links {
			if err := comntr.CheckCID(n.Links[i].CID); err != nil {
				t.Fatal(err)
			}
			if i > 0 && (n.Shard && n.Links[i-1].Index >= n.Links[i].Index || !n.Shard && bytes.Compare(n.Links[i-1].Name[:], n.Links[i].Name[:]) >= 0) {
				t.Fatal("links are not in order")
			}
		}
		n.CheckShard(nil)
		n.CheckShard([]uint8{1, 2, 3})
		n.Size(len(b))
	})
}

func FuzzLeafBytes(f *testing.F) {
	f.Add([]byte("Cool!"))
	f.Add(comntr.Version(0).LeafBlock([]byte("Cool!")))
	f.Add(comntr.Version(0).LeafBlock(nil))
	f.Fuzz(func(t *testing.T, block []byte) {
		c := comntr.Version(0).FolderCID(block)
		if b, err := comntr.LeafBytes(c, block); err == nil && !bytes.Equal(comntr.Version(0).LeafBlock(b), block) {
			t.Fatal("a leaf is taken in another encoding than its own")
		}
	})
}

func FuzzReadCAR(f *testing.F) {
	for _, v := range versions {
		_, b := sampleCAR(f, v)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// What is read is written as it was.
		var again bytes.Buffer
		blocks := new(bytes.Buffer)
		var w *comntr.CARWriter
		root, err := comntr.ReadCAR(bytes.NewReader(b), 1<<20, func(c cid.Cid, block []byte) error {
			if err := comntr.CheckBlock(c, block); err != nil {
				t.Fatalf("an unchecked block: %v", err)
			}
			if w == nil {
				w = must(comntr.NewCARWriter(blocks, c))
				blocks.Reset()
			}
			return w.Block(c, block)
		})
		if err != nil {
			return
		}
		must(comntr.NewCARWriter(&again, root))
		again.Write(blocks.Bytes())
		if !bytes.Equal(again.Bytes(), b) {
			t.Fatal("what was read is written to other bytes")
		}
		if len(b) > 0 {
			if _, err := comntr.ReadCAR(bytes.NewReader(b), int64(len(b))-1, func(cid.Cid, []byte) error { return nil }); !errors.Is(err, comntr.ErrTooLarge) {
				t.Fatalf("a byte over its bound: %v", err)
			}
		}
	})
}

func FuzzReadFolder(f *testing.F) {
	for _, v := range versions {
		_, b := sampleCAR(f, v)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		blocks := map[cid.Cid][]byte{}
		root, err := comntr.ReadCAR(bytes.NewReader(b), 1<<20, func(c cid.Cid, block []byte) error {
			blocks[c] = block
			return nil
		})
		if err != nil {
			return
		}
		folder, err := comntr.ReadFolder(root, func(c cid.Cid) ([]byte, bool) { b, ok := blocks[c]; return b, ok })
		if err != nil {
			return
		}
		for i, c := range folder.Comments {
			if comntr.SumHash(c.Bytes) != c.ID || i > 0 && bytes.Compare(folder.Comments[i-1].ID[:], c.ID[:]) >= 0 {
				t.Fatal("a folder with a false or a double name")
			}
		}
	})
}

func FuzzOpenHello(f *testing.F) {
	key := testKey("server")
	good := must(comntr.SignHello(key, helloOf(key), helloNonce, helloOrigin))
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("1.0.0"), []byte("1.0.1"), 1))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := comntr.OpenHello(b, helloNonce, helloOrigin, helloNow)
		if err != nil {
			if h != nil {
				t.Fatal("refused, and a hello")
			}
			return
		}
		if h.PeerID != comntr.PeerID(unhex(t, h.Key)) {
			t.Fatal("a hello with another key's peer id")
		}
		if _, err := comntr.OpenHello(b, sha256.Sum256(helloNonce[:]), helloOrigin, helloNow); err == nil {
			t.Fatal("a hello for two nonces")
		}
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add(news.Topic.String())
	f.Add("")
	f.Add("84D5fcc43a5a888643930cfa216833309b3dd96c")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := comntr.ParseHash(s)
		if err == nil && h.String() != s {
			t.Fatalf("%q is read as %s", s, h)
		}
		if got := comntr.HashOrName(s); err == nil && got != h || err != nil && got != comntr.NameHash(s) {
			t.Fatalf("%q as a hash or a name is %s", s, got)
		}
	})
}

func FuzzCanonicalOrigin(f *testing.F) {
	for _, s := range []string{"http://192.0.2.1:4080", "https://example.org/", "http://[2001:db8::1]:80", "http://[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := comntr.CanonicalOrigin(s)
		if err != nil {
			return
		}
		if again, err := comntr.CanonicalOrigin(o); err != nil || again != o {
			t.Fatalf("%q becomes %q, and that %q, %v", s, o, again, err)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(event("1", news.Topic, news.Community)))
	f.Add([]byte("id: 1\nevent: reset\n\n"))
	f.Add([]byte(":\n\r\n\ndata\nid\nevent\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := comntr.ReadEvents(bytes.NewReader(b), func() {}, func(e comntr.Event) error {
			if len(e.ID) > 256 || bytes.ContainsAny([]byte(e.ID), "\r\n\x00") {
				t.Fatalf("an id %q", e.ID)
			}
			return nil
		})
		if err != io.EOF && !errors.Is(err, comntr.ErrBadAnswer) && !errors.Is(err, comntr.ErrReset) {
			t.Fatalf("%v", err)
		}
	})
}
