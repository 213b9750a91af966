package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// e2e marks a test of whole networks: minutes in all, run by `make e2e`.
func e2e(t *testing.T) {
	t.Helper()
	if os.Getenv("COMNTR_E2E") == "" {
		t.Skip("a whole network: make e2e runs it")
	}
}

// needs skips where a program is missing; in CI that is a failure.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: CI should have it", program)
	}
	t.Skipf("%s is not installed", program)
}

// network starts n servers with only a DHT node, and an entry to the IPFS
// DHT, between them.
func network(t *testing.T, n int, flags func(i int) []string) []*server {
	t.Helper()
	var servers []*server
	for i := range n {
		f := []string{"--sync-interval", "2s"}
		if i > 0 {
			f = append(f, "--dht-bootstrap", servers[0].dht)
			if addrs := servers[0].multiaddrs(); addrs != "" {
				f = append(f, "--ipfs-bootstrap", addrs)
			}
		}
		servers = append(servers, serve(t, t.TempDir(), append(f, flags(i)...)...))
	}
	return servers
}

func (s *server) multiaddrs() string {
	s.t.Helper()
	h, err := s.client.Hello(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(h.Multiaddrs, ",")
}

// roots checks that all servers give one root, and returns it.
func roots(servers []*server) (cid.Cid, error) {
	var first cid.Cid
	for i, s := range servers {
		r, err := s.client.Root(context.Background(), comntr.NameHash("reddit"))
		if err != nil {
			return r, err
		}
		if i > 0 && r != first {
			return r, fmt.Errorf("server %d gives %s, server 0 %s", i, r, first)
		}
		first = r
	}
	return first, nil
}

// TestE2EThreeServers is the seed's promise: servers that have only the DHT
// between them converge, and one that is killed is not missed.
func TestE2EThreeServers(t *testing.T) {
	e2e(t)
	const comments, topics = 10_000, 500
	none := func(int) []string { return nil }
	for _, test := range []struct {
		name    string
		bitswap bool
		flags   func(int) []string
	}{
		{"as it comes", true, none},
		{"over bitswap alone", true, func(int) []string { return []string{"--no-gateway"} }},
		{"over HTTP alone", false, func(int) []string { return []string{"--ipfs-listen", "none"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			servers := network(t, 3, test.flags)
			a := servers[0]
			start := time.Now()
			postAll(t, a, comments, topics)
			posted := time.Since(start)
			var root cid.Cid
			took := eventually(t, time.Minute, func() (err error) {
				root, err = roots(servers)
				return err
			})
			t.Logf("%d comments posted in %s; one root, %s, %s after the last", comments, posted.Round(time.Millisecond), root, took.Round(time.Millisecond))

			// The last folder ids that A gave.
			ids := map[int]cid.Cid{}
			for topic := range topics {
				p, _ := comment(topic, 0)
				id, err := a.client.Topic(context.Background(), p)
				if err != nil {
					t.Fatal(err)
				}
				ids[topic] = id
			}
			a.kill()
			found := map[comntr.Hash]bool{}
			for topic, id := range ids {
				p, _ := comment(topic, 0)
				for _, s := range servers[1:] {
					f, err := s.client.Folder(context.Background(), p)
					if err != nil {
						t.Fatal(err)
					}
					if f.CID != id {
						t.Fatalf("topic %d: %s after A's death, %s before", topic, f.CID, id)
					}
					for _, c := range f.Comments {
						found[c.ID] = true
					}
				}
			}
			for i := range comments {
				if _, b := comment(i%topics, i); !found[comntr.SumHash(b)] {
					t.Fatalf("comment %d is lost", i)
				}
			}
			if !test.bitswap {
				return
			}
			// A client that knows only the id and the IPFS DHT.
			_, key, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			node, err := ipfs.NewNode(ipfs.Config{
				Key: key, ClientOnly: true, Bootstrap: strings.Split(servers[2].multiaddrs(), ","),
				Guard: comntr.Guard{AllowPrivate: true}, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer node.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			var running sync.WaitGroup
			running.Go(func() { node.Run(ctx) })
			defer running.Wait()
			defer cancel()
			for _, topic := range []int{0, 123, topics - 1} {
				took := eventually(t, time.Minute, func() error {
					return node.FetchAny(ctx, ids[topic], func(s *ipfs.Session) error {
						f, err := fetchFolder(ctx, s, ids[topic])
						if err == nil && len(f.Comments) != comments/topics {
							err = fmt.Errorf("%d comments came", len(f.Comments))
						}
						return err
					})
				})
				t.Logf("topic %d resolved by its id alone after %s", topic, took.Round(time.Millisecond))
			}
			// Again where a server that did not answer in time, on a busy
			// machine, is left alone by libp2p for some seconds.
			eventually(t, time.Minute, func() error {
				blocks := 0
				err := node.FetchAny(ctx, root, func(s *ipfs.Session) error {
					return s.Blocks(ctx, []cid.Cid{root}, func(cid.Cid, []byte) error { blocks++; return nil })
				})
				if err == nil && blocks != 1 {
					err = fmt.Errorf("the last root by bitswap: %d blocks", blocks)
				}
				return err
			})
		})
	}
}

// TestE2EVersions: servers of both CID versions replicate from each other.
func TestE2EVersions(t *testing.T) {
	e2e(t)
	servers := network(t, 2, func(i int) []string { return []string{fmt.Sprintf("--cid-version=%d", i)} })
	postAll(t, servers[0], 500, 20)
	p, _ := comment(7, 0)
	if _, _, err := servers[1].client.Post(context.Background(), p, []byte("posted to the other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		for topic := range 20 {
			p, _ := comment(topic, 0)
			want := 25
			if topic == 7 {
				want++
			}
			for i, s := range servers {
				f, err := s.client.Folder(context.Background(), p)
				if err != nil {
					return err
				}
				if len(f.Comments) != want {
					return fmt.Errorf("server %d has %d comments in topic %d", i, len(f.Comments), topic)
				}
				if int(f.CID.Version()) != i {
					t.Fatalf("server %d gives a CID of version %d", i, f.CID.Version())
				}
			}
		}
		return nil
	})
}

// TestE2EFollow: a comment posted to one server is on the others within a
// second, by their events alone.
func TestE2EFollow(t *testing.T) {
	e2e(t)
	servers := network(t, 3, func(int) []string { return nil })
	postAll(t, servers[0], 10, 1)
	eventually(t, time.Minute, func() error {
		_, err := roots(servers)
		return err
	})
	soon := 0
	for i := range 12 {
		p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("topic-0")}
		id, _, err := servers[i%3].client.Post(context.Background(), p, fmt.Appendf(nil, "follow %d", i))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, s := range servers {
			for {
				if _, err := s.client.Comment(context.Background(), p, id); err == nil {
					break
				}
				if time.Since(start) > time.Minute {
					t.Fatalf("comment %d did not reach all servers", i)
				}
			}
		}
		took := time.Since(start)
		t.Logf("comment %d was on all three after %s", i, took)
		// By rounds alone, which come every 2 s, it is one in sixteen.
		if took < 500*time.Millisecond {
			soon++
		}
	}
	// The first three may come before every server knows every other one, and a
	// busy machine may hold one up.
	if soon < 6 {
		t.Errorf("%d of 12 comments were on all servers within half a second", soon)
	}
}

// TestE2ELost: what vanished from a server's disk comes back from the others,
// though their folders were merged before.
func TestE2ELost(t *testing.T) {
	e2e(t)
	a := serve(t, t.TempDir(), "--sync-interval", "2s")
	postAll(t, a, 30, 3)
	flags := []string{"--sync-interval", "2s", "--peer", a.http}
	data := t.TempDir()
	b := serve(t, data, flags...)
	var root cid.Cid
	equal := func() (err error) {
		root, err = roots([]*server{a, b})
		return err
	}
	eventually(t, time.Minute, equal)
	want := root
	b.stop()
	p, text := comment(0, 0)
	community := filepath.Join(data, p.Community.String())
	if err := os.Remove(filepath.Join(community, p.Topic.String(), comntr.SumHash(text).String())); err != nil {
		t.Fatal(err)
	}
	p, _ = comment(1, 0)
	if err := os.RemoveAll(filepath.Join(community, p.Topic.String())); err != nil {
		t.Fatal(err)
	}
	b = serve(t, data, flags...)
	eventually(t, time.Minute, equal)
	if root != want {
		t.Errorf("the servers agree on %s, it was %s before", root, want)
	}
}

// TestE2EKill9: kill -9 in the middle of 1,000 posts; every 201 is there
// after the restart.
func TestE2EKill9(t *testing.T) {
	e2e(t)
	data := t.TempDir()
	s := serve(t, data)
	var mu sync.Mutex
	acknowledged := map[int]bool{}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < 1000; i += 16 {
				p, b := comment(i%50, i)
				if _, created, err := s.client.Post(context.Background(), p, b); err != nil || !created {
					return
				}
				mu.Lock()
				acknowledged[i] = true
				if len(acknowledged) == 400 {
					s.cmd.Process.Kill()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	<-s.exited
	if n := len(acknowledged); n < 400 || n == 1000 {
		t.Fatalf("%d posts were acknowledged: the kill did not fall among them", n)
	}
	s = serve(t, data)
	for i := range acknowledged {
		p, b := comment(i%50, i)
		if _, err := s.client.Comment(context.Background(), p, comntr.SumHash(b)); err != nil {
			t.Fatalf("comment %d was acknowledged and is gone: %v", i, err)
		}
	}
	s.stop()
	stdout, stderr, code := output(t, "", "check", "--data", data)
	if code != 0 {
		t.Fatalf("check after kill -9 exits with %d:\n%s%s", code, stdout, stderr)
	}
}

// TestE2EHelia: Helia in Node fetches folders by their ids from our IPFS node,
// and every byte agrees.
func TestE2EHelia(t *testing.T) {
	e2e(t)
	dir := interop(t, "helia")
	s := serve(t, t.TempDir())
	var addr string
	for a := range strings.SplitSeq(s.multiaddrs(), ",") {
		if strings.Contains(a, "/tcp/") && !strings.Contains(a, "/ws") {
			addr = a
		}
	}
	for _, n := range []int{1000, 5000} {
		p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(fmt.Sprint("helia-", n))}
		want := map[string]string{}
		var wg sync.WaitGroup
		for i := range n {
			b := fmt.Appendf(nil, "comment %d of %d", i, n)
			want[comntr.SumHash(b).String()] = string(b)
		}
		texts := make(chan string)
		for range 32 {
			wg.Go(func() {
				for b := range texts {
					if _, _, err := s.client.Post(context.Background(), p, []byte(b)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, b := range want {
			texts <- b
		}
		close(texts)
		wg.Wait()
		id, err := s.client.Topic(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", "helia-get.mjs", addr, id.String())
		cmd.Dir = dir
		var stderr strings.Builder
		cmd.Stderr = &stderr
		start := time.Now()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("helia: %v\n%s\n%s", err, stderr.String(), s.stderr)
		}
		got := 0
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		for lines.Scan() {
			var f struct{ Name, Bytes string }
			if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
				t.Fatal(err)
			}
			b, err := base64.StdEncoding.DecodeString(f.Bytes)
			if err != nil || want[f.Name] != string(b) {
				t.Fatalf("helia gives %q for %s, not %q", b, f.Name, want[f.Name])
			}
			got++
		}
		if got != n {
			t.Fatalf("helia gives %d of %d comments", got, n)
		}
		t.Logf("Helia fetched %d comments under %s in %s", n, id, time.Since(start).Round(time.Millisecond))
	}
}

// TestE2ENamed: a server that a person named with --peer is known without the
// DHT, though it stands on an address that a stranger may not name.
func TestE2ENamed(t *testing.T) {
	e2e(t)
	for _, test := range []struct {
		name  string
		flags []string
	}{
		{"as it comes", nil},
		{"over bitswap alone", []string{"--no-gateway"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := serve(t, t.TempDir(), append(test.flags, "--no-allow-private")...)
			postAll(t, a, 100, 5)
			b := serve(t, t.TempDir(), append(test.flags, "--no-allow-private", "--peer", a.http, "--sync-interval", "2s")...)
			eventually(t, time.Minute, func() error {
				_, err := roots([]*server{a, b})
				return err
			})
		})
	}
}

// TestE2EBittorrentDHT: npm's bittorrent-dht finds a server's HTTP port under
// SHA1("reddit").
func TestE2EBittorrentDHT(t *testing.T) {
	e2e(t)
	dir := interop(t, "bittorrent-dht")
	s := serve(t, t.TempDir())
	cmd := exec.Command("node", "dht-lookup.mjs", s.dht, comntr.NameHash("reddit").String())
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != strings.TrimPrefix(s.http, "http://") {
		t.Fatalf("bittorrent-dht found %q, not %s: %v", out, s.http, err)
	}
}

// interop is the folder of the independent programs, with one of their
// packages installed.
func interop(t *testing.T, pkg string) string {
	t.Helper()
	needs(t, "node")
	dir := filepath.Join("..", "..", "interop")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", pkg)); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("interop/node_modules is not there: make interop")
		}
		t.Skip("interop/node_modules is not there: make interop")
	}
	return dir
}

// TestE2EStop: SIGTERM ends a server that is at work in under 5 s.
func TestE2EStop(t *testing.T) {
	e2e(t)
	servers := network(t, 2, func(int) []string { return nil })
	postAll(t, servers[0], 2000, 100)
	go servers[1].client.Events(context.Background(), comntr.NameHash("reddit"), nil, "", func(comntr.Event) error { return nil })
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(servers[0].client.Origin(), "http")+"/announce", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	told := make(chan websocket.StatusCode, 1)
	go func() {
		_, _, err := ws.Read(context.Background())
		told <- websocket.CloseStatus(err)
	}()
	for _, s := range servers {
		s.stop()
	}
	if status := <-told; status != websocket.StatusGoingAway {
		t.Errorf("the tracker's client was told %d", status)
	}
}

// TestE2EDemo runs the demo as a person would.
func TestE2EDemo(t *testing.T) {
	e2e(t)
	stdout, stderr, code := output(t, "", "demo")
	if code != 0 || !strings.Contains(stdout, "nothing was lost") {
		t.Fatalf("demo exits with %d:\n%s\n%s", code, stdout, stderr)
	}
	t.Log(stdout)
}

// TestE2EFullDisk: on a disk that fills up, posts are refused with 507, reads
// go on, and nothing that was acknowledged is lost.
func TestE2EFullDisk(t *testing.T) {
	e2e(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=80m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a small tmpfs: %v", err)
		}
		t.Skipf("mounting a small tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := serve(t, filepath.Join(dir, "data"))
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("full")}
	stored := map[comntr.Hash]bool{}
	refusals := 0
	for i := 0; i < 4000 && refusals < 20; i++ {
		b := append(fmt.Appendf(nil, "%d ", i), strings.Repeat("x", 60_000)...)
		id, _, err := s.client.Post(context.Background(), p, b)
		var problem *comntr.Problem
		switch {
		case err == nil:
			stored[id] = true
		case errors.As(err, &problem) && problem.Status == 507 && problem.Code == comntr.CodeFull:
			refusals++
			if _, err := s.client.Comment(context.Background(), p, comntr.SumHash(b)); err == nil {
				t.Fatal("a refused comment was stored")
			}
		default:
			t.Fatalf("post %d: %v\n%s", i, err, s.stderr)
		}
	}
	if refusals == 0 || len(stored) < 100 {
		t.Fatalf("%d stored, %d refused", len(stored), refusals)
	}
	t.Logf("%d comments of 60,000 bytes fit on 80 MiB before 507", len(stored))
	s.stop()
	s = serve(t, filepath.Join(dir, "data"))
	f, err := s.client.Folder(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Comments) != len(stored) {
		t.Fatalf("%d comments after the restart, %d were acknowledged", len(f.Comments), len(stored))
	}
}
