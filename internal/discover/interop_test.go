package discover_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr/internal/discover"
)

// TestInteropBittorrentDHT: npm's bittorrent-dht, which shares no code with us,
// finds the announced HTTP port under SHA1("reddit"), from the announcing node
// itself and from another that was told.
func TestInteropBittorrentDHT(t *testing.T) {
	t.Parallel()
	const dir = "../../interop"
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules", "bittorrent-dht"))
	}
	if err != nil {
		message := "needs Node and `make interop`: " + err.Error()
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if reddit.String() != "27aa67d11878da3049675f218f9822318d27bf67" {
		t.Fatalf("SHA1(reddit) is %s", reddit)
	}
	a := start(t, discover.DHTConfig{})
	b := start(t, discover.DHTConfig{}, a)
	a.Announce(reddit, 5001)
	eventually(t, "announced at b", func() bool { return len(b.Announced(reddit)) > 0 })
	for _, d := range []*discover.DHT{a, b} {
		cmd := exec.CommandContext(t.Context(), node, "dht-lookup.mjs", d.Addr().String(), reddit.String())
		cmd.Dir = dir
		var stderr strings.Builder
		cmd.Stderr = &stderr
		began := time.Now()
		out, err := cmd.Output()
		if err != nil || string(out) != "127.0.0.1:5001\n" {
			t.Fatalf("bittorrent-dht found %q, %v: %s", out, err, stderr.String())
		}
		t.Logf("found after %v", time.Since(began).Round(time.Millisecond))
	}
}

// meet is npm's tracker client at work: lines that it prints.
type meet struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser
	lines chan string
}

func startMeet(t *testing.T, url, role string, id discover.PeerID) *meet {
	t.Helper()
	const dir = "../../interop"
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules", "bittorrent-tracker"))
	}
	if err != nil {
		message := "needs Node and `make interop`: " + err.Error()
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	cmd := exec.CommandContext(t.Context(), node, "tracker-meet.mjs", url, reddit.String(), hex.EncodeToString(id[:]), role)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &meet{t, role, stdin, make(chan string, 100)}
	go func() {
		defer close(m.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			m.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		for range m.lines {
		}
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil || stderr.Len() > 0 {
			t.Errorf("%s: %v: %s", role, err, stderr.String())
		}
	})
	return m
}

// want returns the first line that begins with prefix.
func (m *meet) want(prefix string) string {
	m.t.Helper()
	timeout := time.After(20 * time.Second)
	var seen []string
	for {
		select {
		case l, ok := <-m.lines:
			if ok && strings.HasPrefix(l, prefix) {
				return l
			}
			seen = append(seen, l)
			if ok {
				continue
			}
		case <-timeout:
		}
		m.t.Fatalf("%s: no line %q, but %q", m.name, prefix, seen)
	}
}

// TestInteropTracker: two clients of npm's bittorrent-tracker, which shares no
// code with us, find each other by our tracker, and a peer of this process, and
// our client by npm's own words.
func TestInteropTracker(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{})
	seedID, leechID := discover.PeerID{0, 0x80, 0xff, 1}, discover.PeerID{0, 0x80, 0xff, 2}
	seed := startMeet(t, url, "seed", seedID)
	if l := seed.want("update"); l != "update 1 0 120" {
		t.Error(l)
	}
	leech := startMeet(t, url, "leech", leechID)
	if l := leech.want("update"); l != "update 1 1 120" {
		t.Error(l)
	}
	offer := seed.want("offer of " + hex.EncodeToString(leechID[:]))
	answer := leech.want("answer of " + hex.EncodeToString(seedID[:]))
	if !strings.Contains(offer, "a=<offer>\\r\\n") || !strings.Contains(answer, "a=<answer>\\r\\n") {
		t.Errorf("%s; %s", offer, answer)
	}
	io.WriteString(leech.stdin, "scrape\n")
	if l := leech.want("scrape"); l != "scrape "+reddit.String()+" 1 1" {
		t.Error(l)
	}

	localID := discover.PeerID{0xfe}
	if _, err := tr.Join(reddit, localID, func(context.Context, discover.Offer) (string, bool) { return "v=0 local", true }); err != nil {
		t.Fatal(err)
	}
	other := startMeet(t, url, "leech", discover.PeerID{0, 0x80, 0xff, 3})
	if l := other.want("answer of " + hex.EncodeToString(localID[:])); !strings.HasSuffix(l, `"v=0 local"`) {
		t.Error(l)
	}
	leech.stdin.Close() // it says that it stops
	eventually(t, "a goodbye", func() bool { return tr.Sockets() == 2 })
}
