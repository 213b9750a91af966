package ipfs_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/comntr/comntr/internal/ipfs"
)

func TestLibrariesLog(t *testing.T) {
	var out bytes.Buffer
	h, core := ipfs.Libraries(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	long := strings.Repeat("x", 10*ipfs.MaxDetail)
	l := slog.New(h)
	l.Info("too quiet")
	l.Warn("a warning", "peer", "p")
	l.Error(long, "err", errors.New("e"))
	z := zap.New(core).Named("dht").Sugar()
	z.Info("too quiet")
	z.Warnw("zap's warning", "peer", "p")
	z.With("n", 1).Errorf("zap's %s", "error")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || len(out.String()) > 4*(ipfs.MaxDetail+300) {
		t.Fatalf("%q", lines)
	}
	for i, want := range [][]string{
		{"level=DEBUG", `detail="a warning"`, "peer=p"},
		{"level=WARN", "err=e"},
		{"level=DEBUG", `detail="zap's warning"`, "logger=dht", "peer=p"},
		{"level=WARN", `detail="zap's error"`, "n=1"},
	} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("%s is not in %s", w, lines[i])
			}
		}
	}
}
