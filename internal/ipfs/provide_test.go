package ipfs_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

func TestDue(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name  string
		table int
		ok    bool
		after time.Duration
		want  bool
	}{
		{"just told", ipfs.SmallTable, true, time.Second, false},
		{"just told a few", 1, true, ipfs.ProvideEvery - 1, false},
		{"told a few", 1, true, ipfs.ProvideEvery, true},
		{"told many", ipfs.SmallTable, true, ipfs.ProvideEvery, false},
		{"told many long ago", ipfs.SmallTable, true, ipfs.ReprovideEvery, true},
		{"failed", ipfs.SmallTable, false, time.Second, false},
		{"failed a while ago", ipfs.SmallTable, false, time.Minute, true},
	} {
		if got := ipfs.Due(at, c.table, c.ok, at.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A bootstrap node that a person named may be at home though strangers' may
// not.
func TestJoinByANamedPrivateNode(t *testing.T) {
	hub := newNode(t, config(t))
	cfg := config(t)
	cfg.Guard, cfg.Bootstrap = comntr.Guard{}, hub.Addrs()
	joined := make(chan string, 10)
	cfg.Log = slog.New(messages{slog.LevelInfo, joined})
	run(t, newNode(t, cfg))
	if m := <-joined; !strings.Contains(m, "joined") {
		t.Error(m)
	}
}

func TestRunWithoutAnyone(t *testing.T) {
	cfg := config(t)
	cfg.Bootstrap = []string{"/ip4/127.0.0.1/tcp/" + freePort(t) + "/p2p/" + newNode(t, config(t)).PeerID()}
	warned := make(chan string, 10)
	cfg.Log = slog.New(messages{slog.LevelWarn, warned})
	run(t, newNode(t, cfg))
	if m := <-warned; !strings.Contains(m, "no node of the IPFS DHT was reached") {
		t.Error(m)
	}
}
