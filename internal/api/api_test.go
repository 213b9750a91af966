package api_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	reddit = comntr.NameHash("reddit")
	news   = comntr.NameHash("/r/news")
	seed   = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

// testWriter writes a server's log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(testWriter{t}, nil)) }

// community opens a community in data, on a real disk.
func community(t testing.TB, data, name string) api.Community {
	t.Helper()
	id := comntr.NameHash(name)
	s, err := store.Open(data, id, store.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := ipfs.OpenFolders(filepath.Join(data, id.String(), ".ipfs"), 0, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return api.Community{ID: id, Store: s, Folders: f}
}

// config is that of a server of m, or of a real community where m is nil.
func config(t testing.TB, m *memory) api.Config {
	c := api.Config{Gateway: true, Key: seed, Log: testLog(t), Hello: testHello, Page: testPage}
	if m != nil {
		c.Communities = []api.Community{{ID: m.id, Store: m, Folders: m}}
	} else {
		c.Communities = []api.Community{community(t, t.TempDir(), "reddit")}
	}
	return c
}

// testPage stands for the web client.
var testPage = fstest.MapFS{
	"index.html":   {Data: []byte("<!doctype html>\n<script type=module src=abc/main.js></script>\n")},
	"config.json":  {Data: []byte("{}")},
	"abc/main.js":  {Data: []byte("// runs\n")},
	"abc/page.css": {Data: []byte("body { margin: 0 }\n")},
	"abc/icon.svg": {Data: []byte("<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n")},
}

func testHello() comntr.Hello {
	pub := seed.Public().(ed25519.PublicKey)
	return comntr.Hello{
		Protocol: comntr.ProtocolVersion, Software: "comntr/test", Key: hex.EncodeToString(pub), PeerID: comntr.PeerID(pub),
		Expires: time.Now().Add(time.Hour), Communities: []comntr.Hash{reddit},
	}
}

// serve starts a server on a free port of 127.0.0.1 and returns its address.
func serve(t testing.TB, a *api.API) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := a.Server()
	done := make(chan error, 1)
	go func() { done <- s.Serve(a.Listener(l)) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// client is one whose connections end with the test.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// sign makes a signed document.
func sign(key ed25519.PrivateKey, place comntr.Place, headers, body string) []byte {
	part := fmt.Appendf(nil, "Public-Key: %x\nTopic: %s\n%s\n%s", key.Public(), place, headers, body)
	return append(fmt.Appendf(nil, "Signature: %x\n", ed25519.Sign(key, part)), part...)
}

// stored counts the comments' files under data, leaving hidden folders out, and
// the topics' folders.
func stored(t testing.TB, data string) (topics, comments int) {
	t.Helper()
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(data, path)
		switch depth := len(strings.Split(rel, string(filepath.Separator))); {
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && rel != ".":
			return fs.SkipDir
		case depth == 2 && d.IsDir():
			topics++
		case depth == 3:
			comments++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return topics, comments
}

func readResponse(b []byte) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
}
