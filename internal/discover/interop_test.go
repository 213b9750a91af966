package discover_test

import (
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
		message := "needs Node and `npm ci` in interop/: " + err.Error()
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
	eventually(t, 5*time.Second, "announced at b", func() bool { return len(b.Announced(reddit)) > 0 })
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
