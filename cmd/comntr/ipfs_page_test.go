package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/comntr/comntr"
)

// stranger is an IPFS node that is no comntr server: interop/helia-serve.mjs.
type stranger struct {
	t            *testing.T
	Addr, Router string
	mu           sync.Mutex
	stdin        io.Writer
	answers      *bufio.Reader
}

func startStranger(t *testing.T) *stranger {
	t.Helper()
	cmd := exec.Command("node", "helia-serve.mjs")
	cmd.Dir = interop(t, "helia")
	stdin, err := cmd.StdinPipe() // its end ends the node
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the IPFS node says: %s", stderr.String())
		}
	})
	n := &stranger{t: t, stdin: stdin, answers: bufio.NewReader(stdout)}
	line, err := n.answers.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, n)
	}
	if err != nil {
		t.Fatalf("the IPFS node did not start: %v", err)
	}
	return n
}

// do has the node do something, and returns what it answers.
func (n *stranger) do(act string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := io.WriteString(n.stdin, act+"\n"); err != nil {
		return "", err
	}
	line, err := n.answers.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the IPFS node ended on %q: %w", act, err)
	}
	return strings.TrimSpace(line), nil
}

// keeps has the node fetch and hold the folder that s has of pagePlace, and
// returns that folder's id.
func (n *stranger) keeps(s *server) string {
	n.t.Helper()
	id, err := s.client.Topic(n.t.Context(), pagePlace)
	if err != nil {
		n.t.Fatal(err)
	}
	for a := range strings.SplitSeq(s.multiaddrs(), ",") {
		if strings.Contains(a, "/tcp/") {
			if _, err := n.do("keep " + a + " " + id.String()); err != nil {
				n.t.Fatal(err)
			}
			return id.String()
		}
	}
	n.t.Fatal("the server's IPFS node has no TCP address")
	return ""
}

// ipfsTexts are what the pages of these tests are to show: signed comments and
// plain ones.
func ipfsTexts(t *testing.T, s *server) {
	t.Helper()
	if _, err := s.byCommand("Signed, and on no server any more."); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if _, _, err := s.client.Post(t.Context(), pagePlace, fmt.Appendf(nil, "Comment %d is blue.", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestE2EPageOnIPFS: every comntr server is dead, and an IPFS node that is none
// holds the folder. A browser that was never here knows its id, by a link or by
// config.json, and a router; it shows the thread, and asks nobody who was not
// named.
func TestE2EPageOnIPFS(t *testing.T) {
	needsPage(t)
	n := startStranger(t)
	s := serve(t, t.TempDir())
	ipfsTexts(t, s)
	id := n.keeps(s)
	s.kill()
	place := pagePlace.Community.String() + "/" + pagePlace.Topic.String()
	config := map[string]any{"servers": []string{s.http}, "routers": []string{n.Router}}
	byLink := siteWith(t, httptest.NewServer, config)
	config["folders"] = map[string]string{place: id}
	bySite := siteWith(t, httptest.NewServer, config)
	play(t, "ipfs.mjs", "dead", facts{
		"site": byLink, "other": bySite, "folder": place + "/" + id, "server": s.http, "router": n.Router, "node": nodeOrigin(n.Addr),
	}, acts{"asked": func(string) (string, error) { return n.do("asked") }})
}

// TestE2EPageLiedToOverIPFS: the node, and a gateway, give blocks of which one
// bit is another. The page shows none of them.
func TestE2EPageLiedToOverIPFS(t *testing.T) {
	needsPage(t)
	n := startStranger(t)
	s := serve(t, t.TempDir())
	ipfsTexts(t, s)
	id := n.keeps(s)
	var lies atomic.Int32
	gateway := proxy(t, httptest.NewServer, func() string { return s.http }, func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if len(body) > 0 {
			lies.Add(1)
			body[len(body)/2] ^= 1
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	})
	if _, err := n.do("lie"); err != nil {
		t.Fatal(err)
	}
	away := nowhere(t)
	play(t, "ipfs.mjs", "liar", facts{
		"site": siteWith(t, httptest.NewServer, map[string]any{
			"servers": []string{away}, "routers": []string{n.Router}, "gateways": []string{gateway},
		}),
		"folder": pagePlace.Community.String() + "/" + pagePlace.Topic.String() + "/" + id,
		"server": away, "router": n.Router, "node": nodeOrigin(n.Addr), "gateway": gateway,
	}, acts{
		"asked": func(string) (string, error) { return n.do("asked") },
		"lies":  func(string) (string, error) { return strconv.Itoa(int(lies.Load())), nil },
	})
}

// TestE2EPageByGateway: a trustless gateway that the site names is enough.
func TestE2EPageByGateway(t *testing.T) {
	needsPage(t)
	s := serve(t, t.TempDir())
	ipfsTexts(t, s)
	id, err := s.client.Topic(t.Context(), pagePlace)
	if err != nil {
		t.Fatal(err)
	}
	// It answers as gateways do, and in nothing as a server.
	gateway := proxy(t, httptest.NewServer, func() string { return s.http }, func(r *http.Response) error {
		if !strings.HasPrefix(r.Request.URL.Path, "/ipfs/") {
			return errors.New("asked for what is no block")
		}
		return nil
	})
	away := nowhere(t)
	play(t, "ipfs.mjs", "gateway", facts{
		"site":   siteWith(t, httptest.NewServer, map[string]any{"servers": []string{away}, "gateways": []string{gateway}}),
		"folder": pagePlace.Community.String() + "/" + pagePlace.Topic.String() + "/" + id.String(),
		"server": away, "gateway": gateway,
	}, acts{})
}

// TestE2EPageOutlivesHTTP: a server tells the id of a newer folder, and from
// then on answers nobody, but over IPFS. Its hello named its node: the page, on
// https, gets what is new from there, over WebTransport.
func TestE2EPageOutlivesHTTP(t *testing.T) {
	needsPage(t)
	s := serve(t, t.TempDir(), "--ipfs-listen", "/ip4/127.0.0.1/udp/0/quic-v1/webtransport", "--webtransport-listen", "none", "--rtc-listen", "none")
	ipfsTexts(t, s)
	var dying, dead atomic.Bool
	topic := "/" + pagePlace.Community.String() + "/" + pagePlace.Topic.String()
	front := proxy(t, tlsServer, func() string { return s.http }, func(r *http.Response) error {
		isID := r.Request.URL.Path == topic && r.Request.Header.Get("Accept") == "text/plain"
		if dead.Load() || dying.Load() && !isID {
			panic(http.ErrAbortHandler)
		}
		if dying.Load() {
			dead.Store(true)
		}
		return nil
	})
	play(t, "ipfs.mjs", "dying", facts{
		"site": siteWith(t, tlsServer, map[string]any{"servers": []string{front}}), "server": front,
	}, acts{
		"post": s.byCommand,
		"die":  func(string) (string, error) { dying.Store(true); return "", nil },
		"dead": func(string) (string, error) { return strconv.FormatBool(dead.Load()), nil },
	})
}

// TestE2EPageGivesToIPFS: a node that the site names, and that holds nothing,
// fetches the folder from a page that does: all of it, byte for byte, after the
// page was opened anew and every server was gone.
func TestE2EPageGivesToIPFS(t *testing.T) {
	needsPage(t)
	n := startStranger(t)
	s := serve(t, t.TempDir())
	ipfsTexts(t, s)
	f, err := s.client.Folder(t.Context(), pagePlace)
	if err != nil {
		t.Fatal(err)
	}
	play(t, "ipfs.mjs", "gives", facts{
		"site":   siteWith(t, httptest.NewServer, map[string]any{"servers": []string{s.http}, "nodes": []string{n.Addr}}),
		"server": s.http, "node": nodeOrigin(n.Addr), "session": s.webTransport,
	}, acts{
		"kill": func(string) (string, error) { s.kill(); return "", nil },
		"get": func(string) (string, error) {
			line, err := n.do("get " + f.CID.String())
			if err != nil {
				return "", err
			}
			var got map[string]string
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				return "", err
			}
			for _, c := range f.Comments {
				b, err := base64.StdEncoding.DecodeString(got[c.ID.String()])
				if err != nil || comntr.SumHash(b) != c.ID {
					return "", fmt.Errorf("the node got %q for %s", b, c.ID)
				}
			}
			if len(got) != len(f.Comments) || len(got) < 30 {
				return "", fmt.Errorf("the node got %d of %d comments", len(got), len(f.Comments))
			}
			return "", nil
		},
	})
}

// TestE2EPageSavesData: a browser that is to save data does not even fetch the
// node's program.
func TestE2EPageSavesData(t *testing.T) {
	needsPage(t)
	s := serve(t, t.TempDir(), "--webtransport-listen", "none")
	ipfsTexts(t, s)
	play(t, "ipfs.mjs", "frugal", facts{
		"site": siteWith(t, httptest.NewServer, map[string]any{"servers": []string{s.http}}), "server": s.http,
	}, acts{"kill": func(string) (string, error) { s.kill(); return "", nil }})
}

// nodeOrigin is where a WebSocket of a node's multiaddr leads.
func nodeOrigin(addr string) string {
	parts := strings.Split(addr, "/")
	return "ws://" + parts[2] + ":" + parts[4]
}
